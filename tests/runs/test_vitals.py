"""vitals.jsonl: what a run keeps of its network's vitals, read back; damaged files, and runs that have none."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from moreish.errors import MoreishError, RunError, StorageError, UsageError
from moreish.learning.fit import Finished, Watched, events, fit, make_recipe
from moreish.learning.recipe import learning_keys
from moreish.runs.directory import describe, load, remove
from moreish.runs.place import EVENTS_FILE, VITALS_FILE
from moreish.runs.recording import record, save
from moreish.runs.vitals import line_of, rewind_vitals, vitals
from moreish.text.corpus import Corpus
from quick import SMALL

chooser = random.Random(6)
LINES = ["".join(chooser.choices("abcde", k=chooser.randint(2, 6))) for _ in range(300)]
READ = [1, 3, 6, 7]


@pytest.fixture(scope="module")
def corpus():
    return Corpus.of(LINES)


def learn(corpus: Corpus, where: Path, model: str = "mlp", **asked):
    how = {"steps": 7, "batch": 16, "watch_every": 3, **SMALL[model], **asked}
    recipe = make_recipe(corpus, model, **how)
    return list(record(events(corpus, recipe), corpus, recipe, where))


@pytest.fixture(scope="module")
def made(corpus, tmp_path_factory):
    """A run of a network with BatchNorm, and what was told while it learnt."""
    where = tmp_path_factory.mktemp("made") / "run"
    return where, learn(corpus, where, "mlp-bn")


@pytest.fixture
def run(made, tmp_path) -> Path:
    shutil.copytree(made[0], tmp_path / "run")
    return tmp_path / "run"


def rounded(value):
    """As numbers are kept."""
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def test_what_was_told_is_read_back_to_five_digits(made):
    where, told = made
    found = vitals(where)
    wanted = [event.vitals for event in told if isinstance(event, Watched)]
    assert [one.step for one in found.readings] == [one.step for one in wanted] == READ
    assert [one.to_dict() for one in found.readings] == [rounded(one.to_dict()) for one in wanted]
    assert found.readings[0].norms and found.readings[0].sites[0].gradient.histogram
    assert [step for step, _ in found.losses] == [1, 7]
    assert found.losses[0][1] == pytest.approx(found.readings[0].loss, rel=1e-4)
    assert found.at() is found.readings[-1] and found.at(3).step == 3
    assert found.recipe == load(where).recipe and found.recipe.watch_every == 3


def test_watching_changes_nothing_that_is_kept_but_its_own_file(corpus, tmp_path):
    for name, every in (("seen", 1), ("unseen", 0)):
        learn(corpus, tmp_path / name, watch_every=every)
    one, other = (describe(tmp_path / name) for name in ("seen", "unseen"))
    assert one["weights_sha256"] == other["weights_sha256"] and one["evaluation"] == other["evaluation"]
    one, other = ((tmp_path / name / EVENTS_FILE).read_text().splitlines() for name in ("seen", "unseen"))
    assert [line for line in one if "saved" not in line] == [line for line in other if "saved" not in line]
    assert not (tmp_path / "unseen" / VITALS_FILE).exists()


def test_a_run_that_is_overwritten_or_removed_keeps_no_older_vitals(corpus, run):
    recipe = make_recipe(corpus, "mlp", steps=2, batch=16, watch_every=0, **SMALL["mlp"])
    list(record(events(corpus, recipe), corpus, recipe, run, overwrite=True))
    assert not (run / VITALS_FILE).exists()
    learn(corpus, run.with_name("other"))
    remove(run.with_name("other"))
    assert not run.with_name("other").exists()


@pytest.mark.parametrize("step, said", [(2, "at steps such as 1, 3 and 6"), (100, "at steps such as 3, 6 and 7")])
def test_a_step_that_was_not_read_is_refused_with_those_near(made, step, said):
    with pytest.raises(UsageError, match=said):
        vitals(made[0]).at(step)


@pytest.mark.parametrize(
    "count, said", [(1, "is one reading, at step 1;"), (3, "are 3 readings, at steps 1, 3 and 6;")]
)
def test_where_all_readings_are_named_they_are_not_such_as(made, count, said):
    found = vitals(made[0])
    with pytest.raises(UsageError, match=said):
        replace(found, readings=found.readings[:count]).at(2)


def test_a_torn_line_is_passed_over_and_the_next_reading_takes_its_place(run):
    path = run / VITALS_FILE
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    found = vitals(run)
    assert [one.step for one in found.readings] == READ[:-1]
    assert found.torn and "last line is no whole reading" in found.torn_said and "of step 6" in found.torn_said
    rewind_vitals(run, 3)
    assert [one.step for one in vitals(run).readings] == [1, 3]
    assert whole.startswith(path.read_bytes())
    assert not vitals(run).torn and vitals(run).torn_said == ""


@pytest.mark.parametrize("size, said", [(0, "vitals.jsonl is empty"), (100, "cut short: it holds no whole reading")])
def test_a_file_without_a_whole_reading_says_so(run, size, said):
    path = run / VITALS_FILE
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(RunError, match=said) as caught:
        vitals(run)
    assert "no step yet" not in str(caught.value)


def put(run: Path, change) -> None:
    path = run / VITALS_FILE
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    change(lines[1]["vitals"])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


DAMAGES = {
    "a word for a number": lambda v: v.__setitem__(1, "low"),
    "a truth for a number": lambda v: v.__setitem__(1, True),
    "not a number": lambda v: v.__setitem__(1, float("nan")),
    "half a step": lambda v: v.__setitem__(0, 1.5),
    "too few fields": lambda v: v.__delitem__(slice(3, None)),
    "no list of sites": lambda v: v.__setitem__(3, {"a": 1}),
    "a site that is none": lambda v: v[3].__setitem__(0, 7),
    "a site of two fields": lambda v: v[3].__setitem__(0, ["tanh", "tanh"]),
    "a histogram of words": lambda v: v[3][0][3].__setitem__(2, [0, 1, ["a"]]),
    "a shape of words": lambda v: v[4][0].__setitem__(1, ["\x1b[31m"]),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_line_is_refused_in_one_line(run, damage):
    put(run, DAMAGES[damage])
    with pytest.raises(RunError, match=r"vitals\.jsonl, line 2, is no reading of ours") as caught:
        vitals(run)
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)
    assert load(run).model is not None  # the run itself is whole


@pytest.mark.parametrize("text", ['{"step": 1}\n', '{"step": 1, "vitals": null}\n', "{}\n"])
def test_a_line_of_something_else_is_refused(run, text):
    (run / VITALS_FILE).write_text(text)
    with pytest.raises(RunError, match="line 1"):
        vitals(run)


def test_a_file_that_is_no_journal_is_refused(run):
    (run / VITALS_FILE).write_bytes(b"\xff\xfe\n" + (run / VITALS_FILE).read_bytes())
    with pytest.raises(StorageError, match="line 1"):
        vitals(run)


def test_fields_of_a_later_version_are_passed_over(run):
    put(run, lambda v: v.extend(["more", {"and": "more"}]))
    assert [one.step for one in vitals(run).readings] == READ


def test_a_run_without_vitals_says_why(corpus, tmp_path):
    learn(corpus, tmp_path / "unwatched", watch_every=0)
    save(fit(corpus, "bigram"), tmp_path / "counted")
    save(fit(corpus, "one-layer", steps=2), tmp_path / "descended")
    trained = fit(corpus, "one-layer", steps=2)
    save(replace(trained, recipe=replace(trained.recipe, method="imported")), tmp_path / "imported")
    learn(corpus, tmp_path / "lost")
    (tmp_path / "lost" / VITALS_FILE).unlink()
    for name, said in {
        "unwatched": "was not watched", "counted": "fitted by counting", "descended": "whole list at once",
        "imported": "imported", "lost": "holds no vitals.jsonl", "missing": "no run directory",
    }.items():  # fmt: skip
        with pytest.raises(MoreishError, match=said) as caught:
            vitals(tmp_path / name)
        assert caught.value.exit_code == 1 and "\n" not in str(caught.value)


def test_a_run_of_an_older_version_says_so_and_loads(run):
    text = (run / "run.toml").read_text()
    assert "watch_every = 3\n" in text and "watch_every" in learning_keys()
    (run / "run.toml").write_text(text.replace("watch_every = 3\n", ""))
    (run / VITALS_FILE).unlink()
    assert load(run).recipe.watch_every == 0
    with pytest.raises(RunError, match="was not watched"):
        vitals(run)


def test_a_hundred_readings_of_a_transformer_are_a_few_megabytes(corpus):
    recipe = make_recipe(corpus, "transformer", steps=1, batch=128)
    (one,) = [event.vitals for event in events(corpus, recipe) if isinstance(event, Watched)]
    assert len(one.sites) == 35 and len(line_of(one)) < 30_000


def test_the_noise_is_taken_from_the_latest_readings(corpus, tmp_path):
    *_, last = learn(corpus, tmp_path / "run", steps=24, watch_every=1)
    assert isinstance(last, Finished)
    found = vitals(tmp_path / "run")
    assert found.noise().readings == 10 and found.noise(24) == found.noise()
    assert found.noise(7).readings == 4  # 4 to 7
    assert found.noise(1).readings == 1
    assert found.noise().batch == 16
