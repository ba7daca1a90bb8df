"""The tables of options on the pages of the engines are those that calculator, client and commands are made from."""

import re

import pytest

pytest.importorskip("docutils", reason="`nox -s walkthrough` has the parsers of the pages")
pytest.importorskip("markdown_it", reason="`nox -s walkthrough` has the parsers of the pages")

from doc_pages import ROOT, table_rows

from metatomic_ase._convert import SOURCES
from metatomic_core.adapters.options import ENGINE_OPTIONS
from metatomic_core.adapters.text_options import flag_of
from metatomic_ipi.options import OPTIONS

TABLES = {"docs/engines/ase.rst": ENGINE_OPTIONS, "docs/engines/ipi.rst": OPTIONS}
# keyword of LAMMPS for each option; the skin is that of LAMMPS
OF_LAMMPS = {
    "device": "device",
    "extensions_directory": "extensions",
    "variants": "variant/OUTPUT",
    "non_conservative": "non_conservative",
    "check_consistency": "check_consistency",
    "uncertainty_threshold": "uncertainty_threshold",
    "kernel": "kernel",
}


def row(name, table):
    option, flag = table[name], flag_of(name, table)
    meaning = f"{option.help} One of {', '.join(option.choices)}." if option.choices else option.help
    if option.kind is bool:
        return [name, f"--no-{flag[2:]}" if option.default else flag, "on" if option.default else "off", meaning]
    # a default that is None, or explained by the meaning
    default = "" if option.default in (None, (), "default") else str(option.default)
    return [name, flag, default, meaning]


@pytest.mark.parametrize("page", TABLES)
def test_page_has_the_table(page):
    rows = table_rows(page)
    missing = [row(name, TABLES[page]) for name in TABLES[page] if row(name, TABLES[page]) not in rows]
    assert missing == []
    header = ["In Python", "On command lines", "Default", "Meaning"]
    listed = [found[0] for found in rows[rows.index(header) :] if found != header]
    assert listed[: len(TABLES[page])] == list(TABLES[page])


def test_keywords_of_lammps_mean_the_same():
    meanings = {found[0]: found[2] for found in table_rows("docs/engines/lammps.rst") if len(found) == 3}
    assert set(OF_LAMMPS) == ENGINE_OPTIONS.keys() - {"neighbor_skin"}
    for name, keyword in OF_LAMMPS.items():
        # what it does; the rest is about values, units and defaults
        meaning = re.split(r"[;:.]|, (?:in|at) ", ENGINE_OPTIONS[name].help)[0]
        assert meanings[keyword].lower().startswith(meaning.lower())


def test_page_of_lammps_has_all_keywords():
    """Those of the table in C++."""
    source = (ROOT / "packages/lammps-glue/src/metatomic_lammps/plugin/metatomic_options.cpp").read_text("utf-8")
    keywords = set(re.findall(r'^      \{"(\w+)",', source, re.MULTILINE))
    assert {"device", "scale", "output"} <= keywords
    listed = {found[0] for found in table_rows("docs/engines/lammps.rst") if len(found) == 3}
    assert keywords <= listed


def test_page_has_the_inputs_that_ase_gives():
    rows = table_rows("docs/engines/ase.rst")
    for (name, kind), source in SOURCES.items():
        assert [name, kind, source.where] in rows
