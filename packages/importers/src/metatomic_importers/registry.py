"""The families that installed packages bring, by their entry points."""

from metatomic_core.adapters import Plugin, check_choice, load_plugin, plugins

from .family import Family

# group of entry points, each of which is a `Family`
IMPORTERS = "metatomic.importers"
_WHAT = "importer"


def families() -> dict[str, Plugin]:
    """List the families by name, without loading any.

    Raises
    ------
    ValueError
        If two packages have a family of one name.
    """
    return plugins(IMPORTERS, _WHAT)


def family(name: str) -> Family:
    """Give a family.

    Raises
    ------
    ValueError
        If no installed package has one of this name, or it does not load, or calls itself something else.
    """
    known = families()
    check_choice("family", name, sorted(known))
    found = load_plugin(known[name], Family, _WHAT)
    if found.name != name:
        raise ValueError(
            f"expected the importer '{name}' of {known[name].package} to have this `name`, got '{found.name}'; "
            f"upgrade or remove {known[name].package}"
        )
    return found
