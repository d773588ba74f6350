"""Every hand-written gradient: against finite differences, against autograd, and at shapes that nobody chose."""

from __future__ import annotations

import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from op_cases import CASES, Case, drawn, fixed, ops, turned
from torch import Tensor

from moreish.errors import UsageError
from moreish.ops import affine, arithmetic, normalize, pointwise
from moreish.ops.gates import lstm_step
from moreish.ops.op import Op, by_autograd, by_hand, compare, told

MANY = 4000
"""Pairs of a number given and one returned from which on finite differences take long, and autograd alone is asked."""


def run(case: Case, inputs: list):
    return case.op(*inputs, **case.options)


def test_every_op_has_its_cases():
    found = ops()
    assert len(found) > 30 and found.keys() == {case.op.__name__ for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_finite_differences_agree(case):
    inputs = case.fresh()
    learnt = case.learnable(inputs)
    if sum(x.numel() for x in learnt) * run(case, inputs).numel() > MANY:
        pytest.skip("too many numbers for finite differences; autograd is asked below")
    at = [i for i, x in enumerate(inputs) if any(x is y for y in learnt)]

    def of(*tensors):
        return run(case, [tensors[at.index(i)] if i in at else x for i, x in enumerate(inputs)])

    with by_hand():
        assert torch.autograd.gradcheck(of, tuple(learnt), atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_autograd_agrees(case):
    ours, theirs = case.fresh(), case.fresh()
    with by_hand():
        out = run(case, ours)
    wanted = case.op.steps(*theirs, **case.options)
    assert torch.allclose(out, wanted, rtol=0, atol=1e-12)
    assert "_ByHand" in out.grad_fn.name() and "_ByHand" not in wanted.grad_fn.name()
    dense = fixed(*out.shape, seed=5)
    # A gradient may come in any order of memory, or one number stretched over all.
    for incoming in (
        dense,
        turned(dense).detach() if dense.ndim > 1 else dense,
        torch.ones((), dtype=torch.float64).expand(out.shape),
    ):
        mine = torch.autograd.grad(out, case.learnable(ours), incoming, retain_graph=True)
        others = torch.autograd.grad(wanted, case.learnable(theirs), incoming, retain_graph=True)
        for a, b in zip(mine, others, strict=True):
            assert a.shape == b.shape
            assert torch.allclose(a, b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_backward_changes_nothing_that_it_sees(case):
    inputs = case.fresh()
    kept = [x.clone() if isinstance(x, Tensor) else x for x in inputs]
    with by_hand():
        out = run(case, inputs)
    said, incoming = out.detach().clone(), fixed(*out.shape)
    gradient = incoming.clone()
    out.backward(gradient)
    assert torch.equal(gradient, incoming) and torch.equal(out, said)
    assert all(torch.equal(a, b) for a, b in zip(inputs, kept) if isinstance(a, Tensor))


TWICE = [case for case in CASES if not case.op.keeps and "(3, 4)" in case.name]


@pytest.mark.parametrize("case", TWICE, ids=str)
def test_what_is_written_in_ops_of_torch_can_be_differentiated_twice(case):
    inputs = case.fresh()
    learnt = case.learnable(inputs)
    at = [i for i, x in enumerate(inputs) if any(x is y for y in learnt)]

    def of(*tensors):
        return run(case, [tensors[at.index(i)] if i in at else x for i, x in enumerate(inputs)])

    with by_hand():
        assert torch.autograd.gradgradcheck(of, tuple(learnt))


def test_what_keeps_its_way_says_that_it_cannot():
    case = next(case for case in CASES if case.op.keeps)
    out = run(case, inputs := case.fresh())
    with pytest.raises(RuntimeError, match="cannot be differentiated again"):
        torch.autograd.grad(out.sum(), case.learnable(inputs), create_graph=True)


SIDES = st.lists(st.integers(1, 4), min_size=1, max_size=3)


@settings(max_examples=40, deadline=None)
@given(
    shape=SIDES,
    stretched=st.lists(st.booleans(), min_size=3, max_size=3),
    fewer=st.integers(0, 2),
    which=st.integers(0, 3),
)
def test_broadcast_shapes(shape, stretched, fewer, which):
    op = (arithmetic.add, arithmetic.subtract, arithmetic.multiply, arithmetic.modulate)[which]
    other = [1 if one else n for n, one in zip(shape, stretched)][min(fewer, len(shape)) :]
    for inputs in ((drawn(*shape), drawn(*other)), (drawn(*other), drawn(*shape))):
        assert all(found.right for found in compare(op, *inputs))


@settings(max_examples=40, deadline=None)
@given(shape=SIDES, outputs=st.integers(1, 5), seed=st.integers(0, 3))
def test_shapes_of_any_rank(shape, outputs, seed):
    x = drawn(*shape, seed=seed)
    wide = shape[-1]
    cases = [
        (affine.linear, (x, drawn(outputs, wide), drawn(outputs)), {}),
        (normalize.layer_norm, (x, drawn(wide), drawn(wide)), {"epsilon": 1e-2}),
        (normalize.rms_norm, (x, drawn(wide)), {"epsilon": 1e-2}),
        (pointwise.softmax, (x,), {}),
        (pointwise.gelu, (x,), {}),
    ]
    if x.numel() // wide > 1:
        cases.append((normalize.batch_norm, (x, drawn(wide), drawn(wide)), {"epsilon": 1e-2}))
    for op, inputs, options in cases:
        assert all(found.right for found in compare(op, *inputs, **options)), str(op)


def test_fan_out_and_the_same_tensor_twice():
    x = drawn(3, 4)
    with by_hand():
        y = pointwise.tanh(x)
        out = arithmetic.add(arithmetic.multiply(y, y), arithmetic.add(y, x)).sum()
    (found,) = torch.autograd.grad(out, x)
    t = x.detach().tanh()
    assert torch.allclose(found, (1 - t * t) * (2 * t + 1) + 1)


def test_the_switch_is_off_outside_and_in_other_threads_and_after_an_error():
    seen = []
    assert told() == ""
    with by_hand():
        thread = threading.Thread(target=lambda: seen.append(told()))
        thread.start(), thread.join()
        with by_hand():
            assert told() == "hand"
        with by_autograd():
            assert told() == "autograd"
        assert told() == "hand"
    assert seen == [""] and told() == ""
    with pytest.raises(ValueError), by_hand():
        raise ValueError
    assert told() == ""
    with by_hand(), torch.no_grad():
        assert pointwise.tanh(drawn(2)).grad_fn is None


def halved(gradient, output):
    return {"x": gradient * (1 - output * output) * torch.tensor([1.0, 1.0, 0.5, 1.0], dtype=torch.float64)}


def test_compare_names_the_worst_entry_of_a_wrong_gradient():
    wrong = Op(pointwise.tanh_forward, halved)
    x = torch.tensor([2.0, 1.0, 0.1, 3.0])
    (found,) = compare(wrong, x)
    assert not found.right and found.at == (2,) and found.by_hand == pytest.approx(found.autograd / 2)
    assert found.autograd == pytest.approx(found.finite, rel=1e-6)
    assert str(found).startswith("tanh: hand-written d(x) is off by ") and "at (2,) of (4,)" in str(found)
    nothing = Op(pointwise.tanh_forward, lambda gradient, output: {"x": gradient * torch.nan})
    assert not compare(nothing, x)[0].right
    (right,) = compare(pointwise.tanh, x)
    assert right.right and "is right to" in str(right)


def test_a_backward_may_ask_only_for_what_its_forward_has():
    with pytest.raises(UsageError, match="asks for weights, which"):
        Op(pointwise.tanh_forward, lambda gradient, weights: {})


@pytest.mark.parametrize("got", [lambda g: (g,), lambda g: g, lambda g: {"y": g}], ids=["tuple", "tensor", "other"])
def test_a_backward_returns_gradients_by_name(got):
    with pytest.raises(UsageError, match="Return a dict such as"):
        compare(Op(pointwise.tanh_forward, lambda gradient: got(gradient)), torch.ones(2))


def cut(x: Tensor, *, at: int = 1) -> tuple[Tensor, Tensor]:
    return x[:at] * 2, x[at:] * 3


def cut_backward(gradient, output, at):
    return {"x": torch.cat([gradient[0] * 2, gradient[1] * 3])}


def test_an_op_of_two_outputs_of_which_one_may_be_unused():
    op = Op(cut, cut_backward)
    for use in (lambda a, b: a.sum() + b.sum(), lambda a, b: a.sum(), lambda a, b: b.sum()):
        for options in ({}, {"at": 2}):
            x, y = drawn(4), drawn(4)
            with by_hand():
                (found,) = torch.autograd.grad(use(*op(x, **options)), x)
            assert torch.equal(found, torch.autograd.grad(use(*cut(y, **options)), y)[0])
    assert all(found.right for found in compare(op, drawn(4)))


@pytest.mark.parametrize("case", [case for case in CASES if case.op.always], ids=str)
def test_compare_holds_what_is_always_by_hand_against_its_steps(case, monkeypatch):
    inputs = [x.detach() if isinstance(x, Tensor) else x for x in case.inputs]
    assert all(found.right for found in compare(case.op, *inputs, **case.options))
    right = case.op.backward
    monkeypatch.setattr(case.op, "backward", lambda *a, **k: {n: g * 1.5 for n, g in right(*a, **k).items()})
    assert not any(found.right for found in compare(case.op, *inputs, **case.options))


def test_what_a_forward_does_not_take_is_refused_by_hand_too():
    x, w, b = drawn(3, 4), drawn(5, 4), drawn(5)
    for wrong in ({"bais": b}, {"bias": b, "epsilon": 1.0}):
        with pytest.raises(TypeError), by_hand():
            affine.linear(x, w, **wrong)
    with pytest.raises(TypeError, match="weight"), by_hand():
        affine.linear(x)
    with by_hand(), pytest.raises(UsageError, match="no gradient by hand reaches mask"):
        pointwise.dropout(drawn(2), drawn(2)).sum().backward()


def test_inputs_may_be_named():
    h, x, weight = drawn(2, 6), drawn(2, 12), drawn(12, 3)
    with by_hand():
        assert torch.equal(lstm_step(h, weight=weight, x=x), lstm_step(h, x, weight))
