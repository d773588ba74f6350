"""Rules of backpropagation: each is told where it shows, from the numbers, and found out where these are wrong."""

# ruff: noqa: F841 - a tape reads variables that no line of code does

from __future__ import annotations

import pytest
import torch
from tape_cases import leaf, lecture, normal, sentences

from moreish.explaining.taping.reasons import Why, why_none
from moreish.explaining.taping.tape import Tape, tape


@pytest.mark.parametrize(
    ("small", "large", "where"),
    [
        ((4,), (3, 4), "over axis 0, which b lacks (no keepdim)"),
        ((3, 1), (3, 4), "over axis 1, kept with length 1 (keepdim=True)"),
        (
            (1, 4),
            (2, 3, 4),
            "over axis 0, which b lacks (no keepdim) and over axis 1, kept with length 1 (keepdim=True)",
        ),
        ((), (2, 3), "over axes 0 and 1, which b lacks (no keepdim)"),
        ((1, 1, 1), (2, 3, 4), "over axes 0, 1 and 2, kept with length 1 (keepdim=True)"),
        ((3, 4), (3, 4), None),
        ((1,), (1, 1), None),
    ],
)
def test_a_broadcast_comes_back_as_a_sum(small, large, where):
    a = normal(*large)
    for op, said in ((torch.add, "the gradient of y, summed"), (torch.mul, "the sum of the gradients of its copies")):
        b = normal(*small, seed=1)
        with tape() as t:
            y = op(a, b)
            loss = (y * y).sum()
        (right,) = torch.autograd.grad(loss, b, retain_graph=True)
        (incoming,) = torch.autograd.grad(loss, y, retain_graph=True)
        torch.testing.assert_close((incoming * (1 if op is torch.add else a)).sum_to_size(small), right)
        found = sentences(t, "broadcast")
        assert len(found) == (where is not None)
        assert where is None or (where in found[0] and said in found[0] and f"b {small} is broadcast to" in found[0])


@pytest.mark.parametrize(
    ("reduce", "said"),
    [
        (lambda x: x.sum(), "over axes 0 and 1: alike for all 12 entries"),
        (lambda x: x.sum(0), "over axis 0: alike for all 3 entries"),
        (lambda x: x.sum(-1, keepdim=True), "over axis 1: alike for all 4 entries"),
        (lambda x: x.mean((0, 1)), "over axes 0 and 1 and divided by 12: alike for all 12 entries"),
        (lambda x: x.mean(1), "over axis 1 and divided by 4: alike for all 4 entries"),
        (lambda x: x.amax(0), None),
        (lambda x: x.logsumexp(0), None),
    ],
)
def test_a_sum_comes_back_broadcast(reduce, said):
    with tape() as t:
        x = normal(3, 4)
        y = reduce(x)
        loss = (y * y).exp().prod()
    found = sentences(t, "reduction")
    assert len(found) == (said is not None)
    assert said is None or said in found[0]


def test_rules_are_checked_and_not_only_said():
    """Facts that are tampered with are found out."""
    for rule, harm in {
        "shape": lambda t: setattr(t["h"], "gradient", t["h"].gradient[0]),
        "fan-out": lambda t: setattr(t["counts"], "gradient", t["counts"].gradient + 1e-9),
        "order": lambda t: setattr(t["counts"], "passed", 0),
    }.items():
        t = lecture()
        assert all(each.holds for each in t.rules() if each.rule == rule)
        harm(t)
        assert not all(each.holds for each in t.rules() if each.rule == rule), rule
        assert "(BROKEN)" in t.text()
    t = lecture()
    assert len(sentences(t, "broadcast")) == 8
    t["b1"].received[0].gradient += 1e-6
    assert len(sentences(t, "broadcast")) == 7


def test_zero_is_not_none():
    with tape() as t:
        a = leaf(-1.0)
        b = a * 3
        loss = b.relu() + 2 * a
    assert t["b"].gradient == 0
    assert sentences(t, "zero") == [
        "b has a gradient of 0, which is not none: it is on a path to the end, and relu_1 = relu(b) sent 0 back."
    ]


REASONS = {
    "n = torch.arange(3); y = w[n]": ("n", Why.WHOLE_NUMBERS, "whole numbers (int64)"),
    "n = w > 0; y = w * n": ("n", Why.WHOLE_NUMBERS, "true or false (bool)"),
    "c = torch.ones(3); y = w * c": ("c", Why.NOT_ASKED, "requires_grad is False"),
    "c = torch.ones(3); d = c * 2; y = w * d": ("d", Why.FROM_SUCH, "Made only of c, which asks for none"),
    "d = w.detach(); y = w * d": ("d", Why.DETACHED, "Detached from w: detach()"),
    "d = w.data; y = w * d": ("d", Why.DETACHED, "Detached from w: .data"),
    "z = torch.zeros_like(w); y = w + z": ("z", Why.DETACHED, "zeros_like passes no gradient back"),
    "with torch.no_grad(): d = w * 2\ny = w * d": ("d", Why.NO_GRAD, "under torch.no_grad()"),
    "with torch.inference_mode(): d = w * 2\ny = w * 2": ("d", Why.NO_GRAD, "under torch.inference_mode()"),
    "u = w * 2; y = w * 3": ("u", Why.UNUSED, "nothing was computed from it"),
    "u = w * 2; v = u * 2; y = w * 3": ("u", Why.ELSEWHERE, "used only by v, which does not lead there"),
    "u = w * 2; d = u.detach(); y = w * d": ("u", Why.CUT_LATER, "used only by d, which passes none back (detached"),
    "u = w[0] * 2; k = u.item(); y = w * k": ("u", Why.AS_NUMBER, "as a Python number, by item()"),
    "u = w[0]; k = u * 2; l = u.tolist(); y = w": (
        "u",
        Why.AS_NUMBER,
        "k does not lead there, and tolist() left torch",
    ),
    "u = w * 1; v = u[0]; v += 1; y = u": ("v_1", Why.UNUSED, "nothing was computed"),
}


@pytest.mark.parametrize("lines", REASONS)
def test_why_there_is_no_gradient(lines):
    name, kind, said = REASONS[lines]
    variables = {"torch": torch, "w": normal(3)}
    t = Tape(variables=variables)
    with t:
        exec(f"{lines}\nloss = y.sum()", variables)
    why = why_none(t[name], t.ends)
    assert why is not None and why[0] == kind and said in why[1] and why[1].endswith("."), why
    assert t[name].gradient is None and f"{name}: {why[1]}" in sentences(t, "none")
    assert t["w"].gradient is not None and why_none(t["w"], t.ends) is None
