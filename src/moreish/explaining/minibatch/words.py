"""What the figures on minibatches say, in sentences that are made from them."""

from __future__ import annotations

import math

from moreish.explaining.minibatch.minibatch import Minibatch, Moment
from moreish.explaining.minibatch.noise import BatchSize
from moreish.explaining.minibatch.race import Contender, Cost

ALIKE = 0.005
"""Nats per symbol within which a race is called a draw."""
OVERFIT = 0.02
"""Nats per symbol above the best by which a training that ends there is said to overfit."""


def explained(found: Minibatch) -> dict[str, str]:
    """A sentence or two for each figure, by its name."""
    slopes = [moment.noise.slope for moment in found.moments if moment.noise.slope is not None]
    fall = f"measured: {_listed([f'{slope:.3f}' for slope in slopes])}" if slopes else "no two sizes fit this list"
    estimated = [
        f"{moment.noise.noise_scale_estimated:,.0f} for {moment.noise.noise_scale:,.0f}"
        for moment in found.moments
        if moment.noise.noise_scale_estimated is not None and moment.noise.noise_scale is not None
    ]
    guess = (
        f" Estimated from two batch sizes alone, as one does on a long list: {_listed(estimated)}." if estimated else ""
    )
    return {
        "angle": (
            "degrees between a minibatch's gradient and the full one, on average, and the two angles between which 19 "
            "of 20 minibatches lie. 0: the same direction; 90: nothing in common."
        ),
        "spread": (
            "the size of the error, |g - G| / |G|. It falls as 1 / sqrt(batch): to halve it takes four times the "
            f"examples. The slope in powers of ten is expected at -1/2; {fall}."
        ),
        "expected": (
            "what the noise scale alone says, with nothing fitted: sqrt(noise / batch) for the spread, "
            "arccos 1 / sqrt(1 + noise / batch) for the angle."
        ),
        "loss": "the deviation of a minibatch's own loss, in nats: by so much a curve of such losses jumps.",
        "noise": (
            f"tr(S) / |G|^2 from every example's own gradient: the batch whose error is as large as the gradient. "
            f"Below it, twice the batch is worth nearly twice the steps; far above it, next to nothing.{guess}"
        ),
    }


def concluded(found: Minibatch) -> list[str]:
    """Why an approximate gradient and more steps win, or on this list do not: from the numbers."""
    sentences = [_of_approximation(found), _of_noise(found), _of_loss(found), _of_price(found), _of_race(found),
                 _of_symbols(found), _of_grouping(found)]  # fmt: skip
    return [sentence for sentence in sentences if sentence]


def headline(found: Minibatch) -> str:
    """The race in one sentence, or why there was none."""
    return _of_race(found)


def sides(found: Minibatch) -> tuple[Contender, Contender] | None:
    """The small batch and the full one in the race at equal time."""
    if found.seconds is None:
        return None
    small, full = found.seconds.race
    return small, full


def full_cost(found: Minibatch) -> tuple[Cost, Cost] | None:
    """The cost of a step of `batch`, and of the full one."""
    if found.seconds is None:
        return None
    small = next(cost for cost in found.seconds.costs if cost.batch == found.batch)
    return small, found.seconds.costs[-1]


def reached(found: Minibatch) -> tuple[int, int] | None:
    """Symbols that the full batch saw to come to its least loss, and those after which the small one was there."""
    if not found.curves:
        return None
    small, full = found.curves
    least = min(full.points, key=lambda point: point.nats)
    there = next((point for point in small.points if point.nats <= least.nats), None)
    return (least.symbols, there.symbols) if there is not None and there.symbols and least.symbols else None


def _later(found: Minibatch) -> Moment:
    """The first moment after the start, where there is one."""
    return found.moments[min(1, len(found.moments) - 1)]


def _row(found: Minibatch, moment: Moment) -> BatchSize | None:
    rows = moment.noise.batches
    return next((row for row in rows if row.batch == found.batch), rows[-1] if rows else None)


def _of_approximation(found: Minibatch) -> str:
    moment = _later(found)
    row = _row(found, moment)
    if row is None:
        return ""
    return (
        f"Approximate: after {moment.step:,} steps, the gradient of a batch of {row.batch} stands "
        f"{row.degrees.value:.0f} degrees from the full one on average, and its error is {row.spread.value:.1f} times "
        f"as large as the gradient. Yet along the full gradient {row.draws} of them go {row.along:.2f} times as far as "
        f"it, on average (1 in the long run): each is wrong, their mean is right, and over many small steps the errors "
        f"average out."
    )


def _of_noise(found: Minibatch) -> str:
    told = [(moment.step, moment.noise.noise_scale) for moment in found.moments if moment.noise.noise_scale is not None]
    if len(told) < 2:
        return ""
    (_, first), (step, last) = told[0], told[-1]
    grown = (
        "the gradient shrinks and its noise does not, so small batches do for the beginning, and later a larger batch, "
        "or a smaller rate, pays"
        if last > 2 * first
        else "it hardly grows here, so what batch is right does not change much while this list is learnt"
    )
    return (
        f"Noise: the noise scale is {first:,.0f} examples at the start and {last:,.0f} after {step:,} steps: {grown}."
    )


def _of_loss(found: Minibatch) -> str:
    moment = found.moments[-1]
    row = _row(found, moment)
    if row is None:
        return ""
    return (
        f"Jumps: the loss of a batch of {row.batch} deviates by {row.loss_deviation:.2f} nats about a mean of "
        f"{moment.nats:.2f}, so a curve of such losses hides any gain below that. It is no fault: averaged over 100 "
        f"steps it is {row.loss_deviation / 10:.3f}. Judge by a held-out part, not by one minibatch."
    )


def _of_price(found: Minibatch) -> str:
    priced = full_cost(found)
    if priced is None:
        return ""
    small, full = priced
    more = full.batch / small.batch
    return (
        f"Price: a full step sees {_times(more)} as many symbols as one of {small.batch} and takes "
        f"{_times(full.seconds / small.seconds)} as long. A batch that sees so many symbols has {math.sqrt(more):.0f} "
        f"times less error: accuracy grows with the root of the price, and steps with the price itself."
    )


def _of_race(found: Minibatch) -> str:
    pair = sides(found)
    if pair is None:
        return f"No race: {found.reasons.get('seconds', 'it was not run')}."
    small, full = pair
    ours, theirs = (min(side.points, key=lambda point: point.nats) for side in pair)
    assert found.seconds is not None
    told = (
        f"Equal time, {found.seconds.each:g} seconds each: {small.batch} took {small.steps:,} steps and came to "
        f"{ours.nats:.3f} nats on {found.part} at best, the full batch {full.steps:,} and to {theirs.nats:.3f}"
    )
    if abs(ours.nats - theirs.nats) < ALIKE:
        verdict = "a draw, for this list is short, and a full step of it cheap"
    elif ours.nats > theirs.nats:
        verdict = f"the full batch wins, for this list is short, a full step of it cheap, and {full.lr:g} a good rate"
    else:
        verdict = f"more steps win, though the full batch had the best of {len(found.rates)} rates"
    last = full.points[-1]
    if last.nats > theirs.nats + OVERFIT:
        verdict += f". By its end it overfits: {last.learnt:.3f} on train, {last.nats:.3f} on {found.part}"
    return f"{told}: {verdict}."


def _of_symbols(found: Minibatch) -> str:
    if not found.curves:
        return ""
    small, full = found.curves
    pair = reached(found)
    if pair is None:
        return (
            f"Equal symbols: {full.points[-1].step} full steps come to {full.points[-1].nats:.3f}, which {small.batch} "
            f"does not reach in {small.points[-1].step:,} steps."
        )
    theirs, ours = pair
    passes = theirs / found.symbols
    factor = f"{_times(theirs / ours)} fewer" if theirs > ours else "no fewer"
    return (
        f"Equal symbols, whatever the machine: what the full batch reaches in {passes:.0f} passes, {theirs:,} symbols, "
        f"{small.batch} reaches after {ours:,}, {factor}."
    )


def _of_grouping(found: Minibatch) -> str:
    pair = reached(found)
    if pair is None or found.distinct == found.symbols:
        return ""
    cheaper, fewer = found.symbols / found.distinct, pair[0] / pair[1]
    than = "far less than" if 3 * cheaper < fewer else "to be set against"
    return (
        f"Fair? Equal windows give equal gradients, and only {found.distinct:,} of {found.symbols:,} differ: a full "
        f"step that works each out once is at best {_times(cheaper)} as cheap, {than} the {_times(fewer)} above."
    )


def _times(factor: float) -> str:
    return f"{factor:,.0f} times" if factor >= 10 else f"{factor:.1f} times"


def _listed(words: list[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
