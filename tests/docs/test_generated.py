"""Parts of pages that are made from tables of the code: they say what is so, and leave nothing out."""

import re

import click
import pytest
import scipy.constants

pytest.importorskip("docutils", reason="`nox -s walkthrough` has the parsers of the pages")
pytest.importorskip("markdown_it", reason="`nox -s walkthrough` has the parsers of the pages")

import command_parts
import generated
import markdown_parts
import quantity_parts
from doc_pages import table_rows

from metatomic_core.data.quantities import standard_quantities
from metatomic_core.testing import ABILITIES
from metatomic_core.units import unit_table

ENGINES = ["what", "ASE", "i-PI", "LAMMPS", "GROMACS", "C++"]


@pytest.fixture(scope="module")
def abilities():
    rows = table_rows("docs/index.rst")
    return {row[0]: dict(zip(ENGINES[1:], row[1:], strict=True)) for row in rows[rows.index(ENGINES) + 1 :]}


def test_home_says_what_engines_can_do(abilities):
    """What each engine is known for, by hand."""
    assert abilities[ABILITIES["virial"]]["GROMACS"] == "no"
    assert abilities[ABILITIES["virial"]]["LAMMPS"] == "yes"
    # of something that an engine lacks, it has no part
    assert abilities[ABILITIES["asymmetric virials"]]["GROMACS"] == "no"
    assert abilities[ABILITIES["batch"]] == {"ASE": "yes", "i-PI": "yes", "LAMMPS": "no", "GROMACS": "no", "C++": "yes"}
    assert abilities[ABILITIES["selected atoms"]]["C++"] == "yes"


def test_home_names_every_ability(abilities):
    text = generated.text_of("abilities")
    assert [what for what in ABILITIES.values() if what not in text] == []
    # a row in which all agree would say nothing
    assert all(len(set(row.values())) == 2 for row in abilities.values())


def test_names_of_abilities_are_on_a_page():
    rows = table_rows("docs/reference/testing.rst")
    assert ["batch", "several structures in one call of the model"] in rows


def test_page_of_engine_gives_reasons():
    rows = table_rows("docs/engines/lammps.rst")
    assert ["several structures in one call of the model", "a step of LAMMPS has one structure"] in rows
    (on_ranks,) = [row for row in rows if row[0] == "direct stress (on several ranks)"]
    assert "no sum over atoms" in on_ranks[1]


def test_units_have_the_values_of_codata():
    rows = {row[0]: row[2] for row in table_rows("docs/units.rst") if len(row) == 4}
    expected = {
        "a0, a_0": "Bohr radius",
        "u, amu": "atomic mass constant",
        "Ha, Eh, E_h": "Hartree energy",
        "eV": "electron volt",
        "hbar, ħ": "reduced Planck constant",
    }
    for symbols, name in expected.items():
        mantissa, power = re.fullmatch(r"([\d.]+) · 10(-?\d+)", rows[symbols]).groups()
        # the last digits differ from edition to edition of CODATA
        assert float(f"{mantissa}e{power}") == pytest.approx(scipy.constants.value(name), rel=1e-8)


def test_units_are_all_there():
    rows = [row for row in table_rows("docs/units.rst") if len(row) == 4]
    names = {name for row in rows for cell in row[:2] for name in cell.split(", ")}
    # without prefixes, other cases and plurals
    assert (
        {"m", "angstrom", "eV", "kelvin", "mu_B", "mol", "statvolt", "bar"}
        <= names
        <= {*unit_table(), "symbols", "words", ""}
    )


def test_contract_for_every_quantity():
    text = generated.text_of("quantity-contracts")
    assert [name for name in standard_quantities() if f"\n``{name}``\n~~~" not in text] == []


def test_quantity_without_a_description_is_an_error(monkeypatch):
    monkeypatch.delitem(quantity_parts.ABOUT, "charge")
    with pytest.raises(ValueError, match=r"row of ABOUT for each standard quantity, got other names: \['charge'\]"):
        quantity_parts.contracts()


def test_every_option_of_every_command_is_listed():
    text = generated.text_of("commands")
    sections = dict(re.findall(r"\n(metatomic[\w -]*)\n-+\n(.*?)(?=\nmetatomic[\w -]*\n-+\n|\Z)", text, re.DOTALL))
    found = {context.command_path: command.get_help(context) for command, context in command_parts.all_commands()}
    assert {"metatomic", "metatomic md", "metatomic ipi run", "metatomic lammps", "metatomic import"} <= set(found)
    assert set(found) == set(sections)
    for path, help_text in found.items():
        block = help_text.partition("Options:\n")[2].partition("\n\n")[0]
        options = re.findall(r"^  (?:-\w, )?(--[\w-]+)", block, re.MULTILINE)
        listed = re.findall(r"^\.\. option:: (?:-\w, )?(--[\w-]+)", sections[path], re.MULTILINE)
        assert listed == options, path


def test_help_is_paragraphs_and_examples():
    command = click.Command("it", help="Do `this`.\n\nOr *that*.", epilog="\b\nExample:\n  it --now")
    context = click.Context(command, info_name="it")
    text = command_parts._section(command, context)
    assert "Do ``this``.\n\nOr \\*that\\*." in text
    assert "Example:\n\n.. code-block:: none\n\n     it --now" in text


def test_markdown_becomes_the_same_page():
    sentence = "See [x](docs/check.rst), [y](https://a.org) and `c_`."
    text = markdown_parts.as_rst(f"# A *b*\n\n{sentence}\n\n- one\n  two\n\n| a | b |\n|---|---|\n| 1 | **2** |\n")
    assert "A *b*\n=====" in text
    assert "See :doc:`/check`, `y <https://a.org>`__ and ``c_``." in text
    assert "- one\n  two" in text
    assert "   * - 1\n     - **2**" in text


def test_unknown_part_is_an_error():
    with pytest.raises(ValueError, match=r"expected one of abilities, .* got 'nothing'"):
        generated.text_of("nothing at all")
