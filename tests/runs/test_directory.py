"""Run directories: what goes in comes out, and whatever is damaged, taken or forbidden is one line, never lost."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import tempfile
import tomllib
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
import torch
from failing_disk import Failing, Full

from moreish import storage
from moreish.errors import MoreishError, RunError, RunExists, RunLocked, StorageError, UsageError
from moreish.generating.sample import sample
from moreish.learning.evaluate import evaluate
from moreish.learning.fit import Evaluated, Finished, Step, events, make_recipe
from moreish.learning.recipe import Trained
from moreish.learning.score import score
from moreish.models.catalog import MODELS
from moreish.runs import checkpoint
from moreish.runs.checkpoint import Saved
from moreish.runs.directory import count_looks, describe, load, read_events, record_look, remove
from moreish.runs.place import READY, STAGE, check_free, free_directory
from moreish.runs.recording import record, save
from moreish.text.corpus import Corpus
from quick import checked_before, quick

chooser = random.Random(3)
MANY = ["".join(chooser.choices("abcdéñ", [8, 5, 3, 2, 1, 1], k=chooser.randint(1, 8))) for _ in range(400)]
LISTS = {
    "ascii": ["emma", "olivia", "ava", "mia", "amelia", "a b", "a  b", " c", "0", "."],
    "cyrillic": ["анна", "ольга", "мила", "Ёлка", "анна-мария", "оля", "яна"],
    "scripts": ["東京", "대구", "e\u0301lan", "👨‍👩‍👧 ok", "नमस्ते", "\u202eabc", "שלום", "\x1b[31m", "<s>", "日 本"],
}
KINDS = ("characters", "graphemes", "words", "bytes")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A run of a bigram, to be copied."""
    where = tmp_path_factory.mktemp("made") / "run"
    corpus = Corpus.of(MANY, name="many")
    for _ in record(events(corpus, make_recipe(corpus, "bigram")), corpus, make_recipe(corpus, "bigram"), where):
        pass
    return where


@pytest.fixture
def run(made, tmp_path) -> Path:
    shutil.copytree(made, tmp_path / "run")
    return tmp_path / "run"


@contextmanager
def unprivileged():
    """As a user whom permissions bind: root reads and writes whatever it likes."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


# What goes in comes out.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", MODELS)
def test_a_run_comes_back_as_it_was(model, kind, tmp_path):
    for name, lines in LISTS.items():
        with nullcontext() if name == "ascii" else checked_before():
            comes_back(quick(Corpus.of(lines, name=name, symbols=kind), model), lines, tmp_path / name)


def comes_back(trained: Trained, lines: list[str], where: Path) -> None:
    saved = save(trained, where)
    again = load(where)
    assert saved.run == again.run == str(where)
    assert again.alphabet == trained.alphabet and again.recipe == trained.recipe
    assert again.model.config == trained.model.config and again.parameters == trained.parameters
    assert again.longest == trained.longest
    for part in ("train", "dev", "test", "fingerprint", "split", "split_seed", "kfold", "name", "leaks", "note"):
        assert getattr(again.corpus, part) == getattr(trained.corpus, part), part
    mine, theirs = trained.model.state_dict(), again.model.state_dict()
    assert mine.keys() == theirs.keys() and all(torch.equal(mine[key], theirs[key]) for key in mine)
    assert score(again, lines) == score(trained, lines)
    assert sample(again, 5, seed=3).to_dict() == sample(trained, 5, seed=3).to_dict()


@pytest.mark.parametrize("smoothing", ["none", "add-0.5", "witten-bell", "kneser-ney"])
@pytest.mark.parametrize("split", ["unique", "lecture", "none"])
def test_every_split_and_smoothing_comes_back(split, smoothing, tmp_path):
    trained = quick(Corpus.of(MANY, split=split), "ngram", order=3, smoothing=smoothing)
    save(trained, tmp_path / "run")
    again = load(tmp_path / "run")
    for part in ("dev", "test", "train"):
        assert evaluate(again, part) == evaluate(trained, part)
    assert again.corpus.lines == trained.corpus.lines


def test_a_list_that_is_read_again_at_each_use_is_kept_too(tmp_path):
    (tmp_path / "list.txt").write_text("".join(f"{line}\n" for line in MANY))
    trained = quick(Corpus.read(tmp_path / "list.txt", split="none"), "bigram")
    save(trained, tmp_path / "run")
    (tmp_path / "list.txt").unlink()
    assert load(tmp_path / "run").corpus.train.texts() == MANY


def test_a_run_describes_itself(run):
    assert sorted(path.name for path in run.iterdir() if not path.name.startswith(".")) == [
        "checkpoint-1.safetensors", "events.jsonl", "lines.gz", "run.toml",
    ]  # fmt: skip
    told = tomllib.loads((run / "run.toml").read_text())
    assert told["recipe"]["model"] == "bigram" and told["list"]["name"] == "many" and told["list"]["kept"] is True
    unique = list(dict.fromkeys(MANY))
    assert told["list"]["lines"] == len(unique) and told["alphabet"] == {"kind": "characters", "symbols": 7}
    lines = gzip.decompress((run / "lines.gz").read_bytes()).decode().split("\n")[:-1]
    assert sorted(lines) == sorted(unique)
    trained = load(run)
    assert lines == [*trained.corpus.train, *trained.corpus.dev, *trained.corpus.test]
    evaluated, saved, finished = read_events(run)
    assert evaluated["nats_per_symbol"] == pytest.approx(evaluate(trained).nats_per_symbol)
    assert finished == {"event": "finished", "step": 1}
    assert saved == {
        "event": "saved", "step": 1, "sha256": storage.sha256_file(run / "checkpoint-1.safetensors"),
    }  # fmt: skip
    shown = describe(run)
    assert shown["evaluation"]["nats_per_symbol"] == evaluated["nats_per_symbol"] and shown["step"] == 1
    assert shown["checkpoints"] == ["checkpoint-1.safetensors"] and shown["parameters"] == trained.parameters
    json.dumps(shown, allow_nan=False)


def test_the_same_list_and_seed_make_the_same_files_but_for_the_runs_name(tmp_path):
    for name in ("a", "b"):
        save(quick(Corpus.of(MANY), "one-layer", seed=5), tmp_path / name)
    assert (tmp_path / "a/lines.gz").read_bytes() == (tmp_path / "b/lines.gz").read_bytes()
    told = [tomllib.loads((tmp_path / name / "run.toml").read_text()) for name in ("a", "b")]
    ids = {each["run"].pop("id") for each in told}
    assert len(ids) == 2 and told[0] == told[1]
    states = [load(tmp_path / name).model.state_dict() for name in ("a", "b")]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_a_training_is_written_down_as_it_goes(tmp_path):
    corpus = Corpus.of(MANY)
    recipe = make_recipe(corpus, "one-layer", steps=250)
    seen = []
    for event in record(events(corpus, recipe), corpus, recipe, tmp_path / "run"):
        seen.append(event)
        growing = tmp_path / "run" / STAGE
        kinds = [each["event"] for each in read_events(growing if growing.exists() else tmp_path / "run")]
        assert len(kinds) == len(seen)
    assert [type(event) for event in seen] == [Step, Step, Step, Evaluated, Saved, Finished]
    assert seen[-2].path == tmp_path / "run/checkpoint-250.safetensors"
    assert seen[-1].trained.run == str(tmp_path / "run")


# Without the list.


def test_without_the_list_copies_are_still_known_and_nothing_is_called_near(tmp_path):
    corpus = Corpus.of(MANY)
    save(quick(corpus, "bigram"), tmp_path / "run", keep_list=False)
    assert not (tmp_path / "run/lines.gz").exists()
    held = gzip.decompress((tmp_path / "run/hashes.gz").read_bytes())
    assert len(held) == 8 * len(set(MANY)) and not any(line.encode() in held for line in MANY if len(line) > 4)
    again = load(tmp_path / "run")
    found = sample(again, 300, seed=1)
    whole = sample(quick(corpus, "bigram"), 300, seed=1)
    assert [line.text for line in found.lines] == [line.text for line in whole.lines]
    assert [line.origin == "copy" for line in found.lines] == [line.text in MANY for line in found.lines]
    assert {line.origin for line in found.lines} == {"copy", "new"} and not any(line.near for line in found.lines)
    assert found.novelty.near_rate is None and found.novelty.held_out_near_rate is None
    assert found.novelty.rate == whole.novelty.rate
    assert describe(tmp_path / "run")["list"]["kept"] is False
    with pytest.raises(MoreishError, match="kept only hashes"):
        evaluate(again)
    with pytest.raises(RunError, match="Copy the run's directory"):
        save(again, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_model_that_holds_its_list_is_not_saved_as_if_it_did_not(tmp_path):
    trained = quick(Corpus.of(MANY), "mixture")
    with pytest.raises(UsageError, match="a mixture holds its list"):
        save(trained, tmp_path / "run", keep_list=False)
    assert not (tmp_path / "run").exists()


# Which checkpoint.


def with_a_second_checkpoint(run: Path) -> None:
    first = load_raw(run)
    meta = {key: value for key, value in first.meta.items() if key not in ("format", "step")}
    checkpoint.save(run, 2, meta, first.tensors)


def load_raw(run: Path) -> checkpoint.Checkpoint:
    return checkpoint.load(run, lambda _: shapes_of(run / checkpoint.newest(run)[0][1].name))


def shapes_of(path: Path):
    size = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(path.read_bytes()[8 : 8 + size])
    header.pop("__metadata__")
    return {name: (checkpoint.DTYPES[entry["dtype"]], tuple(entry["shape"])) for name, entry in header.items()}


def test_a_damaged_checkpoint_falls_back_and_says_so(run):
    with_a_second_checkpoint(run)
    assert describe(run)["step"] == 2
    path = run / "checkpoint-2.safetensors"
    data = bytearray(path.read_bytes())
    data[-20] ^= 4
    path.write_bytes(data)
    with pytest.warns(match=r"checkpoint-2\.safetensors.*Using checkpoint-1\.safetensors"):
        assert score(load(run), "ab")[0].nats > 0
    with pytest.warns(match=r"checkpoint-2\.safetensors"):
        shown = describe(run)
    assert shown["step"] == 1 and shown["checkpoints"] == ["checkpoint-2.safetensors", "checkpoint-1.safetensors"]
    (run / "checkpoint-1.safetensors").unlink()
    with pytest.raises(MoreishError, match="does not match its sha256"):
        load(run)


def test_a_checkpoint_of_another_run_is_refused(run, tmp_path):
    save(quick(Corpus.of(MANY), "bigram"), tmp_path / "other")
    shutil.copy(tmp_path / "other/checkpoint-1.safetensors", run)
    with pytest.raises(MoreishError, match="put in another's place"):
        load(run)


# What is taken, forbidden or gone.


def test_an_existing_run_is_refused_without_overwrite(run):
    before = files(run)
    with pytest.raises(RunExists, match="--overwrite"):
        save(quick(Corpus.of(MANY), "unigram"), run)
    assert files(run) == before
    save(quick(Corpus.of(MANY), "unigram"), run, overwrite=True, keep_list=False)
    assert load(run).recipe.model == "unigram" and len(read_events(run)) == 2
    assert sorted(files(run)) == ["checkpoint-1.safetensors", "events.jsonl", "hashes.gz", "run.toml"]


def files(where: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in where.rglob("*") if path.is_file() and path.name[:5] != ".lock"}


def fails_late(corpus: Corpus, recipe):
    yield Step(100, 1.0)
    raise MoreishError("step 150: the loss is inf")


def test_a_training_that_fails_harms_no_older_run(run):
    before = files(run)
    corpus = Corpus.of(MANY)
    recipe = make_recipe(corpus, "one-layer")
    with pytest.raises(MoreishError, match="step 150"):
        list(record(fails_late(corpus, recipe), corpus, recipe, run, overwrite=True))
    assert files(run) == before
    stopped = record(events(corpus, recipe), corpus, recipe, run, overwrite=True)
    next(stopped)
    stopped.close()  # as Ctrl-C does
    assert files(run) == before and load(run).recipe.model == "bigram"


def test_a_disk_that_fails_while_a_run_is_replaced_loses_neither_run(made, tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "disk", counting := Failing())
    shutil.copytree(made, tmp_path / "run")
    new = quick(Corpus.of(MANY), "unigram")
    save(new, tmp_path / "run", overwrite=True)
    kept = {"old": 0, "new": 0}
    for at in range(len(counting.done)):
        where = tmp_path / f"run-{at}"
        shutil.copytree(made, where)
        monkeypatch.setattr(storage, "disk", Failing(at, "ENOSPC", forever=True))
        try:
            save(new, where, overwrite=True)
            failed = False
        except StorageError as error:
            failed = True
            assert "\n" not in str(error)
        monkeypatch.setattr(storage, "disk", Failing())
        model = load(where).recipe.model
        kept["old" if model == "bigram" else "new"] += 1
        assert failed or model == "unigram"
        assert not (where / READY).exists()
    assert kept["old"] > 10 and kept["new"] > 0, kept


def test_a_full_disk_is_said_and_leaves_no_run_that_looks_whole(tmp_path, monkeypatch):
    for room in range(0, 4000, 250):
        monkeypatch.setattr(storage, "disk", Full(room))
        where = tmp_path / f"run-{room}"
        with pytest.raises(StorageError, match="no space left"):
            save(quick(Corpus.of(MANY), "bigram"), where)
        monkeypatch.setattr(storage, "disk", storage.Disk())
        with pytest.raises(MoreishError):
            load(where)
        assert not [name for name in files(where) if name.startswith(".moreish-")]


def test_one_writer_at_a_time(run):
    with storage.lock(run):
        with pytest.raises(RunLocked, match=str(os.getpid())):
            save(quick(Corpus.of(MANY), "bigram"), run, overwrite=True)
        with pytest.raises(RunLocked):
            record_look(run, "test")
        with pytest.raises(RunLocked):
            remove(run)
        assert load(run).recipe.model == "bigram"  # reading needs no lock


def a_file(where: Path) -> Path:
    where.write_text("mine")
    return where


def other_things(where: Path) -> Path:
    where.mkdir()
    (where / "thesis.tex").write_text("years of work")
    return where


def a_link_to_nothing(where: Path) -> Path:
    where.symlink_to("nowhere")
    return where


def under_a_file(where: Path) -> Path:
    where.write_text("mine")
    return where / "run"


def too_long(where: Path) -> Path:
    return where / ("x" * 300)


PLACES = {
    "a file": (a_file, "is a file"),
    "a directory of other things": (other_things, "holds no run"),
    "a link to nothing": (a_link_to_nothing, "is a file"),
    "a place under a file": (under_a_file, "not a directory"),
    "too long a name": (too_long, "name too long"),
}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_place_for_a_run_is_refused_and_left_alone(place, overwrite, tmp_path):
    make, said = PLACES[place]
    where = make(tmp_path / "there")
    before = files(tmp_path)
    with pytest.raises(MoreishError, match=said):
        save(quick(Corpus.of(MANY), "bigram"), where, overwrite=overwrite)
    with pytest.raises(MoreishError):
        load(where)
    assert files(tmp_path) == before


@pytest.fixture
def open_path():
    """A directory that any user may enter, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as path:
        Path(path).chmod(0o755)
        yield Path(path)


def test_permissions_are_one_line(open_path, made):
    tmp_path = open_path
    trained = quick(Corpus.of(MANY), "bigram")
    shutil.copytree(made, tmp_path / "run")
    (tmp_path / "closed").mkdir()
    shutil.copytree(made, tmp_path / "closed/run")
    for path in (tmp_path / "run").iterdir():
        path.chmod(0o644)
    (tmp_path / "run").chmod(0o555)
    (tmp_path / "closed").chmod(0o000)
    try:
        with unprivileged():
            assert load(tmp_path / "run").recipe.model == "bigram"
            for action in (
                lambda: save(trained, tmp_path / "run", overwrite=True),
                lambda: save(trained, tmp_path / "closed/run"),
                lambda: save(trained, tmp_path / "closed/new"),
                lambda: load(tmp_path / "closed/run"),
                lambda: load(tmp_path / "closed"),
                lambda: check_free(tmp_path / "closed", True),
                lambda: free_directory("x", "bigram", under=tmp_path / "closed"),
                lambda: record_look(tmp_path / "run", "test"),
                lambda: remove(tmp_path / "run"),
                lambda: describe(tmp_path / "closed/run"),
            ):
                with pytest.raises(MoreishError, match=r"permission denied") as caught:
                    action()
                assert "\n" not in str(caught.value)
    finally:
        (tmp_path / "closed").chmod(0o755)
        (tmp_path / "run").chmod(0o755)
    assert load(tmp_path / "run").recipe.model == "bigram" and count_looks(tmp_path / "run") == 0


def test_a_run_directory_that_vanishes_is_said(tmp_path):
    corpus = Corpus.of(MANY)
    recipe = make_recipe(corpus, "one-layer", steps=300)
    going = record(events(corpus, recipe), corpus, recipe, tmp_path / "run")
    next(going)
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(StorageError, match="no such file or directory"):
        list(going)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("name", "stem"), [
    ("names.txt", "names"), ("names", "names"), ("/a/b/My List (2).csv", "My-List-2"), ("..", "list"), ("", "list"),
    ("a/../../etc/passwd", "passwd"), ("東京.txt", "東京"), ("\\x1b[31m.txt", "x1b-31m"), ("--run", "run"),
    ("standard input", "standard-input"), (".hidden", "hidden"), ("🙂", "list"), ("a\nb", "a-b"),
])  # fmt: skip
def test_the_default_directory_has_a_tame_name_and_is_free(name, stem, tmp_path):
    assert free_directory(name, "bigram", tmp_path) == tmp_path / f"{stem}-bigram-1"
    (tmp_path / f"{stem}-bigram-1").mkdir()
    (tmp_path / f"{stem}-bigram-2").symlink_to("nowhere")
    assert free_directory(name, "bigram", tmp_path) == tmp_path / f"{stem}-bigram-3"


def test_where_there_is_no_run_it_is_said_which_there_are(run, tmp_path):
    with pytest.raises(RunError, match=r"there is no run directory .*rum\. There are: .*/run\."):
        load(tmp_path / "rum")
    with pytest.raises(RunError, match=r"Make one with moreish train"):
        load(tmp_path / "no/where")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match=r"holds no run\.toml"):
        load(tmp_path / "empty")
    evil = tmp_path / "\x1b[2J\nevil"
    shutil.copytree(run, evil)
    with pytest.raises(RunError) as caught:
        load(tmp_path / "rum")
    assert str(caught.value).isprintable()


# Looks at test.


def test_looks_at_test_are_counted(run):
    assert [count_looks(run), record_look(run, "test"), record_look(run, "test"), count_looks(run)] == [0, 1, 2, 2]
    with (run / "events.jsonl").open("ab") as file:
        file.write(b'{"event": "looked", "par')  # torn: the next line takes its place
    assert count_looks(run) == 2 and record_look(run, "test") == 3


def test_removing_a_run_leaves_what_is_not_its_own(run):
    (run / "notes.txt").write_text("mine")
    shutil.copytree(run, run / STAGE)
    remove(run)
    assert [path.name for path in run.iterdir()] == ["notes.txt"]
    (run / "notes.txt").unlink()
    save(quick(Corpus.of(MANY), "bigram"), run)
    remove(run)
    assert not run.exists()
