"""The vitals that a run kept: vitals.jsonl, written while it learns and read back with every value checked.

A line is a reading, `{"step": 100, "vitals": [...]}`: each dataclass as the list of its fields in their order, which
takes half the room of named ones, and every number to five digits. Fields that later versions add come at the end.
"""

from __future__ import annotations

import json
import math
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from moreish.errors import ConfigError, RunError, UsageError
from moreish.learning.recipe import Recipe
from moreish.learning.schedule import rate_at
from moreish.learning.vitals import NoiseScale, Vitals, noise_scale
from moreish.runs.directory import read_events, read_run
from moreish.runs.place import RUN_FILE, VITALS_FILE
from moreish.runs.record import RunRecord
from moreish.storage import exists, read_journal, write_file
from moreish.text.alphabet import printable

DIGITS = 5
NEAR = 10
"""Readings that the noise scale is taken from, up to the one that is asked for: one alone is rough. None is from the
first half of the steps until then: the gradient was another."""


@dataclass(frozen=True)
class WatchedRun:
    """The readings that a run kept, oldest first, and the training losses that it told: (step, nats per symbol)."""

    run: str
    recipe: Recipe
    readings: list[Vitals]
    losses: list[tuple[int, float]]
    torn: bool = False
    """Whether the file's last line is cut off, which is left out."""

    @property
    def torn_said(self) -> str:
        """That the last line is cut off, in a sentence; nothing where it is not."""
        if not self.torn:
            return ""
        last = self.readings[-1].step
        return (
            f"{VITALS_FILE} is cut short: its last line is no whole reading and is left out. The last whole one is of "
            f"step {last:,}."
        )

    def at(self, step: int | None = None) -> Vitals:
        """The reading at a step; by default the last.

        Raises:
            UsageError: none was taken there; says which are near.
        """
        if step is None:
            return self.readings[-1]
        for one in self.readings:
            if one.step == step:
                return one
        near = sorted(sorted((one.step for one in self.readings), key=lambda s: (abs(s - step), s))[:3])
        *before, last = (f"{s:,}" for s in near)
        count = len(self.readings)
        if count > len(near):
            there = f"{count:,} readings, at steps such as {', '.join(before)} and {last}"
        elif before:
            there = f"{count} readings, at steps {', '.join(before)} and {last}"
        else:
            there = f"one reading, at step {last}"
        raise UsageError(
            f"{printable(self.run)} was not read at step {step:,}. There {'is' if count == 1 else 'are'} {there}; "
            f"train with another --watch-every for others."
        )

    def rate_share(self, step: int) -> float:
        """The learning rate of a step (counted from 1) as a share of the highest."""
        r = self.recipe
        return rate_at(r.schedule, step - 1, r.steps, r.warmup, r.decay_at)

    def noise(self, step: int | None = None) -> NoiseScale | None:
        """The gradient's noise scale by the readings up to a step, ten at most; None where none could tell."""
        last = self.at(step).step
        known = [one.noise for one in self.readings if last / 2 <= one.step <= last and one.noise]
        return noise_scale(known[-NEAR:])


def vitals(run: str | Path) -> WatchedRun:
    """The vitals that a run kept while it learnt.

    Raises:
        RunError: it is no run, it kept no vitals (says why), or its file is damaged.
        StorageError: the file cannot be read.
    """
    record, where = read_run(run), Path(run)
    path = where / VITALS_FILE
    lines, torn = read_journal(path) if exists(path) else ([], False)
    readings = [_parsed(line, i + 1, path) for i, line in enumerate(lines)]
    if not readings:
        raise RunError(_why_none(record, printable(str(run)), is_there=exists(path), torn=torn))
    losses = [
        (event["step"], float(event["loss"]))
        for event in read_events(where)
        if event.get("event") == "step" and _is_number(event.get("loss")) and type(event.get("step")) is int
    ]
    try:
        recipe = Recipe(**record.recipe.model_dump())
    except ConfigError as error:
        raise RunError(f"{printable(str(where / RUN_FILE))}: {error}") from None
    return WatchedRun(str(run), recipe, readings, losses, torn)


def line_of(vitals: Vitals) -> str:
    """A reading as it stands in the file."""
    return json.dumps({"step": vitals.step, "vitals": _packed(vitals)}, allow_nan=False, separators=(",", ":"))


def rewind_vitals(here: Path, step: int) -> None:
    """Drop the readings after a step: they will be taken again."""
    path = here / VITALS_FILE
    if exists(path):
        kept = [line for line in read_journal(path)[0] if _is_number(line.get("step")) and line["step"] <= step]
        text = "".join(json.dumps(line, allow_nan=False, separators=(",", ":")) + "\n" for line in kept)
        write_file(path, text.encode())


def _why_none(record: RunRecord, run: str, is_there: bool, torn: bool) -> str:
    recipe = record.recipe
    model = printable(recipe.model)
    if recipe.method == "imported":
        return f"{run} was imported, so nothing of its learning is known. Train a model here, and watch that."
    if recipe.method == "counting":
        return (
            f"{run} holds the model {model}, which is fitted by counting: no gradient passes through it, so there "
            f"are no vitals. Watch a network: moreish train LIST --model mlp."
        )
    if recipe.method in ("gradient", "closed-form"):
        return (
            f"{run} holds the model {model}, learnt from the whole list at once, which is not watched. Train it from "
            f"minibatches: --batch 128."
        )
    if not recipe.watch_every:
        return (
            f"{run} was not watched while it learnt (watch_every = 0, as in runs of older versions and of fit). Train "
            f"again: moreish train LIST --model {model}."
        )
    if is_there:
        how = "is cut short: it holds no whole reading" if torn else "is empty"
        return f"{run}: {VITALS_FILE} {how}. Restore it from a copy, or train again."
    return f"{run} holds no {VITALS_FILE}: it has taken no step yet, or the file was lost. Resume it, or train again."


def _packed(value: Any) -> Any:
    if is_dataclass(value):
        return [_packed(getattr(value, f.name)) for f in fields(value)]
    if isinstance(value, list):
        return [_packed(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    return value


def _parsed(line: dict[str, Any], number: int, path: Path) -> Vitals:
    try:
        return _unpacked(Vitals, line.get("vitals"))
    except (ValueError, RecursionError) as error:
        raise RunError(
            f"{printable(str(path))}, line {number}, is no reading of ours: {error}. Take that line out, restore the "
            f"file, or train again."
        ) from None


def _unpacked(kind: Any, value: Any) -> Any:
    """A value of a type that a field is annotated with, out of what JSON gave.

    Raises:
        ValueError: it is not one.
    """
    if is_dataclass(kind):
        return _of_list(kind, value)
    if get_origin(kind) is UnionType:
        (wanted,) = (each for each in get_args(kind) if each is not NoneType)
        return None if value is None else _unpacked(wanted, value)
    if get_origin(kind) is list:
        if not isinstance(value, list):
            raise ValueError("a list is missing")
        (each,) = get_args(kind)
        return [_unpacked(each, one) for one in value]
    if kind is float and _is_number(value):
        return float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise ValueError(f"{printable(repr(value)[:40])} is not of the type {kind.__name__}")
    return value


def _of_list(kind: Any, value: Any) -> Any:
    wanted = fields(kind)
    least = sum(f.default is MISSING for f in wanted)
    if not isinstance(value, list) or len(value) < least:
        raise ValueError(f"{kind.__name__} is a list of {least} values or more")
    hints = _hints(kind)
    return kind(*(_unpacked(hints[f.name], one) for f, one in zip(wanted, value)))


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
