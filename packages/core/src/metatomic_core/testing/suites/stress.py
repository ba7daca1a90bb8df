"""Stress and virial of structures."""

import numpy as np

from metatomic_core.testing.bench import Bench
from metatomic_core.testing.contract import standard_test

_PERIODIC = ("box", "triclinic", "outside", "small cell")


@standard_test("virial")
def check_virial(bench: Bench) -> None:
    """The virial or the stress is wrong in an orthogonal box.

    Opposite sign: tension and pressure are confused; the virial is -dE/dstrain, the stress is minus the virial over the
    volume.  Some components exchanged: Voigt order, which is xx yy zz yz xz xy in ASE and xx yy zz xy xz yz in LAMMPS.
    All by one factor: a unit of pressure, or the volume.  Diagonal only wrong: a kinetic part was left in.
    """
    bench.check("two lists", bench.structures("box", "no pairs"), ["energy", "virial"])


@standard_test("virial", "triclinic")
def check_virial_of_oblique_cells(bench: Bench) -> None:
    """The virial is right in orthogonal cells only.

    The engine turns the cell into its own frame and results are not turned back; rows and columns of the cell are
    exchanged; the volume is a product of edges; or what pairs with images, or atoms outside the cell, owe to the strain
    is missing.
    """
    bench.check("two lists", bench.structures("triclinic", *_PERIODIC[2:]), ["energy", "virial"])


@standard_test("virial")
def check_virial_of_messages(bench: Bench) -> None:
    """The virial of messages lacks what pairs beyond the neighbors owe to it, or counts pairs of ghosts twice."""
    bench.check("messages", bench.structures("box", "triclinic"), ["energy", "virial"])


@standard_test("virial", "asymmetric virials")
def check_virial_of_nine_components(bench: Bench) -> None:
    """The virial of a field, which is not symmetric, was transposed or made symmetric.

    Component [a, b] is the sum of r_a F_b.  An engine that has six components leaves this test out.  The model uses
    positions and the cell directly, too, so the contribution of these to the strain may be missing.
    """
    bench.check("field", bench.structures("box"), ["energy", "virial"])


@standard_test("virial", "direct predictions")
def check_direct_stress(bench: Bench) -> None:
    """Direct stress is not given when it is asked for, or becomes a virial with a wrong volume."""
    structures = bench.structures("box", "other box")
    answers = bench.ask("many outputs", structures, ["energy", "virial"], options={"non_conservative": "stress"})
    expected = {name: bench.outputs_of(structure)["virial"] for name, structure in structures.items()}
    bench.fail(
        [
            bench.difference("virial", answer.virial, expected[name], len(structures[name].types))
            for name, answer in zip(structures, answers, strict=True)
        ]
    )


@standard_test("virial", "free boundaries")
def check_virial_without_periodicity(bench: Bench) -> None:
    """The virial of a molecule is missing or wrong: it needs neither a cell nor a volume.

    An engine that gives stress alone, which is not defined here, leaves this test out.
    """
    answers = bench.check("two lists", bench.structures("molecule", "wire"), ["energy", "virial"])
    bench.fail(
        [
            "expected a finite virial, got another"
            for answer in answers
            if not np.isfinite(np.asarray(answer.virial)).all()
        ]
    )
