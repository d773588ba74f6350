"""The report's section on how well it predicts lines that it did not learn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from moreish.errors import MoreishError
from moreish.learning.evaluate import evaluate, line_nats
from moreish.learning.intervals import Bootstrap
from moreish.learning.recipe import Trained
from moreish.runs.record import parse_evaluation
from moreish.runs.reporting.section import Column, Remark, Section, Table, explained, figures_of, sentence, shortened

TITLE = "How well it predicts"
ABOUT = "The loss on lines that it did not learn, and what keeps that figure honest."
MOST_LINES = 20_000
"""Held-out lines that are looked at one by one."""
EXTREMES = 5
OVERFIT = 0.1
"""Share of the loss by which train may be below dev before it is said."""


@dataclass(frozen=True)
class Predicting:
    """How well it predicts; losses are per predicted symbol, a line's end counted as one."""

    part: str = explained("measured on", "", "Which lines: dev, the folds in turn, or train where none were held out.")
    nats: float | None = explained(
        "loss", "nats per symbol", "Mean negative log-likelihood: how surprised it is by what comes. Lower is better."
    )
    low: float | None = explained("loss, at least", "nats per symbol", "The lower end of the loss's 95 % interval.")
    high: float | None = explained(
        "loss, at most", "nats per symbol",
        "Its upper end, by drawing lines again with replacement: how much hangs on which lines were held out.",
    )  # fmt: skip
    bits: float | None = explained("in bits", "bits per symbol", "The same loss, divided by ln 2: yes-no questions.")
    perplexity: float | None = explained(
        "perplexity", "", "As unsure as if it chose among so many equally likely symbols each time.", places=2
    )
    unsure: float = explained("knowing nothing", "nats per symbol", "ln V, what the loss would be without learning.")
    train: float | None = explained(
        "loss on train",
        "nats per symbol",
        "On lines that it learnt, 5,000 at most. Far below the loss: learnt by heart.",
    )
    copy_mass: float | None = explained(
        "copy mass", "share",
        "The probability it gives to all the lines it learnt, together, as whole lines: how often it would copy.",
    )  # fmt: skip
    given_new: float | None = explained(
        "+ new only", "nats per symbol",
        "The loss on unseen lines with the copy mass taken out, as no held-out line can be a copy. This is the fair "
        "figure to compare models by: a model gains nothing here by just withholding what it knows.",
    )  # fmt: skip
    lines: int = explained("lines", "lines", "How many were predicted.")
    symbols: int = explained("symbols", "symbols", "How many, the ends of lines included.")


def predicting_section(trained: Trained, events: Sequence[dict[str, Any]], step: int, name: str) -> Section:
    """How well it predicts: what was measured when it was trained, or is measured now.

    Args:
        step: that of the weights.
        name: of the events' file, for a complaint.
    """
    found = _recorded(events, step, name)
    if found is None:
        try:
            found = evaluate(trained).to_dict()
        except MoreishError as error:
            return Section("predicting", TITLE, ABOUT, missing=sentence(str(error), trained.corpus.name))
    part = found["part"]
    unknown: dict[str, str] = dict.fromkeys(
        ("nats", "bits", "perplexity"), "It is infinite: something came that was impossible to it."
    )
    unknown["copy_mass"] = "It was not measured."
    unknown["given_new"] = "It is infinite, or every line is one that it learnt."
    low = high = train = None
    tables: tuple[Table, ...] = ()
    if trained.hashes is not None or part != "dev":
        why = "The run kept no lines." if trained.hashes is not None else f"There is none for {part}."
        unknown["low"] = unknown["high"] = why
        unknown["train"] = "The run kept no lines." if trained.hashes is not None else "No lines are held out for good."
    else:
        train = evaluate(trained, "train", lightly=True).to_dict()["nats_per_symbol"]
        unknown["train"] = "It is infinite."
        low, high, unknown["low"], tables = _line_by_line(trained)
        unknown["high"] = unknown["low"]
    figures = Predicting(
        part, found["nats_per_symbol"], low, high, found["bits_per_symbol"], found["perplexity"],
        math.log(len(trained.alphabet)), train, found["copy_mass"], found["nats_given_new"], found["lines"],
        found["symbols"],
    )  # fmt: skip
    remarks = _remarks(trained, figures)
    return Section("predicting", TITLE, ABOUT, remarks, figures_of(figures, unknown), tables)


def _recorded(events: Sequence[dict[str, Any]], step: int, name: str) -> dict[str, Any] | None:
    """The evaluation in full at the end of the training, if it is of these weights."""
    full = [
        event
        for event in events
        if event.get("event") == "evaluated" and event.get("step") == step and event.get("copy_mass") is not None
    ]
    if not full:
        return None
    found = parse_evaluation(full[-1], name)
    whole = all(isinstance(found.get(key), int) for key in ("lines", "symbols"))
    return found if whole else None


def _line_by_line(trained: Trained) -> tuple[float | None, float | None, str, tuple[Table, ...]]:
    """The loss's interval, or why there is none; and the lines that it finds easiest and hardest."""
    lines = trained.corpus.part("dev")
    if len(lines) > MOST_LINES:
        return None, None, f"Not drawn for more than {MOST_LINES:,} lines, where it is narrow.", ()
    nats, sizes = line_nats(trained.model, trained.alphabet, lines)
    interval = Bootstrap(sizes).loss(nats).interval()
    ends = [end if math.isfinite(end) else None for end in (interval.low, interval.high)]
    each = nats / sizes
    order = np.argsort(each, kind="stable")
    columns = (
        Column("line", "line", "A held-out line."),
        Column("nats", "nats", "How surprising the whole line is to it.", "nats", 2),
        Column("each", "per symbol", "The same for each symbol.", "nats per symbol", 2),
    )
    tables = []
    for name, title, chosen in (
        ("easiest", "Easiest", order[:EXTREMES]),
        ("hardest", "Hardest", order[::-1][:EXTREMES]),
    ):
        texts = lines.take(chosen).texts()
        rows = tuple(
            (shortened(text), float(nats[i]), float(each[i])) for text, i in zip(texts, chosen.tolist(), strict=True)
        )
        tables.append(Table(name, f"{title} of the held-out lines", columns, rows))
    return ends[0], ends[1], "One line says nothing of how lines differ, or the loss is infinite.", tuple(tables)


def _remarks(trained: Trained, found: Predicting) -> tuple[Remark, ...]:
    said = []
    if trained.corpus.leaks:
        note = trained.corpus.note
        said.append(Remark("warning", f"{note[:1].upper()}{note[1:]}."))
    if found.nats is None:
        said.append(Remark("warning", "Infinite: without smoothing, what was never seen is impossible."))
    elif found.nats > found.unsure:
        said.append(Remark("warning", "It predicts worse than knowing nothing: the learning went wrong."))
    elif found.train is not None and found.nats - found.train > OVERFIT * found.nats:
        said.append(Remark(
            "warning" if trained.model.fitted_by_counting is False else "plain",
            f"Lines that it learnt it predicts {found.nats - found.train:.2f} nats better than unseen ones: it knows "
            f"some of them by heart.",
        ))  # fmt: skip
    return tuple(said)
