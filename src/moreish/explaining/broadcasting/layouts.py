"""Views: transposes, new axes and reshapes of one tensor. What they place, they place on purpose."""

from __future__ import annotations

from collections.abc import Callable

from moreish.explaining.broadcasting import views
from moreish.explaining.broadcasting.alignment import Shape, entries
from moreish.explaining.broadcasting.arguments import Call, sizes, whole
from moreish.explaining.broadcasting.formulas import G, axes_said, back_to
from moreish.explaining.broadcasting.steps import Back, Origins, Value
from moreish.explaining.broadcasting.traps import of_turned
from moreish.explaining.broadcasting.views import Refused
from moreish.explaining.broadcasting.workspace import Workspace

VIEWS = (
    "T", "mT", "t", "transpose", "permute", "unsqueeze", "squeeze", "reshape", "view", "flatten", "expand", "detach",
)  # fmt: skip
ATTRIBUTES = ("T", "mT")


def view(work: Workspace, call: Call) -> Value:
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
    if name == "expand":
        return _expand(work, call, template, found)
    back, origins = f"{G}.reshape({shape})", _origins_after(value, found)
    said = f"The same {entries(shape)} entries, laid out as {found}."
    return _viewed(work, name, template, value, found, call.want, back, origins, said)


def new_axes(work: Workspace, value: Value, template: str, old: views.Indices, want: str) -> Value:
    """Record `value[:, None]`: for each axis of the result, which old one it is, or a new one of length 1."""
    shape = tuple(1 if axis is None else value.shape[axis] for axis in old)
    new = tuple(at for at, axis in enumerate(old) if axis is None)
    origins = tuple(frozenset() if axis is None else value.origins[axis] for axis in old)
    said = f"{axes_said(new).capitalize()} of length 1 {'is' if len(new) == 1 else 'are'} new." if new else "As it was."
    return _viewed(work, "[]", template, value, shape, want, f"{G}.reshape({value.shape})", origins, said)


def _order(call: Call) -> tuple[int, ...] | None:
    """The order that a transposing call puts the axes in; None for any other."""
    shape = call.value.shape
    axes = tuple(range(len(shape)))
    if call.name == "T":
        return axes[::-1]
    if call.name == "mT":
        if not axes:
            return axes  # as torch has it, though not of one axis
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
        return views.swapped(shape, whole(call, given.get("dim0")), whole(call, given.get("dim1")))
    if call.name == "permute":
        return views.permuted(shape, sizes(call))
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
    axis = views.axis_of(whole(call, call.take("dim").get("dim")), len(call.value.shape) + 1)
    return (*call.value.shape[:axis], 1, *call.value.shape[axis:])


def _squeezed(call: Call) -> Shape:
    shape, given = call.value.shape, call.take("dim")
    if "dim" not in given:
        return tuple(size for size in shape if size != 1)
    axis = views.axis_of(whole(call, given["dim"]), len(shape))
    return tuple(size for at, size in enumerate(shape) if at != axis or size != 1)


def _flattened(call: Call) -> Shape:
    given = call.take("start_dim", "end_dim")
    start, end = (whole(call, given.get(name, usual)) for name, usual in (("start_dim", 0), ("end_dim", -1)))
    return views.flattened(call.value.shape, start, end)


_RESHAPES: dict[str, Callable[[Call], Shape]] = {
    "unsqueeze": _unsqueezed,
    "squeeze": _squeezed,
    "flatten": _flattened,
    "reshape": lambda call: views.reshaped(call.value.shape, sizes(call)),
    "view": lambda call: views.reshaped(call.value.shape, sizes(call)),
    "expand": lambda call: views.expanded(call.value.shape, sizes(call)),
}


def _origins_after(value: Value, shape: Shape) -> tuple[Origins, ...] | None:
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
