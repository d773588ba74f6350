"""Runs autograd's backward over what was recorded, and watches it: what was sent along each edge, and in which order.

Nothing is recomputed: hooks on the nodes of autograd's own graph see what each sends back. A call such as
`F.cross_entropy` covers several of autograd's nodes; what passes between these is its own affair.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from moreish.errors import UsageError
from moreish.explaining.taping.recorder import Recorder
from moreish.explaining.taping.records import Recorded, Sent

Edge = tuple[Any, int]


def go_back(recorder: Recorder, ends: Sequence[Tensor], seeds: Sequence[Tensor | None]) -> None:
    """Fill in `gradient`, `received`, `awaited` and `passed` of every record; the learner's `.grad` is left alone.

    Args:
        ends: where backward starts.
        seeds: the gradient that each end begins with; None for the 1 of a scalar.

    Raises:
        UsageError: an end wants no gradient, or is no scalar and has no seed, or autograd cannot go back any more.
    """
    _check(recorder, ends, seeds)
    for each in recorder.records:
        each.gradient, each.received, each.awaited, each.passed = None, [], 0, None
    edges = {(each.edge.node, each.edge.output_nr): each.edge for each in recorder.records if each.edge is not None}
    nodes = _reachable([end.grad_fn for end in ends if end.grad_fn is not None])
    for node in nodes:
        for edge in node.next_functions:
            if (receiver := _receiver(recorder, node, edge)) is not None:
                receiver.awaited += 1
    passed: list[Any] = []
    hooks = [node.register_hook(_watcher(recorder, node, passed)) for node in nodes]
    try:
        got = torch.autograd.grad(ends, list(edges.values()), seeds, retain_graph=True, allow_unused=True)
    except RuntimeError as error:
        raise UsageError(_told(str(error), recorder)) from None
    finally:
        for hook in hooks:
            hook.remove()
    for edge, gradient in zip(edges, got):
        _give(recorder.by_edge[edge], gradient, ends)
    when = {node: at for at, node in enumerate(passed)}
    for each in recorder.records:
        if each.edge is not None and each.gradient is not None:
            each.passed = when.get(each.edge.node)


def _give(records: list[Recorded], gradient: Tensor | None, ends: Sequence[Tensor]) -> None:
    """A gradient to the tensor that it is of: where one was changed unseen by autograd, to each its own part."""
    gradient = None if gradient is None else gradient.detach()
    if len(records) == 1:
        records[0].gradient = gradient
        return
    for each in records:
        parts = [sent.gradient for sent in each.received if sent.gradient is not None]
        if any(each.tensor is end for end in ends) and each is records[-1]:
            each.gradient = gradient
        elif parts:
            each.gradient = torch.stack(parts).sum(0)


def _watcher(recorder: Recorder, node: Any, passed: list[Any]) -> Callable[[Any, Any], None]:
    def watch(sent: Sequence[Tensor | None], _: Any) -> None:
        call = recorder.owner.get(node)
        for edge, gradient in zip(node.next_functions, sent):
            receiver = _receiver(recorder, node, edge)
            if receiver is not None:
                copy = None if gradient is None else gradient.detach().clone()
                receiver.received.append(Sent(call, copy, len(passed)))
        passed.append(node)

    return watch


def _receiver(recorder: Recorder, node: Any, edge: Edge) -> Recorded | None:
    """The recorded tensor that an edge leads back to; None within a call, or out of the block."""
    call = recorder.owner.get(node)
    known = recorder.by_edge.get(edge, [])
    inputs = [] if call is None else call.inputs
    return next((each for each in reversed(known) if each in inputs), known[-1] if known else None)


def _reachable(left: list[Any]) -> list[Any]:
    """The nodes of autograd's graph from some on, each once, but for the leaves, which only collect."""
    found: dict[Any, None] = {}
    while left:
        node = left.pop()
        if node not in found and "AccumulateGrad" not in node.name():
            found[node] = None
            left += [each for each, _ in node.next_functions if each is not None]
    return list(found)


def _check(recorder: Recorder, ends: Sequence[Tensor], seeds: Sequence[Tensor | None]) -> None:
    for end, seed in zip(ends, seeds):
        known = recorder.latest(end)
        name = known.name if known is not None and known.name else "the end"
        if known is None:
            raise UsageError("tape: backward can only start from a tensor that was computed within the block.")
        if not end.requires_grad:
            raise UsageError(
                f"tape: {name} asks for no gradient, nor does anything it was computed from. "
                f"Make an input with requires_grad=True, or open the tape with require_grad=True."
            )
        if seed is None and end.numel() != 1:
            raise UsageError(
                f"tape: {name} has the shape {tuple(end.shape)}, and backward starts from a single number. "
                f"End in a scalar, such as {name}.sum(), or give gradient=, of the same shape."
            )
        if seed is not None and seed.shape != end.shape:
            raise UsageError(
                f"tape: gradient has the shape {tuple(seed.shape)} and {name} has {tuple(end.shape)}. Give one of "
                f"the same shape."
            )


def _told(message: str, recorder: Recorder) -> str:
    """What autograd complained of, in a sentence that says what to do."""
    if "modified by an inplace operation" in message:
        return (
            f"tape: backward needs a value that was changed in place after it was used{_culprit(message, recorder)}. "
            f"Write x = x + 1 for x += 1, so that the old value is kept."
        )
    if "second time" in message or "already been freed" in message or "saved intermediate values" in message:
        return "tape: an earlier backward() let go of what going back needs. Call it with retain_graph=True."
    return f"tape: backward stopped: {' '.join(message.split())[:300].rstrip('.')}."


def _culprit(message: str, recorder: Recorder) -> str:
    """Which change it was, where torch says enough of the value that is gone and one change alone fits."""
    told = re.search(r"output (\d+) of (\w+?)(?:Backward\d*)?, is at version \d+; expected version (\d+)", message)
    if told is None:
        return ""
    number, version = int(told[1]), int(told[3])
    changes = [
        later.call.expression
        for each in recorder.records
        if each.version == version and each.edge is not None and each.edge.output_nr == number
        if each.edge.node.name().startswith(f"{told[2]}Backward")
        for later in recorder.records
        if later.tensor is each.tensor and later.version == version + 1
        if later.call is not None and all(one.name for one in later.call.inputs)
    ]
    return f", by {changes[0]}" if len(changes) == 1 else ""
