"""Choices between what a model offers and what a machine or user has: `pick_device` and `pick_output`."""

from typing import Dict, List, Optional

import torch

from metatomic_core.foundation.checks import check_choice
from metatomic_core.foundation.errors import UnavailableError

from .outputs import ModelOutput
from .quantities import canonical_name, split_variant


def _is_available(device: str) -> bool:
    if device == "cpu":
        return True
    if device in ("cuda", "hip"):
        return torch.cuda.is_available() and (device == "hip") == (torch.version.hip is not None)
    if device == "mps":
        return torch.backends.mps.is_available()
    if device == "xpu":
        return hasattr(torch, "xpu") and torch.xpu.is_available()
    return False


def pick_device(model_devices: List[str], requested_device: Optional[str] = None) -> str:
    """Choose the device to run a model on.

    Parameters
    ----------
    model_devices
        Devices that the model supports, the best one first.
    requested_device
        Device that the user wants, such as "cuda" or "cuda:1"; None for the best one of this machine.

    Returns
    -------
    str
        The device; an index that was asked for is kept.

    Raises
    ------
    ValueError
        If the model does not support the device, or the machine does not have it; an `UnavailableError`, which is a
        RuntimeError too.
    """
    available = [device for device in model_devices if _is_available(device)]
    if requested_device is None:
        if not available:
            raise UnavailableError(
                f"expected a device that the model supports, {model_devices}, on this machine, got none of them"
            )
        return "cuda" if available[0] == "hip" else available[0]
    wanted = str(requested_device).lower()
    kind, _, index = wanted.partition(":")
    if kind == "gpu" and any(device != "cpu" for device in model_devices):
        # by its letters, "cpu" is nearest
        gpu = next(device for device in model_devices if device != "cpu")
        raise UnavailableError(
            f"expected `device` to be one of {model_devices}, got '{requested_device}'; did you mean '{gpu}'"
        )
    check_choice("device", kind, model_devices, UnavailableError)
    if kind not in available:
        raise UnavailableError(f"expected `device` to be one of this machine, {available}, got '{requested_device}'")
    if index:
        _check_index(kind, index, requested_device)
    torch_kind = "cuda" if kind == "hip" else kind
    return f"{torch_kind}:{index}" if index and kind != "cpu" else torch_kind


def _check_index(kind: str, index: str, requested_device: str) -> None:
    count = torch.cuda.device_count() if kind in ("cuda", "hip") else 1
    if not index.isdigit() or int(index) >= count:
        raise UnavailableError(f"expected an index of `device` below {count}, got '{requested_device}'")


def is_on_device(model: torch.nn.Module, device: str) -> bool:
    """Tell whether all parameters and buffers of a model are on a device already.

    Parameters
    ----------
    model
        The model.
    device
        The device, as `pick_device` gives it.
    """
    # "cuda" is the current one of several
    wanted = torch.empty(0, device=device).device
    return all(tensor.device == wanted for tensor in [*model.parameters(), *model.buffers()])


def outputs_that_follow_energy() -> List[str]:
    """List the outputs whose variant is that of the energy, unless they are given one of their own."""
    return ["energy_uncertainty", "energy_ensemble", "non_conservative_force", "non_conservative_stress"]


def _described(names: List[str], offered: Dict[str, ModelOutput]) -> str:
    """List variants with their descriptions."""
    shown: List[str] = []
    for name in names:
        variant = split_variant(name)[1]
        text = "'(no variant)'" if variant == "" else "'" + variant + "'"
        description = offered[name].description
        shown.append(text + " (" + description + ")" if description != "" else text)
    return ", ".join(shown)


def find_output(requested: str, offered: Dict[str, ModelOutput], variant: Optional[str]) -> str:
    """Choose between the variants of an output; the empty string if there is no such output.  TorchScript-compatible.

    Parameters
    ----------
    requested
        Name without variant; either spelling.
    offered
        What the model offers.
    variant
        Variant that the user wants; None for the output without variant, or the only one there is.

    Raises
    ------
    ValueError
        If there is no such variant, or several and none is the default one; the message lists them.
    """
    wanted = canonical_name(requested)
    by_canonical_name: Dict[str, str] = {}
    for name in offered.keys():
        base = split_variant(name)[0]
        # the spelling that was asked for wins where the model offers both
        is_better = canonical_name(name) not in by_canonical_name or base == requested
        if canonical_name(base) == wanted and is_better:
            by_canonical_name[canonical_name(name)] = name
    if len(by_canonical_name) == 0:
        return ""
    names = list(by_canonical_name.values())
    if variant is not None:
        full_name = wanted + "/" + variant
        if full_name not in by_canonical_name:
            raise ValueError(
                f"expected a variant of '{requested}', got '{variant}'; it has {_described(names, offered)}"
            )
        return by_canonical_name[full_name]
    if wanted in by_canonical_name:
        return by_canonical_name[wanted]
    if len(names) > 1:
        raise ValueError(
            f"expected a variant for '{requested}', which has no default, got none; "
            f"choose from {_described(names, offered)}"
        )
    return names[0]


def chosen_output(requested: str, offered: Dict[str, ModelOutput], variants: Dict[str, str]) -> str:
    """Choose an output by what the user said of variants; the empty string if there is none.  TorchScript-compatible.

    Parameters
    ----------
    requested
        Name of an output, with a variant or without; either spelling.
    offered
        What the model offers.
    variants
        Variant of each output, by name, either spelling; "off" for the one without variant.  Some outputs follow that
        of the energy, see `outputs_that_follow_energy`.

    Raises
    ------
    ValueError
        As `find_output`, for what the user said; where the energy has a variant that an output which follows it has
        not, there is no such output: results of two variants are not to be mixed by accident.
    """
    if split_variant(requested)[1] != "":
        return requested if requested in offered else ""
    wanted: Dict[str, str] = {}
    for key, value in variants.items():
        wanted[canonical_name(key)] = value
    name = canonical_name(requested)
    if name in wanted:
        return find_output(requested, offered, None if wanted[name] == "off" else wanted[name])
    if name in outputs_that_follow_energy() and "energy" in wanted and wanted["energy"] != "off":
        full_name = name + "/" + wanted["energy"]
        return full_name if full_name in offered else ""
    return find_output(requested, offered, None)


def pick_output(requested_output: str, outputs: Dict[str, ModelOutput], desired_variant: Optional[str] = None) -> str:
    """Choose between the variants of an output; also in TorchScript.

    Parameters
    ----------
    requested_output
        Name without variant, such as "energy"; either spelling.
    outputs
        What the model offers.
    desired_variant
        Variant that the user wants; None for the output without variant, or the only one there is.

    Returns
    -------
    str
        Name of the output, with its variant.

    Raises
    ------
    ValueError
        If there is no such output or variant, or several and none is the default one; the message lists them.
    """
    name = find_output(requested_output, outputs, desired_variant)
    if name == "":
        known = sorted(outputs.keys())
        raise ValueError(f"expected an output of the model, one of {known}, got '{requested_output}'")
    return name
