"""The bigram's table of counts, as arrays, and what it says of a list."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moreish.errors import ListError
from moreish.models.counts import count_grams
from moreish.shapes import BOUNDARY_SIGN
from moreish.text.alphabet import Alphabet
from moreish.text.corpus import Corpus
from moreish.text.lines import Lines

MOST_SYMBOLS = 256
"""Beyond, a table is no picture, and the Hessian of its network takes minutes."""


@dataclass(frozen=True)
class Table:
    """How often each symbol came after each: `counts` int64 [V V], row = the symbol before; `dev` likewise or None.

    `stream` is the text that was counted as ids, `0 e m m a 0 a v a 0`: [N + 1].
    """

    labels: list[str]
    counts: np.ndarray
    dev: np.ndarray | None
    stream: np.ndarray

    @property
    def symbols(self) -> int:
        """V, the boundary included."""
        return len(self.labels)

    @property
    def positions(self) -> int:
        """Symbols predicted, which are pairs counted, line ends included."""
        return int(self.counts.sum())

    @property
    def rows(self) -> np.ndarray:
        """How often each symbol came before another: int64 [V]."""
        return self.counts.sum(1)

    @property
    def probabilities(self) -> np.ndarray:
        """Each row divided by its sum: float64 [V V]; of a row that was never counted, 1/V each."""
        rows = self.rows[:, None]
        return np.where(rows > 0, self.counts / np.maximum(rows, 1), 1 / self.symbols)

    def nats(self, probabilities: np.ndarray, counts: np.ndarray | None = None) -> float:
        """The mean negative log-likelihood under some probabilities, of these counts or others; infinite where what
        came was held impossible."""
        counts = self.counts if counts is None else counts
        came = counts > 0
        with np.errstate(divide="ignore"):
            return float(-(counts[came] * np.log(probabilities[came])).sum() / counts.sum()) + 0.0  # no minus zero


def table_of(corpus: Corpus) -> Table:
    """The table of a list's train part, and that of its dev part.

    Raises:
        ListError: the list has more symbols than the table of a picture.
    """
    alphabet = corpus.alphabet
    if len(alphabet) > MOST_SYMBOLS:
        raise ListError(
            f"{corpus.name} has {len(alphabet):,} symbols, and a table of {len(alphabet):,} by {len(alphabet):,} is no "
            f"picture: at most {MOST_SYMBOLS} are explained. Give a list of fewer, such as names."
        )
    held_out = None if corpus.split == "none" or not len(corpus.dev) else counted(corpus.dev, alphabet)
    labels = [BOUNDARY_SIGN, *alphabet.symbols]
    return Table(labels, counted(corpus.train, alphabet), held_out, alphabet.encode_lines(corpus.train))


def counted(lines: Lines, alphabet: Alphabet) -> np.ndarray:
    """The pairs of some lines: int64 [V V]."""
    pairs = count_grams(lines, alphabet, 2)
    counts = np.zeros((len(alphabet), len(alphabet)), np.int64)
    counts[pairs.rows[:, 0], pairs.rows[:, 1]] = pairs.counts
    return counts
