"""A request for lines: what is kept, what is counted, and an honest word on each."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from rapidfuzz.distance import Levenshtein

from moreish.errors import MoreishError, UsageError
from moreish.generating import sample as sample_module
from moreish.generating.novelty import wilson
from moreish.generating.sample import Line, NoveltyRates, Sample, held_out_near_rate, sample
from moreish.generating.sampler import draw_lines
from moreish.learning.fit import fit
from moreish.learning.score import score
from moreish.models.catalog import MODELS
from moreish.text.corpus import Corpus
from moreish.text.hashing import line_hashes
from moreish.text.lines import Lines
from quick import quick

TEXTS = [f"{a}{b}{c}" for a in ("ma", "el", "jo", "ka") for b in ("ri", "la", "na", "te") for c in ("", "n", "a", "s")]
FEW = ["emma", "ava", "mia", "ella", "éva", "ada"]
LONG = [f"{a}{b}{c}{d}" for a in "bcdfg" for b in "aeiou" for c in "lmnr" for d in ("", "a", "o")]


@pytest.fixture(scope="module")
def few():
    return quick(Corpus.of(FEW), "ngram", order=3)


@pytest.fixture(scope="module")
def many():
    return quick(Corpus.of(LONG), "ngram", order=3)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("count", [1, 2, 100])
def test_as_many_lines_as_asked_each_with_its_score_and_origin(name, count):
    trained = quick(Corpus.of(TEXTS), name)
    made = sample(trained, count, seed=5)
    assert (made.asked, made.found, made.drawn, len(made.lines)) == (count,) * 4
    for line, said in zip(made.lines, score(trained, [line.text for line in made.lines])):
        if not line.cut:
            assert line.nats == pytest.approx(said.nats, abs=1e-4)
        distances = {known: Levenshtein.distance(line.text, known) for known in TEXTS}
        nearest = min(distances.values())
        assert line.origin == {0: "copy", 1: "near copy"}.get(nearest, "new")
        assert (line.near is None) == (nearest != 1) and (nearest != 1 or distances[line.near] == 1)


def test_new_means_in_no_part_of_the_list():
    trained = quick(Corpus.of(LONG), "ngram", order=6)
    corpus = trained.corpus
    assert len(corpus.dev) and len(corpus.test)
    drawn = sample(trained, 5000)
    copies = {line.text for line in drawn.lines if line.origin == "copy"}
    assert copies & set(corpus.train) and copies & set(corpus.dev) and copies & set(corpus.test)
    assert all((line.text in set(LONG)) == (line.origin == "copy") for line in drawn.lines)


def test_rates_are_counted_over_all_that_was_drawn(many):
    made = sample(many, 2000, seed=2)
    new = [line for line in made.lines if line.origin != "copy"]
    near = [line for line in new if line.origin == "near copy"]
    rates = made.novelty
    assert rates.rate == len(new) / 2000 and (rates.low, rates.high) == wilson(len(new), 2000)
    assert rates.near_rate == len(near) / len(new)
    dev = [line for line in many.corpus.dev if line not in set(many.corpus.train)]
    close = [line for line in dev if min(Levenshtein.distance(line, known) for known in many.corpus.train) == 1]
    assert rates.held_out_near_rate == held_out_near_rate(many) == len(close) / len(dev)


def test_the_rate_is_that_of_the_model_whatever_is_kept(many):
    plain = sample(many, 3000, seed=2).novelty.rate
    for kept in ({"new_only": True}, {"distinct": True}, {"distance": 1}):
        made = sample(many, 100, seed=2, **kept)
        assert made.drawn > made.found == 100
        spread = 5 * math.sqrt(plain * (1 - plain) * (1 / 3000 + 1 / made.drawn))
        assert abs(made.novelty.rate - plain) < spread


def test_new_only_distinct_and_distance_keep_what_they_say(many):
    new = sample(many, 300, new_only=True)
    assert all(line.text not in set(LONG) and line.origin != "copy" for line in new.lines)
    assert any(line.origin == "near copy" for line in new.lines), "near copies are new all the same"
    distinct = sample(many, 300, distinct=True)
    assert len({line.text for line in distinct.lines}) == 300
    for distance in (1, 2, 3):
        far = sample(many, 20, distance=distance)
        assert far.lines and all(
            min(Levenshtein.distance(line.text, known) for known in LONG) > distance for line in far.lines
        )
    both = sample(many, 50, new_only=True, distinct=True, distance=1)
    assert len({line.text for line in both.lines}) == 50 and {line.origin for line in both.lines} == {"new"}


def test_fewer_found_than_asked_says_so_and_ends(monkeypatch):
    monkeypatch.setattr(sample_module, "LEAST_TRIES", 1000)
    monkeypatch.setattr(sample_module, "TRIES", 5)
    trained = quick(Corpus.of(["ab", "cd"], split="none"), "ngram", order=3, smoothing="none")
    made = sample(trained, 10, distinct=True)
    assert (made.asked, made.found, made.drawn) == (10, 2, 1000) and {x.text for x in made.lines} == {"ab", "cd"}
    made = sample(trained, 300, new_only=True)
    assert (made.asked, made.found, made.drawn, made.lines) == (300, 0, 1500, [])
    assert (made.novelty.rate, made.novelty.near_rate) == (0.0, None)
    assert json.loads(json.dumps(made.to_dict()))["lines"] == []


def test_asking_at_temperature_zero_for_distinct_lines_ends(many, monkeypatch):
    monkeypatch.setattr(sample_module, "LEAST_TRIES", 500)
    monkeypatch.setattr(sample_module, "TRIES", 2)
    assert sample(many, 5, temperature=0.0, distinct=True).found == 1


def test_the_same_seed_gives_the_same_lines_and_another_gives_others(many):
    for how in ({}, {"new_only": True}, {"temperature": 0.7}, {"top_k": 3}, {"top_p": 0.9, "distinct": True}):
        one, two, other = (sample(many, 30, seed=seed, **how) for seed in (1, 1, 2))
        assert one == two and one.lines != other.lines


def test_settings_change_the_lines_even_where_tables_were_kept_from_before(many):
    plain = sample(many, 200, seed=1)
    cool = sample(many, 200, seed=1, temperature=0.3)
    assert cool.lines != plain.lines and sample(many, 200, seed=1) == plain
    assert np.mean([line.nats for line in cool.lines]) < np.mean([line.nats for line in plain.lines])
    assert len({line.text for line in sample(many, 50, temperature=0.0).lines}) == 1


def test_a_network_that_learns_on_is_sampled_as_it_now_is():
    trained = quick(Corpus.of(TEXTS), "one-layer")
    before = sample(trained, 50).lines
    with torch.no_grad():
        trained.model.weight.mul_(-1)
    assert sample(trained, 50).lines != before


def test_lines_are_at_most_twice_as_long_as_the_longest_unless_asked(few):
    uniform = quick(Corpus.of(FEW), "uniform")
    assert max(len(line.text) for line in sample(uniform, 500).lines) == 8
    made = sample(uniform, 500, max_length=3)
    assert max(len(line.text) for line in made.lines) == 3 and any(line.cut for line in made.lines)
    assert all(line.text.startswith("em") for line in sample(few, 50, prefix="em", max_length=6).lines)


def test_a_run_that_kept_only_hashes_knows_copies_and_nothing_near(few):
    bare = replace(
        few, corpus=replace(few.corpus, train=Lines.of([])), hashes=line_hashes(few.corpus.train), longest_line=4
    )
    with_list, without = sample(few, 400, seed=3), sample(bare, 400, seed=3)
    assert [line.text for line in without.lines] == [line.text for line in with_list.lines]
    for known, line in zip(with_list.lines, without.lines):
        assert line.near is None and line.origin == ("copy" if known.origin == "copy" else "new")
    assert without.novelty.rate == with_list.novelty.rate
    assert without.novelty.near_rate is None and without.novelty.held_out_near_rate is None
    assert all(line.origin == "new" for line in sample(bare, 20, new_only=True).lines)
    with pytest.raises(UsageError, match="--no-keep-list"):
        sample(bare, 5, distance=1)


def test_without_held_out_lines_there_is_no_rate_of_theirs(few):
    assert sample(few, 10).novelty.held_out_near_rate is None
    assert sample(quick(Corpus.of(LONG, split="none"), "ngram"), 10).novelty.held_out_near_rate is None


def test_what_json_lacks_is_null():
    rates = NoveltyRates(1.0, 0.2, 1.0, None, None)
    made = Sample([Line("ad", math.inf, "new", None, False)], 1, 1, 1, rates).to_dict()
    said = json.loads(json.dumps(made, allow_nan=False))
    assert [line["nats"] for line in said["lines"]] == [None]
    assert set(said) == {
        "lines", "asked", "found", "drawn", "novelty",
        "probability_of_condition", "probability_interval", "exact", "beyond", "possible",
    }  # fmt: skip
    assert set(said["novelty"]) == {"rate", "low", "high", "near_rate", "held_out_near_rate", "against_train"}


REFUSED = [
    *[("count", x, "lines cannot") for x in (0, -1, True, 1.5, "3", None, math.nan, 10**12)],
    *[("temperature", x, "temperature=") for x in (-1, math.nan, math.inf, True, "1", None)],
    *[("top_k", x, "top_k=") for x in (0, -3, 1.0, True, "2")],
    *[("top_p", x, "top_p=") for x in (0, -0.5, 1.1, math.nan, True, "0.5")],
    *[("max_length", x, "max_length=") for x in (0, -1, True, 1.5, "5", 10**7)],
    *[("seed", x, "seed=") for x in (-1, 2**63, True, 1.5, "0", None)],
    *[("distance", x, "distance=") for x in (0, -1, 101, True, 1.5, "1", math.nan)],
    *[("prefix", x, "prefix") for x in (5, b"em", ["e"], True, None, 0)],
]


@pytest.mark.parametrize("name, value, words", REFUSED, ids=lambda x: repr(x)[:12])
def test_requests_that_mean_nothing_are_refused_by_name(name, value, words, few, types_unchecked):
    sample(few, 2)  # what is kept from a good request must not let a bad one pass
    with pytest.raises(UsageError, match=words) as error:
        sample(few, **{name: value})
    assert len(str(error.value)) < 300


def test_symbols_outside_the_alphabet_cannot_begin_a_line(few):
    with pytest.raises(MoreishError, match="'x'"):
        sample(few, prefix="x")


@pytest.mark.parametrize("lines", [["a"], ["a"] * 5, ["a", "b"], ["名前"], [" "], ["a" * 2000]])
def test_any_list_however_small_gives_lines(lines):
    made = sample(quick(Corpus.of(lines), "ngram"), 20)
    assert made.found == 20 and 0 <= made.novelty.rate <= 1
    assert json.dumps(made.to_dict(), allow_nan=False)


def test_empty_lines_are_drawn_again():
    often_empty = fit(Corpus.of([*"abcdefgh"] * 30, split="none"), "unigram")
    assert any(not text for text in next(draw_lines(often_empty.model, often_empty.alphabet, max_length=9)).texts)
    found = sample(often_empty, 500)
    assert found.found == 500 and all(line.text for line in found.lines)


def test_a_model_that_only_ends_finds_nothing_and_says_so():
    always_empty = fit(Corpus.of([*"abcdefgh"] * 30, split="none"), "unigram")
    found = sample(always_empty, 5, temperature=0.0)
    assert (found.found, found.drawn, found.novelty.rate) == (0, 0, None)
