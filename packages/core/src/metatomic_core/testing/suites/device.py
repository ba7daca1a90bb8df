"""The choice of a device."""

import torch

from metatomic_core.testing.bench import Bench
from metatomic_core.testing.contract import standard_test

_ANY = ("cuda", "cpu")


@standard_test("devices")
def check_named_device(bench: Bench) -> None:
    """The device that was asked for is not taken: here the CPU, for a model that would rather run on a GPU."""
    results = ["energy", "forces"] if bench.can("forces") else ["energy"]
    file = bench.file("two lists", devices=_ANY)
    bench.check("two lists", bench.structures("box"), results, file=file, options={"device": "cpu"})


@standard_test("devices")
def check_best_device(bench: Bench) -> None:
    """The best device of the model that this machine has was not found, or gives other results than the CPU."""
    results = ["energy", "forces"] if bench.can("forces") else ["energy"]
    bench.check("two lists", bench.structures("box"), results, file=bench.file("two lists", devices=_ANY))


@standard_test("devices")
def check_device_that_is_not_there(bench: Bench) -> None:
    """A device that the machine or the model does not have was replaced by another one without a word."""
    file = bench.file("two lists", devices=_ANY)
    missing = "cuda:63" if torch.cuda.is_available() else "cuda"
    for device in (missing, "no-device"):
        bench.refuses(file, bench.structures("box"), device, "cuda", "device", options={"device": device})
