"""Scores of lines, symbol by symbol."""

import json
import math

import pytest

from moreish.errors import AlphabetError, MoreishError, UsageError
from moreish.learning.fit import fit
from moreish.learning.score import score
from moreish.models.catalog import MODELS
from moreish.text.corpus import Corpus
from quick import quick

TEXTS = ["emma", "ava", "éva", "mia", "new york", "e\u0301 va"]


@pytest.mark.parametrize("symbols", ["characters", "graphemes", "words", "bytes"])
@pytest.mark.parametrize("name", MODELS)
def test_the_parts_of_a_line_sum_to_it_and_its_symbols_are_it(name, symbols):
    trained = quick(Corpus.of(TEXTS, symbols=symbols), name)
    for text, said in zip(TEXTS, score(trained, TEXTS)):
        assert said.text == text and said.symbols[-1][0] == ""
        assert said.nats == pytest.approx(sum(nats for _, nats in said.symbols))
        pieces = [symbol for symbol, _ in said.symbols[:-1]]
        joined = " ".join(pieces) if symbols == "words" else "".join(pieces)
        assert (joined.encode("latin-1").decode() if symbols == "bytes" else joined) == text
        assert all(nats >= 0 for _, nats in said.symbols)
        assert score(trained, text) == [said]


def test_the_bigrams_scores_are_its_counts():
    trained = fit(Corpus.of(["ab", "aa"], split="none"), "bigram", smoothing="none")
    (said,) = score(trained, "ab")
    assert [symbol for symbol, _ in said.symbols] == ["a", "b", ""]
    assert [nats for _, nats in said.symbols] == pytest.approx([0, math.log(3), 0])


def test_the_empty_line_is_scored_as_its_end():
    trained = fit(Corpus.of(["ab", "aa"], split="none"), "bigram")
    assert score(trained, "")[0].symbols == [("", pytest.approx(-math.log(1 / 5)))]


def test_an_impossible_line_is_infinite_and_null_in_json():
    trained = fit(Corpus.of(["ab", "aa"], split="none"), "bigram", smoothing="none")
    (said,) = score(trained, "ba")
    assert said.nats == math.inf
    again = json.loads(json.dumps(said.to_dict(), allow_nan=False))
    assert again["nats"] is None and [part["symbol"] for part in again["symbols"]] == ["b", "a", ""]
    assert again["symbols"][0]["nats"] is None


PROMPTS = [
    ("x", "'x'"),
    ("a·", "'·'"),
    ("\x00", r"\\x00"),
    ("a\ud800", r"\\ud800"),
    ("ab" * 500_001, "1,000,000 symbols"),
    ("a\nb", "one line"),
    (5, "one line"),
    (None, "one line"),
    (b"ab", "one line"),
]


@pytest.mark.parametrize("symbols", ["characters", "graphemes", "words", "bytes"])
@pytest.mark.parametrize("text, words", PROMPTS, ids=lambda x: ascii(x)[:20])
def test_what_no_line_of_the_alphabet_is_is_refused_in_one_line(text, words, symbols, types_unchecked):
    trained = fit(Corpus.of(["ab", "ba a"], split="none", symbols=symbols))
    with pytest.raises(MoreishError, match=None if symbols in ("bytes", "words") else words) as error:
        score(trained, [text])
    assert isinstance(error.value, AlphabetError | UsageError)
    shown = str(error.value)
    assert len(shown) < 300 and shown.isprintable()


def test_no_lines_have_no_scores():
    assert score(fit(Corpus.of(["ab", "b"])), []) == []


def test_a_line_of_a_hundred_thousand_symbols_is_scored():
    trained = fit(Corpus.of(["ab", "ba"], split="none"), "one-layer", closed_form=True)
    (said,) = score(trained, "ab" * 50_000)
    assert len(said.symbols) == 100_001 and math.isfinite(said.nats)
