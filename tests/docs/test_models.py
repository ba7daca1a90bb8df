"""The table of imported models is what was measured, and has a row for each family of ours."""

import subprocess
import sys

from doc_pages import ROOT

from metatomic_importers import families

TABLE = ROOT / "docs" / "models-table.txt"


def test_table_is_what_was_measured(tmp_path):
    copied = TABLE.read_text("utf-8")
    script, file = ROOT / "benchmarks" / "models" / "measure.py", tmp_path / "table.txt"
    command = [sys.executable, str(script), "--table", "--output", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert file.read_text("utf-8") == copied


def test_table_has_all_families():
    ours = {name for name, plugin in families().items() if plugin.package == "metatomic-importers"}
    measured = {path.stem for path in (ROOT / "docs" / "models-measured").glob("*.json")}
    assert measured == ours
