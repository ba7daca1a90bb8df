"""Shared libraries on disk and in the process: their hashes, what they are linked to, and which package owns them.

Nothing here knows of models; `extensions` decides what to record, copy and load.
"""

import re
import struct
import sys
from importlib import metadata as importlib_metadata
from pathlib import Path

import torch

# Where the loader, the C library and other parts of the operating system are, on Linux and macOS.
_SYSTEM_DIRECTORIES = ("/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/", "/usr/local/cuda", "/System/")
# Distributions that every user of this package has, and whose libraries are in the process before any model.
BASE_DISTRIBUTIONS = ("torch", "metatensor-core", "metatensor-torch")
# Runtime libraries of compilers, which environments such as conda's keep beside the libraries of packages.
_RUNTIME_LIBRARY = re.compile(
    r"^(lib(stdc\+\+|gcc_s|gomp|c|m|dl|rt|pthread|util|python[\d.]+|cuda\w*|cu\w+|nv\w+)|ld-linux.*|linux-vdso)\.so"
)
# Constants of the ELF format: "Tool Interface Standard (TIS) Executable and Linking Format", version 1.2, chapters 1-3.
_ELF_MAGIC, _ELF_64, _ELF_LITTLE = b"\x7fELF", 2, 1
_SHT_DYNAMIC, _DT_NEEDED = 6, 1


def library_stem(name: str) -> str:
    """Give what a library is called on all platforms: "vesin_torch" for "libvesin_torch.so"."""
    stem = re.sub(r"\.(so(\.[\d.]+)?|dylib|dll|pyd)$", "", name)
    return stem.removeprefix("lib")


def loaded_extensions() -> list[Path]:
    """List the libraries that were loaded as extensions of torch, sorted by path."""
    return sorted(Path(path) for path in torch.ops.loaded_libraries)


def mapped_libraries() -> dict[str, Path]:
    """Give the shared libraries in this process by file name; nothing where the system does not tell (not Linux)."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return {}
    found: dict[str, Path] = {}
    for line in maps.read_text().splitlines():
        path = line[line.find("/") :] if "/" in line else ""
        if ".so" in path and not path.endswith("(deleted)"):
            found.setdefault(Path(path).name, Path(path))
    return found


def needed_libraries(path: Path) -> list[str]:
    """List the file names of the libraries that an ELF library is linked to; nothing for other formats.

    Reads the entries DT_NEEDED of the dynamic section.
    """
    data = path.read_bytes()
    if data[:6] != _ELF_MAGIC + bytes([_ELF_64, _ELF_LITTLE]):
        return []
    section_offset = struct.unpack_from("<Q", data, 0x28)[0]
    entry_size, count = struct.unpack_from("<HH", data, 0x3A)
    headers = [struct.unpack_from("<IIQQQQIIQQ", data, section_offset + i * entry_size) for i in range(count)]
    names: list[str] = []
    for header in headers:
        kind, offset, size, link = header[1], header[4], header[5], header[6]
        if kind != _SHT_DYNAMIC:
            continue
        strings = headers[link][4]
        for tag, value in struct.iter_unpack("<QQ", data[offset : offset + size - size % 16]):
            if tag == _DT_NEEDED:
                start = strings + value
                names.append(data[start : data.index(b"\0", start)].decode())
    return names


def is_system_library(name: str, path: Path) -> bool:
    """Tell whether a library is part of the system, of torch or of another base dependency."""
    if _RUNTIME_LIBRARY.match(name) or str(path).startswith(_SYSTEM_DIRECTORIES):
        return True
    base = [Path(torch.__file__).parent / "lib"]
    base += [Path(sys.modules[module].__file__).parent for module in _base_modules()]  # type: ignore[arg-type]
    resolved = path.resolve()
    return any(directory.resolve() in resolved.parents for directory in base)


def _base_modules() -> list[str]:
    names = [name.replace("-", "_") for name in BASE_DISTRIBUTIONS] + ["metatensor"]
    return [name for name in names if getattr(sys.modules.get(name), "__file__", None)]


def dependencies_of(path: Path) -> list[Path]:
    """List the libraries that a loaded library needs and that neither system nor torch provide, deepest first."""
    mapped = mapped_libraries()
    ordered: list[Path] = []
    pending = [(path, False)]
    seen = {path.resolve()}
    while pending:
        current, done = pending.pop()
        if done:
            ordered.append(current)
            continue
        if current != path:
            pending.append((current, True))
        for name in needed_libraries(current):
            found = mapped.get(name)
            if found is None or is_system_library(name, found) or found.resolve() in seen:
                continue
            seen.add(found.resolve())
            pending.append((found, False))
    return ordered


def owner_of(path: Path) -> tuple[str | None, str | None]:
    """Give name and version of the installed distribution that a file belongs to, or two times None."""
    target = path.resolve()
    for distribution in importlib_metadata.distributions():
        # most lists of files can be discarded by a look for the file name
        if path.name not in (distribution.read_text("RECORD") or ""):
            continue
        for file in distribution.files or []:
            if file.name == path.name and Path(str(distribution.locate_file(file))).resolve() == target:
                return str(distribution.metadata["Name"]), distribution.version
    return None, None


def find_in_distribution(distribution: str, name: str) -> tuple[list[Path], str | None]:
    """Find a library among the files of an installed distribution.

    Parameters
    ----------
    distribution
        Name of the distribution.
    name
        File name of the library, on any platform.

    Returns
    -------
    list of Path, str or None
        Candidates, and the version of the distribution; no version if it is not installed.  Where the distribution has
        one folder for each release of torch, only the file for the running one is a candidate.
    """
    try:
        installed = importlib_metadata.distribution(distribution)
    except (importlib_metadata.PackageNotFoundError, ValueError):
        return [], None
    stem = library_stem(name)
    named = [
        Path(str(installed.locate_file(file)))
        for file in installed.files or []
        if re.search(r"\.(so(\.[\d.]+)?|dylib|dll|pyd)$", file.name) and library_stem(file.name) == stem
    ]
    candidates = [path for path in named if path.is_file()]
    major, minor = torch.__version__.split(".")[:2]
    per_torch = [path for path in candidates if any(re.fullmatch(r"torch-\d+\.\d+", part) for part in path.parts)]
    if per_torch:
        candidates = [path for path in per_torch if f"torch-{major}.{minor}" in path.parts]
    return candidates, installed.version
