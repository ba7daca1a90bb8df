"""The report as a page: one file that loads nothing, safe whatever a model says about itself, readable by all."""

import base64
import dataclasses
import io
import math
import re
from html.parser import HTMLParser

import ase.io
import numpy as np
import pytest
from report_cases import DIMER, failing, plot, report

from metatomic_check.finding import Finding, Grade, Line, Plot
from metatomic_check.html import html_report, with_dois
from metatomic_check.plots import svg_of

VOID = {"meta", "br", "link", "img", "input", "hr"}
ATTACK = "<script>alert('x')</script><img src=http://evil.example/x onerror=alert(1)> \" ' & </style>"


class Page(HTMLParser):
    """The tags of a page, its text, and tags that are not closed in their order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.crossed, self.text = [], [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.crossed.append(tag)

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data

    def attributes(self, name):
        return [attributes[name] for _, attributes in self.tags if name in attributes]


EVERY_GRADE = [Finding("dimers", grade, f"this is {grade.value}", part=grade.value) for grade in Grade]


@pytest.fixture(scope="module")
def page():
    found = report(
        failing(plots=(plot(), plot(y_log=True))), *EVERY_GRADE, Finding("dimers", Grade.PASS, "x", plots=(plot(),))
    )
    return Page(html_report(found))


def test_tags_are_closed(page):
    assert (page.open, page.crossed) == ([], [])


def test_nothing_is_loaded_from_elsewhere(page):
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "img", "iframe", "object", "base", "form"}
    assert page.attributes("src") == []
    links = [link for link in page.attributes("href") if not link.startswith("#")]
    assert {link.split(",")[0] for link in links} == {
        "https://doi.org/10.1103/PhysRevB.31.5262", "data:text/plain;base64"
    }  # fmt: skip
    text = html_report(report(failing(plots=(plot(),))))
    assert set(re.findall(r"https?://[^\"'<\s]*", text)) == {"https://doi.org/10.1103/PhysRevB.31.5262"}
    assert "@import" not in text
    assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", text)
    # and no browser does if there were anything
    assert "default-src 'none'; style-src 'unsafe-inline'" in page.attributes("content")


def test_page_says_what_a_referee_asks(page):
    model = ("Toy", "A. Author, B. Author", "doi:10.1103/PhysRevB.31.5262", "ab" * 32)
    found = ("The model fails", "0.25 eV/Å", "1e-06", "Meaning of forces.")
    how = ("metatomic check si.pt", "2026-11-30 12:00 UTC", "torch 2.13.0")
    assert [text for text in (*model, *found, *how) if text not in page.text] == []


def test_grades_are_words(page):
    """Whatever their colors: in the table, and where the grades are listed."""
    for grade in Grade:
        assert len(re.findall(rf"[✓!✗◇i–] {grade.value}\b", page.text)) >= 2


def test_names_in_the_page_are_unique(page):
    names = page.attributes("id")
    assert len(names) == len(set(names))
    inside = [link[1:] for link in page.attributes("href") if link.startswith("#")]
    labels = page.attributes("aria-labelledby")
    assert inside
    assert set(inside) | set(labels) <= set(names)


def test_plots_are_said_in_words(page):
    words = [attributes["aria-label"] for _, attributes in page.tags if attributes.get("role") == "img"]
    # (x - 2.3)^2 at 4.0 is 2.89; 1/x is known from 2.0 on
    expected = "Energy of dimers: energy / eV against distance / Å; Si-Si from 0.0025 to 2.89; Si-O from 0.25 to 0.5"
    assert words == [expected] * 3
    assert [tag for tag, _ in page.tags].count("svg") == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ATTACK},
        {"description": ATTACK},
        {"authors": (ATTACK,)},
        {"references": {"model": (ATTACK, f"doi:10.1000/{ATTACK}", f"https://doi.org/10.1000/'{ATTACK}")}},
        {"extra": {ATTACK: ATTACK}},
        {"outputs": (ATTACK,)},
        {"file": ATTACK},
        {"species": (ATTACK,)},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_metadata_of_strangers_are_text(fields):
    page = Page(html_report(report(failing(), **fields)))
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "img"}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert "alert('x')" in page.text
    assert (page.open, page.crossed) == ([], [])
    links = [link for link in page.attributes("href") if not link.startswith(("#", "data:text/plain;base64,"))]
    assert all(link.startswith("https://doi.org/10.") for link in links)


def test_texts_of_findings_and_plots_are_text():
    x = np.arange(4)
    drawn = Plot(ATTACK, ATTACK, ATTACK, (Line(ATTACK, x, x), Line("$x^", x, x)), marks=((1.0, ATTACK),))
    structures = {ATTACK: dataclasses.replace(DIMER, inputs={ATTACK: np.array(1.0)})}
    finding = Finding("forces", Grade.FAIL, ATTACK, ATTACK, 1.0, 0.5, ATTACK, structures, (drawn,))
    page = Page(html_report(report(finding)))
    assert not {tag for tag, _ in page.tags} & {"script", "img"}
    assert (page.open, page.crossed) == ([], [])
    assert "$x^" in page.text


def test_structures_are_in_the_page():
    page = Page(html_report(report(failing())))
    files = {
        attributes["download"]: base64.b64decode(attributes["href"].partition(",")[2]).decode()
        for tag, attributes in page.tags
        if "download" in attributes
    }
    assert list(files) == ["dimer.extxyz", "forces-dimer-worst.extxyz"]
    atoms = ase.io.read(io.StringIO(files["forces-dimer-worst.extxyz"]), format="extxyz")
    np.testing.assert_allclose(atoms.positions, DIMER.positions)
    assert atoms.get_potential_energy() == -4.3


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("doi:10.1103/PhysRevB.31.5262", ["10.1103/PhysRevB.31.5262"]),
        ("F. H. Stillinger (1985), https://doi.org/10.1103/PhysRevB.31.5262.", ["10.1103/PhysRevB.31.5262"]),
        ("10.1/x and (doi: 10.1038/s41467-019-0), DOI 10.1000/a", ["10.1038/s41467-019-0", "10.1000/a"]),
        ("http://evil.example/10.1000/a", []),
        ("javascript:alert(1)", []),
    ],
)
def test_dois_are_links_and_nothing_else_is(text, links):
    found = Page(str(with_dois(text)))
    assert found.attributes("href") == [f"https://doi.org/{link}" for link in links]


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (Line("", np.array([]), np.array([])),),
        (Line("nothing finite", np.arange(3), np.full(3, math.nan)),),
        (Line("infinite", np.arange(3), np.array([1.0, math.inf, -math.inf])),),
        (Line("negative", -np.arange(1, 5), -np.arange(1, 5)),),
        tuple(Line(f"line {k}", np.arange(9), np.arange(9) + k) for k in range(40)),
    ],
    ids=["none", "empty", "nan", "inf", "negative", "many"],
)
@pytest.mark.parametrize("is_log", [False, True])
def test_plot_of_odd_numbers_is_drawn(lines, is_log):
    svg = svg_of(Plot("odd", "x", "y", lines, x_log=is_log, y_log=is_log, marks=((math.nan, "no"), (1.0, "one"))), "a")
    page = Page(svg)
    assert (page.open, page.crossed) == ([], [])
    assert page.tags[0][0] == "svg"
    assert not {"width", "height"} & set(page.tags[0][1])


def test_plots_take_their_colors_from_the_page():
    """So that they are readable in both themes: no color but those of the style sheet."""
    svg = svg_of(plot(), "a")
    assert re.findall(r"#[0-9a-fA-F]{6}\b", svg) == []
    assert {"var(--ink)", "var(--line)", "var(--series-0)", "var(--series-1)"} <= set(re.findall(r"var\([\w-]+\)", svg))
    style = html_report(report()).partition("</style>")[0]
    for name in set(re.findall(r"var\((--[\w-]+)\)", svg)):
        # light, and dark
        assert style.count(f"{name}: #") == 2


def luminance(color):
    """Relative luminance, WCAG 2.1."""
    parts = [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_has_contrast(theme):
    """At least 4.5 to 1 for text, 3 to 1 for lines of plots (WCAG 2.1, 1.4.3 and 1.4.11)."""
    style = html_report(report()).partition("</style>")[0]
    names = ("paper", "ink", "soft", "link", "pass", "warn", "fail", "design", "info", "na")
    series = [f"series-{k}" for k in range(8)]
    colors = {name: re.findall(rf"--{name}: (#\w+)", style)[theme] for name in (*names, *series)}
    paper = luminance(colors.pop("paper"))
    for name, color in colors.items():
        light, dark = sorted((luminance(color), paper), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= (3 if name.startswith("series") else 4.5), name


def test_report_without_findings_is_a_page():
    page = Page(html_report(report(description="", authors=(), references={})))
    assert (page.open, page.crossed) == ([], [])
    assert "The model was not checked" in page.text
