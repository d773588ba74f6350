"""The grader's sentences: where, what is wrong and why, in the learner's names and with numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from moreish.explaining.grading.case import Finding
from moreish.explaining.grading.submission import Failure, as_tensor
from moreish.explaining.grading.truth import Truth, next_nodes

SENTENCES = {
    "wrong order": "a derivative is passed on before all that flows back into it has arrived ({words})",
    "changed in place": "{words}, but a later statement writes into the same tensor; give that one a .clone()",
    "= for +=": "a contribution replaces an earlier one where it should be added to it ({words})",
    "missing broadcast sum": "a sum over the axis that the forward broadcast is missing: {words}",
    "missing keepdim": "an axis was dropped that must stay with size 1: keepdim=True or unsqueeze ({words})",
    "keepdim too many": "it has an axis too many: {words}",
    "wrong axis": "the axis is not the one of the forward ({words})",
    "transposed product": "a factor of the product is transposed, or stands on the other side ({words})",
    "n - 1 for n": "n - 1 stands where n belongs ({words})",
    "n for n - 1": "n stands where n - 1 belongs ({words})",
    "forgotten mean": "a mean was taken, and its division is missing ({words})",
    "detached maximum": "the contribution through the maximum, {words}, is missing",
    "lost branch": "one of its contributions is missing: the one through {words}",
    "wrong sign": "the sign is wrong ({words})",
    "missing factor": "a factor is missing ({words})",
    "wrong scale": "it is off by a constant factor ({words})",
    "wrong operand": "another value stands where the right one belongs ({words})",
    "unknown": "{words}",
}


def wrong_message(
    truth: Truth,
    node: str,
    got: Any,
    failure: Failure | None,
    finding: Finding,
    own: Sequence[str],
    inherited: Sequence[str],
    remaining: Sequence[str],
) -> str:
    """What is wrong with the first wrong node, and what the others have to do with it."""
    why = SENTENCES[finding.cause].format(words=finding.words).replace(" ()", "")
    before = [name for name in next_nodes(truth.exercise, node) if name not in remaining]
    given = f", even given the right {listed(before)}" if before and finding.cause != "wrong order" else ""
    parts = [f"{node} is the first wrong one{given}: {why}."]
    seen = _numbers(truth, node, got) if failure is None else _raised(failure)
    if seen:
        parts.append(seen)
    others = [name for name in own if name != node]
    if others:
        parts.append(f"{listed(others)} {_has(others)} {'a mistake' if len(others) == 1 else 'mistakes'} too.")
    if inherited:
        parts.append(f"{listed(inherited)} {_is(inherited)} wrong only because of what came before.")
    if remaining:
        parts.append(f"Still to do: {', '.join(remaining)}.")
    return " ".join(parts)


def fault_of(error: BaseException) -> str:
    """What an exception of the learner's file says, in one line."""
    if isinstance(error, SystemExit):
        return "it ends the process (SystemExit). Take that out"
    if isinstance(error, RecursionError):
        return "it calls itself without end (RecursionError)"
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return "it uses more memory than there is"
    if isinstance(error, ModuleNotFoundError):
        return f"it imports {error.name!r}, which is not installed here. torch is enough"
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "none"


def _numbers(truth: Truth, node: str, got: Any) -> str:
    want = truth.gradients[node]
    value = as_tensor(got)
    if value is None:
        return ""
    if value.shape != want.shape:
        return f"Its shape is {_shape(value)}; that of {node[1:]} is {_shape(want)}."
    difference = torch.nan_to_num((value.double() - want).abs(), nan=float("inf")).reshape(-1)
    worst = int(difference.argmax())
    a, b = float(value.reshape(-1)[worst]), float(want.reshape(-1)[worst])
    at = [int(index) for index in torch.unravel_index(torch.tensor(worst), want.shape)] if want.dim() else []
    where = f"At {at} it" if at else "It"
    ratio = f", {a / b:.4g} times that" if abs(b) > 1e-12 and a and a == a else ""
    return f"{where} is {a:.6g} and should be {b:.6g}{ratio.replace(', ', '; it is ')}."


def _raised(failure: Failure) -> str:
    return f"Line {failure.line} raises {fault_of(failure.error)}."


def _shape(value: Tensor) -> str:
    return str(tuple(value.shape))


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _has(names: Sequence[str]) -> str:
    return "has" if len(names) == 1 else "have"
