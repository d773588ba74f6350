"""What comes back, as code: the local derivatives of each operation, and the sums that broadcasting asks for.

In a formula `{g}` is the gradient of the result, `{a}` and `{b}` are the operands, `{out}` is the result. Each is
checked against autograd in the tests, by running the code.

Source: Griewank and Walther, Evaluating Derivatives (2008), section 3.2, reverse mode.
"""

from __future__ import annotations

from dataclasses import dataclass

from moreish.explaining.broadcasting.alignment import Shape
from moreish.explaining.broadcasting.steps import Back, Value

G = "{g}"

ELEMENTWISE: dict[str, tuple[str, str] | None] = {
    "+": ("{g}", "{g}"),
    "-": ("{g}", "-{g}"),
    "*": ("{g} * {b}", "{g} * {a}"),
    "/": ("{g} / {b}", "-{g} * {a} / {b}**2"),
    "**": ("{g} * {b} * {a}**({b} - 1)", "{g} * {out} * torch.log({a})"),
    "%": ("{g}", "-{g} * torch.floor({a} / {b})"),
    "maximum": ("{g} * ({a} > {b}) + {g} / 2 * ({a} == {b})", "{g} * ({b} > {a}) + {g} / 2 * ({a} == {b})"),
    "minimum": ("{g} * ({a} < {b}) + {g} / 2 * ({a} == {b})", "{g} * ({b} < {a}) + {g} / 2 * ({a} == {b})"),
    **dict.fromkeys(("<", "<=", ">", ">=", "==", "!=", "&", "|", "^", "//"), None),
}
"""Per operation, the two gradients before they are summed; None where no gradient comes back."""

LOSSES = {
    "mse_loss": ("2 * {g} * ({a} - {b}) / {n}", "2 * {g} * ({b} - {a}) / {n}"),
    "l1_loss": ("{g} * torch.sign({a} - {b}) / {n}", "{g} * torch.sign({b} - {a}) / {n}"),
}
"""Losses that broadcast the prediction against the target; `{n}` is how many pairs the mean is over."""

POINTWISE = {
    "exp": "{g} * {out}",
    "log": "{g} / {a}",
    "tanh": "{g} * (1 - {out}**2)",
    "sigmoid": "{g} * {out} * (1 - {out})",
    "relu": "{g} * ({a} > 0)",
    "sqrt": "{g} / (2 * {out})",
    "abs": "{g} * torch.sign({a})",
    "square": "2 * {g} * {a}",
    "sin": "{g} * torch.cos({a})",
    "cos": "-{g} * torch.sin({a})",
    "neg": "-{g}",
    "softmax": "{out} * ({g} - ({g} * {out}).sum({axis}, keepdim=True))",
    "log_softmax": "{g} - torch.exp({out}) * {g}.sum({axis}, keepdim=True)",
    **dict.fromkeys(("float", "double", "clone", "contiguous"), "{g}"),
}

REDUCTIONS = {
    "sum": "{wide}.expand_as({a})",
    "mean": "{wide}.expand_as({a}) / {n}",
    "prod": "{wide} * {wide_out} / {a}",
    **dict.fromkeys(("amax", "amin"), "{wide} * ({a} == {wide_out}) / ({a} == {wide_out}).sum({dims}, keepdim=True)"),
    "max": "{wide} * ({a} == {wide_out})",
    "min": "{wide} * ({a} == {wide_out})",
    "var": "2 * {wide} * ({a} - {a}.mean({dims}, keepdim=True)) / {degrees}",
    "std": "{wide} * ({a} - {a}.mean({dims}, keepdim=True)) / ({degrees} * {wide_out})",
    "logsumexp": "{wide} * torch.exp({a} - {wide_out})",
    **dict.fromkeys(("argmax", "argmin"), ""),
}
"""`{wide}` and `{wide_out}` are the gradient and the result with the reduced axes put back as 1.

Entries that tie share the gradient; of `max(1).values` torch gives it to one of them, which the code does not tell.
"""


@dataclass(frozen=True)
class Summed:
    """Which axes of a gradient are summed: those kept with length 1, and leading ones that are squeezed."""

    kept: tuple[int, ...]
    squeezed: tuple[int, ...]


def summed(full: Shape, shape: Shape) -> Summed:
    """What takes a gradient of the broadcast shape to the operand's."""
    lacks = len(full) - len(shape)
    kept = tuple(lacks + at for at, size in enumerate(shape) if size == 1 and full[lacks + at] != 1)
    return Summed(kept, tuple(range(lacks)))


def back_to(value: Value, expression: str, full: Shape) -> Back:
    """What comes back to a value that was stretched to the full shape, which the expression has: it is then summed."""
    sums = summed(full, value.shape)
    return Back(value.name, value.shape, expression, sums.kept, sums.squeezed, _said(value, sums))


def filled(formula: str, a: Value | None = None, b: Value | None = None, **others: object) -> str:
    """A formula with everything named but the gradient, which gets its name at the end."""
    names = {"a": a.name if a else "", "b": b.name if b else "", **others}
    return formula.format(g=G, **names)


def product_back(a: Value, b: Value, batch: Shape) -> list[tuple[Value, Back]]:
    """Both gradients of `a @ b`.

    Args:
        batch: the broadcast axes before the two of the product.
    """
    left, right = len(a.shape), len(b.shape)
    if left == right == 1:
        return [(a, Back(a.name, a.shape, f"{G} * {b.name}")), (b, Back(b.name, b.shape, f"{G} * {a.name}"))]
    if left == 1:
        to_a = f"({b.name} @ {G}[..., None]).squeeze(-1)" if batch or right > 2 else f"{b.name} @ {G}"
        to_b = f"{a.name}[:, None] * {G}[..., None, :]"
        full_a: Shape = (*batch, a.shape[0])
    elif right == 1:
        to_a = f"{G}[..., None] * {b.name}"
        to_b = f"({a.name}.mT @ {G}[..., None]).squeeze(-1)" if batch or left > 2 else f"{a.name}.mT @ {G}"
        full_a = (*batch, *a.shape[-2:])
    else:
        to_a, to_b = f"{G} @ {b.name}.mT", f"{a.name}.mT @ {G}"
        full_a = (*batch, *a.shape[-2:])
    full_b = (*batch, b.shape[0]) if right == 1 else (*batch, *b.shape[-2:])
    return [(a, _matched(a, to_a, full_a)), (b, _matched(b, to_b, full_b))]


def _matched(value: Value, expression: str, full: Shape) -> Back:
    """As `back_to`, but the last axes are the product's own, whatever their length."""
    own = 1 if len(value.shape) == 1 else 2
    ahead, shape = full[: len(full) - own], value.shape[: len(value.shape) - own]
    sums = summed(ahead, shape)
    return Back(value.name, value.shape, expression, sums.kept, sums.squeezed, _said(value, sums))


def _said(value: Value, sums: Summed) -> str:
    parts = []
    if sums.kept:
        parts.append(f"over {axes_said(sums.kept)}, where {value.name} has length 1 (keepdim=True)")
    if sums.squeezed:
        parts.append(f"over {axes_said(sums.squeezed)}, which {value.name} lacks (no keepdim)")
    return f"summed {' and '.join(parts)}" if parts else "nothing to sum"


def axes_said(axes: tuple[int, ...]) -> str:
    """`axis 1`, `axes 0 and 2`."""
    words = [str(axis) for axis in axes]
    return f"axis {words[0]}" if len(words) == 1 else f"axes {', '.join(words[:-1])} and {words[-1]}"
