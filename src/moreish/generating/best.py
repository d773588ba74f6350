"""The most probable lines of a model, exactly, conditions included."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from jaxtyping import Float
from torch import Tensor

from moreish.errors import Impossible
from moreish.generating.beam import PathTree, highest
from moreish.generating.best_first import DIGITS, Search
from moreish.generating.constraints import Compiled, Conditions
from moreish.generating.novelty import ORIGINS
from moreish.generating.sample import check_request, novelty_of
from moreish.generating.sampler import default_max_length
from moreish.generating.sources import compile_for, paths_under
from moreish.learning.recipe import Trained

FEW = 20_000
"""Lines, likely or not, that conditions may leave for a model without tables to be asked about every one of them, which
gives the conditions' own probability."""
MOST_KEPT = 1 << 20
"""Lines looked at for new ones among them."""
AT_ONCE = 256
"""Lines of a search whose origins are looked up together."""


@dataclass(frozen=True, slots=True)
class BestLine:
    """`nats`: the whole line's negative log-probability, its end included; `nats_given_condition`: the same given the
    conditions, None where their probability is not known; `origin` and `near` as in `Line`."""

    text: str
    nats: float
    nats_given_condition: float | None
    origin: str
    near: str | None


@dataclass(frozen=True)
class Best:
    """The most probable lines, in order. Lines that differ by less than 1e-10 nats come in the order of their symbols.

    `exact`: these are the most probable of all, as many as were asked for or as there are; else the search gave up
    before, after `read` beginnings, and those it found are still the most probable ones. `all_there_are`: there are no
    others. `log_probability`: of a line being as asked, at most the maximum length and all; exact, None if not known.
    """

    lines: list[BestLine]
    asked: int
    found: int
    exact: bool
    all_there_are: bool
    log_probability: float | None
    read: int | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        log = self.log_probability
        return {
            "lines": [{name: getattr(line, name) for name in BestLine.__slots__} for line in self.lines],
            "asked": self.asked,
            "found": self.found,
            "exact": self.exact,
            "all_there_are": self.all_there_are,
            "log_probability": log,
            "probability": None if log is None else math.exp(log),
            "read": self.read,
        }


def best(
    trained: Trained,
    count: int = 20,
    *,
    conditions: Conditions = Conditions(),  # noqa: B008  frozen
    max_length: int | None = None,
    new_only: bool = False,
) -> Best:
    """The `count` most probable lines that meet conditions, under the model as it was trained.

    Exact for models that look back only so far, by the likeliest end of every beginning (Viterbi 1967). Others are
    searched best-first, until a budget of beginnings is spent.

    Args:
        max_length: symbols in a line at most, where no larger length is among the conditions; default as for `sample`.
        new_only: pass over the lines of the run's list.

    Raises:
        UsageError: a request that means nothing, or conditions that cannot be read.
        AlphabetError: a condition names characters that the model never saw.
        Impossible: no line is like that, or none has any probability.
    """
    check_request(count, max_length=max_length)
    most = default_max_length(trained.longest) if max_length is None else max_length
    paths = paths_under(trained, conditions, most)
    if paths is None:
        return _searched(trained, compile_for(trained, conditions, most), count, new_only)
    log_total = paths.sums.log_total
    if log_total == -math.inf:
        raise _unseen()
    wanted = count + 1  # whether there is one more is to be said
    while True:
        kept = highest(LikeliestTree(paths.best), wanted)
        texts = trained.alphabet.decode_rows(kept.ids.numpy(), kept.lengths.numpy())
        lines = list(_lines(trained, texts, kept.nats.tolist(), log_total, new_only))
        every = len(kept) < wanted
        if len(lines) > count or every or wanted >= MOST_KEPT:
            break
        wanted = min(4 * wanted + 1_000, MOST_KEPT)
    every &= len(lines) <= count
    lines = lines[:count]
    return Best(lines, count, len(lines), len(lines) == count or every, every, log_total, None)


class LikeliestTree(PathTree):
    """Scores rounded, so that what is equal but for rounding is kept in the order of ids."""

    def scores(self, first: int, end: int, own: Float[Tensor, " L"]) -> Float[Tensor, "L V"]:
        return super().scores(first, end, own).mul_(10.0**DIGITS).round_().div_(10.0**DIGITS)


def _searched(trained: Trained, compiled: Compiled, count: int, new_only: bool) -> Best:
    search = Search(trained.model, compiled)
    lines, found, total = iter(search), [], 0.0
    every = compiled.lines <= FEW
    while (len(found) <= count or every) and (some := list(islice(lines, AT_ONCE if every else count + 1))):
        nats = [spent for _, spent in some]
        total += sum(math.exp(-spent) for spent in nats)
        found += _lines(trained, [trained.alphabet.decode(ids) for ids, _ in some], nats, None, new_only)
    if search.complete and not total:
        raise _unseen()
    log_total = math.log(total) if search.complete else None
    if log_total is not None:
        found = [replace(line, nats_given_condition=max(line.nats + log_total, 0.0)) for line in found]
    all_there_are = search.complete and len(found) <= count
    found = found[:count]
    exact = len(found) == count or all_there_are
    return Best(found, count, len(found), exact, all_there_are, log_total, search.read)


def _lines(
    trained: Trained, texts: list[str], nats: list[float], log_total: float | None, new_only: bool
) -> Iterator[BestLine]:
    """The lines with their origins, without those of the list where only new ones are wanted."""
    novelty = novelty_of(trained)
    origins = novelty.origins(texts)
    for text, spent, kind, near in zip(texts, nats, origins.kinds.tolist(), origins.near):
        if not new_only or ORIGINS[kind] != "copy":
            # A probability of 1 may be a little more by rounding.
            given = None if log_total is None else max(spent + log_total, 0.0)
            yield BestLine(text, spent, given, ORIGINS[kind], near)


def _unseen() -> Impossible:
    return Impossible(
        "no line that is like that has any probability: this model, without smoothing, never saw what it takes. "
        "Loosen the conditions, or train with --smoothing kneser-ney."
    )
