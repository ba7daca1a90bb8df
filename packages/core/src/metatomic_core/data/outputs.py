"""What can be asked of a model: `ModelOutput` and `ModelEvaluationOptions`."""

from typing import Dict, List, Optional

import torch
from metatensor.torch import Labels

from metatomic_core.foundation.checks import check_type
from metatomic_core.foundation.torchscript import script_class
from metatomic_core.units import check_unit

from .checks import check_output, check_selected_atoms, warn_older
from .quantities import check_quantity_name


class ModelOutput:
    """One quantity that a model gives, or an engine asks for; also one that a model needs as input.

    Parameters
    ----------
    quantity
        Deprecated: name of the physical quantity, for models written for older interfaces.
    unit
        Unit of the values; empty for none.
    sample_kind
        "system", "atom" or "atom_pair": what the values are given for.  In the capabilities of a model it is the
        finest kind that the model can give.  True and False are read as ``per_atom``.
    explicit_gradients
        Gradients that the model returns with the values: "positions", "strain".
    description
        What distinguishes this output from its variants.
    per_atom
        Deprecated: ``sample_kind="atom"`` or ``"system"``.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If the unit does not parse, or is not a unit of the quantity; if the sample kind is unknown; if both
        ``sample_kind`` and ``per_atom`` are given.

    Warns
    -----
    DeprecationWarning
        If there is a ``quantity``, or ``per_atom`` is given, read or set.
    """

    def __init__(
        self,
        quantity: str = "",
        unit: str = "",
        sample_kind: Optional[str] = None,
        explicit_gradients: Optional[List[str]] = None,
        description: str = "",
        per_atom: Optional[bool] = None,
    ):
        if not torch.jit.is_scripting():
            if isinstance(sample_kind, bool):
                if per_atom is not None:
                    raise ValueError("expected one of `sample_kind` and `per_atom`, got both")
                sample_kind, per_atom = None, sample_kind
            check_output(quantity, unit, sample_kind, explicit_gradients, description, per_atom)
        if sample_kind is not None and per_atom is not None:
            raise ValueError("expected one of `sample_kind` and `per_atom`, got both")
        if not torch.jit.is_scripting():
            if quantity != "":
                warn_older("quantity", "the name of the output alone")
            if per_atom is not None:
                warn_older("per_atom", '`sample_kind="atom"` or `sample_kind="system"`')
        kind = "system"
        if sample_kind is not None:
            kind = sample_kind
        elif per_atom is not None and per_atom:
            kind = "atom"
        gradients: List[str] = []
        if explicit_gradients is not None:
            gradients = [g for g in explicit_gradients]  # noqa: C416 (`list()` of an Optional does not script)
        self._quantity = quantity
        self._unit = unit
        self._sample_kind = kind
        self._explicit_gradients = gradients
        self._description = description

    @property
    def quantity(self) -> str:
        """Name of the physical quantity, or empty."""
        return self._quantity

    @quantity.setter
    def quantity(self, value: str) -> None:
        if not torch.jit.is_scripting():
            check_output(value, self._unit, self._sample_kind, None, "", None)
            warn_older("quantity", "the name of the output alone")
        self._quantity = value

    @property
    def unit(self) -> str:
        """Unit of the values; empty for none."""
        return self._unit

    @unit.setter
    def unit(self, value: str) -> None:
        if not torch.jit.is_scripting():
            check_output(self._quantity, value, self._sample_kind, None, "", None)
        self._unit = value

    @property
    def sample_kind(self) -> str:
        """What the values are given for, "system", "atom" or "atom_pair"."""
        return self._sample_kind

    @sample_kind.setter
    def sample_kind(self, value: str) -> None:
        if not torch.jit.is_scripting():
            check_output("", "", value, None, "", None)
        self._sample_kind = value

    @property
    def per_atom(self) -> bool:
        """True for values per atom, False for values per system; refused for atom pairs.

        Raises
        ------
        ValueError
            If the values are for pairs of atoms.
        """
        if not torch.jit.is_scripting():
            warn_older("per_atom", "`sample_kind`")
        if self._sample_kind == "atom_pair":
            raise ValueError("expected `per_atom` of values per system or atom, got 'atom_pair'; use `sample_kind`")
        return self._sample_kind == "atom"

    @per_atom.setter
    def per_atom(self, value: bool) -> None:
        if not torch.jit.is_scripting():
            check_output("", "", None, None, "", value)
            warn_older("per_atom", "`sample_kind`")
        self._sample_kind = "atom" if value else "system"

    @property
    def explicit_gradients(self) -> List[str]:
        """Gradients that come with the values."""
        return self._explicit_gradients

    @explicit_gradients.setter
    def explicit_gradients(self, value: List[str]) -> None:
        if not torch.jit.is_scripting():
            check_output("", "", None, value, "", None)
        self._explicit_gradients = value

    @property
    def description(self) -> str:
        """What distinguishes this output from its variants."""
        return self._description

    @description.setter
    def description(self, value: str) -> None:
        if not torch.jit.is_scripting():
            check_output("", "", None, None, value, None)
        self._description = value

    @torch.jit.unused
    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelOutput) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    @torch.jit.unused
    def __repr__(self) -> str:
        parts = [f"unit={self._unit!r}", f"sample_kind={self._sample_kind!r}"]
        if self._quantity:
            parts.insert(0, f"quantity={self._quantity!r}")
        if self._explicit_gradients:
            parts.append(f"explicit_gradients={self._explicit_gradients!r}")
        if self._description:
            parts.append(f"description={self._description!r}")
        return f"ModelOutput({', '.join(parts)})"


class ModelEvaluationOptions:
    """What an engine asks of a model in one evaluation.

    Parameters
    ----------
    length_unit
        Length unit of the engine: of positions, cells and neighbor vectors in the systems.
    outputs
        What to compute, by name, each with the unit that the engine wants.
    selected_atoms
        Labels with the dimensions ``system`` and ``atom``: compute the outputs of these atoms only; None for all.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If the unit is not a length, an output name is not valid, or the labels have other dimensions.
    """

    def __init__(
        self,
        length_unit: str = "",
        outputs: Optional[Dict[str, ModelOutput]] = None,
        selected_atoms: Optional[Labels] = None,
    ):
        self._length_unit = length_unit
        self._outputs: Dict[str, ModelOutput] = {}
        if outputs is not None:
            self._outputs = outputs
        self._selected_atoms: Optional[Labels] = selected_atoms
        if not torch.jit.is_scripting():
            check_unit("length_unit", length_unit, "length")
            check_output_names(self._outputs)
            check_selected_atoms(selected_atoms)

    @property
    def length_unit(self) -> str:
        """Length unit of the engine."""
        return self._length_unit

    @length_unit.setter
    def length_unit(self, value: str) -> None:
        if not torch.jit.is_scripting():
            check_unit("length_unit", value, "length")
        self._length_unit = value

    @property
    def outputs(self) -> Dict[str, ModelOutput]:
        """What to compute, by name."""
        return self._outputs

    @outputs.setter
    def outputs(self, value: Dict[str, ModelOutput]) -> None:
        if not torch.jit.is_scripting():
            check_output_names(value)
        self._outputs = value

    @property
    def selected_atoms(self) -> Optional[Labels]:
        """Atoms to compute the outputs for; None for all."""
        return self._selected_atoms

    @selected_atoms.setter
    def selected_atoms(self, value: Optional[Labels]) -> None:
        if not torch.jit.is_scripting():
            check_selected_atoms(value)
        self._selected_atoms = value

    @torch.jit.unused
    def __repr__(self) -> str:
        return (
            f"ModelEvaluationOptions(length_unit={self._length_unit!r}, outputs={self._outputs!r}, "
            f"selected_atoms={self._selected_atoms!r})"
        )


script_class(ModelOutput)


def check_output_names(outputs: Dict[str, ModelOutput]) -> None:
    """Check that outputs are a dictionary from valid names to `ModelOutput`."""
    check_type("outputs", outputs, dict, "a dictionary")
    for name, output in outputs.items():
        check_type("outputs", name, str, "a dictionary with string keys")
        if not isinstance(output, ModelOutput):
            raise TypeError(f"expected a ModelOutput for output '{name}', got {type(output).__name__}")
        check_quantity_name(name, "output")


script_class(ModelEvaluationOptions)
