"""ARPA files, read by a small reader of our own that knows nothing of automata, against our own scores."""

from __future__ import annotations

import math
import random

import pytest

from moreish.errors import UsageError
from moreish.exchange.arpa import to_arpa, token
from moreish.learning.fit import fit
from moreish.learning.recipe import Trained
from moreish.learning.score import score
from moreish.runs.directory import load
from moreish.runs.recording import save
from moreish.text.alphabet import split_symbols
from moreish.text.corpus import Corpus

chooser = random.Random(6)
ODD = [
    "<s>", "</s>", "<unk>", " ", "a b", "\t", "a\x00b", "U+0041", "\\data\\", "\\end\\", "\u3000é", "e\u0301", "日本",
    "\x85", "ngram 1=2", "a", "A", "\\1-grams:", "-99", "👨\u200d👩\u200d👧", "_", "a  b", "\xa0", "<s> a </s>",
]  # fmt: skip
PLAIN = ["".join(chooser.choices("abcde", [8, 5, 3, 2, 1], k=chooser.randint(1, 7))) for _ in range(150)]


class Arpa:
    """The format as ngram-format(5) tells it: log10 probabilities, and backoff weights for what was not seen."""

    def __init__(self, text: str):
        lines = text.split("\n")
        assert lines[0] == "\\data\\" and lines[-2:] == ["\\end\\", ""]
        self.said = {}
        at = 1
        while lines[at].startswith("ngram "):
            order, count = lines[at].removeprefix("ngram ").split("=")
            self.said[int(order)] = int(count)
            at += 1
        self.order = max(self.said)
        self.probability: dict[tuple[str, ...], float] = {}
        self.backoff: dict[tuple[str, ...], float] = {}
        for order in range(1, self.order + 1):
            assert lines[at] == "" and lines[at + 1] == f"\\{order}-grams:"
            at += 2
            for line in lines[at : at + self.said[order]]:
                number, words, *weight = line.split("\t")
                gram = tuple(words.split(" "))
                assert len(gram) == order and gram not in self.probability and all(word for word in gram)
                assert words == " ".join(words.split()), "white space inside a word"
                self.probability[gram] = float(number)
                if weight:
                    self.backoff[gram] = float(weight[0])
            at += self.said[order]
        assert lines[at:] == ["", "\\end\\", ""]

    def log10(self, context: tuple[str, ...], word: str) -> float:
        gram = (*context, word)
        if gram in self.probability:
            return self.probability[gram]
        return self.backoff.get(context, 0.0) + self.log10(context[1:], word)

    def nats(self, words: list[str]) -> float:
        seen, total = ["<s>"], 0.0
        for word in [*words, "</s>"]:
            context = tuple(seen[max(0, len(seen) - self.order + 1) :]) if self.order > 1 else ()
            total -= self.log10(context, word) * math.log(10)
            seen.append(word)
        return total


def agree(trained: Trained, lines: list[str]) -> Arpa:
    arpa = Arpa(to_arpa(trained))
    for one in score(trained, lines):
        words = [token(symbol) for symbol in split_symbols(one.text, trained.alphabet.kind)]
        # Seven digits are written of each figure, as everyone does.
        assert arpa.nats(words) == pytest.approx(one.nats, abs=1e-6 * (len(words) + 1), rel=1e-6), one.text
    return arpa


@pytest.mark.parametrize("smoothing", ["kneser-ney", "witten-bell"])
@pytest.mark.parametrize("order", [1, 2, 3, 5, 8])
def test_line_by_line_the_file_says_what_the_model_says(order, smoothing):
    trained = fit(Corpus.of(PLAIN), "ngram", order=order, smoothing=smoothing)
    unseen = ["".join(chooser.choices("abcde", k=chooser.randint(1, 20))) for _ in range(100)]
    arpa = agree(trained, [*PLAIN, *unseen])
    assert arpa.order == order and sum(arpa.said.values()) == len(arpa.probability)
    for gram in arpa.probability:  # a reader may ask for every shorter beginning and end of an n-gram
        assert gram[:-1] in arpa.probability or len(gram) == 1
        assert gram[1:] in arpa.probability or len(gram) == 1
        if len(gram) > 1:
            assert gram[:-1] in arpa.backoff


@pytest.mark.parametrize("smoothing", ["none", "add-1", "add-0.1"])
def test_where_nothing_backs_off_a_unigram_can_be_written(smoothing):
    agree(fit(Corpus.of(PLAIN), "ngram", order=1, smoothing=smoothing), PLAIN)


@pytest.mark.parametrize("kind", ["characters", "graphemes", "words", "bytes"])
def test_odd_symbols_are_words_of_the_format(kind):
    trained = fit(Corpus.of(ODD, symbols=kind), "ngram", order=3)
    arpa = agree(trained, ODD)
    words = {gram[0] for gram in arpa.probability if len(gram) == 1} - {"<s>", "</s>", "<unk>"}
    assert len(words) == len(trained.alphabet.symbols)


def test_probabilities_after_a_context_sum_to_one():
    trained = fit(Corpus.of(PLAIN), "ngram", order=3)
    arpa = Arpa(to_arpa(trained))
    words = ["</s>", *trained.alphabet.symbols]
    for context in ((), ("<s>",), ("<s>", "a"), ("a", "b"), ("e", "e"), ("d",)):
        assert sum(10 ** arpa.log10(context, word) for word in words) == pytest.approx(1, abs=1e-6)


def test_a_run_is_exported_as_it_was_fitted(tmp_path):
    trained = fit(Corpus.of(PLAIN), "ngram", order=4)
    save(trained, tmp_path / "run", keep_list=False)
    assert to_arpa(load(tmp_path / "run")) == to_arpa(trained)


@pytest.mark.parametrize("lines", [["a"], ["a", "a"], ["ab", "ba"], ["aaaa"]])
@pytest.mark.parametrize("order", [1, 2, 5, 20])
def test_short_lists_and_long_contexts(lines, order):
    agree(fit(Corpus.of(lines), "ngram", order=order), [*lines, "a" * 30])


@pytest.mark.parametrize(("model", "settings", "said"), [
    ("uniform", {}, "no n-gram model"), ("one-layer", {"steps": 1}, "no n-gram model"),
    ("bigram", {}, "smoothing add-1"), ("ngram", {"smoothing": "none"}, "smoothing none"),
    ("ngram", {"smoothing": "add-0.5", "order": 2}, "kneser-ney or witten-bell"),
])  # fmt: skip
def test_what_cannot_be_said_in_this_format_is_refused(model, settings, said):
    with pytest.raises(UsageError, match=said):
        to_arpa(fit(Corpus.of(PLAIN), model, **settings))


@pytest.mark.parametrize(("symbol", "expected"), [
    ("a", "a"), ("é", "é"), ("日", "日"), (" ", "U+0020"), ("\t", "U+0009"), ("\x00", "U+0000"), ("\u3000", "U+3000"),
    ("<s>", "U+003C+U+0073+U+003E"), ("", "U+"), ("U+", "U+0055+U+002B"),
    ("\\end\\", "U+005C+U+0065+U+006E+U+0064+U+005C"),
    ("<", "<"), ("\u202e", "U+202E"), ("a\tb", "U+0061+U+0009+U+0062"), ("\U0001f600", "\U0001f600"),
])  # fmt: skip
def test_a_symbol_as_a_word(symbol, expected):
    assert token(symbol) == expected
