"""Graphs run column by column give what they give as they are, and end in loops over pairs alone."""

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from metatomic_core.kernels.columns import ByColumns, Columns

N, K = 6, 4
FIRST = torch.tensor([0, 0, 1, 2, 2, 3])


def whole(value):
    return value.whole() if isinstance(value, Columns) else value


def moments(v):
    """What Stillinger-Weber makes of its vectors."""
    r = v.square().sum(1).sqrt()
    unit = v / r.unsqueeze(1)
    factor = torch.where(r < 3.0, r.exp(), 0.0).unsqueeze(1)
    return torch.cat([factor, factor * unit, factor * unit * unit, factor * unit * unit.roll(-1, 1)], dim=1)


CASES = {
    "norm": lambda v: v.square().sum(1),
    "keep": lambda v: v / (v * v).sum(1, keepdim=True).sqrt(),
    "negative dimension": lambda v: v.pow(2).sum(-1).rsqrt(),
    "moments": moments,
    "sums at atoms": lambda v: torch.zeros(K, 10, dtype=v.dtype).index_add(0, FIRST, moments(v)),
    "and back": lambda v: (
        moments(v) * torch.zeros(K, 10, dtype=v.dtype).index_add(0, FIRST, moments(v)).index_select(0, FIRST)
    ).sum(1),
    "table of the other side": lambda v: v * torch.arange(3.0, dtype=v.dtype),
    "row of a table": lambda v: v * torch.arange(3.0, dtype=v.dtype).reshape(1, 3) + 1.0,
    "outer product": lambda v: v.unsqueeze(2) * v.unsqueeze(1),
    "trace": lambda v: (v.unsqueeze(2) * v.unsqueeze(1)).sum((1, 2)),
    "slices": lambda v: v[:, 1:] - v[:, :2] + v[:, 2:3],
    "select": lambda v: v[:, -1] * v.select(1, 0),
    "of some pairs": lambda v: v.index_select(0, torch.tensor([3, 1])) * 2.0,
    "expand": lambda v: v.sum(1, keepdim=True).expand(-1, 3) * v,
    "type": lambda v: v.to(torch.float32) + 1,
    "squeeze": lambda v: (v.unsqueeze(2).squeeze(2), v.unsqueeze(1).squeeze(1).sum(1)),
    "several pairs at once": lambda v: torch.cumsum(v, 0) + v,
    "matrix": lambda v: v @ torch.eye(3, dtype=v.dtype) + v,
    "softmax": lambda v: torch.softmax(v, 1),
    "over pairs": lambda v: v.sum(0) + v.mean(),
    "pairs joined": lambda v: torch.cat([v, 2.0 * v]),
    "many columns": lambda v: v.repeat(1, 20).square().sum(1),
    "roll of pairs": lambda v: v.roll(1, 0),
    "a tensor of them": lambda v: torch.stack([v[:, 0], v[:, 2]], 1).square(),
}


# of these the sizes are in the function
OF_SIX_PAIRS = ("sums at atoms", "and back", "of some pairs", "over pairs")


@pytest.mark.parametrize(("name", "n"), [(name, n) for name in CASES for n in (N, 0) if n or name not in OF_SIX_PAIRS])
def test_the_same_as_whole_tensors(name, n):
    function = CASES[name]
    vectors = torch.rand(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.5
    graph = make_fx(function)(vectors)
    expected = function(vectors)
    found = ByColumns(graph).run(Columns(vectors.unbind(1), [3]))
    for value, reference in zip(
        *([x] if torch.is_tensor(x) or isinstance(x, Columns) else x for x in (found, expected))
    ):
        assert whole(value).dtype == reference.dtype
        torch.testing.assert_close(whole(value), reference, rtol=1e-14, atol=1e-14)


def test_gradients_stay_apart():
    """Of a sum over atoms of many-body terms: no operator of the graph sees more than one dimension of pairs."""

    def gradient(v):
        v = v.detach().requires_grad_()
        sums = torch.zeros(K, 10, dtype=v.dtype).index_add(0, FIRST, moments(v))
        return torch.autograd.grad(sums.square().sum(), v)[0]

    vectors = torch.rand(N, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) + 0.5
    graph = make_fx(gradient)(vectors)

    def by_columns(x, y, z):
        found = ByColumns(graph).run(Columns([x, y, z], [3]))
        assert isinstance(found, Columns)
        return found.columns

    columns = make_fx(by_columns)(*vectors.unbind(1))
    views = (torch.ops.aten.unsqueeze.default, torch.ops.aten.expand.default)
    computed = [node for node in columns.graph.nodes if torch.is_tensor(node.meta.get("val"))]
    sizes = [node.meta["val"].shape for node in computed if node.target not in views]
    assert [size for size in sizes if len(size) > 1 and size[0] == N] == []
    torch.testing.assert_close(torch.stack(columns(*vectors.unbind(1)), 1), gradient(vectors), rtol=1e-13, atol=1e-13)
