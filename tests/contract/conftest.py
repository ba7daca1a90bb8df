"""The engine of docs/add-an-engine.rst, which its page installs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "examples" / "toy_engine"))
