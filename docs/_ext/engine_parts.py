"""What engines support, from the subjects that the contract suite asks."""

import importlib

from rst import plain, table, with_code

from metatomic_core.testing import ABILITIES, installed_subjects

# column of the table: name of the subject
ENGINES = {"ASE": "ase", "i-PI": "ipi", "LAMMPS": "lammps", "GROMACS": "gromacs", "C++": "kernel-script"}
# what makes no sense without something else
PART_OF = {"asymmetric virials": "virial"}


def abilities() -> str:
    """Give the table of what each engine supports, without that in which they agree."""
    subjects = {title: installed_subjects()[name] for title, name in ENGINES.items()}
    all_have, rows = [], []
    for name, what in ABILITIES.items():
        has = [can(each, name) for each in subjects.values()]
        if all(has):
            all_have.append(what)
        else:
            rows.append([what, *("yes" if yes else "no" for yes in has)])
    return (
        table(["what", *subjects], rows, [45, *[11] * len(subjects)], "short-cells")
        + f"\nAll of them: {_listed(all_have)}.\n"
    )


def ability_names() -> str:
    """Give the table of the names that subjects use in ``lacks``."""
    return table(["name", "what it means"], [[f"``{name}``", what] for name, what in ABILITIES.items()], [30, 70])


def can(subject, ability: str) -> bool:
    """Say whether a subject has an ability, and what that is a part of."""
    return not {ability, PART_OF.get(ability)} & subject.lacks.keys()


def supported(subject: str, of_some: str = "", when: str = "") -> str:
    """Give what a subject supports, and what not, with reasons; rows of another one where it lacks more."""
    one = _subject(subject)
    rows = _refused(one)
    if of_some:
        condition = when.replace("-", " ")
        more = _refused(_subject(of_some))
        rows += [[f"{what} ({condition})", why] for what, why in more if [what, why] not in rows]
    has = [what for name, what in ABILITIES.items() if can(one, name)]
    text = f"What the contract suite (:doc:`/add-an-engine`) asks for, and gets: {_listed(has)}.\n"
    if not rows:
        return text + "\nNothing is left out.\n"
    return f"{text}\nWhat is not supported, or not asked, and why:\n\n{table(['what', 'why'], rows, [40, 60])}"


def _subject(name: str):
    """Give a subject that is installed, or that ``module:NAME`` says."""
    module, colon, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute) if colon else installed_subjects()[name]


def _refused(subject) -> list[list[str]]:
    lacks = [[ABILITIES[name], with_code(why)] for name, why in subject.lacks.items()]
    return lacks + [[plain(test.replace("_", " ")), with_code(why)] for test, why in subject.left_out.items()]


def _listed(texts: list[str]) -> str:
    return "; ".join(texts)
