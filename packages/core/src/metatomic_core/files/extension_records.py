"""What a model file records of an extension: `Library` and `Extension`."""

import dataclasses
from typing import Any


@dataclasses.dataclass
class Library:
    """A shared library, as it is recorded in a model file.

    Attributes
    ----------
    name
        File name, without any directory.
    sha256
        Hash of the file, in hexadecimal.
    distribution, version
        Installed distribution that the file belongs to, or None.

    Raises
    ------
    TypeError
        If a value has the wrong type.
    ValueError
        If the name has a directory in it.
    """

    name: str
    sha256: str
    distribution: str | None = None
    version: str | None = None

    def __post_init__(self) -> None:
        for field in ("name", "sha256"):
            if not isinstance(getattr(self, field), str):
                raise TypeError(f"expected `{field}` of a library to be a string, got {getattr(self, field)!r}")
        for field in ("distribution", "version"):
            if not isinstance(getattr(self, field), (str, type(None))):
                raise TypeError(f"expected `{field}` of a library to be a string or None, got {getattr(self, field)!r}")
        if self.name in ("", ".") or any(part in self.name for part in ("/", "\\", "..", "\0")):
            raise ValueError(f"expected the plain file name of a library in a model file, got '{self.name}'")


@dataclasses.dataclass
class Extension(Library):
    """A library that registers custom classes or operators of a model.

    Attributes
    ----------
    registers
        What the model uses of it: classes as "namespace.Class", operators as "namespace::operator".
    dependencies
        Libraries to load before, that neither the system nor torch provide.
    """

    registers: list[str] = dataclasses.field(default_factory=list)
    dependencies: list[Library] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.dependencies = [_as_library(dependency) for dependency in self.dependencies]
        for name in self.registers:
            if not isinstance(name, str):
                raise TypeError(f"expected `registers` of an extension to be strings, got {name!r}")
            if len(name.split("::" if "::" in name else ".")) != 2:
                raise ValueError(f"expected `registers` to be 'namespace.Class' or 'namespace::operator', got {name!r}")


def _as_library(content: Any) -> Library:
    if isinstance(content, Library):
        return content
    if not isinstance(content, dict):
        raise TypeError(f"expected `dependencies` of an extension to be objects, got {content!r}")
    return Library(**content)
