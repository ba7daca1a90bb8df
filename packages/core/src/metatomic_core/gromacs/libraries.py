"""Paths of the libraries that a file for GROMACS names, for GROMACS to open before it loads the model."""

from pathlib import Path

from metatomic_core.files.extension_records import Extension
from metatomic_core.files.shared_libraries import (
    find_in_distribution,
    library_stem,
    loaded_extensions,
    mapped_libraries,
)

# What all models need, in the order in which to open them: distribution and file name.
_BASE: tuple[tuple[str | None, str], ...] = (
    ("metatensor-core", "libmetatensor.so"),
    ("metatensor-torch", "libmetatensor_torch.so"),
)
# GROMACS separates the paths by it.
SEPARATOR = ":"


def library_paths(extensions: list[Extension], directory: str | None) -> list[str]:
    """List the libraries that a model needs, those that others need first.

    Parameters
    ----------
    extensions
        Those of the model, which is loaded.
    directory
        Where the libraries are on the machine that runs GROMACS; None for where they are here.

    Raises
    ------
    ValueError
        If the directory is not an absolute path, a path has the character by which GROMACS separates them, or a
        library is not found.
    """
    if directory is not None and not Path(directory).is_absolute():
        raise ValueError(f"expected an absolute path for `--library-dir`, got '{directory}'; GROMACS wants full paths")
    needed = list(_BASE)
    for extension in extensions:
        needed += [(library.distribution, library.name) for library in [*extension.dependencies, extension]]
    found = [_path(distribution, name) for distribution, name in needed]
    paths = [str(Path(directory) / path.name) if directory is not None else str(path) for path in found]
    for path in paths:
        if SEPARATOR in path:
            raise ValueError(
                f"expected paths of libraries without '{SEPARATOR}', by which GROMACS separates them, got '{path}'; "
                "copy the libraries to another directory and name it by --library-dir"
            )
    return paths


def _path(distribution: str | None, name: str) -> Path:
    """Give the path of a library that is loaded, or installed as part of a distribution."""
    loaded = [*loaded_extensions(), *mapped_libraries().values()]
    candidates = [path for path in loaded if library_stem(path.name) == library_stem(name)]
    if not candidates and distribution is not None:
        candidates = find_in_distribution(distribution, name)[0]
    if not candidates:
        where = f" of {distribution}, got none; install it again" if distribution else ", got none; is it loaded"
        raise ValueError(f"expected the library '{name}'{where}")
    return candidates[0].resolve()
