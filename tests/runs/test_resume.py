"""Going on: a training killed anywhere ends with the same bits as one that was left alone."""

from __future__ import annotations

import os
import random
import shutil
import signal
import tomllib
import warnings
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from failing_disk import Failing

from moreish import storage
from moreish.errors import MoreishError, ResumeWarning, RunError, RunLocked
from moreish.learning.fit import Checkpointed, Evaluated, Finished, events, make_recipe
from moreish.runs import checkpoint
from moreish.runs.checkpoint import Saved
from moreish.runs.directory import describe, has_finished, load, read_events
from moreish.runs.place import READY, STAGE, VITALS_FILE
from moreish.runs.recording import record, resume, save
from moreish.runs.tensors import expected
from moreish.text.corpus import Corpus
from quick import NETWORKS, SMALL, checked_before

KILLS = 200
STEPS = 7
chooser = random.Random(5)
LINES = ["".join(chooser.choices("abcde", [8, 5, 3, 2, 1], k=chooser.randint(2, 7))) for _ in range(700)]
HOW = {
    "mlp": {"optimizer": "muon", "use": "best", "average": 0.9},
    "mlp-bn": {"optimizer": "sgd", "momentum": 0.9, "batch_of": "windows", "average": 0.0},
    "one-layer": {"batch": 16, "schedule": "linear"},
}


def recipe_of(name: str, corpus: Corpus, **asked):
    how = {
        "batch": 32,
        "steps": STEPS,
        "lr": 0.01,
        "evaluate_every": 3,
        "checkpoint_every": 2,
        "watch_every": 3,
        **HOW.get(name, {}),
    }
    return make_recipe(corpus, name, **{**how, **SMALL.get(name, {}), **asked})


@pytest.fixture(scope="module")
def corpus():
    return Corpus.of(LINES)


def outcome(where: Path) -> tuple:
    """All that a training leaves: weights, average and best, metrics, every step that was told."""
    found = describe(where)
    told = [event for event in read_events(where) if event["event"] != "saved"]
    told += storage.read_journal(where / VITALS_FILE)[0]
    stored = checkpoint.load(where, expected)
    return found["weights_sha256"], stored.step, {n: t.clone() for n, t in stored.tensors.items()}, told


def same(one: tuple, other: tuple) -> bool:
    tensors = one[2].keys() == other[2].keys() and all(torch.equal(t, other[2][n]) for n, t in one[2].items())
    return tensors and one[0] == other[0] and one[1] == other[1] and one[3] == other[3]


class Deadly(Failing):
    """A disk at whose operation number `deadly_at` the process is killed."""

    def __init__(self, deadly_at: int):
        super().__init__()
        self.deadly_at = deadly_at

    def operate(self, name: str, *args):
        if len(self.done) == self.deadly_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().operate(name, *args)


def killed(work, at_event: int | None = None, at_operation: int | None = None) -> bool:
    """Run a training in a child of this warm process and kill it there; whether it was killed before its end."""
    child = os.fork()
    if child == 0:
        try:
            if at_operation is not None:
                storage.disk = Deadly(at_operation)
            for i, _ in enumerate(work()):
                if i == at_event:
                    os.kill(os.getpid(), signal.SIGKILL)
            os._exit(0)
        except BaseException:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the training failed by itself"
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_training_killed_anywhere_goes_on_to_the_same_bits(name, corpus, tmp_path):
    recipe = recipe_of(name, corpus)
    for _ in record(events(corpus, recipe), corpus, recipe, tmp_path / "whole"):
        pass
    whole = outcome(tmp_path / "whole")
    assert whole[1] == STEPS
    draw = random.Random(name)
    kills = 0
    wanted = -(-KILLS // len(NETWORKS))
    while kills < wanted:
        with nullcontext() if kills < 3 else checked_before():  # at an operation, and at an event
            kills += killed_and_gone_on_with(tmp_path / "run", corpus, recipe, draw, kills, whole)


def killed_and_gone_on_with(where: Path, corpus, recipe, draw: random.Random, kills: int, whole: tuple) -> int:
    """Kill one training, perhaps again while it goes on, and let it end; returns how often it was killed."""
    shutil.rmtree(where, ignore_errors=True)
    how = {"at_event": draw.randrange(12)} if kills % 2 else {"at_operation": draw.randrange(70)}
    more = killed(lambda: record(events(corpus, recipe), corpus, recipe, where), **how)
    while draw.random() < 0.3 and (where / "run.toml").exists():
        more += killed(lambda: resume(where), at_event=draw.randrange(6))
    if not any((place / "run.toml").exists() for place in (where, where / STAGE, where / READY)):
        with pytest.raises(RunError):  # before it was written down there is nothing to go on with
            list(resume(where))
        return more
    for _ in resume(where):
        pass
    assert same(outcome(where), whole), f"{recipe.model}: killed {kills + more} times"
    return more


def cut_off(corpus: Corpus, where: Path, name: str = "mlp", after=Saved, **asked):
    """A training stopped at its first event of a kind."""
    recipe = recipe_of(name, corpus, **asked)
    told = record(events(corpus, recipe), corpus, recipe, where)
    for event in told:
        if isinstance(event, after):
            break
    told.close()


def test_a_finished_run_is_left_as_it_is(corpus, tmp_path):
    recipe = recipe_of("mlp", corpus)
    list(record(events(corpus, recipe), corpus, recipe, tmp_path / "run"))
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    assert list(resume(tmp_path / "run")) == []
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
    assert has_finished(tmp_path / "run")


def test_a_counted_run_has_nothing_to_go_on_with(corpus, tmp_path):
    from moreish.learning.fit import fit

    save(fit(corpus, "bigram"), tmp_path / "run")
    assert list(resume(tmp_path / "run")) == []


def test_a_run_that_was_stopped_can_be_used_and_says_that_it_is_not_finished(corpus, tmp_path):
    cut_off(corpus, tmp_path / "run")
    found = describe(tmp_path / "run")
    assert found["step"] == 2 and not found["finished"]
    assert load(tmp_path / "run").model is not None
    kinds = [type(event) for event in resume(tmp_path / "run")]
    assert kinds[-2:] == [Saved, Finished] and Evaluated in kinds and Checkpointed in kinds
    assert describe(tmp_path / "run")["finished"] and describe(tmp_path / "run")["step"] == STEPS


def test_two_at_once_are_refused(corpus, tmp_path):
    cut_off(corpus, tmp_path / "run")
    with storage.lock(tmp_path / "run"), pytest.raises(RunLocked):
        next(resume(tmp_path / "run"))


def test_without_its_list_a_training_cannot_go_on(corpus, tmp_path):
    recipe = recipe_of("mlp", corpus)
    told = record(events(corpus, recipe), corpus, recipe, tmp_path / "run", keep_list=False)
    next(event for event in told if isinstance(event, Saved))
    told.close()
    with pytest.raises(RunError, match="kept only hashes"):
        next(resume(tmp_path / "run"))


def test_another_machine_is_named(corpus, tmp_path):
    cut_off(corpus, tmp_path / "run")
    path = tmp_path / "run/run.toml"
    told = tomllib.loads(path.read_text())
    path.write_text(path.read_text().replace(told["machine"]["torch"], "2.0.0"))
    with pytest.warns(ResumeWarning, match="torch .*, not 2.0.0"):
        list(resume(tmp_path / "run"))


def test_a_run_of_this_machine_goes_on_without_a_word(corpus, tmp_path):
    cut_off(corpus, tmp_path / "run")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(resume(tmp_path / "run"))


def test_a_replaced_run_stands_until_the_new_ones_first_checkpoint(corpus, tmp_path):
    from moreish.learning.fit import fit

    where = tmp_path / "run"
    save(fit(corpus, "bigram"), where)
    recipe = recipe_of("mlp", corpus)
    told = record(events(corpus, recipe), corpus, recipe, where, overwrite=True)
    for event in told:
        assert load(where).recipe.model == ("mlp" if isinstance(event, Saved) else "bigram")
        if isinstance(event, Saved):
            break
    told.close()
    assert load(where).recipe.model == "mlp"


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(corpus, tmp_path):
    where = tmp_path / "run"
    recipe = recipe_of("mlp", corpus)
    list(record(events(corpus, recipe), corpus, recipe, tmp_path / "whole"))
    told = record(events(corpus, recipe), corpus, recipe, where)
    saved = [event for event in told if isinstance(event, Saved)][:1]
    shutil.rmtree(where)
    told = record(events(corpus, recipe), corpus, recipe, where)
    saved = []
    for event in told:
        saved += [event] * isinstance(event, Saved)
        if len(saved) == 2:
            break
    told.close()
    data = bytearray(saved[1].path.read_bytes())
    data[-1] ^= 1
    saved[1].path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        list(resume(where))
    assert same(outcome(where), outcome(tmp_path / "whole"))


def test_what_is_no_run_is_said(tmp_path):
    with pytest.raises(RunError, match="no run directory"):
        list(resume(tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError):
        list(resume(tmp_path / "empty"))


def test_a_list_without_a_dev_part_is_learnt_and_goes_on_too(tmp_path):
    corpus = Corpus.of(sorted(set(LINES))[:60])
    assert corpus.kfold
    recipe = recipe_of("mlp-bn", corpus)
    list(record(events(corpus, recipe), corpus, recipe, tmp_path / "whole"))
    cut_off(corpus, tmp_path / "run", "mlp-bn")
    list(resume(tmp_path / "run"))
    assert same(outcome(tmp_path / "run"), outcome(tmp_path / "whole"))
    assert load(tmp_path / "run").corpus.kfold


def test_a_training_that_breaks_keeps_its_last_checkpoint(corpus, tmp_path):
    recipe = recipe_of("mlp", corpus, average=0.0, use="last")

    def breaking():
        for event in events(corpus, recipe):
            if isinstance(event, Checkpointed) and event.step == 4:
                with torch.no_grad():
                    next(event.training.model.parameters()).fill_(float("inf"))
                continue
            yield event

    with pytest.raises(MoreishError, match=r"step 5: .* the weight embedding"):
        list(record(breaking(), corpus, recipe, tmp_path / "run"))
    assert describe(tmp_path / "run")["step"] == 2
    list(resume(tmp_path / "run"))
    assert describe(tmp_path / "run")["step"] == STEPS
