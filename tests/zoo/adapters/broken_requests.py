"""Inputs, outputs and options."""

import dataclasses

import numpy as np
from zoo.adapters.base import RIGHT, Broken, changed


class InputsDropped(Broken):
    """Inputs are zero."""

    def structure(self, structure, request):
        return dataclasses.replace(structure, inputs={name: 0.0 * v for name, v in structure.inputs.items()})


class InputsMissing(Broken):
    """Inputs that nobody gave are zero."""

    def structure(self, structure, request):
        if request.model.stem != "atom-inputs":
            return structure
        return dataclasses.replace(structure, inputs={"charge": np.zeros(len(structure.types)), **structure.inputs})


class InputsReversed(Broken):
    """Inputs of atoms are in another order."""

    def structure(self, structure, request):
        return dataclasses.replace(structure, inputs={name: v[::-1].copy() for name, v in structure.inputs.items()})


class InputsKept(Broken):
    """Inputs of a run are those of the first step."""

    def request(self, request):
        if not request.continued:
            return request
        same = [dataclasses.replace(each, inputs=request.structures[0].inputs) for each in request.structures]
        return dataclasses.replace(request, structures=same)


class SpinIsCharge(Broken):
    """Charge and spin multiplicity are exchanged."""

    def structure(self, structure, request):
        inputs = structure.inputs
        if len(inputs) == 2:
            inputs = {"charge": inputs["spin_multiplicity"], "spin_multiplicity": inputs["charge"]}
        return dataclasses.replace(structure, inputs=inputs)


class OneProperty(Broken):
    """Outputs are cut to their first property."""

    def answer(self, structure, answer, request):
        cut = {name: values[..., :1] for name, values in answer.outputs.items()}
        return dataclasses.replace(answer, outputs=cut)


class MeanOutput(Broken):
    """Outputs of structures are means over atoms."""

    def answer(self, structure, answer, request):
        n_atoms = len(structure.types)
        kinds = request.outputs
        means = {name: v / n_atoms if kinds[name] == "system" else v for name, v in answer.outputs.items()}
        return dataclasses.replace(answer, outputs=means)


class TurnedOutputs(Broken):
    """Vectors among outputs are in a frame of the engine."""

    def answer(self, structure, answer, request):
        turned = {name: v[:, [1, 2, 0]] if name == "dipole" else v for name, v in answer.outputs.items()}
        return dataclasses.replace(answer, outputs=turned)


class ChangedOptions(Broken):
    """A subject that changes the options."""

    def request(self, request):
        return dataclasses.replace(request, options=self.options(dict(request.options), request))


class KernelIgnored(ChangedOptions):
    """The choice of the kernel is ignored."""

    def options(self, options, request):
        return {name: value for name, value in options.items() if name != "kernel"}


class DeviceIgnored(ChangedOptions):
    """The choice of the device is ignored."""

    def options(self, options, request):
        return {name: value for name, value in options.items() if name != "device"}


class KernelOfOlderModel(Broken):
    """A kernel was made for older parameters of the model."""

    def answer(self, structure, answer, request):
        old = request.options.get("kernel") == "eager"
        return changed(answer, energy=lambda value: value + 1e-4) if old else answer


class DeviceWithTraces(Broken):
    """Where a device is named, forces are those of single precision."""

    def answer(self, structure, answer, request):
        named = request.options.get("device") == "cpu"
        return changed(answer, forces=lambda values: values.astype(np.float32)) if named else answer


class VariantIgnored(ChangedOptions):
    """The choice of a variant is ignored."""

    def options(self, options, request):
        return {name: value for name, value in options.items() if name != "variants"}


class LastVariant(ChangedOptions):
    """The last output whose name starts with energy is taken."""

    def options(self, options, request):
        return {"variants": {"energy": "doubled"}, **options} if request.model.stem == "many-outputs" else options


class DirectForcesAlways(ChangedOptions):
    """Direct forces are taken where the model has them."""

    def options(self, options, request):
        return {"non_conservative": "forces", **options} if request.model.stem == "many-outputs" else options


class DirectNever(ChangedOptions):
    """Direct predictions are never taken."""

    def options(self, options, request):
        return {name: value for name, value in options.items() if name != "non_conservative"}


class NetForce(Broken):
    """The mean of direct forces is not removed."""

    def answer(self, structure, answer, request):
        if "non_conservative" not in request.options:
            return answer
        options = {"non_conservative": "off"}
        asked = dataclasses.replace(request, structures=[structure], options=options, outputs={})
        asked = dataclasses.replace(asked, results=("energy",), outputs={"non_conservative_force": "atom"})
        direct = RIGHT.evaluate(asked)[0].outputs["non_conservative_force"]
        return changed(answer, forces=lambda values: direct.reshape(values.shape))
