"""What the figures on BatchNorm say, in sentences that are made from them."""

from __future__ import annotations

from moreish.explaining.batchnorm.chapter import BatchNormFound
from moreish.explaining.batchnorm.faults import LectureAxes, Padding, Pair
from moreish.explaining.batchnorm.regularizing import Regularized
from moreish.explaining.batchnorm.truth import Axes, Mode, Small
from moreish.explaining.seeds import OverSeeds

ROUNDING = 1e-10
"""Below this a number in float64 is rounding."""

LITTLE = 0.25
"""The share of a cost below which another is little beside it."""

OUTCOMES = {
    "error": "refused",
    "nan": "not a number",
    "running": "normalised by what is stored",
    "constant": "the same whatever came in",
    "signs": "one size, whatever came in",
    "normal": "normalised",
}


def explained(found: BatchNormFound) -> dict[str, str]:
    """A sentence or two for each figure, by its name."""
    words = {
        "axes": (
            "Found by moving one number of an input: the outputs that move with it share its mean and variance. "
            f"{_axes(found.axes)}"
        ),
        "modes": (
            "Batch statistics are those that other rows move. `through` is whether one row's output sends a gradient "
            f"to another row. {_modes(found.modes)}"
        ),
        "small": f"What a layer in learning mode makes of so few rows. {_small(found.small)}",
        "mates": (
            "A line beside other lines, drawn many times: by how much its logits and its nats per symbol deviate, the "
            "widest range of its nats, and the largest difference of a logit in evaluation, in float64."
        ),
        "bias": (
            "The largest gradient of a bias before BatchNorm, against the largest of the weights beside it. The mean "
            "takes out whatever the bias puts in, so in learning mode only rounding is left; by running statistics, or "
            "without BatchNorm, it counts."
        ),
        "padding": (
            f"Lines padded to the longest of their batch of {found.padding.batch}; padded positions count in the "
            f"statistics, never in the loss. Losses are nats per symbol on {found.part}, after "
            f"{found.padding.steps} steps."
        ),
        "lecture": (
            f"The tree with BatchNorm over all axes but the last, and over the first alone, as the lecture's class "
            f"took it at first: each place by statistics of its own, from {found.lecture.rows_first[0]} numbers in "
            f"place of {found.lecture.rows_mended[0]} at the first level."
        ),
    }
    told = found.regularizes
    if told is not None:
        words["regularizes"] = (
            f"MLPs of equal size, {told.steps} steps on {told.lines} lines, so few that they can be learnt by heart. "
            f"`calmer` has BatchNorm by statistics of four times as many rows: batch-mates move a row half as far."
        )
    return words


def concluded(found: BatchNormFound) -> list[str]:
    """What follows, from the numbers of this list."""
    return [
        _of_mates(found),
        _of_bias(found),
        found.not_measured if found.regularizes is None else of_regularizing(found.regularizes),
        of_padding(found.padding),
        of_lecture(found.lecture),
        "Every interval is of seeds: equal weights and equal batches for both of a pair, another draw for each seed.",
    ]


def of_regularizing(found: Regularized) -> str:
    """Whether it regularises, by the gap and at an equal train loss: a gap can be narrow for want of learning too."""
    equal, narrower = found.equal_train_gain, found.narrower
    gap = (
        f"the gap of dev over train is {found.gap_with.value:.3f} nats with it, {found.gap_without.value:.3f} without, "
        f"{_apart(narrower, 'narrower', 'wider')}"
    )
    if equal is None:
        return f"Regularises: not decided. At equal steps {gap}. {found.reason}"
    at_equal = f"at an equal train loss dev is {_apart(equal, 'better', 'worse')} with it"
    if narrower.above and equal.above:
        return f"Regularises: yes. At equal steps {gap}; and {at_equal}. {_of_noise(found)}"
    if narrower.below or equal.below:
        return f"Regularises: no, not on this list. At equal steps {gap}; {at_equal}."
    if narrower.above:
        return (
            f"Regularises: not shown on this list. At equal steps {gap}, but it has learnt less by then: {at_equal}, "
            f"which is within the noise of seeds."
        )
    return f"Regularises: not shown on this list. At equal steps {gap}; {at_equal}. Both may be chance."


def _of_noise(found: Regularized) -> str:
    noise, narrower = found.noise, found.narrower.value
    if not noise.above:
        return (
            f"Its noise is not seen to be the reason: where batch-mates move a row half as far the gap is "
            f"{_apart(noise, 'wider', 'narrower')}, within the noise of seeds."
        )
    share = noise.value / narrower
    little = "a small part of" if share < LITTLE else "much of"
    return (
        f"The batch-mates' noise is {little} the reason: where they move a row half as far, the gap is "
        f"{_apart(noise, 'wider', 'narrower')}, {100 * share:.0f} % of what BatchNorm narrowed it by."
    )


def of_padding(found: Padding) -> str:
    """Which of the three wrong pairs costs anything."""
    pairs = {(pair.learnt_padded, pair.evaluated_padded): pair for pair in found.pairs}
    learnt, evaluated, both = pairs[True, False], pairs[False, True], pairs[True, True]
    text = (
        f"Padding: {100 * found.share:.0f} % of positions are padding, which moves a channel's mean by "
        f"{found.mean_moved:.2f} of its deviation, {found.mean_moved_most:.2f} at most, and its variance by a factor "
        f"from {found.variances[0]:.2f} to {found.variances[1]:.2f}. Learnt with it and evaluated without "
        f"{_of(learnt)}; the other way round {_of(evaluated)}."
    )
    text += f" With padding in both it {_of(both)}"
    assert learnt.cost is not None and evaluated.cost is not None and both.cost is not None
    least = min(learnt.cost.value, evaluated.cost.value)
    if learnt.cost.above and evaluated.cost.above and both.cost.value < LITTLE * least:
        return (
            f"{text}: what costs is hardly the padding as such but that learning and evaluation disagree about it, as "
            f"they do when one line is sampled or scored by itself."
        )
    return f"{text}, in so few steps."


def of_lecture(found: LectureAxes) -> str:
    """What the axes cost here, beside the lecture's figure."""
    before, after = found.lecture
    there = (
        f"The lecture's own figures are {before} before and {after} after it mended this, {before - after:.3f} apart."
    )
    cost = found.cost
    if cost.above:
        verdict = f"costs {_interval(cost)}"
    elif cost.below:
        verdict = f"gains {_interval(cost, -1)}, on this list"
    else:
        verdict = f"is not shown to cost anything in so few steps: {_interval(cost)}"
    return f"The lecture's axes: BatchNorm over the first axis alone {verdict} after {found.steps} steps. {there}"


def _of_mates(found: BatchNormFound) -> str:
    first, last = found.mates[0], found.mates[-1]
    still = max(each.evaluation for each in found.mates)
    quiet = "nothing but rounding" if still < ROUNDING else f"{still:.1g}, which is more than rounding"
    return (
        f"Batch-mates: while learning, a line's loss deviates by {first.nats:.3f} nats with the other lines in batches "
        f"of {first.batch}, by {last.nats:.3f} in batches of {last.batch}. In evaluation they change {quiet} "
        f"({still:.0e})."
    )


def _of_bias(found: BatchNormFound) -> str:
    by = {(each.precision, each.where): each for each in found.bias}
    return (
        f"A bias before BatchNorm learns nothing: its gradient is {by['float64', 'learning'].ratio:.0e} of the "
        f"weights' in float64, {by['float32', 'learning'].ratio:.0e} in float32. Without BatchNorm it is "
        f"{by['float64', 'without'].ratio:.2f}. So models here leave it out."
    )


def _axes(axes: list[Axes]) -> str:
    by = {(each.who, each.input, len(set(each.shape)) == len(each.shape)): each for each in axes}
    ours, first = by["moreish", "[B T D]", True], by["lecture at first", "[B T D]", True]
    refused, square = by["torch", "[B T D]", True], by["torch", "[B T D]", False]
    assert ours.over and first.over and first.kept
    alike = [who for who in ("torch transposed", "lecture mended") if by[who, "[B T D]", True].over == ours.over]
    text = f"Ours takes [B T D] over {and_(ours.over)}" + (f", as do {and_(alike)}." if alike else ".")
    if refused.over is None and square.over:
        text += (
            f" torch wants [N C L]: given [B T D] as it is, it refuses, unless T = D. Then it takes the places for "
            f"channels and normalises over {and_(square.over)}, and nothing says so."
        )
    return (
        f"{text} The lecture's class at first took it over {and_(first.over)}: {first.shares} numbers in a mean in "
        f"place of {ours.shares}, and {' x '.join(map(str, first.kept))} means to store."
    )


def _modes(modes: list[Mode]) -> str:
    by = {(each.who, each.mode): each for each in modes}
    said = []
    silent = by["torch under no_grad", "learning"]
    if silent.statistics == "batch" and silent.stores:
        said.append("`no_grad` is no evaluation mode: batch statistics are used, and are stored.")
    untracked = by["torch without buffers", "evaluation"]
    if untracked.statistics == "batch":
        said.append("A layer without buffers normalises by the batch in evaluation too.")
    return " ".join(said)


def _small(small: list[Small]) -> str:
    by = {(each.who, each.rows): each for each in small}
    one = and_([f"{who} ({OUTCOMES[each.outcome]})" for (who, rows), each in by.items() if rows == 1])
    text = f"One row has no variance: {one}."
    if all(each.outcome == "signs" for (_, rows), each in by.items() if rows == 2):
        passes = max(each.passes or 0 for (_, rows), each in by.items() if rows == 2)
        text += (
            f" Of two rows one is above their mean and one as far below it, whatever they were: all of them come out "
            f"the same size, and {passes:.0e} of the gradient passes."
        )
    return text


def _of(pair: Pair) -> str:
    assert pair.cost is not None
    if pair.cost.above:
        return f"costs {_interval(pair.cost)}"
    if pair.cost.below:
        return f"gains {_interval(pair.cost, -1)}"
    return f"is within the noise of seeds ({_interval(pair.cost)})"


def _apart(each: OverSeeds, more: str, less: str) -> str:
    return f"{more if each.value >= 0 else less} by {_interval(each, 1 if each.value >= 0 else -1)}"


def _interval(each: OverSeeds, sign: int = 1) -> str:
    """`0.041 nats (0.034 to 0.049)`."""
    value = f"{sign * each.value:.4f} nats"
    if each.low is None or each.high is None:
        return f"{value} (one seed: no interval)"
    low, high = sorted((sign * each.low, sign * each.high))
    return f"{value} ({low:.4f} to {high:.4f})"


def and_(words: list[str]) -> str:
    """`a, b and c`."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
