"""Outputs besides the energy, and its variants."""

from metatomic_core.testing.bench import Bench
from metatomic_core.testing.contract import standard_test


def _check(bench: Bench, asked: dict[str, str], *names: str, batch: bool = False) -> None:
    """Compare outputs with their formulas, whatever their last dimensions are."""
    structures = bench.structures(*names)
    answers = bench.ask("many outputs", structures, ["energy"], outputs=asked, batch=batch)
    problems = []
    for (name, structure), answer in zip(structures.items(), answers, strict=True):
        expected = bench.outputs_of(structure)
        for output in asked:
            values = answer.outputs[output]
            # a single property may have its dimension or not
            if values.size == expected[output].size and len(values) == len(expected[output]):
                values = values.reshape(expected[output].shape)
            problem = bench.difference(output, values, expected[output])
            problems += [f"{problem}, for '{name}'"] if problem else []
    bench.fail(problems)


@standard_test("outputs")
def check_outputs_of_atoms(bench: Bench) -> None:
    """An output of atoms is in another order, is summed over atoms, or its properties are cut to the first one."""
    _check(bench, {"feature": "atom"}, "box", "triclinic")


@standard_test("outputs")
def check_outputs_of_structures(bench: Bench) -> None:
    """An output of structures, a dipole, is not given, is an average, or its components are in another frame."""
    _check(bench, {"dipole": "system"}, "box", "triclinic")


@standard_test("outputs", "batch")
def check_outputs_of_batch(bench: Bench) -> None:
    """Outputs are matched with structures and atoms by their place, and the samples of the model have another order."""
    _check(bench, {"feature": "atom", "dipole": "system"}, "box", "other box", "triclinic", batch=True)


@standard_test("variants")
def check_variant_of_energy(bench: Bench) -> None:
    """The variant that was asked for is not the one that came: it is the default, or results take others."""
    structures = bench.structures("box")
    results = ["energy", "forces"] if bench.can("forces") else ["energy"]
    answers = bench.ask("many outputs", structures, results, options={"variants": {"energy": "doubled"}})
    oracle = bench.oracle("many outputs", structures["box"])
    n_atoms = len(structures["box"].types)
    problems = [bench.difference("energy", answers[0].energy, 2.0 * oracle.energy(), n_atoms)]
    if "forces" in results:
        problems.append(bench.difference("forces", answers[0].forces, 2.0 * oracle.forces()))
    bench.fail(problems)


@standard_test("variants")
def check_default_variant(bench: Bench) -> None:
    """A variant came although none was asked for: the first or last name that starts with "energy" was taken."""
    bench.check("many outputs", bench.structures("other box"), ["energy"])
