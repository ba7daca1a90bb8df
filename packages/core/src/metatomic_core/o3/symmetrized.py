"""`SymmetrizedModel`: a model whose outputs are averages over rotations and inversion, with their variances."""

import torch

from metatomic_core.combining.inside import Inside, inside_of, with_note
from metatomic_core.data.capabilities import ModelCapabilities
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.quantities import base_quantity, standard_quantities
from metatomic_core.foundation.checks import check_type
from metatomic_core.model.atomistic_model import AtomisticModel

from .averages import PROJECTION, VARIANCE, AveragedOverO3
from .quadrature import rotation_grid
from .transformations import O3Transformations

# Degree of the grid where nobody chooses one: what a message-passing model breaks of a symmetry is beyond vectors.
_SMALLEST_DEGREE = 3


class SymmetrizedModel:
    """Models averaged over rotations and inversion; `wrap` makes them."""

    @staticmethod
    def wrap(
        model: AtomisticModel,
        *,
        max_angular_momentum_target: int | None = None,
        max_angular_momentum_input: int | None = None,
        max_angular_momentum_character: int | None = None,
        max_angular_momentum_grid: int | None = None,
        batch_size: int = 32,
        include_inversion: bool = True,
    ) -> AtomisticModel:
        """Average a model over rotations and inversion.

        Each output keeps its name and is the average over turned copies of the system, turned back: scalars, vectors,
        Cartesian and spherical tensors by the names of their components, see `O3Transformations`; others are averaged
        as they are.  Forces and stress of the energy are its derivatives, as of any model.  ``o3::variance::<name>`` is
        the variance over the copies, the mean over components, in the square of the unit; its square root is a
        standard deviation: zero, up to rounding, for a model that has the symmetry.

        Parameters
        ----------
        model
            The model, made in Python or loaded.
        max_angular_momentum_target
            Highest degree of spherical tensors among outputs; None for that of standard quantities.
        max_angular_momentum_input
            The same for inputs.
        max_angular_momentum_character
            Highest degree l of projections on characters, which are then the outputs
            ``o3::character_projection::<name>``: the mean square, over rotations and inversion, of that part of the
            output which changes as the representation "chi_lambda" (l) and "chi_sigma" (parity over (-1)^l) when the
            system turns, a block for each; outputs as the model gives them, not turned back, each component by itself.
            None for none of them.
        max_angular_momentum_grid
            Degree up to which averages are exact, see `rotation_grid`; None for twice that of outputs and one more, but
            at least 3, and at least twice that of characters.
        batch_size
            Number of turned systems in one call of the model.  With gradients, all of them stay in memory anyway.
        include_inversion
            Whether to average over inversion, too, which takes twice as many copies.

        Returns
        -------
        AtomisticModel
            The averaged model.

        Raises
        ------
        TypeError
            If an argument is of another type.
        ValueError
            If a number is out of range, or the model is such an average already.
        """
        check_type("batch_size", batch_size, int, "an integer")
        check_type("include_inversion", include_inversion, bool, "True or False")
        if batch_size < 1:
            raise ValueError(f"expected `batch_size` of one or more, got {batch_size}")
        inside = inside_of(model)
        of_outputs = _degree("max_angular_momentum_target", max_angular_momentum_target, inside.outputs)
        of_inputs = _degree("max_angular_momentum_input", max_angular_momentum_input, inside.inputs)
        character = _character(max_angular_momentum_character, max_angular_momentum_grid, include_inversion)
        degree = max_angular_momentum_grid
        if degree is None:
            degree = max(2 * of_outputs + 1, 2 * character, _SMALLEST_DEGREE)
        matrices, weights = rotation_grid(degree)
        note = f"average over {len(matrices)} rotations"
        if include_inversion:
            matrices, weights = torch.cat([matrices, -matrices]), torch.cat([weights, weights]) / 2.0
            note += " with and without inversion"
        transformations = O3Transformations(matrices, max(of_outputs, of_inputs))
        module = AveragedOverO3(
            inside.core,
            inside.lists,
            inside.inputs,
            inside.differentiates,
            transformations,
            weights,
            batch_size,
            character,
        )
        return AtomisticModel(
            module.eval(),
            with_note(inside.metadata, "symmetrized", f"{note}, exact up to degree {degree}", []),
            _capabilities(inside, with_projections=character >= 0),
        )


def _character(given: int | None, of_grid: int | None, include_inversion: bool) -> int:
    """Give the highest degree of projections on characters, -1 for none."""
    if given is None:
        return -1
    argument = "max_angular_momentum_character"
    check_type(argument, given, int, "an integer")
    if given < 0:
        raise ValueError(f"expected `{argument}` of zero or more, got {given}")
    if not include_inversion:
        raise ValueError(f"expected `include_inversion` for `{argument}`, as parts are told apart by parity, got False")
    if of_grid is not None and of_grid < 2 * given:
        raise ValueError(
            f"expected `max_angular_momentum_grid` of at least twice `{argument}`, {2 * given}, got {of_grid}"
        )
    return given


def _degree(argument: str, given: int | None, quantities: dict[str, ModelOutput]) -> int:
    """Give the highest degree of tensors, that of standard quantities if none is given."""
    if given is not None:
        check_type(argument, given, int, "an integer")
        if given < 0:
            raise ValueError(f"expected `{argument}` of zero or more, got {given}")
        return given
    table = standard_quantities()
    # a matrix has as many components as vectors in a vector, and so its degree
    known = [len(table[base_quantity(name)].components) for name in quantities if base_quantity(name) in table]
    return max(known, default=0)


def _capabilities(inside: Inside, with_projections: bool) -> ModelCapabilities:
    """Give the outputs of the model, and the variance of each, and its projections if wanted."""
    outputs: dict[str, ModelOutput] = {}
    for name, output in inside.outputs.items():
        if name.startswith(VARIANCE):
            raise ValueError(f"expected a model that is no average over rotations, got one with the output '{name}'")
        outputs[name] = ModelOutput(
            unit=output.unit, sample_kind=output.sample_kind, description=output.description or "average over rotations"
        )
        outputs[VARIANCE + name] = ModelOutput(
            unit=f"({output.unit})^2" if output.unit else "",
            sample_kind=output.sample_kind,
            description=f"variance of '{name}' over rotations",
        )
        if with_projections:
            outputs[PROJECTION + name] = ModelOutput(
                unit=outputs[VARIANCE + name].unit,
                sample_kind=output.sample_kind,
                description=f"mean squares of the parts of '{name}' that change as each representation",
            )
    known = inside.capabilities
    return ModelCapabilities(
        outputs=outputs,
        atomic_types=list(known.atomic_types),
        interaction_range=known.interaction_range,
        length_unit=known.length_unit,
        supported_devices=list(known.supported_devices),
        dtype=known.dtype,
    )
