"""A short training under observation: what `diagnose` and the bench both look at."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from moreish.errors import MoreishError
from moreish.learning.doctor.evidence import Evidence
from moreish.learning.doctor.listing import listed
from moreish.learning.doctor.observer import Observer
from moreish.learning.doctor.setup import Setup
from moreish.learning.evaluate import line_nats
from moreish.models.model import LanguageModel
from moreish.text.lines import Lines

MEASURED_AT = (0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 1.0)
"""After which shares of the steps train and dev are measured."""
MEASURED_LINES = 1_000


@dataclass(frozen=True)
class Course:
    """What a short training showed, and how it ended: dev's nats line by line (None where it broke down)."""

    evidence: Evidence
    dev_nats: np.ndarray | None
    dev_sizes: np.ndarray | None

    @property
    def dev(self) -> float:
        """Nats a symbol on dev, as the training measures it; infinite where it broke down."""
        if self.dev_nats is None or self.dev_sizes is None or not len(self.dev_nats):
            return math.inf
        return float(self.dev_nats.sum() / self.dev_sizes.sum())


@dataclass(frozen=True)
class Stepped:
    """A step of `steps` was taken."""

    step: int
    steps: int


def run(setup: Setup, duplicates: float | None = None) -> Course:
    """The course of a training, to its end."""
    *_, course = running(setup, duplicates)
    assert isinstance(course, Course)
    return course


def running(setup: Setup, duplicates: float | None = None, observed: bool = True) -> Iterator[Stepped | Course]:
    """The same as events: Stepped, at last the Course.

    Args:
        observed: whether evidence is gathered, or only the end wanted.
    """
    training = setup.begin()
    recipe, dev = setup.recipe, setup.shown_dev()
    due = {max(1, round(share * recipe.steps)) for share in MEASURED_AT} if observed else set()
    observer = Observer(training.model)
    evidence = observer.evidence
    evidence.symbols = len(setup.alphabet)
    evidence.sizes = sizes_of(training.model)
    try:
        if observed:
            observer.__enter__()
        while training.step < recipe.steps:
            if observed:
                observer.composing.met_batch(training.batch(training.step))
            training.advance()
            if training.step in due:
                _measure(observer, training.model, setup, dev)
            yield Stepped(training.step, recipe.steps)
    except MoreishError:
        if not evidence.broken:  # the loop noticed before the observer did
            evidence.broken, evidence.broken_at = "the loss or a gradient", training.step
    finally:
        if observed:
            observer.__exit__(None, None, None)
    if observed:
        evidence.lists = listed(setup.train, dev, setup.alphabet, duplicates)
    nats = sizes = None
    if not evidence.broken and len(dev):
        model = training.result()
        nats, sizes = line_nats(model, setup.alphabet, dev)
        if not np.isfinite(nats).all():
            nats = sizes = None
    yield Course(evidence, nats, sizes)


def _measure(observer: Observer, model: LanguageModel[Any], setup: Setup, dev: Lines) -> None:
    """Train and dev, as the weights stand now."""
    found = []
    for lines in (setup.train[:MEASURED_LINES], dev[:MEASURED_LINES]):
        nats, sizes = line_nats(model, setup.alphabet, lines) if len(lines) else (np.zeros(0), np.zeros(0))
        mean = float(nats.sum() / sizes.sum()) if sizes.sum() else math.nan
        found.append(mean if math.isfinite(mean) else None)
    observer.measured(*found)


def sizes_of(model: LanguageModel[Any]) -> dict[str, int]:
    """How wide a model of the catalog is, where its settings say so."""
    names = {"embedding": ("embedding", "width"), "hidden": ("hidden", "skip", "width", "embedding")}
    found = {}
    for size, keys in names.items():
        for key in keys:
            if isinstance(getattr(model.config, key, None), int):
                found[size] = getattr(model.config, key)
                break
    return found
