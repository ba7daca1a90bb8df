"""Forces."""

from metatomic_core.testing.bench import Bench
from metatomic_core.testing.contract import standard_test


@standard_test("forces")
def check_forces(bench: Bench) -> None:
    """Forces are not the negative gradient of the energy.

    All of the wrong sign: the gradient was taken for the force, or pair vectors go from second to first atoms.
    Some too small: forces on images are not added to the atoms that they are images of.  A factor: a unit.
    """
    bench.check("two lists", bench.structures("box", "no pairs"))


@standard_test("forces")
def check_forces_of_messages(bench: Bench) -> None:
    """Forces on ghost atoms are lost: energies are right, as each atom has its own, but gradients cross domains.

    The forces on ghosts have to be sent back to the atoms that they are copies of (newton pair on, reverse
    communication), all of them, and once.
    """
    bench.check("messages", bench.structures("box", "triclinic"))


@standard_test("forces")
def check_order_of_atoms(bench: Bench) -> None:
    """Forces come in another order than atoms were given: the same structure with its atoms in another order.

    Engines sort atoms in space, or by species, and give results in their own order: undo it.
    """
    structures = bench.structures("box")
    structure = structures["box"]
    order = [(5 * i + 3) % len(structure.types) for i in range(len(structure.types))]
    structure.types, structure.positions = structure.types[order], structure.positions[order]
    bench.check("two lists", structures)


@standard_test("forces", "direct predictions")
def check_direct_forces(bench: Bench) -> None:
    """Direct predictions of forces are not given when they are asked for, or their mean is not removed.

    The mean over all atoms of a structure is subtracted, once: over domains, batches or beads it is another one.
    """
    structures = bench.structures("box", "other box")
    answers = bench.ask("many outputs", structures, options={"non_conservative": "forces"})
    expected = {name: bench.outputs_of(structure)["forces"] for name, structure in structures.items()}
    bench.fail(
        [
            bench.difference("forces", answer.forces, expected[name])
            for name, answer in zip(structures, answers, strict=True)
        ]
    )


@standard_test("forces", "direct predictions")
def check_gradient_by_default(bench: Bench) -> None:
    """Forces are direct predictions of the model although nobody asked for them.

    They are no derivatives of the energy, and energy is not conserved: the default is the gradient.
    """
    bench.check("many outputs", bench.structures("box"))
