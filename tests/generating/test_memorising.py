"""Lines against the training lines: shares held against brute force, and a model that remembers shows that it does."""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from rapidfuzz.distance import Levenshtein
from rich.console import Console

from moreish.errors import UsageError
from moreish.faces.against_train import memorising_table, memorising_words
from moreish.generating import memorising
from moreish.generating import sample as sample_module
from moreish.generating.constraints import Conditions
from moreish.generating.memorising import Drawing, against_train
from moreish.generating.novelty import wilson
from moreish.generating.sample import sample
from moreish.text.corpus import Corpus
from quick import quick

LIST = [f"{a}{b}{c}{d}" for a in "bcdfghk" for b in "aeiou" for c in "lmnr" for d in ("", "a", "o", "in")]


@pytest.fixture(scope="module")
def unigram():
    return quick(Corpus.of(LIST), "unigram")


@pytest.fixture(scope="module")
def by_heart():
    """Counts of whole lines, not smoothed: it can say nothing but what it learnt."""
    return quick(Corpus.of(LIST), "ngram", order=7, smoothing="none")


def least(text: str, lines: list[str]) -> int:
    return min(Levenshtein.distance(text, line) for line in lines)


@pytest.mark.parametrize("distance", [1, 2, 3])
def test_shares_are_those_of_brute_force(distance, unigram):
    train, dev = list(unigram.corpus.train), list(unigram.corpus.dev)
    texts = [line.text for line in sample(unigram, 300, seed=3).lines] + train[:9] + dev[:2]
    found = against_train(unigram, texts, distance, Drawing())
    for said, lines in ((found.drawn, texts), (found.held_out, dev)):
        assert said is not None
        distances = [least(text, train) for text in lines]
        new = [apart for apart in distances if apart > 0]
        far = [apart for apart in new if apart > distance]
        assert (said.lines, said.rate) == (len(lines), len(new) / len(lines))
        assert (said.low, said.high) == wilson(len(new), len(lines))
        assert said.farther == len(far) / len(new)
        assert (said.farther_low, said.farther_high) == wilson(len(far), len(new))
    assert (found.distance, found.train_lines, found.unique_split) == (distance, len(train), True)
    assert found.held_out is not None and found.held_out.rate == 1


def test_preference_is_the_ratio_of_copies_for_each_line_of_its_part(unigram):
    train, dev = list(unigram.corpus.train), list(unigram.corpus.dev)
    texts = train[:20] * 3 + dev[:5] * 2 + ["zzzzzz"] * 30
    found = against_train(unigram, texts, 1, Drawing()).drawn
    assert found is not None and found.preference == pytest.approx((20 / len(train)) / (5 / len(dev)))
    low, high = wilson(20, 25)
    as_ratio = [share / (1 - share) * len(dev) / len(train) for share in (low, high)]
    assert [found.preference_low, found.preference_high] == pytest.approx(as_ratio)
    begun = [text for text in texts if text.startswith("b")]
    some = against_train(unigram, begun, 1, Drawing(Conditions(prefix="b")))
    copies = [len(set(begun) & set(part)) for part in (train, dev)]
    sizes = [sum(line.startswith("b") for line in part) for part in (train, dev)]
    assert some.held_out is not None and some.held_out.lines == sizes[1]
    expected = copies[0] / sizes[0] / (copies[1] / sizes[1]) if copies[1] else None
    assert some.drawn is not None and some.drawn.preference == (expected and pytest.approx(expected))


def test_a_model_that_remembers_shows_beside_one_that_does_not(unigram, by_heart):
    kept, free = (sample(model, 30, distance=1, seed=1).novelty.against_train for model in (by_heart, unigram))
    assert kept and kept.drawn and kept.count_model and free and free.drawn and free.count_model
    assert kept.drawn.high < kept.count_model.low < free.drawn.low
    assert kept.drawn.preference is None and kept.drawn.preference_high is None
    assert kept.drawn.preference_low is not None and kept.drawn.preference_low > 1
    assert free.drawn.preference_low is not None and free.drawn.preference_low < 1
    assert free.count_model == kept.count_model, "of the same lines, by the same seed"


def test_drawing_otherwise_draws_the_count_model_otherwise(unigram):
    plain, begun, cool = (
        sample(unigram, 5, distance=1, **how).novelty.against_train
        for how in ({}, {"prefix": "ba"}, {"temperature": 0.3})
    )
    again = sample(unigram, 5, distance=1).novelty.against_train
    assert plain == again and plain and begun and cool
    assert plain.count_model != begun.count_model != cool.count_model != plain.count_model


@pytest.mark.parametrize(
    "corpus, model, drawn, missing",
    [
        (Corpus.of(LIST), {"model": "ngram"}, {}, "count_model"),
        (Corpus.of(LIST), {"model": "unigram"}, {"temperature": 0.0, "prefix": "ba"}, "count_model"),
        (Corpus.of(LIST, split="none"), {"model": "unigram"}, {}, "held_out"),
        (Corpus.of(LIST[:60]), {"model": "unigram"}, {}, "held_out"),
        (Corpus.of(LIST), {"model": "unigram"}, {"prefix": "bbbb"}, "held_out"),
    ],
)
def test_what_cannot_be_compared_is_none(corpus, model, drawn, missing, monkeypatch):
    monkeypatch.setattr(sample_module, "LEAST_TRIES", 500)
    monkeypatch.setattr(sample_module, "TRIES", 20)
    made = sample(quick(corpus, **model), 5, distance=1, **drawn)
    found = made.novelty.against_train
    assert found is not None and getattr(found, missing) is None and found.drawn is not None
    if missing == "held_out":
        assert found.drawn.preference is None and found.drawn.preference_low is None
    assert json.loads(json.dumps(made.to_dict(), allow_nan=False))["novelty"]["against_train"] == asdict(found)


def test_too_many_lines_are_compared_in_part_and_counted_not_at_all(unigram, monkeypatch):
    fresh = replace(unigram)
    monkeypatch.setattr(memorising, "PAIRS", 40 * len(unigram.corpus.train))
    monkeypatch.setattr(memorising, "MOST_COUNTED", len(unigram.corpus.train) - 1)
    found = against_train(fresh, LIST, 2, Drawing())
    assert found.drawn is not None and found.drawn.lines == 40 and found.count_model is None
    assert against_train(fresh, LIST, 1, Drawing()).drawn.lines == len(LIST), "looked up, not measured"


def test_of_a_leaking_split_held_out_lines_need_not_be_new():
    found = sample(quick(Corpus.of(LIST * 2, split="lecture"), "unigram"), 5, distance=1).novelty.against_train
    assert found and found.held_out and found.held_out.rate < 1 and not found.unique_split
    assert found.drawn and found.drawn.preference_low is None


# ---- the nearest line of each line


@pytest.mark.parametrize("distance", [1, 2, 3])
def test_each_kept_line_has_the_first_of_its_nearest(distance, unigram):
    lines = list(unigram.corpus.lines)
    for line in sample(unigram, 20, distance=distance, seed=distance).lines:
        assert line.edits == least(line.text, lines) > distance
        assert line.nearest == next(x for x in lines if Levenshtein.distance(line.text, x) == line.edits)


def test_without_a_distance_only_what_is_known_is_said(unigram):
    plain = sample(unigram, 2000, seed=1)
    assert plain.novelty.against_train is None
    origins = {"copy": 0, "near copy": 1, "new": None}
    assert {line.origin for line in plain.lines} == set(origins)
    for line in plain.lines:
        assert line.edits == origins[line.origin]
        assert line.nearest == (line.text if line.origin == "copy" else line.near)


def test_beyond_what_is_measured_there_is_none(unigram, monkeypatch):
    monkeypatch.setattr(sample_module, "MOST_MEASURED", 3)
    lines = sample(unigram, 8, distance=1).lines
    assert [line.edits is None for line in lines] == [False] * 3 + [True] * 5
    assert [line.nearest is None for line in lines] == [False] * 3 + [True] * 5


def test_a_run_without_its_list_is_refused_with_a_distance(unigram):
    with pytest.raises(UsageError, match="--no-keep-list"):
        sample(replace(unigram, hashes=np.zeros(1, np.uint64)), 2, distance=1)


# ---- in words


def test_what_is_shown_says_all_three_and_the_preference(unigram, by_heart):
    console = Console(width=120)
    for model, words in ((unigram, "times (95 % interval"), (by_heart, "at least")):
        found = sample(model, 5, distance=1).novelty.against_train
        assert found and found.drawn and found.count_model and found.held_out
        with console.capture() as shown:
            console.print(memorising_table(found))
        for text in (
            f"{found.drawn.lines:,} drawn here", f"{100 * found.drawn.rate:.1f} %", "all, by the split",
            f"{100 * found.held_out.farther:.1f} %" if found.held_out.farther is not None else "", "over one edit away",
            words,
        ):  # fmt: skip
            assert text in shown.get()
    assert memorising_words(replace(found, drawn=None)) == []
    assert math.isfinite(found.count_model.rate)


def test_over_splits_the_interval_of_a_model_that_remembers_nothing_holds_one():
    """Of short lines, likely and so drawn again and again, each is one that the split put in this part or in that."""
    texts = [*"abcdefgh", *(a + b for a in "abcdefgh" for b in "abcdefgh")] * 40
    unique = sorted(set(texts))
    held = 0
    for seed in range(30):
        trained = quick(Corpus.of([*unique, *LIST], split_seed=seed), "uniform")
        found = against_train(trained, texts + LIST[::7] * 3, 1, Drawing()).drawn
        assert found and found.preference_low is not None
        held += found.preference_low <= 1 and (found.preference_high is None or found.preference_high >= 1)
    assert held >= 26
