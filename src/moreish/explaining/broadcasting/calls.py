"""Operations on one tensor: pointwise functions, reductions and views, by their torch names and arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from moreish.errors import UsageError
from moreish.explaining.broadcasting import views
from moreish.explaining.broadcasting.alignment import Alignment, Fault, Shape, entries
from moreish.explaining.broadcasting.formulas import (
    G,
    POINTWISE,
    REDUCTIONS,
    axes_said,
    back_to,
    filled,
    wrapped,
)
from moreish.explaining.broadcasting.steps import Back, Origins, Reduced, Value
from moreish.explaining.broadcasting.traps import of_turned
from moreish.explaining.broadcasting.views import Refused
from moreish.explaining.broadcasting.workspace import Workspace

Argument = int | float | bool | tuple[int, ...] | None
ALONG = ("softmax", "log_softmax")
ONE_AXIS = ("prod", "max", "min", "argmax", "argmin")
"""Reductions that torch takes over one axis, or over all."""
WITH_INDICES = ("max", "min")
"""Those that give a pair along an axis, of which `.values` is the tensor."""
NEED_ENTRIES = ("amax", "amin", "max", "min", "argmax", "argmin")
VIEWS = (
    "T", "mT", "t", "transpose", "permute", "unsqueeze", "squeeze", "reshape", "view", "flatten", "expand", "detach",
)  # fmt: skip
ATTRIBUTES = ("T", "mT")


@dataclass(frozen=True)
class Call:
    """A call on one tensor: its torch name, the tensor, and its other arguments, read."""

    name: str
    value: Value
    args: tuple[Argument, ...]
    kwargs: dict[str, Argument]
    want: str

    @property
    def written(self) -> str:
        """The arguments as they were given."""
        return ", ".join([*map(str, self.args), *(f"{name}={value}" for name, value in self.kwargs.items())])

    def take(self, *names: str) -> dict[str, Argument]:
        """The arguments by these names, in this order; what was not given is missing.

        Raises:
            UsageError: too many, or one with another name.
        """
        if len(self.args) > len(names) or not self.kwargs.keys() <= set(names[len(self.args) :]):
            takes = f"takes {', '.join(names)}" if names else "takes nothing"
            raise UsageError(f"broadcasting: {self.name}({self.written[:40]}) cannot be read: {self.name} {takes}.")
        return {**dict(zip(names, self.args)), **self.kwargs}


def known_calls() -> list[str]:
    """The names of all operations on one tensor."""
    return sorted({*POINTWISE, *REDUCTIONS, *VIEWS})


def call(work: Workspace, call: Call) -> Value:
    """Record one operation on one tensor.

    Raises:
        UsageError: arguments that cannot be read.
        Stopped: torch would refuse it.
    """
    if call.value.number:
        raise UsageError(f"broadcasting: {call.name} is of a tensor, and {call.value.name} is a number. Write a shape.")
    try:
        if call.name in POINTWISE:
            return _pointwise(work, call)
        if call.name in REDUCTIONS:
            return _reduce(work, call)
        return _view(work, call)
    except Refused as refused:
        template = f"{{0}}.{call.name}" + ("" if call.name in ATTRIBUTES else f"({call.written})")
        return _refuse(work, call.name, template, call.value, call.want, str(refused))


def index(work: Workspace, value: Value, parts: Sequence[str], want: str) -> Value:
    """Record `value[:, None]`.

    Raises:
        Stopped: more axes are named than there are.
    """
    template = f"{{0}}[{', '.join(parts)}]"
    try:
        old = views.indexed(value.shape, parts)
    except Refused as refused:
        return _refuse(work, "[]", template, value, want, str(refused))
    shape = tuple(1 if axis is None else value.shape[axis] for axis in old)
    new = tuple(at for at, axis in enumerate(old) if axis is None)
    origins = tuple(frozenset() if axis is None else value.origins[axis] for axis in old)
    said = f"{axes_said(new).capitalize()} of length 1 {'is' if len(new) == 1 else 'are'} new." if new else "As it was."
    return _viewed(work, "[]", template, value, shape, want, f"{G}.reshape({value.shape})", origins, said)


def _refuse(work: Workspace, op: str, template: str, value: Value, want: str, why: str) -> Value:
    fault = Fault(None, (), f"{value.name} is {value.shape}: {why}")
    work.fail("view", op, template, [value], Alignment(None, (), (), fault), want, (), [f"{fault.why}."])
    raise AssertionError("fail always stops")


def _pointwise(work: Workspace, call: Call) -> Value:
    value, axis = call.value, ""
    if call.name in ALONG:
        given = call.take("dim").get("dim")
        if not _is_axis(given):
            raise UsageError(f"broadcasting: {call.name} needs the axis it goes along, as {call.name}(x, dim=1).")
        axis = str(views.axis_of(int(given or 0), len(value.shape)))
        template = f"torch.{call.name}({{0}}, {axis})"
    else:
        call.take()
        is_method = call.name in ("float", "double", "clone", "contiguous")
        template = f"{{0}}.{call.name}()" if is_method else f"torch.{call.name}({{0}})"

    def back(out: str) -> Back:
        return Back(value.name, value.shape, filled(POINTWISE[call.name], value, out=out, axis=axis))

    was = value.reduced
    kept = was and Reduced(template.format(was.code), template.format(wrapped(was.kept_code)), was.kept_shape, was.axes)
    said = f"Entry by entry, along axis {axis} together." if axis else "Entry by entry: the shape stays."
    return work.single(
        "pointwise", call.name, template, value, value.shape, call.want, back, value.origins, said,
        placed=value.placed, reduced=kept,
    )  # fmt: skip


def _reduce(work: Workspace, call: Call) -> Value:
    value, name, shape = call.value, call.name, call.value.shape
    extra = ("correction",) if name in ("var", "std") else ()
    given = call.take("dim", "keepdim", *extra) if "axis" not in call.kwargs else _by_axis(call, extra)
    asked, keepdim = given.get("dim"), bool(given.get("keepdim", False))
    if asked is None and "keepdim" in given and "dim" not in given:
        raise UsageError(f"broadcasting: torch takes keepdim of {name} only with an axis: {name}(dim=1, keepdim=True).")
    if not (asked is None or _is_axis(asked) or isinstance(asked, tuple)) or (isinstance(asked, tuple) and name in ONE_AXIS):
        raise UsageError(f"broadcasting: {name}({call.written[:40]}) cannot be read: dim is an axis, as in {name}(1).")
    axes = views.reduced_axes(shape, asked if isinstance(asked, tuple) else None if asked is None else [int(asked)])
    over = entries(tuple(shape[axis] for axis in axes))
    if name in NEED_ENTRIES and not over and (asked is None or entries(views.reduced(shape, axes, False)) or name[0] == "a"):
        raise Refused(f"{name} over an axis of length 0 has nothing to choose from")
    result = views.reduced(shape, axes, keepdim)
    argument = "" if asked is None else f"({', '.join(map(str, axes))})" if len(axes) != 1 else str(axes[0])
    pair = ".values" if name in WITH_INDICES and asked is not None else ""
    degrees = given.get("correction", 1) if extra else 1
    more = f", correction={degrees}" if degrees != 1 else ""

    def written(keep: bool) -> str:
        keyword = ", keepdim=True" if keep else ""
        dims = argument or ("None" if keep or more else "")
        return f"{{0}}.{name}({dims}{more}{keyword}){pair}"

    template, kept = written(keepdim), written(True)

    def back(out: str) -> Back | None:
        if not REDUCTIONS[name]:
            return None
        wide, wide_out = (_widened(each, axes, keepdim or not result) for each in (G, out))
        mean = f"{value.name}.mean({argument or None}, keepdim=True)"
        formula = filled(
            REDUCTIONS[name], value, out=out, n=over, wide=wide, wide_out=wide_out, mean=mean, degrees=over - int(degrees or 0)
        )
        return Back(value.name, shape, formula, says=f"{axes_said(axes)} put back, and broadcast" if axes else "")

    origins: tuple[Origins, ...] = tuple(
        frozenset() if axis in axes else value.origins[axis]
        for axis in range(len(shape))
        if keepdim or axis not in axes
    )
    dropped = None
    if not keepdim and result and axes:
        code = wrapped(value.code)
        dropped = Reduced(template.format(code), kept.format(code), views.reduced(shape, axes, True), axes)
    said = _reduction_said(value, axes, keepdim)
    return work.single(
        "reduction", name, template, value, result, call.want, back, origins, said,
        placed=value.placed and keepdim, reduced=dropped, axes=axes, gradient=bool(REDUCTIONS[name]),
    )  # fmt: skip


def _by_axis(call: Call, extra: tuple[str, ...]) -> dict[str, Argument]:
    """numpy's word for dim, which torch takes too."""
    if "dim" in call.kwargs:
        raise UsageError(f"broadcasting: {call.name} is given both dim and axis, which are the same. Give one.")
    renamed = {("dim" if name == "axis" else name): value for name, value in call.kwargs.items()}
    return Call(call.name, call.value, call.args, renamed, call.want).take("dim", "keepdim", *extra)


def _reduction_said(value: Value, axes: tuple[int, ...], keepdim: bool) -> str:
    if not axes:
        return f"{value.name} is a single number: nothing to reduce."
    lengths = [str(value.shape[axis]) for axis in axes]
    one = len(axes) == 1
    stays = ("stays with length 1" if one else "stay with length 1") if keepdim else ("is gone" if one else "are gone")
    return f"{axes_said(axes).capitalize()} of {value.name}, of length {' and '.join(lengths)}, {stays}."


def _widened(name: str, axes: tuple[int, ...], is_wide: bool) -> str:
    return name if is_wide else name + "".join(f".unsqueeze({axis})" for axis in axes)


def _view(work: Workspace, call: Call) -> Value:
    value, name, shape = call.value, call.name, call.value.shape
    attribute = name in ATTRIBUTES
    template = f"{{0}}.{name}" if attribute else f"{{0}}.{name}({call.written})"
    order = _order(call)
    if order is not None:
        turned = tuple(shape[axis] for axis in order)
        back = _order_back(name, call, order)
        origins = tuple(value.origins[axis] for axis in order)
        said = f"The axes in the order {order}." if len(order) > 1 else "Nothing to swap."
        placed = len(shape) > 1
        out = _viewed(work, name, template, value, turned, call.want, back, origins, said, placed=placed)
        if name == "T":
            work.warned += of_turned(len(work.steps), value)
        return out
    if name == "detach":
        call.take()
        said = "The same numbers, and no gradient goes back through it."
        return work.single(
            "view", name, template, value, shape, call.want, lambda out: None, value.origins, said,
            placed=value.placed, reduced=value.reduced, gradient=False,
        )  # fmt: skip
    found = _RESHAPES[name](call)
    kept = sorted(set(range(len(shape)))) if found == shape else []
    origins = tuple(value.origins[axis] for axis in kept) if kept else _origins_after(value, name, found, call)
    if name == "expand":
        return _expand(work, call, template, found)
    back = f"{G}.reshape({shape})"
    said = f"The same {entries(shape)} entries, laid out as {found}."
    return _viewed(work, name, template, value, found, call.want, back, origins, said)


def _order(call: Call) -> tuple[int, ...] | None:
    """The order that a transposing call puts the axes in; None for any other."""
    shape = call.value.shape
    axes = tuple(range(len(shape)))
    if call.name == "T":
        return axes[::-1]
    if call.name == "mT":
        if len(axes) < 2:
            raise Refused(".mT swaps the last two axes, and there are fewer")
        return (*axes[:-2], axes[-1], axes[-2])
    if call.name == "t":
        call.take()
        if len(axes) > 2:
            raise Refused("t() takes at most two axes; .mT swaps the last two")
        return axes[::-1]
    if call.name == "transpose":
        given = call.take("dim0", "dim1")
        return views.swapped(shape, _whole(call, given.get("dim0")), _whole(call, given.get("dim1")))
    if call.name == "permute":
        return views.permuted(shape, _sizes(call))
    return None


def _order_back(name: str, call: Call, order: tuple[int, ...]) -> str:
    if name == "permute":
        return f"{G}.permute({tuple(order.index(axis) for axis in range(len(order)))})"
    if name in ("T", "mT"):
        return f"{G}.{name}"
    return f"{G}.{name}({call.written})"


def _expand(work: Workspace, call: Call, template: str, shape: Shape) -> Value:
    value = call.value
    ahead = len(shape) - len(value.shape)
    origins = tuple(frozenset() if at < ahead else value.origins[at - ahead] for at in range(len(shape)))
    return work.single(
        "view", "expand", template, value, shape, call.want, lambda out: back_to(value, G, shape), origins,
        f"Stretched to {shape} without being copied.", placed=True,
    )  # fmt: skip


def _unsqueezed(call: Call) -> Shape:
    axis = views.axis_of(_whole(call, call.take("dim").get("dim")), len(call.value.shape) + 1)
    return (*call.value.shape[:axis], 1, *call.value.shape[axis:])


def _squeezed(call: Call) -> Shape:
    shape, given = call.value.shape, call.take("dim")
    if "dim" not in given:
        return tuple(size for size in shape if size != 1)
    axis = views.axis_of(_whole(call, given["dim"]), len(shape))
    return tuple(size for at, size in enumerate(shape) if at != axis or size != 1)


def _flattened(call: Call) -> Shape:
    given = call.take("start_dim", "end_dim")
    start, end = (_whole(call, given.get(name, usual)) for name, usual in (("start_dim", 0), ("end_dim", -1)))
    return views.flattened(call.value.shape, start, end) if call.value.shape else (1,)


_RESHAPES: dict[str, Callable[[Call], Shape]] = {
    "unsqueeze": _unsqueezed,
    "squeeze": _squeezed,
    "flatten": _flattened,
    "reshape": lambda call: views.reshaped(call.value.shape, _sizes(call)),
    "view": lambda call: views.reshaped(call.value.shape, _sizes(call)),
    "expand": lambda call: views.expanded(call.value.shape, _sizes(call)),
}


def _origins_after(value: Value, name: str, shape: Shape, call: Call) -> tuple[Origins, ...] | None:
    """Axes keep their origins where only axes of 1 came or went."""
    wide = [axis for axis, size in enumerate(value.shape) if size != 1]
    if [value.shape[axis] for axis in wide] != [size for size in shape if size != 1]:
        return None
    left = iter(wide)
    return tuple(frozenset() if size == 1 else value.origins[next(left)] for size in shape)


def _viewed(
    work: Workspace,
    op: str,
    template: str,
    value: Value,
    shape: Shape,
    want: str,
    back: str,
    origins: tuple[Origins, ...] | None,
    said: str,
    placed: bool = True,
) -> Value:
    def comes(out: str) -> Back:
        return Back(value.name, value.shape, back)

    reduced = None if placed else value.reduced
    return work.single("view", op, template, value, shape, want, comes, origins, said, placed=placed, reduced=reduced)


def _sizes(call: Call) -> tuple[int, ...]:
    args = call.args[0] if len(call.args) == 1 and isinstance(call.args[0], tuple) else call.args
    if call.kwargs or not isinstance(args, tuple) or not all(_is_axis(each) for each in args):
        raise UsageError(f"broadcasting: {call.name}({call.written[:40]}) cannot be read: write sizes, such as (27, 1).")
    return tuple(int(each) for each in args if isinstance(each, int))


def _whole(call: Call, given: Argument) -> int:
    if not _is_axis(given) or not isinstance(given, int):
        raise UsageError(f"broadcasting: {call.name}({call.written[:40]}) cannot be read: it takes an axis, such as 1.")
    return given


def _is_axis(given: Argument) -> bool:
    return isinstance(given, int) and not isinstance(given, bool)
