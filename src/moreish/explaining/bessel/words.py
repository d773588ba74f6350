"""What the figures on Bessel's correction say, in sentences that are made from them."""

from __future__ import annotations

from moreish.explaining.bessel.correction import BatchSize, Bessel, Gain, Pair
from moreish.explaining.bessel.divisors import LESS, N

WORTH = 1e-3
"""Nats per symbol below which a choice is not worth a thought: seeds move a loss by more."""


def explained(found: Bessel) -> dict[str, str]:
    """A sentence or two for each figure, by its name."""
    first, last = found.batches[0], found.batches[-1]
    apart = max(abs(size.bias_n_minus_1) / size.bias_error for size in found.batches)
    right = max(abs(size.bias_n_minus_1) for size in found.batches)
    return {
        "ratio": "n / (n - 1): how many times as large the variance is when it is divided by n - 1.",
        "bias": (
            f"How far the mean estimate is from the true variance, over many batches of a fresh network's "
            f"pre-activations. Divided by n it is short by 1/n: by {_percent(-first.bias_n)} in batches of "
            f"{first.batch}, by {_percent(-last.bias_n)} in batches of {last.batch}. Divided by n - 1 it is right to "
            f"{_percent(right)}, at most {apart:.1f} standard errors off. A mean of deviations is short even so, its "
            f"square by {_percent(-first.bias_deviation)} in batches of {first.batch}: of what is right on average the "
            f"root is not."
        ),
        "activation": (
            f"What dividing by n - 1 in the batch makes of the normalised activations: one factor for all, "
            f"{first.activation:.3f} at {first.batch} and {last.activation:.3f} at {last.batch}. The gain that comes "
            f"after can learn it away."
        ),
        "gradient": (
            f"What it makes of the gradient that goes to the layers below; and how much of it passes at all, against "
            f"statistics that are given: {_percent(first.gradient_through)} in batches of {first.batch}, "
            f"{_percent(last.gradient_through)} in batches of {last.batch}. Of two rows one is normalised to 1 and one "
            f"to -1, whatever they were, so next to nothing is left to learn below."
        ),
        "loss": (
            f"Nats per symbol on {found.part}, the mean of {found.seeds} trainings of {found.steps} steps: batch by "
            f"one divisor, stored variance by the other. Compare within a row: larger batches have seen more."
        ),
        "size": (
            "How large normalised activations are in evaluation, against the batches of learning; at 1.00 the layers "
            "above meet what they learnt from."
        ),
    }


def concluded(found: Bessel) -> list[str]:
    """What follows, from the numbers of this list."""
    return [_of_stored(found.batches), _of_batch(found.batches), _of_size(found.batches)]


def matching(size: BatchSize) -> Pair:
    """The pair of divisors under which activations in evaluation are most nearly as large as in learning."""
    return min(size.loss, key=lambda pair: abs(pair.activation - 1))


def best(size: BatchSize) -> Pair:
    """The pair of divisors with the least loss."""
    return min(size.loss, key=lambda pair: pair.nats)


def _of_stored(sizes: list[BatchSize]) -> str:
    clear = [size for size in sizes if _clear(size.stored_gain) and abs(size.stored_gain.nats) >= WORTH]
    rest = [size for size in sizes if size not in clear]
    if not clear:
        return f"Stored: either. At no batch size is the choice surely worth {WORTH:g} nats."
    told = ", ".join(f"{_gained(size.stored_gain)} in batches of {size.batch}" for size in clear)
    signs = {size.stored_gain.nats > 0 for size in clear}
    side = "it depends" if len(signs) > 1 else LESS if True in signs else N
    left = f"; in batches of {_and(rest)} the choice is worth less than {WORTH:g} nats, or is not sure" if rest else ""
    return f"Stored: {side}. Against n, n - 1 {told}{left}."


def _of_batch(sizes: list[BatchSize]) -> str:
    clear = [size for size in sizes if _clear(size.batch_gain) and abs(size.batch_gain.nats) >= WORTH]
    if not clear:
        most = max(sizes, key=lambda size: abs(size.batch_gain.nats))
        return (
            f"In the batch: either. At no batch size is the choice surely worth {WORTH:g} nats; the most is that n - 1 "
            f"{_gained(most.batch_gain)} in batches of {most.batch}, and it gains in {most.batch_gain.times} of "
            f"{most.batch_gain.of} seeds."
        )
    told = ", ".join(f"{_gained(size.batch_gain)} in batches of {size.batch}" for size in clear)
    return f"In the batch: n - 1 {told}, as a factor on the activations, which the gain after them can undo."


def _of_size(sizes: list[BatchSize]) -> str:
    first = sizes[0]
    pairs = {(pair.batch, pair.stored): pair for pair in first.loss}
    mixed, twice = pairs[N, LESS], pairs[LESS, LESS]
    won = best(first)
    least = (
        "" if won is mixed else f" The least loss there is that of {won.batch} in the batch and {won.stored} stored."
    )
    always = all((matching(size).batch, matching(size).stored) == (N, LESS) for size in sizes)
    if always:
        return (
            f"Both: n in the batch with n - 1 stored is no contradiction. At every batch size it is the pair under "
            f"which activations in evaluation are nearest to their size in learning: {mixed.activation:.2f} times in "
            f"batches of {first.batch}, where n - 1 in both places gives {twice.activation:.2f} times.{least}"
        )
    return (
        f"Both: no pair keeps activations in evaluation nearest to their size in learning at every batch size; in "
        f"batches of {first.batch} it is {matching(first).batch} in the batch and {matching(first).stored} stored."
        f"{least}"
    )


def _clear(gain: Gain) -> bool:
    return gain.times in (0, gain.of)


def _gained(gain: Gain) -> str:
    return f"{'gains' if gain.nats > 0 else 'costs'} {abs(gain.nats):.4f} nats"


def _and(sizes: list[BatchSize]) -> str:
    *most, last = [str(size.batch) for size in sizes]
    return f"{', '.join(most)} and {last}" if most else last


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
