"""Which training lines support a symbol: those in which it followed the same context, the longest that any has.

The lines are one stream of ids, `0 e m m a 0 a v a 0`, and a context is found by narrowing: where the symbol stands at
all, of those places where the symbol before it is the same too, and so on back to the line's start. Each step leaves
about one place in V, so the first pass over the stream is nearly all that it costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moreish.learning.recipe import Trained
from moreish.shapes import BOUNDARY
from moreish.text.alphabet import Alphabet

LINES = 3
"""Training lines that are named."""
LOOKED_AT = 1_000
"""Places looked at for lines that differ, where the list holds a line many times."""


@dataclass(frozen=True)
class Example:
    """A training line in which the symbol stands at `position`: symbols before it, so the first is at 0."""

    line: str
    position: int


@dataclass(frozen=True)
class Support:
    """What the training lines have to say for a symbol.

    `context` is the longest suffix of what was read (with the line's start before it where `from_start`) that some
    training line has with this symbol after it: it was `seen` so often, and `followed` by this symbol so often. Lines
    that stand twice count twice. `lines` are the first three different ones.
    """

    context: str
    from_start: bool
    seen: int
    followed: int
    lines: list[Example]


class TrainingStream:
    """The training lines as one stream of ids, to be searched."""

    def __init__(self, stream: np.ndarray, alphabet: Alphabet):
        self.stream, self.alphabet = stream, alphabet
        self.boundaries = np.flatnonzero(stream == BOUNDARY)

    def support(self, read: np.ndarray, symbol: int) -> Support:
        """The support of `symbol` after `read`: the line's ids so far, its boundary first."""
        places, length = self._longest(read, symbol)
        context = read[len(read) - length :]
        from_start = bool(length and context[0] == BOUNDARY)
        return Support(
            context=self.alphabet.decode(context[int(from_start) :].tolist()),
            from_start=from_start,
            seen=self._count(context),
            followed=len(places),
            lines=self._examples(places),
        )

    def _longest(self, read: np.ndarray, symbol: int) -> tuple[np.ndarray, int]:
        """Where `symbol` stands after the longest suffix of `read` that it stands after at all; and how long that is.

        No place reaches back beyond its line's start: only the oldest symbol of `read` is a boundary.
        """
        places = np.flatnonzero(self.stream[1:] == symbol) + 1
        for length in range(1, len(read) + 1):
            longer = places[self.stream[places - length] == read[-length]]
            if not len(longer):
                return places, length - 1
            places = longer
        return places, len(read)

    def _count(self, context: np.ndarray) -> int:
        """How often a context is followed by anything, a line's end included."""
        if not len(context):
            return len(self.stream) - 1
        places = np.flatnonzero(self.stream[:-1] == context[-1])
        for back in range(1, len(context)):
            places = places[self.stream[places - back] == context[-1 - back]]
        return len(places)

    def _examples(self, places: np.ndarray) -> list[Example]:
        places = places[:LOOKED_AT]
        lines = np.searchsorted(self.boundaries, places) - 1
        found: dict[str, Example] = {}
        for place, line in zip(places.tolist(), lines.tolist()):
            start, end = self.boundaries[line : line + 2].tolist()
            text = self.alphabet.decode(self.stream[start + 1 : end].tolist())
            found.setdefault(text, Example(text, place - start - 1))
            if len(found) == LINES:
                break
        return list(found.values())


def training_stream(trained: Trained) -> TrainingStream | None:
    """The run's training lines, encoded once and kept with the run; None where it kept only their hashes."""
    if trained.hashes is not None:
        return None
    return trained.once(
        "training stream",
        lambda: TrainingStream(trained.alphabet.encode_lines(trained.corpus.train), trained.alphabet),
    )
