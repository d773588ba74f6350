"""moreish best and complete: as JSON, CSV, lines and a table, and what they refuse."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from moreish.faces.cli import best as best_cli


def test_the_same_lines_in_every_format(moreish, runs):
    asked = ("best", runs["ngram"], "-n", 5, "--contains", "ka", "--length", "4:8")
    found = moreish(*asked, "--json").json
    texts = [line["text"] for line in found["lines"]]
    assert found["exact"] and len(texts) == 5 and all("ka" in text and 4 <= len(text) <= 8 for text in texts)
    nats = [line["nats"] for line in found["lines"]]
    assert nats == sorted(nats) and math.exp(found["log_probability"]) == pytest.approx(found["probability"])
    for line in found["lines"]:
        assert line["nats_given_condition"] == pytest.approx(line["nats"] + found["log_probability"])
    assert moreish(*asked).lines == texts
    rows = moreish(*asked, "--csv").lines
    assert rows[0] == "text,nats,nats_given_condition,origin,near" and [row.split(",")[0] for row in rows[1:]] == texts
    assert moreish(*asked, "-o", "out.txt").err == "moreish: wrote out.txt\n"
    assert Path("out.txt").read_text().splitlines() == texts


def test_a_table_for_people(moreish, runs, monkeypatch):
    monkeypatch.setattr(best_cli, "is_terminal", lambda: True)
    plain = moreish("best", runs["ngram"], "-n", 3).out
    assert "share" not in plain and "Exact: no other line is likelier" in plain
    given = moreish("best", runs["ngram"], "-n", 3, "--suffix", "bi").out
    assert "nats given that" in given and "with probability" in given and "copy" in given
    filled = moreish("complete", runs["ngram"], "ka?i", "-n", 2).out
    assert "what may stand there" in filled and "    3  " in filled and "There is no more" not in filled
    assert "There is no more" in moreish("complete", runs["ngram"], "kar?", "-n", 99).out


def test_places_are_told_only_where_they_are_known(moreish, runs):
    found = moreish("complete", runs["ngram"], "ka?i?", "--json").json
    assert [place["at"] for place in found["places"]] == [2, 4]
    assert moreish("complete", runs["ngram"], "ka*", "--json").json["places"] is None


@pytest.mark.parametrize(
    "arguments, why",
    [
        (["best", "RUN", "--prefix", "ka", "--length", "1"], "together"),
        (["best", "RUN", "--length", "x"], "not a least and a most"),
        (["best", "RUN", "-n", "0"], "cannot be asked for"),
        (["best", "RUN", "--csv", "--json"], "two formats"),
        (["best", "RUN", "--pattern", "(a"], "no regular expression"),
        (["complete", "RUN", "a\\"], "backslash"),
        (["complete", "RUN", ""], "template"),
        (["complete", "RUN", "Z?"], "lacks"),
    ],
)
def test_what_is_refused_and_why(moreish, runs, arguments, why):
    ran = moreish(*(runs["ngram"] if word == "RUN" else word for word in arguments))
    assert ran.code in (1, 2) and why in ran.err and ran.out == "" and len(ran.err.splitlines()) == 1


def test_fewer_than_asked_for_are_counted(moreish, runs):
    ran = moreish("complete", runs["ngram"], "k?", "-n", 1000)
    said = f"there is no more like that than {len(ran.lines)} lines, of the 1,000 asked for"
    assert ran.code == 0 and said in ran.err
