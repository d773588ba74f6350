"""Gradients by hand in three grains, and the verdicts on them: what is right is never called wrong, nor the reverse."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from moreish import MODELS, Corpus
from moreish.errors import ConfigError, UsageError
from moreish.explaining.grains import backprop as module
from moreish.explaining.grains.backprop import GRAINS, backprop
from moreish.explaining.grains.lecture_net import (
    FUSED,
    ORDER,
    PARAMETERS,
    STEPS,
    atomic_backward,
    forward,
    fresh,
    fused_backward,
)
from moreish.explaining.grains.verdicts import Both, Compared, judge, ulp
from moreish.ops import pointwise
from moreish.ops.plain_step import PlainStep
from moreish.randomness import stream

NETWORKS = [name for name, entry in MODELS.items() if entry.learns_by_gradient and name != "mlp-bn"]
ROWS = {"atomic": {*PARAMETERS, *STEPS}, "fused": {*PARAMETERS, *FUSED}, "step": {*PARAMETERS}}
SIZES: list[dict[str, Any]] = [
    {}, {"hidden": 200}, {"hidden": 1, "embedding": 1, "context": 1}, {"batch": 2}, {"batch": 300, "context": 8},
    {"hidden": 7, "embedding": 3, "batch": 5, "context": 2},
]  # fmt: skip


@pytest.fixture(scope="module")
def corpus():
    return Corpus.read("names")


@pytest.fixture(scope="module")
def small():
    return Corpus.read("dinosaurs")


def given(hidden: int = 64, count: int = 32, seed: int = 0) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    generator = stream(seed, "ids")
    windows, targets = (
        torch.randint(27, (count, 3), generator=generator),
        torch.randint(27, (count,), generator=generator),
    )
    return fresh(27, 3, 10, hidden, seed), windows, targets


def gradients(p: dict[str, Tensor], windows: Tensor, targets: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """By hand (atomic), and by autograd."""
    v, autograd = module._autograd(p, windows, targets)
    return atomic_backward(p, v, windows, targets), autograd


def boths(hidden: int = 64, count: int = 32, seed: int = 0) -> dict[str, Both]:
    p, windows, targets = given(hidden, count, seed)
    mine, theirs = gradients(p, windows, targets)
    mine64, theirs64 = gradients({name: t.double() for name, t in p.items()}, windows, targets)
    noise = module._noise(p, windows, targets)
    return {name: Both(name, mine[name], theirs[name], mine64[name], theirs64[name], noise[name]) for name in ORDER}


def verdict_on(changed: Both, table: dict[str, Both]) -> Compared:
    judged = judge({**table, changed.name: changed}.values())
    return next(row for row in judged if row.name == changed.name)


# ---- the grains


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("grain", GRAINS)
def test_every_gradient_of_every_grain_is_right(grain, sizes, corpus):
    for seed in range(3):
        found = backprop(corpus=corpus, grain=grain, seed=seed, **sizes)
        assert not found.errors, found.text()
        assert {row.name for row in found.intermediates} == ROWS[grain]
        assert [row.name for row in found.intermediates] == [name for name in ORDER if name in ROWS[grain]]
    assert len(ROWS["atomic"]) == 19 + 7


@pytest.mark.parametrize("backward", [atomic_backward, fused_backward])
def test_in_float64_they_are_autograds_to_its_rounding(backward):
    p, windows, targets = given()
    p = {name: tensor.double() for name, tensor in p.items()}
    v, autograd = module._autograd(p, windows, targets)
    found = backward(p, v, windows, targets)
    largest = max(float(gradient.abs().max()) for gradient in autograd.values())
    for name, gradient in found.items():
        assert gradient.shape == autograd[name].shape
        torch.testing.assert_close(gradient, autograd[name], rtol=1e-10, atol=1e-14 * largest)


def test_the_grains_see_one_batch_and_agree(corpus):
    found = {grain: backprop(corpus=corpus, grain=grain, seed=4) for grain in GRAINS}
    assert len({round(one.loss, 6) for one in found.values()}) == 1
    assert backprop(corpus=corpus, seed=4) == found["atomic"]
    assert backprop(corpus=corpus, seed=5).loss != found["atomic"].loss


# ---- the verdicts


def test_what_the_lecture_calls_exact_false_is_rounding():
    """nn-zero-to-hero, issue 45: dhpreact by the lecture's own formula prints `exact: False` on many machines."""
    table = boths()
    both, (p, windows, targets) = table["hpreact"], given()
    v = forward(p, windows, targets)
    dh = table["h"].by_hand
    for formula in ((1.0 - v["h"] ** 2) * dh, dh - dh * v["h"] * v["h"], dh * (1 - v["h"]) * (1 + v["h"])):
        row = verdict_on(Both("hpreact", formula, both.autograd, both.by_hand64, both.autograd64, both.nearby), table)
        assert row.verdict == ("exact" if torch.equal(formula, both.autograd) else "rounding")
        assert row.ulps < 4
    assert not torch.equal(dh * (1 - v["h"]) * (1 + v["h"]), both.autograd), "one of them differs on any machine"


@pytest.mark.parametrize("size", [-2.0, 1e-2, 1e-5, -1e-5, 1e-7, 1e-9])
def test_a_planted_error_of_any_size_is_an_error(size):
    table = boths()
    for name, both in table.items():
        if name in ("b1", "logit_maxes"):  # zero, and zero times anything is zero
            continue
        wrong = Both(
            name, both.by_hand * (1 + size), both.autograd, both.by_hand64 * (1 + size), both.autograd64, both.nearby
        )
        assert verdict_on(wrong, table).verdict == "error", name
        at = int(both.by_hand64.abs().argmax())  # one entry alone
        factor = torch.ones(both.by_hand.numel(), dtype=torch.float64)
        factor[at] += size
        factor = factor.view(both.by_hand.shape)
        wrong = Both(
            name, both.by_hand * factor.float(), both.autograd, both.by_hand64 * factor, both.autograd64, both.nearby
        )
        assert verdict_on(wrong, table).verdict == "error", name


@pytest.mark.parametrize("name", ["b1", "logit_maxes"])
def test_an_error_in_what_should_be_zero_is_an_error(name):
    table = boths()
    both = table[name]
    assert verdict_on(both, table).is_zero and verdict_on(both, table).verdict != "error"
    size = 1e-5 * float(table["hprebn"].by_hand64.abs().max())
    wrong = Both(name, both.by_hand + size, both.autograd, both.by_hand64 + size, both.autograd64, both.nearby)
    assert verdict_on(wrong, table).verdict == "error"


def test_an_error_in_float32_alone_is_an_error():
    table = boths()
    largest = max(float(both.autograd64.abs().max()) for both in table.values())
    for name, both in table.items():
        off = 1e-4 * (largest if name in ("b1", "logit_maxes") else float(both.autograd.abs().max()))
        wrong = Both(name, both.by_hand + off, both.autograd, both.by_hand64, both.autograd64, both.nearby)
        assert verdict_on(wrong, table).verdict == "error", name


@pytest.mark.parametrize("steps", [1, 4])
def test_float32s_rounding_is_no_error(steps):
    for seed in range(5):
        table = boths(seed=seed)
        for name, both in table.items():
            moved = both.autograd
            for _ in range(steps):
                moved = torch.nextafter(moved, torch.full_like(moved, math.inf))
            row = verdict_on(Both(name, moved, both.autograd, both.by_hand64, both.autograd64, both.nearby), table)
            assert row.verdict == "rounding", name
            assert row.is_zero or row.ulps == pytest.approx(steps, abs=0.01) or row.ulps < steps


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("batch", [2, 32, 1000])
def test_sums_in_another_order_are_no_error(batch, seed):
    """The same gradients with rows and units shuffled: every sum runs in another order."""
    p, windows, targets = given(100, batch, seed)
    rows, units = (torch.randperm(n, generator=stream(seed, "order")) for n in (batch, 100))
    q = {name: t[..., units] if name in ("W1", "b1", "bngain", "bnbias") else t for name, t in p.items()}
    q["W2"] = p["W2"][units]
    back = units.argsort()
    shuffled = gradients(q, windows[rows], targets[rows])[0]
    table = boths(100, batch, seed)
    for name in PARAMETERS:
        mine = shuffled[name]
        mine = mine[back] if name == "W2" else mine if name in ("C", "b2") else mine[..., back]
        both = table[name]
        row = verdict_on(Both(name, mine, both.autograd, both.by_hand64, both.autograd64, both.nearby), table)
        assert row.verdict != "error", (row, name)


def test_equal_bits_are_exact_and_no_number_is_an_error():
    x = torch.tensor([1.0, -0.5, 3.0])
    (row,) = judge([Both("x", x, x.clone(), x.double(), x.double())])
    assert (row.verdict, row.max_difference, row.ulps) == ("exact", 0.0, 0.0)
    for bad in (math.nan, math.inf):
        y = torch.tensor([1.0, bad, 3.0])
        (row,) = judge([Both("x", y, x, y.double(), x.double())])
        assert row.verdict == "error" and row.to_dict()["max_difference"] is None
    # What is exact in float32 but wrong in float64 is wrong.
    (row,) = judge([Both("x", x, x, x.double() * (1 + 1e-9), x.double())])
    assert row.verdict == "error"
    empty = torch.zeros(0, 3)
    (row,) = judge([Both("x", empty, empty, empty.double(), empty.double())])
    assert row.verdict == "exact"


@pytest.mark.parametrize("x", [1.0, 0.999999, 2.0, 3.7e-5, 1e-38, 1e-40, 0.0, 3e38, 1.9999999])
def test_an_ulp_is_numpys_spacing(x):
    assert ulp(x) == ulp(-x) == np.spacing(np.float32(x))


# ---- other models


@pytest.mark.parametrize("model", NETWORKS)
def test_every_networks_gradients_are_right(model, small):
    found = backprop(corpus=small, model=model, batch=4)
    assert not found.errors, found.text()
    entry = MODELS[model]
    made = entry.prepare(entry.configure(symbols=len(small.alphabet)), small.train, small.alphabet)
    assert [row.name for row in reversed(found.intermediates)] == [name for name, _ in made.named_parameters()]


@pytest.mark.parametrize(("model", "batch"), [("mlp", 4), ("mlp", 40), ("rnn", 40)])
def test_a_wrong_backward_is_found_in_a_model(model, batch, small, monkeypatch):
    from moreish.ops import recurrence, windows

    monkeypatch.setattr(pointwise.tanh, "backward", lambda gradient, output: {"x": (1 - output) * gradient})
    monkeypatch.setattr(
        windows.embed_linear,
        "backward",
        lambda *a, right=windows.embed_linear.backward, **k: {n: 1.00001 * g for n, g in right(*a, **k).items()},
    )
    monkeypatch.setattr(
        recurrence.rnn_rows,
        "backward",
        lambda *a, right=recurrence.rnn_rows.backward, **k: {
            n: None if g is None else 1.00001 * g for n, g in right(*a, **k).items()
        },
    )
    found = backprop(corpus=small, model=model, batch=batch)
    assert "embedding.weight" in found.errors and "output.weight" not in found.errors
    assert found.sentence.startswith(
        f"{len(found.errors)} of {len(found.intermediates)} gradients are wrong. Begin with"
    )


def test_a_wrong_step_is_named_first_on_the_way_back(corpus, monkeypatch):
    def wrong(p: Any, v: Any, windows: Tensor, targets: Tensor) -> dict[str, Tensor]:
        d = atomic_backward(p, v, windows, targets)
        return {**d, "bnraw": d["bnraw"] * 1.00001, "W1": -d["W1"]}

    monkeypatch.setattr(module, "atomic_backward", wrong)
    found = backprop(corpus=corpus)
    assert found.errors == ["bnraw", "W1"] and "Begin with bnraw" in found.sentence
    assert found.to_dict()["right"] is False


def test_a_wrong_step_of_the_whole_is_found(corpus, monkeypatch):
    right = PlainStep.gradients

    def wrong(self: PlainStep, *batch: Tensor) -> tuple[float, dict[str, Tensor]]:
        loss, got = right(self, *batch)
        return loss, {**got, "W2": got["W2"] * (1 + 1e-5)}

    monkeypatch.setattr(PlainStep, "gradients", wrong)
    assert backprop(corpus=corpus, grain="step").errors == ["W2"]


# ---- what is said of it


@pytest.mark.parametrize("grain", GRAINS)
def test_the_table_the_object_and_the_drawing_say_the_same(grain, corpus):
    found = backprop(corpus=corpus, grain=grain)
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    lines = found.text().splitlines()
    assert lines[-1] == found.sentence and len(lines) == len(found.intermediates) + 3
    for row, line, kept in zip(told["intermediates"], lines[1:], found.intermediates):
        assert row.keys() == {"name", "shape", "max_difference", "ulps", "verdict"}
        assert line.startswith(row["name"]) and row["verdict"] in line and row["shape"] == list(kept.shape)
    graph = found.graph()
    seen: set[str] = set()
    for node in graph.nodes:
        assert set(node.parents) <= seen, f"{node.name} stands before its parents"
        seen.add(node.name)
        assert node.name in ("windows", "loss") or (node.gradient and node.note)
    assert seen == ROWS[grain] | {"windows", "loss"}


def test_a_model_is_drawn_too(small):
    graph = backprop(corpus=small, model="rnn", batch=2, hidden=3).graph()
    assert graph.nodes[-1].name == "loss" and len(graph.nodes[-1].parents) == len(graph.nodes) - 1


@pytest.mark.parametrize(
    ("asked", "kind", "said"),
    [
        ({"model": "ngram"}, UsageError, r"ngram learns by counting: it has no gradients. Use a network: .*mlp-bn"),
        ({"model": "mlpbn"}, ConfigError, "Did you mean 'mlp-bn'"),
        ({"grain": "fuse"}, UsageError, "Did you mean 'fused'"),
        ({"model": "gru", "grain": "atomic"}, UsageError, "grains are of mlp-bn; gru has one table"),
        ({"batch": 1}, ConfigError, "BatchNorm needs two windows at least"),
        ({"batch": 0, "model": "gru"}, ConfigError, "batch=0"),
        ({"hidden": 0}, ConfigError, "hidden=0"),
        ({"hidden": 10**7, "embedding": 10**5}, ConfigError, "Use smaller sizes"),
        ({"model": "transformer", "hidden": 4}, ConfigError, "transformer has no setting 'hidden'"),
        ({"seed": -1}, UsageError, "seed=-1"),
    ],
)
def test_what_cannot_be_done_is_refused(asked, kind, said, small):
    with pytest.raises(kind, match=said):
        backprop(corpus=small, **asked)


def test_the_drawing_of_a_whole_network_has_its_gradients():
    found = backprop("dinosaurs", model="one-layer")
    *weights, loss = found.graph().nodes
    assert weights and all(node.value and node.gradient for node in weights) and loss.is_end
