"""What would work where two shapes do not meet: each suggestion is tried on the shapes before it is made."""

from __future__ import annotations

from collections.abc import Iterator

from moreish.explaining.broadcasting.alignment import Shape, embeddings, entries, joined, multiplied
from moreish.explaining.broadcasting.formulas import LOSSES
from moreish.explaining.broadcasting.pieces import put, wrapped
from moreish.explaining.broadcasting.steps import Mend, Value

MOST_MENDS = 3
LARGEST_CHANCE = 10**9
"""Entries beyond which "each with each" is no sensible suggestion."""
Tried = tuple[str, Shape, str]
"""An operand written otherwise, its shape then, and why one would."""


def mends_of_pair(template: str, a: Value, b: Value, in_place: bool = False) -> list[Mend]:
    """Ways to make an elementwise operation work: those first that make the result no larger than its operands."""
    found: list[Mend] = []
    if in_place and (whole := joined(a.shape, b.shape)) is not None:
        return [Mend(put(template, a.code, b.code), whole, "not in place: the result is a new tensor")]
    largest = max(entries(a.shape), entries(b.shape))
    for is_left, value, other in ((False, b, a), (True, a, b)):
        for code, shape, why in (*_kept(value), *_laid(value, other), *_turned(value), *_paired(value)):
            pair = (shape, other.shape) if is_left else (other.shape, shape)
            result = joined(*pair)
            if result is None or entries(result) > LARGEST_CHANCE or (in_place and (is_left or result != a.shape)):
                continue
            codes = (code, b.code) if is_left else (a.code, code)
            grows = entries(result) > largest
            said = f"each entry of {a.name} with each of {b.name}, if all pairs are meant" if grows else why
            shown = () if any(name in template for name in LOSSES) else result
            found.append(Mend(put(template, *codes), shown, said))
    first = {mend.code: mend for mend in reversed(found)}  # the same code may be found twice: the first reason stands
    fitting = [mend for mend in found if first[mend.code] is mend and "all pairs" not in mend.says]
    return fitting[:MOST_MENDS] or found[:1]


def mends_of_product(a: Value, b: Value) -> list[Mend]:
    """Ways to make a product work."""
    left, right = wrapped(a.code), wrapped(b.code)
    if not a.shape or not b.shape:
        return [Mend(f"{left} * {right}", joined(a.shape, b.shape) or (), "a single number scales by *")]
    tried: list[tuple[str, str, Shape, Shape, str]] = []
    for one, one_shape, why_one in ((left, a.shape, ""), *_turned(a)):
        for two, two_shape, why_two in ((right, b.shape, ""), *_turned(b)):
            why = " and ".join(why for why in (why_one, why_two) if why)
            tried.append((one, two, one_shape, two_shape, why))
    tried.sort(key=lambda each: bool(each[4].count("swapped") - 1))
    if len(b.shape) > 1:
        tried.append((left, f"{right}[..., None]", a.shape, (*b.shape, 1), f"{b.name} as one vector per matrix"))
    if len(a.shape) > 1:
        shape = (*a.shape[:-1], 1, a.shape[-1])
        tried.append((f"{left}[..., None, :]", right, shape, b.shape, f"{a.name} as one vector per matrix"))
    for axis in range(1, max(len(a.shape) - 1, 0)):
        shape = (*a.shape[:axis], 1, *a.shape[axis:])
        tried.append(
            (f"{left}.unsqueeze({axis})", right, shape, b.shape, "every batch of the one with each of the other")
        )
    for axis in range(1, max(len(b.shape) - 1, 0)):
        shape = (*b.shape[:axis], 1, *b.shape[axis:])
        tried.append(
            (left, f"{right}.unsqueeze({axis})", a.shape, shape, "every batch of the one with each of the other")
        )
    tried.append((right, left, b.shape, a.shape, "the other way round"))
    if len(a.shape) == len(b.shape) == 1:
        tried.append(
            (f"{left}[:, None]", f"{right}[None, :]", (*a.shape, 1), (1, *b.shape), "all products, the outer one")
        )
    found = {}
    for one, two, one_shape, two_shape, why in tried:
        result = multiplied(one_shape, two_shape)
        if result is not None and why and f"{one} @ {two}" not in found and entries(result) <= LARGEST_CHANCE:
            found[f"{one} @ {two}"] = Mend(f"{one} @ {two}", result, why)
    same = joined(a.shape, b.shape)
    if same is not None and not found:
        found["*"] = Mend(f"{left} * {right}", same, "entry by entry, if no product of matrices is meant")
    return list(found.values())[:MOST_MENDS]


def _kept(value: Value) -> Iterator[Tried]:
    if value.reduced is not None:
        axes = ", ".join(map(str, value.reduced.axes))
        yield wrapped(value.reduced.kept_code), value.reduced.kept_shape, f"keepdim=True leaves axis {axes} as 1"


def _laid(value: Value, other: Value) -> Iterator[Tried]:
    """The operand's axes along others of the other operand than its last."""
    lacks = len(other.shape) - len(value.shape)
    if lacks <= 0 or not value.shape:
        return
    for places in reversed(embeddings(value.shape, other.shape)):
        axes = range(places[0], len(other.shape))
        index = ", ".join(":" if axis in places else "None" for axis in axes)
        shape = tuple(value.shape[places.index(axis)] if axis in places else 1 for axis in axes)
        along = ", ".join(str(axis) for axis in places)
        yield f"{wrapped(value.code)}[{index}]", shape, f"{value.name} along axis {along} of {other.name}"


def _turned(value: Value) -> Iterator[Tried]:
    if len(value.shape) > 1:
        shape = (*value.shape[:-2], value.shape[-1], value.shape[-2])
        yield f"{wrapped(value.code)}.mT", shape, f"the last two axes of {value.name} swapped"


def _paired(value: Value) -> Iterator[Tried]:
    """A new axis of 1 within: each entry with each."""
    for axis in range(1, len(value.shape) + 1):
        index = ", ".join([":"] * axis + ["None"] + [":"] * (len(value.shape) - axis))
        yield f"{wrapped(value.code)}[{index}]", (*value.shape[:axis], 1, *value.shape[axis:]), "an axis of 1 added"
