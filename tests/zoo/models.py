"""The zoo: models that are broken on purpose, each in one way in which published models or wrappers were broken."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from zoo import broken_batch, broken_cutoff, broken_gradients, broken_periodicity, broken_state, broken_symmetry
from zoo.healthy import CUTOFF, TYPES, Healthy, MessagePassing, OwnVectors

from metatomic_core import AtomisticModel, ModelCapabilities, ModelMetadata, ModelOutput

ENERGY = {"energy": ModelOutput(unit="eV", sample_kind="atom")}
HEADS = {
    **ENERGY,
    "non_conservative_force": ModelOutput(unit="eV/angstrom", sample_kind="atom"),
    "non_conservative_stress": ModelOutput(unit="eV/angstrom^3", sample_kind="system"),
}


@dataclasses.dataclass(frozen=True)
class Specimen:
    """One model of the zoo.

    Attributes
    ----------
    module
        Makes the module; the first sentence of its docstring says what is broken.
    met
        How a user meets it.
    by
        Checks that have to catch it.
    interaction_range, types, outputs, dtype
        What its file states.
    options
        Options of the engine that it is checked with.
    """

    module: Callable[[], torch.nn.Module]
    met: str = ""
    by: tuple[str, ...] = ()
    interaction_range: float = CUTOFF
    types: Sequence[int] = tuple(TYPES)
    outputs: dict[str, ModelOutput] = dataclasses.field(default_factory=lambda: ENERGY)
    dtype: str = "float64"
    options: dict[str, object] = dataclasses.field(default_factory=dict)

    @property
    def broken(self) -> str:
        """What is broken, in a sentence."""
        return " ".join((self.module.__doc__ or "").split("\n\n")[0].split()).rstrip(".")

    def model(self) -> AtomisticModel:
        """Make the model."""
        module = self.module().eval()
        capabilities = ModelCapabilities(
            outputs=self.outputs,
            atomic_types=list(self.types),
            interaction_range=self.interaction_range,
            length_unit="angstrom",
            supported_devices=["cpu"],
            dtype=self.dtype,
        )
        return AtomisticModel(module, ModelMetadata(type(module).__name__), capabilities)

    def save(self, folder: Path) -> Path:
        """Write the model into a file."""
        file = folder / "model.pt"
        self.model().save(str(file))
        return file


HEALTHY = {
    "healthy": Specimen(Healthy),
    "healthy, single precision": Specimen(Healthy, dtype="float32"),
    "healthy, own vectors": Specimen(OwnVectors),
    "healthy, message passing": Specimen(MessagePassing, interaction_range=2 * CUTOFF),
    "healthy, direct heads": Specimen(broken_gradients.DirectHeads, outputs=HEADS),
}

BROKEN = {
    # symmetry
    "absolute position": Specimen(
        broken_symmetry.AbsolutePosition,
        "energies of a molecule change as it moves; momentum is not conserved",
        ("translation",),
    ),
    "preferred direction": Specimen(
        broken_symmetry.PreferredDirection,
        "molecules turn into one direction; cubic crystals are not cubic",
        ("rotation",),
    ),
    "handed": Specimen(
        broken_symmetry.Handed, "a molecule and its mirror image have different energies", ("inversion",)
    ),
    "order of atoms": Specimen(
        broken_symmetry.OrderOfAtoms, "energies change when an engine sorts atoms", ("permutation",)
    ),
    "half list as full": Specimen(
        broken_symmetry.HalfListAsFull, "energies differ between engines, with their lists", ("order of pairs",)
    ),
    "fixed buffer": Specimen(
        broken_symmetry.FixedBuffer, "wrong in dense structures; jumps as atoms are sorted again", ("order of pairs",)
    ),
    "species by appearance": Specimen(
        broken_symmetry.SpeciesByAppearance,
        "right for structures that have all species, as in training",
        ("species", "interaction range"),
    ),
    "species mapped": Specimen(
        broken_symmetry.SpeciesMapped,
        "plausible results for an element that the model never saw",
        ("species",),
        types=[1, 8, 14, 29],
    ),
    "species not trained": Specimen(
        broken_symmetry.SpeciesNotTrained,
        "NaN as soon as a structure has the element",
        ("species",),
        types=[1, 8, 14, 29],
    ),
    # periodicity and stress
    "no own images": Specimen(
        broken_periodicity.NoOwnImages, "wrong in small cells: bulk moduli, elastic constants", ("periodicity",)
    ),
    "nearest image": Specimen(
        broken_periodicity.NearestImage, "wrong in cells that are narrower than two cutoffs", ("periodicity",)
    ),
    "shift of other sign": Specimen(
        broken_periodicity.ShiftOfOtherSign,
        "right for molecules, wrong for crystals",
        ("translation", "periodicity"),
    ),
    "rows and columns": Specimen(
        broken_periodicity.RowsAndColumns, "right in right-angled cells, wrong in others", ("rotation",)
    ),
    "wraps atoms": Specimen(broken_periodicity.WrapsAtoms, "jumps when an atom leaves the cell", ("translation",)),
    "cell detached": Specimen(
        broken_periodicity.CellDetached, "wrong pressure: cells shrink or explode at constant P", ("strain",)
    ),
    "virial of other sign": Specimen(
        broken_periodicity.VirialOfOtherSign, "cells relax in the wrong direction", ("strain",)
    ),
    "strain transposed": Specimen(broken_periodicity.StrainTransposed, "shear relaxes to a wrong cell", ("strain",)),
    "all or nothing": Specimen(
        broken_periodicity.AllOrNothing, "slabs have no neighbors across their borders", ("periodicity",)
    ),
    "cutoff by cell": Specimen(
        broken_periodicity.CutoffByCell, "energies per atom depend on the size of the cell", ("periodicity",)
    ),
    "volume of vacuum": Specimen(
        broken_periodicity.VolumeOfVacuum, "adsorption energies change with the vacuum", ("free boundaries",)
    ),
    # cutoffs and distances
    "list not strict": Specimen(
        broken_cutoff.ListNotStrict, "results depend on the skin, and so on the engine", ("order of pairs",)
    ),
    "energy jump": Specimen(
        broken_cutoff.EnergyJump,
        "energy drifts in NVE; minimisers do not converge",
        ("continuity", "smoothness at the cutoff"),
    ),
    "force jump": Specimen(
        broken_cutoff.ForceJump,
        "energy drifts slowly in NVE; phonons are noisy",
        ("smoothness at the cutoff",),
    ),
    "nearest neighbors": Specimen(
        broken_cutoff.NearestNeighbors, "heats up in NVE; relaxations do not converge", ("conservation",)
    ),
    "nearest is special": Specimen(
        broken_cutoff.NearestSpecial, "energy jumps when neighbors change places", ("conservation",)
    ),
    "no number below": Specimen(broken_cutoff.NanBelow, "hot runs end with NaN", ("short distances",)),
    "collapse": Specimen(broken_cutoff.Collapse, "atoms fall into each other in hot runs", ("short distances",)),
    "root of zero": Specimen(
        broken_cutoff.RootOfZero, "NaN for symmetric structures, none as soon as atoms move", ("symmetric structures",)
    ),
    "straight angle": Specimen(
        broken_cutoff.StraightAngle, "NaN for carbon dioxide, and for small perfect cells", ("symmetric structures",)
    ),
    "no pairs": Specimen(
        broken_cutoff.NoPairs, "fails for gases, and for isolated atoms as references", ("isolated atoms",)
    ),
    "one cutoff for two layers": Specimen(
        broken_cutoff.TwoLayers, "right in ASE; wrong in engines that give as many ghost atoms", ("interaction range",)
    ),
    "one cutoff for three layers": Specimen(
        broken_cutoff.ThreeLayers, "right in ASE; wrong forces in LAMMPS, without a message", ("interaction range",)
    ),
    "hidden long range": Specimen(
        broken_cutoff.HiddenLongRange, "forces in LAMMPS depend on the number of processes", ("interaction range",)
    ),
    # state
    "dropout": Specimen(broken_state.Dropout, "two runs are not the same; energies scatter", ("repeated calls",)),
    "noise": Specimen(
        broken_state.Noise, "the last digits of energies scatter; minimisers do not converge", ("repeated calls",)
    ),
    "counts calls": Specimen(
        broken_state.CountsCalls, "energies drift in long runs; restarts jump", ("first and tenth call",)
    ),
    "running mean": Specimen(
        broken_state.RunningMean, "energies depend on what was evaluated before", ("repeated calls",)
    ),
    "keeps a list": Specimen(
        broken_state.KeepsFirstList, "wrong in long runs, right in each test of one structure", ("repeated calls",)
    ),
    "memory growth": Specimen(broken_state.MemoryGrowth, "long runs are killed after hours", ("growth of memory",)),
    "scaled on loading": Specimen(
        broken_state.ScaledOnLoading, "a file that was saved again has other results", ("saving",)
    ),
    "threads": Specimen(broken_state.Threads, "other results on another machine", ("threads",)),
    # batches, sums and selections
    "mean of batch": Specimen(
        broken_batch.BatchMean, "path integrals and batched relaxations differ from single ones", ("batching",)
    ),
    "batch without offset": Specimen(
        broken_batch.BatchWithoutOffset, "wrong species in all structures but the first", ("batching",)
    ),
    "batch sorted": Specimen(broken_batch.BatchSorted, "energies of a batch belong to other structures", ("batching",)),
    "atoms sorted": Specimen(
        broken_batch.AtomsSorted, "energies of atoms belong to other atoms; the total is right", ("permutation",)
    ),
    "mean of atoms": Specimen(
        broken_batch.MeanOfAtoms, "energies do not grow with the size of a cell", ("extensivity",)
    ),
    "global attention": Specimen(
        broken_batch.GlobalAttention, "two molecules far apart change each other", ("extensivity",)
    ),
    "selected only": Specimen(
        broken_batch.SelectedOnly, "atoms at borders of domains lose neighbors in LAMMPS", ("selected atoms",)
    ),
    "selected ignored": Specimen(
        broken_batch.SelectedIgnored, "energies in LAMMPS grow with the number of processes", ("selected atoms",)
    ),
    "selected twice": Specimen(
        broken_batch.SelectedTwice, "energies in LAMMPS depend on the number of processes", ("selected atoms",)
    ),
    # gradients and digits
    "detached": Specimen(
        broken_gradients.Detached, "energy drifts in NVE; relaxed structures are no minima", ("forces",)
    ),
    "direct as gradient": Specimen(
        broken_gradients.DirectAsGradient, "energy is not conserved, and nothing says why", ("forces",)
    ),
    "rounded": Specimen(
        broken_gradients.Rounded, "energy differences in steps of a meV; finite differences fail", ("forces",)
    ),
    "single inside": Specimen(broken_gradients.SingleInside, "phonons and tight relaxations are noisy", ("noise",)),
    "single positions": Specimen(
        broken_gradients.SinglePositions, "runs get noisy as atoms diffuse away", ("translation",)
    ),
    "direct stress of other sign": Specimen(
        broken_gradients.DirectStressOfOtherSign,
        "cells relax in the wrong direction",
        ("direct predictions",),
        outputs=HEADS,
    ),
    "direct forces of other sign": Specimen(
        broken_gradients.DirectForcesOfOtherSign,
        "atoms run uphill with direct forces",
        ("direct predictions",),
        outputs=HEADS,
    ),
    "direct forces of other unit": Specimen(
        broken_gradients.DirectForcesOfOtherUnit,
        "nothing moves with direct forces, and relaxations end at once",
        ("direct predictions",),
        outputs=HEADS,
    ),
}
