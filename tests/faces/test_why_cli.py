"""moreish why: what the terminal and JSON show of the same explanation."""

from __future__ import annotations

import io
import re

import pytest
from calling import MADE_UP
from rich.console import Console

from moreish.faces.cli.why import told
from moreish.faces.draw import heat
from moreish.generating.trace import Why, why
from moreish.learning.fit import fit
from moreish.text.corpus import Corpus
from quick import quick

LINE = MADE_UP[0]


def printed(found: Why, width: int, kind: str = "characters", colour: bool = False) -> str:
    console = Console(
        file=io.StringIO(), width=width, force_terminal=colour, color_system="truecolor" if colour else None
    )
    console.print(told(found, kind, width, colour))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_both_faces_tell_the_same(moreish, runs):
    found = moreish("why", runs["ngram"], LINE, "--json").json
    scored = moreish("score", runs["ngram"], LINE, "--json").json["texts"][0]
    assert found["nats"] == scored["nats"] == pytest.approx(sum(each["nats"] for each in found["symbols"]))
    assert [each["symbol"] for each in found["symbols"]] == [*LINE, ""]
    assert [rung["name"] for rung in found["rungs"]] == ["uniform", "unigram", "bigram", "4-gram", "5-gram", "run"]
    shown = moreish("why", runs["ngram"], LINE).out
    assert f"{LINE}  {found['nats']:.2f} nats under ngram" in shown
    rows = re.findall(r"^(.)  (\d+\.\d\d) +([\d.]+)  (\d\.\d\d) +(\d+)  (\S) ", shown, re.M)
    assert rows == [
        (
            each["symbol"] or "·", f"{each['nats']:.2f}", f"{100 * each['probability']:.1f}",
            f"{each['entropy_bits']:.2f}", str(each["rank"]), each["runners_up"][0]["symbol"] or "·",
        )
        for each in found["symbols"]
    ]  # fmt: skip
    for each in found["symbols"]:
        support = each["support"]
        assert support["lines"] and support["nearest"] is None
        assert re.search(rf" {support['followed']:,} +{support['seen']:,}  ", shown)


@pytest.mark.parametrize(
    "name, words", [("hashes", "kept only hashes"), ("counts", "impossible"), ("one-layer", "hidden state")]
)
def test_what_cannot_be_said_is_said(name, words, moreish, runs):
    shown = moreish("why", runs[name], "hh" if name == "counts" else LINE).out
    assert words in " ".join(shown.split()) and "Traceback" not in shown
    assert ("never" in shown) is (name == "counts")
    assert ("training lines have" in shown) is (name != "hashes")


@pytest.mark.parametrize("text, code, words", [("k!", 1, "'!'"), ("a\nb", 2, "one line"), ("k" * 1001, 2, "1,001")])
def test_bad_lines_are_refused_in_one_line(text, code, words, moreish, runs):
    ran = moreish("why", runs["ngram"], text)
    assert (ran.code, ran.out) == (code, "") and words in ran.err and ran.err.count("\n") == 1


@pytest.mark.parametrize("width", [60, 100])
def test_nothing_is_wider_than_the_terminal_or_cut_by_it(width):
    long = "kakari" * 5
    shown = printed(why(quick(Corpus.of([*MADE_UP, long], split="none"), "gru"), long), width)
    assert max(map(len, shown.splitlines())) <= width
    rows = re.findall(r"^[^ ]  .*? +\d+ +[\d,]+  (\S+.*)$", shown.partition("The longest context")[2], re.M)
    assert len(rows) == 2 * 31  # of support, and of the nearest context
    assert "  …ikakarikakari " in shown and re.search(r"…\w+…\n", re.sub(" +$", "", shown, flags=re.M))  # cut by us


def test_letters_are_shaded_by_their_surprise():
    found = why(fit(Corpus.of(["ab", "ab", "ac"], split="none"), "bigram"), "ac")
    lines = printed(found, 80, colour=True).splitlines()
    shades = re.findall(r"48;2;(\d+;\d+;\d+)m (.) ", lines[3])
    assert shades == [(heat(each.nats / 5)[0][4:-1].replace(",", ";"), each.symbol or "·") for each in found.symbols]
    assert "48;2" not in printed(found, 80)


@pytest.mark.parametrize("symbols", ["words", "bytes", "graphemes"])
def test_lines_of_other_symbols_are_shown(symbols):
    corpus = Corpus.of(["new york", "new delhi", "[red] éva", "delhi old town"], split="none", symbols=symbols)
    shown = printed(why(fit(corpus, "bigram"), "new éva" if symbols != "words" else "new town"), 90, symbols)
    assert "new york" in shown and "[red]" in printed(why(fit(corpus, "bigram"), "[red]"), 90, symbols)
