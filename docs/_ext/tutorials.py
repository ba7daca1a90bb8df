"""The order of the tutorials: each builds on those before it."""

from pathlib import Path

ORDER = (
    "train_silicon",
    "universal_potential",
    "write_a_model",
    "many_structures",
    "uncertainty",
    "path_integrals",
    "neighbor_lists",
    "after_a_run",
    "map_of_structures",
    "files_of_the_reference",
    "combine_models",
    "check_a_model",
    # last, as it sets the cache of this process
    "compile_a_model",
)


def position(filename):
    """Give the place of a script; one that has no place is an error."""
    return ORDER.index(Path(filename).stem)
