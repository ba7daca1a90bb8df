"""Names in single backquotes are code, and links where they are names of one public object.

Docstrings and pages write `System` or `Engine.evaluate`, as people do, and not where it is; what is no name, or is the
name of several objects, stays code. In docstrings, ``see docs/PAGE`` is a link to the page.
"""

import re

from docutils import nodes
from sphinx import addnodes
from sphinx.util.docutils import SphinxRole
from sphinx.util.nodes import make_refnode

NAME = re.compile(r"[A-Za-z]\w*(?:\.[A-Za-z]\w*)*(?:\(\))?")
# attributes have the words of the field as names
KINDS = ("class", "exception", "function", "method", "data", "module")
PAGE = re.compile(r"\b(see|See) docs/([\w/-]+)")


class Name(SphinxRole):
    """The role."""

    def run(self):
        """Give code, and a link if it may be a name."""
        code = nodes.literal(self.rawtext, self.text, classes=["docutils"])
        if not NAME.fullmatch(self.text):
            return [code], []
        link = addnodes.pending_xref(
            "", code, refdomain="py", reftype="obj", reftarget=self.text.removesuffix("()"), refwarn=False, by_name=True
        )
        # where the text stands, by which a name of its surroundings is found
        link.attributes.update({key: self.env.ref_context.get(key) for key in ("py:module", "py:class")})
        return [link], []


def find_by_name(app, env, node, content):
    """Resolve a name that is not where the page thinks it is; leave it as code where there is not exactly one."""
    if not node.get("by_name"):
        return None
    ending = f".{node['reftarget']}"
    objects = env.get_domain("py").objects
    found = {
        (entry.docname, entry.node_id)
        for name, entry in objects.items()
        if name.endswith(ending) and entry.objtype in KINDS and not entry.aliased
    }
    if len(found) != 1:
        return content
    ((page, anchor),) = found
    return make_refnode(app.builder, node["refdoc"], page, anchor, content, node["reftarget"])


def link_pages(*event):
    """Make links of the pages that a docstring names; its lines are the last that the event gives."""
    lines = event[-1]
    lines[:] = [PAGE.sub(r"\1 :doc:`/\2`", line) for line in lines]


def setup(app):
    """Register the role and what resolves it."""
    app.setup_extension("sphinx.ext.autodoc")
    app.add_role("name", Name())
    app.connect("missing-reference", find_by_name, priority=50)
    app.connect("autodoc-process-docstring", link_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
