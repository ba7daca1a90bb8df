"""nequip's own calculator, and the state of the process that nequip counts on."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator


def calculator_of(checkpoint: Path, species: dict[str, str]) -> "Calculator":
    """Give nequip's own calculator, of the model as it is in the file."""
    from nequip.integrations import ase

    class NequIPCalculator(ase.NequIPCalculator):  # type: ignore[misc]
        def calculate(self, *arguments: Any, **keywords: Any) -> None:
            with _float64_by_default():
                super().calculate(*arguments, **keywords)

    with state_of_nequip():
        calculator: Calculator = NequIPCalculator._from_saved_model(  # noqa: SLF001  (the public way wants compiled files)
            str(checkpoint), chemical_species_to_atom_type_map={symbol: name for name, symbol in species.items()}
        )
    return calculator


@contextlib.contextmanager
def _float64_by_default() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def state_of_nequip() -> Iterator[None]:
    """Let nequip have the state of the process that it counts on, and give it back."""
    import e3nn
    from lightning.pytorch.utilities.seed import isolate_rng
    from nequip.utils import global_state

    defaults = e3nn.get_optimization_defaults()
    initialized = global_state._GLOBAL_STATE_INITIALIZED  # noqa: SLF001
    strategy = torch.jit.set_fusion_strategy([("DYNAMIC", 10)])
    with isolate_rng(), _float64_by_default():
        try:
            global_state.set_global_state()
            yield
        finally:
            # who uses nequip afterwards needs its state, of which nothing is left
            global_state._GLOBAL_STATE_INITIALIZED = initialized  # noqa: SLF001
            e3nn.set_optimization_defaults(**defaults)
            torch.jit.set_fusion_strategy(strategy)
