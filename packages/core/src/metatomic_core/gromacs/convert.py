"""Writing a model as a file for GROMACS."""

import json
from pathlib import Path

import torch

from metatomic_core.data.capabilities import ModelCapabilities
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.quantities import base_quantity, canonical_name
from metatomic_core.data.selection import pick_output
from metatomic_core.foundation import torchscript
from metatomic_core.foundation.atomic_write import checked_target, replaced_when_done
from metatomic_core.foundation.elements import SYMBOLS, symbols
from metatomic_core.loading import load_compiled
from metatomic_core.model.loaded import LoadedModel

from .instructions import Report, Use, mdp_lines, notes
from .libraries import SEPARATOR, library_paths
from .module import GromacsModel, GromacsPairsModel

# Names of records in the file: the first one is what GROMACS looks for.
_LIBRARIES_FILE = "extension_libs"
_REPORT_FILE = "metatomic-gromacs.json"
_SUFFIX = ".pt"
_HYDROGEN = 1


def convert(
    source: Path,
    output: Path,
    *,
    pairs: bool = False,
    variant: str | None = None,
    library_directory: str | None = None,
    extensions_directory: str | None = None,
) -> Report:
    """Write a model as a file that GROMACS runs.

    Parameters
    ----------
    source
        Model file.
    output
        File to write, ending in ".pt".
    pairs
        Whether GROMACS shall give the pairs, which its release 2026 can; else the file finds them by itself.
    variant
        Variant of the energy; None for the default one.
    library_directory
        Where the libraries of metatensor, and those that the model needs, are on the machine that runs GROMACS; None
        for where they are here.
    extensions_directory
        Directory with the TorchScript extensions of the model.

    Returns
    -------
    Report
        What was written, and how to use it.

    Raises
    ------
    FileNotFoundError, ValueError
        If the source is no model file; if the model has no energy, several without a default, no units, no
        elements, or wants inputs that GROMACS does not give; if a library has no usable path.
    """
    if output.suffix != _SUFFIX:
        raise ValueError(f"expected a file name that ends in '{_SUFFIX}', which GROMACS wants, got '{output}'")
    path = checked_target(output)
    model = load_compiled(source, extensions_directory)
    energy = _energy_output(model.capabilities(), variant)
    charge = _charge_input(model.requested_inputs())
    libraries = library_paths(model.header.extensions, library_directory)
    types = model.capabilities().atomic_types
    use = Use(
        model_file=str(path.resolve()) if library_directory is None else path.name,
        pairs=pairs,
        cutoff=_largest_cutoff(model, pairs),
        charge=charge != "",
        link_type=_link_type(types),
        knows_hydrogen=_HYDROGEN in types,
    )
    report = _report(model, path, energy, libraries, use)
    module = (GromacsPairsModel if pairs else GromacsModel)(model.script, energy, charge)
    scripted = torchscript.script_module(module.eval())
    extra = {_LIBRARIES_FILE: SEPARATOR.join(libraries), _REPORT_FILE: json.dumps(report.data(), default=str)}
    with replaced_when_done(path) as temporary:
        temporary.write_bytes(torchscript.to_bytes(scripted, extra))
    return report


def _energy_output(capabilities: ModelCapabilities, variant: str | None) -> str:
    outputs = capabilities.outputs
    if "energy" not in {base_quantity(name) for name in outputs}:
        given = ", ".join(sorted({canonical_name(name) for name in outputs})) or "nothing"
        raise ValueError(f"expected a model with the output 'energy', which GROMACS needs, got one that gives {given}")
    name = pick_output("energy", outputs, variant)
    for what, unit in (("length", capabilities.length_unit), (f"'{name}'", outputs[name].unit)):
        if not unit:
            raise ValueError(f"expected a model with a unit of {what}, got none; GROMACS works in nm and kJ/mol")
    return name


def _charge_input(inputs: dict[str, ModelOutput]) -> str:
    """Give the name of the input that is the total charge, or the empty string; refuse all other inputs."""
    charge = ""
    for name, requested in inputs.items():
        if canonical_name(name) != "charge" or requested.sample_kind != "system":
            raise ValueError(
                f"expected a model without inputs, or with the total charge, got one that wants '{name}' for each "
                f"{requested.sample_kind}, which GROMACS does not give"
            )
        charge = name
    return charge


def _link_type(atomic_types: list[int]) -> str:
    """Give the symbol of an element that the model knows."""
    elements = [number for number in atomic_types if 1 <= number <= len(SYMBOLS)]
    if not elements:
        raise ValueError(
            f"expected a model whose types are atomic numbers, which GROMACS gives, got the types {atomic_types}"
        )
    return symbols(elements)[0]


def _largest_cutoff(model: LoadedModel, pairs: bool) -> float:
    cutoffs = [options.engine_cutoff("nm") for options in model.requested_neighbor_lists()]
    if pairs and not cutoffs:
        raise ValueError("expected a model that wants pairs for `--pairs`, got one that does not; leave it out")
    return max(cutoffs, default=0.0)


def _report(model: LoadedModel, path: Path, energy: str, libraries: list[str], use: Use) -> Report:
    unavailable = {canonical_name(name) for name in model.capabilities().outputs} - {canonical_name(energy)}
    return Report(
        file=path,
        model=model.metadata().name,
        energy=energy,
        release=use.release(),
        torch_version=".".join(torch.__version__.split(".")[:2]),
        mdp=mdp_lines(use),
        libraries=libraries,
        unavailable=sorted(unavailable),
        notes=notes(use, sorted(unavailable)),
    )
