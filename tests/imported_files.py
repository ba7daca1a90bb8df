"""The files that the sessions `importers` of the noxfile left for the session `imported`."""

import os
from pathlib import Path

FOLDER = os.environ.get("METATOMIC_IMPORTED")
FILES = sorted(Path(FOLDER).glob("*/*.pt")) if FOLDER else []
