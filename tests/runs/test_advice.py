"""Advice follows from the figures: rungs with a known loss go in, and the sentences that they call for come out."""

from __future__ import annotations

import numpy as np
import pytest

from moreish.learning.intervals import Bootstrap
from moreish.runs.advice import advise
from moreish.runs.standing import Standing

SIZES = np.random.default_rng(0).integers(3, 14, 800)
HARD = np.random.default_rng(1).gamma(3 * SIZES, 0.1)
"""What makes a line hard is hard for every model."""
COUNTS = {"uniform": 0, "unigram": 27, "bigram": 600, "ngram": 9_000}
WEIGHTS = {"one-layer": 700, "mlp": 10_000, "gru": 50_000, "transformer": 200_000, "mixture": 7_000}


def advice(losses: dict[str, float | None], **rows: dict) -> list[str]:
    """What is said of models with these losses; those with None failed. `rows` is more about some of them."""
    draws = Bootstrap(SIZES)
    all_rows, all_losses = [], []
    for i, (model, loss) in enumerate(losses.items()):
        counted = model in COUNTS
        more = {
            "parameters": COUNTS.get(model, WEIGHTS.get(model)), "counted": counted,
            "seconds": 0.2 if counted else 28.0,
            "settings": {"order": 5} if model == "ngram" else {}, **rows.get(model, {}),
        }  # fmt: skip
        noise = np.random.default_rng(10 + i).normal(0, 0.02 * np.sqrt(SIZES))
        nats = None if loss is None else HARD + noise + loss * SIZES - (noise + HARD).sum() / SIZES.sum() * SIZES
        all_rows.append(Standing(model, failed="it broke" if loss is None else "", **more))
        all_losses.append(None if nats is None else draws.loss(nats))
    return advise(all_rows, all_losses)


CASES = {
    "counting beats networks": (
        {"bigram": 2.45, "ngram": 2.00, "mlp": 2.05, "transformer": 2.11},
        ["ngram of order 5 has the least loss, 2.0000 nats per symbol", "nothing else comes within the noise",
         "ngram of order 5, learnt in 0.2 s, beats mlp and transformer after 28 s each by 0.0500 to 0.1100 nats",
         "transformer is larger than mlp and worse"],
        ["gains", "take"],
    ),
    "a network is worth it": (
        {"ngram": 2.00, "mlp": 1.97, "mixture": 1.87},
        ["mixture has the least loss, 1.8700 nats", "mixture gains 0.1300 (0.1", "nats on ngram of order 5 for 28 s "
         "instead of 0.2 s.", "mlp is larger than mixture and worse"],
        ["beats", "within the noise of ngram"],
    ),
    "the smaller is as good": (
        {"ngram": 2.00, "mlp": 1.95, "gru": 1.9503, "transformer": 1.9498},
        ["mlp and gru are within the noise of it: take mlp, the smallest.",
         "gru and transformer are within the noise of mlp, which is smaller: take mlp."],
        ["beats", "larger than"],
    ),
    "counting is as good": (
        {"ngram": 2.00, "mlp": 2.0002}, ["mlp is within the noise of it, and larger."], ["beats", "gains", "as well"],
    ),
    "counting is as good as some": (
        {"ngram": 2.00, "mlp": 2.0002, "gru": 1.9},
        ["gru has the least loss", "mlp after 28 s is within the noise of ngram of order 5: counting does as well."],
        ["beats", "larger"],
    ),
    "a network as good as counting is not to be taken": (
        {"ngram": 2.00, "mlp": 2.10, "gru": 2.1001},
        ["gru is within the noise of mlp, which is smaller."], ["take"],
    ),
    "one symbol back is no network's fault": ({"ngram": 2.00, "one-layer": 2.45}, ["has the least loss"], ["beats"]),
    "nothing to learn": (
        {"uniform": 3.0, "unigram": 2.9, "bigram": 2.95, "mlp": 2.9001},
        ["unigram has the least loss", "nothing here is better than unigram beyond the noise", "too few lines"],
        ["take", "beats"],
    ),
    "one rung": ({"ngram": 2.0}, [], ["least"]),
    "none": ({}, [], [""]),
    "one broke": (
        {"ngram": 2.0, "mlp": None, "gru": 1.9}, ["gru has the least loss", "mlp came to nothing here"], ["mlp after"],
    ),
    "all broke": ({"mlp": None, "gru": None}, ["mlp and gru came to nothing here"], ["least"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_said_follows_from_the_figures(case):
    losses, said, unsaid = CASES[case]
    sentences = advice(losses)
    whole = "\n".join(sentences)
    assert [each for each in said if each not in whole] == [], whole
    assert [each for each in unsaid if each in whole and sentences] == [], whole
    assert all(sentence.endswith(".") and "nan" not in sentence.split() for sentence in sentences)


def test_too_little_time_is_said():
    hurried = {"steps": 100, "full_steps": 1000}
    two = advice({"ngram": 2.0, "mlp": 2.1, "gru": 2.2}, mlp=hurried, gru={"steps": 400, "full_steps": 1000})
    assert "mlp and gru took 10 to 40 % of their recipes' steps in this time" in two[-1]
    one = advice({"ngram": 2.0, "mlp": 2.1, "gru": 2.2}, mlp=hurried, gru={"steps": 900, "full_steps": 1000})
    assert "mlp took 10 % of its recipe's steps" in one[-1]
    assert not any("recipe" in sentence for sentence in advice({"ngram": 2.0, "mlp": 2.1}))


def test_stored_lists_and_mass_on_known_lines_are_said():
    told = advice(
        {"ngram": 2.0, "gru": 1.90, "mixture": 1.88},
        ngram={"nats_given_new": 1.96},
        gru={"nats_given_new": 1.87},
        mixture={"nats_given_new": 1.88, "note": "its table holds the list"},
    )
    assert "mixture: its table holds the list." in told
    assert any("gru is ahead: 1.8700 nats against 1.8800 of mixture." in sentence for sentence in told)
    told = advice({"ngram": 2.0, "gru": 1.9}, ngram={"nats_given_new": 1.96}, gru={"nats_given_new": 1.87})
    assert not any("known lines" in sentence for sentence in told)


def test_runs_have_no_seconds_and_are_called_by_their_directories():
    told = advice(
        {"ngram": 2.0, "mlp": 2.1}, ngram={"run": "runs/a", "seconds": None}, mlp={"run": "runs/b", "seconds": None}
    )
    assert "runs/a (ngram of order 5) beats runs/b (mlp) by 0.1000 nats: counting does better here." in told
