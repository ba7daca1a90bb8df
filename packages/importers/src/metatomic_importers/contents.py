"""What is in a file, found without executing anything in it: the names in its pickles and of its entries."""

import contextlib
import dataclasses
import io
import pickletools
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from metatomic_core.adapters import in_one_line

# Opcodes whose argument is text, those that keep what is on top of the stack, and that put it there again.
_TEXTS = ("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE")
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
_GETS = ("GET", "BINGET", "LONG_BINGET")
# How long a text may be to be a name.
_MAX_NAME = 200
# What is read of a file at most: the weights are not in its pickles.
_MAX_BYTES = 200_000_000
# What archives start with.
_ARCHIVE = b"PK\x03\x04"
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
        If there is no such file, or it is a damaged archive.
    """
    if not path.is_file():
        raise ValueError(f"expected a checkpoint file, got '{path}', which is not there")
    entries: set[str] = set()
    modules: set[str] = set()
    names: set[str] = set()
    # what `zipfile` raises for entries that are cut off, changed, encrypted or compressed in unknown ways
    try:
        for pickled in _pickles(path, entries):
            _scan(pickled, modules, names)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError) as error:
        raise ValueError(
            f"expected a checkpoint file, got '{path}', an archive that can not be read: {in_one_line(error)}; copy it "
            "again"
        ) from error
    return Contents(path, frozenset(entries), frozenset(modules), frozenset(names))


def _pickles(path: Path, entries: set[str]) -> Iterator[bytes]:
    """Give the pickles in a file; note its entries."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES)
        if content.startswith(_ARCHIVE):
            raise zipfile.BadZipFile("its end is missing")
        yield content
        return
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            entries.add(info.filename.partition("/")[2] or info.filename)
            if info.filename.endswith((".pkl", ".pickle")) and info.file_size <= _MAX_BYTES:
                yield archive.read(info)


def _scan(content: bytes, modules: set[str], names: set[str]) -> None:
    """Note what pickles name; what is no pickle has none."""
    file = io.BytesIO(content)
    # ends at the first thing that is no opcode
    with contextlib.suppress(Exception):
        for _ in range(_N_PICKLES):
            _scan_one(file, modules, names)


def _scan_one(file: io.BytesIO, modules: set[str], names: set[str]) -> None:
    """Note what the pickle names that comes next in a file."""
    # classes are named by the last two texts, which are written once and then taken from what was kept
    kept: dict[int, str] = {}
    texts = ["", ""]
    top = ""
    argument: Any  # its type depends on the opcode
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name == "MEMOIZE":
            kept[len(kept)] = top
            continue
        if opcode.name in _PUTS:
            kept[argument] = top
            continue
        if opcode.name in ("GLOBAL", "INST"):
            modules.add(argument.partition(" ")[0])
        elif opcode.name == "STACK_GLOBAL":
            modules.add(texts[0])
        top = ""
        if opcode.name in _TEXTS:
            top = argument
            if len(top) <= _MAX_NAME:
                names.add(top)
        elif opcode.name in _GETS:
            top = kept.get(argument, "")
        if top:
            texts = [texts[1], top]
