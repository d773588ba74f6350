"""Reductions: sum, mean, max and the like, with keepdim or without, and what comes back through them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from moreish.errors import UsageError
from moreish.explaining.broadcasting import views
from moreish.explaining.broadcasting.alignment import entries
from moreish.explaining.broadcasting.arguments import Call, is_axis, whole
from moreish.explaining.broadcasting.formulas import REDUCTIONS, G, axes_said, filled
from moreish.explaining.broadcasting.pieces import wrapped
from moreish.explaining.broadcasting.steps import Back, Origins, Reduced, Value
from moreish.explaining.broadcasting.views import Refused
from moreish.explaining.broadcasting.workspace import Workspace

ONE_AXIS = ("prod", "max", "min", "argmax", "argmin")
"""Reductions that torch takes over one axis, or over all."""
WITH_INDICES = ("max", "min")
"""Those that give a pair along an axis, of which `.values` is the tensor."""
NEED_AXIS = ("prod", "max", "min", "logsumexp")
"""Those that take no None for their axis."""
NEED_ENTRIES = ("amax", "amin", "max", "min", "argmax", "argmin")


@dataclass(frozen=True)
class Asked:
    """A reduction as it was asked for: its axes, how they were written, and what becomes of them."""

    name: str
    axes: tuple[int, ...]
    written: str
    """As torch takes it; "" for all axes."""
    keepdim: bool
    correction: int

    def template(self, keepdim: bool) -> str:
        """The call as code, `{0}` being the tensor."""
        options = [] if self.correction == 1 else [f"correction={self.correction}"]
        options += ["keepdim=True"] if keepdim else []
        dims = [self.written or "None"] if options or self.written else []
        values = ".values" if self.name in WITH_INDICES and self.written else ""
        return f"{{0}}.{self.name}({', '.join(dims + options)}){values}"

    def back(self, value: Value, name: str) -> Back | None:
        """What comes back to the tensor, the result having this name; None where nothing does."""
        if not REDUCTIONS[self.name]:
            return None
        is_wide = self.keepdim or len(self.axes) == len(value.shape)
        wide, wide_out = (
            each if is_wide else each + "".join(f".unsqueeze({axis})" for axis in self.axes) for each in (G, name)
        )
        over, dims = entries(tuple(value.shape[axis] for axis in self.axes)), self.written or None
        formula = filled(
            REDUCTIONS["amax" if self.name in WITH_INDICES and not self.written else self.name], value, n=over,
            wide=wide, wide_out=wide_out, degrees=over - self.correction, dims=dims,
        )  # fmt: skip
        said = "the summed axes come back by broadcasting" if self.axes else ""
        return Back(value.name, value.shape, formula, says=said)


def reduce(work: Workspace, call: Call) -> Value:
    """Record a reduction.

    Raises:
        UsageError: arguments that cannot be read.
        Refused: torch refuses it.
    """
    value, shape, asked = call.value, call.value.shape, _asked(call)
    result = views.reduced(shape, asked.axes, asked.keepdim)
    origins: tuple[Origins, ...] = tuple(
        frozenset() if axis in asked.axes else value.origins[axis]
        for axis in range(len(shape))
        if asked.keepdim or axis not in asked.axes
    )
    dropped = None
    if not asked.keepdim and result and asked.axes:
        short, kept = (asked.template(keep).format(wrapped(value.code)) for keep in (False, True))
        dropped = Reduced(short, kept, views.reduced(shape, asked.axes, True), asked.axes)
    return work.single(
        "reduction", call.name, asked.template(asked.keepdim), value, result, call.want,
        lambda out: asked.back(value, out), origins, _said(value, asked.axes, asked.keepdim),
        placed=value.placed and asked.keepdim, reduced=dropped, axes=asked.axes, gradient=bool(REDUCTIONS[call.name]),
    )  # fmt: skip


def _asked(call: Call) -> Asked:
    name, shape = call.name, call.value.shape
    is_spread = name in ("var", "std")
    if is_spread and len(call.args) > 1:
        raise UsageError(f"broadcasting: {name}({call.written[:40]}) can be read two ways. Write keepdim=True by name.")
    names = ("dim", "keepdim", "correction") if is_spread else ("dim", "keepdim")
    given = _by_axis(call).take(*names)
    dim = given.get("dim")
    is_needed = name in NEED_AXIS and ("dim" in given or name == "logsumexp")
    if dim in (None, ()) and (is_needed or ("dim" not in given and given)):
        raise UsageError(f"broadcasting: torch takes {name} so only with an axis: {name}(dim=1, keepdim=True).")
    if not (dim is None or is_axis(dim) or (isinstance(dim, tuple) and name not in ONE_AXIS)):
        raise UsageError(f"broadcasting: {name}({call.written[:40]}) cannot be read: dim is an axis, as in {name}(1).")
    axes = views.reduced_axes(shape, dim if isinstance(dim, tuple) else None if dim is None else [whole(call, dim)])
    if name in NEED_ENTRIES and 0 in ([shape[axis] for axis in axes] if dim is not None else shape):
        raise Refused(f"{name} over an axis of length 0 has nothing to choose from")
    written = "" if dim is None else "0" if not shape else str(axes[0]) if len(axes) == 1 else str(axes)
    return Asked(name, axes, written, bool(given.get("keepdim", False)), whole(call, given.get("correction", 1)))


def _by_axis(call: Call) -> Call:
    """The call with numpy's word for dim, which torch takes too, made dim."""
    if "axis" not in call.kwargs:
        return call
    if "dim" in call.kwargs or call.args:
        raise UsageError(f"broadcasting: {call.name} is given dim and axis, which are the same. Give one.")
    return replace(call, kwargs={"dim" if name == "axis" else name: value for name, value in call.kwargs.items()})


def _said(value: Value, axes: tuple[int, ...], keepdim: bool) -> str:
    if not axes:
        return f"{value.name} is a single number: nothing to reduce."
    lengths = " and ".join(str(value.shape[axis]) for axis in axes)
    if keepdim:
        stays = "stays with length 1" if len(axes) == 1 else "stay with length 1"
    else:
        stays = "is gone" if len(axes) == 1 else "are gone"
    return f"{axes_said(axes).capitalize()} of {value.name}, of length {lengths}, {stays}."
