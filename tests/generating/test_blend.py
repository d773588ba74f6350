"""Two trained models as one: its list, its lines and what they cost under each, drawn as often as they should be."""

from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pytest

from moreish.errors import ConfigError, MoreishError, UsageError
from moreish.generating.blend import blend, held_out_losses, sample_blend
from moreish.generating.sample import sample
from moreish.learning.evaluate import evaluate
from moreish.learning.score import score
from moreish.runs.directory import load
from moreish.runs.recording import save
from moreish.text.corpus import Corpus
from moreish.text.hashing import line_hashes
from quick import quick

ONE = [f"{a}{b}{c}{d}" for a in "bcdfg" for b in "aeiou" for c in "lmnr" for d in ("", "a", "o")]
OTHER = [f"{a}{b}{c}{d}" for a in "fxyzg" for b in "aeiou" for c in "lmnr" for d in ("", "a", "o")]


@pytest.fixture(scope="module")
def parts():
    return quick(Corpus.of(ONE, name="one"), "ngram", order=3), quick(Corpus.of(OTHER, name="other"), "bigram")


@pytest.fixture(scope="module")
def blended(parts):
    return blend(*parts, weight=0.4)


def test_its_list_is_both_lists_and_held_out_is_what_neither_learnt(parts, blended):
    corpus = blended.corpus
    a, b = (part.corpus for part in parts)
    assert sorted(corpus.lines) == sorted({*ONE, *OTHER}) and corpus.name == "one and other"
    assert set(corpus.train) == {*a.train, *b.train}
    assert set(corpus.dev) == {*a.dev, *b.dev} - set(corpus.train) and set(corpus.dev) != {*a.dev, *b.dev}
    assert set(corpus.test) == {*a.test, *b.test} - set(corpus.train) - set(corpus.dev)
    assert blended.alphabet.symbols == tuple(sorted({*a.alphabet.symbols, *b.alphabet.symbols}))
    assert not corpus.leaks and blended.parameters == sum(part.parameters for part in parts)
    assert {line.origin for line in sample(blended, 300).lines if line.text in {*ONE, *OTHER}} == {"copy"}


def test_each_line_has_its_nats_under_the_blend_and_under_each_part(parts, blended):
    found = sample_blend(blended, 80, seed=3, max_length=4)
    assert any(line.cut for line in found.lines) and found.lines == sample(blended, 80, seed=3, max_length=4).lines
    for line, *nats in zip(found.lines, found.nats_a, found.nats_b):
        if not line.cut:
            assert line.nats == pytest.approx(score(blended, line.text)[0].nats)
        for said, part in zip(nats, parts):
            readable = set(line.text) <= set(part.alphabet.symbols)
            assert (said is not None) == readable
            if readable:
                each = [nats for _, nats in score(part, line.text)[0].symbols]
                assert said == pytest.approx(sum(each[:-1] if line.cut else each))
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [line["nats_a"] for line in told["lines"]] == pytest.approx(found.nats_a)


def test_lines_come_as_often_as_they_are_probable(blended):
    count = 10_000
    times = Counter(line.text for line in sample(blended, count, seed=1, max_length=8).lines if not line.cut)
    empty = math.exp(-score(blended, "")[0].nats)  # drawn again
    most = [text for text, _ in times.most_common(60)]
    assert any("x" in text for text in most) and any("b" in text for text in most)
    for text in most:
        p = math.exp(-score(blended, text)[0].nats) / (1 - empty)
        assert abs(times[text] - count * p) < 5 * math.sqrt(count * p * (1 - p))


def test_losses_are_of_lines_that_neither_learnt(parts, blended):
    rows = held_out_losses(blended)
    learnt = {*parts[0].corpus.train, *parts[1].corpus.train}
    for row, part in zip(rows, parts):
        lines = [line for line in part.corpus.dev if line not in learnt]
        assert (row.run, row.lines, row.symbols) == (part.corpus.name, len(lines), sum(map(len, lines)) + len(lines))
        assert row.blend == pytest.approx(sum(one.nats for one in score(blended, lines)) / row.symbols)
    own = [rows[0].a, rows[1].b]
    for loss, part, row in zip(own, parts, rows):
        lines = [line for line in part.corpus.dev if line not in learnt]
        assert loss == pytest.approx(sum(one.nats for one in score(part, lines)) / row.symbols)
    assert rows[0].b == rows[1].a == math.inf and rows[0].to_dict()["b"] is None


def test_of_one_list_and_split_there_is_one_row_and_it_is_what_evaluate_says(parts):
    other = quick(parts[0].corpus, "bigram")
    both = blend(parts[0], other, 0.2)
    (row,) = held_out_losses(both)
    said = [evaluate(each).nats_per_symbol for each in (parts[0], other, both)]
    assert [row.a, row.b, row.blend] == pytest.approx(said)


def test_runs_without_their_lists_still_tell_copies(parts, tmp_path):
    save(parts[1], tmp_path / "run", keep_list=False)
    both = blend(parts[0], load(tmp_path / "run"), 0.5)
    known = {*ONE, *OTHER}
    assert both.hashes is not None and set(both.hashes) == set(
        line_hashes(Corpus.of(sorted(known), split="none").train)
    )
    lines = sample_blend(both, 200, seed=2).lines
    assert all((line.origin == "copy") == (line.text in known) for line in lines)
    assert [row.run for row in held_out_losses(both)] == ["one"]


def test_lists_too_short_to_hold_out_are_blended_and_have_no_losses():
    both = blend(quick(Corpus.of(ONE[:30]), "bigram"), quick(Corpus.of(OTHER[:30]), "bigram"))
    assert (
        both.corpus.split == "none" and both.corpus.leaks and sorted(both.corpus.lines) == sorted(ONE[:30] + OTHER[:30])
    )
    assert sample(both, 20, new_only=True).found == 20
    with pytest.raises(UsageError, match="nothing to measure"):
        held_out_losses(both)


def test_any_two_models_blend(parts):
    corpus = parts[1].corpus
    for name in ("uniform", "gru", "mixture"):
        both = blend(quick(corpus, name), parts[0], 0.5)
        for line in sample_blend(both, 10, seed=1).lines:
            assert line.cut or line.nats == pytest.approx(score(both, line.text)[0].nats, abs=1e-3)
    nested = blend(both, parts[1], 0.5)
    assert sample_blend(nested, 5, seed=1).found == 5 and np.isfinite(evaluate(nested, lightly=True).nats_per_symbol)


def test_it_is_no_run_and_what_cannot_be_blended_is_refused(parts, blended, tmp_path):
    with pytest.raises(UsageError, match="no run of its own"):
        save(blended, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match=r"weight=1\.5"):
        blend(*parts, weight=1.5)
    with pytest.raises(MoreishError, match=r"characters.*words"):
        blend(parts[0], quick(Corpus.of(OTHER, symbols="words"), "bigram"))
