"""A number of lines as asked for, with an honest word on each: drawn, judged for novelty, kept or dropped."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from moreish.errors import UsageError
from moreish.generating.constraints import Conditions
from moreish.generating.draws import check_settings
from moreish.generating.memorising import COMPARED, PAIRS, AgainstTrain, Drawing, against_train
from moreish.generating.novelty import COPY, ORIGINS, Novelty, Origins, wilson
from moreish.generating.sampler import Drawn, check_max_length, default_max_length
from moreish.generating.source import Probability, Source
from moreish.generating.sources import source_of
from moreish.learning.recipe import Trained
from moreish.text.hashing import line_hashes

FEW_AT_ONCE, AT_ONCE = 256, 10_000
"""Two sizes of batch only, so that the same seed gives the same first lines whatever the number asked for."""
MOST_ASKED = 100_000_000
HELD_OUT_ASKED = 10_000
"""Held-out lines whose nearness is looked up: a share of so many is known to one percent."""
MOST_MEASURED = 1_000
"""Lines kept whose nearest line of the list is measured, however far it is."""
TRIES = 200
"""Lines drawn for each one asked for, at most, before a request with conditions gives up ..."""
LEAST_TRIES = 50_000
"""... but always this many."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line made by a model.

    `nats` is the negative log-probability of the whole line, its end included, under the model as it was trained,
    whatever the temperature. `origin` is `copy` (it stands in the run's list), `near copy` (new, but one edit from the
    line `near`) or `new`. `cut`: it had not ended at the maximum length. `nearest` is the list's line nearest to it,
    the first of those as near, and `edits` how many edits away it is: 0 for a copy (itself), 1 for a near copy. Farther
    ones are measured where `sample` was given a `distance`, for the first 1,000 lines (fewer where the list has more
    than 100,000); else both are None. `nats_given_condition`: the negative log-probability of this line among all those
    that meet the conditions (and are new, where that was asked), under what it was drawn by; None where nothing was
    asked, or it is not known.
    """

    text: str
    nats: float
    origin: str
    near: str | None
    cut: bool
    nearest: str | None = None
    edits: int | None = None
    nats_given_condition: float | None = None


@dataclass(frozen=True)
class NoveltyRates:
    """How new the lines drawn were, kept or not. *New* means: not among the run's lines, train, dev and test alike.

    `rate` with its 95 % interval `low` to `high` (Wilson): new lines among those drawn. `near_rate`: of the new ones,
    how many are one edit from a line of the list; `held_out_near_rate`: the same of real unseen lines, the held-out
    ones against the training lines (for given names about 0.89, so near is no fault). The first looks at all the
    run's lines, dev and test too, and the second at train alone, so the second is a little the harder.
    """

    rate: float | None
    low: float | None
    high: float | None
    near_rate: float | None
    held_out_near_rate: float | None
    against_train: AgainstTrain | None = None


@dataclass(frozen=True)
class Sample:
    """What a request for lines gave. `found` is less than `asked` where no more could be found in a fair time; `drawn`
    counts the lines drawn to find them, but for empty ones.

    `probability_of_condition`: of a line that meets the conditions (and is new, where that was asked), under what lines
    are drawn by; None where nothing was asked, or it is unknown. `exact`: lines were drawn from exactly the model given
    the conditions, and that is their exact probability; else it is an estimate, with the 95 % `probability_interval`.
    `beyond`: the probability of lines that meet them and are longer than any that is drawn; None where that is unknown.
    `possible`: how many different lines there are to be found, where so few of them are left that it matters.
    """

    lines: list[Line]
    asked: int
    found: int
    drawn: int
    novelty: NoveltyRates
    probability_of_condition: float | None = None
    probability_interval: tuple[float, float] | None = None
    exact: bool = True
    beyond: float | None = None
    possible: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        names = list(Line.__dataclass_fields__)
        return {
            "lines": [{name: _finite(getattr(line, name)) for name in names} for line in self.lines],
            "asked": self.asked,
            "found": self.found,
            "drawn": self.drawn,
            "novelty": asdict(self.novelty),
            "probability_of_condition": self.probability_of_condition,
            "probability_interval": self.probability_interval and list(self.probability_interval),
            "exact": self.exact,
            "beyond": self.beyond,
            "possible": self.possible,
        }


def sample(
    trained: Trained,
    count: int = 20,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    typical: float | None = None,
    prefix: str = "",
    conditions: Conditions | None = None,
    max_length: int | None = None,
    seed: int = 0,
    new_only: bool = False,
    distinct: bool = False,
    without_replacement: bool = False,
    distance: int | None = None,
) -> Sample:
    """Make lines like those of the list. Empty lines, which no list can hold, are drawn again.

    Args:
        count: lines asked for.
        temperature: 1 is the model as it is; below 1 likelier lines, 0 the likeliest symbol each time.
        top_k, top_p: keep only the k likeliest symbols, or the likeliest that together have probability p.
        typical: keep only the symbols about as surprising as is to be expected, that together have probability tau.
        prefix: what every line begins with.
        conditions: what else every line shall be like; drawn exactly where the model can be written out.
        max_length: symbols in a line at most; default twice the longest line of the list, at most 1,000.
        seed: the same seed gives the same lines.
        new_only: keep only lines that do not stand in the run's list.
        distinct: keep each line once.
        without_replacement: the same, drawn at once (Gumbel top-k) rather than by leaving out repeats; the likelier a
            line, the earlier it tends to come.
        distance: keep only lines more than this many edits from every line of the list (1 also drops near copies). Then
            each kept line has its nearest, and `novelty` a comparison with a count model and with held-out lines
            (`against_train`); together they take a second or two on 30,000 lines.

    Raises:
        UsageError: a setting that means nothing, or `distance` where the run kept no list.
        Impossible: no line can be like that, or the model gives none any probability.
        AlphabetError: a condition holds a symbol that the alphabet lacks.
    """
    check_request(count, distance, max_length, temperature, top_k, top_p, typical)
    conditions = _with_prefix(Conditions() if conditions is None else conditions, prefix)
    novelty = novelty_of(trained)
    if distance is not None and trained.hashes is not None:
        raise UsageError(
            "this run kept no list, so distances to its lines are unknown. Train again without --no-keep-list."
        )
    most = default_max_length(trained.longest) if max_length is None else max_length
    is_new = (lambda texts: novelty.origins(texts).is_new) if new_only else None
    how = (temperature, top_k, top_p, typical)
    source = source_of(trained, conditions, how, most, is_new)
    probability, possible = source.probability, source.possible(trained, new_only)
    if new_only and source.exact:
        probability = source.without(trained)
    picky = new_only or distinct or without_replacement or distance is not None

    def is_allowed(texts: list[str]) -> np.ndarray:
        return _allowed(novelty, texts, novelty.origins(texts), new_only, distance) & np.array([bool(x) for x in texts])

    # At temperature 0 every line is the same: more of them would be no others.
    tries = max(TRIES * count, LEAST_TRIES) if temperature > 0 else 1 if picky else count
    distinct |= without_replacement
    wanted = count if possible is None or not distinct else min(count, possible)
    lines: list[Line] = []
    kept: set[str] = set()
    drawn = new = near = 0
    batches = source.batches(seed, FEW_AT_ONCE if count <= FEW_AT_ONCE else AT_ONCE)
    if without_replacement:  # no more than fit in memory; more asked for than that are refused
        batches = _distinct(source, wanted, min(tries, max(wanted, source.most_distinct)), seed, is_allowed)
    compared: list[str] = []
    for batch in batches:
        batch = batch.chosen(slice(tries if picky else min(tries, count - len(lines))))
        tries -= len(batch.texts)
        batch = _without_empty(batch)
        origins = novelty.origins(batch.texts)
        drawn += len(batch.texts)
        compared += batch.texts[: COMPARED - len(compared)]
        new += int(origins.is_new.sum())
        near += int(origins.is_near.sum())
        allowed = _allowed(novelty, batch.texts, origins, new_only, distance)
        if not source.exact:
            probability = source.probability
        given = _given(batch, probability)
        lines += islice(_judged(batch, origins, allowed, kept if distinct else None, given), wanted - len(lines))
        if len(lines) == wanted or tries <= 0:
            break
    rates = _rates(trained, drawn, new, near)
    if source.share_new is not None:  # known, and only new lines were drawn
        rates = replace(rates, rate=source.share_new, low=source.share_new, high=source.share_new)
    if distance is not None:
        lines = _with_nearest(novelty, lines, len(trained.corpus.lines))
        drawing = Drawing(conditions, how, most)
        rates = replace(rates, against_train=against_train(trained, compared, distance, drawing))
    return Sample(
        lines, count, len(lines), drawn, rates,
        None if probability is None else probability.value,
        None if probability is None or probability.low is None or probability.high is None
        else (probability.low, probability.high),
        source.exact, source.beyond, possible if possible is not None and possible < count else None,
    )  # fmt: skip


def _distinct(
    source: Source, wanted: int, most: int, seed: int, is_allowed: Callable[[list[str]], np.ndarray]
) -> Iterator[Drawn]:
    """Enough lines without replacement for `wanted` allowed ones, in one batch: what is thrown back is never met again,
    so the order of the others is that of drawing only them."""
    count = wanted
    while True:
        drawn = source.distinct(min(count, most), seed)
        allowed = int(is_allowed(drawn.texts).sum()) if drawn.texts else 0
        if allowed >= wanted or len(drawn.texts) < count or count >= most:
            yield drawn
            return
        count *= 4


def _with_prefix(conditions: Conditions, prefix: str) -> Conditions:
    if not isinstance(conditions, Conditions):
        raise UsageError(f"conditions={conditions!r:.60} are no Conditions. Use moreish.Conditions(suffix='a'), say.")
    if not isinstance(prefix, str):
        raise UsageError(f"prefix={prefix!r:.60} is not text. Use what every line shall begin with, or leave it out.")
    if prefix and conditions.prefix not in ("", prefix):
        raise UsageError(f"the prefix is given twice: {prefix!r:.40} and {conditions.prefix!r:.40}. Give one of them.")
    return replace(conditions, prefix=prefix) if prefix else conditions


def _given(batch: Drawn, probability: Probability | None) -> np.ndarray | None:
    """Nats of each line given the conditions: float64 [lines]; what rounding would make negative is 0."""
    if probability is None or batch.own is None or probability.log == -math.inf:
        return None
    return np.maximum(batch.own + probability.log, 0.0)


def _judged(
    batch: Drawn, origins: Origins, allowed: np.ndarray, kept: set[str] | None, given: np.ndarray | None
) -> Iterator[Line]:
    """The allowed lines of a batch, each with its word; lines in `kept`, if given, are passed over, others put in."""
    names = [ORIGINS[kind] for kind in origins.kinds.tolist()]
    for i in np.flatnonzero(allowed).tolist():
        text = batch.texts[i]
        if kept is not None:
            if text in kept:
                continue
            kept.add(text)
        near, cut = origins.near[i], bool(batch.cut[i])
        nearest, edits = (text, 0) if origins.kinds[i] == COPY else (near, None if near is None else 1)
        known = None if given is None or cut else float(given[i])
        yield Line(text, float(batch.nats[i]), names[i], near, cut, nearest, edits, known)


def _with_nearest(novelty: Novelty, lines: list[Line], known: int) -> list[Line]:
    """The lines, the first of them with the nearest of the `known` lines of the list."""
    first = [line.text for line in lines[: min(MOST_MEASURED, PAIRS // max(known, 1))]]
    found = novelty.nearest(first, None)
    named = [
        replace(line, nearest=nearest, edits=edits)
        for line, nearest, edits in zip(lines, found.texts(), found.distance.tolist())
    ]
    return named + lines[len(named) :]


def novelty_of(trained: Trained) -> Novelty:
    """What compares lines with the run's, made once: its list or, where it kept none, their hashes."""

    def make() -> Novelty:
        return Novelty(trained.corpus.lines) if trained.hashes is None else Novelty(None, hashes=trained.hashes)

    return trained.once("novelty", make)


def held_out_near_rate(trained: Trained) -> float | None:
    """Of the held-out lines that training never saw, the share within one edit of a training line."""
    corpus = trained.corpus
    if trained.hashes is not None or not len(corpus.dev):
        return None
    unseen = corpus.dev.take(np.flatnonzero(~np.isin(line_hashes(corpus.dev), line_hashes(corpus.train))))
    unseen = unseen[:HELD_OUT_ASKED]
    if not len(unseen):
        return None
    return float(Novelty(corpus.train).origins(unseen).is_near.mean())


def _rates(trained: Trained, drawn: int, new: int, near: int) -> NoveltyRates:
    if not drawn:
        return NoveltyRates(None, None, None, None, None)
    low, high = wilson(new, drawn)
    listed = trained.hashes is None
    return NoveltyRates(
        rate=new / drawn,
        low=low,
        high=high,
        near_rate=near / new if listed and new else None,
        held_out_near_rate=trained.once("held_out_near_rate", lambda: held_out_near_rate(trained)),
    )


def _allowed(novelty: Novelty, texts: list[str], origins: Origins, new_only: bool, distance: int | None) -> np.ndarray:
    """Which lines may be kept, by where they come from: bool [lines]."""
    if distance is not None:
        return _farther(novelty, texts, origins, distance)
    return origins.is_new if new_only else np.ones(len(texts), bool)


def _farther(novelty: Novelty, texts: list[str], origins: Origins, distance: int) -> np.ndarray:
    """Which lines are more than `distance` edits from every line of the list: bool [lines]."""
    allowed = origins.is_new & ~origins.is_near
    if distance > 1:
        far = np.flatnonzero(allowed)
        allowed[far] = ~novelty.within([texts[i] for i in far.tolist()], distance)
    return allowed


def _without_empty(batch: Drawn) -> Drawn:
    """A model gives the empty line a little of its probability, but it is no thing that a list could hold."""
    if all(batch.texts):
        return batch
    return batch.chosen(np.array([bool(text) for text in batch.texts]))


def check_request(
    count: int,
    distance: int | None = None,
    max_length: int | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    typical: float | None = None,
) -> None:
    """Refuse a request that means nothing, before anything is learnt for it.

    Raises:
        UsageError
    """
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_ASKED:
        raise UsageError(f"{count!r} lines cannot be asked for. Ask for a whole number from 1 to {MOST_ASKED:,}.")
    if distance is not None and (
        isinstance(distance, bool) or not isinstance(distance, int) or not 1 <= distance <= 100
    ):
        raise UsageError(f"distance={distance!r} is not a whole number from 1 to 100. Use 1 to drop near copies.")
    if max_length is not None:
        check_max_length(max_length)
    check_settings(temperature, top_k, top_p, typical)


def _finite(value: Any) -> Any:
    """The value, or None for a number that JSON has not."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
