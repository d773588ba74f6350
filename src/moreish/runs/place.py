"""Where a run stands in its directory, and how it gets there: grown aside, put in place by one renaming."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from moreish.errors import MoreishError, RunError, RunExists
from moreish.storage import exists, move_file, names, remove_file
from moreish.text.alphabet import printable

RUN_FILE, EVENTS_FILE, VITALS_FILE = "run.toml", "events.jsonl", "vitals.jsonl"
STAGE, READY = ".growing", ".ready"
"""Within a run directory: where a run grows, and what that is called when it is whole, until its files are in place."""
OURS = re.compile(r"(run\.toml|lines\.gz|hashes\.gz|events\.jsonl|vitals\.jsonl|checkpoint-\d+\.safetensors)", re.ASCII)
RUNS = Path("runs")


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


def finish(where: Path) -> None:
    """Put a run that is ready in its place, or go on where that was cut off. The caller holds the lock.

    run.toml moves first: while it has not, what stands in the directory is the old run's, and afterwards the new one's.
    """
    ready = where / READY
    if not exists(ready):
        return
    if exists(ready / RUN_FILE):
        clear(where)
        move_file(ready / RUN_FILE, where / RUN_FILE)
    for name in names(ready):
        move_file(ready / name, where / name)
    with suppress(OSError):  # an empty directory that stays does no harm
        ready.rmdir()


def discard(stage: Path) -> None:
    with suppress(MoreishError, OSError):
        for name in names(stage):
            remove_file(stage / name)
        stage.rmdir()


def clear(where: Path) -> None:
    for name in names(where):
        if OURS.fullmatch(name):
            remove_file(where / name)
