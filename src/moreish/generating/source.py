"""What lines are taken from: the one interface of free, exact, listed and estimated draws."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from moreish.errors import Impossible, UsageError, counted
from moreish.generating.sampler import Drawn
from moreish.generating.without_replacement import most_distinct
from moreish.learning.recipe import Trained

WITHOUT_REPLACEMENT = "sampling without replacement"
COUNTED = 1 << 40
"""Lines up to which it is said how many there are."""


@dataclass(frozen=True)
class Probability:
    """How probable the conditions are under what is drawn from; `low` to `high` is a 95 % interval where it is an
    estimate."""

    log: float
    low: float | None = None
    high: float | None = None

    @property
    def value(self) -> float:
        return math.exp(self.log)


class Source(ABC):
    """Lines, batch after batch, and how probable they are together.

    `probability` is None where nothing is asked of the lines. `beyond`: the probability of lines that are meant but are
    longer than is drawn, where that is known.
    """

    exact = True
    probability: Probability | None = None
    beyond: float | None = None
    share_new: float | None = None
    """Of what is meant, where only new lines are drawn and it is known."""
    trained: Trained

    @property
    def most_distinct(self) -> int:
        """How many lines can be drawn without replacement."""
        return most_distinct(self.trained.model)

    @abstractmethod
    def batches(self, seed: int, at_once: int) -> Iterator[Drawn]:
        """Lines without end; take what is needed."""

    def distinct(self, count: int, seed: int) -> Drawn:
        """The first `count` lines of drawing without replacement, in their order; fewer where there are no more.

        Raises:
            UsageError: not from this model under conditions.
        """
        raise UsageError(
            "under conditions, drawing without replacement needs a model that can be written out: counts, or a network "
            "of a short window. Use --distinct, which leaves out repeats, or a run of --model ngram."
        )

    def without(self, known: Trained) -> Probability | None:
        """The probability of lines that are meant and do not stand in the run's list; None where that is unknown."""
        return None

    def possible(self, known: Trained, new_only: bool) -> int | None:
        """How many different lines are meant; None where that is unknown, or they are too many to count.

        Raises:
            Impossible: every line that is meant stands in the list, and new ones are wanted.
        """
        return None


def new_ones(lines: float, in_list: int) -> int:
    """How many of some lines are left where those in the list are not wanted.

    Raises:
        Impossible: none.
    """
    if in_list >= lines:
        raise Impossible(
            f"{counted(in_list, 'line')} like that, and each stands in the list, so none would be new. "
            f"Loosen a condition, or leave out --new-only."
        )
    return round(lines) - in_list
