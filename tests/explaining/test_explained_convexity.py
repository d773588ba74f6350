"""That one layer has one minimum and hidden units have many: Hessians, lines and rates, against autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from moreish.explaining.bigram import convexity
from moreish.explaining.bigram.convexity import BETWEEN, LECTURE_DECAY, bent_of, convex_of
from moreish.explaining.bigram.network import RATE, descent_of, eigenvalues_of, nats_of, shares_of, start
from moreish.explaining.bigram.smoothing import add_k
from moreish.explaining.bigram.table import Table, table_of
from moreish.models.mlp import MLP, MLPConfig
from moreish.randomness import stream
from moreish.text.corpus import Corpus

TINY = Corpus.of(["ab", "ba", "abb", "aab", "b"])


@pytest.fixture(scope="module")
def table():
    return table_of(Corpus.read("minerals"))


def test_the_stable_rate_is_where_descent_begins_to_leave_the_table():
    """A step beside the minimum shrinks below it and grows above it."""
    table = table_of(TINY)
    probabilities = add_k(table.counts, 1.0)  # every pair seen, so that the minimum is a finite one
    table = Table(table.labels, np.rint(1000 * probabilities).astype(np.int64), None, table.stream)
    stable = descent_of(table, start(table, 0), 1).stable
    shares = shares_of(table)
    for rate, grows in ((0.97 * stable, False), (1.03 * stable, True)):
        w = torch.from_numpy(np.log(table.probabilities))
        w = w + 1e-6 * torch.randn(w.shape, generator=stream(1, "aside"), dtype=w.dtype)
        sizes = []
        for _ in range(400):
            gradient = torch.softmax(w, -1) * shares.sum(1, keepdim=True) - shares
            sizes.append(float(gradient.norm()))
            w = w - rate * gradient
        assert (sizes[-1] > sizes[0]) == grows


def test_a_rate_that_would_swing_is_halved_below_the_stable_one():
    dinosaurs = table_of(Corpus.read("dinosaurs"))
    found = descent_of(dinosaurs, start(dinosaurs, 0), 2)
    assert found.stable < RATE and found.rate == found.stable / 2
    names = table_of(Corpus.read("names"))
    found = descent_of(names, start(names, 0), 2)
    assert found.stable > RATE == found.rate


def test_the_hessians_eigenvalues_are_autograds():
    table = table_of(TINY)
    shares = shares_of(table)
    w = torch.randn(3, 3, generator=stream(0, "hessian"), dtype=torch.float64)

    def loss(flat: torch.Tensor) -> torch.Tensor:
        return -(torch.log_softmax(flat.view(3, 3), -1) * shares).sum()

    whole = torch.autograd.functional.hessian(loss, w.flatten())
    wanted = torch.linalg.eigvalsh(whole)
    blocks = eigenvalues_of(torch.softmax(w, -1), shares).flatten().sort().values
    assert torch.allclose(blocks, wanted, atol=1e-14) and wanted[0] > -1e-15 and (wanted[:3] < 1e-15).all()


def test_one_layer_has_one_minimum(table):
    found = convex_of(table, 0, 200, 20.0)
    assert [each.seed for each in found.starts] == [0, 1, 2, 3, 4] and found.decay == LECTURE_DECAY
    assert found.newton_difference < 1e-9 and found.newton_loss_difference < 1e-12
    assert found.loss_difference < 0.1 < min(each.begins - each.descent for each in found.starts)
    assert found.chord > 0 >= found.line.barrier
    assert abs(found.least_eigenvalue) < 1e-12 * found.largest_eigenvalue and found.flat >= table.symbols
    w = torch.randn(table.counts.shape, generator=stream(2, "bigram/start")).double()
    before, after = (torch.from_numpy(ids.astype(np.int64)) for ids in (table.stream[:-1], table.stream[1:]))
    assert found.starts[2].begins == pytest.approx(F.cross_entropy(w[before], after).item(), abs=1e-12)
    for _ in range(200):
        v = w.requires_grad_()
        (gradient,) = torch.autograd.grad(-(torch.log_softmax(v, -1) * shares_of(table)).sum(), v)
        w = (v - 20.0 * gradient).detach()
    assert found.starts[2].descent == pytest.approx(nats_of(table, w), abs=1e-9)


def test_hidden_units_have_many(table, monkeypatch):
    monkeypatch.setattr(convexity, "MLP_STEPS", 150)
    found = bent_of(table, 0)
    first, second = found.minima
    assert (first.seed, second.seed) == (0, 1) and max(first.nats, second.nats) < 3
    assert found.seeds.nats[0] == pytest.approx(first.nats) and found.seeds.nats[-1] == pytest.approx(second.nats)
    assert found.reordered.nats[0] == pytest.approx(found.reordered.nats[-1], abs=1e-12) and found.same < 1e-12
    assert found.reordered.barrier > 0.05 and len(found.seeds.nats) == BETWEEN
    straight = np.linspace(first.nats, second.nats, BETWEEN)
    assert found.seeds.barrier == pytest.approx((np.array(found.seeds.nats) - straight).max(), abs=1e-12)


def test_the_line_is_walked_in_the_weights(monkeypatch):
    """Half-way between two networks stands the network of the mean weights, by plain products and tanh."""
    monkeypatch.setattr(convexity, "MLP_STEPS", 30)
    table = table_of(TINY)
    found = bent_of(table, 4)
    shares = shares_of(table)
    states = []
    for seed in (4, 5):
        model, _ = convexity._trained(table, shares, seed)
        states.append({name: p.detach() for name, p in model.named_parameters()})
    mean = {name: (states[0][name] + states[1][name]) / 2 for name in states[0]}
    hidden = torch.tanh(mean["embedding.weight"] @ mean["hidden.0.weight"].T + mean["hidden.0.bias"])
    logits = hidden @ mean["output.weight"].T + mean["output.bias"]
    assert found.seeds.nats[BETWEEN // 2] == pytest.approx(-(torch.log_softmax(logits, -1) * shares).sum().item())
    names = dict(MLP(MLPConfig(symbols=3, context=1)).named_parameters())
    assert set(mean) == set(names), "what stands above is the whole network"
