"""Sphinx settings. Nothing here downloads, and the pages show all they have without a network."""

from importlib.metadata import version as installed_version

import metatensor.torch
import torch
from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

project = "metatomic-core"
author = "metatomic-core developers"
copyright = "2026, metatomic-core developers"
version = release = installed_version("metatomic-core")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]
default_role = "literal"
html_theme = "furo"
html_title = "metatomic-core"
html_math_renderer = "mathml"

napoleon_numpy_docstring = True
napoleon_google_docstring = False
napoleon_use_rtype = False

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
python_use_unqualified_type_names = True
autodoc_default_options = {"members": True, "show-inheritance": True}

# The classes of metatensor are objects of TorchScript that do not know their name: without this, annotations
# would show their address in memory, other in every build.
SCRIPT_CLASSES = {
    id(value): f"metatensor.torch.{name}"
    for name, value in vars(metatensor.torch).items()
    if isinstance(value, torch.ScriptClass)
}
torch.ScriptClass.__repr__ = lambda self: SCRIPT_CLASSES.get(id(self), "torch.ScriptClass")


def visit_math(translator, node):
    """Write a formula of a line as MathML, which browsers show by themselves: no script, no network."""
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def visit_math_block(translator, node):
    """Write a formula on lines of its own as MathML."""
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    translator.body.append(tex2mathml(node.astext(), as_block=True))
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app):
    """Register the writer of formulas."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
