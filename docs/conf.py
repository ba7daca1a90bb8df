"""Sphinx settings. Nothing here downloads: the docs build without a network."""

from importlib.metadata import version as installed_version

project = "metatomic-core"
author = "metatomic-core developers"
copyright = "2026, metatomic-core developers"
version = release = installed_version("metatomic-core")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]
default_role = "literal"
html_theme = "furo"
html_title = "metatomic-core"

napoleon_numpy_docstring = True
napoleon_google_docstring = False
napoleon_use_rtype = False

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_default_options = {"members": True, "show-inheritance": True}
