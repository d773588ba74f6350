"""A training as it is watched: on a terminal a bar with the losses and the time left, and a line at each evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from moreish.faces.cli.console import stderr
from moreish.learning.fit import Checkpointed, Evaluated, Event, Step
from moreish.runs.checkpoint import Saved
from moreish.text.alphabet import printable

SAMPLES = 5
SMOOTHING = 0.9
"""How much of the shown training loss is what was shown before."""


@contextmanager
def following(what: str, quiet: bool = False) -> Iterator[Callable[[Event | Saved], None]]:
    """Yields a function to be given each event; it draws nothing where standard error is no terminal."""
    console = stderr()
    if quiet or not console.is_terminal:
        yield lambda event: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[losses]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(printable(what), total=None, losses="")
        yield _Follower(progress, task)


class _Follower:
    def __init__(self, progress: Any, task: Any):
        self.progress, self.task = progress, task
        self.train = self.dev = math.nan

    def __call__(self, event: Event | Saved) -> None:
        match event:
            case Step():
                first = math.isnan(self.train)
                self.train = event.loss if first else SMOOTHING * self.train + (1 - SMOOTHING) * event.loss
                self.progress.update(self.task, completed=event.step, total=event.steps or None, losses=self._losses())
            case Evaluated():
                self.dev = event.evaluation.nats_per_symbol
                self.progress.update(self.task, completed=event.step, losses=self._losses())
            case Checkpointed():
                self._evaluated(event)

    def _losses(self) -> str:
        parts = [f"{name} {loss:.3f}" for name, loss in (("train", self.train), ("dev", self.dev)) if loss == loss]
        return " ".join(parts)

    def _evaluated(self, event: Checkpointed) -> None:
        knows_nothing = math.log(len(event.trained.alphabet))
        samples = ", ".join(printable(text) for text in _samples(event.trained))
        self.progress.console.print(
            f"step {event.step:,}: {self._losses()} nats (knowing nothing: {knows_nothing:.3f})  {samples}",
            style="dim", markup=False, highlight=False, overflow="ellipsis", no_wrap=True,
        )  # fmt: skip


def _samples(trained: Any) -> list[str]:
    from moreish.generating.sampler import default_max_length, draw_lines

    drawn = next(draw_lines(
        trained.model, trained.alphabet, max_length=default_max_length(trained.longest), at_once=SAMPLES
    ))  # fmt: skip
    return [text for text in drawn.texts if text]
