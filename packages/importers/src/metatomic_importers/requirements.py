"""What must be installed to import a family: found, or named with what to do."""

import importlib.metadata
import re

from packaging.requirements import Requirement

from .family import Family

# Fields of the metadata of a distribution that say something of its licence.
_ABOUT_LICENCE = ("License-Expression", "License", "Classifier", "Author", "Author-email")


def check_requirements(family: Family) -> None:
    """Check that the packages of a family are there, in versions that were tried.

    Raises
    ------
    ValueError
        If one is not.
    """
    for text in family.requirements:
        needed = Requirement(text)
        installed = installed_version(text)
        if installed is None:
            raise ValueError(f"expected {text} to import {family.name}, got none installed; {_install(family)}")
        # a version that a package gives itself for development is taken by its number
        if not needed.specifier.contains(installed, prereleases=True):
            raise ValueError(f"expected {text} to import {family.name}, got {installed}; {_install(family)}")


def installed_version(requirement: str) -> str | None:
    """Give the version of what a requirement names; None if it is not installed."""
    try:
        return importlib.metadata.version(Requirement(requirement).name)
    except importlib.metadata.PackageNotFoundError:
        return None


def licence_text(requirement: str) -> str:
    """Give the licence of an installed package: the texts in its distribution, or else what its metadata say."""
    found = importlib.metadata.distribution(Requirement(requirement).name)
    name = f"{found.name} {found.version}"
    texts = [
        file.read_text("utf-8").strip()
        for file in found.files or []
        if re.match(r"(licen[cs]e|copying|notice)", file.name, re.IGNORECASE) and ".dist-info" in str(file)
    ]
    if texts:
        return f"{name}\n\n" + "\n\n".join(texts)
    about = {name: ", ".join(found.metadata.get_all(name) or ()) for name in _ABOUT_LICENCE}
    said = about["License-Expression"] or about["License"] or _of_classifiers(about["Classifier"])
    authors = about["Author"] or about["Author-email"] or "its authors"
    return f"{name}\n\n{said or 'no licence in its metadata'}\nCopyright {authors}"


def _of_classifiers(classifiers: str) -> str:
    return ", ".join(text.rpartition(" :: ")[2] for text in classifiers.split(", ") if text.startswith("License ::"))


def _install(family: Family) -> str:
    packages = " ".join(f"'{text}'" for text in family.requirements)
    return f"run `pip install {packages}`, in an environment of its own if it does not go with what is here"
