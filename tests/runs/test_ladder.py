"""The ladder: its figures are those of fit and evaluate, its time is shared out, and a rung that breaks harms none."""

from __future__ import annotations

import json
import math
import random
import re

import pytest
import torch

from moreish.errors import ConfigError, MoreishError, UsageError
from moreish.learning.choose import choose_order
from moreish.learning.evaluate import evaluate
from moreish.learning.fit import Evaluated, Step, fit
from moreish.models.catalog import MODELS
from moreish.runs import ladder as ladder_module
from moreish.runs.ladder import RUNGS, Climbed, Climbing, Ladder, climb, ladder, share_of
from moreish.text.corpus import Corpus

chooser = random.Random(6)
MANY = ["".join(chooser.choices(["ka", "ri", "no", "sha", "men", "el"], k=chooser.randint(1, 4))) for _ in range(900)]
FEW = list(dict.fromkeys(MANY))[:40]
COUNTING = ["uniform", "unigram", "bigram", "ngram"]
real_make_recipe = ladder_module.make_recipe


@pytest.fixture
def brief(monkeypatch):
    """Networks take three steps, whatever the time: `brief(mlp={"lr": 1e9, ...})` asks more of some."""
    more: dict[str, dict] = {}

    def make(corpus, model, *, time=None, evaluate_every=0, **asked):
        if not MODELS[model].learns_by_gradient:
            return real_make_recipe(corpus, model, **asked)
        return real_make_recipe(corpus, model, **{"steps": 3, "batch": 16, **asked, **more.get(model, {})})

    monkeypatch.setattr(ladder_module, "make_recipe", make)
    return more.update


def test_every_rung_is_what_fit_and_evaluate_say(brief):
    corpus = Corpus.of(MANY, name="mine")
    found = ladder(corpus, models=[*COUNTING, "one-layer", "mlp"], seed=3)
    assert [row.model for row in found.rungs] == [*COUNTING, "one-layer", "mlp"]
    asked = {"ngram": choose_order(corpus)[1], "one-layer": {"steps": 3, "batch": 16}, "mlp": {"steps": 3, "batch": 16}}
    alone = {}
    for row in found.rungs:
        trained = fit(corpus, row.model, seed=3, **asked.get(row.model, {}))
        alone[row.model] = evaluate(trained)
        assert row.nats_per_symbol == pytest.approx(alone[row.model].nats_per_symbol)
        assert row.bits_per_symbol == pytest.approx(row.nats_per_symbol / math.log(2))
        assert (row.copy_mass, row.nats_given_new) == (
            alone[row.model].copy_mass, alone[row.model].nats_given_new,
        )  # fmt: skip
        assert row.parameters == trained.parameters and row.settings == trained.recipe.settings
        assert row.low <= row.nats_per_symbol <= row.high and row.seconds > 0 and not row.failed
        assert row.counted == (row.model in COUNTING) and 1 <= len(row.samples) <= 5
        assert row.difference == pytest.approx(row.nats_per_symbol - found.rungs[3].nats_per_symbol)
        assert row.difference_low <= row.difference <= row.difference_high
    assert found.reference == f"ngram of order {asked['ngram']['order']}" and found.rungs[3].difference == 0
    assert (found.lines, found.symbols) == (len(corpus.dev), sum(len(line) + 1 for line in corpus.dev))
    assert (found.part, found.split, found.split_seed, found.leaks, found.seed) == ("dev", "unique", 42, False, 3)


def test_what_happens_is_told_and_json_has_what_it_promises(brief):
    told = list(climb(Corpus.of(MANY, name="mine"), models=["bigram", "mlp"], time=60.0))
    kinds = [type(event) for event in told]
    assert kinds[:3] == [Climbing, Climbed, Climbing] and kinds[-2:] == [Climbed, Ladder]
    assert set(kinds[3:-2]) == {Step, Evaluated}
    first, second = (event for event in told if isinstance(event, Climbing))
    assert (first.model, first.number, first.rungs, first.share) == ("bigram", 1, 2, None)
    assert (second.model, second.number, second.rungs) == ("mlp", 2, 2) and 0 < second.share < 60
    said = json.loads(json.dumps(told[-1].to_dict(), allow_nan=False))
    assert said["advice"] and said["time"] == 60 and said["seconds"] > 0 and "runs" not in said and "rows" not in said
    for row in said["rungs"]:
        keys = {"model", "nats_per_symbol", "low", "high", "parameters", "seconds", "samples", "copy_mass"}
        assert keys <= row.keys() and all(row[key] is not None for key in keys)


def test_the_rungs_are_models_of_the_catalog_and_each_has_its_row(brief):
    assert not set(RUNGS) - set(MODELS), "a rung that there is not"
    found = ladder(Corpus.of(MANY[:260], name="mine"), time=600.0)
    assert [row.model for row in found.rungs] == list(RUNGS)
    assert {row.model: row.failed for row in found.rungs if row.failed} == {}
    assert [row.model for row in found.rungs if "trie" in row.note] == ["mixture"]
    knows_nothing = found.rungs[0].nats_per_symbol
    assert all(0 < row.nats_per_symbol < 2 * knows_nothing for row in found.rungs)


@pytest.mark.parametrize("how, why", [
    ({"lr": 1e6, "weight_decay": 1e6, "optimizer": "adamw", "steps": 30, "warmup": 0.0}, "step .*first bad tensor"),
    ({"batch": 10**7 + 1}, "batch=10000001 is not"),
    (RuntimeError("[enforce fail] DefaultCPUAllocator:\n can't allocate memory"), "can't allocate memory"),
    (MemoryError(), "MemoryError"),
])  # fmt: skip
def test_a_rung_that_breaks_says_why_and_harms_no_other(how, why, brief, monkeypatch):
    corpus = Corpus.of(MANY, name="mine")
    models = ["bigram", "mlp", "mlp-bn"]
    brief(mlp={} if isinstance(how, Exception) else how)
    if isinstance(how, Exception):
        real = ladder_module.events

        def failing(corpus, recipe, device):
            if recipe.model == "mlp":
                raise how
            return real(corpus, recipe, device)

        monkeypatch.setattr(ladder_module, "events", failing)
    found = ladder(corpus, models=models)
    brief(mlp={})
    without = ladder(corpus, models=["bigram", "mlp-bn"])
    broken = found.rungs[1]
    assert re.search(why, broken.failed) and "\n" not in broken.failed
    assert broken.nats_per_symbol is broken.low is broken.seconds is broken.difference is None
    for row, alone in zip((found.rungs[0], found.rungs[2]), without.rungs):
        assert row.nats_per_symbol == alone.nats_per_symbol and row.difference_low == alone.difference_low
        assert row.samples == alone.samples
    assert any(sentence.startswith("mlp came to nothing") for sentence in found.advice)
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_reference_that_breaks_leaves_its_place_to_the_first_that_stands(brief, monkeypatch):
    def no_order(corpus):
        raise MoreishError("no order fits.")

    monkeypatch.setattr(ladder_module, "choose_order", no_order)
    found = ladder(Corpus.of(MANY, name="mine"), models=["unigram", "bigram", "ngram"])
    assert found.reference == "unigram" and found.rungs[1].difference < 0 and found.rungs[2].failed == "no order fits."


# Time.


@pytest.mark.parametrize("names, left, share", [
    (["bigram", "mlp"], 100.0, None), (["one-layer", "mlp"], 100.0, None), (["mlp"], 100.0, 97.0),
    (["mlp", "mlp-bn"], 100.0, 48.5), (["mlp", "bigram", "mlp-bn"], 100.0, 48.5), (["mlp"], -3.0, 0.0),
])  # fmt: skip
def test_what_is_left_is_shared_among_the_networks_to_come(names, left, share):
    assert share_of(Corpus.of(MANY), names, left) == (share if share is None else pytest.approx(share))


def test_mixture_and_transformer_get_more(monkeypatch):
    monkeypatch.setattr(ladder_module, "find_model", lambda name: MODELS["mlp"])
    shares = {}
    names = ["mlp", "transformer", "mixture"]
    for i, name in enumerate(names):
        shares[name] = share_of(Corpus.of(MANY), names[i:], 100.0 - sum(shares.values()))
    assert shares["transformer"] > 1.5 * shares["mlp"] and shares["mixture"] > 1.5 * shares["mlp"]
    assert 90 < sum(shares.values()) < 100


def test_a_time_is_kept_and_no_network_takes_more_steps_than_its_recipe():
    corpus = Corpus.of(MANY, name="mine")
    found = ladder(corpus, models=["bigram", "mlp-bn"], time=6.0)
    row = found.rungs[1]
    full = real_make_recipe(corpus, "mlp-bn", evaluate_every=0).steps
    assert row.full_steps == full and 1 <= row.steps <= full
    assert row.seconds <= found.seconds < 9  # its plan keeps a reserve; this machine may be busy


def test_with_no_time_left_networks_say_so_and_counting_is_done_all_the_same():
    import time as clock

    told = list(climb(Corpus.of(MANY), models=["bigram", "mlp"], time=5.0, began=clock.perf_counter() - 60))
    one, two = told[-1].rungs
    assert one.nats_per_symbol and two.failed == "there was no time left to learn it in. Give a longer --time."


def test_a_large_alphabet_has_one_layer_learn_by_minibatches():
    letters = [chr(0x4E00 + i) for i in range(90)]
    corpus = Corpus.of([a + b for far in (3, 5, 7) for a, b in zip(letters, letters[far:])], name="mine")
    assert share_of(corpus, ["one-layer"], 10.0) == pytest.approx(9.7)
    (row,) = ladder(corpus, models=["one-layer"], time=4.0).rungs
    assert not row.failed and row.steps >= 1 and row.settings == {}


# Lists.


def test_of_a_short_list_every_line_is_held_out_once_by_every_rung(brief):
    corpus = Corpus.of(FEW, name="mine")
    found = ladder(corpus, models=["unigram", "bigram", "ngram", "mlp"], time=60.0)
    assert (found.part, found.folds, found.lines) == ("kfold", 5, len(FEW))
    assert [row.failed for row in found.rungs] == [""] * 4 and all(row.samples for row in found.rungs)
    order, nats = list(corpus.train), 0.0
    for fold in range(5):
        learnt = Corpus.of([line for i, line in enumerate(order) if i % 5 != fold], split="none")
        counts = dict.fromkeys(["", *corpus.alphabet.symbols], 0)
        for line in learnt.train:
            for symbol in [*line, ""]:
                counts[symbol] += 1
        for line in order[fold::5]:  # the unigram's add-one smoothing, by hand, is near what Kneser-Ney of order 1 does
            nats -= sum(math.log((counts[s] + 1) / (sum(counts.values()) + len(counts))) for s in [*line, ""])
    assert found.rungs[0].nats_per_symbol == pytest.approx(nats / found.symbols, abs=0.02)


def test_a_split_that_leaks_says_so(brief):
    found = ladder(Corpus.of(MANY, split="lecture"), models=["bigram"])
    assert found.leaks and "leaks" in found.note and found.to_dict()["leaks"] is True


@pytest.mark.parametrize("lines, how, kind, message", [
    (MANY, {"split": "none"}, UsageError, "--split none holds nothing"),
    (["solo"] * 4, {}, MoreishError, "one unique line"),
])  # fmt: skip
def test_lists_of_which_nothing_is_held_out_are_refused(lines, how, kind, message):
    with pytest.raises(kind, match=message):
        ladder(Corpus.of(lines, **how))


@pytest.mark.usefixtures("types_unchecked")
@pytest.mark.parametrize("how, kind, message", [
    ({"time": 0}, ConfigError, "time=0 is not"), ({"time": math.nan}, ConfigError, "time=nan"),
    ({"time": "5"}, ConfigError, "time='5'"), ({"time": True}, ConfigError, "time=True"),
    ({"models": []}, UsageError, "no models"), ({"models": ["bigram", "bigram"]}, UsageError, "bigram is named twice"),
    ({"models": ["lsmt"]}, ConfigError, "no model is called 'lsmt'"), ({"seed": -1}, UsageError, "seed=-1"),
])  # fmt: skip
def test_requests_that_mean_nothing_are_refused_before_anything_is_learnt(how, kind, message):
    with pytest.raises(kind, match=message):
        next(climb(Corpus.of(MANY), **how))


def test_the_same_seed_gives_the_same_ladder_and_another_another(brief):
    corpus = Corpus.of(MANY, name="mine")
    one, again, other = (ladder(corpus, models=["bigram", "mlp"], seed=seed).rungs for seed in (1, 1, 2))
    strip = [[(r.nats_per_symbol, r.low, r.difference_high, r.samples) for r in rows] for rows in (one, again, other)]
    assert strip[0] == strip[1] != strip[2]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="wants a GPU")
def test_on_a_gpu(brief):
    found = ladder(Corpus.of(MANY), models=["bigram", "mlp"], device="cuda")
    assert [row.failed for row in found.rungs] == ["", ""]
