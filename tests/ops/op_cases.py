"""One table of cases for every op: what its gradient is checked on.

Tensors are float64 and need gradients unless they are constants or whole numbers; shapes of size 1, several axes,
repeated ids, targets that do not count and tensors that are not contiguous are among them.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

import moreish.ops
from moreish.ops import (
    affine,
    arithmetic,
    attend,
    convolve,
    gates,
    loss,
    losses,
    normalize,
    pointwise,
    recurrence,
    windows,
)
from moreish.ops.op import Op
from moreish.ops.turns import in_turns, side_by_side
from moreish.randomness import stream


@dataclass(frozen=True)
class Case:
    """An op, its inputs and options."""

    op: Op
    name: str
    inputs: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.op.__name__}, {self.name}"

    def fresh(self) -> list[Any]:
        """The inputs, each a leaf of its own that keeps its strides."""
        return [like(x) if isinstance(x, Tensor) and x.requires_grad else x for x in self.inputs]

    def learnable(self, inputs: list[Any]) -> list[Tensor]:
        return [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]


def like(x: Tensor) -> Tensor:
    """A leaf of the same values and strides, which gradcheck wants not to overlap."""
    return torch.empty_strided(x.shape, x.stride(), dtype=x.dtype).copy_(x.detach()).requires_grad_()


def drawn(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    values = torch.randn(shape, dtype=torch.float64, generator=stream(seed, f"op/{shape}"))
    return values.mul_(scale).requires_grad_()


def fixed(*shape: int, seed: int = 0) -> Tensor:
    return drawn(*shape, seed=seed).detach()


def turned(x: Tensor) -> Tensor:
    """The same shape and values, the last two axes far apart in memory."""
    return x.detach().mT.contiguous().mT.requires_grad_()


def whole(high: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.randint(high, shape, generator=stream(seed, f"whole/{shape}"))


def ops() -> dict[str, Op]:
    """Every op of the room."""
    found = {}
    for module in pkgutil.iter_modules(moreish.ops.__path__):
        for name, thing in vars(importlib.import_module(f"moreish.ops.{module.name}")).items():
            if isinstance(thing, Op):
                found[name] = thing
    return found


SHAPES = ((), (1,), (5,), (1, 1), (3, 4), (2, 3, 4))


def of_one_tensor() -> Iterator[Case]:
    for op in (pointwise.tanh, pointwise.sigmoid, pointwise.relu, pointwise.gelu, pointwise.silu):
        yield from (Case(op, str(shape), (drawn(*shape, scale=2.0),)) for shape in SHAPES)
        yield Case(op, "not contiguous", (turned(drawn(3, 4)),))
    for op in (pointwise.softmax, pointwise.log_softmax):
        yield from (Case(op, str(shape), (drawn(*shape),)) for shape in SHAPES[1:])
        yield Case(op, "not contiguous", (turned(drawn(3, 4)),))
        yield Case(op, "far apart", (drawn(3, 4, scale=30.0),))
    for shape in SHAPES:
        yield Case(pointwise.dropout, str(shape), (drawn(*shape), (fixed(*shape) > 0).double() * 2))
    for shape, axis in (((3,), 0), ((3, 4), 1), ((3, 4), 0), ((2, 1, 4), 1), ((2, 3, 4), -1)):
        for op in (arithmetic.total, arithmetic.running_total):
            yield Case(op, f"{shape} along {axis}", (drawn(*shape),), {"axis": axis})
    inside = torch.tensor([[True, True, False], [True, False, False], [True, True, True]])
    yield Case(arithmetic.line_totals, "three lines", (drawn(6, 4), inside))
    yield Case(arithmetic.line_totals, "one place", (drawn(1, 1), torch.ones(1, 1, dtype=torch.bool)))
    for count in (1, 2, 4):
        yield Case(convolve.fuse, f"by {count}", (drawn(3, 4, 2),), {"count": count})
    yield from (Case(convolve.gated, str(shape), (drawn(*shape),)) for shape in ((2,), (3, 4), (2, 3, 6)))


def of_two() -> Iterator[Case]:
    pairs = (((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 1), (1, 4)), ((1,), (2, 3, 4)), ((2, 3, 4), (3, 1)), ((), (2,)))
    for op in (arithmetic.add, arithmetic.subtract, arithmetic.multiply, arithmetic.modulate):
        for one, other in pairs:
            yield Case(op, f"{one} and {other}", (drawn(*one), drawn(*other, seed=1)))
        yield Case(op, "not contiguous", (turned(drawn(3, 4)), drawn(3, 4, seed=1)))
    for one, other in pairs[:3]:
        yield Case(arithmetic.divide, f"{one} by {other}", (drawn(*one), fixed(*other, seed=1) + 4))
    for n, k, v in ((3, 2, 4), (1, 1, 1), (2, 1, 5)):
        yield Case(arithmetic.weigh, f"{n}, {k}, {v}", (drawn(n, k), drawn(n, k, v)))
    for shape in ((5, 3), (5,), (1, 1), (4, 2, 3)):
        yield Case(arithmetic.take, str(shape), (drawn(*shape), whole(shape[0], 7)))
    yield Case(arithmetic.add_at, "twice at one place", (drawn(5), torch.tensor([1, 1, 4]), drawn(3)))
    yield Case(affine.embed, "ids", (whole(5, 6), drawn(5, 3)))
    yield Case(affine.embed, "windows", (whole(5, 4, 3).int(), drawn(5, 2)))
    yield Case(affine.embed, "one", (whole(1, 1), drawn(1, 1)))
    for shape, outputs in (((6, 3), 4), ((2, 5, 3), 4), ((3,), 2), ((1, 1), 1)):
        given = drawn(*shape), drawn(outputs, shape[-1]), drawn(outputs)
        yield Case(affine.linear, str(shape), given)
        yield Case(affine.linear, f"{shape}, no bias", (*given[:2], None))
    yield Case(affine.linear, "not contiguous", (turned(drawn(4, 3)), turned(drawn(5, 3)), drawn(5)))


def of_normalization() -> Iterator[Case]:
    for shape in ((6, 3), (2, 3, 4), (5, 1), (2, 2)):
        x, gain, bias = drawn(*shape, scale=2.0), drawn(shape[-1]), drawn(shape[-1], seed=1)
        for correction in (0, 1):
            yield Case(
                normalize.batch_norm, f"{shape} by n - {correction}", (x, gain, bias), {"correction": correction}
            )
        yield Case(normalize.layer_norm, str(shape), (x, gain, bias))
        yield Case(normalize.rms_norm, str(shape), (x, gain), {"epsilon": 1e-3})
        given = (x, drawn(shape[-1], seed=2), drawn(shape[-1], seed=3).detach().abs().add(0.5).requires_grad_())
        yield Case(normalize.normalize_by, str(shape), (*given, gain, bias))
    x = turned(drawn(6, 3))
    yield Case(normalize.batch_norm, "not contiguous", (x, drawn(3), drawn(3)))
    yield Case(normalize.layer_norm, "not contiguous", (x, drawn(3), drawn(3)))
    yield Case(normalize.rms_norm, "not contiguous", (x, drawn(3)))


def of_losses() -> Iterator[Case]:
    for rows, symbols in ((6, 4), (1, 3), (5, 1), (1, 1)):
        for smoothing in (0.0, 0.1):
            given = (drawn(rows, symbols), whole(symbols, rows))
            yield Case(loss.cross_entropy, f"{rows} of {symbols}, {smoothing}", given, {"smoothing": smoothing})
    uncounted = torch.tensor([0, -1, 2, -1, 1, 3])
    for smoothing in (0.0, 0.2):
        yield Case(
            loss.cross_entropy, f"some do not count, {smoothing}", (drawn(6, 4), uncounted), {"smoothing": smoothing}
        )
    for targets in (whole(4, 6), uncounted):
        yield Case(losses.negative_log_likelihood, f"{targets.tolist()}", (drawn(6, 4), targets))
        yield Case(losses.focal, f"{targets.tolist()}", (drawn(6, 4), targets), {"gamma": 2.0})
        yield Case(losses.z_loss, f"{targets.tolist()}", (drawn(6, 4), targets), {"coefficient": 0.1})
        yield Case(losses.confidence_penalty, f"{targets.tolist()}", (drawn(6, 4), targets))
    for shape in ((3, 4), (1,)):
        yield Case(losses.l2_penalty, str(shape), (drawn(*shape),))
        yield Case(losses.l1_penalty, str(shape), (drawn(*shape),))
    yield Case(loss.cross_entropy, "not contiguous", (turned(drawn(6, 4)), whole(4, 6)))
    yield Case(loss.expected_nats, "(3, 4)", (drawn(3, 4), drawn(3, 4, seed=1)))
    yield Case(loss.expected_nats, "one", (drawn(1, 1), drawn(1, 1, seed=1)))


def of_lines() -> Iterator[Case]:
    for taps, dilation, long in ((2, 1, 5), (2, 4, 5), (3, 2, 7), (1, 1, 3), (2, 8, 3)):
        given = (drawn(2, long, 3), drawn(4, 3, taps), drawn(4))
        yield Case(convolve.convolve, f"{taps} taps {dilation} apart on {long}", given, {"dilation": dilation})
    for shape in ((5, 3), (2, 4, 3), (1, 1)):
        given = (drawn(*shape), drawn(*shape, seed=1), drawn(4, 2 * shape[-1]))
        yield Case(convolve.convolve_pair, str(shape), (*given, drawn(4)))
        yield Case(convolve.convolve_pair, f"{shape}, no bias", (*given, None))
    for rows, heads, queries, keys, size in ((2, 3, 4, 4, 5), (1, 1, 1, 1, 1), (2, 1, 2, 5, 3)):
        given = (
            drawn(rows, heads, queries, size),
            drawn(rows, heads, keys, size),
            drawn(rows, heads, keys, size, seed=1),
        )
        yield Case(attend.attend, f"{queries} of {keys}", (*given, None))
        bias = attend.reach(queries, keys, 3, torch.float64, torch.device("cpu"))
        yield Case(attend.attend, f"{queries} of {keys}, the last 3", (*given, bias))
    for count, parts in ((3, 2), (1, 1), (2, 0)):
        x = drawn(2, 3, count, 2, 4)
        turn = attend.angles(torch.arange(3).expand(2, 3), 4, torch.float64)
        yield Case(attend.rotate, f"{parts} of {count}", (x, turn), {"parts": parts})
    for rows, wide in ((3, 4), (1, 1)):
        for op, many, state in (
            (gates.rnn_step, 1, 1),
            (gates.gru_step, 3, 1),
            (gates.gru_before_step, 3, 1),
            (gates.lstm_step, 4, 2),
        ):
            given = [drawn(rows, state * wide), drawn(rows, many * wide, seed=1), drawn(many * wide, wide)]
            if op is gates.gru_step:
                given.append(drawn(wide))
            yield Case(op, f"{rows} of {wide}", tuple(given))


def of_whole_rows() -> Iterator[Case]:
    tokens, lengths = torch.tensor([0, 1, 0, 2, 1, 0, 1, 2, 0]), torch.tensor([2, 3, 3, 1])
    plans = [("lines", in_turns(tokens, lengths, 3), 1), ("side by side", None, 2)]
    for network, many, state in (
        (recurrence.RNN, 1, 1),
        (recurrence.GRU, 3, 1),
        (recurrence.GRU_BEFORE, 3, 1),
        (recurrence.LSTM, 4, 2),
    ):
        for name, reading, starts in plans:
            turns = reading.turns if reading else side_by_side(2, 4)
            ids = reading.ids if reading else None
            wide = 3
            given = [
                drawn(starts, state * wide),
                drawn(3 if reading else turns.rows, many * wide),
                drawn(many * wide, wide),
            ]
            if network is recurrence.GRU:
                given.append(drawn(wide))
            yield Case(network.rows, name, tuple(given), {"ids": ids, "turns": turns})
    for count in (1, 9, windows.FEW + 1):
        ids = whole(4, count, 3)
        given = (ids, drawn(4, 2), drawn(5, 6), drawn(5))
        if count < windows.FEW:
            yield Case(windows.embed_linear, f"{count} windows, no bias", (*given[:3], None))
        yield Case(windows.embed_linear, f"{count} windows", given)


CASES = [
    *of_one_tensor(), *of_two(), *of_normalization(), *of_losses(), *of_lines(), *of_whole_rows()
]  # fmt: skip
