"""Operations on one tensor, by their torch names: pointwise here, reductions and views in modules of their own."""

from __future__ import annotations

from collections.abc import Sequence

from moreish.errors import UsageError
from moreish.explaining.broadcasting import views
from moreish.explaining.broadcasting.alignment import Alignment, Fault
from moreish.explaining.broadcasting.arguments import Call
from moreish.explaining.broadcasting.formulas import POINTWISE, REDUCTIONS, filled
from moreish.explaining.broadcasting.layouts import ATTRIBUTES, VIEWS, new_axes, view
from moreish.explaining.broadcasting.pieces import wrapped
from moreish.explaining.broadcasting.reductions import reduce
from moreish.explaining.broadcasting.steps import Back, Reduced, Value
from moreish.explaining.broadcasting.views import Refused
from moreish.explaining.broadcasting.workspace import Workspace

ALONG = ("softmax", "log_softmax")


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
            return reduce(work, call)
        return view(work, call)
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
    return new_axes(work, value, template, old, want)


def _refuse(work: Workspace, op: str, template: str, value: Value, want: str, why: str) -> Value:
    fault = Fault(None, (), f"{value.name} is {value.shape}: {why}")
    work.fail("view", op, template, [value], Alignment(None, (), (), fault), want, (), [f"{fault.why}."])
    raise AssertionError("fail always stops")


def _pointwise(work: Workspace, call: Call) -> Value:
    value, axis = call.value, ""
    if call.name in ALONG:
        given = call.take("dim").get("dim")
        if not isinstance(given, int) or isinstance(given, bool):
            raise UsageError(f"broadcasting: {call.name} needs the axis it goes along, as {call.name}(x, dim=1).")
        axis = str(views.axis_of(given, len(value.shape)))
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
