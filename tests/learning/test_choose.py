"""Which model suits a list: the order that predicts held-out lines best, said with its figure."""

from __future__ import annotations

import math
import random
import re
from dataclasses import replace

import pytest

from moreish.errors import ConfigError
from moreish.learning import choose as choose_module
from moreish.learning.choose import choose, choose_order
from moreish.learning.evaluate import evaluate
from moreish.learning.fit import fit, make_recipe
from moreish.text.corpus import Corpus

chooser = random.Random(9)
SYLLABLES = ["ka", "ri", "no", "sha", "men", "tor", "el", "u", "bi", "zan"]
NAMES = ["".join(chooser.choices(SYLLABLES, k=chooser.randint(1, 4))) for _ in range(700)]
NOISE = ["".join(chooser.choices("abcdefgh", k=chooser.randint(1, 9))) for _ in range(400)]
WORDS = [" ".join(chooser.choices([f"w{i}" for i in range(400)], k=chooser.randint(1, 5))) for _ in range(500)]
HAN = ["".join(chooser.choices([chr(0x4E00 + i) for i in range(600)], k=chooser.randint(1, 3))) for _ in range(300)]
LISTS = {
    "names": Corpus.of(NAMES),
    "noise": Corpus.of(NOISE),
    "few": Corpus.of(NAMES[:40]),
    "three": Corpus.of(["ana", "bela", "cana"]),
    "two": Corpus.of(["ana", "bela"]),
    "words": Corpus.of(WORDS, symbols="words"),
    "han": Corpus.of(HAN),
    "graphemes": Corpus.of(NAMES, symbols="graphemes"),
    "bytes": Corpus.of(HAN, symbols="bytes"),
    "lecture": Corpus.of(NAMES, split="lecture"),
    "none": Corpus.of(NAMES, split="none"),
}


@pytest.mark.parametrize("name", LISTS)
def test_the_order_is_the_best_of_those_tried_and_the_sentence_is_true(name):
    corpus = LISTS[name]
    model, settings, why = choose_order(corpus)
    assert model == "ngram" and settings.keys() == {"order"}
    said = re.fullmatch(
        r"ngram of order (\d+): (\d+\.\d{4}) nats per symbol (on the lines held out|in (\d+) folds), "
        r"the least of orders (\d+) to (\d+); "
        r"(knowing nothing costs|but knowing nothing costs only) (\d+\.\d{4})(: the list is too short to learn from)?",
        why,
    )
    assert said, why
    assert int(said[1]) == settings["order"] and (said[4] is not None) == corpus.kfold
    losses = {}
    for order in range(int(said[5]), int(said[6]) + 1):
        found = evaluate(fit(corpus, model, order=order))
        losses[order] = found.nats_per_symbol
        if said[4]:
            assert int(said[4]) == found.folds == min(10, len(corpus.train))
    assert losses[settings["order"]] == min(losses.values())
    assert said[2] == f"{losses[settings['order']]:.4f}"
    nothing = math.log(len(corpus.alphabet))
    assert said[8] == f"{nothing:.4f}" and (said[9] is None) == (losses[settings["order"]] < nothing)
    assert choose_order(corpus) == (model, settings, why)


def test_long_contexts_for_regular_lists_and_short_ones_for_noise():
    assert choose_order(LISTS["names"])[1]["order"] > choose_order(LISTS["noise"])[1]["order"]
    assert choose_order(LISTS["words"])[1]["order"] <= 3


def test_one_unique_line_leaves_nothing_to_choose_by():
    for lines in (["a"], ["ana"] * 300):
        model, settings, why = choose_order(Corpus.of(lines))
        assert (model, settings) == ("ngram", {"order": 3}) and "one unique line" in why
        assert fit(Corpus.of(lines), model, why=why, **settings).recipe.why == why


def test_of_many_lines_not_every_order_is_tried(monkeypatch):
    monkeypatch.setattr(choose_module, "MANY_BYTES", 1000)
    monkeypatch.setattr(choose_module, "held_out_loss", None)
    assert choose_order(LISTS["names"])[:2] == ("ngram", {"order": 7})
    assert choose_order(LISTS["words"])[:2] == ("ngram", {"order": 4})


# By the list and the time.


@pytest.mark.parametrize("name", ["few", "three", "two", "words", "han"])
@pytest.mark.parametrize("time", [None, 30.0])
def test_short_lists_and_large_alphabets_are_counted(name, time):
    assert choose(LISTS[name], time) == choose_order(LISTS[name])


@pytest.mark.parametrize("name", ["names", "noise", "graphemes", "bytes", "lecture", "none"])
def test_two_hundred_lines_and_time_enough_are_worth_a_mixture(name):
    model, settings, why = choose(LISTS[name])
    assert (model, settings) == ("mixture", {}) and f"of {len(LISTS[name].train):,} lines" in why


@pytest.mark.parametrize("seconds_a_step, wanted", [(0.01, "all"), (1.0, "some"), (20.0, "none")])
def test_the_time_decides_how_long_a_mixture_learns_and_whether(seconds_a_step, wanted, monkeypatch):
    def planned(corpus, recipe, time, device, *, most, evaluated):
        assert not evaluated
        if time < seconds_a_step:
            raise ConfigError("too short")
        return replace(recipe, steps=min(most, int(time / seconds_a_step)))

    monkeypatch.setattr(choose_module, "plan", planned)
    full = make_recipe(LISTS["names"], "mixture").steps
    model, settings, why = choose(LISTS["names"], 8.0)
    if wanted == "all":
        assert (model, settings) == ("mixture", {}) and why.endswith("8 s are enough to learn how")
    elif wanted == "some":
        assert (model, settings) == ("mixture", {"steps": 8}) and f"8 s are enough for 8 of the {full} steps" in why
    else:
        assert model == "ngram" and settings == choose_order(LISTS["names"])[1]
        assert why.endswith(". With more than 8 s a mixture would predict better: see --time")


def test_a_list_too_long_for_the_time_is_counted_and_nothing_else_is_tried(monkeypatch):
    monkeypatch.setattr(choose_module, "plan", None)
    monkeypatch.setattr(choose_module, "MOST_BYTES_A_SECOND", 100)
    for time in (1.0, 20.0):
        model, _, why = choose(LISTS["names"], time)
        assert model == "ngram" and f"With more than {time:g} s a mixture" in why
    for most in ("MOST_BYTES", "LONGEST"):
        with monkeypatch.context() as patch:
            patch.setattr(choose_module, most, 5)
            assert choose(LISTS["names"]) == choose_order(LISTS["names"])


def test_a_mixture_of_long_lines_takes_fewer_of_them_at_once(monkeypatch):
    assert make_recipe(LISTS["names"], "mixture").batch == 128
    monkeypatch.setattr("moreish.learning.recipes.MOST_CANDIDATES", 2000)
    recipe = make_recipe(LISTS["names"], "mixture")
    longer = make_recipe(Corpus.of([name * 3 for name in NAMES]), "mixture")
    assert 1 <= longer.batch < recipe.batch < 128 and make_recipe(LISTS["names"], "mixture", batch=64).batch == 64


@pytest.mark.parametrize("time", [0, -1.0, math.nan, math.inf, True, "30"])
def test_what_is_no_time_is_refused(time, types_unchecked):
    with pytest.raises(ConfigError, match="not a number of seconds"):
        choose(LISTS["names"], time)
