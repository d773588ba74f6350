"""Which model suits a list and the time there is for it.

A mixture of count tables predicts new lines best of all that was measured, from two hundred lines on
(`docs/log.md`, `docs/results.md`). It takes seconds to minutes. Where the list is too short for it, too long for the
time, or its alphabet is large, there is the n-gram model of the best order, at once.
"""

from __future__ import annotations

import math
from typing import Any

from moreish.errors import ConfigError
from moreish.learning.evaluate import held_out_loss
from moreish.learning.fit import fit, make_recipe
from moreish.learning.plan import check_seconds, plan
from moreish.learning.recipe import Recipe
from moreish.models.mixture import EVERY_SYMBOL
from moreish.text.corpus import Corpus

LEAST_LINES = 200
LEAST_TIME = 5.0
"""Seconds below which a mixture of even a short list has not learnt what it needs."""
MOST_BYTES_A_SECOND = 10_000
"""Of a list, for each second there is: counting its tables, twice, takes half of the time then."""
MOST_BYTES = 3_000_000
"""Tables of more would fill the memory of a small machine."""
LONGEST = 1_000
"""Symbols of a line beyond which reading it place by place takes long."""
LEAST_PART = 0.1
"""Of its recipe's steps, below which a mixture is worth no more than counting."""
SMALL_ALPHABET = 256
ORDERS_OF_CHARACTERS = (2, 3, 4, 5, 6, 7)
ORDERS_OF_WORDS = (1, 2, 3)
MANY_BYTES = 20_000_000
"""From here trying every order would take minutes, and long contexts are well filled."""
ORDER_FOR_MANY = 7


def choose(
    corpus: Corpus, time: float | None = None, device: str = "cpu", evaluated: bool = False
) -> tuple[str, dict[str, Any], str]:
    """The model and settings for this list, and one sentence why.

    Args:
        time: seconds that learning may take on this machine; None for as many as the recipe takes.
        evaluated: whether evaluations take of that time.
    """
    if time is not None:
        check_seconds(time)
    lines, size = len(corpus.train), len(corpus.train.data)
    too_large = len(corpus.alphabet) > EVERY_SYMBOL or size > MOST_BYTES or corpus.longest > LONGEST
    if corpus.kfold or lines < LEAST_LINES or too_large:
        return choose_order(corpus)
    if time is not None and (time < LEAST_TIME or size > time * MOST_BYTES_A_SECOND):
        return _for_want_of(time, corpus)
    reason = f"mixture: of {lines:,} lines, many count tables weighed against one another predict more than any alone"
    if time is None:
        return "mixture", {}, reason
    try:
        steps, full = steps_in(corpus, make_recipe(corpus, "mixture"), time, device, evaluated)
    except ConfigError:  # not even a step
        return _for_want_of(time, corpus)
    if steps == full:
        return "mixture", {}, f"{reason}; {time:g} s are enough to learn how"
    if steps < LEAST_PART * full:
        return _for_want_of(time, corpus)
    return "mixture", {"steps": steps}, f"{reason}; {part_of(time, steps, full)}"


def part_of(time: float, steps: int, full: int) -> str:
    """What is said where a time ends learning before its recipe does."""
    return f"{time:g} s are enough for {steps:,} of the {full:,} steps that it would take in full"


def steps_in(
    corpus: Corpus, recipe: Recipe, time: float, device: str = "cpu", evaluated: bool = False
) -> tuple[int, int]:
    """How many steps of a recipe a time is enough for, and how many it has.

    Raises:
        ConfigError: it is not enough for one.
    """
    if recipe.method != "minibatches":
        return recipe.steps, recipe.steps
    return plan(corpus, recipe, time, device, most=recipe.steps, evaluated=evaluated).steps, recipe.steps


def _for_want_of(time: float, corpus: Corpus) -> tuple[str, dict[str, Any], str]:
    name, settings, why = choose_order(corpus)
    return name, settings, f"{why}. With more than {time:g} s a mixture would predict better: see --time"


def choose_order(corpus: Corpus) -> tuple[str, dict[str, Any], str]:
    """The n-gram model of the order that predicts held-out lines best, and one sentence why."""
    if corpus.kfold and len(corpus.train) < 2:
        return "ngram", {"order": 3}, "ngram of order 3: one unique line leaves nothing to choose by"
    if len(corpus.train.data) > MANY_BYTES:
        order = ORDER_FOR_MANY if len(corpus.alphabet) <= SMALL_ALPHABET else 4
        return "ngram", {"order": order}, f"ngram of order {order}: {len(corpus.train):,} lines fill long contexts well"
    orders = ORDERS_OF_CHARACTERS if len(corpus.alphabet) <= SMALL_ALPHABET else ORDERS_OF_WORDS
    losses: dict[int, float] = {}
    for order in orders:
        losses[order] = held_out_loss(fit(corpus, "ngram", order=order))
        if losses[order] > min(losses.values()) + 0.02:  # longer contexts only get worse from here
            break
    best = min(losses, key=lambda order: losses[order])
    nothing = math.log(len(corpus.alphabet))
    held_out = f"in {len(corpus.folds())} folds" if corpus.kfold else "on the lines held out"
    return (
        "ngram",
        {"order": best},
        f"ngram of order {best}: {losses[best]:.4f} nats per symbol {held_out}, the least of orders "
        f"{min(losses)} to {max(losses)}; "
        + (
            f"knowing nothing costs {nothing:.4f}"
            if losses[best] < nothing
            else f"but knowing nothing costs only {nothing:.4f}: the list is too short to learn from"
        ),
    )
