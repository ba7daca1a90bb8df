"""TorchANI: ANI models, in the file that TorchANI itself keeps of a published one, or saved whole by ``torch.save``.

Energies are in eV, by TorchANI's own factor. Reference energies are of thousands of eV, of which float32 leaves a tenth
of a meV: float64 is the default, and with float32 energies have the rounding that they have in TorchANI.
"""

import copy
import math
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

import torch

from metatomic_core import ModelCapabilities, ModelMetadata, ModelOutput
from metatomic_importers import Contents, Family, Imported, Request, Tolerances
from metatomic_importers.contents import contents_of
from metatomic_importers.family import ROUNDING
from metatomic_importers.species import chosen_types

from ._torchani_network import Ani, Features, Networks, OfAll, OfElements, pair_term_class

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator


class Published(NamedTuple):
    """A published model: the file that TorchANI keeps of it, and its reference."""

    file: str
    reference: str


_TORCHANI_2 = "doi:10.1021/acs.jcim.5c01853"
# by the names of the functions that make them
PUBLISHED = {
    "ANI1x": Published("ani1x_state_dict.pt", "doi:10.1063/1.5023802"),
    "ANI1ccx": Published("ani1ccx_state_dict.pt", "doi:10.1038/s41467-019-10827-4"),
    "ANI2x": Published("ani2x_state_dict.pt", "doi:10.1021/acs.jctc.0c00121"),
    "ANI2xr": Published("ani2xr.pt", _TORCHANI_2),
    "ANI2dr": Published("ani2dr.pt", _TORCHANI_2),
    "SnnANI2xr": Published("snn-ani2xr.pt", _TORCHANI_2),
    "ANI1xnr": Published("ani1xnr.pt", "doi:10.1038/s41557-023-01427-3"),
}
# Pair potentials of TorchANI: in how many steps of their cutoff an atom has an effect, and what they are described in.
# The coefficients of D3 depend on the neighbors of both atoms.
_POTENTIALS: dict[str, tuple[int, tuple[str, ...]]] = {
    "RepulsionXTB": (1, ("doi:10.1021/acs.jctc.8b01176",)),
    "TwoBodyDispersionD3": (2, ("doi:10.1063/1.3382344", "doi:10.1002/jcc.21759")),
    "RepulsionZBL": (1, ()),
    "RepulsionLJ": (1, ()),
    "DispersionLJ": (1, ()),
    "LennardJones": (1, ()),
    "FixedCoulomb": (1, ()),
    "FixedMNOK": (1, ()),
}
_SAVE_WHOLE = "save the model whole, with `torch.save(model, 'model.pt')`, and import that"


def recognises(contents: Contents) -> bool:
    """Tell whether a file is of TorchANI: whole models, compiled ones, and the parameters of either."""
    if contents.has_module("torchani"):
        return True
    if contents.is_torchscript():
        return any(entry.startswith("code/__torch__/torchani/") for entry in contents.entries)
    of_parts = ("aev_computer.", "neural_networks.", "potentials.nnp.")
    return "energy_shifter.self_energies" in contents.names and any(
        name.startswith(of_parts) for name in contents.names
    )


def shipped() -> Mapping[str, Path]:
    """Give the published models that TorchANI has downloaded before."""
    _import_package()
    import torchani.paths

    # not `state_dicts_dir()`, which makes the folder
    folder = torchani.paths.data_dir() / "StateDicts"
    files = {name: folder / published.file for name, published in PUBLISHED.items()}
    return {name: file for name, file in files.items() if file.is_file()}


def read(request: Request) -> Imported:
    """Read a model; see `Family`."""
    _import_package()
    import ase.units

    model, name = _loaded(request)
    _check(model)
    model = model.requires_grad_(requires_grad=False).eval()
    # the plainest ways: results are the same, and need no compiled extension
    model.set_strategy("pyaev")
    model.periodic_table_index = True
    numbers = [int(number) for number in model.atomic_numbers]
    types = chosen_types(numbers, request.species)
    module = _network(copy.deepcopy(model).to(getattr(torch, request.dtype)), numbers, ase.units.Hartree)
    ranges = [model.potentials["nnp"].cutoff]
    references = ["doi:10.1039/C6SC05720A"]
    for potential in _pair_potentials(model).values():
        steps, described = _POTENTIALS[type(potential).__name__]
        ranges.append(steps * potential.cutoff)
        references += described
    outputs = {"energy": ModelOutput(unit="eV", sample_kind="atom")}
    if len(model) > 1:
        outputs["energy_ensemble"] = ModelOutput(
            unit="eV", sample_kind="atom", description="energies of the members of the ensemble"
        )
        outputs["energy_uncertainty"] = ModelOutput(
            unit="eV", sample_kind="atom", description="standard deviation of the members of the ensemble"
        )
    return Imported(
        module=module,
        metadata=ModelMetadata(
            name=name,
            description=f"{name}, {len(model)} networks for each element" if len(model) > 1 else name,
            references={
                "implementation": [_TORCHANI_2, "doi:10.1021/acs.jcim.0c00451"],
                "architecture": references,
                "model": [PUBLISHED[name].reference] if name in PUBLISHED else [],
            },
        ),
        capabilities=ModelCapabilities(
            outputs=outputs,
            atomic_types=types,
            interaction_range=max(ranges),
            length_unit="angstrom",
            supported_devices=["cuda", "cpu"],
            dtype=request.dtype,
        ),
        calculator=lambda: _own_calculator(copy.deepcopy(model).double()),
        tolerances=_tolerances(request.dtype, module.self_energies[module.table[types]]),
    )


def _import_package() -> None:
    with warnings.catch_warnings():
        # of extensions that are not compiled, and not needed here
        warnings.filterwarnings("ignore", message="The extensions:")
        import torchani.csrc  # noqa: F401


def _loaded(request: Request) -> tuple[Any, str]:
    """Load a model, and give its name."""
    contents = contents_of(request.checkpoint)
    got = f"got '{request.name}'"
    if contents.is_torchscript():
        raise ValueError(f"expected a model of torchani in Python, {got}, which is a compiled one; {_SAVE_WHOLE}")
    if contents.has_module("torchani"):
        try:
            model = torch.load(request.checkpoint, map_location="cpu", weights_only=False)
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(
                f"expected a model that this version of torchani loads, {got}: {reason}; save it with this one"
            ) from error
        return model, request.checkpoint.stem
    names = [name for name, published in PUBLISHED.items() if published.file == request.checkpoint.name]
    if not names:
        files = ", ".join(published.file for published in PUBLISHED.values())
        raise ValueError(
            f"expected a whole model, or a published one ({files}), {got}, which has parameters alone; {_SAVE_WHOLE}"
        )
    import torchani.models

    def parameters(*_: object, **__: object) -> OrderedDict[str, torch.Tensor]:
        return OrderedDict(torch.load(request.checkpoint, map_location="cpu", weights_only=True))

    try:
        # its functions make a model and then look for the parameters, in places that need not be where the file is
        with mock.patch.object(torchani.models, "_fetch_state_dict", parameters):
            return getattr(torchani.models, names[0])(), names[0]
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"expected the parameters of {names[0]}, {got}, which has others: {reason}") from error


def _pair_potentials(model: Any) -> dict[str, Any]:
    """Give the pair potentials that are not switched off, by name."""
    return {name: each for name, each in model.potentials.items() if name != "nnp" and each._enabled}  # noqa: SLF001


def _check(model: Any) -> None:
    """Check that all of a model is known."""
    from torchani.aev import AEVComputer, ANIAngular, ANIRadial
    from torchani.arch import ANI, ANIq
    from torchani.potentials import NNPotential
    from torchani.sae import SelfEnergy

    if isinstance(model, ANIq):
        raise ValueError(
            "expected a model of energies, got one with networks for charges, ANIq, which are not imported; "
            "make a model of its energies alone"
        )
    _check_type(model, ANI, "a model of the class ANI, as the Assembler of torchani makes it")
    network = model.potentials["nnp"]
    _check_type(network, NNPotential, "a potential NNPotential")
    _check_type(network.aev_computer, AEVComputer, "features AEVComputer")
    _check_type(network.aev_computer.radial, ANIRadial, "radial terms ANIRadial")
    _check_type(network.aev_computer.angular, ANIAngular, "angular terms ANIAngular")
    _check_type(model.energy_shifter, SelfEnergy, "self energies SelfEnergy")
    if not network._enabled:  # noqa: SLF001
        raise ValueError("expected a model whose networks are on, got one without; call `set_enabled('nnp')` first")
    potentials = _pair_potentials(model)
    for name, potential in potentials.items():
        if type(potential).__name__ not in _POTENTIALS or not _is_of_torchani(potential):
            raise ValueError(
                f"expected potentials among {', '.join(_POTENTIALS)}, got {type(potential).__name__} for '{name}'; "
                f"leave it out with `set_enabled('{name}', False)`"
            )
        if not math.isfinite(potential.cutoff):
            raise ValueError(
                f"expected potentials with a cutoff, got none for '{name}'; make the model with one, "
                "such as `repulsion_cutoff=True` of `simple_ani`"
            )
    terms = [network.aev_computer.radial, network.aev_computer.angular, *potentials.values()]
    for function in [term.cutoff_fn for term in terms]:
        if not _is_of_torchani(function):
            raise ValueError(f"expected a cutoff function of torchani, got {type(function).__name__}")


def _is_of_torchani(module: object) -> bool:
    return type(module).__module__.partition(".")[0] == "torchani"


def _check_type(found: object, expected: type, what: str) -> None:
    # not a class that is made from it, which may do something else
    if type(found) is not expected:
        raise ValueError(f"expected {what}, got {type(found).__name__}, which is not imported")


def _network(model: Any, numbers: list[int], hartree: float) -> Ani:
    """Put a model together, of the parts of one of TorchANI."""
    computer = model.potentials["nnp"].aev_computer
    term = pair_term_class()
    shift = model.energy_shifter
    # its factor would be rounded otherwise
    self_energies = (hartree * shift.self_energies.double()).to(shift.self_energies)
    if not shift._enabled:  # noqa: SLF001
        self_energies = torch.zeros_like(self_energies)
    return Ani(
        numbers,
        Features(computer.radial, computer.angular, computer.triu_index),
        _members(model.potentials["nnp"].neural_networks),
        [term(potential) for potential in _pair_potentials(model).values()],
        self_energies,
        hartree,
    ).eval()


def _members(container: Any) -> torch.nn.Module:
    """Give the networks of all members that are on."""
    from torchani.nn import ANIModel, ANINetworks, ANISharedNetworks, AtomicNetwork, Ensemble, SingleNN

    members = [container]
    if type(container) is Ensemble:
        members = [container.members[k] for k in container.active_members_idxs]
    kinds = {type(member) for member in members}
    known = {ANINetworks: "separate", ANIModel: "separate", ANISharedNetworks: "shared", SingleNN: "single"}
    kind = known.get(kinds.pop(), "") if len(kinds) == 1 else ""
    if not kind:
        names = ", ".join(sorted({type(member).__name__ for member in members}))
        raise ValueError(
            f"expected networks ANINetworks, ANISharedNetworks or SingleNN, of one kind for all members, got {names}; "
            "save the model before `to_infer_model`"
        )

    def stacked(networks: list[Any], *, shares_input: bool, is_inner: bool = False) -> Networks:
        for network in networks:
            _check_type(network, AtomicNetwork, "networks AtomicNetwork")
        sizes = {tuple(layer.weight.shape for layer in [*each.layers, each.final_layer]) for each in networks}
        activations = {str(network.activation) for network in networks}
        if len(sizes) > 1 or len(activations) > 1:
            raise ValueError("expected members with the same layers, got different ones; import them one by one")
        return Networks(networks, shares_input=shares_input, is_inner=is_inner)

    if kind == "single":
        embeddings = torch.stack([_embedding(member) for member in members])
        return OfAll(stacked([each.network for each in members], shares_input=embeddings.size(2) == 0), embeddings)
    symbols = list(members[0].atomics)
    if any(list(member.atomics) != symbols for member in members):
        raise ValueError("expected members with the same elements in the same order, got different ones")
    shared = stacked([each.shared for each in members], shares_input=True, is_inner=True) if kind == "shared" else None
    networks = [
        stacked([member.atomics[symbol] for member in members], shares_input=shared is None) for symbol in symbols
    ]
    if any(member.atomics[symbol].final_layer.out_features != 1 for member in members for symbol in symbols):
        raise ValueError(
            "expected networks that give energies, got some that give more values; import a model of energies"
        )
    return OfElements(networks, len(members), shared)


def _embedding(member: Any) -> torch.Tensor:
    """Give what a network for all elements gets of each of them, (n_species, n)."""
    species = torch.arange(member.num_species)
    weights = member.network.final_layer.weight
    return member.embed(species).detach() if member.do_embedding else weights.new_zeros(len(species), 0)


def _tolerances(dtype: str, self_energies: torch.Tensor) -> Tolerances:
    """Allow for the rounding of energies that large."""
    found = ROUNDING[dtype]
    largest = float(self_energies.abs().max())
    epsilon = torch.finfo(getattr(torch, dtype)).eps
    return Tolerances(found.energy + epsilon * largest, found.forces, found.stress)


def _own_calculator(model: Any) -> "Calculator":
    """Give TorchANI's calculator; stress in the form that ASE takes without a warning."""
    from ase.stress import full_3x3_to_voigt_6_stress
    from torchani.ase import Calculator

    class TorchANICalculator(Calculator):  # type: ignore[misc]
        def calculate(self, *arguments: Any, **options: Any) -> None:
            super().calculate(*arguments, **options)
            if "stress" in self.results:
                self.results["stress"] = full_3x3_to_voigt_6_stress(self.results["stress"])

    return TorchANICalculator(model)


FAMILY = Family(
    name="torchani",
    description="ANI models: ANI-1x, ANI-1ccx, ANI-2x and others that TorchANI has downloaded, or a model saved whole",
    requirements=("torchani>=2.9,<3",),
    read=read,
    recognises=recognises,
    shipped=shipped,
    dtypes=("float64", "float32"),
)
