"""What fuzzing found, kept as files of ``corpus/TARGET``: bytes as they are, other inputs as JSON."""

import json
from pathlib import Path
from typing import Any, Iterator, Tuple

FOLDER = Path(__file__).parent / "corpus"


def write(path: Path, value: Any) -> Path:
    """Write an input; give the file, whose suffix says which kind it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(value, bytes):
        path = path.with_suffix(".bin")
        path.write_bytes(value)
    else:
        path = path.with_suffix(".json")
        path.write_text(json.dumps(value, indent=1) + "\n", "utf-8")
    return path


def read(path: Path) -> Any:
    """Read an input."""
    return path.read_bytes() if path.suffix == ".bin" else json.loads(path.read_text("utf-8"))


def entries() -> Iterator[Tuple[str, Path]]:
    """Give the name of the target and the file of each input."""
    for path in sorted(FOLDER.glob("*/*")):
        yield path.parent.name, path
