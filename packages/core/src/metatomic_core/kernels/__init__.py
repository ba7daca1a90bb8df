"""How the part of a model between the seams is run: as TorchScript, as a compiled package, or as a program in Python.

`machine` knows what the processor can do, `cache` where compiled packages are, `building` how they are made, and
`running` how they are loaded and called; `choice` is what engines ask.
"""

from .choice import KERNELS, Kernel, chosen_kernel

__all__ = ["KERNELS", "Kernel", "chosen_kernel"]
