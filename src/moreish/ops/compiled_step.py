"""The whole step of the lectures' MLP with BatchNorm by `mlp_step.c`: its parameters laid out, its calls made safe."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from moreish.ops.compiled import NotCompiled, library
from moreish.ops.plain_step import PlainStep, strange_id

SOURCE = Path(__file__).with_name("mlp_step.c")
PAD = 16
"""Hidden units come in multiples of this; those that are added stay zero."""
BYTES = 4
AS_PLAIN = 1e-5
"""How near the gradients of a freshly loaded library must be to those of the plain step, beside their largest entry."""

Parameters = dict[str, Tensor]


class Net(ctypes.Structure):
    """Sizes and parameters as the C file has them."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("symbols", "width", "context", "hidden", "correction")),
        ("epsilon", ctypes.c_float),
        *((name, ctypes.c_void_p) for name in ("C", "W1", "b1", "W2", "b2", "bngain", "bnbias", "mean", "variance")),
    )


class Gradients(ctypes.Structure):
    """Where gradients go."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in ("C", "W1", "W2", "b2", "bngain", "bnbias"))


class Call(ctypes.Structure):
    """What is the same in every step over n windows."""

    _fields_ = (
        ("net", ctypes.c_void_p), ("n", ctypes.c_int64), ("space", ctypes.c_void_p), ("momentum", ctypes.c_float),
        ("keep", ctypes.c_void_p),
    )  # fmt: skip


class CompiledStep:
    """Holds the lecture's parameters by name: views of what the C code renews, hidden units padded.

    Args:
        library: of `mlp_step.c`.
        parameters: by the lecture's names and shapes; copied.
    """

    name = "compiled"

    def __init__(self, library: ctypes.CDLL, parameters: Parameters, correction: int, epsilon: float, momentum: float):
        self._step, self._needed = library.mlp_step, library.mlp_space
        self._needed.argtypes, self._needed.restype = [ctypes.c_void_p, ctypes.c_int64], ctypes.c_int64
        self._step.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_float]
        self._step.restype = ctypes.c_double
        self.symbols, self.width = parameters["C"].shape
        self.inputs, self.hidden = parameters["W1"].shape
        self.momentum = momentum
        wide = self._wide()
        self._stored, self.p = self._laid_out()
        for name, tensor in parameters.items():
            self.p[name].copy_(tensor)
        self._mean, self._variance = torch.zeros(1, wide), torch.ones(1, wide)
        self.running_mean, self.running_variance = self._mean[:, : self.hidden], self._variance[:, : self.hidden]
        self._net = Net(
            self.symbols, self.width, self.inputs // self.width, wide, correction, epsilon,
            mean=self._mean.data_ptr(), variance=self._variance.data_ptr(),
            **{name: tensor.data_ptr() for name, tensor in self._stored.items()},
        )  # fmt: skip
        self._calls: dict[int, tuple[int, Call, Tensor]] = {}

    def run(self, windows: Int[Tensor, "N c"], targets: Int[Tensor, " N"], lr: float) -> float:
        """One step; returns the loss before it.

        Raises:
            UsageError: an id that is none of the symbols; nothing has changed.
        """
        n = windows.shape[0]
        call = self._calls.get(n)
        if call is None:
            call = self._calls[n] = self._prepared(n, self.momentum)
        loss = self._step(call[0], windows.data_ptr(), targets.data_ptr(), lr)
        if loss in (-1, -2):
            raise strange_id("windows" if loss == -1 else "targets", self.symbols)
        return loss

    def gradients(self, windows: Int[Tensor, "N c"], targets: Int[Tensor, " N"]) -> tuple[float, Parameters]:
        """The loss and the gradients by name; nothing changes.

        Raises:
            UsageError: an id that is none of the symbols.
        """
        stored, named = self._laid_out()
        keep = Gradients(**{name: stored[name].data_ptr() for name in stored if name != "b1"})
        at, *held = self._prepared(windows.shape[0], 0.0, keep)
        loss = self._step(at, windows.data_ptr(), targets.data_ptr(), 0.0)
        del held  # until here
        if loss in (-1, -2):
            raise strange_id("windows" if loss == -1 else "targets", self.symbols)
        return loss, named

    def _prepared(self, n: int, momentum: float, keep: Gradients | None = None) -> tuple[int, Call, Tensor]:
        """A call's address, the call, and the room that it works in, which torch begins at a multiple of 64 bytes."""
        net = ctypes.addressof(self._net)
        space = torch.zeros(self._needed(net, n) // BYTES)
        call = Call(net, n, space.data_ptr(), momentum, ctypes.addressof(keep) if keep else None)
        return ctypes.addressof(call), call, space

    def _wide(self) -> int:
        return -(-self.hidden // PAD) * PAD

    def _laid_out(self) -> tuple[Parameters, Parameters]:
        """Room for the parameters, or for their gradients, as the C file has them; views of it as the lecture has."""
        wide, hidden = self._wide(), self.hidden
        shapes = {
            "C": (self.symbols, self.width), "W1": (self.inputs, wide), "b1": (wide,), "W2": (self.symbols, wide),
            "b2": (self.symbols,), "bngain": (1, wide), "bnbias": (1, wide),
        }  # fmt: skip
        stored = {name: torch.zeros(shape) for name, shape in shapes.items()}
        named = {name: t if name in ("C", "b2") else t[..., :hidden] for name, t in stored.items()}
        named["W2"] = named["W2"].t()
        return stored, named


@cache
def checked_library() -> ctypes.CDLL | str:
    """The library of `mlp_step.c` if its gradients are those of the plain step; else why there is none."""
    try:
        found = library(SOURCE)
        return found if _agrees(found) else "what the compiler made does not compute what plain torch does."
    except NotCompiled as error:
        return str(error)


def _agrees(found: ctypes.CDLL) -> bool:
    """One comparison, of sizes that meet every remainder of a tile."""
    draw = torch.Generator().manual_seed(0)
    shapes = {"C": (9, 5), "W1": (15, 77), "b1": (77,), "W2": (77, 9), "b2": (9,), "bngain": (1, 77), "bnbias": (1, 77)}
    p = {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    windows = torch.randint(9, (21, 3), generator=draw)
    targets = torch.randint(9, (21,), generator=draw)
    ours = CompiledStep(found, p, 1, 1e-5, 0.5)
    plain = PlainStep({name: t.double() for name, t in p.items()}, 1, 1e-5, 0.5)
    mine, theirs = ours.gradients(windows, targets), plain.gradients(windows, targets)
    losses = [(ours.run(windows, targets, 0.1), plain.run(windows, targets, 0.1)) for _ in range(2)]
    pairs = [(torch.tensor(a), torch.tensor(b)) for a, b in ((mine[0], theirs[0]), *losses)]
    pairs += [(mine[1][name], theirs[1][name]) for name in shapes if name != "b1"]
    pairs += [(ours.p[name], plain.p[name]) for name in shapes]
    pairs += [(ours.running_mean, plain.running_mean), (ours.running_variance, plain.running_variance)]
    return all(bool((a - b).abs().max() <= AS_PLAIN * b.abs().max()) for a, b in pairs)
