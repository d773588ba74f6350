"""An operation is a forward with its hand-written backward beside it; which of them learning uses is a switch.

Called plainly, an op is its forward, and autograd finds the gradient. Inside `with by_hand():` the same call goes
through one autograd function that asks the op's own backward, so any model made of ops learns by gradients that stand
in these files. `compare` holds backward, autograd and finite differences against one another.

One rule for a backward: it sees the incoming gradient, the output, and the forward's inputs, by their names; nothing
else. It returns the gradients under the names of the inputs. Its signature says what it needs, and only that is kept:

    def tanh_forward(x): return torch.tanh(x)
    def tanh_backward(gradient, output): return {"x": gradient * (1 - output * output)}
    tanh = Op(tanh_forward, tanh_backward)

Tensors are positional, of whatever type; options are keyword-only. What a forward worked out on its way and the
backward would have to work out again may be handed on under a name (`keeps`).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar

import torch
from torch import Tensor

from moreish.errors import UsageError

P = ParamSpec("P")
R = TypeVar("R")
Gradients = dict[str, Tensor]

_HOW: ContextVar[str] = ContextVar("how", default="")
_open: set[object] = set()
"""The blocks below that are open in any thread: mostly none, and then a call need not ask for its own."""


@contextmanager
def _by(how: str) -> Iterator[None]:
    before, mark = _HOW.set(how), object()
    _open.add(mark)
    try:
        yield
    finally:
        _open.discard(mark)
        _HOW.reset(before)


def by_hand() -> AbstractContextManager[None]:
    """Inside, gradients come from the hand-written backward passes of the ops, in this thread.

    with moreish.by_hand():
        trained = moreish.fit(corpus, "gru")
    """
    return _by("hand")


def by_autograd() -> AbstractContextManager[None]:
    """Inside, no hand-written backward is used, in this thread: not even those that are otherwise, being quicker.

    What gradients by hand are held against.
    """
    return _by("autograd")


def told() -> str:
    """How gradients are to be found here and now: "hand", "autograd", or "", each op as it does best."""
    # What is compiled gets its gradients from the compiler, which cannot follow a context variable either.
    return _HOW.get() if _open and not torch.compiler.is_compiling() else ""


class Op(Generic[P, R]):
    """A forward and the backward that belongs to it.

    Args:
        forward: tensors are positional (None where one is optional), options keyword-only. Returns a tensor or a tuple
            of tensors.
        backward: `(gradient, ...)`, then any of the forward's arguments, `output` and what the forward `keeps`, by
            name. Of an op with several outputs `gradient` and `output` are tuples. It changes none of them.
        keeps: names of what the forward returns after its output, for the backward's eyes only.
        always: whether the backward by hand is used outside of `by_hand()` too, being quicker than autograd's.
        steps: the same in steps that autograd can follow, where it cannot follow the forward, which works in place.
    """

    def __init__(
        self,
        forward: Callable[P, R],
        backward: Callable[..., Gradients],
        *,
        keeps: tuple[str, ...] = (),
        always: bool = False,
        steps: Callable[P, Any] | None = None,
    ):
        functools.update_wrapper(self, forward)
        self.__name__ = forward.__name__.removesuffix("_forward")
        self.forward, self.backward = forward, backward
        self.keeps, self.always = keeps, always
        self.plain: Callable[..., Any] = self._without_what_is_kept if keeps else forward
        self.steps: Callable[..., Any] = steps or self.plain
        self.signature = inspect.signature(forward)
        parameters = self.signature.parameters
        self.inputs = tuple(name for name, p in parameters.items() if p.kind is not p.KEYWORD_ONLY)
        self.options = tuple(name for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY)
        self.is_option = frozenset(self.options)
        _, *wanted = inspect.signature(backward).parameters
        self.wants_output = "output" in wanted
        self.wanted_inputs = tuple((i, name) for i, name in enumerate(self.inputs) if name in wanted)
        # An option that a call leaves out is at the forward's default for the backward too.
        self.wanted_options = {name: parameters[name].default for name in self.options if name in wanted}
        strange = set(wanted) - {"output", *self.inputs, *self.options, *keeps}
        if strange:
            raise UsageError(
                f"{self.__name__}: its backward asks for {', '.join(sorted(strange))}, which its forward does not "
                f"have. It may ask for: gradient, output, {', '.join([*parameters, *keeps])}."
            )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if (self.always or _open) and torch.is_grad_enabled():
            how = told()
            if how == "autograd":
                return self.steps(*args, **kwargs)
            if self.always or how:
                return self._by_hand(args, kwargs)
        return self.plain(*args, **kwargs)

    def _by_hand(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if len(args) < len(self.inputs) or not self.is_option.issuperset(kwargs):
            given = self.signature.bind(*args, **kwargs)  # refuses what the forward does not take
            given.apply_defaults()
            args, kwargs = given.args, given.kwargs
        if any(isinstance(x, Tensor) and x.requires_grad for x in args):
            return _ByHand.apply(self, kwargs, *args)
        return self.plain(*args, **kwargs)

    def _without_what_is_kept(self, *args: Any, **kwargs: Any) -> Any:
        out: Any = self.forward(*args, **kwargs)
        return out[0]

    def __deepcopy__(self, memo: dict[int, Any]) -> Op[P, R]:
        return self  # a model's copy computes the same things

    def __repr__(self) -> str:
        return f"<op {self.__name__}>"


class _ByHand(torch.autograd.Function):
    """The one autograd function through which every hand-written backward is reached."""

    @staticmethod
    def forward(ctx: Any, op: Op, options: dict[str, Any], *inputs: Any) -> Any:
        out: Any = op.forward(*inputs, **options)
        kept: tuple[Any, ...] = ()
        if op.keeps:
            out, *kept = out  # type: ignore[assignment]
        outputs = (out if type(out) is tuple else (out,)) if op.wants_output else ()
        saved = [inputs[i] for i, _ in op.wanted_inputs]
        # What an optional input lacks is None, which may be saved too.
        ctx.save_for_backward(*saved, *outputs, *kept)
        ctx.op, ctx.options, ctx.several = op, options, type(out) is tuple
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        op: Op = ctx.op
        if op.keeps and torch.is_grad_enabled():
            raise RuntimeError(f"{op.__name__}: its gradient cannot be differentiated again. Leave out create_graph.")
        saved = ctx.saved_tensors
        count = len(op.wanted_inputs)
        named = {name: tensor for (_, name), tensor in zip(op.wanted_inputs, saved)}
        if op.wants_output:
            outputs = saved[count : len(saved) - len(op.keeps)]
            named["output"] = outputs if ctx.several else outputs[0]
        named |= zip(op.keeps, saved[len(saved) - len(op.keeps) :])
        named |= {name: ctx.options.get(name, default) for name, default in op.wanted_options.items()}
        got = op.backward(gradients if ctx.several else gradients[0], **named)
        if not isinstance(got, dict) or not got.keys() <= set(op.inputs):
            said = f"keys {', '.join(map(str, got))}" if isinstance(got, dict) else type(got).__name__
            raise UsageError(
                f"{op.__name__}: its backward returned {said}, not the gradients by the names of its inputs. Return a "
                f"dict such as {{{op.inputs[0]!r}: ...}}."
            )
        needed = list(zip(op.inputs, ctx.needs_input_grad[2:]))
        if missing := [name for name, need in needed if need and name not in got]:
            raise UsageError(f"{op.__name__}: no gradient by hand reaches {', '.join(missing)}, a constant. Detach it.")
        return (None, None, *(got[name] if need else None for name, need in needed))


@dataclass(frozen=True)
class Difference:
    """Where a hand-written gradient is furthest from autograd's: entry `at` of d(`input`), in float64."""

    op: str
    input: str
    shape: tuple[int, ...]
    at: tuple[int, ...]
    by_hand: float
    autograd: float
    finite: float
    """The central difference of the forward alone, which neither of the two had a part in."""
    right: bool

    def __str__(self) -> str:
        off = abs(self.by_hand - self.autograd)
        said = "is right to" if self.right else "is off by"
        return (
            f"{self.op}: hand-written d({self.input}) {said} {off:.1e} at {self.at} of {self.shape}: by hand "
            f"{self.by_hand:.6g}, autograd {self.autograd:.6g}, finite difference {self.finite:.6g}."
        )


ABSOLUTE, RELATIVE = 1e-9, 1e-7
"""How far a hand-written gradient in float64 may be from autograd's: rounding, and well below any mistake."""
STEP = 1e-6
NEAR_FINITE = 1e-4
"""How far both may be from the central difference, in units of 1 + its size: what that is good to."""


def compare(op: Op, *inputs: Tensor | None, seed: int = 0, **options: Any) -> list[Difference]:
    """Hold an op's backward, autograd and finite differences against one another, in float64.

    The loss is the sum of the outputs, each entry weighted by a random number, so that every entry has its say.

    Returns: for each input that has a gradient, the entry where by hand and autograd differ most; `right` says whether
    that is rounding and all three agree.
    """
    cast: list[Any] = [x.detach().double() if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs]
    which = [i for i, x in enumerate(cast) if isinstance(x, Tensor) and x.is_floating_point()]
    draw = torch.Generator().manual_seed(seed)
    weights: list[Tensor] = []

    def loss(given: list[Any]) -> Tensor:
        out: Any = op(*given, **options)
        outputs = out if type(out) is tuple else (out,)
        if not weights:
            weights.extend(torch.randn(y.shape, generator=draw, dtype=torch.float64).to(y.device) for y in outputs)
        return torch.stack([(w * y).sum() for w, y in zip(weights, outputs)]).sum()

    def gradients(hand: bool) -> list[Tensor]:
        given: list[Any] = [x.clone().requires_grad_() if i in which else x for i, x in enumerate(cast)]
        asked: list[Tensor] = [given[i] for i in which]
        with by_hand() if hand else by_autograd():
            found = loss(given)
        got = torch.autograd.grad(found, asked, allow_unused=True)
        return [torch.zeros_like(x) if g is None else g for x, g in zip(asked, got)]

    out = []
    for i, mine, theirs in zip(which, gradients(True), gradients(False)):
        if not mine.numel():
            continue
        apart = torch.nan_to_num((mine - theirs).abs(), nan=torch.inf)
        flat = int(apart.argmax())
        at = tuple(int(k) for k in torch.unravel_index(torch.tensor(flat), mine.shape))
        finite = _central(loss, cast, i, at)
        one, other = float(mine[at]), float(theirs[at])
        right = bool(apart.max() <= ABSOLUTE + RELATIVE * theirs.abs().max())
        right = right and abs(other - finite) <= NEAR_FINITE * (1 + abs(finite))
        out.append(Difference(op.__name__, op.inputs[i], tuple(mine.shape), at, one, other, finite, right))
    return out


@torch.no_grad()
def _central(loss: Callable[[list[Any]], Tensor], given: list[Any], which: int, at: tuple[int, ...]) -> float:
    """The derivative of the loss by one entry, from the loss a little above and a little below."""
    both = []
    for step in (STEP, -STEP):
        moved = given[which].clone()
        moved[at] += step
        both.append(float(loss([*given[:which], moved, *given[which + 1 :]])))
    return (both[0] - both[1]) / (2 * STEP)
