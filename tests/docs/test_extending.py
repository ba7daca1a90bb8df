"""docs/extending.rst is true: its files exist, and its package works once it is installed."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("docutils", reason="`nox -s walkthrough` has the parsers of the pages")
pytest.importorskip("markdown_it", reason="`nox -s walkthrough` has the parsers of the pages")

from doc_pages import ROOT, code_blocks

tomllib = pytest.importorskip("tomllib", reason="tomllib is new in Python 3.11")

PAGE = "docs/extending.rst"
PACKAGE = ROOT / "docs/examples/text_formats"
CORE = ROOT / "packages/core/src/metatomic_core"
FILE = re.compile(r"``([\w./-]+/[\w.-]+\.(?:py|rst|txt|toml|cpp))``")


def metadata_in(folder):
    """Write what pip would write of the package; give the path that Python needs."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text("utf-8"))["project"]
    written = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    written.mkdir()
    (written / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (written / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return os.pathsep.join([str(folder), str(PACKAGE / "src"), os.environ.get("PYTHONPATH", "")])


def test_files_that_are_named_exist():
    names = FILE.findall((ROOT / PAGE).read_text("utf-8"))
    assert len(names) > 15
    assert [name for name in names if not ((ROOT / name).is_file() or (CORE / name).is_file())] == []


def test_package_reads_and_writes(tmp_path):
    (commands,) = [block.text for block in code_blocks(PAGE) if block.text.startswith("pip install")]
    site = tmp_path / "site"
    site.mkdir()
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands.partition("\n")[2]],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": metadata_in(site), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    assert "Lennard-Jones" in done.stdout
    distances, energies = np.loadtxt(tmp_path / "dimer.txt").T
    assert distances.tolist() == [3.0, 4.0, 5.0, 6.0]
    # shifted to zero at the cutoff, as the model says of itself
    powers = (3.405 / distances) ** 6
    shift = energies - 4 * 0.01032 * (powers**2 - powers)
    np.testing.assert_allclose(shift, shift[0], atol=1e-12)


def test_writers_are_listed_without_torch(tmp_path):
    code = "import sys, text_formats.writing\nassert not {'torch', 'numpy'} & sys.modules.keys()"
    environment = {**os.environ, "PYTHONPATH": metadata_in(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
