"""How an explanation tells what it has come to: a stream of how far it is, at last what was found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

Found = TypeVar("Found")


@dataclass(frozen=True)
class Told:
    """`done` of `total` parts of the work are behind it."""

    done: int | float
    total: int | float


def last(events: Iterable[Any], kind: type[Found]) -> Found:
    """What was found: the event of that kind, which ends the stream."""
    for event in events:
        if isinstance(event, kind):
            return event
    raise AssertionError("the last event is what was found")
