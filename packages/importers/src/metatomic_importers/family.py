"""What a family of models is, for those who add one: `Family`, what it is asked for and what it gives.

Nothing here needs the package of any family, nor torch.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from ase.calculators.calculator import Calculator

    from metatomic_core import ModelCapabilities, ModelMetadata

    from .contents import Contents

# Words for the parts of a model with several: what a family calls its own is the option of the command.
PARTS = ("head", "modal", "task")
DTYPES = ("float32", "float64")


@dataclasses.dataclass(frozen=True)
class Request:
    """What to import.

    Attributes
    ----------
    checkpoint
        The file, which exists, and is one of the family.
    name
        What the user called it: a path, or a name in ``Family.shipped``.
    dtype
        "float32" or "float64": what the model computes in, in the file. Empty for what the checkpoint is in, see
        ``Family.own_dtype``.
    part
        Name of the head, modal or task; None where none was asked for.
    species
        Chemical symbols, or ``type=symbol``; empty for all that the model knows.
    """

    checkpoint: Path
    name: str
    dtype: str
    part: str | None = None
    species: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Tolerances:
    """How far results may be from those of the family's own calculator.

    Attributes
    ----------
    energy
        In eV per atom.
    forces
        In eV/Å, of each component.
    stress
        In eV/Å^3, of each component.
    """

    energy: float
    forces: float
    stress: float


@dataclasses.dataclass(frozen=True)
class Other:
    """Another property to compare.

    Attributes
    ----------
    output
        Output of the model, per atom.
    unit
        Unit of the property, as ASE has it.
    tolerance
        How far values may be from those of the calculator, in this unit.
    """

    output: str
    unit: str
    tolerance: float


# What rounding allows for, where both sides compute in this type.
ROUNDING = {"float32": Tolerances(1e-5, 1e-4, 1e-5), "float64": Tolerances(1e-9, 1e-8, 1e-9)}


@dataclasses.dataclass
class Imported:
    """A model that was read, and what it is compared with.

    Attributes
    ----------
    module
        Module with the signature of `ModelInterface`, in evaluation mode. Where plain TorchScript does not compile it,
        it has a method ``torchscript_module``.
    metadata
        Name, description, authors and references; what is known of where it comes from is added.
    capabilities
        What it can do.
    calculator
        Makes the family's own ASE calculator of the same checkpoint, in the best precision that it has.
    tolerances
        How far results may be from those of the calculator.
    periodic_only
        Whether the calculator wants cells that are periodic in all directions: structures that are not get vacuum.
    unable
        What the calculator can not compute and the file can: names of trial structures, with the reason.
    others
        Other properties of ASE that both have, by name.
    weights_licence
        What is known of the licence of the weights, in words.
    """

    module: "torch.nn.Module"
    metadata: "ModelMetadata"
    capabilities: "ModelCapabilities"
    calculator: "Callable[[], Calculator]"
    tolerances: Tolerances
    periodic_only: bool = False
    unable: Mapping[str, str] = dataclasses.field(default_factory=dict)
    others: Mapping[str, Other] = dataclasses.field(default_factory=dict)
    weights_licence: str = "not known: the checkpoint does not say"


@dataclasses.dataclass(frozen=True)
class Family:
    """A family of models that can be imported: the value of an entry point of the group ``metatomic.importers``.

    Attributes
    ----------
    name
        As in ``metatomic import NAME``.
    description
        A few words, for the list of families.
    requirements
        What must be installed to import, as pip takes it, the package of the family first. Its code is in the file, as
        is that of the others: their licences are copied to the file.
    read
        Reads a checkpoint. It is called when the requirements are there, and imports them itself.
    recognises
        Tells whether a file is a checkpoint of this family, by what is in it; nothing of the file is executed.
    shipped
        Gives the checkpoints that come with the package, by name; called when it is installed.
    part
        What the parts of a model with several are called, one of `PARTS`; empty if the family has none.
    dtypes
        Types that a model can have in a file, the default first.
    own_dtype
        Whether the default is the type of the checkpoint instead: ``Request.dtype`` is then empty where none was asked
        for.

    Raises
    ------
    ValueError
        If name, part or types are none of those.
    """

    name: str
    description: str
    requirements: tuple[str, ...]
    read: Callable[[Request], Imported]
    recognises: "Callable[[Contents], bool]"
    shipped: Callable[[], Mapping[str, Path]] = dict
    part: str = ""
    dtypes: tuple[str, ...] = DTYPES
    own_dtype: bool = False

    def __post_init__(self) -> None:
        if not self.name or not self.requirements:
            raise ValueError(f"expected a `name` and `requirements` of a family, got {self.name!r}")
        if self.part not in ("", *PARTS):
            raise ValueError(f"expected `part` to be one of {', '.join(PARTS)}, got '{self.part}'")
        if not self.dtypes or not set(self.dtypes) <= set(DTYPES):
            raise ValueError(f"expected `dtypes` among {', '.join(DTYPES)}, got {self.dtypes}")
