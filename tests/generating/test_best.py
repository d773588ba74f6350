"""The most probable lines, held against all lines there are: every string over a small alphabet, scored one by one."""

from __future__ import annotations

import math
import re
from itertools import product

import numpy as np
import pytest

from moreish.errors import Impossible, UsageError
from moreish.generating import best as best_module
from moreish.generating import best_first
from moreish.generating.best import best
from moreish.generating.chain import fits
from moreish.generating.constraints import Conditions
from moreish.generating.template import complete, parse_template
from moreish.learning.evaluate import line_nats
from moreish.learning.recipe import Trained
from moreish.text.corpus import Corpus
from moreish.text.lines import Lines
from quick import checked_before, quick

TEXTS = ["aba", "abb", "baab", "bca", "cab", "acca", "cb", "a", "bab", "caab"]
LENGTH = 5
EVERY = ["".join(letters) for size in range(1, LENGTH + 1) for letters in product("abc", repeat=size)]
MODELS = {
    "kneser-ney": {"model": "ngram", "order": 3},
    "add": {"model": "ngram", "order": 2, "smoothing": "add-0.5"},
    "unsmoothed": {"model": "ngram", "order": 3, "smoothing": "none"},
    "unigram": {"model": "unigram"},
    "window": {"model": "mlp", "context": 2},
    "gru": {"model": "gru"},
    "transformer": {"model": "transformer"},
}
CONDITIONS = {
    "none": Conditions(),
    "prefix": Conditions(prefix="ab"),
    "suffix": Conditions(suffix="ca"),
    "contains": Conditions(contains=("bb", "a")),
    "excludes": Conditions(excludes=("c", "bb")),
    "length": Conditions(length=(3, 4)),
    "from a length": Conditions(length=(4, None)),
    "pattern": Conditions(pattern="a?(b|cc)+a*"),
    "alphabet": Conditions(alphabet="ab"),
    "syllables": Conditions(syllables=(2, 2), vowels="a"),
    "palindromes": Conditions(pattern="(.)b(a|c)ba?|aba"),
    "all at once": Conditions("a", "b", ("c",), ("bc",), (2, 5), "[abc]+", "abc", (1, 2), "a"),
    "one line": Conditions(pattern="acab"),
}


@pytest.fixture(scope="module")
def learnt() -> dict[str, Trained]:
    return {name: quick(Corpus.of(TEXTS, split="none"), **asked) for name, asked in MODELS.items()}


def meets(text: str, asked: Conditions) -> bool:
    """By Python's own means."""
    low, high = asked.length or (1, None)
    runs = len(re.findall("a+", text))
    return (
        text.startswith(asked.prefix)
        and text.endswith(asked.suffix)
        and all(part in text for part in asked.contains)
        and not any(part in text for part in asked.excludes)
        and low <= len(text) <= (high or LENGTH)
        and (asked.pattern is None or re.fullmatch(asked.pattern, text) is not None)
        and set(text) <= set(asked.alphabet or "abc")
        and (asked.syllables is None or asked.syllables[0] <= runs <= asked.syllables[1])  # type: ignore[operator]
    )


def enumerated(trained: Trained, asked: Conditions) -> tuple[list[tuple[str, float]], float]:
    """All lines that meet conditions and have any probability, the likeliest first, and their probability together."""
    texts = [text for text in EVERY if meets(text, asked)]
    nats = line_nats(trained.model, trained.alphabet, Lines.of(texts))[0]
    pairs = [(text, float(x)) for text, x in zip(texts, nats) if np.isfinite(x)]
    return sorted(pairs, key=lambda pair: (round(pair[1], 5), pair[0])), float(np.exp(-nats).sum())


@pytest.mark.parametrize("name", MODELS)
def test_best_first_equals_enumeration(name, learnt):
    trained = learnt[name]
    exact = 1e-9 if trained.model.fitted_by_counting else 1e-4  # networks score lines in another order of float32 sums
    some = {"none": Conditions(), "suffix": CONDITIONS["suffix"]} if name == "transformer" else CONDITIONS
    for n, (what, asked) in enumerate(some.items()):
        expected, total = enumerated(trained, asked)
        if not expected:
            with pytest.raises(Impossible, match="never saw"):
                best(trained, 5, conditions=asked, max_length=LENGTH)
            continue
        for count in (1, 7, 1000) if n == 0 else (7, 1000):
            with checked_before():
                found = best(trained, count, conditions=asked, max_length=LENGTH)
            assert found.exact and found.found == min(count, len(expected)), what
            assert found.all_there_are == (count >= len(expected)), what
            assert [x.nats for x in found.lines] == pytest.approx([x for _, x in expected[:count]], abs=exact), what
            known = dict(expected)
            assert [known[x.text] for x in found.lines] == pytest.approx([x.nats for x in found.lines], abs=exact)
            if found.log_probability is not None:
                assert found.log_probability == pytest.approx(math.log(total), abs=exact), what
                assert sum(math.exp(-x.nats_given_condition) for x in found.lines) <= 1 + 1e-6, what
        assert len({x.text for x in found.lines}) == len(expected)
        assert found.log_probability is not None, "few lines: a search asks about each of them"
    assert (found.read is None) == fits(trained.model)


@pytest.mark.parametrize("name", ["unigram", "gru"])
def test_equally_likely_lines_come_in_the_order_of_their_symbols(name, learnt, monkeypatch):
    trained = quick(Corpus.of(["ab", "ba"], split="none"), "uniform" if name == "gru" else "unigram")
    if name == "gru":
        monkeypatch.setattr(best_module, "paths_under", lambda *_: None)
    found = best(trained, 9, max_length=4)
    by_length = sorted(
        ("".join(x) for size in (1, 2, 3) for x in product("ab", repeat=size)), key=lambda x: (len(x), x)
    )
    assert [x.text for x in found.lines] == by_length[:9]


def test_a_search_finds_what_tables_give(learnt, monkeypatch):
    trained = learnt["kneser-ney"]
    with checked_before():
        tables = [best(trained, 30, conditions=asked, max_length=6).lines for asked in CONDITIONS.values()]
    monkeypatch.setattr(best_module, "paths_under", lambda *_: None)
    for asked, lines in zip(CONDITIONS.values(), tables):
        with checked_before():
            searched = best(trained, 30, conditions=asked, max_length=6)
        assert searched.read and [x.text for x in searched.lines] == [x.text for x in lines]
        assert [x.nats for x in searched.lines] == pytest.approx([x.nats for x in lines], abs=1e-12)


def test_a_search_that_gives_up_says_so_and_what_it_found_is_still_the_best(learnt, monkeypatch):
    trained = learnt["gru"]
    asked = Conditions(suffix="b")
    whole = best(trained, 1000, conditions=asked, max_length=LENGTH)
    monkeypatch.setattr(best_module, "FEW", 0)
    sizes = set()
    for budget in (1, 40, 100, 150):
        monkeypatch.setattr(best_first, "MOST_READ", budget)
        found = best(trained, 1000, conditions=asked, max_length=LENGTH)
        assert not found.exact and not found.all_there_are and found.log_probability is None
        assert found.read == budget and found.found < whole.found
        assert [x.text for x in found.lines] == [x.text for x in whole.lines[: found.found]]
        sizes.add(found.found)
    assert len(sizes) > 2
    monkeypatch.setattr(best_first, "MOST_READ", 10**6)
    monkeypatch.setattr(best_first, "MOST_WAITING", 20)  # beginnings are let go, and with them the claim to have all
    found = best(trained, 1000, conditions=asked, max_length=LENGTH)
    assert not found.exact and 0 < found.found < whole.found
    assert [x.text for x in found.lines] == [x.text for x in whole.lines[: found.found]]


@pytest.mark.parametrize("name", ["kneser-ney", "unsmoothed", "gru"])
def test_new_only_passes_over_the_list(name, learnt):
    trained = learnt[name]
    expected = [text for text, _ in enumerated(trained, Conditions())[0] if text not in TEXTS]
    for count in (3, 1000):
        found = best(trained, count, max_length=LENGTH, new_only=True)
        assert found.exact and found.all_there_are == (count == 1000)
        assert len(found.lines) == min(count, len(expected)) and {x.text for x in found.lines} <= set(expected)
        if trained.model.fitted_by_counting:  # of networks, lines alike but for rounding may change places
            assert [x.text for x in found.lines] == expected[:count]
        assert all(x.origin != "copy" for x in found.lines)


def test_lines_of_bytes_are_text_and_words_keep_their_spaces():
    trained = quick(Corpus.of(["éa", "aé", "é", "üa"], split="none", symbols="bytes"), "bigram")
    found = best(trained, 60, max_length=4)
    every = ["".join(x) for size in (1, 2, 3, 4) for x in product("aéü", repeat=size)]
    assert sorted(x.text for x in found.lines) == sorted(text for text in every if len(text.encode()) <= 4)
    trained = quick(Corpus.of(["a b", "a c d", "b a"], split="none", symbols="words"), "bigram")
    found = best(trained, 1, conditions=Conditions(prefix="a c"))
    assert found.lines[0].text in ("a c", "a c d")


def test_a_request_that_means_nothing(learnt):
    trained = learnt["kneser-ney"]
    for wrong in ({"count": 0}, {"max_length": 0}, {"count": 10**9}):
        with pytest.raises(UsageError):
            best(trained, **wrong)
    with pytest.raises(Impossible, match="together"):
        best(trained, conditions=Conditions(prefix="abc", length=(1, 2)))


TEMPLATES = ["a?b", "??", "?", "c??b?", "abb", "*a?", "a*", "?*b", "*"]


@pytest.mark.parametrize("name", MODELS)
def test_completions_and_what_may_stand_in_each_place(name, learnt):
    trained = learnt[name]
    exact = 1e-9 if trained.model.fitted_by_counting else 1e-4
    for n, template in enumerate(TEMPLATES[:4] if name == "transformer" else TEMPLATES):
        asked = Conditions(pattern=template.replace("?", ".").replace("*", ".*"))
        expected, total = enumerated(trained, asked)
        if not expected:
            with pytest.raises(Impossible):
                complete(trained, template, max_length=LENGTH)
            continue
        if n:
            with checked_before():
                found = complete(trained, template, 5, max_length=LENGTH)
        else:
            found = complete(trained, template, 5, max_length=LENGTH)
        assert [x.nats for x in found.best.lines] == pytest.approx([x for _, x in expected[:5]], abs=exact)
        assert found.best.log_probability == pytest.approx(math.log(total), abs=exact)
        given = [x.nats_given_condition for x in found.best.lines]
        assert given == pytest.approx([x + math.log(total) for _, x in expected[:5]], abs=2 * exact)
        if "*" in template or not fits(trained.model):
            assert found.places is None
            continue
        assert found.places is not None
        assert [p.at for p in found.places] == [i for i, c in enumerate(template) if c == "?"]
        for place in found.places:
            shares = {c: sum(math.exp(-x) for text, x in expected if text[place.at] == c) / total for c in "abc"}
            assert dict(place.symbols) == pytest.approx({c: s for c, s in shares.items() if s}, abs=1e-6)
            assert [s for _, s in place.symbols] == sorted((s for _, s in place.symbols), reverse=True)


def test_templates_that_mean_their_signs_themselves():
    trained = quick(Corpus.of(["a?b", "a*b", "a\\b", "axb"], split="none"), "bigram")
    for template, only in ((r"a\?b", "a?b"), (r"a\*b", "a*b"), (r"a\\b", "a\\b"), (r"a\xb", "axb")):
        assert [x.text for x in complete(trained, template, 9).best.lines] == [only]
    found = complete(trained, r"\??\?", 9)
    assert len(found.best.lines) == 6 and found.places is not None and [p.at for p in found.places] == [1]
    for wrong in ("", "a\\"):
        with pytest.raises(UsageError):
            parse_template(wrong)


def test_a_place_for_a_grapheme_takes_one_of_several_characters():
    trained = quick(Corpus.of(["ax̂b", "ayb", "x̂"], split="none", symbols="graphemes"), "bigram")
    found = complete(trained, "a?b", 20)
    assert {"ax̂b", "ayb"} <= {x.text for x in found.best.lines}
    assert found.places is not None and {"x̂", "y"} <= {symbol for symbol, _ in found.places[0].symbols}
