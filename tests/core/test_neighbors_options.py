"""`NeighborListOptions`: validation, equality, units."""

import math

import pytest
import torch

from metatomic_core import NeighborListOptions
from metatomic_core.data.neighbors import find_options


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (("3", True, True), TypeError, "expected `cutoff` to be a number, got str"),
        ((True, True, True), TypeError, "expected `cutoff` to be a number, got bool"),
        ((3.0, 1, True), TypeError, "expected `full_list` to be True or False, got int"),
        ((3.0, True, None), TypeError, "expected `strict` to be True or False, got NoneType"),
        ((3.0, True, True, 5), TypeError, "expected `requestor` to be a string, got int"),
    ],
)
def test_constructor_refuses(arguments, kind, message):
    with pytest.raises(kind, match=message):
        NeighborListOptions(*arguments)


@pytest.mark.parametrize("cutoff", [0, 0.0, -1.5, math.nan, math.inf, -math.inf])
def test_defect_cutoff_is_validated(cutoff):
    with pytest.raises(ValueError, match=f"expected `cutoff` to be positive and finite, got {cutoff}"):
        NeighborListOptions(cutoff, True, True)


def test_attributes_are_read_only():
    options = NeighborListOptions(3, full_list=False, strict=True)
    assert (options.cutoff, options.full_list, options.strict, options.length_unit) == (3.0, False, True, "")
    assert isinstance(options.cutoff, float)
    for name in ("cutoff", "full_list", "strict"):
        with pytest.raises(AttributeError, match=name):
            setattr(options, name, 1)


def test_requestors_are_kept_once():
    options = NeighborListOptions(3.0, True, True, "a")
    for requestor in ("b", "a", "", "b"):
        options.add_requestor(requestor)
    assert options.requestors() == ["a", "b"]
    assert NeighborListOptions(3.0, True, True).requestors() == []


def test_length_unit_must_be_a_length():
    options = NeighborListOptions(3.0, True, True)
    options.length_unit = "nm"
    with pytest.raises(ValueError, match="expected a unit of length for `length_unit`, got 'eV'"):
        options.length_unit = "eV"
    with pytest.raises(ValueError, match="expected a unit of length for `length_unit`, got 'furlong'"):
        options.length_unit = "furlong"
    assert options.length_unit == "nm"


def test_engine_cutoff_converts():
    options = NeighborListOptions(3.0, True, True)
    assert options.engine_cutoff("nm") == 3.0  # no unit, no conversion
    options.length_unit = "angstrom"
    assert options.engine_cutoff("nm") == pytest.approx(0.3, rel=1e-15)
    # CODATA 2018: 1 bohr is 0.529177210903 angstrom
    assert options.engine_cutoff("bohr") == pytest.approx(3.0 / 0.529177210903, rel=1e-10)
    with pytest.raises(ValueError, match="eV"):
        options.engine_cutoff("eV")


def test_equality_of_what_is_asked():
    options = NeighborListOptions(3.0, True, False, "a")
    assert options == NeighborListOptions(3.0, True, False, "b")
    for other in [(3.1, True, False), (3.0, False, False), (3.0, True, True)]:
        assert options != NeighborListOptions(*other)
    assert options != "options"
    assert options != (3.0, True, False)


def in_unit(unit):
    options = NeighborListOptions(3.0, True, True)
    options.length_unit = unit
    return options


def test_defect_equality_respects_units():
    assert in_unit("nm") != in_unit("angstrom")
    assert in_unit("nm") == in_unit("nm")
    # a request inside a model has no unit yet
    assert in_unit("") == in_unit("nm")


def test_defect_hash_is_consistent_with_equality():
    assert len({in_unit(""), in_unit("")}) == 1
    assert hash(in_unit("")) == hash(in_unit("nm"))
    assert hash(NeighborListOptions(3.0, True, True, "a")) == hash(NeighborListOptions(3.0, True, True, "b"))


def test_find_options():
    known = [NeighborListOptions(2.0, True, True), NeighborListOptions(3.0, True, True)]
    assert find_options(NeighborListOptions(3.0, True, True), known) == 1
    assert find_options(NeighborListOptions(3.0, False, True), known) is None


def test_repr():
    assert repr(in_unit("nm")) == "NeighborListOptions(cutoff=3 nm, full_list=True, strict=True)"
    assert str(in_unit("")) == "NeighborListOptions(cutoff=3, full_list=True, strict=True)"


@torch.jit.script
def _in_script(options: NeighborListOptions) -> NeighborListOptions:
    assert options == NeighborListOptions(3.0, True, True)
    assert options != NeighborListOptions(3.0, True, False)
    options.add_requestor("script")
    return options


def test_scripted_code_works_on_a_copy():
    options = in_unit("nm")
    returned = _in_script(options)
    assert isinstance(returned, NeighborListOptions)
    assert returned == options
    assert (returned.requestors(), options.requestors()) == (["script"], [])
