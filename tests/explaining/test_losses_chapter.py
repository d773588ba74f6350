"""The chapter of losses: the page is what the code says, and what the code says is so."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from moreish.errors import UsageError
from moreish.explaining.losses.chapter import LOSSES, SMOOTHING, find_loss
from moreish.explaining.losses.figures import (
    BOUNDS,
    LOGITS,
    PENALTY,
    SITUATIONS,
    STEP,
    TARGET,
    TRUTH,
    bound,
    checks,
    focal_weights,
    measure,
)
from moreish.explaining.losses.page import decay_words, end_words, page, situation_words

PAGE = Path(__file__).parents[2] / "docs" / "losses.md"


@pytest.fixture(scope="module")
def figures():
    return measure()


def test_the_page_is_up_to_date(figures):
    assert PAGE.read_text(encoding="utf-8") == page(figures), "run `make docs`"


def test_the_page_has_every_loss_with_all_its_parts(figures):
    text = page(figures)
    for loss in LOSSES.values():
        assert f"\n## {loss.title}\n" in text and f"`{loss.name}`" in text and loss.formula in text
        for part in ("why", "when", "when_not", "source", "oracle_name"):
            assert len(getattr(loss, part)) > 10, (loss.name, part)
    assert text.count("**Checked.**") == text.count("**When not.**") == len(LOSSES)
    assert max(len(line) for line in text.split("\n") if not line.startswith("|")) <= 120


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_right_far_below_what_the_page_says(name):
    """Ten times below, so that another machine's rounding prints the same page."""
    found = checks(LOSSES[name])
    assert 10 * max(found.autograd, found.oracle) < BOUNDS[0] and 10 * found.central < BOUNDS[1]
    assert bound(found.autograd) == bound(found.oracle) == "1e-12"


@pytest.mark.parametrize("name", LOSSES)
def test_a_gradient_that_is_off_by_little_is_found(name):
    loss = LOSSES[name]

    class Off(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * (1 + 1e-4)

    found = checks(replace(loss, call=lambda x, t: loss.call(Off.apply(x), t)))
    assert found.central > 10 * STEP**2 and bound(found.oracle) != "1e-12"


def test_a_bound_is_the_least_that_leaves_a_factor_of_ten():
    assert [bound(x) for x in (0.0, 9e-14, 2e-13, 9e-10, 2e-9, 9e-8, 2e-7)] == [
        "1e-12", "1e-12", "1e-8", "1e-8", "1e-6", "1e-6", "too much",
    ]  # fmt: skip


def test_examples_are_torchs(figures):
    logits = torch.tensor([LOGITS], dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([TARGET])
    for name, smoothing in (("cross-entropy", 0.0), ("label-smoothing", SMOOTHING)):
        value = F.cross_entropy(logits, targets, label_smoothing=smoothing)
        (gradient,) = torch.autograd.grad(value, logits)
        found = figures.examples[name]
        assert found.value == pytest.approx(value.item(), abs=1e-12)
        assert found.gradient == pytest.approx(gradient[0].tolist(), abs=1e-12)
    assert figures.examples["negative-log-likelihood"].value == pytest.approx(figures.examples["cross-entropy"].value)


def test_what_is_learnt_is_what_algebra_says(figures):
    ends = {row.name: row for row in figures.learnt}
    smoothed = [(1 - SMOOTHING) * p + SMOOTHING / 3 for p in TRUTH]
    for name, wanted in (("cross-entropy", TRUTH), ("z-loss", TRUTH), ("label-smoothing", smoothed)):
        assert ends[name].probabilities == pytest.approx(wanted, abs=1e-6)
    assert ends["z-loss"].log_z == pytest.approx(0, abs=1e-5)
    # With a confidence penalty, where sum of q log p is greatest beside b H: q / p - b log p is the same for all.
    same = [q / p - 0.1 * math.log(p) for q, p in zip(TRUTH, ends["confidence-penalty"].probabilities)]
    assert max(same) - min(same) < 1e-6
    # Of the focal loss q FL'(p) is: no other mixture of the symbols does better.
    p = torch.tensor(ends["focal"].probabilities, dtype=torch.float64)
    q = torch.tensor(TRUTH, dtype=torch.float64)

    def focal(p):
        return float(-(q * (1 - p) ** 2 * p.log()).sum())

    for i in range(3):
        for j in range(3):
            moved = p.clone()
            moved[i] += 1e-3
            moved[j] -= 1e-3
            assert focal(moved) >= focal(p)


def test_the_focal_weight_is_the_ratio_of_gradients():
    p, weight = focal_weights(100)
    wanted = (1 - p) ** 2 - 2 * p * (1 - p) * p.log()
    assert torch.allclose(weight, wanted, rtol=1e-9)


def test_decay_is_what_torchs_optimisers_do(figures):
    for row in figures.decay:
        assert row.adamw == pytest.approx(PENALTY, rel=0.05), "lr 0.01, 100 steps, coefficient 0.01 of a weight of 1"
    assert figures.decay[0].adam_l2 > 10 * figures.decay[-1].adam_l2


def test_sentences_follow_the_numbers(figures):
    focal, smoothing, z_loss, _ = situation_words(figures)
    assert "turned round" in smoothing and "does not feel" in z_loss and "0.00053" in focal
    right = next(iter(SITUATIONS))
    changed = [
        replace(row, slope=-row.slope) if (row.name, row.situation) == ("label-smoothing", right) else row
        for row in figures.compared
    ]
    assert "turned round" not in situation_words(replace(figures, compared=changed))[1]
    honest, held = end_words(figures)
    assert honest.index("`cross-entropy`") < honest.index("Off are") < honest.index("`focal`") and "`z-loss`" in held
    untrue = [replace(row, furthest=0.5) if row.name == "z-loss" else row for row in figures.learnt]
    (alone,) = end_words(replace(figures, learnt=untrue))
    assert "`z-loss` by 0.500" in alone
    assert "100 times as small" in decay_words(figures)


def test_json_is_strict_and_of_one_loss_where_it_is_named(figures):
    json.dumps(figures.to_dict(), allow_nan=False)
    one = figures.to_dict("focal")
    assert [loss["name"] for loss in one["losses"]] == ["focal"] and one["decay"] == []
    assert {row["name"] for row in one["compared"]} == {row["name"] for row in one["learnt"]} == {"focal"}
    assert figures.to_dict("l2")["decay"]


def test_an_unknown_loss_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r"no loss is called 'focl'\. Did you mean 'focal'\?"):
        find_loss("focl")
