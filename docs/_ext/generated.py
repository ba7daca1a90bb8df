"""Parts of pages that are made from the tables of the code, so that no page says anything else.

``.. generated:: NAME [WORD ...]`` stands for the text, in reStructuredText, that the function of this name gives for
the words. The directive is one of docutils, so that the tests read pages as Sphinx does.
"""

import importlib
from collections.abc import Callable

from docutils.parsers.rst import Directive, directives

# name: module and function, imported when a page asks for it
PARTS = {
    "abilities": ("engine_parts", "abilities"),
    "ability-names": ("engine_parts", "ability_names"),
    "supported": ("engine_parts", "supported"),
    "options": ("option_parts", "options"),
    "commands": ("command_parts", "commands"),
    "quantities": ("quantity_parts", "overview"),
    "quantity-contracts": ("quantity_parts", "contracts"),
    "plural-names": ("quantity_parts", "plurals"),
    "units": ("unit_parts", "units"),
    "dimensions": ("unit_parts", "dimensions"),
    "prefixes": ("unit_parts", "prefixes_used"),
    "known-versions": ("version_parts", "known_versions"),
    "versions": ("version_parts", "versions"),
    "markdown": ("markdown_parts", "page"),
}


def text_of(part: str) -> str:
    """Give the text of a part, named as in the directive."""
    name, *words = part.split()
    if name not in PARTS:
        raise ValueError(f"expected one of {', '.join(PARTS)} for `generated`, got '{name}'")
    module, function = PARTS[name]
    make: Callable[..., str] = getattr(importlib.import_module(module), function)
    return make(*words)


class Generated(Directive):
    """The directive."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        """Put the text where the directive is, as if it had been written there."""
        part = self.arguments[0]
        self.state_machine.insert_input(text_of(part).splitlines(), f"generated {part}")
        return []


def register():
    """Make the directive known to docutils."""
    directives.register_directive("generated", Generated)


def setup(app):
    """Register the directive, and have pages read again in each build: they depend on code."""
    register()
    app.connect("env-get-outdated", _pages_with_generated_parts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _pages_with_generated_parts(app, env, added, changed, removed):
    # those that are known from an earlier build; new ones are read anyway
    return [
        name
        for name in env.found_docs - set(added) - set(removed)
        if ".. generated::" in env.doc2path(name).read_text("utf-8")
    ]
