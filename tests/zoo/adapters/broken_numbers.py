"""Signs, factors, components and units."""

import dataclasses

import numpy as np
from zoo.adapters.base import RIGHT, Broken, changed

from metatomic_core.engine import Engine
from metatomic_core.testing import Answer
from metatomic_core.testing.oracles import CHARGE_IN_AC
from metatomic_core.testing.parameters import ISOLATED, TYPES


class ForcesAreGradients(Broken):
    """Forces are the gradient, without the minus."""

    def answer(self, structure, answer, request):
        return changed(answer, forces=lambda values: -values)


class VirialIsStress(Broken):
    """The virial has the sign of the stress."""

    def answer(self, structure, answer, request):
        return changed(answer, virial=lambda values: -values)


class VirialInBar(Broken):
    """The virial is in another unit: a factor of pressure was applied to it."""

    def answer(self, structure, answer, request):
        return changed(answer, virial=lambda values: values * 160.21766208)


class VirialTransposed(Broken):
    """The virial is transposed."""

    def answer(self, structure, answer, request):
        return changed(answer, virial=np.transpose)


class VoigtOrder(Broken):
    """Components yz and xy are exchanged: the Voigt order of another engine."""

    def answer(self, structure, answer, request):
        def swapped(values):
            values = values.copy()
            values[[0, 1, 1, 2], [1, 0, 2, 1]] = values[[1, 2, 0, 1], [2, 1, 1, 0]]
            return values

        return changed(answer, virial=swapped)


class VolumeOfEdges(Broken):
    """The volume is the product of the lengths of the cell vectors."""

    def answer(self, structure, answer, request):
        if not structure.pbc.all():
            return answer
        factor = np.linalg.norm(structure.cell, axis=1).prod() / abs(np.linalg.det(structure.cell))
        return changed(answer, virial=lambda values: values * factor)


class AtomicVirialsSign(Broken):
    """Virials of atoms have the sign of stresses of atoms."""

    def answer(self, structure, answer, request):
        return changed(answer, atomic_virials=lambda values: -values)


class AtomicVirialsMean(Broken):
    """Virials of atoms are the virial in equal parts."""

    def answer(self, structure, answer, request):
        return changed(answer, atomic_virials=lambda values: np.broadcast_to(values.mean(0), values.shape))


class AtomicVirialsTransposed(Broken):
    """Virials of atoms are transposed."""

    def answer(self, structure, answer, request):
        return changed(answer, atomic_virials=lambda values: values.transpose(0, 2, 1))


class WithoutIsolatedAtoms(Broken):
    """The energy is relative to isolated atoms."""

    def answer(self, structure, answer, request):
        atoms = sum(ISOLATED[TYPES.index(number)] for number in structure.types)
        return changed(answer, energy=lambda value: value - atoms)


class Rounded(Broken):
    """Results are rounded to five digits after the point."""

    def answer(self, structure, answer, request):
        names = ("energy", "forces", "virial", "atomic_energies", "atomic_virials")
        return changed(answer, **dict.fromkeys(names, lambda values: np.round(values, 5)))


class SingleEnergy(Broken):
    """The energy of a structure goes through single precision."""

    def answer(self, structure, answer, request):
        return changed(answer, energy=lambda value: float(np.float32(value)))


class OwnUnits(Broken):
    """A subject with the units of the model where those of the engine belong."""

    unit = ""

    def right(self):
        return self

    def evaluate(self, request):
        if request.model.stem != "other-units":
            return RIGHT.evaluate(request)
        own = {"length_unit": ("nm", "angstrom"), "energy_unit": ("kcal/mol", "eV")}
        units = {name: both[0] if name == self.unit else both[1] for name, both in own.items()}
        engine = Engine(request.model, kernel="script", **units)
        found = [engine.evaluate([structure], request.results) for structure in request.structures]
        return [
            Answer(float(each.energy[0]), each.forces, None if each.virial is None else each.virial[0], None, None)
            for each in found
        ]


class EnergyUnitIgnored(OwnUnits):
    """Energies, forces and virials stay in the unit of the model."""

    unit = "energy_unit"


class LengthUnitIgnored(OwnUnits):
    """Positions go to a model in nm as if they were in nm."""

    unit = "length_unit"


class ForceUnit(Broken):
    """Forces of a model in other units have the factor of the energy alone."""

    def answer(self, structure, answer, request):
        factor = 0.1 if request.model.stem == "other-units" else 1.0
        return changed(answer, forces=lambda values: values * factor)


class InputUnits(Broken):
    """Charges go to the model in elementary charges, whatever unit it wants."""

    def structure(self, structure, request):
        charges = {name: values / CHARGE_IN_AC for name, values in structure.inputs.items() if len(values) > 1}
        return dataclasses.replace(structure, inputs={**structure.inputs, **charges})
