"""The exercises, from easy to hard, each by its id."""

from __future__ import annotations

from moreish.errors import UsageError, did_you_mean
from moreish.explaining.exercises.definition import Exercise
from moreish.explaining.exercises.lecture import LECTURE
from moreish.explaining.exercises.pointwise import POINTWISE

EXERCISES: dict[str, Exercise] = {each.id: each for each in (*POINTWISE, *LECTURE)}


def exercise(name: str) -> Exercise:
    """The exercise of this id.

    Raises:
        UsageError: there is none; says which come near.
    """
    if not isinstance(name, str) or name not in EXERCISES:
        raise UsageError(f"no exercise is called {name!r:.60}. {did_you_mean(str(name), EXERCISES)}")
    return EXERCISES[name]
