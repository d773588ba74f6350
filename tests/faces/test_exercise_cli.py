"""The exercises at the prompt: list, start, check, hint, solution."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moreish.explaining.exercises import EXERCISES
from moreish.explaining.exercises.definition import Exercise


def test_list(moreish):
    found = moreish("exercise", "list", "--json").json
    assert [each["id"] for each in found["exercises"]] == list(EXERCISES) and all(
        set(each) == {"id", "title"} for each in found["exercises"]
    )
    shown = moreish("exercise", "list")
    assert shown.code == 0 and all(name in shown.out for name in EXERCISES)


def test_start_and_check_untouched(moreish):
    assert moreish("exercise", "start", "cross_entropy", "out/x.py").code == 0
    assert Path("out/x.py").read_text() == EXERCISES["cross_entropy"].blank
    ran = moreish("exercise", "check", "out/x.py", "--json")
    assert ran.json["status"] == "not done" and ran.json["id"] == "cross_entropy"
    assert ran.json["remaining"] == list(EXERCISES["cross_entropy"].nodes)


def test_start_never_overwrites_unasked(moreish):
    Path("x.py").write_text("mine")
    ran = moreish("exercise", "start", "neuron", "x.py")
    assert (ran.code, ran.out) == (1, "") and "there already" in ran.err and Path("x.py").read_text() == "mine"
    assert moreish("exercise", "start", "neuron", "x.py", "--overwrite").code == 0
    assert Path("x.py").read_text() == EXERCISES["neuron"].blank


def test_the_solution_is_right_and_a_mistake_is_told(moreish):
    solution = moreish("exercise", "solution", "cross_entropy").out
    assert solution == EXERCISES["cross_entropy"].solution
    Path("wrong.py").write_text(solution.replace("dlogprobs / probs", "dlogprobs"))
    ran = moreish("exercise", "check", "wrong.py", "--json")
    found = json.loads(ran.out)
    assert ran.code == 1 and (found["status"], found["first_wrong"], found["own"]) == ("wrong", "dprobs", ["dprobs"])
    assert found["cause"] == "missing factor" and found["inherited"][0] == "dcounts_sum_inv"


def test_what_people_read(moreish, monkeypatch):
    from moreish.explaining.grading import grader
    from moreish.explaining.grading.judging import judge

    monkeypatch.setattr(grader, "judge_apart", lambda name, source, *_: judge(EXERCISES[name], source))
    solution = EXERCISES["linear"].solution
    for new, code, said in (
        ("dy.sum(0)", 0, "right"),
        ("dy", 1, "sum(0) Its shape is (5, 7)"),
        ("None", 0, "Still to do: db."),
        ("dy.sum(0", 1, "does not parse"),
        ("1 / 0", 1, "Line 21: ZeroDivisionError"),
    ):
        Path("x.py").write_text(solution.replace("dy.sum(0)", new))
        ran = moreish("exercise", "check", "x.py")
        shown = " ".join(ran.out.split()).replace(". Its", " Its")
        assert (ran.code, ran.err) == (code, "") and said in shown, shown


def test_hints_go_from_general_to_particular(moreish):
    asked = EXERCISES["cross_entropy"]
    for more, words in enumerate(asked.hints):
        assert moreish("exercise", "hint", asked.id, "--more", more).out == f"{words}\n"
    assert "--node" in moreish("exercise", "hint", asked.id, "--more", 99).out
    uses = moreish("exercise", "hint", asked.id, "--node", "dcounts").out
    assert uses == moreish("exercise", "hint", asked.id, "--node", "counts").out
    assert "2 statements" in uses and "probs = counts * counts_sum_inv" in uses and "dprobs" not in uses
    assert moreish("exercise", "hint", asked.id, "--node", "dprobs", "--more", 1).out == "dprobs = dlogprobs / probs\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["start", "cros_entropy", "x.py"], 2, "Did you mean 'cross_entropy'?"),
        (["solution", "nothing at all"], 2, "There are: "),
        (["hint", "neuron", "--node", "dq"], 2, "There are: db, dw, dx, dz."),
        (["hint", "neuron", "--more", "-1"], 2, "is below 0"),
        (["check", "nowhere.py"], 1, "nowhere.py"),
        (["check", "list.txt"], 2, "does not say which exercise it is"),
        (["check", "."], 1, ""),
        (["check", "x.py", "--time", "0"], 2, "is none"),
        (["start", "neuron", "list.txt/x.py"], 1, "list.txt"),
        (["start", "neuron", ""], 2, "is no name for a file"),
        (["practise"], 2, "practise"),
    ],
)
def test_what_cannot_be_done_gets_one_line(moreish, words, code, said):
    Path("x.py").write_text(EXERCISES["neuron"].solution)
    ran = moreish("exercise", *words)
    assert (ran.code, ran.out) == (code, "") and said in ran.err, ran
    assert not Path("nowhere.py").exists()


@pytest.mark.parametrize("command", ["list", "start", "check", "hint", "solution"])
def test_every_command_shows_how_it_is_used(moreish, command):
    ran = moreish("exercise", command, "--help")
    assert ran.code == 0 and f"Example: moreish exercise {command}" in " ".join(ran.out.split())


def test_a_disk_that_says_no_is_one_line(moreish):
    assert isinstance(EXERCISES["neuron"], Exercise)
    Path("locked").mkdir()
    ran = moreish("exercise", "start", "neuron", "locked")
    assert ran.code == 1 and "locked" in ran.err and list(Path("locked").iterdir()) == []
