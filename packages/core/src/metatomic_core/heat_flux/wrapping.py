"""`HeatFlux`: models with the heat flux among their outputs."""

from metatomic_core.combining.inside import Inside, inside_of, with_note
from metatomic_core.data.capabilities import ModelCapabilities
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.quantities import base_quantity, canonical_name, split_variant
from metatomic_core.model.atomistic_model import AtomisticModel
from metatomic_core.units import unit_conversion_factor

from .flux import WithHeatFlux

_REFERENCES = [
    "https://doi.org/10.1103/PhysRevB.108.L100302",
    "https://doi.org/10.1063/5.0155760",
]


class HeatFlux:
    """Models with the heat flux among their outputs; `wrap` makes them."""

    @staticmethod
    def wrap(model: AtomisticModel) -> AtomisticModel:
        """Add the heat flux to the outputs of a model.

        For each energy per atom, ``energy[/variant]``, there is ``heat_flux[/variant]``: the time derivative of the sum
        of positions times energies, an energy times a velocity, not divided by the volume.  It needs masses and
        velocities, which engines give.  Images of atoms are made explicit as far as the model sees (unfolded cell), so
        that it is exact for messages that pass over several pairs; cells may be small, or open in any direction.

        Parameters
        ----------
        model
            The model, made in Python or loaded.

        Returns
        -------
        AtomisticModel
            A model with all outputs of this one, and heat fluxes.

        Raises
        ------
        TypeError
            If it is no model.
        ValueError
            If it has no energies per atom, has a heat flux, no unit of length or energy, or sees all atoms.
        """
        inside = inside_of(model)
        known = inside.capabilities
        _check(inside)
        energies = {
            "heat_flux" + name[len("energy") :]: name
            for name, output in inside.outputs.items()
            if base_quantity(name) == "energy" and output.sample_kind == "atom"
        }
        if not energies:
            raise ValueError(
                f"expected a model with energies per atom, got one with {', '.join(sorted(inside.outputs)) or 'none'}"
            )
        asked = {canonical_name(name): output.unit for name, output in inside.inputs.items()}
        mass, speed = asked.get("mass", "u"), asked.get("velocity", f"{known.length_unit}/fs")
        moving = {
            name: ModelOutput(unit=unit, sample_kind="atom")
            for name, unit in (("mass", mass), ("velocity", speed))
            if name not in asked
        }
        outputs = {name: _copy(output) for name, output in inside.outputs.items()}
        kinetic = {}
        for name, energy in energies.items():
            unit = inside.outputs[energy].unit
            kinetic[name] = unit_conversion_factor(f"({mass})*({speed})^2", unit, dimension="energy")
            variant = f" of '{energy}'" if split_variant(energy)[1] else ""
            outputs[name] = ModelOutput(
                unit=f"({unit})*({speed})", sample_kind="system", description=f"heat flux{variant}"
            )
        module = WithHeatFlux(
            inside.core, inside.lists, inside.inputs, known.interaction_range, energies, kinetic, moving
        )
        capabilities = ModelCapabilities(
            outputs=outputs,
            atomic_types=list(known.atomic_types),
            interaction_range=known.interaction_range,
            length_unit=known.length_unit,
            supported_devices=list(known.supported_devices),
            dtype=known.dtype,
        )
        note = "of an unfolded cell, see references"
        return AtomisticModel(module.eval(), with_note(inside.metadata, "heat flux", note, _REFERENCES), capabilities)


def _check(inside: Inside) -> None:
    """Refuse models that have no heat flux of this kind."""
    known = inside.capabilities
    for name in inside.outputs:
        if base_quantity(name) == "heat_flux":
            raise ValueError(f"expected a model without heat flux, got one with the output '{name}'")
    if known.length_unit == "" or any(
        output.unit == "" for name, output in inside.outputs.items() if base_quantity(name) == "energy"
    ):
        raise ValueError(
            "expected a model with units of length and energy, which kinetic energies need, got one without"
        )
    if known.interaction_range == float("inf"):
        raise ValueError(
            "expected a model with an interaction range, got one that sees all atoms; its cell can not be unfolded"
        )


def _copy(output: ModelOutput) -> ModelOutput:
    """Give an output without gradients of its own."""
    return ModelOutput(unit=output.unit, sample_kind=output.sample_kind, description=output.description)
