"""``.. drawn:: FILE.svg`` puts a drawing of ours into the page itself, where it takes the colors of the theme."""

from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective


class Drawn(SphinxDirective):
    """The directive: a file, named from the page, and a caption in plain words."""

    required_arguments = 1
    has_content = True

    def run(self):
        """Give the figure."""
        page = Path(self.env.doc2path(self.env.docname))
        drawing = page.parent / self.arguments[0]
        self.env.note_dependency(str(drawing))
        text = drawing.read_text("utf-8")
        caption = escape(" ".join(self.content))
        figure = f'<figure class="drawn">\n{text}<figcaption>{caption}</figcaption>\n</figure>\n'
        return [nodes.raw("", figure, format="html")]


def setup(app):
    """Register the directive."""
    app.add_directive("drawn", Drawn)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
