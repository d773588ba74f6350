"""What to make of a comparison: sentences from its figures. They say when a bigger model is not worth it.

Nothing is called better unless the paired interval of the difference leaves 0 out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from moreish.learning.intervals import Interval, Loss
from moreish.runs.standing import Standing

KNOWS_NOTHING = ("uniform", "unigram")
"""A list that teaches no more than these teaches nothing about what follows what."""
ONE_SYMBOL = ("one-layer",)
"""Networks that see one symbol back: that counting with more is better says nothing of networks."""
SHORT = 0.5
"""A share of its recipe's steps below which a network might yet come out elsewhere."""


@dataclass(frozen=True)
class _Rung:
    """A row with its loss."""

    row: Standing
    loss: Loss

    @property
    def name(self) -> str:
        return self.row.label


def advise(rows: Sequence[Standing], losses: Sequence[Loss | None]) -> list[str]:
    """Sentences on which of the rows is worth its price, the most important first.

    Args:
        losses: each row's, on the same draws of the same lines; None where it failed.
    """
    rungs = [_Rung(row, loss) for row, loss in zip(rows, losses) if loss is not None]
    failed = [row.label for row in rows if row.failed]
    said = [*_best(rungs), *_counting(rungs), *_bigger(rungs), *_copies(rungs), *_in_a_hurry(rungs)]
    if failed:
        said.append(f"{_and(failed)} came to nothing here; the rows say why.")
    return said


def _best(rungs: list[_Rung]) -> list[str]:
    """Which has the least loss, what else is as good, and what it gains on counting."""
    if len(rungs) < 2:
        return []
    best = min(rungs, key=lambda rung: rung.loss.value)
    at = best.loss.interval()
    alike = [rung for rung in rungs if rung is not best and not rung.loss.minus(best.loss).above]
    said = f"{best.name} has the least loss, {at.value:.4f} nats per symbol ({at.low:.4f} to {at.high:.4f})"
    knows_nothing = [rung for rung in alike if rung.row.model in KNOWS_NOTHING]
    if best.row.model in KNOWS_NOTHING or knows_nothing:
        nothing = knows_nothing[0] if knows_nothing else best
        return [
            f"{said}, but nothing here is better than {nothing.name} beyond the noise: "
            f"there are too few lines to learn from, or to tell by."
        ]
    if alike:
        smallest = min((best, *alike), key=_size)
        names = _and([rung.name for rung in alike])
        said += f"; {names} {_is(alike)} within the noise of it"
        said += f": take {smallest.name}, the smallest." if smallest is not best else ", and larger."
    else:
        said += ", and nothing else comes within the noise of it."
    return [said, *_gain(rungs, best)]


def _gain(rungs: list[_Rung], best: _Rung) -> list[str]:
    """What the best network gains on the best counting, and for how much more time."""
    counted = _best_counted(rungs)
    if counted is None or best.row.counted:
        return []
    gain = counted.loss.minus(best.loss)
    if not gain.above:
        return []
    price = ""
    if best.row.seconds is not None and counted.row.seconds is not None:
        price = f" for {_seconds(best.row.seconds)} instead of {_seconds(counted.row.seconds)}"
    return [f"{best.name} gains {_interval(gain)} nats on {counted.name}{price}."]


def _counting(rungs: list[_Rung]) -> list[str]:
    """Networks that plain counting beats, or that come no farther than it does."""
    counted = _best_counted(rungs)
    if counted is None or counted.row.model in KNOWS_NOTHING:
        return []
    price = "" if counted.row.seconds is None else f", learnt in {_seconds(counted.row.seconds)},"
    said = []
    networks = [rung for rung in rungs if not rung.row.counted and rung.row.model not in ONE_SYMBOL]
    beaten = [rung for rung in networks if rung.loss.minus(counted.loss).above]
    level = [rung for rung in networks if _is_noise(rung.loss.minus(counted.loss))]
    if beaten:
        by = [rung.loss.minus(counted.loss).value for rung in beaten]
        said.append(
            f"{counted.name}{price} beats {_after(beaten)} by {_range(by, '.4f')} nats: counting does better here."
        )
    if level and any(rung.loss.value < counted.loss.value for rung in rungs):  # of the best it was said already
        be = "is" if len(level) == 1 else "are"
        said.append(f"{_after(level)} {be} within the noise of {counted.name}: counting does as well.")
    return said


def _bigger(rungs: list[_Rung]) -> list[str]:
    """Networks that gain nothing on a smaller one."""
    networks = sorted((rung for rung in rungs if not rung.row.counted), key=_size)
    worse: dict[str, list[_Rung]] = {}
    alike: dict[str, list[_Rung]] = {}
    top: _Rung | None = None
    for rung in networks:
        if top is None or rung.loss.minus(top.loss).below:
            top = rung
            continue
        if _size(rung) > _size(top):
            (worse if rung.loss.minus(top.loss).above else alike).setdefault(top.name, []).append(rung)
    said = []
    counted = _best_counted(rungs)
    is_beaten = {rung.name: counted is not None and rung.loss.minus(counted.loss).above for rung in networks}
    for name, group in alike.items():
        take = "" if is_beaten[name] else f": take {name}"
        said.append(f"{_names(group)} {_is(group)} within the noise of {name}, which is smaller{take}.")
    for name, group in worse.items():
        where = "in this time" if any(_is_hurried(rung) for rung in group) else "here"
        said.append(f"{_names(group)} {_is(group)} larger than {name} and worse: not worth it {where}.")
    return said


def _copies(rungs: list[_Rung]) -> list[str]:
    """Where withholding the known lines decides the order, or a list is stored: say so."""
    said = [f"{rung.name}: {rung.row.note}." for rung in rungs if rung.row.note]
    known = [rung for rung in rungs if rung.row.nats_given_new is not None]
    if len(known) < 2:
        return said
    best = min(known, key=lambda rung: rung.loss.value)
    given_new = min(known, key=lambda rung: rung.row.nats_given_new or 0.0)
    if given_new is not best:
        said.append(
            f"With the probability of known lines taken out of every model, {given_new.name} is ahead: "
            f"{given_new.row.nats_given_new:.4f} nats against {best.row.nats_given_new:.4f} of {best.name}."
        )
    return said


def _in_a_hurry(rungs: list[_Rung]) -> list[str]:
    """Networks that took a small part of their recipe's steps."""
    hurried = [rung for rung in rungs if _is_hurried(rung)]
    if not hurried:
        return []
    shares = [100 * (rung.row.steps or 0) / (rung.row.full_steps or 1) for rung in hurried]
    took = f"{_names(hurried)} took {_range(shares, '.0f')} %"
    if len(hurried) == 1:
        return [f"{took} of its recipe's steps in this time: with a longer --time it may come out ahead."]
    return [f"{took} of their recipes' steps in this time: with a longer --time they may come out ahead."]


def _best_counted(rungs: list[_Rung]) -> _Rung | None:
    return min((rung for rung in rungs if rung.row.counted), key=lambda rung: rung.loss.value, default=None)


def _is_hurried(rung: _Rung) -> bool:
    return (rung.row.steps or 0) < SHORT * (rung.row.full_steps or 0)


def _is_noise(apart: Interval) -> bool:
    return not apart.above and not apart.below


def _size(rung: _Rung) -> tuple[bool, int]:
    """Counting is the smaller, whatever it counts: it is learnt at once."""
    return not rung.row.counted, rung.row.parameters or 0


def _names(rungs: list[_Rung]) -> str:
    return _and([rung.name for rung in rungs])


def _after(rungs: list[_Rung]) -> str:
    """Their names, and how long they learnt."""
    known = [rung.row.seconds for rung in rungs if rung.row.seconds is not None]
    each = " each" if len(known) > 1 else ""
    return _names(rungs) + (f" after {_range(known, '.1f' if max(known) < 10 else '.0f')} s{each}" if known else "")


def _is(rungs: Sequence[_Rung]) -> str:
    return "is" if len(rungs) == 1 else "are"


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _range(values: Sequence[float], form: str) -> str:
    low, high = f"{min(values):{form}}", f"{max(values):{form}}"
    return low if low == high else f"{low} to {high}"


def _interval(apart: Interval) -> str:
    return f"{apart.value:.4f} ({apart.low:.4f} to {apart.high:.4f})"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:,.0f} s"
