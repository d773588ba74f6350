"""Writing a training down as it goes, and going on with one that was cut off.

A run grows in a directory within its own and takes its place, by one renaming, at its first checkpoint: until then an
older run stands as it was, and where there was none nothing looks like one. A training that was killed before that
checkpoint starts over when it is resumed; after it, it goes on.
"""

from __future__ import annotations

import json
import secrets
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from moreish.errors import ResumeWarning, RunError, UsageError
from moreish.learning.fit import Checkpointed, Evaluated, Event, Finished, Step, Watched, events
from moreish.learning.recipe import Recipe, Trained
from moreish.models.blend import Blend
from moreish.models.catalog import find_model
from moreish.runs import checkpoint
from moreish.runs.checkpoint import Saved
from moreish.runs.directory import corpus_of, has_finished, read_events, read_run
from moreish.runs.kept import write_kept
from moreish.runs.place import EVENTS_FILE, READY, RUN_FILE, STAGE, VITALS_FILE, check_free, clear, discard, finish
from moreish.runs.record import ListRecord, MachineSection, RunRecord
from moreish.runs.tensors import expected, read_model, read_training, save_model
from moreish.runs.vitals import line_of, rewind_vitals
from moreish.storage import append_line, exists, lock, make_directory, move_file, write_file
from moreish.text.alphabet import printable
from moreish.text.corpus import Corpus

MOST_NAME = 4096


def record(
    events: Iterable[Event], corpus: Corpus, recipe: Recipe, directory: str | Path, *, keep_list: bool = True,
    overwrite: bool = False, device: str = "cpu",
) -> Iterator[Event | Saved]:  # fmt: skip
    """Write a training down as it goes, and hand its events on, with a Saved after each checkpoint.

    Nothing is made before the first event has come. A training that fails or is stopped before its first checkpoint
    leaves an older run as it was, and nothing that looks like a run where there was none.

    Raises:
        RunExists, RunLocked, RunError, StorageError
        UsageError: the list is not to be kept, but the model holds it.
    """
    where = Path(directory)
    check_free(where, overwrite)
    if not keep_list and find_model(recipe.model).model.holds_list:
        raise UsageError(
            f"a {recipe.model} holds its list: whoever has the run can read the lines out of its tables, so they "
            f"cannot be left out. Keep the list, or train another model."
        )
    coming = iter(events)
    first = next(coming)
    make_directory(where)
    with lock(where):
        finish(where)
        check_free(where, overwrite)
        stage = where / STAGE
        run = _describe(corpus, recipe, keep_list, device)
        make_directory(stage)
        clear(stage)
        writer = _Writer(where, stage, run.id)
        try:
            listed = write_kept(stage, corpus, keep_list)
            write_file(stage / RUN_FILE, run.to_toml(listed).encode())
            yield from writer.write(chain([first], coming))
        finally:
            if writer.here == stage:  # it failed, or was stopped
                discard(stage)


def resume(directory: str | Path, device: str | None = None) -> Iterator[Event | Saved]:
    """Go on with a training that was cut off, from its newest checkpoint, or from the start where it has none.

    Of a run whose training is over, nothing: there is nothing left to do.

    Raises:
        RunError: there is no run, or it kept no list to go on with.
        RunLocked: it is still at work.
        CheckpointError, StorageError
    """
    where = Path(directory)
    if not exists(where):
        read_run(where)  # says so
    with lock(where):
        finish(where)
        here = where / STAGE if exists(where / STAGE / RUN_FILE) else where
        run = read_run(here)
        if here == where and (has_finished(where) or run.recipe.method != "minibatches"):
            return
        corpus, hashes = corpus_of(here, run)
        if hashes is not None:
            raise RunError(f"{printable(str(where))} kept only hashes of its list, so it cannot go on. Train again.")
        machine = run.machine or MachineSection.here("cpu")
        device = device or machine.device
        resumed, step = None, 0
        if checkpoint.newest(here):
            stored = checkpoint.load(here, expected, run=run.id)
            corpus = replace(corpus, alphabet=read_model(stored)[1])
            resumed, step = read_training(stored), stored.step
            if resumed is None:  # cut off between its last checkpoint and the word that it was
                append_line(here / EVENTS_FILE, json.dumps({"event": "finished", "step": step}))
                return
        _rewind(here, step)
        _as_before(machine, device)
        told = events(corpus, Recipe(**run.recipe.model_dump()), device, resumed)
        yield from _Writer(where, here, run.id).write(told)


def save(trained: Trained, directory: str | Path, *, keep_list: bool = True, overwrite: bool = False) -> Trained:
    """Save a trained model as a run directory.

    Raises:
        UsageError: it is a blend, which is made anew from its two runs.
        RunError: it came from a run that kept no list, so there is none to go with it.
        RunExists: there is one already and `overwrite` is off.
        RunLocked: another process writes to it.
        StorageError: the disk refused; nothing that stood before is lost.
    """
    if isinstance(trained.model, Blend):
        raise UsageError("a blend is no run of its own. Save the two models that it is of, and blend them again.")
    if trained.hashes is not None:
        raise RunError(
            f"{trained.corpus.name} is known by its hashes only, so it cannot be saved with the model. "
            f"Copy the run's directory instead."
        )
    events = [Finished(trained.recipe.steps, trained)]
    for event in record(events, trained.corpus, trained.recipe, directory, keep_list=keep_list, overwrite=overwrite):
        if isinstance(event, Finished):
            return event.trained
    raise AssertionError("a recording ended without its last event")


class _Writer:
    """Writes events down in `here`, which becomes `where` at the first checkpoint."""

    def __init__(self, where: Path, here: Path, run: str):
        self.where, self.here, self.run = where, here, run

    def write(self, events: Iterable[Event]) -> Iterator[Event | Saved]:
        for event in events:
            match event:
                case Checkpointed():
                    yield self.saved(event)
                case Finished():
                    yield self.saved(event)
                    self.tell(event)
                    event = replace(event, trained=event.trained.with_run(str(self.where)))
                case Watched():
                    append_line(self.here / VITALS_FILE, line_of(event.vitals))
                case _:
                    self.tell(event)
            yield event

    def tell(self, event: Event) -> None:
        append_line(self.here / EVENTS_FILE, json.dumps(_as_json(event), allow_nan=False))

    def saved(self, event: Checkpointed | Finished) -> Saved:
        finished = isinstance(event, Finished)
        saved = save_model(self.here, self.run, event.step, event.trained, event.training, finished=finished)
        told = {"event": "saved", "step": saved.step, "sha256": saved.sha256}
        append_line(self.here / EVENTS_FILE, json.dumps(told))
        if self.here != self.where:
            move_file(self.here, self.where / READY)  # from here on the new run is the run
            self.here = self.where
            finish(self.where)
        return replace(saved, path=self.where / saved.path.name)


def _rewind(here: Path, step: int) -> None:
    """Drop what was told after a step: it will be told again."""
    rewind_vitals(here, step)
    path = here / EVENTS_FILE
    if exists(path):
        kept = [
            event for event in read_events(here) if event.get("step", 0) <= step and event.get("event") != "finished"
        ]
        write_file(path, "".join(json.dumps(event, allow_nan=False) + "\n" for event in kept).encode())


def _as_before(machine: MachineSection, device: str) -> None:
    """Set what can be set as it was, and say what differs: the same steps may then not give the same bits."""
    torch.set_num_threads(machine.threads)
    here = MachineSection.here(device)
    others = [name for name in MachineSection.model_fields if getattr(here, name) != getattr(machine, name)]
    if others:
        now = ", ".join(f"{name} {getattr(here, name)}, not {getattr(machine, name)}" for name in others)
        warnings.warn(
            f"this machine is not the one that the run began on ({now}): last digits may differ.", ResumeWarning, 3
        )


def _describe(corpus: Corpus, recipe: Recipe, keep_list: bool, device: str) -> RunRecord:
    unique = len(corpus.train) + len(corpus.dev) + len(corpus.test)
    return RunRecord.new(
        id=secrets.token_hex(8),
        version=version("moreish"),
        recipe=recipe,
        listed=ListRecord(
            name=printable(corpus.name)[:MOST_NAME],
            lines=unique,
            train=len(corpus.train),
            dev=len(corpus.dev),
            test=len(corpus.test),
            kfold=corpus.kfold,
            fingerprint=corpus.fingerprint,
            longest=corpus.longest,
            kept=keep_list,
            bytes=0,
            sha256="",
        ),
        alphabet=corpus.alphabet,
        device=device,
    )


def _as_json(event: Event) -> dict[str, Any]:
    if isinstance(event, Step):
        return {"event": "step", "step": event.step, "loss": event.loss}
    if isinstance(event, Evaluated):
        return {"event": "evaluated", "step": event.step, **event.evaluation.to_dict()}
    return {"event": "finished", "step": event.step}
