"""What steering does, measured: against recounting by hand, and by what must hold of entropies."""

from __future__ import annotations

import json
import math

import pytest
import torch

from moreish.errors import UsageError
from moreish.generating import steer as steer_module
from moreish.generating.draws import adjust
from moreish.generating.novelty import wilson
from moreish.generating.sample import sample
from moreish.generating.steer import entropy_bits, steer
from moreish.learning.evaluate import evaluate
from moreish.text.corpus import Corpus
from moreish.text.lines import Lines
from quick import quick

LONG = [f"{a}{b}{c}{d}" for a in "bcdfg" for b in "aeiou" for c in "lmnr" for d in ("", "a", "o")]


@pytest.fixture(scope="module")
def trained():
    return quick(Corpus.of(LONG), "ngram", order=3)


@pytest.mark.parametrize("settings", [(1.0, None), (0.5, None), (1.0, 0.6), (0.0, None)], ids=str)
@pytest.mark.parametrize("model, symbols", [("ngram", "characters"), ("gru", "characters"), ("bigram", "words")])
def test_entropy_is_that_of_each_place_that_the_lines_come_by(model, symbols, settings, monkeypatch):
    corpus = Corpus.of(["ab ba", "b", "abba c", "a", "c ab", "ba"], split="none", symbols=symbols)
    trained = quick(corpus, model)
    lines, wanted = [*corpus.train, "b", "ab ba"], []
    for line in lines:
        read = torch.tensor([[0, *trained.alphabet.encode(line)]])
        for row in trained.model(read, trained.model.begin(1))[0][0].detach().double().log_softmax(-1):
            shares = adjust(row[None], settings[0], typical=settings[1])[0].tolist()
            wanted.append(-sum(p * math.log2(p) for p in shares if p))
    for cells in (1 << 22, 1):  # all at once, and line by line
        monkeypatch.setattr(steer_module, "CELLS_AT_ONCE", cells)
        bits, places = entropy_bits(trained.model, trained.alphabet, Lines.of(lines), *settings)
        assert places == len(wanted) and bits == pytest.approx(sum(wanted) / len(wanted), abs=1e-5)


def test_each_row_is_what_counting_its_lines_gives(trained):
    found = steer(trained, [0.7, 1.3], [0.5], count=400, seed=4)
    assert [(row.temperature, row.typical) for row in found.settings] == [(0.7, None), (1.3, None), (1.0, 0.5)]
    for row in found.settings:
        lines = sample(trained, 400, temperature=row.temperature, typical=row.typical, seed=4).lines
        new = [line for line in lines if line.text not in set(LONG)]
        symbols = sum(len(line.text) + (not line.cut) for line in lines)
        assert row.nats_per_symbol == pytest.approx(sum(line.nats for line in lines) / symbols)
        assert row.new == len(new) / 400 and (row.new_low, row.new_high) == wilson(len(new), 400)
        assert row.distinct == len({line.text for line in lines}) / 400
        assert row.cut == sum(line.cut for line in lines) / 400
        assert row.mean_length == pytest.approx(sum(len(line.text) for line in lines) / 400)
        assert row.near == sum(line.origin == "near copy" for line in new) / len(new)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["settings"][0]["lines"] == 400


def test_at_temperature_one_surprisal_is_entropy_and_heat_makes_both_grow(trained):
    found = steer(trained, [0.0, 0.5, 1.0, 2.0], [0.7], count=4000)
    cold, cool, plain, hot, typical = found.settings
    assert plain.entropy_bits == pytest.approx(plain.nats_per_symbol / math.log(2), rel=0.03)
    assert cold.entropy_bits == 0 and cold.distinct == 1 / 4000
    for of in ("entropy_bits", "nats_per_symbol", "new", "distinct"):
        assert getattr(cool, of) < getattr(plain, of) < getattr(hot, of)
    assert typical.entropy_bits < plain.entropy_bits


def test_real_lines_stand_beside_them_as_evaluate_sees_them(trained):
    real, said = steer(trained, [1.0], [], count=2000).held_out, evaluate(trained)
    assert real.nats_per_symbol == pytest.approx(said.nats_per_symbol) and real.lines == said.lines
    assert (real.temperature, real.typical, real.new, real.cut) == (None, None, None, 0.0)
    assert real.mean_length == pytest.approx(said.symbols / said.lines - 1)
    assert steer(trained, [1.0], [], count=5).held_out.lines == 5
    assert steer(quick(Corpus.of(LONG[:40]), "bigram"), [1.0], [], count=5).held_out is None


def test_a_setting_that_gives_only_empty_lines_has_no_figures():
    found = steer(quick(Corpus.of(list("abcdefgh"), split="none"), "unigram"), [0.0], [], count=20)
    (row,) = found.settings
    assert row.lines == 0 and row.entropy_bits is row.new is row.mean_length is None


@pytest.mark.parametrize(
    "asked, said",
    [
        (([], []), "0 settings"), (([1.0, 0.5, 1.0], []), "temperature 1 is given"), (([], [0.5, 0.5]), "typical 0.5"),
        (([-1.0], []), "temperature=-1"), (([1.0], [0.0]), "typical=0"), (([1.0], [1.5]), r"typical=1\.5"),
        (([math.nan], []), "temperature=nan"), (([float(i) for i in range(60)], []), "60 settings"),
    ],
)  # fmt: skip
def test_settings_that_mean_nothing_are_refused_before_anything_is_drawn(trained, asked, said, monkeypatch):
    monkeypatch.setattr(steer_module, "sample", None)
    with pytest.raises(UsageError, match=said):
        steer(trained, *asked)
    with pytest.raises(UsageError, match="0 lines"):
        steer(trained, [1.0], [], count=0)
