"""Where the time goes, by METATOMIC_LAMMPS_PROFILE: of each pair style, and of each run."""

import re

from metatomic_core.potentials import lennard_jones

INPUT = """units metal
lattice fcc 5.3
region box block 0 3 0 3 0 3
create_box 1 box
create_atoms 1 box
pair_style hybrid/overlay metatomic one.pt metatomic two.pt
pair_coeff * * metatomic 1 Ar
pair_coeff * * metatomic 2 Ar
print "FIRST"
run 20
print "SECOND"
run 1
"""


def profiles(output):
    """Give the seconds of each style, as {name: seconds}; a style begins with the first name of the alphabet."""
    lines = re.findall(r"metatomic profile: (.+) (\S+) s", output)
    starts = [k for k, (name, _) in enumerate(lines) if name == lines[0][0]]
    return [{name: float(value) for name, value in lines[start:end]} for start, end in zip(starts, [*starts[1:], None])]


def test_each_style_has_a_profile_of_its_own(lammps, tmp_path):
    for name in ("one", "two"):
        lennard_jones(cutoff=6.0).save(tmp_path / f"{name}.pt")
    _, first, second = re.split("\nFIRST|\nSECOND", lammps(INPUT, METATOMIC_LAMMPS_PROFILE="1").output)
    for text in (first, second):
        styles = profiles(text)
        assert len(styles) == 2
        for profile in styles:
            # what the plugin does, and what the pipeline of the file does inside of `evaluate`
            assert {"nodes", "pairs", "tensors", "evaluate", "scatter"} < set(profile)
            steps = ("AtomisticModel::prepare", "Model::forward", "AtomisticModel::backward", "AtomisticModel::finish")
            inside = [profile[name] for name in steps]
            assert min(inside) > 0.0
            assert sum(inside) < profile["evaluate"]


def test_nothing_is_printed_without_the_variable(lammps, tmp_path):
    for name in ("one", "two"):
        lennard_jones(cutoff=6.0).save(tmp_path / f"{name}.pt")
    assert "profile" not in lammps(INPUT, METATOMIC_LAMMPS_PROFILE="0").output
