"""Why a tensor has no gradient, decided from what was recorded of it and of the way to the end."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import torch

from moreish.explaining.taping.calls import called, in_place
from moreish.explaining.taping.records import Recorded

CUTS = {"detach": "detach() cuts it off", "data": ".data cuts it off", "tensor": "torch.tensor() copies numbers alone"}
"""Functions of torch that are there to let go of the gradient."""


class Why(StrEnum):
    """The kinds of reasons."""

    NO_BACKWARD = "no backward"
    WHOLE_NUMBERS = "whole numbers"
    NO_GRAD = "no_grad"
    DETACHED = "detached"
    NOT_ASKED = "not asked for"
    FROM_SUCH = "from such alone"
    UNUSED = "unused"
    ELSEWHERE = "not on a path"
    CUT_LATER = "cut off later"
    AS_NUMBER = "read as a number"
    OVERWRITTEN = "changed in place"


def why_none(record: Recorded, ends: Sequence[Recorded]) -> tuple[Why, str] | None:
    """The kind of reason and one sentence; None where there is a gradient."""
    if record.gradient is not None:
        return None
    if not record.tensor.requires_grad and record.edge is None:
        return _wants_none(record)
    if not ends:
        return Why.NO_BACKWARD, "Backward was not run."
    end = " and ".join(each.name for each in ends)
    if not record.consumers:
        if record.numbers:
            return Why.AS_NUMBER, f"Not on a path to {end}: it was only read as a Python number, by {_reads(record)}."
        return Why.UNUSED, f"Not on a path to {end}: nothing was computed from it."
    users = [each for call in record.consumers for each in call.outputs if each is not record]
    written = next((each for each in users if each.gradient is not None and _writes(each)), None)
    if written is not None:
        return Why.OVERWRITTEN, f"Changed in place: from then on its gradient is counted with {written.name}."
    names = _listed([each.name for each in users])
    cut = next((each for each in users if each.edge is None), None)
    if cut is not None and all(each.edge is None for each in users):
        reason = why_none(cut, ends)
        sentence = "" if reason is None else f" ({reason[1][0].lower()}{reason[1][1:-1]})"
        return Why.CUT_LATER, f"Not on a path to {end}: used only by {names}, which passes none back{sentence}."
    if record.numbers:
        return Why.AS_NUMBER, f"Not on a path to {end}: {names} does not lead there, and {_reads(record)} left torch."
    return Why.ELSEWHERE, f"Not on a path to {end}: used only by {names}, which {_does(users)} not lead there."


def _wants_none(record: Recorded) -> tuple[Why, str]:
    """Of a tensor for which autograd has no place to collect a gradient."""
    kind = record.tensor.dtype
    call, parents = record.call, record.parents
    if not (kind.is_floating_point or kind.is_complex):
        what = "true or false" if kind is torch.bool else "whole numbers"
        return Why.WHOLE_NUMBERS, f"It holds {what} ({str(kind).removeprefix('torch.')}), which cannot change smoothly."
    asking = [each for each in parents if each.edge is not None]
    if call is None or not parents:
        return Why.NOT_ASKED, "An input that asks for none: its requires_grad is False."
    name = "" if call.title else called(call.function)
    if name in CUTS and asking:
        return Why.DETACHED, f"Detached from {asking[0].name}: {CUTS[name]}."
    if asking and (call.inference or not call.grad_enabled):
        how = "torch.inference_mode()" if call.inference else "torch.no_grad()"
        return Why.NO_GRAD, f"Made under {how}, so autograd does not know that it comes from {_listed(_names(asking))}."
    if asking:
        return Why.DETACHED, f"Detached from {asking[0].name}: {call.op} passes no gradient back."
    verb = "asks" if len(set(parents)) == 1 else "ask"
    return Why.FROM_SUCH, f"Made only of {_listed(_names(parents))}, which {verb} for none."


def _writes(record: Recorded) -> bool:
    return record.call is not None and not record.call.title and in_place(record.call.function)


def _names(records: Sequence[Recorded]) -> list[str]:
    return [each.name for each in records]


def _listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`, `a, b and 4 more`."""
    names = list(dict.fromkeys(names))
    if len(names) > 3:
        names = [*names[:2], f"{len(names) - 2} more"]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _does(users: Sequence[Recorded]) -> str:
    return "does" if len(set(users)) == 1 else "do"


def _reads(record: Recorded) -> str:
    return _listed([f"{each}()" for each in record.numbers])
