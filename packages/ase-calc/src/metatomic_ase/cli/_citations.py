"""What to cite for a result: the model, by its metadata, and the methods; as lines on standard error, and as BibTeX."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from metatomic_core.adapters import replaced_when_done

if TYPE_CHECKING:
    from metatomic_ase import MetatomicCalculator


class Paper(NamedTuple):
    """A paper of a method.

    Attributes
    ----------
    what
        What it is for.
    author, title, journal, volume, pages, year, doi
        As in BibTeX.
    """

    what: str
    author: str
    title: str
    journal: str
    volume: str
    pages: str
    year: int
    doi: str


_JCP = "The Journal of Chemical Physics"
PAPERS = {
    "ase": Paper(
        "ASE",
        "Larsen, Ask Hjorth and Mortensen, Jens J{\\o}rgen and Blomqvist, Jakob and Castelli, Ivano E. and others",
        "The atomic simulation environment---a {Python} library for working with atoms",
        "Journal of Physics: Condensed Matter",
        "29",
        "273002",
        2017,
        "10.1088/1361-648X/aa680e",
    ),
    "nve": Paper(
        "velocity Verlet",
        "Swope, William C. and Andersen, Hans C. and Berens, Peter H. and Wilson, Kent R.",
        "A computer simulation method for the calculation of equilibrium constants for the formation of physical "
        "clusters of molecules: Application to small water clusters",
        _JCP,
        "76",
        "637--649",
        1982,
        "10.1063/1.442716",
    ),
    "langevin": Paper(
        "integrator of the Langevin thermostat",
        "Vanden-Eijnden, Eric and Ciccotti, Giovanni",
        "Second-order integrators for {Langevin} equations with holonomic constraints",
        "Chemical Physics Letters",
        "429",
        "310--316",
        2006,
        "10.1016/j.cplett.2006.07.086",
    ),
    "bussi": Paper(
        "thermostat",
        "Bussi, Giovanni and Donadio, Davide and Parrinello, Michele",
        "Canonical sampling through velocity rescaling",
        _JCP,
        "126",
        "014101",
        2007,
        "10.1063/1.2408420",
    ),
    "nose-hoover": Paper(
        "Nose-Hoover chain",
        "Martyna, Glenn J. and Klein, Michael L. and Tuckerman, Mark",
        "{Nos\\'e--Hoover} chains: The canonical ensemble via continuous dynamics",
        _JCP,
        "97",
        "2635--2643",
        1992,
        "10.1063/1.463940",
    ),
    "mtk": Paper(
        "barostat",
        "Martyna, Glenn J. and Tobias, Douglas J. and Klein, Michael L.",
        "Constant pressure molecular dynamics algorithms",
        _JCP,
        "101",
        "4177--4189",
        1994,
        "10.1063/1.467468",
    ),
    "fire": Paper(
        "FIRE",
        'Bitzek, Erik and Koskinen, Pekka and G{\\"a}hler, Franz and Moseler, Michael and Gumbsch, Peter',
        "Structural relaxation made simple",
        "Physical Review Letters",
        "97",
        "170201",
        2006,
        "10.1103/PhysRevLett.97.170201",
    ),
    "lbfgs": Paper(
        "L-BFGS",
        "Liu, Dong C. and Nocedal, Jorge",
        "On the limited memory {BFGS} method for large scale optimization",
        "Mathematical Programming",
        "45",
        "503--528",
        1989,
        "10.1007/BF01589116",
    ),
    "birch": Paper(
        "equation of state",
        "Birch, Francis",
        "Finite elastic strain of cubic crystals",
        "Physical Review",
        "71",
        "809--824",
        1947,
        "10.1103/PhysRev.71.809",
    ),
    "hill": Paper(
        "averages of elastic constants",
        "Hill, Richard",
        "The elastic behaviour of a crystalline aggregate",
        "Proceedings of the Physical Society. Section A",
        "65",
        "349--354",
        1952,
        "10.1088/0370-1298/65/5/307",
    ),
    "stability": Paper(
        "elastic stability",
        "Mouhat, F{\\'e}lix and Coudert, Fran{\\c{c}}ois-Xavier",
        "Necessary and sufficient elastic stability conditions in various crystal systems",
        "Physical Review B",
        "90",
        "224104",
        2014,
        "10.1103/PhysRevB.90.224104",
    ),
    "anisotropy": Paper(
        "universal anisotropy",
        "Ranganathan, Shivakumar I. and Ostoja-Starzewski, Martin",
        "Universal elastic anisotropy index",
        "Physical Review Letters",
        "101",
        "055504",
        2008,
        "10.1103/PhysRevLett.101.055504",
    ),
    "phonopy": Paper(
        "phonopy",
        "Togo, Atsushi",
        "First-principles phonon calculations with phonopy and phono3py",
        "Journal of the Physical Society of Japan",
        "92",
        "012001",
        2023,
        "10.7566/JPSJ.92.012001",
    ),
    "neb": Paper(
        "climbing image",
        "Henkelman, Graeme and Uberuaga, Blas P. and J{\\'o}nsson, Hannes",
        "A climbing image nudged elastic band method for finding saddle points and minimum energy paths",
        _JCP,
        "113",
        "9901--9904",
        2000,
        "10.1063/1.1329672",
    ),
}
# what commands and their options stand on; keys of `PAPERS`.  BFGS has no one paper.
METHODS = {
    "nve": ("nve",),
    "langevin": ("langevin",),
    "bussi": ("bussi",),
    "nose-hoover": ("nose-hoover",),
    "isotropic": ("nose-hoover", "mtk"),
    "full": ("nose-hoover", "mtk"),
    "fire": ("fire",),
    "lbfgs": ("lbfgs",),
    "eos": ("birch",),
    "elastic": ("hill", "stability", "anisotropy"),
    "phonons": ("phonopy",),
    "neb": ("neb",),
}
# kinds of references of `ModelMetadata`, in the order of importance to a user of the model
_KINDS = (("model", "the model"), ("architecture", "its architecture"), ("implementation", "its implementation"))
_DOI = re.compile(r"10\.\d{4,9}/[^\s,;\"<>{}]+")


def citations(calculator: "MetatomicCalculator") -> list[tuple[str, str]]:
    """List what to cite for a model, each with what it is for."""
    references = calculator.metadata().references
    found: dict[str, list[str]] = {}
    for kind, what in _KINDS:
        for text in references.get(kind, []):
            found.setdefault(text, []).append(what)
    return [(text, " and ".join(what)) for text, what in found.items()]


def cite(
    calculators: "Iterable[MetatomicCalculator]", methods: Iterable[str | None] = (), bibtex: Path | None = None
) -> None:
    """Print what to cite on standard error: a line for the methods, and a block for models that name something.

    Parameters
    ----------
    calculators
        Calculators of the models.
    methods
        Keys of `METHODS`; others are left out.
    bibtex
        File for all of it, in the form of BibTeX; None for no file.
    """
    papers = {"ase": PAPERS["ase"], **{key: PAPERS[key] for name in methods for key in METHODS.get(name or "", ())}}
    of_models = list({text: (text, what) for calc in calculators for text, what in citations(calc)}.values())
    named = ", ".join(f"{paper.what} (doi:{paper.doi})" for paper in papers.values())
    click.echo(f"methods to cite: {named}", err=True)
    if of_models:
        click.echo("\n".join(["please cite", *(f"  {text} ({what})" for text, what in of_models)]), err=True)
    if bibtex is not None:
        entries = [_of_model(number, *one) for number, one in enumerate(of_models, 1)]
        entries += [_of_paper(key, paper) for key, paper in papers.items()]
        with replaced_when_done(bibtex) as temporary:
            temporary.write_text("\n".join(entries), encoding="utf-8")


def _of_paper(key: str, paper: Paper) -> str:
    fields = {name: str(value) for name, value in paper._asdict().items() if name != "what"}
    return _entry("article", f"method-{key}", fields)


def _of_model(number: int, text: str, what: str) -> str:
    """Give a reference of a model as an entry: its text is free, so it stays one, but for the DOI."""
    found = _DOI.search(text)
    doi = {"doi": found.group().rstrip(".)")} if found else {}
    url = re.search(r"https?://[^\s,;\"<>{}]+", text)
    link = {"url": url.group()} if url and not found else {}
    return _entry("misc", f"model-{number}", {"note": _escaped(text), **doi, **link, "annotation": what})


def _escaped(text: str) -> str:
    """Give text for BibTeX; braces, which may not close, go."""
    plain = " ".join(text.replace("\\", "/").replace("{", "(").replace("}", ")").split())
    return re.sub(r"([%&#_$])", r"\\\1", plain)


def _entry(kind: str, key: str, fields: dict[str, str]) -> str:
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@{kind}{{{key},", *lines, "}", ""])
