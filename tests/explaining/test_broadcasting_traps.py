"""Silent traps: each alarm where its condition holds, none where it does not, and what is said of it true of torch."""

from __future__ import annotations

import random
import re

import pytest
import torch

from moreish.explaining.broadcasting.explanation import explain_broadcasting
from moreish.explaining.broadcasting.traps import TRAPS

ALARMS = {
    "wrong-axis": [
        "N / N.sum(1) with N=(27,27)",
        "P=(5,5); P /= P.sum(1)",
        "x - x.mean(0).mean(0) * 1 + x / x.exp().sum(1) with x=(4,4)",
        "e = exp(x - 1); e / e.sum(-1) with x=(6,6)",
        "w = q @ q.mT; w / w.sum(1) with q=(8,3)",
        "s = x + x.mT; s / s.sum(1) with x=(8,8)",
        "(27,27) / (27,27).sum(1)",
        "x / x.max(1).values with x=(9,9)",
        "x - torch.log(exp(x).sum(1)) with x=(9,9)",
        "x / x.sum(2) with x=(3,3,3)",
        "2 * x.sum(1) * x with x=(7,7)",
    ],
    "ambiguous-axis": ["(27,27) / (27,)", "(27,27) - (27,)", "(5,) * (5,5)", "(4,7,7) * (7,)", "(8,8,3) / (8,3)"],
    "all-pairs": ["(27,1) - (27,)", "(27,) == (27,1)", "y - x @ w with y=(32,), x=(32,4), w=(4,1)", "(2,2,1) - (2,2)"],
    "both-stretch": ["(32,1) - (10,)", "(4,1,3) * (2,3)"],
    "loss-broadcast": ["mse_loss((32,1), (32,))", "F.l1_loss((32,), (1,))"],
    "batch-of-vectors": ["(32,8) @ (32,8,5)"],
    "extra-axis": ["(1,1) * (27,)", "(1,1,1) * (1,)", "x.sum((0,1), keepdim=True) + y with x=(3,3), y=(4,)"],
    "empty": ["(1,) + (0,)", "(3,0) @ (0,4)", "(5,1) * (0,)"],
    "vector-T": ["v.T * v with v=(3,)"],
    "all-axes-T": ["x.T with x=(2,3,4)"],
    "huge": ["(1000000,1) * (1,1000000)"],
}
NONE = [
    "(27,27) / (27,1)",
    "(27,27) / (1,27)",
    "(27,27) / (28,27)[None, None].sum((0,1,2))[None]",
    "N / N.sum(1, keepdim=True) with N=(27,27)",
    "N / N.sum(1)[:, None] with N=(27,27)",
    "N / N.sum(0) with N=(27,27)",
    "x - x.mean(0) with x=(27,27)",
    "x / x.sum() with x=(27,27)",
    "torch.softmax(x, 1) - y with x=(27,27), y=(27,27)",
    "(32,30) @ (30,200) + (200,)",
    "(30,30) @ (30,30) + (30,)",
    "x[:, None] - y with x=(32,), y=(32,)",
    "x.unsqueeze(1) == x with x=(32,)",
    "(32,1) * (1,32)",
    "(32,10) * (10,)",
    "(32,8,10) @ (10,200)",
    "(32,8,10) @ (32,10,5)",
    "(5,) @ (5,)",
    "mse_loss((32,), (32,))",
    "(0,3) + (3,)",
    "(0,) * (0,)",
    "(1,) * (27,)",
    "2 * (27,27) - 1",
    "(1,) + ()",
    "(8,4,4) + (4,4)",
    "x.mT @ x with x=(4,4)",
    "g * (x - x.mean(0, keepdim=True)) / (x.var(0, keepdim=True) + 0.1)**0.5 + b with g=(1,4), b=(1,4), x=(4,4)",
]


@pytest.mark.parametrize("name, text", [(name, text) for name, texts in ALARMS.items() for text in texts])
def test_the_alarm_is_raised(name, text):
    found = explain_broadcasting(text)
    assert found.shape is not None and name in [warning.name for warning in found.warnings]
    for warning in found.warnings:
        assert warning.says.endswith(".") and "\n" not in warning.says and 1 <= warning.step <= len(found.steps)


@pytest.mark.parametrize("text", NONE)
def test_no_alarm_is_raised(text):
    found = explain_broadcasting(text)
    assert found.shape is not None and found.warnings == ()


def test_every_trap_is_tried_and_says_when():
    assert set(ALARMS) == set(TRAPS)


def test_every_alarm_keeps_its_own_name_alone():
    """Of the plainest cases each trap raises one alarm."""
    for texts in ALARMS.values():
        assert len(explain_broadcasting(texts[0]).warnings) == 1, texts[0]


@pytest.mark.parametrize("text", [text for texts in ALARMS.values() for text in texts if "1000000" not in text])
def test_the_code_that_is_given_instead_runs(text):
    found = explain_broadcasting(text)
    for warning in found.warnings:
        if warning.mend:
            names = {value.name: torch.rand(value.shape) for value in found.given}
            made = eval(warning.mend, {"torch": torch, "F": torch.nn.functional, **names})
            assert isinstance(made, torch.Tensor)


@pytest.mark.parametrize("text", ["N / N.sum(1)", "e = exp(N); e / e.sum(1)", "N / (2 * N.sum(1)) * 2"])
def test_the_wrong_way_is_wrong_and_the_code_instead_normalises_rows(text):
    torch.manual_seed(0)
    counts = torch.rand(27, 27, dtype=torch.float64)
    found = explain_broadcasting(text, N=counts)
    ((warning,), names) = found.warnings, {"torch": torch, "N": counts}
    for line in found.forward:
        exec(line, names)
    ones = torch.ones(27, dtype=torch.float64)
    assert not torch.allclose(names["out"].sum(1), ones, atol=0.01)
    mended = eval(warning.mend, {"torch": torch, "N": counts})
    factor = 2.0 if "2 *" in text else 1.0
    assert torch.allclose(mended.sum(1) * factor, ones)


def test_divided_columns_by_rows_sums_as_it_is_said():
    """'(27,27) / (27,)': entry j divides column j; were it a.sum(1), that is row j's sum."""
    (warning,) = explain_broadcasting("(27,27) / (27,)").warnings
    assert "Entry j of b divides column j" in warning.says and "a.sum(1, keepdim=True) lies right" in warning.says
    a = torch.rand(27, 27)
    wrong = a / a.sum(1)
    for j in (0, 13, 26):
        assert torch.equal(wrong[:, j], a[:, j] / a[j].sum())
    assert warning.mend == "a / b[:, None]"
    assert torch.allclose((a / a.sum(1)[:, None]).sum(1), torch.ones(27))


def test_all_pairs_is_the_loss_it_is_said_to_be():
    (warning,) = explain_broadcasting("(5,1) - (5,)").warnings
    assert warning.mend == "a.squeeze(-1) - b" and "(5, 5), 25 entries" in warning.says
    with pytest.warns(UserWarning, match="different to the input size"):
        torch.nn.functional.mse_loss(torch.rand(5, 1), torch.rand(5))


def test_crossed_axes_are_found_whenever_torch_would_be_silent():
    """Of square tensors, each reduction over each axis, with keepdim or without: alarm where axes are crossed."""
    chooser = random.Random(0)
    for axes in (2, 3):
        for axis in range(axes):
            for keepdim in ("", ", keepdim=True"):
                name = chooser.choice(["sum", "mean", "amax", "std"])
                found = explain_broadcasting(f"x / x.{name}({axis}{keepdim})", x=(5,) * axes)
                marked = torch.arange(5.0**axes).reshape((5,) * axes)
                kept = marked.amax(axis, keepdim=True).expand_as(marked)
                given = eval(f"marked.amax({axis}{keepdim})", {"marked": marked}).expand_as(marked)
                crossed = not torch.equal(kept, given)
                assert [warning.name for warning in found.warnings] == ["wrong-axis"] * crossed, (axes, axis, keepdim)


def test_sentences_on_products_set_the_notes_right():
    found = explain_broadcasting("(32,8,10) @ (32,10,200)")
    told = " ".join(found.steps[0].says)
    assert "last but one" in told and "very first of b, 32, is an axis of the batch" in told
    refused = explain_broadcasting("(8,10) @ (32,8,200)")
    assert refused.shape is None and "the very first of the right only where the right has two axes" in " ".join(
        refused.steps[0].says
    )
    assert re.search(r"last axis of the left has 10 .* last but one axis of the right 8", refused.steps[0].says[0])
