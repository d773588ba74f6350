"""From seconds to steps: a schedule that ends when the time is up has to know where it ends."""

from __future__ import annotations

import math
import time as clock
from dataclasses import replace

from moreish.errors import ConfigError
from moreish.learning.evaluate import LIGHTLY, line_nats
from moreish.learning.recipe import MOST_STEPS, Recipe
from moreish.learning.steps import begin
from moreish.learning.watching import watched
from moreish.text.corpus import Corpus

LEAST, MOST = 0.1, 10_000_000.0
TRIED_FOR = 0.05
"""The share of the time that goes into measuring a step."""
WARM_UP_STEPS, LEAST_STEPS = 3, 5
RESERVE = 0.04
"""Kept back, since a machine is not always as quick as when it was measured."""
EVALUATIONS = 10


def plan(
    corpus: Corpus,
    recipe: Recipe,
    seconds: float,
    device: str = "cpu",
    *,
    most: int = MOST_STEPS,
    evaluated: bool = True,
) -> Recipe:
    """The same recipe with as many steps as fit into `seconds` on this machine.

    Args:
        most: no more steps than these, whatever the time.
        evaluated: whether evaluations, on dev while it learns and on train and dev at the end, take of the time, and
            readings of the vitals.

    Raises:
        ConfigError: the time is no positive number, or too short for a single step.
    """
    check_seconds(seconds)
    began = clock.perf_counter()
    training = begin(replace(recipe, steps=MOST_STEPS), corpus.train, corpus.alphabet, device)
    beginning = clock.perf_counter() - began  # once more when the training itself begins
    for _ in range(WARM_UP_STEPS):
        training.advance()
    tried, at = 0, clock.perf_counter()
    while tried < LEAST_STEPS or clock.perf_counter() - at < TRIED_FOR * seconds:
        training.advance()
        tried += 1
    a_step = (clock.perf_counter() - at) / tried
    if evaluated and recipe.watch_every:
        at = clock.perf_counter()
        watched(training)
        a_step += max(0.0, clock.perf_counter() - at - a_step) / recipe.watch_every
    evaluating = _evaluating(training.result(), corpus) if evaluated else 0.0
    left = seconds * (1 - RESERVE) - (clock.perf_counter() - began) - beginning - evaluating
    steps = math.floor(left / a_step)
    if steps < 1:
        raise ConfigError(
            f"time={seconds:g} is too short: a step of {recipe.model} takes {a_step:.2f} s here, and evaluating "
            f"{evaluating:.1f} s. Give more time, or a smaller model."
        )
    return replace(recipe, steps=min(steps, most))


def check_seconds(seconds: float) -> None:
    """Refuse what is no time to learn in.

    Raises:
        ConfigError
    """
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not LEAST <= seconds <= MOST:
        raise ConfigError(f"time={seconds!r} is not a number of seconds from {LEAST} to {MOST:,.0f}. Use 30, say.")


def _evaluating(model, corpus: Corpus) -> float:
    """Seconds for all evaluations of a training: on dev while it learns, and on train and dev at its end."""
    if corpus.kfold or corpus.split == "none":
        lines = corpus.train[:LIGHTLY]
        light = 0
    else:
        lines = corpus.dev[:LIGHTLY]
        light = EVALUATIONS * len(lines)
    at = clock.perf_counter()
    line_nats(model, corpus.alphabet, lines)
    one = (clock.perf_counter() - at) / max(1, len(lines))
    return one * (light + len(corpus.train) + len(corpus.dev))
