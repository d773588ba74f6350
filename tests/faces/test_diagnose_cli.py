"""`moreish diagnose`: what it prints, its JSON, its page, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from moreish.errors import ConfigError
from moreish.faces.doctor import page
from moreish.learning.doctor import diagnosis
from moreish.learning.doctor.faults import FAULTS

QUICK = ["diagnose", "list.txt", "--model", "mlp", "--hidden", "16", "--embedding", "4", "--context", "2"]
KEYS = {"fault", "where", "evidence", "number", "threshold", "confidence", "fix"}


@pytest.fixture(autouse=True)
def briefly(moreish, monkeypatch, types_unchecked):
    monkeypatch.setattr(diagnosis, "MOST_STEPS", 40)
    lines = dict.fromkeys(Path("list.txt").read_text(encoding="utf-8").splitlines())
    Path("list.txt").write_text("\n".join(lines), encoding="utf-8")


def test_json_is_one_object_of_the_promised_shape_and_the_same_each_time(moreish):
    ran = moreish(*QUICK, "--plant", "saturated", "--json")
    assert ran.code == 0 and ran.err == "" and moreish(*QUICK, "--plant", "saturated", "--json").json == ran.json
    assert ran.json.keys() == {"list", "model", "steps", "seed", "planted", "findings", "note"}
    assert ran.json["planted"] == "saturated" and ran.json["findings"][0]["fault"] == "saturated"
    assert all(finding.keys() == KEYS and finding["fault"] in FAULTS for finding in ran.json["findings"])


def test_with_a_fix_there_is_a_before_and_an_after(moreish):
    ran = moreish(*QUICK, "--plant", "overconfident-output", "--fix", "--json").json
    assert ran["fixed"] == "overconfident-output" and ran["gain"]["low"] <= ran["gain"]["value"] <= ran["gain"]["high"]
    assert "overconfident-output" in ran["before"]["findings"] and ran["after"]["findings"] == []
    shown = " ".join(moreish(*QUICK, "--plant", "overconfident-output", "--fix").out.split())
    assert "--initialization default" in shown and "before" in shown and "95 of 100" in shown


@pytest.mark.parametrize("columns", [60, 100])
def test_what_it_says_fits_the_terminal(moreish, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    ran = moreish(*QUICK, "--plant", "saturated")
    assert "% sure" in ran.out and "against a threshold of 0.65" in ran.out
    assert max(len(line) for line in ran.lines) <= columns


def test_no_fault_is_said_too(moreish):
    ran = moreish(*QUICK)
    assert ran.code == 0 and "no fault found" in ran.out


def test_a_run_is_diagnosed_by_its_own_recipe_and_left_as_it_is(moreish):
    assert moreish("train", "list.txt", "--model", "mlp", "--hidden", "16", "--steps", "5", "--run", "r").code == 0
    before = {path: path.read_bytes() for path in Path("r").iterdir() if path.is_file()}
    ran = moreish("diagnose", "r", "--json")
    assert ran.json["steps"] == 5 and ran.json["model"] == "mlp"
    assert {path: path.read_bytes() for path in Path("r").iterdir() if path.is_file()} == before


def test_the_faults_are_listed(moreish):
    ran = moreish("diagnose", "--faults", "--json").json
    assert [row["fault"] for row in ran["faults"]] == list(FAULTS)
    assert next(row for row in ran["faults"] if row["fault"] == "batchnorm-mode")["models"] == ["mlp-bn", "tree"]
    assert "saturated" in moreish("diagnose", "--faults").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing to diagnose"),
        (["list.txt", "--plant", "saturatde"], "Did you mean 'saturated'"),
        (["list.txt", "--model", "ngram"], "fitted by counting"),
        (["list.txt", "--model", "gru", "--plant", "batchnorm-mode"], "It can in: mlp-bn, tree"),
        (["list.txt", "--hiden", "3"], "Did you mean"),
        (["list.txt", "--seed", "x"], "not a whole number"),
        (["nowhere.txt"], "nowhere.txt"),
    ],
)
def test_what_it_refuses(moreish, words, said):
    ran = moreish("diagnose", *words)
    assert ran.code in (1, 2) and ran.out == "" and said in ran.err and ran.err.count("\n") <= 4


def test_a_run_and_settings_do_not_go_together(moreish):
    moreish("train", "list.txt", "--model", "bigram", "--run", "b")
    assert "fitted by counting" in moreish("diagnose", "b").err
    assert "was decided when" in moreish("diagnose", "b", "--lr", "1").err
    with pytest.raises(ConfigError, match="--model was decided"):
        diagnosis.diagnose(__import__("moreish").load("b"), "mlp")


def test_its_page_is_what_the_table_says_and_its_example_runs(capsys):
    text = Path(__file__).parents[2].joinpath("docs", "doctor.md").read_text(encoding="utf-8")
    assert text == page(), "run make docs"
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    exec(compile(code, "doctor.md", "exec"), {})
    assert capsys.readouterr().out.startswith("gradients-not-zeroed")
