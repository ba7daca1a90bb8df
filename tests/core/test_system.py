"""`System`: what it refuses and what it gives back."""

import pytest
import torch
from metatensor.torch import Labels, TensorBlock
from system_cases import PAIRS, SAMPLES, XYZ, bare_system, data_map, full_system, neighbor_block

from metatomic_core import NeighborListOptions, System, register_autograd_neighbors

F64 = torch.float64
TYPES = torch.tensor([1, 8])
POSITIONS = torch.tensor([[0.0, 0, 0], [1, 1, 1]], dtype=F64)
CELL = torch.eye(3, dtype=F64) * 4
PBC = torch.ones(3, dtype=torch.bool)
OPTIONS = NeighborListOptions(3.0, True, True)
DISTANCE = Labels(["distance"], torch.tensor([[0]]))


def system_of(**changes):
    arguments = {"types": TYPES, "positions": POSITIONS, "cell": CELL, "pbc": PBC}
    return System(**{**arguments, **changes})


# --- constructor

REFUSED = [
    ("types", [1, 8], TypeError, "expected `types` to be a torch.Tensor, got list"),
    ("types", torch.ones(2, 1, dtype=torch.int32), ValueError, r"expected `types` to have the shape \(n_atoms,\), got"),
    ("types", torch.ones(2), ValueError, "expected `types` to be integers, got torch.float32"),
    ("types", torch.ones(2, dtype=torch.bool), ValueError, "expected `types` to be integers, got torch.bool"),
    ("types", torch.tensor([1, 2**40]), ValueError, "expected `types` to fit in 32-bit integers, got values up to"),
    ("positions", POSITIONS.numpy(), TypeError, "expected `positions` to be a torch.Tensor, got ndarray"),
    ("positions", POSITIONS[:1], ValueError, r"expected `positions` to have the shape \(2, 3\), got \(1, 3\)"),
    ("positions", POSITIONS[:, :2], ValueError, r"expected `positions` to have the shape \(2, 3\), got \(2, 2\)"),
    ("positions", POSITIONS.flatten(), ValueError, r"expected `positions` to have the shape \(2, 3\), got \(6,\)"),
    ("positions", POSITIONS.long(), ValueError, "expected `positions` to be floating point numbers, got torch.int64"),
    ("positions", POSITIONS.to("meta"), ValueError, "expected `positions` on the device of the system, cpu, got meta"),
    ("cell", None, TypeError, "expected `cell` to be a torch.Tensor, got NoneType"),
    ("cell", CELL[0], ValueError, r"expected `cell` to have the shape \(3, 3\), got \(3,\)"),
    ("cell", CELL[:2], ValueError, r"expected `cell` to have the shape \(3, 3\), got \(2, 3\)"),
    ("cell", CELL.float(), ValueError, r"expected `cell` to have the dtype of `positions`, torch.float64, got torch.f"),
    ("cell", CELL.to("meta"), ValueError, "expected `cell` on the device of the system, cpu, got meta"),
    ("cell", CELL * float("inf"), ValueError, r"expected `cell` to be finite, got \[inf, nan, nan\] in row 0"),
    ("pbc", True, TypeError, "expected `pbc` to be a torch.Tensor, got bool"),
    ("pbc", PBC[:2], ValueError, r"expected `pbc` to have the shape \(3,\), got \(2,\)"),
    ("pbc", PBC.int(), ValueError, r"expected `pbc` to be bool, got torch.int32"),
    ("pbc", PBC.to("meta"), ValueError, "expected `pbc` on the device of the system, cpu, got meta"),
    ("pbc", ~PBC, ValueError, "expected `cell` vectors of non-periodic directions to be zero, got `pbc`"),
]


@pytest.mark.parametrize(("name", "value", "kind", "message"), REFUSED)
def test_constructor_refuses(name, value, kind, message):
    with pytest.raises(kind, match=message):
        system_of(**{name: value})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_defect_non_finite_positions_are_refused(value):
    positions = POSITIONS.clone()
    positions[1, 2] = value
    with pytest.raises(ValueError, match=rf"expected `positions` to be finite, got \[1.0, 1.0, {value}\] in row 1"):
        system_of(positions=positions)


@pytest.mark.parametrize("periodic", [[True, True, True], [False, True, False]])
def test_defect_periodic_zero_cell_is_refused(periodic):
    with pytest.raises(ValueError, match="expected a non-zero `cell` vector in each periodic direction, got `pbc`"):
        system_of(cell=torch.zeros(3, 3, dtype=F64), pbc=torch.tensor(periodic))


@pytest.mark.parametrize(
    "cell",
    [
        [[1.0, 0, 0], [2, 0, 0], [0, 0, 1]],
        [[1.0, 2, 3], [4, 5, 6], [7, 8, 9]],
        [[1e-5, 0, 0], [1e5, 1e-9, 0], [0, 0, 1]],
    ],
)
def test_singular_cell_is_refused(cell):
    with pytest.raises(ValueError, match="expected independent `cell` vectors, got the singular cell"):
        system_of(cell=torch.tensor(cell, dtype=F64))


def test_singular_slab_is_refused_and_slab_accepted():
    slab = torch.tensor([True, True, False])
    cell = torch.tensor([[3.0, 0, 0], [1, 2, 0], [0, 0, 0]], dtype=F64)
    assert torch.equal(system_of(cell=cell, pbc=slab).cell, cell)
    cell[1] = 2 * cell[0]
    with pytest.raises(ValueError, match="expected independent `cell` vectors"):
        system_of(cell=cell, pbc=slab)


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_cell_of_any_size_is_accepted(scale):
    assert float(system_of(cell=CELL * scale).cell[0, 0]) == 4 * scale


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, F64])
def test_dtype_is_kept(dtype):
    system = system_of(positions=POSITIONS.to(dtype), cell=CELL.to(dtype))
    assert system.dtype == dtype
    assert isinstance(system.dtype, torch.dtype)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64])
def test_types_become_int32(dtype):
    types = system_of(types=TYPES.to(dtype)).types
    assert types.dtype == torch.int32
    assert types.tolist() == [1, 8]


def test_system_without_atoms():
    system = bare_system(n_atoms=0)
    assert len(system) == 0
    assert repr(system) == "System with 0 atoms, periodic cell: [[4, 0.1, 0], [0.7, 5, -0.2], [0.3, 0.4, 6]]"


def test_meta_device_skips_values():
    system = system_of(
        **{name: getattr(system_of(), name).to("meta") for name in ("types", "positions", "cell", "pbc")}
    )
    assert system.device.type == "meta"


# --- setters

SETTERS = [
    ("types", torch.tensor([1, 8, 6]), ValueError, r"expected new `types` to have the shape \(2,\), got \(3,\)"),
    ("types", torch.ones(2), ValueError, "expected `types` to be integers"),
    ("positions", POSITIONS[:1], ValueError, r"expected `positions` to have the shape \(2, 3\)"),
    (
        "positions",
        POSITIONS.float(),
        ValueError,
        r"expected new `positions` to have the dtype torch.float64, got torch.f",
    ),
    ("positions", POSITIONS * float("nan"), ValueError, "expected `positions` to be finite"),
    ("positions", POSITIONS.to("meta"), ValueError, "expected `positions` on the device of the system, cpu, got meta"),
    ("cell", CELL.float(), ValueError, "expected `cell` to have the dtype of `positions`"),
    ("cell", CELL[0], ValueError, r"expected `cell` to have the shape \(3, 3\)"),
    ("cell", CELL * 0, ValueError, "expected a non-zero `cell` vector in each periodic direction"),
    ("pbc", PBC.int(), ValueError, "expected `pbc` to be bool"),
    ("pbc", ~PBC, ValueError, "expected `cell` vectors of non-periodic directions to be zero"),
]


@pytest.mark.parametrize(("name", "value", "kind", "message"), SETTERS)
def test_setter_refuses_and_changes_nothing(name, value, kind, message):
    system = system_of()
    before = getattr(system, name).clone()
    with pytest.raises(kind, match=message):
        setattr(system, name, value)
    assert torch.equal(getattr(system, name), before)


def test_setters_take_new_values():
    system = system_of()
    new = {"types": torch.tensor([6, 6]), "positions": POSITIONS + 1, "cell": CELL * 2, "pbc": PBC.clone()}
    for name, value in new.items():
        setattr(system, name, value)
        assert torch.equal(getattr(system, name), value.to(getattr(system, name).dtype))


def test_defect_cell_setter_rechecks_pbc():
    system = system_of(cell=CELL * 0, pbc=~PBC)
    with pytest.raises(ValueError, match="expected `cell` vectors of non-periodic directions to be zero"):
        system.cell = CELL


def test_device_and_dtype_are_read_only():
    for name in ("device", "dtype"):
        with pytest.raises(AttributeError, match=name):
            setattr(system_of(), name, None)


# --- printing


def test_repr_of_all_kinds_of_systems():
    assert repr(system_of()) == "System with 2 atoms, periodic cell: [[4, 0, 0], [0, 4, 0], [0, 0, 4]]"
    one = System(TYPES[:1], POSITIONS[:1], CELL * 0, ~PBC)
    assert repr(one) == str(one) == "System with 1 atom, non periodic"
    slab = torch.tensor([True, True, False])
    mixed = system_of(cell=CELL * slab[:, None], pbc=slab)
    assert repr(mixed) == "System with 2 atoms, pbc [True, True, False] cell: [[4, 0, 0], [0, 4, 0], [0, 0, 0]]"


# --- to


@pytest.mark.parametrize(
    "arguments",
    [(torch.float32,), (torch.float32, "cpu"), ("cpu", torch.float32), (torch.device("cpu"), torch.float32)],
)
def test_to_in_any_order(arguments):
    moved = full_system().to(*arguments)
    assert moved.dtype == torch.float32
    assert moved.device == torch.device("cpu")
    for options in moved.known_neighbor_lists():
        assert moved.get_neighbor_list(options).values.dtype == torch.float32
    for name in moved.known_data():
        assert moved.get_data(name).block(0).values.dtype == torch.float32
        assert moved.get_data(name).get_info("unit") == "u"


def test_to_with_keywords_and_without_arguments():
    system = system_of()
    assert system.to(device="meta").device.type == "meta"
    assert system.to(dtype=torch.float32, device="cpu", non_blocking=True).dtype == torch.float32
    assert system.to().dtype == F64
    for moved in (system.to("meta", dtype=torch.float32), system.to(torch.float32, device="meta")):
        assert (moved.dtype, moved.device.type) == (torch.float32, "meta")
    assert system.to(torch.float32, "cpu", True).dtype == torch.float32
    with pytest.raises(ValueError, match="expected one device, got cpu and meta"):
        system.to("cpu", device="meta")


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((torch.float32, F64), ValueError, r"expected one dtype, got torch.float32 and torch.float64"),
        (("cpu", "cpu"), ValueError, "expected one device, got cpu and cpu"),
        ((torch.int32,), ValueError, r"expected a floating point dtype, got torch.int32"),
        ((POSITIONS,), TypeError, r"expected a torch.dtype or a device, got Tensor"),
        ((3.0,), TypeError, r"expected a torch.dtype or a device, got float"),
    ],
)
def test_to_refuses(arguments, kind, message):
    with pytest.raises(kind, match=message):
        system_of().to(*arguments)


def test_to_leaves_the_original_alone():
    system = full_system()
    system.to(torch.float32).positions[0, 0] = 100.0
    assert system.dtype == F64
    assert float(system.positions[0, 0]) == 0.1
    assert len(system.known_neighbor_lists()) == 2


# --- neighbor lists


def block_of(samples=SAMPLES, component=XYZ, properties=DISTANCE, dtype=F64, device="cpu"):
    values = torch.zeros(1, len(component), len(properties), dtype=dtype)
    labels = Labels(samples, torch.zeros(1, len(samples), dtype=torch.int32))
    return TensorBlock(values, labels, [component], properties).to(device=device)


def block_with_gradient():
    block = block_of()
    samples = Labels(["sample"], torch.tensor([[0]]))
    block.add_gradient("strain", TensorBlock(torch.zeros(1, 3, 1, dtype=F64), samples, [XYZ], DISTANCE))
    return block


@pytest.mark.parametrize(
    ("block", "kind", "message"),
    [
        (torch.zeros(3), TypeError, "expected `neighbors` to be a TensorBlock, got Tensor"),
        (
            block_of(SAMPLES[::-1]),
            ValueError,
            r"expected `neighbors` to have the samples \['first_atom', .*got \['cell_",
        ),
        (
            block_of(component=Labels(["x"], torch.tensor([[0], [1], [2]]))),
            ValueError,
            r"expected `neighbors` to have the component xyz = \[0, 1, 2\], got \['x = \[0, 1, 2\]'\]",
        ),
        (
            block_of(component=Labels(["xyz"], torch.tensor([[0], [2], [1]]))),
            ValueError,
            r"component xyz = \[0, 1, 2\]",
        ),
        (
            block_of(properties=Labels(["distance"], torch.tensor([[1]]))),
            ValueError,
            r"expected `neighbors` to have the property distance = \[0\], got distance = \[1\]",
        ),
        (block_with_gradient(), ValueError, r"expected `neighbors` without gradients, got \['strain'\]"),
        (
            block_of(dtype=torch.float32),
            ValueError,
            r"expected `neighbors` to have the dtype of the system, torch.float64, got torch.float32",
        ),
        (block_of(device="meta"), ValueError, "expected `neighbors` on the device of the system, cpu, got meta"),
    ],
)
def test_add_neighbor_list_refuses(block, kind, message):
    system = system_of()
    with pytest.raises(kind, match=message):
        system.add_neighbor_list(OPTIONS, block)
    assert system.known_neighbor_lists() == []


def test_add_neighbor_list_checks_options():
    with pytest.raises(TypeError, match="expected `options` to be NeighborListOptions, got float"):
        system_of().add_neighbor_list(3.0, block_of())


def test_add_neighbor_list_twice_is_refused():
    system = system_of()
    system.add_neighbor_list(OPTIONS, block_of())
    with pytest.raises(ValueError, match="expected a new neighbor list for `options`, got one that this system"):
        system.add_neighbor_list(NeighborListOptions(3.0, True, True, "another requestor"), block_of())


def test_get_neighbor_list_by_equal_options():
    system = bare_system()
    block = neighbor_block(system)
    options = NeighborListOptions(3.0, True, True)
    options.length_unit = "angstrom"
    system.add_neighbor_list(options, block)
    assert torch.equal(system.get_neighbor_list(OPTIONS).values, block.values)
    assert torch.equal(system.get_neighbor_list(OPTIONS).samples.values, PAIRS)
    assert system.known_neighbor_lists() == [OPTIONS]


def test_get_neighbor_list_missing():
    expected = (
        "expected a neighbor list that this system has, got cutoff=3.0 full_list=True strict=True; "
        "is it part of the `requested_neighbor_lists` of the model?"
    )
    with pytest.raises(ValueError, match="expected a neighbor list") as error:
        system_of().get_neighbor_list(OPTIONS)
    assert str(error.value) == expected


def test_neighbor_list_outside_of_the_graph_warns():
    system = bare_system()
    system.positions.requires_grad_(True)
    with pytest.warns(
        UserWarning, match="expected `neighbors` that are connected to positions and cell, got values wi"
    ):
        system.add_neighbor_list(OPTIONS, neighbor_block(system))


def test_neighbor_list_in_the_graph_is_silent():
    system = bare_system()
    system.cell.requires_grad_(True)
    block = neighbor_block(system)
    register_autograd_neighbors(system, block)
    system.add_neighbor_list(OPTIONS, block)
    assert system.get_neighbor_list(OPTIONS).values.requires_grad


# --- data


@pytest.mark.parametrize(
    "name", ["mass", "masses", "charge/ions", "tests::field", "tests::field/x", "a::b::c", "spin_multiplicity"]
)
def test_add_and_get_data(name):
    system = bare_system()
    system.add_data(name, data_map())
    assert system.known_data() == [name]
    assert system.get_data(name).get_info("unit") == "u"


@pytest.mark.parametrize(("added", "asked"), [("mass", "masses"), ("charges/ions", "charge/ions")])
def test_data_under_both_spellings(added, asked):
    system = bare_system()
    system.add_data(added, data_map())
    assert system.get_data(asked).get_info("unit") == "u"
    with pytest.raises(ValueError, match=f"expected new data for `name`, got '{asked}', which this system has"):
        system.add_data(asked, data_map())


@pytest.mark.parametrize("name", ["positions", "Position", "TYPES", "type", "cell", "pbc", "neighbors", "Neighbor"])
def test_data_of_the_system_itself_is_refused(name):
    with pytest.raises(ValueError, match=f"expected `name` to be other than the attributes of a system, got '{name}'"):
        bare_system().add_data(name, data_map())


@pytest.mark.parametrize("name", ["", "::field", "tests::", "a::::b", "/x", "x/y::z", "tests::x/y/z"])
def test_data_with_malformed_name_is_refused(name):
    with pytest.raises(ValueError, match="expected `data` to"):
        bare_system().add_data(name, data_map())


@pytest.mark.parametrize("name", ["tests::foo/", "mass/"])
def test_defect_name_with_empty_variant_is_refused(name):
    with pytest.raises(ValueError, match=rf"expected `data` to be a name, .*, got '{name}'"):
        bare_system().add_data(name, data_map())


def test_data_with_unknown_name_says_which_is_near():
    with pytest.raises(
        ValueError, match=r"expected a standard quantity, got 'mas'; did you mean 'mass'; use 'domain::mas"
    ):
        bare_system().add_data("mas", data_map())


def test_data_is_replaced_only_with_override():
    system = bare_system()
    system.add_data("mass", data_map())
    with pytest.raises(ValueError, match="expected new data for `name`, got 'mass', which this system has; use `over"):
        system.add_data("mass", data_map(unit="kg"))
    system.add_data("mass", data_map(unit="kg"), override=True)
    assert system.get_data("mass").get_info("unit") == "kg"


def test_data_override_under_the_other_spelling_replaces():
    system = bare_system()
    system.add_data("mass", data_map())
    system.add_data("masses", data_map(unit="kg"), override=True)
    assert {system.get_data(name).get_info("unit") for name in ("mass", "masses")} == {"kg"}
    assert len(system.known_data()) == 1


def test_data_of_other_kinds_is_refused():
    system = bare_system()
    with pytest.raises(TypeError, match="expected `name` to be a string, got int"):
        system.add_data(3, data_map())
    with pytest.raises(TypeError, match="expected `tensor` to be a TensorMap, got Tensor"):
        system.add_data("mass", torch.zeros(3))
    with pytest.raises(ValueError, match=r"expected `data 'mass'` to have the dtype of the system, torch.float64"):
        system.add_data("mass", data_map(torch.float32))
    with pytest.raises(ValueError, match="expected `data 'mass'` on the device of the system, cpu, got meta"):
        system.add_data("mass", data_map().to(device="meta"))
    assert system.known_data() == []


def test_get_data_missing():
    with pytest.raises(ValueError, match="expected the name of data in this system for `name`, got 'mass'"):
        bare_system().get_data("mass")


def test_two_systems_share_nothing():
    first, second = bare_system(), bare_system()
    first.add_data("mass", data_map())
    first.add_neighbor_list(OPTIONS, neighbor_block(first))
    assert (second.known_data(), second.known_neighbor_lists()) == ([], [])
