"""``metatomic compare``: several models on one set of structures."""

import collections
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metatomic_core.adapters.configuration import ConfigurableCommand
from metatomic_core.adapters.console import columns, print_table

from ._study import RESUME_HELP, Study, output_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    import ase

    from metatomic_ase import MetatomicCalculator
    from metatomic_ase.properties.comparison import Errors

_EPILOG = f"""Errors are those of energies per atom, of components of forces, and of components of stress.  They are
against the values in STRUCTURES, if it has energies, or against the first model.  Structures with species that a model
does not know are left out for this model, and counted.

Files: PREFIX.json (errors and numbers), PREFIX.NAME.extxyz for each model (its results), and the picture, each number
of a model against that of the reference.

{RESUME_HELP}

\b
Examples:
  metatomic compare silicon.pt dataset.extxyz
  metatomic compare first.pt second.pt dataset.extxyz --shift species --picture png
  metatomic compare large.pt small.pt run.traj --reference first --index ::10"""


@click.command(cls=ConfigurableCommand, epilog=_EPILOG)
@click.argument("models", nargs=-1, metavar="MODEL...")
@click.argument("structures")
@click.option(
    "--reference",
    type=click.Choice(["auto", "file", "first"]),
    default="auto",
    show_default=True,
    help="What errors are against: values in STRUCTURES, or the first model; auto: those if there are any.",
)
@click.option(
    "--shift",
    type=click.Choice(["none", "mean", "species"]),
    default="none",
    show_default=True,
    help="What of energies is no error: nothing, the same for each atom, or for each atom of a species.",
)
@output_options("compare", index=":")
def compare(**given: Any) -> None:
    """Compare one MODEL or several on STRUCTURES.

    STRUCTURES is a file of any format that ASE reads.
    """
    from ._structures import read_structures

    _check_arguments(given["models"], given["structures"])
    labels = _labels(given["models"])
    study = Study("compare", given, (".json", *(f".{label}.extxyz" for label in labels)))
    images = read_structures(given["structures"], given["file_format"], given["index"])
    of_file = _has_reference(given, images)
    computed, missing, origins, calculators = {}, {}, {}, []
    for label, model in zip(labels, given["models"], strict=True):
        calc = study.calculator(model)
        origins[label] = study.origin(model, calc)
        computed[label], missing[label] = _compute(study, calc, label, images, origins[label])
        calculators.append(calc)
    reference = dict(enumerate(images)) if of_file else computed[labels[0]]
    names = labels if of_file else labels[1:]
    found = {name: _errors(reference, computed[name], given["shift"]) for name in names}
    data = {
        "reference": given["structures"] if of_file else labels[0],
        "shift": given["shift"],
        "n_structures": len(images),
        "models": {
            label: {
                "origin": origins[label],
                "n_computed": len(computed[label]),
                "not_computed": {str(number): reason for number, reason in missing[label].items()},
                "errors": _data(found.get(label, {})),
            }
            for label in labels
        },
    }
    _add_common(data, reference, {name: computed[name] for name in names}, given["shift"])
    for label in labels:
        study.write_structures(list(computed[label].values()), origins[label], f".{label}.extxyz")
    _draw(study, found)
    study.write_json(data)
    study.finish(data, lambda: _report(data, study), *calculators)


def _check_arguments(models: "Sequence[str]", structures: str) -> None:
    """Check that models come first, and structures last."""
    from metatomic_core import read_model_metadata

    if not models:
        raise click.UsageError(f"expected MODEL, one or several, and STRUCTURES after them, got '{structures}' alone")
    try:
        read_model_metadata(structures)
    except (OSError, ValueError):
        return
    raise click.UsageError(f"expected STRUCTURES after the models, got '{structures}', which is a model")


def _add_common(
    data: dict[str, Any], reference: "dict[int, ase.Atoms]", computed: "dict[str, dict[int, ase.Atoms]]", shift: str
) -> None:
    """Add errors on the structures that all models know, if these are not all that some model knows."""
    common = set(reference).intersection(*computed.values())
    if all(len(one) == len(common) for one in computed.values()):
        return
    data["n_common"] = len(common)
    for name, one in computed.items():
        shared = _errors({number: reference[number] for number in common}, one, shift)
        data["models"][name]["errors_on_common"] = _data(shared)


def _labels(models: "Sequence[str]") -> list[str]:
    """Give names of models, from those of their files, each one once."""
    names = [Path(model).stem for model in models]
    counts = collections.Counter(names)
    labels = [name if counts[name] == 1 else f"{name}-{number}" for number, name in enumerate(names, start=1)]
    # a file may be named as a number makes of another
    return labels if len(set(labels)) == len(labels) else [f"{name}-{k}" for k, name in enumerate(names, start=1)]


def _has_reference(given: dict[str, Any], images: "Sequence[ase.Atoms]") -> bool:
    """Tell whether errors are against values of the file.

    Raises
    ------
    ValueError
        If there is nothing to compare with.
    """
    from metatomic_ase.properties.comparison import stored_results

    stored = ["energy" in stored_results(atoms) for atoms in images]
    if given["reference"] == "file" and not all(stored):
        raise ValueError(
            f"expected energies in all structures of '{given['structures']}' for `--reference` file, got none in "
            f"structure {stored.index(False)}"
        )
    of_file = given["reference"] == "file" or (given["reference"] == "auto" and all(stored))
    if not of_file and len(given["models"]) < 2:
        raise ValueError(
            f"expected two models at least, or energies in '{given['structures']}' to compare with, got one model"
        )
    return of_file


def _compute(
    study: Study, calc: "MetatomicCalculator", label: str, images: "Sequence[ase.Atoms]", origin: dict[str, Any]
) -> "tuple[dict[int, ase.Atoms], dict[int, str]]":
    """Give the structures that a model can compute, with its results, and the reasons for others."""
    from metatomic_ase.properties.comparison import known_structures

    can, missing = known_structures(images, calc)
    if not can:
        reasons = ", ".join(sorted(set(missing.values())))
        raise ValueError(f"expected structures that the model '{label}' knows, got none: {reasons}")
    chosen = [images[number] for number in can]
    settings = study.settings(origin, *chosen)
    return dict(zip(can, study.computed(chosen, calc, settings, f"{label}:", label), strict=True)), missing


def _errors(reference: "dict[int, ase.Atoms]", predicted: "dict[int, ase.Atoms]", shift: str) -> "dict[str, Errors]":
    from metatomic_ase.properties import comparison

    return comparison.compare(reference, predicted, shift=shift)


def _data(found: "dict[str, Errors]") -> dict[str, Any]:
    from metatomic_ase.properties.comparison import QUANTITIES

    return {
        quantity.name: {
            "unit": quantity.unit,
            "n": len(errors.reference),
            "mean_absolute": errors.mean_absolute,
            "root_mean_square": errors.root_mean_square,
            "largest": errors.largest,
            "worst_structure": errors.worst,
        }
        for quantity in QUANTITIES
        if (errors := found.get(quantity.name)) is not None
    }


def _draw(study: Study, found: "dict[str, dict[str, Errors]]") -> None:
    from ._pictures import parity

    study.draw(lambda: parity(found))


def _report(data: dict[str, Any], study: Study) -> None:
    from metatomic_ase.properties.comparison import QUANTITIES

    for part, title in (("errors", ""), ("errors_on_common", f" on the {data.get('n_common')} that all models know")):
        rows = [
            (label, f"{one.label} [{one.unit}]", model[part][one.name])
            for label, model in data["models"].items()
            for one in QUANTITIES
            if one.name in model.get(part, {})
        ]
        if not rows:
            continue
        table = columns("model", "error of", "MAE", "RMSE", "largest", "in structure", title=f"errors{title}")
        for label, quantity, one in rows:
            numbers = (f"{one[name]:.4g}" for name in ("mean_absolute", "root_mean_square", "largest"))
            table.add_row(label, quantity, *numbers, str(one["worst_structure"]))
        print_table(table)
    table = columns()
    table.add_row("against", data["reference"])
    for label, model in data["models"].items():
        text = f"{model['n_computed']} of {data['n_structures']} structures"
        reasons = collections.Counter(model["not_computed"].values())
        text += "".join(f"; not {count} with {reason}" for reason, count in reasons.items())
        table.add_row(label, text)
    table.add_row("written", study.written())
    print_table(table)
