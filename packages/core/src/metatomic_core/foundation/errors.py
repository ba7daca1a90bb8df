"""Exceptions that are also of the type which metatomic-torch raises for the same reason: ported code catches them.

Each is first of all what Python has for the case: code written for this package needs none of these names.
"""


class UnreadableFileError(ValueError, RuntimeError):
    """A file is not what it is read as, or is damaged; a RuntimeError in metatomic-torch."""


class MissingFileError(FileNotFoundError, RuntimeError):
    """There is no such file; a RuntimeError in metatomic-torch."""


class UnavailableError(ValueError, RuntimeError):
    """A device or an extension is missing on this machine; a RuntimeError in metatomic-torch."""


class ContradictionError(ValueError, NotImplementedError):
    """Two modules want the same thing in two ways; a NotImplementedError in metatomic-torch."""
