"""Lists learnt before: known again by what is in them, learnt anew when in doubt, and never a reason to fail."""

from __future__ import annotations

import io
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from test_directory import unprivileged

from moreish.errors import MoreishError
from moreish.generating.sample import sample
from moreish.runs import cache
from moreish.runs.cache import cache_directory, learn_once
from moreish.storage import lock
from moreish.text.reading import ReadOptions

chooser = random.Random(5)
TEXT = "".join("".join(chooser.choices("abcdé", k=chooser.randint(1, 6))) + "\n" for _ in range(60))
NFC, AS_IS = ReadOptions(), ReadOptions(normalize="none")


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("MOREISH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "list.txt").write_text(TEXT)
    return tmp_path


def learn(source: object, options: ReadOptions = NFC, symbols: str = "characters", model: str = "ngram", *,
          fresh: bool = False, **settings: object) -> cache.Learnt:  # fmt: skip
    if model == "ngram":
        settings = {"order": 2, **settings}
    return learn_once(str(source), options, symbols, model, settings, fresh=fresh)


def test_the_second_time_nothing_is_learnt(place, monkeypatch):
    first = learn(place / "list.txt", model="auto")
    assert not first.known and first.trained.run.startswith(str(place / "cache"))
    monkeypatch.setattr(cache, "fit", None)
    monkeypatch.setattr(cache, "choose", None)
    again = learn(place / "list.txt", model="auto")
    assert again.known and again.why == first.why and "ngram of order" in again.why
    assert sample(again.trained, 20, seed=1) == sample(first.trained, 20, seed=1)
    assert again.trained.corpus.name == str(place / "list.txt")


def test_a_list_is_known_by_its_text_and_not_by_its_name(place, monkeypatch):
    assert not learn(place / "list.txt").known
    shutil.copy(place / "list.txt", place / "copy.txt")
    (place / "windows.txt").write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n\r\n").encode())
    for name in ("copy.txt", "windows.txt"):
        again = learn(place / name)
        assert again.known and again.trained.corpus.name == str(place / name)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    again = learn("-")
    assert again.known and again.trained.corpus.name == "standard input"
    with (place / "list.txt").open("a") as file:
        file.write("new\n")
    assert not learn(place / "list.txt").known


def test_what_is_asked_otherwise_is_learnt_otherwise(place):
    source = place / "list.txt"
    asked = [
        {}, {"symbols": "bytes"}, {"symbols": "words"}, {"model": "bigram"}, {"model": "auto"}, {"order": 3},
        {"smoothing": "add-1"},
    ]  # fmt: skip
    for known in (False, True):
        for how in asked:
            learnt = learn(source, **how)
            assert learnt.known is known, how
            assert learnt.trained.alphabet.kind == how.get("symbols", "characters")
            assert learnt.trained.recipe.model == how.get("model", "ngram").replace("auto", "ngram")
    (place / "table.csv").write_text("a,b\nana,eva\nbob,ida\nana,eva\n")
    first = learn(place / "table.csv", ReadOptions(column="a"))
    second = learn(place / "table.csv", ReadOptions(column="b"))
    assert sorted(first.trained.corpus.lines) == ["ana", "bob"] and sorted(second.trained.corpus.lines) == [
        "eva", "ida",
    ]  # fmt: skip


def test_fresh_learns_again(place, monkeypatch):
    learn(place / "list.txt")
    assert not learn(place / "list.txt", fresh=True).known
    assert learn(place / "list.txt").known
    monkeypatch.setattr(cache, "RECIPES", cache.RECIPES + 1)
    assert not learn(place / "list.txt").known


def test_warnings_come_each_time(place):
    (place / "odd.txt").write_text("a\x01b\ncd\n" * 3)
    for _ in range(2):
        assert any("ontrol" in warning for warning in learn(place / "odd.txt").warnings)


@pytest.mark.parametrize("damage", ["checkpoint", "run.toml", "lines", "gone", "empty", "directory"])
def test_what_is_damaged_is_learnt_anew(place, damage):
    where = Path(learn(place / "list.txt").trained.run)
    target = {"run.toml": where / "run.toml", "lines": where / "lines.gz"}.get(
        damage, where / "checkpoint-1.safetensors"
    )
    if damage in ("gone", "directory"):
        target.unlink()
        if damage == "directory":
            target.mkdir()
    else:
        data = bytearray(target.read_bytes())
        data[len(data) // 2 if damage != "run.toml" else 0] ^= 1
        target.write_bytes(b"" if damage == "empty" else data)
    anew = learn(place / "list.txt")
    assert not anew.known and sample(anew.trained, 3).found == 3
    if damage != "directory":  # a thing of another's making is not removed: said, and lived with
        assert anew.warnings == [] and learn(place / "list.txt").known


def test_a_list_that_cannot_be_learnt_is_an_error_and_leaves_nothing(place, types_unchecked):
    (place / "empty.txt").write_text("")
    for source, how in (
        ("empty.txt", {}), ("nosuch", {}), ("list.txt", {"order": 0}), ("list.txt", {"model": "nosuch"}),
        ("list.txt", {"symbols": "runes"}),
    ):  # fmt: skip
        with pytest.raises(MoreishError):
            learn(place / source, **how)
    assert not (place / "cache").exists() or not list((place / "cache").iterdir())


def a_file(path: Path) -> None:
    path.write_text("mine")


def a_dead_link(path: Path) -> None:
    path.symlink_to("nowhere/at/all")


@pytest.mark.parametrize("make", [a_file, a_dead_link])
def test_a_cache_that_is_no_directory_is_a_warning(place, make):
    make(place / "cache")
    learnt = learn(place / "list.txt")
    assert not learnt.known and sample(learnt.trained, 3).found == 3
    (warning,) = learnt.warnings
    assert warning.startswith("what was learnt is not kept for next time: ") and "\n" not in warning


@pytest.mark.parametrize("mode", [0o000, 0o555])
def test_a_forbidden_cache_is_a_warning(mode, monkeypatch):
    with tempfile.TemporaryDirectory() as path:
        place = Path(path)
        place.chmod(0o755)
        (place / "list.txt").write_text(TEXT)
        (place / "cache").mkdir()
        (place / "cache").chmod(mode)
        monkeypatch.setenv("MOREISH_CACHE", str(place / "cache"))
        with unprivileged():
            learnt = learn(place / "list.txt")
        assert not learnt.known and len(learnt.warnings) == 1 and "ermission denied" in learnt.warnings[0]
        (place / "cache").chmod(0o755)


def test_a_cache_that_is_written_to_by_another_is_no_failure(place):
    where = Path(learn(place / "list.txt").trained.run)
    with lock(where):
        assert learn(place / "list.txt").known
        learnt = learn(place / "list.txt", fresh=True)
    assert not learnt.known and sample(learnt.trained, 2).found == 2


def test_the_cache_keeps_the_newest_only(place, monkeypatch):
    monkeypatch.setattr(cache, "MOST_KEPT", 2)
    (place / "cache").mkdir()
    (place / "cache" / "notes.txt").write_text("mine")
    (place / "cache" / "thesis").mkdir()
    runs = []
    for order in (1, 2, 3, 4):
        runs.append(Path(learn(place / "list.txt", order=order).trained.run))
        for age, run in enumerate(reversed(runs)):
            if run.exists():
                os.utime(run / "run.toml", (1e9 - age, 1e9 - age))
    assert [run.exists() for run in runs] == [False, False, True, True]
    assert sorted(path.name for path in (place / "cache").iterdir() if path not in runs) == ["notes.txt", "thesis"]


def test_racing_processes_all_get_their_lines(place):
    """Forked from this warm process; half of them learn anew, so that writers meet readers and one another."""
    children = []
    for number in range(6):
        child = os.fork()
        if not child:
            code = 1
            try:
                for turn in range(4):
                    learnt = learn(place / "list.txt", fresh=(number + turn) % 2 == 0)
                    assert sample(learnt.trained, 3, seed=1).found == 3
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 6
    assert learn(place / "list.txt").known


@pytest.mark.parametrize(("environment", "expected"), [
    ({"MOREISH_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"),
    ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/moreish"),
    ({"HOME": "/c"}, "/c/.cache/moreish"),
    ({"MOREISH_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/c"}, "/c/.cache/moreish"),
])  # fmt: skip
def test_where_the_cache_is(environment, expected, monkeypatch):
    for name in ("MOREISH_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cache_directory() == Path(expected)


def test_without_a_home_there_is_a_cache_all_the_same(monkeypatch):
    for name in ("MOREISH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def homeless(cls):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", classmethod(homeless))
    assert cache_directory() == Path(tempfile.gettempdir()) / f"moreish-{os.getuid()}"
