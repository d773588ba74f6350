"""The truth table of BatchNorm, found out of layers by their numbers: which axes, which statistics, what is kept.

One number of an input is moved a little. In learning mode all outputs that share its mean and variance move with it:
the axes along which they spread are those that the statistics were taken over, whatever the documentation says.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from moreish.explaining.batchnorm.layers import (
    LECTURE_FIRST,
    LECTURE_MENDED,
    OURS,
    TORCH,
    TORCH_NO_GRAD,
    TORCH_TURNED,
    TORCH_UNTRACKED,
    Asked,
    buffers_of,
)
from moreish.randomness import stream

ROWS, PLACES, CHANNELS = 6, 4, 3
"""B, T and D of what the layers are shown."""
MOVED = 1e-9
"""How far an output must move to have been moved, in float64, where the input moved by 1."""

LARGE = 1e4
"""What a small batch is multiplied by, so that epsilon is nothing beside its variance."""
NEAR = 1e-6

BATCH, RUNNING = "batch", "running"
ERROR, NAN, STORED, CONSTANT, SIGNS, NORMAL = "error", "nan", "running", "constant", "signs", "normal"


@dataclass(frozen=True)
class Axes:
    """Over which axes of an input a layer takes its mean and variance while it learns.

    `over` names them by letter and is None where the layer refuses the input, with what it says in `error`; `shares`
    is how many numbers go into one mean, `kept` the shape of the mean that is stored. `furthest` is how far the mean
    over these axes of what comes out is from 0, or the variance from its value, whichever is more: a check.
    """

    who: str
    input: str
    shape: list[int]
    over: list[str] | None
    shares: int
    kept: list[int] | None
    furthest: float | None
    error: str


@dataclass(frozen=True)
class Mode:
    """What a layer does in a mode: by which statistics it normalises, and whether it stores them.

    `through` is whether a row's input gets a gradient from another row's output: through the statistics.
    """

    who: str
    mode: str
    statistics: str
    stores: bool
    through: bool


@dataclass(frozen=True)
class Small:
    """What a layer in learning mode makes of a batch of one or two rows.

    `outcome` is `error`, `nan`, `running` (normalised by what is stored), `constant` (the same whatever came in),
    `signs` (one size, only its sign hangs on what came in) or `normal`; `size` the largest output, None where there is
    none; `passes` the share of a gradient that reaches the input, against statistics that are given.
    """

    who: str
    rows: int
    outcome: str
    size: float | None
    passes: float | None
    error: str


ASKED = (
    (OURS, "ND", (ROWS, CHANNELS)),
    (TORCH, "ND", (ROWS, CHANNELS)),
    (LECTURE_FIRST, "ND", (ROWS, CHANNELS)),
    (OURS, "BTD", (ROWS, PLACES, CHANNELS)),
    (TORCH, "BTD", (ROWS, PLACES, CHANNELS)),
    (TORCH, "BTD", (ROWS, CHANNELS, CHANNELS)),  # T = D: it is not refused
    (TORCH_TURNED, "BTD", (ROWS, PLACES, CHANNELS)),
    (LECTURE_FIRST, "BTD", (ROWS, PLACES, CHANNELS)),
    (LECTURE_MENDED, "BTD", (ROWS, PLACES, CHANNELS)),
)
LEARNING = "learning"
EVALUATION = "evaluation"
MODES = (OURS, TORCH, TORCH_NO_GRAD, TORCH_UNTRACKED, LECTURE_MENDED)


def axes_table() -> list[Axes]:
    """Each layer on each form of input."""
    return [axes_of(asked, letters, shape) for asked, letters, shape in ASKED]


def modes_table() -> list[Mode]:
    """Each layer in both modes."""
    return [mode_of(asked, mode) for asked in MODES for mode in (LEARNING, EVALUATION)]


def small_table() -> list[Small]:
    """Each layer on one row and on two."""
    return [small_of(asked, rows) for rows in (1, 2) for asked in (OURS, TORCH, LECTURE_MENDED)]


def axes_of(asked: Asked, letters: str, shape: tuple[int, ...]) -> Axes:
    """Move the first number of an input, and see which outputs move."""
    layer = asked.make(shape[-1]).train()
    x = _given(shape)
    named = f"[{' '.join(letters)}]"
    try:
        with torch.no_grad():
            before = layer(x)
            moved = x.clone()
            moved.view(-1)[0] += 1
            spread = (asked.make(shape[-1]).train()(moved) - before).abs() > MOVED
    except (RuntimeError, ValueError) as error:
        return Axes(asked.who, named, list(shape), None, 0, None, None, str(error))
    over = [axis for axis in range(len(shape)) if spread.transpose(0, axis).flatten(1).any(1).sum() > 1]
    means = [b for name, b in buffers_of(layer).items() if "mean" in name]
    variance, mean = torch.var_mean(before, over, correction=0)
    furthest = max(float(mean.abs().max()), float(variance.max() - variance.min()))
    shares = int(torch.tensor([shape[axis] for axis in over]).prod())
    return Axes(asked.who, named, list(shape), [letters[a] for a in over], shares, list(means[0].shape), furthest, "")


def mode_of(asked: Asked, mode: str) -> Mode:
    """Whose statistics normalise a row: those of the batch, which other rows move, or those that are stored."""
    layer = asked.make(CHANNELS).train(mode == LEARNING)
    x = _given((ROWS, CHANNELS)).requires_grad_()
    before = buffers_of(layer)
    y = layer(x)
    stores = any(not torch.equal(old, buffers_of(layer)[name]) for name, old in before.items())
    with torch.no_grad():
        moved = x.clone()
        moved[1:] += 1
        other = asked.make(CHANNELS).train(mode == LEARNING)(moved)
        batch = bool((other[0] - y[0]).abs().max() > MOVED)
    through = False
    if y.requires_grad:
        (gradient,) = torch.autograd.grad(y[0].square().sum(), x)
        through = bool(gradient[1:].abs().max() > MOVED)
    return Mode(asked.who, mode, BATCH if batch else RUNNING, stores, through)


def small_of(asked: Asked, rows: int) -> Small:
    """Show so few rows, twice as large the second time."""
    x = (LARGE * _given((rows, CHANNELS))).requires_grad_()
    try:
        y = asked.make(CHANNELS).train()(x)
    except (RuntimeError, ValueError) as error:
        return Small(asked.who, rows, ERROR, None, None, str(error))
    if not bool(torch.isfinite(y).all()):
        return Small(asked.who, rows, NAN, None, None, "")
    with torch.no_grad():
        again = asked.make(CHANNELS).train()(2 * x)
        evaluated = asked.make(CHANNELS).eval()(x)
    passes = _passes(x, y)
    size = float(y.detach().abs().max())
    if torch.allclose(y, evaluated, rtol=NEAR):
        return Small(asked.who, rows, STORED, size, passes, "")
    if torch.allclose(y, again, atol=NEAR) and float(y.detach().abs().min()) > size - NEAR:
        return Small(asked.who, rows, SIGNS if size > MOVED else CONSTANT, size, passes, "")
    return Small(asked.who, rows, NORMAL, size, passes, "")


def _passes(x: Tensor, y: Tensor) -> float:
    """The size of the gradient at the input, against what given statistics would let through, channel by channel."""
    sent = torch.randn(y.shape, generator=stream(0, "batchnorm/sent"), dtype=y.dtype)
    (came,) = torch.autograd.grad(y, x, sent)
    spread = x.detach().std(0, correction=0) if len(x) > 1 else torch.ones(x.shape[1], dtype=x.dtype)
    return float(came.norm() / (sent / spread).norm())


def _given(shape: tuple[int, ...]) -> Tensor:
    """Rows whose every entry is another number, far from mean 0 and variance 1."""
    return 3 * torch.randn(shape, generator=stream(0, "batchnorm/given"), dtype=torch.float64) + 1
