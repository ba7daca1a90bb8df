"""Elastic constants: published ones, relations between them, symmetry, and what ``metatomic elastic`` says."""

import json
import re
import warnings

import ase.build
import ase.io
import numpy as np
import pytest
from ase import units
from command_line import fail, load_models_once, succeed

from metatomic_ase import MetatomicCalculator
from metatomic_ase.properties import elastic
from metatomic_ase.properties.elastic import ElasticConstants, elastic_constants
from metatomic_ase.properties.equation_of_state import equation_of_state
from metatomic_ase.properties.point_group import find_point_group
from metatomic_core.potentials import lennard_jones, stillinger_weber

# H. Balamane, T. Halicioglu and W. A. Tiller, Phys. Rev. B 46, 2250 (1992), doi:10.1103/PhysRevB.46.2250, in GPa
C11, C12, C44, BULK = 151.4, 76.4, 56.4, 101.4
# edge at which the stress is zero
SILICON_A = 5.43095


@pytest.fixture(scope="module", autouse=True)
def _load_once():
    with load_models_once():
        yield


@pytest.fixture(scope="module")
def calculator():
    return MetatomicCalculator(stillinger_weber())


@pytest.fixture(scope="module")
def silicon(calculator):
    return elastic_constants(ase.build.bulk("Si", a=SILICON_A), calculator)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("elastic")
    stillinger_weber().save(str(folder / "silicon.pt"))
    ase.io.write(folder / "silicon.xyz", ase.build.bulk("Si", a=SILICON_A))
    ase.io.write(folder / "pressed.xyz", ase.build.bulk("Si", a=5.35))
    return folder


TRICLINIC = ase.Atoms(
    "SiCH", [[0, 0, 0], [1.1, 1.3, 0.9], [0.3, 2.2, 3.1]], cell=[[3, 0, 0], [0.4, 3.4, 0], [0.5, 0.9, 4]], pbc=True
)


def warned(text, *arguments):
    """Run a command that ends well and warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = succeed(*arguments)
    assert re.search(f"metatomic: warning: .*{text}", result.stderr), result.stderr
    return result


def cubic(c11, c12, c44):
    stiffness = np.diag([c11 - c12] * 3 + [c44] * 3).astype(float)
    stiffness[:3, :3] += c12
    return stiffness


def test_silicon_has_the_published_constants(silicon):
    np.testing.assert_allclose(silicon.stiffness, cubic(C11, C12, C44), rtol=2e-3, atol=1e-3)
    assert silicon.averages()["hill"]["bulk"] == pytest.approx(BULK, rel=1e-3)
    assert silicon.asymmetry < 0.1
    assert silicon.is_stable


def test_bulk_modulus_is_that_of_the_equation_of_state(silicon, calculator):
    found = equation_of_state(ase.build.bulk("Si", a=SILICON_A), calculator, strain=0.01)
    assert silicon.averages()["voigt"]["bulk"] == pytest.approx(found.bulk_modulus, rel=2e-3)


def test_clamped_ions_have_the_curvature_of_the_energy(calculator):
    crystal = ase.build.bulk("Si", a=SILICON_A)
    found = elastic_constants(crystal, calculator, relax=False)

    def energy(shear):
        strained = crystal.copy()
        strained.set_cell(crystal.cell.array @ (np.eye(3) + [[0, 0, 0], [0, 0, shear / 2], [0, shear / 2, 0]]), True)
        return calculator.get_potential_energy(strained)

    step = 1e-3
    curvature = (energy(step) + energy(-step) - 2 * energy(0)) / step**2 / crystal.get_volume() / units.GPa
    assert found.stiffness[3, 3] == pytest.approx(curvature, rel=1e-4)
    assert found.stiffness[3, 3] > 1.5 * C44


def test_turned_crystal_has_turned_constants(calculator, silicon):
    """By 45 degrees about z, C11 of a cubic crystal becomes (C11 + C12 + 2 C44) / 2."""
    crystal = ase.build.bulk("Si", a=SILICON_A)
    crystal.rotate(45, "z", rotate_cell=True)
    turned = elastic_constants(crystal, calculator).stiffness
    c = silicon.stiffness
    assert turned[0, 0] == pytest.approx((c[0, 0] + c[0, 1] + 2 * c[3, 3]) / 2, rel=1e-3)
    assert turned[5, 5] == pytest.approx((c[0, 0] - c[0, 1]) / 2, rel=1e-3)
    assert turned[2, 2] == pytest.approx(c[2, 2], rel=1e-3)


@pytest.mark.parametrize("n_points", [2, 4])
def test_pairs_without_stress_fulfil_the_relation_of_cauchy(n_points):
    calc = MetatomicCalculator(lennard_jones(cutoff=8.0, shift="smooth"))
    edge = (4 * equation_of_state(ase.build.bulk("Ar", a=5.27), calc, strain=0.01).volume) ** (1 / 3)
    found = elastic_constants(ase.build.bulk("Ar", a=edge), calc, strain=2e-3, n_points=n_points, relax=False)
    assert np.abs(found.stress).max() < 1e-3
    assert found.stiffness[0, 1] == pytest.approx(found.stiffness[3, 3], rel=2e-3)


def test_more_points_take_an_order_of_the_strain_away(calculator):
    crystal = ase.build.bulk("Si", a=SILICON_A)
    exact = elastic_constants(crystal, calculator, strain=1e-3, relax=False).stiffness[0, 0]
    errors = [
        abs(elastic_constants(crystal, calculator, strain=0.02, n_points=n, relax=False).stiffness[0, 0] - exact)
        for n in (2, 4)
    ]
    assert errors[1] < errors[0] / 10


@pytest.mark.parametrize(
    ("crystal", "group", "n_constants"),
    [
        (ase.build.bulk("Si"), "m-3m", 3),
        (ase.build.bulk("Mg"), "6/mmm", 5),
        (ase.build.bulk("Al", "bct", a=3.0, c=4.0), "4/mmm", 6),
        (TRICLINIC, "1", 21),
    ],
)
def test_point_group_has_the_known_number_of_constants(crystal, group, n_constants):
    found = find_point_group(crystal)
    assert found.name == group
    assert found.n_constants == n_constants


def test_averages_are_those_of_cubic_crystals(silicon):
    """R. Hill, Proc. Phys. Soc. A 65, 349 (1952): closed forms for cubic crystals."""
    found = ElasticConstants(cubic(C11, C12, C44), cubic(C11, C12, C44), np.zeros(6))
    averages = found.averages()
    difference = C11 - C12
    assert averages["voigt"]["shear"] == pytest.approx((difference + 3 * C44) / 5)
    assert averages["reuss"]["shear"] == pytest.approx(5 * difference * C44 / (4 * C44 + 3 * difference))
    for kind in ("voigt", "reuss", "hill"):
        assert averages[kind]["bulk"] == pytest.approx((C11 + 2 * C12) / 3)
        shear = averages[kind]["shear"]
        assert averages[kind]["young"] == pytest.approx(2 * shear * (1 + averages[kind]["poisson"]))
    s11 = (C11 + C12) / (difference * (C11 + 2 * C12))
    s12 = -C12 / (difference * (C11 + 2 * C12))
    np.testing.assert_allclose(
        found.young_modulus(np.array([[2.0, 0, 0], [1, 1, 1]])),
        [1 / s11, 1 / (s11 - 2 / 3 * (s11 - s12 - 1 / (2 * C44)))],
    )
    isotropic = cubic(100.0, 40.0, 30.0)
    assert ElasticConstants(isotropic, isotropic, np.zeros(6)).universal_anisotropy == pytest.approx(0, abs=1e-12)
    assert not ElasticConstants(cubic(50.0, 60.0, 30.0), isotropic, np.zeros(6)).is_stable


def test_elastic_command_gives_all(files, tmp_path):
    arguments = ["elastic", files / "silicon.pt", files / "silicon.xyz", "-o", tmp_path / "out", "--picture", "svg"]
    result = succeed(*arguments, "--bibtex", tmp_path / "cite.bib")
    cited = (tmp_path / "cite.bib").read_text("utf-8")
    # R. Hill on averages, F. Mouhat and F.-X. Coudert on stability, S. I. Ranganathan and M. Ostoja-Starzewski
    for doi in ("10.1088/0370-1298/65/5/307", "10.1103/PhysRevB.90.224104", "10.1103/PhysRevLett.101.055504"):
        assert f"doi = {{{doi}}}" in cited
        assert f"(doi:{doi})" in result.stderr
    assert "151.4" in result.stdout
    assert "Fd-3m (227), m-3m, 3 independent constants" in result.stdout
    data = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert data["symmetry"]["independent_constants"] == 3
    np.testing.assert_allclose(np.array(data["stiffness_GPa"]) @ data["compliance_1_per_GPa"], np.eye(6), atol=1e-9)
    assert len(ase.io.read(tmp_path / "out.extxyz", ":")) == 25
    assert b"<svg" in (tmp_path / "out.svg").read_bytes()


def test_stress_of_the_structure_is_a_warning(files, tmp_path):
    arguments = ["elastic", files / "silicon.pt", files / "pressed.xyz", "-o", tmp_path / "out", "--picture", "none"]
    warned(
        "expected a structure without stress, got .* `metatomic relax --cell full`",
        *arguments,
        "--no-relax",
        "--points",
        2,
    )


def test_without_spglib_nothing_is_averaged(files, tmp_path, monkeypatch):
    monkeypatch.setattr(elastic, "find_point_group", lambda atoms: None)
    arguments = ["elastic", files / "silicon.pt", files / "silicon.xyz", "-o", tmp_path / "out", "--picture", "none"]
    result = warned("pip install spglib", *arguments, "--no-relax", "--points", 2, "--json")
    assert json.loads(result.stdout)["symmetry"] is None


def test_unstable_crystal_is_told(files, tmp_path):
    """A simple cubic crystal of pairs shears away."""
    lennard_jones(cutoff=6.0, shift="smooth").save(str(tmp_path / "argon.pt"))
    ase.io.write(tmp_path / "sc.xyz", ase.build.bulk("Ar", "sc", a=3.72))
    arguments = ["elastic", tmp_path / "argon.pt", tmp_path / "sc.xyz", "-o", tmp_path / "out", "--no-relax"]
    warned("expected positive eigenvalues of the stiffness", *arguments)
    assert not (tmp_path / "out.pdf").exists()
    assert not json.loads((tmp_path / "out.json").read_text("utf-8"))["is_stable"]


def test_elastic_refuses(files, tmp_path):
    slab = ase.build.bulk("Si", a=SILICON_A)
    slab.pbc = [True, True, False]
    ase.io.write(tmp_path / "slab.extxyz", slab)
    model, out = files / "silicon.pt", ["-o", tmp_path / "out"]
    assert "expected a structure that is periodic in three directions for elastic constants" in fail(
        "elastic", model, tmp_path / "slab.extxyz", *out
    )
    assert "'3' is not one of '2', '4'" in fail("elastic", model, files / "silicon.xyz", *out, "--points", 3, status=2)
    assert "is not in the range 0<x<0.2" in fail("elastic", model, files / "silicon.xyz", *out, "--strain", 0, status=2)
    ase.io.write(tmp_path / "argon.xyz", ase.build.bulk("Ar", a=5.3))
    assert "got Ar in structure 0" in fail("elastic", model, tmp_path / "argon.xyz", *out)


def test_crystal_without_bonds_is_refused(calculator):
    with pytest.raises(
        ValueError, match="expected a crystal that resists each strain, got constants between 0 and 0 GPa"
    ):
        elastic_constants(ase.build.bulk("Si", a=12.0), calculator, relax=False)


def test_fit_refuses_another_number_of_structures():
    with pytest.raises(ValueError, match="expected `structures` to be the 25 strained ones, got 1"):
        elastic.fit_elastic_constants([ase.build.bulk("Si")])
