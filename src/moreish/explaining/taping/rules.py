"""The rules of backpropagation, each told of what was recorded and checked against the numbers that autograd sent."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from moreish.explaining.taping.calls import called, replaced
from moreish.explaining.taping.figures import short
from moreish.explaining.taping.reasons import Why, why_none
from moreish.explaining.taping.records import Call, Recorded, Sent

TITLES = {
    "shape": "A gradient has its tensor's shape",
    "broadcast": "Broadcast forward, sum backward",
    "reduction": "Sum forward, broadcast backward",
    "fan-out": "What is used more than once adds up what comes back",
    "order": "A node is passed when all it awaits has come",
    "zero": "Zero is not none",
    "none": "No gradient, and why",
}
REDUCTIONS = {"sum", "mean", "nansum", "nanmean", "amax", "amin", "max", "min", "prod", "var", "std", "logsumexp"}
SPARE = 32
"""Roundings allowed in a check, of the size of the terms: sums are not added in the same order."""


@dataclass(frozen=True)
class Rule:
    """A rule at work: which, in which tensors, whether the numbers bear it out, and that as a sentence."""

    rule: str
    """A key of `TITLES`."""
    about: tuple[str, ...]
    holds: bool
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "about": list(self.about)}


def rules(records: Sequence[Recorded], ends: Sequence[Recorded]) -> list[Rule]:
    """Every rule that shows in a computation, in the order of `TITLES`."""
    found = [*_shapes(records)]
    for kind in (_broadcasts, _reductions):
        for call in dict.fromkeys(sent.call for each in records for sent in each.received if sent.call is not None):
            found += sorted(kind(call, records), key=lambda rule: rule.about)
    found += [_fan_out(each) for each in records if len(each.received) > 1]
    found += _order(records, ends)
    for each in records:
        if each.gradient is not None and each.gradient.numel() and not each.gradient.any():
            said = f"{each.name} has a gradient of 0, which is not none: {_zero(each)}."
            found.append(Rule("zero", (each.name,), True, said))
    for each in records:
        if (why := why_none(each, ends)) is not None and why[0] != Why.NO_BACKWARD:
            found.append(Rule("none", (each.name,), each.gradient is None, f"{each.name}: {why[1]}"))
    return found


def visits(records: Sequence[Recorded]) -> list[tuple[str, int, int]]:
    """In the order of backward: a tensor's name, how many contributions it awaited, and how many had come by then."""
    reached = [each for each in records if each.gradient is not None]

    def when(each: Recorded) -> tuple[float, int]:
        last = max((sent.at for sent in each.received), default=-1) + 0.5
        return last if each.passed is None else float(each.passed), -records.index(each)

    return [(each.name, each.awaited, _arrived(each)) for each in sorted(reached, key=when)]


def _arrived(record: Recorded) -> int:
    """How many contributions had come when backward passed a tensor; of a leaf, all that ever came."""
    return sum(record.passed is None or sent.at < record.passed for sent in record.received)


def _shapes(records: Sequence[Recorded]) -> Iterator[Rule]:
    have = [each for each in records if each.gradient is not None]
    wrong = [each for each in have if each.gradient is not None and tuple(each.gradient.shape) != each.shape]
    if not have:
        return
    largest = max(have, key=lambda each: (len(each.shape), each.name == records[-1].name))
    count = f"Each of the {len(have)} gradients has" if len(have) > 1 else "The gradient has"
    said = f"{count} the shape of its tensor: {largest.name} and its gradient are both {_shape(largest.shape)}."
    if wrong:
        said = "These gradients have another shape than their tensors: " + ", ".join(each.name for each in wrong) + "."
    yield Rule("shape", tuple(each.name for each in wrong or have), not wrong, said)


def _broadcasts(call: Call, records: Sequence[Recorded]) -> Iterator[Rule]:
    out = _only_output(call)
    if out is None or out.gradient is None:
        return
    for each in dict.fromkeys(call.inputs):
        sent = _sent_by(call, each)
        axes, kept = _broadcast_axes(each.shape, out.shape)
        is_larger = out.gradient.numel() > math.prod(each.shape) > 0
        if len(sent) != 1 or sent[0].gradient is None or not (axes + kept and is_larger):
            continue
        plain = _close(_summed(out.gradient, each.shape), sent[0].gradient, out.gradient.abs().sum())
        copies = None if plain else _of_copies(call, each, out)
        if not plain and (
            copies is None or not _close(_summed(copies, each.shape), sent[0].gradient, copies.abs().sum())
        ):
            continue
        what = f"the gradient of {out.name}, summed" if plain else "the sum of the gradients of its copies,"
        where = [f"{_axes(axes)}, which {each.name} lacks (no keepdim)"] if axes else []
        where += [f"{_axes(kept)}, kept with length 1 (keepdim=True)"] if kept else []
        said = (
            f"{each.name} {_shape(each.shape)} is broadcast to {_shape(out.shape)} in {_name(call)}: "
            f"back comes {what} over {' and over '.join(where)}."
        )
        yield Rule("broadcast", (each.name, out.name), True, said)


def _reductions(call: Call, records: Sequence[Recorded]) -> Iterator[Rule]:
    out = _only_output(call)
    if call.title or called(call.function) not in REDUCTIONS or out is None or out.gradient is None:
        return
    each = call.inputs[0]
    sent = _sent_by(call, each)
    axes = _reduced_axes(call, len(each.shape))
    if len(sent) != 1 or sent[0].gradient is None or not sent[0].gradient.numel() or not axes or len(call.inputs) != 1:
        return
    back = sent[0].gradient
    if not _close(back.mean(axes, keepdim=True).expand_as(back), back, back.abs().max()):
        return  # to the largest alone, say, or to each by its own value
    coming = out.gradient
    if coming.ndim < back.ndim:
        for axis in sorted(axes):
            coming = coming.unsqueeze(axis)
    entries = back.numel() // max(out.gradient.numel(), 1)
    coming, size = coming.expand_as(back), back.abs().max()
    is_mean = entries > 1 and _close(coming / entries, back, size)
    if not is_mean and not _close(coming, back, size):
        return
    share = f" and divided by {entries}" if is_mean else ""
    said = (
        f"{_name(call)} goes over {_axes(axes)} of {each.name}, {_shape(each.shape)} to {_shape(out.shape)}: back "
        f"comes its gradient, broadcast over {_axes(axes)}{share}: alike for all {entries} entries."
    )
    yield Rule("reduction", (each.name, out.name), True, said)


def _fan_out(record: Recorded) -> Rule:
    parts = [sent.gradient for sent in record.received if sent.gradient is not None]
    total = torch.stack(parts).sum(0) if parts else None
    holds = record.gradient is not None and total is not None
    if record.gradient is not None and total is not None:
        holds = _close(total, record.gradient, torch.stack(parts).abs().sum(0).max())
    told = _branches(record)
    if len(told) == 1:
        said = f"{record.name} is used once, {told[0][1]}: they add up to {short(record.gradient)}."
    elif record.shape == ():
        sum_of = " + ".join(f"{short(part)} ({by})" for part, by in told).replace("+ -", "- ")
        said = f"{record.name} is used {_times(len(told))}: {sum_of} = {short(record.gradient)}."
    else:
        each = ", ".join(f"{short(part)} {by}" for part, by in told)
        whole = short(record.gradient)
        said = f"{record.name} is used {_times(len(told))}: {each}. Entry by entry they add up to {whole}."
    if not holds:
        said += " They do not add up to it: something that was not recorded sent the rest."
    return Rule("fan-out", (record.name,), holds, said)


def _branches(record: Recorded) -> list[tuple[Tensor, str]]:
    """What came back by each use, and from where; what one use sent in several parts, as a GRU does, is one."""
    found: list[tuple[Tensor, str]] = []
    for call in dict.fromkeys(sent.call for sent in record.received):
        parts = [sent.gradient for sent in record.received if sent.call is call]
        known = [torch.zeros(record.shape) if part is None else part for part in parts]
        if call is None:
            found.append((torch.stack(known).sum(0), "from outside the block"))
        elif len(known) > call.inputs.count(record):
            found.append((torch.stack(known).sum(0), f"from {call.brief}, in {len(known)} parts"))
        else:
            found += [(part, f"from {call.brief}") for part in known]
    return found


def _order(records: Sequence[Recorded], ends: Sequence[Recorded]) -> Iterator[Rule]:
    seen = visits(records)
    if not seen or not ends:
        return
    early = [f"{name} ({got} of {awaited})" for name, awaited, got in seen if got != awaited]
    most = max(seen, key=lambda visit: visit[1])
    order = ", ".join(f"{name} {got}/{awaited}" if awaited else f"{name} (the end)" for name, awaited, got in seen)
    said = f"Visited in this order, with contributions come / awaited: {order}."
    if most[1] > 1:
        said += f" {most[0]} waited for {most[1]}."
    if early:
        said = f"Not complete when they were passed: {', '.join(early)}. Visited in this order: {order}."
    yield Rule("order", tuple(name for name, _, _ in seen), not early, said)


def _only_output(call: Call) -> Recorded | None:
    return call.outputs[0] if len(call.outputs) == 1 else None


def _sent_by(call: Call, record: Recorded) -> list[Sent]:
    return [sent for sent in record.received if sent.call is call]


def _broadcast_axes(small: tuple[int, ...], large: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Axes of the larger shape that the smaller lacks, and those where it has length 1; none where it does not fit."""
    lacks = len(large) - len(small)
    if lacks < 0 or any(a not in (1, b) for a, b in zip(small, large[lacks:])):
        return (), ()
    ones = tuple(at + lacks for at, (a, b) in enumerate(zip(small, large[lacks:])) if a != b)
    return tuple(range(lacks)), ones


def _summed(gradient: Tensor, shape: tuple[int, ...]) -> Tensor:
    axes, kept = _broadcast_axes(shape, tuple(gradient.shape))
    found = gradient.sum(axes + kept, keepdim=True) if axes + kept else gradient
    return found.reshape(shape)


def _of_copies(call: Call, record: Recorded, out: Recorded) -> Tensor | None:
    """The gradient with respect to a tensor's copies, written out: the call again, from what it was given."""
    if record.value is None or call.function is None or torch.numel(record.value) == 0:
        return None
    copies = record.value.expand(out.shape).clone().requires_grad_()
    by = lambda each: copies.clone() if each is record else None if each.value is None else each.value.clone()  # noqa: E731
    try:
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):
            again = call.function(*replaced(call.args, Recorded, by), **replaced(call.kwargs, Recorded, by))
            if not isinstance(again, Tensor) or tuple(again.shape) != out.shape:
                return None
            return torch.autograd.grad(again, copies, out.gradient)[0]
    except (RuntimeError, TypeError, ValueError, IndexError):
        return None


def _reduced_axes(call: Call, axes: int) -> tuple[int, ...]:
    given = call.kwargs.get("dim", call.kwargs.get("axis", call.args[1] if len(call.args) > 1 else None))
    if given is None:
        return tuple(range(axes))
    numbers = given if isinstance(given, (tuple, list)) else (given,)
    if not all(type(each) is int for each in numbers):
        return ()
    return tuple(sorted(each % axes for each in numbers)) if numbers and axes else tuple(range(axes))


def _close(one: Tensor, other: Tensor, size: Tensor) -> bool:
    """Equal but for rounding in numbers of this size."""
    if one.shape != other.shape or not one.numel():
        return one.shape == other.shape
    return bool((one - other).abs().max() <= SPARE * torch.finfo(other.dtype).eps * size)


def _zero(record: Recorded) -> str:
    if not record.received:
        return "backward starts with it"
    return "it is on a path to the end, and " + " and ".join(
        f"{_name(sent.call)} sent 0 back" for sent in record.received[:3] if sent.call
    )


def _name(call: Call) -> str:
    return f"{call.outputs[0].name} = {call.brief}" if call.outputs else call.brief


def _axes(axes: Sequence[int]) -> str:
    words = [str(each) for each in axes]
    return f"axis {words[0]}" if len(words) == 1 else f"axes {', '.join(words[:-1])} and {words[-1]}"


def _shape(shape: tuple[int, ...]) -> str:
    return str(shape)


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
