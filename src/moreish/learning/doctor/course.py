"""A short training under observation: what `diagnose` and the bench both look at."""

from __future__ import annotations

import copy
import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from moreish.errors import MoreishError
from moreish.learning.doctor.evidence import Evidence
from moreish.learning.doctor.listing import listed
from moreish.learning.doctor.observer import Observer
from moreish.learning.doctor.setup import Setup
from moreish.learning.evaluate import line_nats
from moreish.learning.training import Training
from moreish.models.model import LanguageModel
from moreish.text.lines import Lines

MEASUREMENTS = 10
"""Of train and dev, evenly over the steps."""
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
    """`done` of `total` steps were taken."""

    done: int
    total: int


def run(setup: Setup, duplicates: float | None = None, observed: bool = True) -> Course:
    """The course of a training, to its end.

    Args:
        observed: whether evidence is gathered, or only the end wanted.
    """
    steps = running(setup, duplicates, observed)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def running(setup: Setup, duplicates: float | None = None, observed: bool = True) -> Generator[Stepped, None, Course]:
    """The same step by step: Stepped for each, and what it returns is the Course."""
    training = setup.begin()
    recipe, dev = setup.recipe, setup.shown_dev()
    learnt = setup.learnt()
    shadow = copy.deepcopy(training.model)  # measuring must not meet the observer's hooks
    due = {max(1, round((i + 1) / MEASUREMENTS * recipe.steps)) for i in range(MEASUREMENTS)}

    def measure() -> None:
        """Train and dev by the weights that the run would use, were this its end."""
        shadow.load_state_dict(training.used("current"))
        train_nats, dev_nats = _measured(shadow, setup, learnt, dev)
        observer.measured(train_nats, dev_nats)
        training.consider(math.inf if dev_nats is None else dev_nats)

    observer = Observer(training.model)
    evidence = observer.evidence
    evidence.symbols = len(setup.alphabet)
    evidence.sizes = sizes_of(training.model)
    try:
        if observed:
            observer.attach()
        while training.step < recipe.steps:
            _advance(training, observer if observed else None)
            if training.step in due and (observed or recipe.use == "best"):
                measure()
            yield Stepped(training.step, recipe.steps)
    except MoreishError:
        observer.broke("the loss", training.step)  # the loop noticed before the observer did
    finally:
        if observed:
            observer.detach()
    if observed:
        evidence.lists = listed(learnt, dev, setup.alphabet, duplicates)
    nats = sizes = None
    if not evidence.broken and len(dev):
        model = training.result()
        nats, sizes = line_nats(model, setup.alphabet, dev)
        if not np.isfinite(nats).all():
            nats = sizes = None
    return Course(evidence, nats, sizes)


def _advance(training: Training, observer: Observer | None) -> None:
    """Take a step, and have it seen."""
    if observer is None:
        training.advance()
        return
    batch = training.batch(training.step)
    observer.composing.met_batch(batch)
    if observer.attentive:
        with observer.listening:
            training.advance()
    else:
        observer.passed(training.advance(), len(batch.targets))


def _measured(model: LanguageModel[Any], setup: Setup, learnt: Lines, dev: Lines) -> tuple[float | None, float | None]:
    """Nats a symbol on lines learnt from and on dev."""
    found: list[float | None] = []
    for lines in (learnt[:MEASURED_LINES], dev[:MEASURED_LINES]):
        nats, sizes = line_nats(model, setup.alphabet, lines) if len(lines) else (np.zeros(0), np.zeros(0))
        mean = float(nats.sum() / sizes.sum()) if sizes.sum() else math.nan
        found.append(mean if math.isfinite(mean) else None)
    return found[0], found[1]


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
