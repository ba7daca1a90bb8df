"""Virials of atoms."""

import numpy as np

from metatomic_core.testing.bench import Bench
from metatomic_core.testing.contract import standard_test


@standard_test("atomic virials")
def check_atomic_virials(bench: Bench) -> None:
    """Virials of atoms are not half of what is owed to each pair, at each of its two atoms.

    Their symmetric parts are compared.  Pairs at first atoms alone: the sum over atoms is right, and none of them.
    Wrong sign or factor: as for the virial; engines that give stress times volume of atoms have the other sign.
    """
    structures = bench.structures("box", "triclinic", "small cell")
    answers = bench.ask("two lists", structures, ["energy", "atomic_virials"])
    problems = []
    for name, structure, answer in zip(structures, structures.values(), answers, strict=True):
        found, expected = np.asarray(answer.atomic_virials), bench.oracle("two lists", structure).atomic_virials()
        if found.shape == expected.shape:
            found, expected = found + found.transpose(0, 2, 1), expected + expected.transpose(0, 2, 1)
        problems.append(bench.difference("atomic_virials", found / 2, expected / 2))
        problems[-1] += f", for '{name}'" if problems[-1] else ""
    bench.fail(problems)


@standard_test("atomic virials", "virial")
def check_atomic_virials_add_up(bench: Bench) -> None:
    """The sum of the virials of atoms is not the virial: forces on ghosts, or images, are in one of them alone."""
    structures = bench.structures("other box", "triclinic")
    answers = bench.ask("messages", structures, ["energy", "virial", "atomic_virials"])
    bench.fail(
        [
            bench.difference("virial", np.asarray(answer.atomic_virials).sum(0), answer.virial, len(structure.types))
            for structure, answer in zip(structures.values(), answers, strict=True)
        ]
    )


@standard_test("atomic virials")
def check_atomic_virials_of_nine_components(bench: Bench) -> None:
    """Virials of atoms were transposed or made symmetric: component [a, b] is the sum of r_a F_b.

    An engine that has six components leaves this test out.
    """
    bench.check("two lists", bench.structures("box"), ["energy", "atomic_virials"])
