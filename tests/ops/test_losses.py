"""The losses beside the cross-entropy: gradients by gradcheck and by symbolic algebra, values by torch's own layers."""

from __future__ import annotations

from typing import Any

import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from moreish.ops.loss import cross_entropy
from moreish.ops.losses import (
    confidence_penalty,
    focal,
    l1_penalty,
    l2_penalty,
    negative_log_likelihood,
    z_loss,
)
from moreish.ops.op import Op, by_hand, compare
from moreish.randomness import stream
from moreish.shapes import IGNORE

OF_PREDICTIONS: dict[str, tuple[Op[Any, Any], dict[str, float]]] = {
    "nll": (negative_log_likelihood, {}),
    "cross-entropy": (cross_entropy, {}),
    "smoothing": (cross_entropy, {"smoothing": 0.1}),
    "focal": (focal, {}),
    "focal 0": (focal, {"gamma": 0.0}),
    "focal 0.5": (focal, {"gamma": 0.5}),
    "focal 5": (focal, {"gamma": 5.0}),
    "z-loss": (z_loss, {"coefficient": 0.3}),
    "confidence": (confidence_penalty, {"coefficient": 0.7}),
}
OF_WEIGHTS: dict[str, Op[Any, Any]] = {"l2": l2_penalty, "l1": l1_penalty}
SHAPES = {"one by one": (1, 1), "one row": (1, 5), "one symbol": (4, 1), "two symbols": (3, 2), "usual": (7, 5)}
EXACT = 1e-12


def drawn(*shape: int, scale: float = 2.0) -> torch.Tensor:
    return scale * torch.randn(*shape, dtype=torch.float64, generator=stream(sum(shape), "losses"))


def some_targets(rows: int, symbols: int, ignored: bool = False) -> torch.Tensor:
    targets = torch.randint(symbols, (rows,), generator=stream(rows, "targets"))
    if ignored:
        targets[1::2] = IGNORE
    return targets


def laid_out(x: torch.Tensor, layout: str) -> torch.Tensor:
    """The same entries, contiguous or as a transpose, or every second column of a wider tensor."""
    if layout == "transposed":
        return x.t().contiguous().t()
    if layout == "strided":
        return torch.stack([x, x + 1], -1).flatten(-2)[..., ::2]
    return x


@pytest.mark.parametrize("layout", ["plain", "transposed", "strided"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", OF_PREDICTIONS)
def test_gradcheck_of_losses_of_predictions(name, shape, layout):
    op, options = OF_PREDICTIONS[name]
    rows, symbols = SHAPES[shape]
    for ignored in (False, True):
        targets = some_targets(rows, symbols, ignored)
        x = laid_out(drawn(rows, symbols), layout).requires_grad_()
        with by_hand():
            assert torch.autograd.gradcheck(
                lambda x, t=targets: op(x, t, **options), (x,), eps=1e-6, atol=1e-7, rtol=1e-5
            )


@pytest.mark.parametrize("layout", ["plain", "transposed", "strided"])
@pytest.mark.parametrize("shape", [*SHAPES.values()], ids=[*SHAPES])
@pytest.mark.parametrize("name", OF_WEIGHTS)
def test_gradcheck_of_penalties_on_weights(name, shape, layout):
    weight = laid_out(drawn(*shape), layout).requires_grad_()
    with by_hand():
        for given_weight in (weight, weight.detach().flatten()[:1].requires_grad_()):
            assert torch.autograd.gradcheck(
                lambda w: OF_WEIGHTS[name](w, coefficient=0.3), (given_weight,), eps=1e-6, atol=1e-7, rtol=1e-5
            )


@settings(max_examples=50)
@given(st.sampled_from(sorted(OF_PREDICTIONS)), st.integers(1, 9), st.integers(2, 9), st.integers(0, 10**6))
def test_by_hand_equals_autograd_on_any_shape(name, rows, symbols, seed):
    op, options = OF_PREDICTIONS[name]
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(rows, symbols, generator=generator)
    targets = torch.randint(-1, symbols, (rows,), generator=generator)
    targets[0] = max(int(targets[0]), 0)
    (found,) = compare(op, logits, targets, **options)
    assert found.right, found


ORACLES = {
    "nll": lambda x, t: F.nll_loss(x, t, ignore_index=IGNORE),
    "cross-entropy": lambda x, t: F.cross_entropy(x, t, ignore_index=IGNORE),
    "smoothing": lambda x, t: F.cross_entropy(x, t, ignore_index=IGNORE, label_smoothing=0.1),
    "focal 0": lambda x, t: F.cross_entropy(x, t, ignore_index=IGNORE),
    "z-loss": lambda x, t: 0.3 * x[t >= 0].exp().sum(1).log().square().mean(),
    "confidence": lambda x, t: -0.7 * torch.distributions.Categorical(logits=x[t >= 0]).entropy().mean(),
}


@pytest.mark.parametrize("name", ORACLES)
def test_value_and_gradient_are_torchs(name):
    op, options = OF_PREDICTIONS[name]
    targets = some_targets(9, 6, ignored=True)
    ours, theirs = drawn(9, 6).requires_grad_(), drawn(9, 6).requires_grad_()
    with by_hand():
        mine = op(ours, targets, **options)
        mine.backward()
    wanted = ORACLES[name](theirs, targets)
    wanted.backward()
    assert (mine - wanted).abs() < EXACT and (ours.grad - theirs.grad).abs().max() < EXACT
    assert not ours.grad[targets == IGNORE].any()


Z = sympy.symbols("z0:3", real=True)
SUM = sum(sympy.exp(z) for z in Z)
P = [sympy.exp(z) / SUM for z in Z]
SYMBOLIC = {
    "cross-entropy": -sympy.log(P[1]),
    "smoothing": -sympy.Rational(9, 10) * sympy.log(P[1]) - sum(sympy.log(p) for p in P) / 30,
    "focal": -((1 - P[1]) ** 2) * sympy.log(P[1]),
    "focal 0.5": -sympy.sqrt(1 - P[1]) * sympy.log(P[1]),
    "focal 5": -((1 - P[1]) ** 5) * sympy.log(P[1]),
    "z-loss": sympy.Rational(3, 10) * sympy.log(SUM) ** 2,
    "confidence": sympy.Rational(7, 10) * sum(p * sympy.log(p) for p in P),
}


@pytest.mark.parametrize("logits", [(0.5, -1.25, 2.0), (-3.0, 20.0, 1.0), (12.0, -9.0, 0.0), (0.0, 0.0, 0.0)])
@pytest.mark.parametrize("name", SYMBOLIC)
def test_gradients_are_those_of_symbolic_algebra(name, logits):
    """sympy differentiates the formula, and works it out to 40 digits: p may be within 1e-9 of 1 or of 0."""
    op, options = OF_PREDICTIONS[name]
    at = dict(zip(Z, (sympy.Rational(z) for z in logits)))
    wanted = torch.tensor([float(sympy.diff(SYMBOLIC[name], z).evalf(40, subs=at)) for z in Z], dtype=torch.float64)
    x = torch.tensor([logits], dtype=torch.float64, requires_grad=True)
    with by_hand():
        op(x, torch.tensor([1]), **options).backward()
    assert x.grad is not None
    assert torch.allclose(x.grad[0], wanted, rtol=1e-9, atol=1e-15), (x.grad[0], wanted)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
def test_focal_has_a_gradient_where_nothing_is_left_to_learn(gamma):
    """p_t is 1 to the last digit: its slope is 0, not nan, whether or not by hand was asked for."""
    logits = torch.tensor([[200.0, 0.0], [0.0, 0.0]], requires_grad=True)
    focal(logits, torch.tensor([0, 1]), gamma=gamma).backward()
    assert logits.grad is not None and logits.grad.isfinite().all()
    assert not logits.grad[0].any() and logits.grad[1].all()


def test_l2_is_what_torchs_sgd_calls_weight_decay():
    weight = drawn(4, 3).requires_grad_()
    before = weight.detach().clone()
    with by_hand():
        l2_penalty(weight, coefficient=0.3).backward()
    ours = before - 0.1 * weight.grad
    weight.grad = torch.zeros_like(before)
    torch.optim.SGD([weight], lr=0.1, weight_decay=0.3).step()
    assert (weight - ours).abs().max() < EXACT


def test_l1_is_torchs_distance_from_0_and_rests_at_0():
    weight = drawn(4, 3)
    weight[0] = 0
    weight.requires_grad_()
    with by_hand():
        found = l1_penalty(weight, coefficient=0.3)
        found.backward()
    wanted = 0.3 * F.l1_loss(weight, torch.zeros_like(weight), reduction="sum")
    assert (found - wanted).abs() < EXACT
    (theirs,) = torch.autograd.grad(wanted, weight)
    assert torch.equal(weight.grad, theirs) and not weight.grad[0].any()


@pytest.mark.parametrize("name", OF_PREDICTIONS)
def test_nothing_given_is_changed_and_a_lost_factor_is_noticed(name):
    op, options = OF_PREDICTIONS[name]
    logits, targets = drawn(6, 4), some_targets(6, 4, ignored=True)
    kept = logits.clone(), targets.clone()
    gradient = torch.tensor(1.5, dtype=torch.float64)
    wanted = {"gradient": gradient, next(iter(op.inputs)): logits, "targets": targets}
    asked = {key: value for key, value in wanted.items() if key in (*op.inputs, "gradient")}
    op.backward(**asked, **{key: options.get(key, value) for key, value in op.wanted_options.items()})
    assert torch.equal(logits, kept[0]) and torch.equal(targets, kept[1]) and gradient == 1.5
    wrong = Op(op.forward, lambda gradient: {})  # a stand-in that `compare` must refuse
    wrong.wanted_inputs, wrong.wanted_options = op.wanted_inputs, op.wanted_options
    wrong.backward = lambda gradient, **named: {k: 1.01 * v for k, v in op.backward(gradient, **named).items()}
    assert not all(found.right for found in compare(wrong, logits, targets, **options))
