"""A short training under observation: what `diagnose` and the bench both look at."""

from __future__ import annotations

import copy
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
            observer.__enter__()
        while training.step < recipe.steps:
            if observed:
                observer.composing.met_batch(training.batch(training.step))
            training.advance()
            if training.step in due and (observed or recipe.use == "best"):
                measure()
            yield Stepped(training.step, recipe.steps)
    except MoreishError:
        observer.broke("the loss", training.step)  # the loop noticed before the observer did
    finally:
        if observed:
            observer.__exit__(None, None, None)
    if observed:
        evidence.lists = listed(learnt, dev, setup.alphabet, duplicates)
    nats = sizes = None
    if not evidence.broken and len(dev):
        model = training.result()
        nats, sizes = line_nats(model, setup.alphabet, dev)
        if not np.isfinite(nats).all():
            nats = sizes = None
    yield Course(evidence, nats, sizes)


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
