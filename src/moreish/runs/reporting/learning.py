"""The report's section on how it learnt: losses by step, where they began, and where they went."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from moreish.learning.recipe import Trained
from moreish.runs.reporting.section import Column, Picture, Remark, Section, Table, explained, figures_of

TITLE = "How it learnt"
ABOUT = "The loss while learning: on the batches that it learnt from, and on lines held out."
UNSURE_BY = 0.3
"""Nats by which a first loss may be above ln V and still be that of a network that begins unsure."""
RISEN_BY = 0.01
"""Nats by which the loss on dev must have risen from its lowest for it to be said."""
MOST_ROWS = 12
NO_BATCHES = "No loss of a batch was written down."
NO_DEV = "Nothing was measured on held-out lines while it learnt."


@dataclass(frozen=True)
class Curves:
    """Losses by step, in nats per symbol: of batches, before each step, and of the dev lines; and ln V."""

    train: list[tuple[int, float]]
    dev: list[tuple[int, float]]
    unsure: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "train": [{"step": step, "loss": loss} for step, loss in self.train],
            "dev": [{"step": step, "loss": loss} for step, loss in self.dev],
            "unsure": self.unsure,
        }


@dataclass(frozen=True)
class Learning:
    """What the curves come to."""

    unsure: float = explained(
        "knowing nothing",
        "nats per symbol",
        "ln V, the loss where all V symbols (the boundary too) are equally likely.",
    )
    first: float | None = explained(
        "first loss", "nats per symbol",
        "Of the first batch, before any step. Normal: within a tenth or so of knowing nothing, for a network should "
        "begin unsure; far above, and its first steps only unlearn a false certainty (the lectures' hockey stick).",
        unknown=NO_BATCHES,
    )  # fmt: skip
    last: float | None = explained(
        "last batch", "nats per symbol", "Of the last batch written down; a batch is small, so this is rough.",
        unknown=NO_BATCHES,
    )  # fmt: skip
    lowest: float | None = explained(
        "lowest on dev", "nats per symbol", "The lowest loss on held-out lines while it learnt.", unknown=NO_DEV
    )
    lowest_step: int | None = explained(
        "at step", "", "Where that was. Normal: at or near the end, else it learnt for too long.", unknown=NO_DEV
    )
    steps: int = explained("steps", "", "Steps of learning in all.")


def read_curves(events: Iterable[dict[str, Any]], symbols: int) -> Curves:
    """The curves in a run's events; what is not a step with a finite loss is left out.

    Args:
        symbols: V.
    """
    train: list[tuple[int, float]] = []
    dev: list[tuple[int, float]] = []
    for event in events:
        step = event.get("step")
        if not isinstance(step, int) or isinstance(step, bool) or not 0 <= step < 2**53:
            continue
        if event.get("event") == "step" and _is_loss(event.get("loss")):
            train.append((step, float(event["loss"])))
        is_dev = event.get("event") == "evaluated" and event.get("part") == "dev"
        if is_dev and _is_loss(event.get("nats_per_symbol")):
            dev.append((step, float(event["nats_per_symbol"])))
    if len(dev) > 1 and dev[-1][0] == dev[-2][0]:
        dev.pop(-2)  # in full at the end, after the light look at that step
    return Curves(train, dev, math.log(symbols))


def learning_section(trained: Trained, events: Sequence[dict[str, Any]], step: int) -> Section:
    """How the losses went; for a model that was not learnt step by step, that there is nothing to draw."""
    method = trained.recipe.method
    if method not in ("minibatches", "gradient"):
        why = {
            "counting": "was fitted by counting, in one step",
            "closed-form": "was set to its best weights in one step",
            "imported": "was learnt by another program, which left no record",
        }
        return Section(
            "learning", TITLE, ABOUT, missing=f"This {trained.recipe.model} {why[method]}, so there is no curve."
        )
    curves = read_curves(events, len(trained.alphabet))
    if not curves.train and not curves.dev:
        return Section("learning", TITLE, ABOUT, missing="This run wrote no losses down, so there is no curve.")
    lowest = min(curves.dev, key=lambda point: point[1]) if curves.dev else None
    first = curves.train[0][1] if curves.train and curves.train[0][0] == 1 else None
    figures = Learning(
        curves.unsure, first, curves.train[-1][1] if curves.train else None,
        None if lowest is None else lowest[1], None if lowest is None else lowest[0], step,
    )  # fmt: skip
    unknown = {"first": "The loss of the first batch was not written down."} if curves.train else {}
    drawn = len(curves.train) > 1 or len(curves.dev) > 1
    sentence = (
        "Normal: both fall fast, then slowly; the one on dev stays a little above. Where it rises while the other "
        "falls, the network learns its lines by heart."
    )
    pictures = (Picture("curves", "curves", "Loss by step", sentence, curves),) if drawn else ()
    remarks = _remarks(curves, first)
    if not drawn:
        remarks.append(Remark("plain", "One loss alone makes no curve."))
    return Section("learning", TITLE, ABOUT, tuple(remarks), figures_of(figures, unknown), _table(curves), pictures)


def _remarks(curves: Curves, first: float | None) -> list[Remark]:
    said = []
    if first is not None:
        over = first - curves.unsure
        if over > UNSURE_BY:
            said.append(Remark(
                "warning",
                f"The first loss is {over:.2f} nats above knowing nothing: the network began sure of what it did not "
                f"know. A smaller output layer at the start mends it.",
            ))  # fmt: skip
        else:
            said.append(
                Remark("good", f"The first loss is {abs(over):.3f} nats from ln V: it began unsure, as it should.")
            )
    if len(curves.dev) > 1:
        lowest = min(loss for _, loss in curves.dev)
        at, last = next(step for step, loss in curves.dev if loss == lowest), curves.dev[-1][1]
        if last - lowest > RISEN_BY:
            said.append(Remark(
                "warning",
                f"On dev the loss was lowest at step {at:,} and has risen by {last - lowest:.3f} nats since: it learnt "
                f"too long for this list. --use best keeps the weights of that step.",
            ))  # fmt: skip
    return said


def _table(curves: Curves) -> tuple[Table, ...]:
    """The curve on dev as numbers, for those who cannot see it drawn."""
    if len(curves.dev) < 2:
        return ()
    columns = (
        Column("step", "step", "Steps taken by then."),
        Column("dev", "loss on dev", "Mean negative log-likelihood of held-out lines.", "nats per symbol"),
    )
    every = -(-len(curves.dev) // MOST_ROWS)
    rows = curves.dev[::-1][::every][::-1]  # the last among them
    return (Table("dev", "On dev, while it learnt", columns, tuple(rows)),)


def _is_loss(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
