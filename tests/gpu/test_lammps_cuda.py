"""``pair_style metatomic ... device cuda`` against the CPU, in real LAMMPS processes.

Run with ``pytest tests/gpu`` on a machine that has a GPU, with metatomic-lammps installed.
"""

import numpy as np
import pytest
from lammps_models import MANY, Layers, ManyOutputs, export
from lammps_tools import FCC, FORMAT, boxes, close, run_lammps

from metatomic_core.potentials import lennard_jones
from metatomic_lammps import build_plugin

DEVICES = ["cuda", "cpu"]
SHAPES = boxes(FCC, 4.4, (3, 3, 3), n_types=2, shake=0.3)


@pytest.fixture(scope="module")
def plugin():
    return build_plugin()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "two layers": export(Layers(2, True), folder / "two.pt", reach=9.0, devices=DEVICES),
        "half lists": export(Layers(1, False), folder / "half.pt", devices=DEVICES),
        "float32": export(Layers(2, True), folder / "single.pt", reach=9.0, dtype="float32", devices=DEVICES),
    }


def run(plugin, folder, model, device, ranks, commands="run 0"):
    text = f"""units metal
read_data data.lammps
pair_style metatomic {model} device {device}
pair_coeff * * O Si
compute peratom all pe/atom
compute stress all stress/atom NULL
velocity all create 300 1234 loop all
fix nve all nve
thermo_style custom step pe press pxy etotal
{FORMAT}
dump atoms all custom 10 atoms id x y z fx fy fz c_peratom c_stress[1] c_stress[5]
dump_modify atoms sort id format float %22.16g
{commands}
"""
    found = run_lammps(plugin, folder, text, ranks)
    device_line = next(line for line in found.output.splitlines() if line.startswith("Running on"))
    assert device in device_line
    return found


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("shape", ["orthogonal", "triclinic", "small"])
@pytest.mark.parametrize("name", ["two layers", "half lists", "float32"])
def test_gpu_gives_what_the_cpu_gives(name, shape, ranks, plugin, models, tmp_path):
    tolerance = 1e-4 if name == "float32" else 1e-9
    SHAPES[shape].write(tmp_path / "data.lammps", [16.0, 28.0])
    cpu, cuda = (run(plugin, tmp_path, models[name], device, ranks, "run 10") for device in ("cpu", "cuda"))
    for column in ("PotEng", "Press", "Pxy", "TotEng"):
        np.testing.assert_allclose(cuda.thermo()[column], cpu.thermo()[column], rtol=tolerance, err_msg=column)
    # the folder holds the dump of the last run: that of the GPU
    on_gpu = cuda.dump("atoms")
    run(plugin, tmp_path, models[name], "cpu", ranks, "run 10")
    close(on_gpu[:, 4:7], cuda.dump("atoms")[:, 4:7], tolerance)
    close(on_gpu[:, 7:], cuda.dump("atoms")[:, 7:], tolerance)


def test_lennard_jones_on_a_gpu_agrees_with_lj_cut(plugin, tmp_path):
    """The native style is the oracle, on the CPU."""
    model = tmp_path / "argon.pt"
    lennard_jones(sigma=3.4, epsilon=0.0104, cutoff=8.5).save(str(model))
    texts = [
        f"""units metal
lattice fcc 5.4
region box block 0 5 0 5 0 5
create_box 1 box
create_atoms 1 box
mass 1 39.948
displace_atoms all random 0.2 0.2 0.2 8723
{pair}
thermo_style custom step pe pxx pyy pzz pxy pxz pyz
{FORMAT}
run 0
"""
        for pair in (
            "pair_style lj/cut 8.5\npair_modify shift yes\npair_coeff 1 1 0.0104 3.4",
            f"pair_style metatomic {model} device cuda\npair_coeff * * Ar",
        )
    ]
    native, ours = (run_lammps(plugin, tmp_path, text).thermo() for text in texts)
    for column in native:
        np.testing.assert_allclose(ours[column], native[column], rtol=1e-8, atol=1e-6, err_msg=column)


def test_gpu_that_is_not_there_is_refused(plugin, models, tmp_path):
    SHAPES["small"].write(tmp_path / "data.lammps", [16.0, 28.0])
    text = f"units metal\nread_data data.lammps\npair_style metatomic {models['half lists']} device cuda:99\n"
    found = run_lammps(plugin, tmp_path, text, ok=False)
    assert found.status != 0
    assert "got 'cuda:99'" in found.error


def test_best_device_is_the_gpu(plugin, tmp_path):
    model = export(ManyOutputs(), tmp_path / "many.pt", MANY, devices=DEVICES)
    SHAPES["small"].write(tmp_path / "data.lammps", [16.0, 28.0])
    text = f"units metal\nread_data data.lammps\npair_style metatomic {model}\npair_coeff * * O Si\n"
    assert "Running on cuda:0" in run_lammps(plugin, tmp_path, text).output
