"""What is in a file, found without executing anything in it: the names in its pickles and of its entries."""

import contextlib
import dataclasses
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path

# Opcodes whose argument is text, and how long a text may be to be a name.
_TEXTS = ("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE")
_MAX_NAME = 200
# What is read of a file at most: the weights are not in its pickles.
_MAX_BYTES = 200_000_000
# Pickles one after the other in the files of old versions of torch.
_N_PICKLES = 5


@dataclasses.dataclass(frozen=True)
class Contents:
    """What is in a file.

    Attributes
    ----------
    path
        The file.
    entries
        Names of the entries if it is a zip archive, without the folder that they are all in.
    modules
        Names of the Python modules whose classes and functions its pickles name.
    names
        Short texts in its pickles, the keys of dictionaries among them.
    """

    path: Path
    entries: frozenset[str]
    modules: frozenset[str]
    names: frozenset[str]

    def has_module(self, package: str) -> bool:
        """Tell whether a pickle names something of a Python package."""
        return any(module == package or module.startswith(f"{package}.") for module in self.modules)

    def is_torchscript(self) -> bool:
        """Tell whether it is a compiled module."""
        return "constants.pkl" in self.entries and any(name.startswith("code/") for name in self.entries)

    def is_model_file(self) -> bool:
        """Tell whether it is a model file of ours or of metatomic-torch already."""
        return self.is_torchscript() and any(name.startswith("extra/metatomic") for name in self.entries)


def contents_of(path: Path) -> Contents:
    """Read what is in a file, as far as it is a zip archive or pickles.

    Raises
    ------
    ValueError
        If there is no such file.
    """
    if not path.is_file():
        raise ValueError(f"expected a checkpoint file, got '{path}', which is not there")
    entries: set[str] = set()
    modules: set[str] = set()
    names: set[str] = set()
    for pickled in _pickles(path, entries):
        _scan(pickled, modules, names)
    return Contents(path, frozenset(entries), frozenset(modules), frozenset(names))


def _pickles(path: Path, entries: set[str]) -> Iterator[bytes]:
    """Give the pickles in a file; note its entries."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            yield file.read(_MAX_BYTES)
        return
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            entries.add(info.filename.partition("/")[2] or info.filename)
            if info.filename.endswith((".pkl", ".pickle")) and info.file_size <= _MAX_BYTES:
                yield archive.read(info)


def _scan(content: bytes, modules: set[str], names: set[str]) -> None:
    """Note what pickles name; what is no pickle has none."""
    start = 0
    for _ in range(_N_PICKLES):
        last = ["", ""]
        end = None
        # ends at the first thing that is no opcode
        with contextlib.suppress(Exception):
            for opcode, argument, position in pickletools.genops(content[start:]):
                end = position
                if opcode.name == "GLOBAL":
                    modules.add(str(argument).partition(" ")[0])
                elif opcode.name == "STACK_GLOBAL":
                    modules.add(last[0])
                elif opcode.name in _TEXTS and isinstance(argument, str) and len(argument) <= _MAX_NAME:
                    names.add(argument)
                    last = [last[1], argument]
        if end is None:
            return
        start += end + 1
