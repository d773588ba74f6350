"""What the figures of the bigram say, in sentences that are made from them."""

from __future__ import annotations

from moreish.explaining.bigram.likelihood import Underflow
from moreish.explaining.bigram.network import RATE, Reached
from moreish.explaining.bigram.smoothing import Smoothing, Strength
from moreish.explaining.bigram.walk import Bigram

FLAT = 1e-3
"""Nats along a line between two minima that are not worth a word; and the same of a probability's difference."""
STRAIGHT = 1e-9
"""Nats above the straight line that are rounding."""


def explained(found: Bigram) -> dict[str, str]:
    """A sentence or two for each step, by its name."""
    return {
        "problem": (
            "The problem: given what was read, say how probable each next symbol is. The model: look at the last "
            f"symbol alone. A line is then pairs, the boundary {found.labels[0]} before its first symbol and after its "
            "last, and to learn is to count them: a row of counts divided by its sum is a probability for each symbol."
        ),
        "table": (
            f"Knowing nothing costs ln {found.symbols} = {found.uniform:.4f} nats per symbol, the table "
            f"{found.counted:.4f}: no other probabilities of one symbol after one symbol cost less on these lines."
        ),
        "likelihood": _likelihood(found),
        "choice": _choice(found),
        "descent": _descent(found),
        "exponentials": _exponentials(found),
        "smoothing": _smoothing(found),
        "convex": _convex(found),
        "bent": _bent(found),
    }


def concluded(found: Bigram) -> list[str]:
    """What follows, from the numbers of this list."""
    end = found.descent
    return [
        f"One model, twice: the table says {found.counted:.4f} nats at once, the network {end.nats:.4f} after "
        f"{end.steps:,} steps, and their probabilities differ by {found.exponentials.mean:.2g} on average. Counting is "
        f"cheaper here; only the network goes on to longer contexts, where a table would be mostly empty.",
        f"The loss is the likelihood in a form that fits into a computer: {_gone(found)}, its mean negative logarithm "
        f"is {found.likelihood.mean:.4f}, and what makes one larger makes the other smaller.",
        _apart(found.smoothing),
        _starts(found),
    ]


def _starts(found: Bigram) -> str:
    rises = max(found.bent.seeds.barrier, found.bent.reordered.barrier)
    if rises < FLAT:
        return "Where descent starts does not matter to this network; this list is too simple to show where it does."
    return (
        f"Where descent starts does not matter to this network; with hidden units it does: between two of their minima "
        f"the loss rises by {rises:.3f} nats."
    )


def underflow_words(each: Underflow) -> str:
    """Where a precision gives out."""
    if each.at is None:
        return f"{each.precision} is still above 0 at the list's end"
    lost = f", its digits go from symbol {each.digits_lost_at} on" if each.digits_lost_at else ""
    return f"{each.precision} is 0 from symbol {each.at} on, in line {each.in_line}{lost}"


def _gone(found: Bigram) -> str:
    gone = [each for each in found.likelihood.underflows if each.at is not None]
    if not gone:
        return "the product is still above 0 at this list's end"
    return "the product is " + " and ".join(f"0 after {each.at} symbols in {each.precision}" for each in gone)


def _likelihood(found: Bigram) -> str:
    smallest = " and ".join(f"{each.smallest:.1g} in {each.precision}" for each in found.likelihood.underflows)
    return (
        f"The likelihood is the product of what was given to each symbol that came; a larger one is better. Numbers "
        f"end at {smallest}, and {_gone(found)}. A logarithm turns the product into a sum, and keeps the order; minus "
        f"it is something to make small; divided by the symbols, lists of any length compare. e to that mean, the "
        f"perplexity, says it is as unsure as among {found.likelihood.perplexity:.1f} symbols that are equally likely."
    )


def _choice(found: Bigram) -> str:
    choice = found.choice
    exact = "to the last bit" if choice.difference == 0 == choice.gradient_difference else (
        f"but for {max(choice.difference, choice.gradient_difference):.1g}"
    )  # fmt: skip
    return (
        f"One-hot @ W is row {choice.index} of W for the {choice.symbol!r}, {exact}, and so is its gradient: all other "
        f"terms are 0 times something. The product takes {choice.multiplications:,} multiplications a symbol, the "
        f"choice none. They part where a weight is infinite: 0 times that is no number, and one such weight spoils "
        f"{choice.other_rows_broken} other rows of the product and none of the choice."
    )


def _descent(found: Bigram) -> str:
    curve = found.descent.curve
    first, last = _nearest(curve, 100), curve[-1]
    then = f" Steps {first.step:,} to {last.step:,} bring {first.above:.4f} down to {last.above:.4f} above the table:"
    why = " it never quite arrives, for a pair that was never seen wants a logit of minus infinity."
    full = " slowly at last, as the gradients of rows that are nearly right, or seldom met, are small."
    d = found.descent
    rate = f"the lecture's rate of {d.rate:g}" if d.rate == RATE else (
        f"a rate of {d.rate:.3g}, for the lecture's {RATE:g} would swing to and fro on this list"
    )  # fmt: skip
    return (
        f"Each step moves all {d.parameters:,} weights against the gradient of the whole list's loss, at {rate}: "
        f"descent comes to rest at this table below {d.stable:.3g}, 2 over the Hessian's largest eigenvalue."
        f"{then if last.step > first.step else ''}{why if found.pairs_seen < found.pairs_possible else full}"
    )


def _nearest(curve: list[Reached], step: int) -> Reached:
    return min(curve, key=lambda each: abs(each.step - step))


def _exponentials(found: Bigram) -> str:
    e = found.exponentials
    return (
        f"What was learnt without counting are the counts: exp(logit), scaled to the row's sum. The furthest "
        f"probability off is that of {e.after!r} after {e.before!r}, by {e.difference:.4f}, in a row that was counted "
        f"{e.row_count:,} times of {found.pairs:,}; the mean over the list is {e.mean:.5f}. With log(counts) for "
        f"logits, the difference is {e.closed_form:.0e}: rounding."
    )


def _smoothing(found: Bigram) -> str:
    s = found.smoothing
    one = s.strengths[0]
    return (
        f"Both pull to uniform, and are set side by side where they pull as far: the distance is the share of "
        f"probability that would have to move. Add-k adds k to every pair. Decay (lambda times the mean of W "
        f"squared, added to the loss) adds -kappa W, kappa = 2 lambda N / V^2: beside k = {one.k:g} from "
        f"{one.adds_least:+.3g} for the likeliest to {one.adds_most:+.3g} for the unlikeliest pair, true to "
        f"{max(each.identity for each in s.strengths):.0e} of a row's count. What it gives to the unlikely it takes "
        f"from the likely. Both change a "
        f"row the more the less it was counted: {s.common!r}, {s.common_count:,} times, beside {s.rare!r}, "
        f"{s.rare_count:,} times.{f' A dash: {s.dev_reason}.' if s.dev_reason else ''}"
    )


def _apart(s: Smoothing) -> str:
    more = [each for each in s.strengths if each.decayed.unseen > each.add_k.unseen]
    nearer = [each for each in s.strengths if each.add_k.rare < each.decayed.rare]
    furthest = max(each.furthest for each in s.strengths)
    if furthest < FLAT:
        return "Smoothing and weight decay come to the same on this list, which is too simple to tell them apart."
    return (
        f"Smoothing and weight decay are relatives, not the same: equally far from uniform, a probability differs by "
        f"up to {furthest:.3f}; decay gives more to what was never seen at {_of(more, s)}, and add-k brings the rarest "
        f"row, {s.rare!r}, nearer to uniform at {_of(nearer, s)}."
    )


def _of(some: list[Strength], s: Smoothing) -> str:
    if not some:
        return "none of the strengths"
    if len(some) == len(s.strengths):
        return "every strength"
    return "k = " + ", ".join(f"{each.k:g}" for each in some)


def _convex(found: Bigram) -> str:
    c = found.convex
    if c.chord >= -STRAIGHT:
        between = f"below the straight line of their losses, by {c.chord:.3f} nats or more"
    else:
        between = f"above the straight line of their losses, by up to {-c.chord:.1e} nats"
    return (
        f"From {len(c.starts)} starts drawn as the lecture draws them, {c.steps:,} steps end within "
        f"{c.loss_difference:.0e} nats of one another, probabilities within {c.difference:.2g}; with the lecture's "
        f"weight decay of {c.decay:g} the minimum is one point, and Newton's method finds it from all of them to "
        f"{c.newton_difference:.0e}. Between any two starts the loss is {between}. The Hessian's least eigenvalue is "
        f"{c.least_eigenvalue:.0e} beside a largest of {c.largest_eigenvalue:.2g}, so 0 but for rounding: {c.flat} of "
        f"{c.weights} directions are flat, one a row at least, for a constant added to a row's logits changes no "
        f"probability."
    )


def _bent(found: Bigram) -> str:
    b = found.bent
    first, second = b.minima
    line = (
        f"The same pairs with {b.hidden} hidden units between: seeds {first.seed} and {second.seed} reach "
        f"{first.nats:.4f} and {second.nats:.4f}, with gradients of {first.gradient:.0e} and {second.gradient:.0e}. "
        f"Between them the loss rises {b.seeds.barrier:.3f} nats above the straight line, at t = {b.seeds.t:.2g}."
    )
    if b.reordered.barrier < FLAT:
        return f"{line} This list is too simple for more."
    return (
        f"{line} That is no accident of training: with its own hidden units in another order the first network is the "
        f"same function (logits differ by {b.same:.0e}), and the line between the two rises "
        f"{b.reordered.barrier:.3f} nats. A convex loss could not."
    )
