"""What people read: a list that would command the terminal, or rich, is shown as it is; nothing is cut or missing."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path

import pytest
import tomli_w
from rich.console import Console

from moreish.faces.cli import generate
from moreish.faces.terminal import (
    bigram_picture,
    evaluation_table,
    hygiene_report,
    run_table,
    sample_table,
    score_table,
    training_summary,
)
from moreish.generating.sample import sample
from moreish.learning.evaluate import evaluate
from moreish.learning.fit import fit
from moreish.learning.score import score
from moreish.learning.tables import bigram_table
from moreish.runs.directory import describe
from moreish.runs.recording import save
from moreish.text.corpus import Corpus
from moreish.text.hygiene import inspect_lines
from moreish.text.lines import Lines

ATTACKS = [
    "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x1b[2J\x1b[H", "\x9b31m", "\x1bPq#0\x1b\\", "\x08\x08\x08rm", "\x7f",
    "[red]bold[/red]", "[/]", "[/red]", "[link=file:///etc]x[/link]", "[bold", "\\[red]", ":smile:", "[@click=x]y[/]",
    "\u202egnirts", "\u2066x\u2069", "a\u200bb", "\ufeffx", "\u2028y", "\x85z", "tab\there", "\x01soh", "\ue000",
    "<img src=x onerror=alert(1)>", "=cmd()", "e" + "\u0301" * 30, "👨\u200d👩\u200d👧",
]  # fmt: skip


def is_harmless(text: str) -> bool:
    """Whether a terminal only prints this: no control characters, no order of its own making."""
    return all(line.isprintable() for line in text.split("\n"))


@pytest.fixture(scope="module")
def attacked(tmp_path_factory) -> Path:
    where = tmp_path_factory.mktemp("attacked")
    (where / "attack.txt").write_text("".join(f"{line}\n" for line in ATTACKS * 2), encoding="utf-8")
    return where


COMMANDS = [
    ["inspect", "attack.txt"], ["more", "attack.txt", "--model=ngram", "-n", "40"],
    ["more", "attack.txt", "--model=ngram", "--symbols=words"], ["train", "attack.txt", "--run", "t"],
    ["more", "attack.txt", "--model=ngram", "--symbols=bytes", "-n", "40"],
    ["show", "run"], ["evaluate", "run"], ["score", "run", *ATTACKS], ["models", "--of", "run"],
    ["models", "bigram", "--of", "words"], ["score", "words", "[red]bold[/red]", ":smile:"],
    ["score", "run", "unknown \x1b[31m §"], ["sample", "run", "-n", "40", "--prefix", "\x1b"], ["show", "words"],
    ["sample", "run", "--prefix", "§\x1b"], ["sample", "run", "-n", "40", "--seed", "1"],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: ascii(" ".join(each))[1:40])
@pytest.mark.parametrize("width", ["20", "100"])
def test_a_list_cannot_command_the_terminal(command, width, attacked, moreish, monkeypatch):
    monkeypatch.setattr(generate, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", width)
    shutil.copy(attacked / "attack.txt", ".")
    if not (attacked / "run").exists():
        assert moreish("train", "attack.txt", "--model", "bigram", "--run", attacked / "run").code == 0
        words = ["--symbols", "words", "--run", attacked / "words"]
        assert moreish("train", "attack.txt", "--model", "bigram", *words).code == 0
    for name in ("run", "words"):
        shutil.copytree(attacked / name, name)
    ran = moreish(*command)
    assert ran.code in (0, 1)
    for text in (ran.out, ran.err):
        assert is_harmless(text.replace("\u0301", "")), ascii([c for c in text if not c.isprintable()])
    assert "🙂" not in ran.out and "😄" not in ran.out


def test_markup_in_a_list_is_text(attacked, moreish):
    shutil.copy(attacked / "attack.txt", ".")
    moreish("train", "attack.txt", "--symbols", "words", "--model", "bigram", "--run", "r")
    out = moreish("score", "r", "[red]bold[/red]", ":smile:", "[/]", "\\[red]").out
    for text in ("[red]bold[/red]  ", ":smile:  ", "[/]  ", "\\[red]  "):
        assert text in out
    out = " ".join(moreish("show", "r").out.split())
    assert "[/red]" in out and "[bold" in out and "\\x1b[31mred\\x1b[0m" in out


def test_a_strangers_run_cannot_command_the_terminal(moreish, runs):
    import tomllib

    shutil.copytree(runs["ngram"], "run")
    told = tomllib.loads(Path("run/run.toml").read_text())
    told["recipe"]["why"] = "[/red]\x1b[2J why"
    told["list"]["name"] = "[/red]\x1b]0;evil\x07"
    Path("run/run.toml").write_text(tomli_w.dumps(told))
    event = {"event": "evaluated", "step": 1, "part": "[/]\x1b[2J", "nats_per_symbol": 1.5}
    Path("run/events.jsonl").write_text(json.dumps(event) + "\n")
    for command in (["show", "run"], ["evaluate", "run"], ["evaluate", "run", "--part", "test"], ["sample", "run"]):
        ran = moreish(*command)
        assert ran.code == 0 and is_harmless(ran.out) and is_harmless(ran.err)
    assert "[/red]\\x1b[2J why" in moreish("show", "run").out
    Path("evil\x1b[2J[red]").mkdir()
    shutil.copytree("run", "evil\x1b[2J[red]/run")
    for command in (["show"], ["evaluate"], ["sample", "-n", "2"], ["score"]):
        ran = moreish(command[0], "evil\x1b[2J[red]/run", *command[1:], *(["ka"] if command == ["score"] else []))
        assert ran.code == 0 and is_harmless(ran.out)
    assert is_harmless(moreish("show", "evil\x1b[2J[red]").err)


def shown(thing: object, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False)
    console.print(thing)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [1, 2, 10, 40, 80, 200])
def test_every_view_fits_every_width(width, tmp_path):
    lines = ["ana", "élan", "東京", "a b", "anabelle", "anabella", "ana", "[red]"] * 40 + ["x" * 300]
    corpus = Corpus.of(lines, split="none")
    trained = fit(corpus, "bigram")
    saved = save(trained, tmp_path / "run")
    for view in (
        hygiene_report(inspect_lines(Lines.of(lines))), sample_table(sample(trained, 8, seed=1), 1),
        evaluation_table(evaluate(trained), 2), training_summary(saved, evaluate(trained)),
        training_summary(saved, None), score_table(score(trained, ["ana", "", "東京"])),
        run_table(describe(tmp_path / "run")),
    ):  # fmt: skip
        printed = shown(view, width)
        assert printed
        if width >= 40:
            assert max(map(len, printed)) <= width
    picture = shown(bigram_picture(bigram_table(trained), max(width, 120), False), 500)
    assert any("never seen" in line for line in picture)


@pytest.mark.parametrize("width", [60, 100, 140])
def test_how_to_read_the_table_is_wrapped_between_words(width, moreish, runs, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    out = moreish("models", "bigram", "--of", runs["counts"]).out
    text = out[out.index("Row: a symbol") :]
    assert max(map(len, text.splitlines())) <= width
    assert "The deeper the blue, the larger the share of its row" in " ".join(text.split())


def test_each_number_has_a_word(moreish, runs):
    said = " ".join(moreish("evaluate", runs["bigram"]).out.split())
    for word in ("lower is better", "nats / ln 2", "equally likely symbols", "numbers learnt", "unique training lines",
                 "unseen lines"):  # fmt: skip
        assert word in said


def test_progress_of_a_list_of_any_name(moreish, monkeypatch):
    """On a terminal the name of the list stands beside the bar, and is no markup there."""
    leader, follower = os.openpty()
    with os.fdopen(follower, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        from moreish.faces.cli.console import working

        for name in ("[/red].txt", "\x1b[2J", "[red]", ":smile:", "{task}", "a" * 500):
            with working(f"learning {name}") as update:
                update(1, 2)
            with working(name, quiet=True) as update:
                update(1, 2)
    with os.fdopen(leader, "rb", buffering=0) as screen:
        drawn = b""
        while len(drawn) < 100_000:
            try:
                drawn += screen.read(4096)
            except OSError:  # the other end is closed and all is read
                break
    assert b"[/red].txt" in drawn and b"\x1b[2J" not in drawn and b"\\x1b[2J" in drawn
