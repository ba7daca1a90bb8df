"""Choices between what a model offers and what a machine or user has: `pick_device` and `pick_output`."""

from typing import Dict, List, Optional

import torch

from ._validation import check_choice
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


def pick_device(model_devices: List[str], requested: Optional[str] = None) -> str:
    """Choose the device to run a model on.

    Parameters
    ----------
    model_devices
        Devices that the model supports, the best one first.
    requested
        Device that the user wants, such as "cuda" or "cuda:1"; None for the best one of this machine.

    Returns
    -------
    str
        The device; an index that was asked for is kept.

    Raises
    ------
    ValueError
        If the model does not support the device, or the machine does not have it.
    """
    available = [device for device in model_devices if _is_available(device)]
    if requested is None:
        if not available:
            raise ValueError(
                f"expected a device that the model supports, {model_devices}, on this machine, got none of them"
            )
        return "cuda" if available[0] == "hip" else available[0]
    wanted = str(requested).lower()
    kind, _, index = wanted.partition(":")
    check_choice("device", kind, model_devices)
    if kind not in available:
        raise ValueError(f"expected `device` to be one of this machine, {available}, got '{requested}'")
    if index:
        _check_index(kind, index, requested)
    torch_kind = "cuda" if kind == "hip" else kind
    return f"{torch_kind}:{index}" if index and kind != "cpu" else torch_kind


def _check_index(kind: str, index: str, requested: str) -> None:
    count = torch.cuda.device_count() if kind in ("cuda", "hip") else 1
    if not index.isdigit() or int(index) >= count:
        raise ValueError(f"expected an index of `device` below {count}, got '{requested}'")


def pick_output(requested_output: str, outputs: Dict[str, ModelOutput], desired_variant: Optional[str] = None) -> str:
    """Choose between the variants of an output.

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
    wanted = canonical_name(requested_output)
    matching = {name: output for name, output in outputs.items() if canonical_name(split_variant(name)[0]) == wanted}
    # the spelling that was asked for wins where the model offers both
    names = sorted(matching, key=lambda name: split_variant(name)[0] == requested_output)
    by_canonical_name = {canonical_name(name): name for name in names}
    if not matching:
        raise ValueError(f"expected an output of the model, one of {sorted(outputs)}, got '{requested_output}'")
    if desired_variant is not None:
        name = f"{wanted}/{desired_variant}"
        if name not in by_canonical_name:
            raise ValueError(
                f"expected a variant of '{requested_output}', got '{desired_variant}'; it has {_described(matching)}"
            )
        return by_canonical_name[name]
    if wanted in by_canonical_name:
        return by_canonical_name[wanted]
    if len(by_canonical_name) == 1:
        return next(iter(by_canonical_name.values()))
    raise ValueError(
        f"expected a variant for '{requested_output}', which has no default, got none; "
        f"choose from {_described(matching)}"
    )


def _described(outputs: Dict[str, ModelOutput]) -> str:
    """List variants, each spelling once, with their descriptions."""
    shown: Dict[str, str] = {}
    for name, output in outputs.items():
        variant = split_variant(name)[1] or "(no variant)"
        shown[variant] = f"'{variant}' ({output.description})" if output.description else f"'{variant}'"
    return ", ".join(shown.values())
