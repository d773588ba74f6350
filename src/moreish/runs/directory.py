"""A run directory: self-describing, and enough by itself.

run.toml                       what was asked, of which list, split how (text, to be read)
checkpoint-<step>.safetensors  the model and its alphabet; each one whole file, the two newest kept
lines.gz                       the run's lines with their split: train, then dev, then test
hashes.gz                      instead of lines.gz where the list was not to be kept
events.jsonl                   what happened, one JSON object a line, looks at the test part among them
vitals.jsonl                   a network's vitals, a line for each reading (`vitals.py`); none where nothing was watched
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from moreish.errors import CheckpointError, ConfigError, RunError
from moreish.learning.recipe import Recipe, Trained
from moreish.models.catalog import find_model
from moreish.models.model import config_to_dict, place
from moreish.runs import checkpoint
from moreish.runs.kept import read_kept
from moreish.runs.place import EVENTS_FILE, READY, RUN_FILE, STAGE, clear, discard, finish
from moreish.runs.record import RunRecord, parse_evaluation, parse_run
from moreish.runs.tensors import expected, read_model, weights_sha256
from moreish.storage import LOCK, OWNER, append_line, exists, lock, names, read_file, read_journal, remove_file
from moreish.text.alphabet import Alphabet, printable
from moreish.text.corpus import Corpus
from moreish.text.lines import Lines

MOST_RUN_FILE_BYTES = 1 << 20
MOST_NAME = 4096
MOST_NAMED = 6
"""Runs that are named where one was asked for that is not there."""


def load(directory: str | Path, device: str = "cpu") -> Trained:
    """What a run directory holds, ready to use.

    A damaged newest checkpoint is passed over for the one before it, with a CheckpointWarning.

    Raises:
        RunError: there is no such directory, it is no run, or its lines are damaged.
        CheckpointError: no checkpoint in it is whole and its own.
    """
    return load_with_step(directory, device)[0]


def load_with_step(directory: str | Path, device: str = "cpu") -> tuple[Trained, int]:
    """The same, and the step of learning that it was left at."""
    trained, stored = _load(Path(directory), device)
    return trained, stored.step


def _load(where: Path, device: str = "cpu") -> tuple[Trained, checkpoint.Checkpoint]:
    """A run, and the checkpoint that it was read from."""
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
    corpus, hashes = corpus_of(where, run, alphabet)
    trained = Trained(place(model, device), alphabet, corpus, recipe, str(where), hashes, run.list.longest)
    return trained, stored


def corpus_of(where: Path, run: RunRecord, alphabet: Alphabet | None = None) -> tuple[Corpus, np.ndarray | None]:
    """The corpus of a run, its alphabet found in the lines where not given; and the hashes, if it kept only those.

    Raises:
        RunError: its lines are damaged.
    """
    train, dev, test, hashes = read_kept(where, run.list)
    if alphabet is None:
        alphabet = Alphabet.of(Lines(np.concatenate([train.data, dev.data, test.data])), run.alphabet.kind)
    corpus = Corpus(
        name=run.list.name, train=train, dev=dev, test=test, alphabet=alphabet, fingerprint=run.list.fingerprint,
        split=run.recipe.split, split_seed=run.recipe.split_seed, kfold=run.list.kfold,
        elsewhere=run.recipe.method == "imported",
    )  # fmt: skip
    return corpus, hashes


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
        more = f" and {len(near) - MOST_NAMED:,} more" if len(near) > MOST_NAMED else ""
        hint = "Make one with moreish train LIST --run DIR."
        if near:
            hint = f"There are: {', '.join(near[:MOST_NAMED])}{more}."
        raise RunError(f"there is no run directory {shown}. {hint}")
    if exists(where / READY):  # whoever put it there was cut off
        with lock(where):
            finish(where)
    if not exists(where / RUN_FILE) and exists(where / STAGE / RUN_FILE):
        raise RunError(
            f"{shown} holds a training that was cut off before its first checkpoint. Start it over with "
            f"moreish resume {shown}."
        )
    if not exists(where / RUN_FILE):
        raise RunError(
            f"{shown} is not a run directory: it holds no {RUN_FILE}. Make one with moreish train LIST --run DIR."
        )
    return parse_run(read_file(where / RUN_FILE, limit=MOST_RUN_FILE_BYTES), str(where / RUN_FILE))


def read_events(directory: str | Path) -> list[dict[str, Any]]:
    """The events of a run, oldest first; none where nothing was written down."""
    path = Path(directory) / EVENTS_FILE
    return read_journal(path)[0] if exists(path) else []


def has_finished(directory: str | Path) -> bool:
    """Whether a run's training is over."""
    return any(event.get("event") == "finished" for event in read_events(directory))


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
    trained, stored = _load(Path(directory))
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
        "step": stored.step,
        "finished": any(event.get("event") == "finished" for event in events),
        "weights_sha256": weights_sha256(stored),
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
        finish(directory)
        clear(directory)
        discard(directory / STAGE)
        for name in (LOCK, OWNER):
            remove_file(directory / name)
        if not names(directory):
            directory.rmdir()
