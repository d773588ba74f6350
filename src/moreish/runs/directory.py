"""A run directory: self-describing, and enough by itself.

run.toml                       what was asked, of which list, split how (text, to be read)
checkpoint-<step>.safetensors  the model and its alphabet; each one whole file, the two newest kept
lines.gz                       the run's lines with their split: train, then dev, then test
hashes.gz                      instead of lines.gz where the list was not to be kept
events.jsonl                   what happened, one JSON object a line, looks at the test part among them
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

from moreish.errors import CheckpointError, ConfigError, MoreishError, RunError, RunExists
from moreish.learning.fit import Evaluated, Event, Finished, Step
from moreish.learning.recipe import Recipe, Trained
from moreish.models.catalog import find_model
from moreish.models.model import config_to_dict, place
from moreish.runs import checkpoint
from moreish.runs.checkpoint import Saved
from moreish.runs.kept import read_kept, write_kept
from moreish.runs.record import ListRecord, RunRecord, parse_evaluation, parse_run
from moreish.runs.tensors import expected, read_model, save_model
from moreish.storage import (
    LOCK,
    OWNER,
    append_line,
    exists,
    lock,
    make_directory,
    move_file,
    names,
    read_file,
    read_journal,
    remove_file,
    write_file,
)
from moreish.text.alphabet import printable
from moreish.text.corpus import Corpus

RUN_FILE, EVENTS_FILE = "run.toml", "events.jsonl"
STAGE, READY = ".growing", ".ready"
"""Within a run directory: where a run grows, and what that is called when it is whole, until its files are in place."""
OURS = re.compile(r"(run\.toml|lines\.gz|hashes\.gz|events\.jsonl|checkpoint-\d+\.safetensors)", re.ASCII)
RUNS = Path("runs")
MOST_RUN_FILE_BYTES = 1 << 20
MOST_NAME = 4096


def free_directory(list_name: str, model: str, under: Path = RUNS) -> Path:
    """`runs/<list>-<model>-N`, N the first that is free."""
    stem = re.sub(r"[^\w.-]+", "-", Path(list_name).stem).strip("-.") or "list"
    n = 1
    while exists(under / f"{stem}-{model}-{n}"):
        n += 1
    return under / f"{stem}-{model}-{n}"


def check_free(directory: Path, overwrite: bool) -> None:
    """Refuse a directory that holds something.

    Raises:
        RunExists: it holds a run and `overwrite` is off.
        RunError: it is no directory, or holds something that is not a run.
    """
    if not exists(directory):
        return
    shown = printable(str(directory))
    if not os.path.isdir(directory):  # noqa: PTH112 - Path.is_dir raises where a link leads to a forbidden place
        raise RunError(f"{shown} is a file, not a directory for a run. Give another --run.")
    held = names(directory)
    if RUN_FILE in held and not overwrite:
        raise RunExists(
            f"{shown} holds a run already. Give another --run, or --overwrite (overwrite=True) to replace it."
        )
    if RUN_FILE not in held and any(not name.startswith(".") for name in held):
        raise RunError(f"{shown} is not empty and holds no run, so nothing is written there. Give another --run.")


def record(
    events: Iterable[Event], corpus: Corpus, recipe: Recipe, directory: str | Path, *, keep_list: bool = True,
    overwrite: bool = False,
) -> Iterator[Event | Saved]:  # fmt: skip
    """Write a training down as it goes, and hand its events on, with a Saved after each checkpoint.

    Nothing is made before the first event has come. A run grows in a directory within its own and takes its place at
    once, by one renaming, when its checkpoint is on the disk: a training that fails or is killed leaves an older run
    as it was, and nothing that looks like a run where there was none.

    Raises:
        RunExists, RunLocked, RunError, StorageError
    """
    where = Path(directory)
    check_free(where, overwrite)
    coming = iter(events)
    first = next(coming)
    make_directory(where)
    with lock(where):
        _finish(where)
        check_free(where, overwrite)
        here = where / STAGE
        run = _describe(corpus, recipe, keep_list)
        make_directory(here)
        _clear(here)
        try:
            listed = write_kept(here, corpus, keep_list)
            write_file(here / RUN_FILE, run.to_toml(listed).encode())
            for event in chain([first], coming):
                append_line(here / EVENTS_FILE, json.dumps(_as_json(event), allow_nan=False))
                if isinstance(event, Finished):
                    saved = save_model(here, run.id, event.step, event.trained)
                    told = {"event": "saved", "step": saved.step, "sha256": saved.sha256}
                    append_line(here / EVENTS_FILE, json.dumps(told))
                    move_file(here, where / READY)  # from here on the new run is the run
                    here = where
                    _finish(where)
                    yield replace(saved, path=where / saved.path.name)
                    event = Finished(event.step, event.trained.with_run(str(where)))
                yield event
        finally:
            if here != where:  # it failed, or was stopped
                _discard(here)


def save(trained: Trained, directory: str | Path, *, keep_list: bool = True, overwrite: bool = False) -> Trained:
    """Save a trained model as a run directory.

    Raises:
        RunError: it came from a run that kept no list, so there is none to go with it.
        RunExists: there is one already and `overwrite` is off.
        RunLocked: another process writes to it.
        StorageError: the disk refused; nothing that stood before is lost.
    """
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


def load(directory: str | Path, device: str = "cpu") -> Trained:
    """What a run directory holds, ready to use.

    A damaged newest checkpoint is passed over for the one before it, with a CheckpointWarning.

    Raises:
        RunError: there is no such directory, it is no run, or its lines are damaged.
        CheckpointError: no checkpoint in it is whole and its own.
    """
    return _load(Path(directory), device)[0]


def _load(where: Path, device: str = "cpu") -> tuple[Trained, int]:
    """A run, and the step of the checkpoint that it was read from."""
    run = read_run(where)
    stored = checkpoint.load(where, expected, run=run.run.id)
    model, alphabet = read_model(stored)
    name = str(stored.meta["model"])
    if (name, alphabet.kind, len(alphabet)) != (run.recipe.model, run.alphabet.kind, run.alphabet.symbols):
        raise CheckpointError(
            f"{printable(str(stored.path))} holds a {name} of {len(alphabet):,} symbols ({alphabet.kind}), {RUN_FILE} "
            f"speaks of a {printable(run.recipe.model)} of {run.alphabet.symbols:,} ({run.alphabet.kind}). "
            f"Restore one of them from a copy, or train again."
        )
    try:
        recipe = Recipe(**run.recipe.model_dump())
        find_model(recipe.model).configure(symbols=len(alphabet), **recipe.settings)
    except ConfigError as error:
        raise RunError(f"{printable(str(where / RUN_FILE))}: {error}") from None
    train, dev, test, hashes = read_kept(where, run.list)
    corpus = Corpus(
        name=run.list.name, train=train, dev=dev, test=test, alphabet=alphabet, fingerprint=run.list.fingerprint,
        split=recipe.split, split_seed=recipe.split_seed, kfold=run.list.kfold,  # type: ignore[arg-type]
    )  # fmt: skip
    trained = Trained(place(model, device), alphabet, corpus, recipe, str(where), hashes, run.list.longest)
    return trained, stored.step


def read_run(directory: str | Path) -> RunRecord:
    """What run.toml says.

    Raises:
        RunError: there is no such directory, or no run in it, or its run.toml is damaged.
    """
    where, shown = Path(directory), printable(str(directory))
    if not exists(where):
        near: list[str] = []
        with suppress(OSError):
            near = sorted(printable(str(path.parent)) for path in where.parent.glob(f"*/{RUN_FILE}"))
        hint = f"There are: {', '.join(near[:6])}." if near else "Make one with moreish train LIST --run DIR."
        raise RunError(f"there is no run directory {shown}. {hint}")
    if exists(where / READY):  # whoever put it there was cut off
        with lock(where):
            _finish(where)
    if not exists(where / RUN_FILE):
        raise RunError(
            f"{shown} is not a run directory: it holds no {RUN_FILE}. Make one with moreish train LIST --run DIR."
        )
    return parse_run(read_file(where / RUN_FILE, limit=MOST_RUN_FILE_BYTES), str(where / RUN_FILE))


def read_events(directory: str | Path) -> list[dict[str, Any]]:
    """The events of a run, oldest first; none where nothing was written down."""
    path = Path(directory) / EVENTS_FILE
    return read_journal(path)[0] if exists(path) else []


def count_looks(directory: str | Path) -> int:
    """How often the test part of this run has been looked at."""
    return sum(event.get("event") == "looked" and event.get("part") == "test" for event in read_events(directory))


def record_look(directory: str | Path, part: str) -> int:
    """Write down that a part was looked at; returns how often the test part has been, this time included."""
    with lock(Path(directory)):
        append_line(Path(directory) / EVENTS_FILE, json.dumps({"event": "looked", "part": part}))
    return count_looks(directory)


def describe(directory: str | Path) -> dict[str, Any]:
    """What a run is and what has happened in it, as plain values.

    Raises:
        RunError: it is no run.
    """
    run, events = read_run(directory), read_events(directory)
    trained, step = _load(Path(directory))
    evaluated = [event for event in events if event.get("event") == "evaluated"]
    steps = [path.name for _, path in checkpoint.newest(Path(directory))]
    return {
        "run": str(directory),
        "id": run.id,
        "moreish": run.run.moreish,
        "recipe": trained.recipe.to_dict(),
        "config": config_to_dict(trained.model.config),
        "parameters": trained.parameters,
        "list": run.list.model_dump(),
        "leaks": trained.corpus.leaks,
        "note": trained.corpus.note,
        "alphabet": {"kind": trained.alphabet.kind, "symbols": list(trained.alphabet.symbols)},
        "step": step,
        "checkpoints": steps,
        "evaluation": parse_evaluation(evaluated[-1], str(Path(directory) / EVENTS_FILE)) if evaluated else None,
        "test_looks": count_looks(directory),
    }


def remove(directory: Path) -> None:
    """Remove a run's own files, and its directory if nothing else is in it.

    Raises:
        RunLocked: another process writes to it.
    """
    with lock(directory):
        _finish(directory)
        _clear(directory)
        _discard(directory / STAGE)
        for name in (LOCK, OWNER):
            remove_file(directory / name)
        if not names(directory):
            directory.rmdir()


def _finish(where: Path) -> None:
    """Put a run that is ready in its place, or go on where that was cut off. The caller holds the lock.

    run.toml moves first: while it has not, what stands in the directory is the old run's, and afterwards the new one's.
    """
    ready = where / READY
    if not exists(ready):
        return
    if exists(ready / RUN_FILE):
        _clear(where)
        move_file(ready / RUN_FILE, where / RUN_FILE)
    for name in names(ready):
        move_file(ready / name, where / name)
    with suppress(OSError):  # an empty directory that stays does no harm
        ready.rmdir()


def _discard(stage: Path) -> None:
    with suppress(MoreishError, OSError):
        for name in names(stage):
            remove_file(stage / name)
        stage.rmdir()


def _clear(where: Path) -> None:
    for name in names(where):
        if OURS.fullmatch(name):
            remove_file(where / name)


def _describe(corpus: Corpus, recipe: Recipe, keep_list: bool) -> RunRecord:
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
    )


def _as_json(event: Event) -> dict[str, Any]:
    if isinstance(event, Step):
        return {"event": "step", "step": event.step, "loss": event.loss}
    if isinstance(event, Evaluated):
        return {"event": "evaluated", "step": event.step, **event.evaluation.to_dict()}
    return {"event": "finished", "step": event.step}
