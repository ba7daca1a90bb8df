"""TorchScript extensions: which libraries a model needs, collecting them, and loading them safely."""

import dataclasses
import os
from typing import Any, List, Optional, Union


@dataclasses.dataclass
class Extension:
    """placeholder until the helper's version lands."""

    name: str
    sha256: str


def needed_extensions(scripted: Any) -> List[Extension]:
    return []


def collect(extensions: List[Extension], directory: str) -> None:
    pass


def load_model_extensions(path: Union[str, "os.PathLike[str]"], extensions_directory: Optional[str]) -> None:
    pass
