"""The doctor beside loops that Moreish did not write: plain torch, and the lectures' first loop without a module."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import moreish
from moreish.errors import ConfigError
from moreish.models.model import windows_of

STEPS, CONTEXT, HIDDEN = 100, 3, 48


@pytest.fixture(scope="module")
def examples():
    corpus = moreish.Corpus.read("names")
    ids = torch.from_numpy(corpus.alphabet.encode_lines(corpus.train[:1500])).long()
    lengths = (ids == 0).nonzero()[:, 0].diff()
    return windows_of(ids[:-1], lengths, CONTEXT), ids[1:], len(corpus.alphabet)


@pytest.fixture(autouse=True)
def quickly(types_unchecked):
    """A training makes thousands of calls; what is checked of types elsewhere need not be checked in each."""


class Detach(nn.Module):
    def forward(self, x):
        return x.detach()


def network(symbols: int, norm: bool = False, function: type[nn.Module] = nn.Tanh, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = [nn.Embedding(symbols, 10), nn.Flatten(), nn.Linear(10 * CONTEXT, HIDDEN)]
    layers += [nn.BatchNorm1d(HIDDEN)] * norm + [function(), nn.Linear(HIDDEN, symbols)]
    net = nn.Sequential(*layers)
    with torch.no_grad():
        net[-1].weight.mul_(0.1)
        net[-1].bias.zero_()
    return net


def trained(net, examples, *, lr=0.3, batch=64, zero=True, reduction="mean", order=None, learning=True, adam=False,
            gathered=1):  # fmt: skip
    x, y, _ = examples
    parameters = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=3e-3) if adam else torch.optim.SGD(parameters, lr=lr)
    draw = torch.Generator().manual_seed(1)
    with moreish.doctor(net) as d:
        net.train(learning)
        for step in range(STEPS):
            rows = torch.randint(len(x), (batch,), generator=draw)
            if order is not None:
                rows = order[step * batch : (step + 1) * batch]
            if zero and step % gathered == 0:
                optimizer.zero_grad()
            F.cross_entropy(net(x[rows]), y[rows], reduction=reduction).backward()
            if step % gathered == gathered - 1:
                optimizer.step()
    return d.report()


@torch.no_grad()
def spoiled(net: nn.Sequential, how: str) -> nn.Sequential:
    if how == "overconfident-output":
        net[-1].weight.normal_()
    elif how == "saturated":
        net[2].weight.mul_(40)
    elif how == "dead-units":
        net[2].bias[: HIDDEN // 2] = -20
    elif how == "frozen-parameter":
        net[0].weight.requires_grad_(False)
    elif how == "unconnected-parameter":
        net.insert(2, Detach())
    elif how == "non-finite":
        net[2].weight[0, 0] = float("nan")
    return net


@pytest.mark.parametrize("kind", ["plain", "norm", "relu", "adam", "gathered"])
def test_a_healthy_loop_has_no_fault(examples, kind):
    net = network(examples[2], norm=kind == "norm", function=nn.ReLU if kind == "relu" else nn.Tanh)
    found = trained(net, examples, adam=kind == "adam", gathered=2 if kind == "gathered" else 1)
    assert found.findings == [] and str(found) == "no fault found" and found.steps == STEPS


CASES = {
    **{name: {} for name in ("overconfident-output", "saturated", "dead-units", "frozen-parameter",
                             "unconnected-parameter", "non-finite")},
    "gradients-not-zeroed": {"zero": False},
    "loss-reduction": {"reduction": "sum", "lr": 0.001},
    "batchnorm-mode": {"learning": False},
    "batchnorm-small-batch": {"batch": 2},
    "learning-rate-too-high": {"lr": 30.0},
    "learning-rate-too-low": {"lr": 3e-4},
    "batch-too-small": {"batch": 4},
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_fault_is_named_first_with_a_line_of_code(examples, name):
    function = nn.ReLU if name == "dead-units" else nn.Tanh
    net = spoiled(network(examples[2], norm="batchnorm" in name, function=function), name)
    found = trained(net, examples, **CASES[name])
    assert found.findings and found.findings[0].fault == name, str(found)
    assert found.findings[0].fix and not found.findings[0].fix.startswith("--"), "code, for a loop has no flags"


def test_a_list_learnt_in_its_own_order_is_noticed(examples):
    x = examples[0]
    found = trained(network(examples[2]), examples, order=torch.argsort(x[:, -1], stable=True))
    assert found.findings[0].fault == "no-shuffling"


def test_where_it_is_is_said(examples):
    net = spoiled(network(examples[2]), "frozen-parameter")
    assert trained(net, examples).findings[0].where == "0.weight"
    net = spoiled(network(examples[2]), "non-finite")
    assert "2.weight" in trained(net, examples).findings[0].where


def test_the_lectures_first_loop_is_over_confident_and_saturated(examples):
    """Karpathy, makemore part 3: the loss begins at 26 or so, and most of the tanh's results are at the ends."""
    x, y, symbols = examples
    draw = torch.Generator().manual_seed(2147483647)
    shapes = [(symbols, 10), (30, 200), (200,), (200, symbols), (symbols,)]
    c, w1, b1, w2, b2 = parameters = [torch.randn(shape, generator=draw).requires_grad_() for shape in shapes]
    with moreish.doctor(parameters) as d:
        for _ in range(60):
            rows = torch.randint(0, len(x), (32,), generator=draw)
            h: Tensor = torch.tanh(c[x[rows]].view(-1, 30) @ w1 + b1)
            loss = F.cross_entropy(h @ w2 + b2, y[rows])
            for p in parameters:
                p.grad = None
            loss.backward()
            for p in parameters:
                assert p.grad is not None
                p.data += -0.1 * p.grad
    assert [f.fault for f in d.report().findings] == ["overconfident-output", "saturated"]
    assert d.evidence.start is not None and d.evidence.start > 20


def test_losses_that_the_loop_measures_show_overfitting(examples):
    net = network(examples[2])
    x, y, _ = examples
    with moreish.doctor(net) as d:
        optimizer = torch.optim.SGD(net.parameters(), lr=0.3)
        for step in range(40):
            optimizer.zero_grad()
            F.cross_entropy(net(x[:64]), y[:64]).backward()
            optimizer.step()
            if step % 10 == 9:
                d.measured(train=2.5 - step * 0.04, dev=2.5 + step * 0.02)
    assert "overfit" in [f.fault for f in d.report().findings]


def test_the_model_is_left_without_hooks(examples):
    net = network(examples[2], norm=True)
    trained(net, examples)
    for module in net.modules():
        assert not (module._forward_hooks or module._forward_pre_hooks)
    assert all(not p._backward_hooks for p in net.parameters())


def test_a_doctor_who_saw_nothing_says_so():
    with moreish.doctor(nn.Linear(2, 2)) as d:
        pass
    with pytest.raises(ConfigError, match="no backward pass"):
        d.report()
