"""Every command at work: what it prints for people and for programs, and how it ends."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shutil
import socket
import sys
from pathlib import Path

import pytest
from calling import MADE_UP

from moreish.faces.cli import app, generate
from moreish.learning import choose
from moreish.runs import cache
from moreish.text.corpus import Corpus

COMMANDS = [command.name for command in app.registered_commands]
UNIQUE = len(set(MADE_UP))

NUMBER, SHARE = (int, float), float


def shape(value: object, expected: object, at: str = "") -> None:
    """Check a value against a pattern: types, alternatives (a tuple), lists of one pattern, objects by key."""
    if isinstance(expected, dict):
        assert isinstance(value, dict), at
        for key, inner in expected.items():
            assert key in value, f"{at}.{key} is missing"
            shape(value[key], inner, f"{at}.{key}")
    elif isinstance(expected, list):
        assert isinstance(value, list), at
        for i, each in enumerate(value):
            shape(each, expected[0], f"{at}[{i}]")
    else:
        kinds = expected if isinstance(expected, tuple) else (expected,)
        kinds = tuple(type(None) if kind is None else kind for kind in kinds)
        assert isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool)), (at, value, kinds)


LINE = {"text": str, "nats": NUMBER, "origin": str, "near": (str, None), "cut": bool}
SAMPLE = {
    "lines": [LINE], "asked": int, "found": int, "drawn": int, "seed": int,
    "novelty": {"rate": SHARE, "low": SHARE, "high": SHARE, "near_rate": (float, None),
                "held_out_near_rate": (float, None)},
}  # fmt: skip
EVALUATION = {
    "model": str, "part": str, "split": str, "leaks": bool, "nats_per_symbol": (float, None),
    "bits_per_symbol": (float, None), "perplexity": (float, None), "lines": int, "symbols": int, "parameters": int,
    "copy_mass": (float, None), "nats_given_new": (float, None),
}  # fmt: skip
PROMISED: dict[str, tuple[list[str], object]] = {
    "inspect": (["inspect", "list.txt"], {
        "lines": int, "unique_lines": int, "duplicate_lines": int, "look_alikes": int, "longest": int,
        "symbols": dict, "warnings": [str], "leak": {"dev": SHARE, "test": SHARE},
    }),
    "more": (["more", "list.txt", "-n", "4"], {**SAMPLE, "model": str, "why": str}),
    "sample": (["sample", "RUN/bigram", "-n", "4"], SAMPLE),
    "train": (["train", "list.txt", "--model", "bigram"], {
        "run": str, "model": str, "step": int, "parameters": int, "checkpoint": str, "sha256": str, "split": str,
        "leaks": bool, "evaluation": EVALUATION,
    }),
    "evaluate": (["evaluate", "RUN/bigram"], EVALUATION),
    "score": (["score", "RUN/bigram", "kari", ""], {
        "texts": [{"text": str, "nats": float, "symbols": [{"symbol": str, "nats": float}]}],
    }),
    "show": (["show", "RUN/ngram"], {
        "run": str, "recipe": {"model": str, "settings": dict}, "config": dict, "parameters": int, "list": dict,
        "leaks": bool, "alphabet": {"kind": str, "symbols": [str]}, "step": int, "checkpoints": [str],
        "evaluation": EVALUATION, "test_looks": int,
    }),
    "models": (["models"], {"models": [{"model": str, "title": str}]}),
    "models NAME": (["models", "ngram"], {
        "model": str, "title": str, "keys": [{"key": str, "default": (str, int, None), "meaning": str,
                                              "settable": bool}],
    }),
    "models --of": (["models", "bigram", "--of", "RUN/bigram"], {
        "symbols": [str], "counts": [[int]], "pairs": int, "pairs_seen": int, "pairs_possible": int,
    }),
    "lists": (["lists"], {"lists": [{"name": str, "lines": int, "title": str, "source": str}]}),
    "lists NAME": (["lists", "dinosaurs"], {"name": str, "lines": [str]}),
}  # fmt: skip


def given(arguments: list[str], runs: dict[str, str]) -> list[str]:
    return [runs[each.removeprefix("RUN/")] if each.startswith("RUN/") else each for each in arguments]


@pytest.mark.parametrize("case", PROMISED)
def test_json_is_one_object_of_the_promised_shape_and_nothing_else(case, moreish, runs):
    arguments, expected = PROMISED[case]
    ran = moreish(*given(arguments, runs), "--json")
    shape(ran.json, expected, case)
    assert ran.err == ""


@pytest.mark.parametrize("case", PROMISED)
def test_for_people_there_is_text(case, moreish, runs):
    ran = moreish(*given(PROMISED[case][0], runs))
    assert ran.code == 0 and ran.err == "" and len(ran.lines) > 1
    assert not ran.out.startswith("{") and "None" not in ran.out and "nan" not in ran.out.split()
    assert "\x1b" not in ran.out, "colours off a terminal"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_and_every_flag_a_meaning(command, moreish):
    ran = moreish(command, "--help")
    assert ran.code == 0 and ran.err == "" and f"Example: moreish {command}" in " ".join(ran.out.split())
    assert moreish(command, "-h").out == ran.out
    rows = re.findall(r"^  (-\S.*(?:\n {8,}\S.*)*)", ran.out, re.M)
    assert len(rows) > 0 and all(re.search(r"\S\s{2,}[\w`].{3}", row) for row in rows), rows


def test_help_of_the_whole(moreish):
    ran = moreish("--help")
    assert ran.code == 0 and ran.err == "" and all(f"\n  {command} " in ran.out for command in COMMANDS)
    assert "Example: moreish more" in ran.out and moreish("-h").out == ran.out
    assert moreish().code in (0, 2)
    for listing in (ran.out, moreish("explain", "--help").out, moreish("exercise", "--help").out):
        told = [" ".join(word.split()) for word in re.findall(r"^  [a-z-]+ {2,}(\S.*(?:\n {8,}\S.*)*)", listing, re.M)]
        assert len(told) > 3 and all(text.endswith(".") for text in told)
        assert not [text for text in told if re.search(r"; |[:,]\.$|if not\.$", text)], "a sentence is not cut off"
    version = moreish("--version")
    assert version.code == 0 and re.fullmatch(r"moreish \d+\.\d+\.\d+\n", version.out)


# more


def forbid_learning(monkeypatch) -> None:
    monkeypatch.setattr(cache, "fit", None)
    monkeypatch.setattr(cache, "choose", None)


def test_more_gives_lines_only_and_learns_once(moreish, monkeypatch):
    first = moreish("more", "list.txt", "-n", "7", "--seed", "3")
    assert first.code == 0 and first.err == "" and len(first.lines) == len(set(first.lines)) == 7
    forbid_learning(monkeypatch)
    assert moreish("more", "list.txt", "-n", "7", "--seed", "3") == first
    assert moreish("more", "list.txt", "-n", "7", "--seed", "4") != first
    assert len({moreish("more", "list.txt", "-n", "7").out for _ in range(3)}) == 3, "another seed each time"
    shutil.copy("list.txt", "again.txt")
    assert moreish("more", "again.txt", "-n", "7", "--seed", "3") == first
    assert moreish("more", "list.txt").lines != [] and len(moreish("more", "list.txt").lines) == 20


def test_more_of_the_bundled_lists_and_of_ones_own_of_that_name(moreish):
    assert len(moreish("more", "dinosaurs", "-n", "3").lines) == 3
    Path("dinosaurs").write_text("zzz\nzzzz\nzz\n")
    assert set("".join(moreish("more", "dinosaurs", "-n", "3").lines)) == {"z"}


def test_more_new_only_with_a_prefix_and_a_distance(moreish):
    for flags in (["--new-only"], ["--new-only", "--prefix", "ka"], ["--distance", "1"], ["--distance", "2"],
                  ["--prefix", "ka", "--distance", "1", "--temperature", "1.2"]):  # fmt: skip
        found = moreish("more", "list.txt", "-n", "6", *flags, "--json").json
        assert found["found"] == 6
        for line in found["lines"]:
            assert line["text"].startswith("ka" if "--prefix" in flags else "")
            if "--new-only" in flags or "--distance" in flags:
                assert line["text"] not in MADE_UP
            if "--distance" in flags:
                assert line["origin"] == "new" and line["near"] is None
            assert (line["near"] is None) == (line["origin"] != "near copy")
            assert line["near"] is None or line["near"] in MADE_UP


def test_more_repeats_only_when_asked(moreish, monkeypatch):
    monkeypatch.setattr("moreish.generating.sample.LEAST_TRIES", 2000)
    Path("tiny.txt").write_text("a\nb\n")
    ran = moreish("more", "tiny.txt", "-n", "9", "--max-length", "1")
    assert ran.code == 0 and {"a", "b"} <= set(ran.lines) <= {"", "a", "b"} and len(set(ran.lines)) == len(ran.lines)
    assert len(moreish("more", "tiny.txt", "-n", "9", "--max-length", "1", "--repeats").lines) == 9


def test_fewer_found_than_asked_is_said_in_one_line(moreish, monkeypatch):
    monkeypatch.setattr("moreish.generating.sample.LEAST_TRIES", 2000)
    ran = moreish("more", "list.txt", "-n", "50", "--prefix", "kari", "--max-length", "5", "--new-only", "--json")
    found = ran.json
    assert found["found"] == len(found["lines"]) < found["asked"] == 50
    assert ran.err.count("\n") == 1 and f"found {found['found']} of the 50 lines asked for" in ran.err
    ran = moreish("more", "list.txt", "-n", "3", "--prefix", "kari", "--max-length", "5", "--distance", "9")
    assert (ran.code, ran.out) == (0, "") and "found 0 of the 3" in ran.err


def test_more_writes_to_a_file_whole_or_not_at_all(moreish):
    for flags, name in (([], "out.txt"), (["--csv"], "out.csv"), (["--json"], "out.json")):
        ran = moreish("more", "list.txt", "-n", "5", "--seed", "1", *flags)
        written = moreish("more", "list.txt", "-n", "5", "--seed", "1", *flags, "-o", name)
        assert written.code == 0 and written.out == "" and Path(name).read_text() == ran.out
        assert written.err == f"moreish: wrote {name}\n"
    before = Path("out.txt").read_text()
    for out in ("no/such/place.txt", ".", ""):
        ran = moreish("more", "list.txt", "-n", "5", "-o", out)
        assert ran.code == 1 and ran.out == "" and ran.err.count("\n") == 1
    assert Path("out.txt").read_text() == before and not list(Path().glob(".moreish-*"))


def test_csv_has_what_the_json_has(moreish, runs):
    flags = ["-n", "30", "--seed", "5", "--suffix", "a"]
    rows = list(csv.DictReader(io.StringIO(moreish("sample", runs["bigram"], *flags, "--csv").out)))
    found = moreish("sample", runs["bigram"], *flags, "--json").json["lines"]
    columns = ["text", "nats", "origin", "near", "nearest", "edits", "nats_given_condition"]
    assert [list(row) for row in rows] == [columns] * 30
    for row, line in zip(rows, found):
        assert row["text"] == line["text"] and row["origin"] == line["origin"] and row["near"] == (line["near"] or "")
        edits = "" if line["edits"] is None else str(line["edits"])
        assert (row["nearest"], row["edits"]) == (line["nearest"] or "", edits)
        for name in ("nats", "nats_given_condition"):
            assert float(row[name]) == pytest.approx(line[name], abs=1e-4)


def test_csv_of_odd_lines_comes_back(moreish):
    odd = ['say "no"', "a,b", "=1+1", " x ", "a;b", "'q'", "é"]
    Path("odd.txt").write_text("".join(f"{line}\n" for line in odd))
    ran = moreish("more", "odd.txt", "-n", "40", "--csv", "--model", "ngram", "--order", "9", "--smoothing", "none")
    rows = list(csv.reader(io.StringIO(ran.out)))
    assert sorted(row[0] for row in rows[1:]) == sorted(odd)


@pytest.mark.parametrize("out", ["list.txt", "./list.txt", "link.txt", "hard.txt", "ABSOLUTE"])
def test_the_list_itself_is_not_written_over(out, moreish, tmp_path):
    Path("link.txt").symlink_to("list.txt")
    Path("hard.txt").hardlink_to("list.txt")
    before = Path("list.txt").read_bytes()
    for flags in ([], ["--csv"], ["--json"]):
        ran = moreish("more", "list.txt", "-n", "2", "-o", out.replace("ABSOLUTE", str(tmp_path / "list.txt")), *flags)
        assert ran.code == 2 and "is the list itself" in ran.err and ran.out == ""
    assert Path("list.txt").read_bytes() == before


def test_nor_is_a_list_that_comes_through_standard_input(moreish, monkeypatch):
    with Path("list.txt").open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        ran = moreish("more", "-", "-n", "2", "-o", "list.txt")
    assert ran.code == 2 and "is the list itself" in ran.err and Path("list.txt").read_text().split() == MADE_UP


def test_a_list_from_standard_input(moreish, monkeypatch):
    for command in (["more", "-", "-n", "3"], ["inspect", "-", "--json"], ["train", "-", "--model", "bigram"]):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path("list.txt").read_bytes())))
        ran = moreish(*command)
        assert ran.code == 0 and ran.err == ""
    assert Path("runs/standard-input-bigram-1/run.toml").exists()


def test_more_with_a_model_of_ones_choice(moreish):
    for flags, model in ((["--model", "bigram"], "bigram"), (["--model", "ngram", "--order", "2"], "ngram"),
                         (["--order=2", "--model=ngram", "--smoothing=witten-bell"], "ngram")):  # fmt: skip
        found = moreish("more", *flags, "list.txt", "-n", "2", "--json").json
        assert found["model"] == model and found["why"] == f"{model}, as asked for"
    assert "ngram of order" in moreish("more", "list.txt", "-n", "2", "--json").json["why"]


def test_more_takes_a_mixture_where_there_are_lines_and_time_enough(moreish, monkeypatch):
    monkeypatch.setattr(choose, "LEAST_LINES", 200)
    found = moreish("more", "list.txt", "-n", "3", "--json").json
    train = len(Corpus.read("list.txt").train)
    assert found["model"] == "mixture" and f"of {train} lines" in found["why"]
    assert moreish("more", "list.txt", "-n", "3", "--json", "--seed", "2").json["why"] == found["why"]
    short = moreish("more", "list.txt", "-n", "3", "--time", "1", "--json").json
    assert short["model"] == "ngram" and "With more than 1 s a mixture" in short["why"]


def test_more_gives_a_network_no_more_than_its_time(moreish, monkeypatch):
    monkeypatch.setattr(cache, "steps_in", lambda corpus, recipe, time: (3, recipe.steps))
    why = moreish("more", "list.txt", "-n", "2", "--time", "1.5", "--model", "bow", "--json").json["why"]
    assert why == "bow, as asked for; 1.5 s are enough for 3 of the 40 steps that it would take in full"
    for time in ("0", "nan", "-3", "soon"):
        assert moreish("more", "list.txt", "-n", "2", "--time", time).code == 2


def test_a_cache_that_cannot_be_used_is_a_warning(moreish):
    Path("cache").write_text("a file")
    ran = moreish("more", "list.txt", "-n", "2")
    assert ran.code == 0 and len(ran.lines) == 2 and ran.err.count("\n") == 1
    assert "warning: what was learnt is not kept for next time" in ran.err


def test_warnings_of_the_reader_go_to_standard_error(moreish):
    Path("odd.txt").write_text("a\x01b\ncd\nef\n")
    for command in (["more", "odd.txt", "-n", "2"], ["train", "odd.txt", "--json"]):
        ran = moreish(*command)
        assert ran.code == 0 and "warning: Control characters: 1" in ran.err and "warning" not in ran.out


# train


def test_train_names_its_directory_and_refuses_one_that_is_taken(moreish):
    for n in (1, 2):
        ran = moreish("train", "list.txt", "--model", "bigram", "--json")
        assert ran.json["run"] == f"runs/list-bigram-{n}" and Path(ran.json["checkpoint"]).exists()
    before = Path("runs/list-bigram-1/run.toml").read_bytes()
    ran = moreish("train", "list.txt", "--model", "bigram", "--run", "runs/list-bigram-1")
    assert ran.code == 1 and "--overwrite" in ran.err
    assert Path("runs/list-bigram-1/run.toml").read_bytes() == before
    ran = moreish("train", "list.txt", "--model", "unigram", "--run", "runs/list-bigram-1", "--overwrite")
    assert ran.code == 0 and 'model = "unigram"' in Path("runs/list-bigram-1/run.toml").read_text()


FAILING = [
    (["nosuch.txt"], 1), (["list.txt", "--order", "99"], 2), (["list.txt", "--seed", "-1"], 2),
    (["list.txt", "--model", "bigrm"], 2), (["list.txt", "--split", "halves"], 2), (["empty.txt"], 1),
    (["list.txt", "--model", "one-layer", "--steps", "400", "--lr", "50", "--weight-decay", "10"], 1),
    (["two.txt", "--split", "lecture"], 1),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "code"), FAILING)
def test_an_overwriting_that_fails_harms_nothing(arguments, code, moreish, runs, types_unchecked):
    shutil.copytree(runs["bigram"], "run")
    Path("empty.txt").write_text("\n\n")
    Path("two.txt").write_text("a\nb\n")
    before = {path.name: path.read_bytes() for path in Path("run").iterdir()}
    ran = moreish("train", *arguments, "--run", "run", "--overwrite")
    assert ran.code == code and ran.out == "" and ran.err.startswith("moreish: ")
    assert {path.name: path.read_bytes() for path in Path("run").iterdir()} == before
    assert moreish("score", "run", "ka").code == 0


def test_a_first_training_that_fails_at_once_leaves_nothing(moreish, types_unchecked):
    for arguments, _ in FAILING[:6]:
        moreish("train", *arguments, "--run", "new")
        assert not Path("new").exists(), arguments


@pytest.mark.parametrize("name", [
    "[/red].txt", "\x1b[31mred.txt", "a b.txt", "'q'.txt", "東京.txt", "-dash.txt", "~.txt", ";rm.txt", "a\nb.txt",
    "{task}.txt", "%s.txt", ".txt", ":smile:", "[red]", "\u202egnp.txt",
])  # fmt: skip
def test_lists_of_odd_names(name, moreish):
    Path(name).parent.mkdir(exist_ok=True)
    shutil.copy("list.txt", name)
    source = f"./{name}"
    for command in (["train", source, "--model", "bigram"], ["inspect", source], ["more", source, "-n", "2"]):
        ran = moreish(*command)
        assert ran.code == 0 and ran.err == "" and "\x1b" not in ran.out
    (where,) = Path("runs").iterdir()
    assert re.fullmatch(r"[\w.-]+-bigram-1", where.name) and not where.name.startswith((".", "-"))
    for command in ("show", "evaluate"):
        assert "\x1b" not in moreish(command, where).out
    assert moreish("train", "./nosuch\x1b[2J.txt").err.isprintable() is False  # its own newline only
    assert "\x1b" not in moreish("train", "./nosuch\x1b[2J.txt").err


def test_without_the_list(moreish, runs):
    found = moreish("sample", runs["hashes"], "-n", "200", "--json").json
    assert {line["origin"] for line in found["lines"]} == {"copy", "new"}
    assert all((line["origin"] == "copy") == (line["text"] in MADE_UP) for line in found["lines"])
    assert all(line["near"] is None for line in found["lines"])
    assert found["novelty"]["near_rate"] is None and found["novelty"]["held_out_near_rate"] is None
    assert 0 < found["novelty"]["rate"] < 1
    only = moreish("sample", runs["hashes"], "-n", "20", "--new-only", "--json").json
    assert only["found"] == 20 and not {line["text"] for line in only["lines"]} & set(MADE_UP)
    assert moreish("sample", runs["hashes"], "--distance", "1").code == 2
    ran = moreish("evaluate", runs["hashes"])
    assert ran.code == 1 and "kept only hashes" in ran.err and ran.out == ""
    assert "hashes of the lines only" in moreish("show", runs["hashes"]).out


def test_train_says_what_came_of_it(moreish):
    ran = moreish("train", "list.txt", "--model", "one-layer", "--steps", "30", "--run", "r", "--split", "lecture")
    assert "one-layer" in ran.out and "leaks" in ran.out and "Next: moreish sample r" in " ".join(ran.out.split())
    Path("one.txt").write_text("solo\n")
    ran = moreish("train", "one.txt", "--run", "s")
    assert ran.code == 0 and "no figure is given" in ran.out
    assert moreish("train", "one.txt", "--run", "t", "--json").json["evaluation"] is None


# evaluate


@pytest.mark.parametrize(("run", "part", "expected"), [
    ("bigram", "dev", {"part": "dev", "split": "unique", "leaks": False, "folds": 0, "note": ""}),
    ("bigram", "train", {"part": "train", "split": "unique", "leaks": False, "nats_given_new": None}),
    ("lecture", "dev", {"part": "dev", "split": "lecture", "leaks": True}),
    ("none", "dev", {"part": "train", "split": "none", "leaks": True, "nats_given_new": None}),
    ("none", "test", {"part": "train", "split": "none", "leaks": True}),
    ("few", "dev", {"part": "kfold", "split": "unique", "leaks": False, "folds": 10}),
    ("uniform", "dev", {"part": "dev", "parameters": 0}),
])  # fmt: skip
def test_evaluate_says_what_was_measured(run, part, expected, moreish, runs):
    found = moreish("evaluate", runs[run], "--part", part, "--json").json
    assert expected.items() <= found.items()
    assert found["bits_per_symbol"] == pytest.approx(found["nats_per_symbol"] / math.log(2))
    assert found["perplexity"] == pytest.approx(math.exp(found["nats_per_symbol"]))
    assert 0 < found["copy_mass"] < 1
    said = " ".join(moreish("evaluate", runs[run], "--part", part).out.split())
    assert f"{found['nats_per_symbol']:.4f}" in said and f"{found['lines']:,} lines" in said
    assert ("leaks" in said or "held out" in said) == expected.get("leaks", False)


def test_the_model_that_knows_nothing_is_ln_v(moreish, runs):
    found = moreish("evaluate", runs["uniform"], "--json").json
    symbols = len(set("".join(MADE_UP))) + 1
    assert found["nats_per_symbol"] == pytest.approx(math.log(symbols)) and found["perplexity"] == pytest.approx(
        symbols
    )


def test_what_is_impossible_is_null_and_said(moreish, runs):
    Path("odd.txt").write_text("".join(f"{i:03}\n" for i in range(300)) + "xy\n" * 2)
    moreish("train", "odd.txt", "--smoothing", "none", "--order", "4", "--run", "r")
    found = moreish("evaluate", "r", "--json").json
    assert found["nats_per_symbol"] is None and found["perplexity"] is None
    said = moreish("evaluate", "r").out
    assert "inf" in said and "without smoothing" in said
    assert "infinite" in moreish("show", "r").out
    scored = moreish("score", "r", "yx", "--json").json["texts"][0]
    assert scored["nats"] is None and moreish("score", "r", "yx").code == 0


def test_one_unique_line_gives_no_figure_but_samples(moreish, runs):
    ran = moreish("evaluate", runs["one"])
    assert ran.code == 1 and ran.out == "" and "one unique line" in ran.err and ran.err.count("\n") == 1
    assert moreish("sample", runs["one"], "-n", "3").code == 0
    ran = moreish("evaluate", runs["few"], "--part", "test")
    assert ran.code == 2 and "has no test part" in ran.err


def test_looks_at_test_are_counted_and_said(moreish, runs):
    shutil.copytree(runs["bigram"], "run")
    assert moreish("evaluate", "run", "--json").json["test_looks"] == 0
    assert "looked at" not in moreish("evaluate", "run").out
    for n in (1, 2):
        assert moreish("evaluate", "run", "--part", "test", "--json").json["test_looks"] == n
    assert "looked at 3 times" in moreish("evaluate", "run", "--part", "test").out
    assert "looked at 3 times" in moreish("evaluate", "run").out
    assert moreish("show", "run", "--json").json["test_looks"] == 3
    assert moreish("evaluate", "run", "--part", "nosuch").code == 2
    assert moreish("show", "run", "--json").json["test_looks"] == 3


# sample, score, show, models, lists, export, inspect


def test_sample_is_the_same_for_the_same_seed(moreish, runs):
    for run in ("ngram", "one-layer", "uniform"):
        first = moreish("sample", runs[run], "-n", "9", "--seed", "1", "--json").json
        assert moreish("sample", runs[run], "-n", "9", "--seed", "1", "--json").json == first
        assert first["asked"] == first["found"] == first["drawn"] == 9 and first["seed"] == 1
        for flags in (["--temperature", "0.5"], ["--top-k", "2"], ["--top-p", "0.5"]):
            assert moreish("sample", runs[run], "-n", "9", "--seed", "1", "--json", *flags).json["found"] == 9
        scored = moreish("score", runs[run], *[line["text"] for line in first["lines"]], "--json").json["texts"]
        for line, one in zip(first["lines"], scored):
            if not line["cut"]:
                assert line["nats"] == pytest.approx(one["nats"], abs=1e-4)
    assert (
        len(
            {
                line["text"]
                for line in moreish("sample", runs["bigram"], "-n", "50", "--distinct", "--json").json["lines"]
            }
        )
        == 50
    )


def test_a_cut_line_says_so(moreish, runs):
    found = moreish("sample", runs["uniform"], "-n", "30", "--max-length", "3", "--json").json
    assert all(len(line["text"]) <= 3 for line in found["lines"])
    assert any(line["cut"] for line in found["lines"])
    assert not any(line["cut"] for line in found["lines"] if len(line["text"]) < 3)


def test_on_a_terminal_each_line_has_a_word(moreish, runs, monkeypatch):
    monkeypatch.setattr(generate, "is_terminal", lambda: True)
    out = moreish("sample", runs["bigram"], "-n", "60", "--seed", "2", "--max-length", "9").out
    found = moreish("sample", runs["bigram"], "-n", "60", "--seed", "2", "--max-length", "9", "--json").json
    for line, printed in zip(found["lines"], out.splitlines()):
        expected = line["origin"] if line["near"] is None else f"one edit from {line['near']}"
        cut = " (cut at the maximum length)" if line["cut"] else ""
        assert " ".join(printed.split()) == f"{line['text']} {expected} {line['nats']:.1f} nats{cut}".strip()
    words = " ".join(out.split())
    assert "60 of 60 asked for. Of the 60 drawn with seed 2" in words and "95 % interval" in words
    ran = moreish("more", "list.txt", "-n", "3")
    assert "ngram of order" in ran.err and len(ran.lines) > 4


def test_score_says_what_each_symbol_costs(moreish, runs):
    (one,) = moreish("score", runs["ngram"], "kari", "--json").json["texts"]
    assert [each["symbol"] for each in one["symbols"]] == ["k", "a", "r", "i", ""]
    assert one["nats"] == pytest.approx(sum(each["nats"] for each in one["symbols"]))
    out = moreish("score", runs["ngram"], "kari").out
    assert f"kari  {one['nats']:.2f} nats" in out and "end" in out and "█" in out
    found = moreish("score", runs["ngram"], "", "ka", "ka", "--json").json["texts"]
    assert [each["text"] for each in found] == ["", "ka", "ka"] and len(found[0]["symbols"]) == 1
    ran = moreish("score", runs["ngram"], "xyz")
    assert ran.code == 1 and "lacks: 'x' (position 1)" in ran.err


def test_models_tells_every_setting_with_its_meaning(moreish):
    for entry in moreish("models", "--json").json["models"]:
        keys = moreish("models", entry["model"], "--json").json["keys"]
        text = " ".join(moreish("models", entry["model"]).out.split())
        assert entry["title"] in text and "symbols" in {key["key"] for key in keys}
        for key in keys:
            name = key["key"].replace("_", "-")
            assert key["meaning"] in text and (f"--{name}" in text) == key["settable"]


def test_the_bigrams_table_is_drawn(moreish, runs):
    ran = moreish("models", "bigram", "--of", runs["counts"])
    table = moreish("models", "--of", runs["counts"], "--json").json
    assert ran.code == 0 and f"{table['pairs']:,} in all" in ran.out
    rows = ran.out.splitlines()
    assert rows[0].split() == table["symbols"]
    for label, counts, row in zip(table["symbols"], table["counts"], rows[1:]):
        assert row.split() == [label, *(str(count) for count in counts if count)]
    for name, of in (("ngram", "bigram"), ("bigram", "ngram"), ("nosuch", "bigram")):
        ran = moreish("models", name, "--of", runs[of])
        assert ran.code == 2 and ran.out == ""
    assert moreish("models", "--of", runs["one-layer"]).code == 2


def test_lists_are_what_they_say(moreish):
    there = {each["name"]: each for each in moreish("lists", "--json").json["lists"]}
    least = {"names": 4000, "towns": 1000, "dinosaurs": 300}
    assert least.keys() < there.keys() and all(there[name]["lines"] >= n for name, n in least.items())
    for name, each in there.items():
        lines = moreish("lists", name).lines
        assert len(lines) == len(set(lines)) == each["lines"] == len(moreish("lists", name, "--json").json["lines"])
        assert each["source"] and each["title"]
    ran = moreish("lists", "dinosaur")
    assert ran.code == 2 and "Did you mean 'dinosaurs'?" in ran.err


def test_export_gives_an_arpa_file(moreish, runs):
    ran = moreish("export", runs["ngram"], "--to", "arpa")
    assert (
        ran.code == 0 and ran.err == "" and ran.out.startswith("\\data\\\nngram 1=") and ran.out.endswith("\\end\\\n")
    )
    written = moreish("export", runs["ngram"], "--to", "arpa", "-o", "model.arpa")
    assert written.code == 0 and written.out == "" and Path("model.arpa").read_text() == ran.out
    for run in ("bigram", "uniform", "one-layer"):
        assert moreish("export", runs[run], "--to", "arpa").code == 2


def test_inspect_reads_tables_and_encodings(moreish):
    Path("t.csv").write_text("name,age\nAna,3\nBob,4\nAna,5\n")
    assert moreish("inspect", "t.csv", "--column", "name", "--json").json["duplicate_lines"] == 1
    Path("t.jsonl").write_text('{"name": "Ana"}\n{"name": "Bob"}\n')
    assert moreish("inspect", "t.jsonl", "--field", "name", "--json").json["lines"] == 2
    Path("l.txt").write_bytes("é\nà\n".encode("latin-1"))
    ran = moreish("inspect", "l.txt")
    assert ran.code == 1 and "line 1, byte 0" in ran.err and "0xe9" in ran.err and "--encoding latin-1" in ran.err
    assert moreish("inspect", "l.txt", "--encoding", "latin-1", "--json").json["symbols"] == {"é": 1, "à": 1}
    Path("n.txt").write_text("e\u0301\n\u00e9\n")
    assert moreish("inspect", "n.txt", "--json").json["unique_lines"] == 1
    assert moreish("inspect", "n.txt", "--normalize", "none", "--json").json["unique_lines"] == 2


def test_inspect_tells_the_published_figures(moreish, names):
    found = moreish("inspect", names, "--json").json
    assert (found["lines"], found["unique_lines"], found["duplicate_lines"]) == (32_033, 29_494, 2_539)
    assert round(found["leak"]["dev"], 3) == 0.132 and round(found["leak"]["test"], 3) == 0.118


def test_the_demonstration_ends_well(moreish, monkeypatch):
    monkeypatch.setattr(socket, "socket", None)  # it needs no network
    ran = moreish("demo")
    assert ran.code == 0 and ran.err == ""
    for part in (
        "$ moreish inspect names",
        "$ moreish more names",
        "nats per symbol",
        "mariana",
        "dinosaurs",
        "Now yours",
    ):
        assert part in ran.out
    assert sorted(path.name for path in Path().iterdir()) == ["list.txt"], "the demonstration leaves nothing behind"
    assert moreish("demo").out == ran.out


def test_json_is_strict_where_standard_output_is_not_unicode(moreish, monkeypatch):
    Path("accents.txt").write_text("é\nñandú\n日本\n")
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        from moreish.faces.cli import run

        assert run(["inspect", "accents.txt", "--json"]) == 0
        assert run(["more", "accents.txt", "-n", "1"]) == 0
    text = raw.getvalue()
    assert "é" in json.JSONDecoder().raw_decode(text.decode("ascii"))[0]["symbols"]
