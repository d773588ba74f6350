"""Silent traps: what torch computes without a word and is seldom meant. Each has a name and its exact condition.

What was placed on purpose (by None, unsqueeze, reshape, expand, transpose) raises no alarm about where it lies.
"""

from __future__ import annotations

from moreish.explaining.broadcasting.alignment import Shape, embeddings, entries, joined
from moreish.explaining.broadcasting.formulas import LOSSES
from moreish.explaining.broadcasting.pieces import put, wrapped
from moreish.explaining.broadcasting.steps import Reduced, Value, Warned

TRAPS = {
    "wrong-axis": "A sum, mean or the like, taken over an axis without keepdim, meets what it was taken of "
    "along another axis than its own: P / P.sum(1) with square P.",
    "ambiguous-axis": "What lacks axes would fit along others of the same length too: (27,27) / (27,).",
    "all-pairs": "(n,1) meets (n,): the same shapes but for axes of 1, and the result has more entries than either.",
    "both-stretch": "Shapes of unlike numbers of axes are stretched both, and the result is larger than either: "
    "(32,1) - (10,).",
    "loss-broadcast": "A loss broadcasts its prediction against its target.",
    "batch-of-vectors": "(B,n) @ (B,n,m): the left is read as one matrix, and each row meets each of the B matrices.",
    "extra-axis": "What has a single entry but more axes adds axes of 1 to the result: (1,1) * (27,).",
    "empty": "An axis of 1 is stretched to length 0, or a product contracts an axis of length 0.",
    "vector-T": ".T of what has fewer than two axes does nothing.",
    "all-axes-T": ".T of more than two axes reverses them all, the batch too; torch will refuse it.",
    "huge": "Both are stretched, and the result takes a gibibyte or more in 32-bit floats.",
}
"""Every trap, by its name: its condition, with an example."""

SHARES = ("/", "-", "//", "%")
"""Operations by which one normalises or centres."""
GIBIBYTE_OF_FLOATS = 2**28


def of_pair(step: int, op: str, template: str, a: Value, b: Value, shape: Shape) -> list[Warned]:
    """The traps of an elementwise operation that torch obeys."""
    small, large = sorted((a, b), key=lambda value: (len(value.shape), entries(value.shape)))
    found = _wrong_axis(step, op, template, a, b)
    found = found or _ambiguous(step, op, template, a, b, small, large, shape)
    grown = op not in LOSSES and entries(shape) > max(entries(a.shape), entries(b.shape))
    if grown and not (a.placed or b.placed) and len(a.shape) != len(b.shape):
        found.append(_grown(step, template, a, b, shape))
    if grown and entries(shape) >= GIBIBYTE_OF_FLOATS:
        size = entries(shape) / GIBIBYTE_OF_FLOATS
        says = (
            f"The result has {entries(shape):,} entries, {size:,.1f} GiB in 32-bit floats, and {a.name} and {b.name} "
            f"have {entries(a.shape):,} and {entries(b.shape):,}: it is written out whole."
        )
        found.append(Warned("huge", step, says))
    vanished = next((each for each in (a, b) if _vanishes(each, shape)), None)
    if vanished is not None:
        says = (
            f"An axis of 1 of {vanished.name} {vanished.shape} is stretched to length 0: nothing is left of it, "
            f"{shape} has no entries, its sum is 0 and its mean nan."
        )
        found.append(Warned("empty", step, says))
    if len(large.shape) > len(small.shape) and entries(large.shape) == 1 and small.shape and not large.placed:
        says = (
            f"{large.name} {large.shape} is a single entry with {_axes(len(large.shape))}: the result has as many, "
            f"{shape}, where {small.name} has {small.shape}."
        )
        found.append(Warned("extra-axis", step, says, _code(template, a, b, large, f"{wrapped(large.code)}.squeeze()")))
    return found


def of_loss(step: int, op: str, template: str, a: Value, b: Value) -> list[Warned]:
    """A loss whose prediction and target have not the same shape."""
    if a.shape == b.shape:
        return []
    wide = joined(a.shape, b.shape) or ()
    says = (
        f"{op} of {a.shape} and {b.shape} is a mean over {entries(wide):,} pairs, {wide}, not over "
        f"{max(entries(a.shape), entries(b.shape)):,} entries: the loss is another, learning runs, and its best answer "
        f"is a mean of targets."
        if entries(wide) > max(entries(a.shape), entries(b.shape))
        else f"{op} of {a.shape} and {b.shape} broadcasts one against the other: one entry is held against many."
    )
    if entries(a.shape) == entries(b.shape):
        mend = put(template, a.code, f"{wrapped(b.code)}.reshape({a.shape})")
        return [Warned("loss-broadcast", step, says, mend)]
    return [Warned("loss-broadcast", step, says)]


def of_product(step: int, a: Value, b: Value, shape: Shape) -> list[Warned]:
    """The traps of a product that torch obeys."""
    found = []
    if len(a.shape) == 2 and len(b.shape) == 3 and a.shape[0] == b.shape[0] > 1 and not a.placed:
        rows = a.shape[0]
        says = (
            f"{a.name} {a.shape} is read as one matrix, and each of its {rows} rows meets each of the {rows} matrices "
            f"of {b.name}: {shape}. Were {a.name} one vector for each matrix, {(rows, b.shape[2])} would be meant."
        )
        mend = f"({wrapped(a.code)}[:, None] @ {wrapped(b.code)}).squeeze(1)"
        found.append(Warned("batch-of-vectors", step, says, mend))
    if a.shape[-1] == 0 and entries(shape):
        says = f"The contracted axis has length 0: all {entries(shape):,} entries of the result are sums of nothing, 0."
        found.append(Warned("empty", step, says))
    return found


def of_turned(step: int, value: Value) -> list[Warned]:
    """`.T` on what is no matrix."""
    axes = len(value.shape)
    if axes == 2:
        return []
    if axes > 2:
        says = f".T reverses all {axes} axes of {value.name}, {value.shape} to {value.shape[::-1]}; "
        says += ".mT swaps the last two."
        return [Warned("all-axes-T", step, says, f"{wrapped(value.code)}.mT")]
    says = f".T of {value.shape} is {value.shape}: what has fewer than two axes has no rows and columns to swap."
    return [Warned("vector-T", step, says, f"{wrapped(value.code)}[:, None]" if axes else None)]


def _wrong_axis(step: int, op: str, template: str, a: Value, b: Value) -> list[Warned]:
    for value, other in ((a, b), (b, a)):
        was = value.reduced
        if was is None or value.placed:
            continue
        fits = len(was.kept_shape) == len(other.shape) and joined(was.kept_shape, other.shape) == other.shape
        crossed = _crossed(value, other) or (_moved(value, other, was) if fits and not _is_kin(value, other) else None)
        if crossed is None:
            continue
        axis, own = crossed
        axes = len(other.shape)
        there, home = _slice(axis, axes), _slice(own, axes)
        dropped = f"axis {was.axes[0]}" if len(was.axes) == 1 else f"axes {was.axes}"
        says = (
            f"{was.code} has lost {dropped}, so what was axis {own} now lies along axis {axis}: entry j, which belongs "
            f"to {home}, {_deed(op, value is b, there)}. The lengths agree, so torch is silent. With "
            f"keepdim=True it has the shape {was.kept_shape} and lies right."
        )
        mend = _code(template, a, b, value, wrapped(was.kept_code)) if fits else None
        return [Warned("wrong-axis", step, says, mend)]
    return []


def _crossed(value: Value, other: Value) -> tuple[int, int] | None:
    """An axis of the other, and the axis that the value's axis upon it comes from, where these differ."""
    shift = len(other.shape) - len(value.shape)
    for at, origins in enumerate(value.origins):
        there = at + shift
        if there < 0 or value.shape[at] == 1 or other.shape[there] == 1:
            continue
        for name in {name for name, _ in origins} & {name for name, _ in other.origins[there]}:
            mine = {axis for origin, axis in origins if origin == name}
            theirs = {axis for origin, axis in other.origins[there] if origin == name}
            if len(mine) == len(theirs) == 1 and mine != theirs:
                home = [i for i, each in enumerate(other.origins) if (name, *mine) in each]
                return there, home[0] if home else mine.pop()
    return None


def _moved(value: Value, other: Value, was: Reduced) -> tuple[int, int] | None:
    """The same of what was reduced from another tensor, of a shape that would fit with keepdim: an axis and its own."""
    left = [axis for axis in range(len(was.kept_shape)) if axis not in was.axes]
    shift = len(other.shape) - len(value.shape)
    if len(left) != len(value.shape):
        return None
    return next(((at + shift, own) for at, own in enumerate(left) if own != at + shift and value.shape[at] != 1), None)


def _ambiguous(
    step: int, op: str, template: str, a: Value, b: Value, small: Value, large: Value, shape: Shape
) -> list[Warned]:
    lacks = len(large.shape) - len(small.shape)
    if not lacks or not small.shape or shape != large.shape or small.placed or _is_kin(small, large):
        return []
    if op not in SHARES and "@" in (large.made_by, small.made_by):
        return []  # a bias on what a layer computed
    at = tuple(range(lacks, len(large.shape)))
    wide = [axis for axis, size in enumerate(small.shape) if size != 1]
    places = {tuple(each[axis] for axis in wide) for each in embeddings(small.shape, large.shape)}
    others = sorted(places - {tuple(at[axis] for axis in wide)})
    if not others or not wide:
        return []
    here, there = at[wide[-1]], others[0][-1] if others[0][-1] != at[wide[-1]] else others[0][0]
    if here == there or len(wide) > 1:
        here, there = next((x, y) for x, y in zip((at[axis] for axis in wide), others[0]) if x != y)
    axes = len(large.shape)
    laid = _laid(small, large, others[0], wide)
    index = ", ".join(":" if axis in laid else "None" for axis in range(laid[0], axes))
    says = (
        f"Entry j of {small.name} {_deed(op, small is b, _slice(here, axes))}, for it lies along axis {here} of "
        f"{large.name}. Axis {there} has the same length, so torch would not tell if that one were meant. "
    )
    if axes == 2 and op in SHARES:
        name = "mean" if op == "-" else "sum"
        says += (
            f"Were {small.name} = {large.name}.{name}({here}), without keepdim, entry j would be row j's {name} and "
            f"meet column j: the wrong way. {large.name}.{name}({here}, keepdim=True) lies right."
        )
    else:
        says += "Say where it lies with None."
    mend = _code(template, a, b, small, f"{wrapped(small.code)}[{index}]")
    return [Warned("ambiguous-axis", step, says, mend)]


def _laid(small: Value, large: Value, places: tuple[int, ...], wide: list[int]) -> tuple[int, ...]:
    """A whole embedding that lays the axes of more than one entry so."""
    ways = embeddings(small.shape, large.shape)
    return next(each for each in ways if tuple(each[axis] for axis in wide) == places)


def _is_kin(small: Value, large: Value) -> bool:
    """Whether it is known where the small one's axes come from: from the large one itself, or from where that does."""
    mine = {name for origins in small.origins for name, _ in origins}
    return any(name in mine for origins in large.origins for name, _ in origins)


def _grown(step: int, template: str, a: Value, b: Value, shape: Shape) -> Warned:
    same = [size for size in a.shape if size != 1] == [size for size in b.shape if size != 1]
    more, fewer = (a, b) if len(a.shape) > len(b.shape) else (b, a)
    if same:
        says = (
            f"{a.name} {a.shape} and {b.name} {b.shape} have the same {entries(a.shape):,} entries, but right-aligned "
            f"an axis of 1 meets them: each entry meets each, and the result is {shape}, {entries(shape):,} entries."
        )
        flat = wrapped(more.code) + (
            ".squeeze(-1)" if more.shape[:-1] == fewer.shape and more.shape[-1] == 1 else f".reshape({fewer.shape})"
        )
        return Warned("all-pairs", step, says, _code(template, a, b, more, flat))
    says = (
        f"{a.name} {a.shape} and {b.name} {b.shape} are both stretched, to {shape}: {entries(shape):,} entries from "
        f"{entries(a.shape):,} and {entries(b.shape):,}. If all pairs are meant, say so with None."
    )
    index = ", ".join(["None"] * (len(more.shape) - len(fewer.shape)) + [":"] * len(fewer.shape))
    return Warned("both-stretch", step, says, _code(template, a, b, fewer, f"{wrapped(fewer.code)}[{index}]"))


def _code(template: str, a: Value, b: Value, changed: Value, code: str) -> str:
    return put(template, *(code if value is changed else value.code for value in (a, b)))


def _vanishes(value: Value, shape: Shape) -> bool:
    wide = shape[len(shape) - len(value.shape) :]
    return any(size == 1 and to == 0 for size, to in zip(value.shape, wide))


def _deed(op: str, is_right: bool, met: str) -> str:
    done = {"/": "divides", "-": "is taken from", "*": "multiplies", "+": "is added to"}.get(op, "meets")
    return f"{done if is_right or op in ('*', '+') else 'meets'} {met}"


def _slice(axis: int, axes: int) -> str:
    if axes == 2:
        return f"{'row' if axis == 0 else 'column'} j"
    return f"slice j along axis {axis}"


def _axes(count: int) -> str:
    return "1 axis" if count == 1 else f"{count} axes"
