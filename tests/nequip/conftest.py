"""Small networks that nequip makes and compiles here, and what its own calculator says of some structures."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import ase.io
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from nequip_networks import NETWORKS, structures

HERE = Path(__file__).parent
SCRIPTS = Path(sys.executable).parent


def start(*command, cwd):
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [str(part) for part in command]
    return subprocess.Popen(words, cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def wait(*processes):
    """Wait for processes that run beside each other."""
    outputs = [process.communicate()[0] for process in processes]
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output[-4000:]


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """Give the checkpoint of each network."""
    paths, running = {}, []
    for name, (changes, _) in NETWORKS.items():
        folder = tmp_path_factory.mktemp(name)
        frames = [bulk("Cu", cubic=True, a=3.8 + 0.05 * i) for i in range(3)]
        for i, atoms in enumerate(frames):
            atoms.numbers[::2] = 79
            atoms.rattle(0.1, seed=i)
            atoms.calc = EMT()
            atoms.get_forces()
        ase.io.write(folder / "train.xyz", frames)
        command = SCRIPTS / "nequip-train"
        running.append(start(command, "-cp", HERE, "-cn", "train", "++hydra.run.dir=.", *changes, cwd=folder))
        paths[name] = folder / "model.ckpt"
    wait(*running)
    return paths


@pytest.fixture(scope="session")
def packages(checkpoints):
    """Give the package for each target, with the name of its network."""
    paths, running = {}, []
    for name, (_, targets) in NETWORKS.items():
        for target in targets:
            path = checkpoints[name].with_name(f"{target}.nequip.pt2")
            options = ["--mode", "aotinductor", "--device", "cpu", "--target", target]
            running.append(start(SCRIPTS / "nequip-compile", checkpoints[name], path, *options, cwd=path.parent))
            paths[target] = (path, name)
    wait(*running)
    return paths


@pytest.fixture(scope="session")
def expected(checkpoints, tmp_path_factory):
    """Give what nequip's calculator says: {name of the network: {name of the structure: results}}."""
    folder = tmp_path_factory.mktemp("expected")
    (folder / "structures").write_bytes(pickle.dumps(list(structures().values())))
    found = {}
    for name, checkpoint in checkpoints.items():
        script = HERE.parent / "nequip_evaluate.py"
        wait(start(sys.executable, script, checkpoint, folder / "structures", folder / name, cwd=folder))
        results = pickle.loads((folder / name).read_bytes())
        found[name] = dict(zip(structures(), results, strict=True))
    return found
