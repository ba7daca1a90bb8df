"""Sphinx settings. Nothing here downloads, and the pages show all they have without a network."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

import metatensor.torch
import torch
from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "metatomic-core"
author = "metatomic-core developers"
copyright = "2026, metatomic-core developers"
version = release = installed_version("metatomic-core")

extensions = [
    "drawn",
    "generated",
    "names",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "inventories", "tutorials", "sg_execution_times.rst"]
default_role = "name"
html_theme = "furo"
html_title = "metatomic-core"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_search_scorer = str(Path(__file__).parent / "_static" / "scorer.js")  # Sphinx wants it so

# what others document, in lists of the names that occur here: a name that a page is told to miss is a row there
intersphinx_mapping = {
    "python": ("https://docs.python.org/3", "inventories/python.txt"),
    "numpy": ("https://numpy.org/doc/stable", "inventories/numpy.txt"),
    "ase": ("https://ase-lib.org", "inventories/ase.txt"),
    "torch": ("https://docs.pytorch.org/docs/stable", "inventories/torch.txt"),
    "metatensor": ("https://docs.metatensor.org/latest/torch/reference", "inventories/metatensor.txt"),
}
# where a class lives, and the name by which it is documented
DOCUMENTED_AS = {
    "ase.atoms.Atoms": "ase.Atoms",
    "torch.jit._script.ScriptModule": "torch.jit.ScriptModule",
    "Labels": "metatensor.torch.Labels",
    "TensorMap": "metatensor.torch.TensorMap",
    "torch._C.Generator": "torch.Generator",
    "torch.nn.modules.module.Module": "torch.nn.Module",
}

# links that lead nowhere are errors, but for those of the kit for commands, which is next to nobody's business
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(click|rich|importlib)\..*"), ("py:exc", "PropertyNotImplementedError")]
nitpick_ignore = [
    # found by the function itself: nobody has to make one
    ("py:class", "metatomic_lammps._toolchain.Target"),
    # what the suite makes for its tests, and parts of public classes
    ("py:class", "metatomic_core.testing.bench.Bench"),
    # annotations that mean "any class of a kind"
    ("py:class", "metatomic_core.adapters.options.Class"),
    ("py:class", "metatomic_core.foundation.plugins._Kind"),
    ("py:class", "metatomic_core.model._trial.RunnableModel"),
    # a part of `AtomisticModel`, where its methods are
    ("py:class", "metatomic_core.model._pipeline.ModelPipeline"),
    # what both calculators share
    ("py:class", "metatomic_ase._changes.Watching"),
    # imported where it is used: commands start without it
    ("py:class", "np.ndarray"),
    ("py:class", "metatomic_core.o3.turns.Turns"),
    ("py:class", "metatomic_ase._changes.Watching"),
    # a package that has no list of names here
    ("py:class", "Phonopy"),
    ("py:class", "ase.mep.neb.NEB"),
    # what napoleon takes from docstrings, without the module
    ("py:class", "Calculator"),
    ("py:class", "ase.calculators.calculator.Calculator"),
]

# The tutorials: scripts in docs/tutorials are run, and become pages in docs/gallery, which is not kept in git. A script
# that fails ends the build; nothing that changes from build to build is shown.
sphinx_gallery_conf = {
    "examples_dirs": "tutorials",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "tutorials.position",
    "capture_repr": (),
    "show_memory": False,
    "min_reported_time": 1e9,
    "write_computation_times": False,
    "show_signature": False,
    "download_all_examples": False,
    "plot_gallery": "True",
}

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


def use_documented_name(app, env, node, content):
    """Have a class looked up by the name that its documentation has."""
    node["reftarget"] = DOCUMENTED_AS.get(node["reftarget"], node["reftarget"])


def setup(app):
    """Register the writer of formulas, and the names of others."""
    app.connect("missing-reference", use_documented_name, priority=100)
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
