"""Processes in which TorchScript is missing, as it may be with Python 3.14: whatever compiles or loads code raises."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

# metatensor-operations and metatensor-learn compile functions when they are imported; metatensor-torch, the only one of
# them that core needs, does without both where they are not installed, and compiles nothing
FORBID = """
import inspect, sys
sys.modules.update(dict.fromkeys(["metatensor_operations", "metatensor_learn"]))
import torch

def refusing(name, plain, within=[]):
    def refuse(*arguments, **keywords):
        # parts of torch are scripted, and are its own business
        if not within and not sys._getframe(1).f_globals["__name__"].startswith("torch.utils."):
            raise NotImplementedError(f"torch.jit.{name} is gone")
        within.append(name)
        try:
            return plain(*arguments, **keywords)
        finally:
            within.pop()
    return refuse

WORDS = ("script", "load", "save", "trace", "freeze", "optimize", "compile", "run_frozen", "interface", "fuser")
ALLOWED = ("is_scripting", "is_tracing", "ScriptWarning", "TracerWarning")
names = [name for name in vars(torch.jit) if any(word in name for word in WORDS) and name not in ALLOWED]
functions = [name for name in names if inspect.isfunction(getattr(torch.jit, name))]
assert {"script", "load", "save", "trace", "script_method"} <= set(functions), functions
for name in functions:
    setattr(torch.jit, name, refusing(name, getattr(torch.jit, name)))
# what they all end in
for name in ("_jit_script_class_compile", "_jit_script_compile", "import_ir_module", "import_ir_module_from_buffer"):
    setattr(torch._C, name, refusing(name, getattr(torch._C, name)))
"""


def run_without_torchscript(code: str, folder: Path) -> subprocess.CompletedProcess:
    """Run code in a process in which nothing compiles and loads TorchScript; it can import what is in tests/."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    path = os.pathsep.join([str(Path(__file__).parent), environment.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", FORBID + textwrap.dedent(code)],
        cwd=folder,
        env={**environment, "PYTHONPATH": path.rstrip(os.pathsep)},
        capture_output=True,
        text=True,
        check=False,
    )
