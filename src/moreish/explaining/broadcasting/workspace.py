"""Where an expression's steps are collected: names, values, and what is recorded of each operation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count

from moreish.errors import UsageError
from moreish.explaining.broadcasting.alignment import (
    LARGEST_SIZE,
    MOST_AXES,
    Alignment,
    Fault,
    Shape,
    broadcast,
    entries,
    is_countable,
    product,
)
from moreish.explaining.broadcasting.formulas import (
    ELEMENTWISE,
    LOSSES,
    back_to,
    filled,
    product_back,
)
from moreish.explaining.broadcasting.mending import mends_of_pair, mends_of_product
from moreish.explaining.broadcasting.pieces import put
from moreish.explaining.broadcasting.steps import Back, Mend, Origins, Reduced, Step, Value, own_origins
from moreish.explaining.broadcasting.traps import of_loss, of_pair, of_product
from moreish.explaining.broadcasting.views import is_small_enough
from moreish.explaining.broadcasting.words import pair_said, product_said, quoted

MOST_STEPS = 60
LETTERS = "abcdefhijkmnpqrsuvwxyz"
"""Names for shapes that have none: without g, the gradient, and what is easily misread."""
FUNCTIONS = ("maximum", "minimum", *LOSSES)


class Stopped(Exception):
    """A step is an error, and nothing after it can be known."""


@dataclass
class Workspace:
    """The steps so far, and every name that stands for something.

    Attributes:
        taken: names that stand in the text, which no name of ours may be.
        values: what each name of the text stands for now.
    """

    taken: set[str]
    values: dict[str, Value] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    warned: list = field(default_factory=list)
    given: list[Value] = field(default_factory=list)
    _used: set[str] = field(default_factory=set)

    def give(self, shape: Sequence[int], name: str = "", gradient: bool = True) -> Value:
        """A tensor of this shape that is given.

        Raises:
            UsageError: too many axes, or a size beyond reason.
        """
        check_shape(shape)
        value = Value.given(self.name(name) if name else self._letter(), tuple(shape), gradient)
        self._used.add(value.name)
        self.given.append(value)
        return value

    def name(self, wanted: str) -> str:
        """The wanted name, with a number where it stands for something already."""
        found, numbers = wanted, count(2)
        while found in self._used:
            found = f"{wanted}_{next(numbers)}"
        self._used.add(found)
        return found

    def pair(self, op: str, a: Value, b: Value, want: str, in_place: bool = False) -> Value:
        """An elementwise operation, or a loss, on two operands."""
        aligned = broadcast(a.shape, b.shape)
        if in_place and aligned.shape is not None and aligned.shape != a.shape:
            why = (
                f"an in-place operation cannot change the shape of {a.name}: the result would be {aligned.shape}, "
                f"and {a.name} is {a.shape}"
            )
            aligned = Alignment(None, aligned.rows, aligned.result, Fault(None, (), why))
        template = f"{{0}} {op} {{1}}" if op not in FUNCTIONS else _called(op, "{0}, {1}")
        kind = "loss" if op in LOSSES else "elementwise"
        said = pair_said(op, a, b, aligned)
        if aligned.shape is None:
            mends = mends_of_pair(template, a, b, in_place)
            self.fail(kind, op, template, [a, b], aligned, want, mends, said)
        shape, name = aligned.shape, self.name(want or self._step_name())
        assert shape is not None
        formulas = LOSSES.get(op) or ELEMENTWISE[op]
        backs = [
            back_to(value, filled(formula, a, b, out=name, n=entries(shape)), shape)
            for value, formula in zip((a, b), formulas or ())
            if value.gradient
        ]
        origins = tuple(_merged(a, b, axis, len(shape)) for axis in range(len(shape)))
        out = Value(
            name,
            put(template, a.code, b.code),
            () if op in LOSSES else shape,
            () if op in LOSSES else tuple(o | {(name, at)} for at, o in enumerate(origins)),
            formulas is not None and (a.gradient or b.gradient),
            placed=a.placed or b.placed,
            reduced=_inherited(template, a, b, shape),
            made_by="@" if "@" in (a.made_by, b.made_by) and op in ("+", "-") else op,
        )
        number = self.add(kind, op, template, [a, b], out, aligned, backs, said)
        self.warned += of_pair(number, op, template, a, b, shape)
        self.warned += of_loss(number, op, template, a, b) if op in LOSSES else []
        return out

    def product(self, a: Value, b: Value, want: str) -> Value:
        """`a @ b`."""
        if a.number or b.number:
            raise UsageError("broadcasting: @ needs a tensor on both sides, and a number stands on one. Use * for it.")
        aligned = product(a.shape, b.shape)
        said = product_said(a, b, aligned)
        template = "{0} @ {1}"
        if aligned.shape is None:
            self.fail("product", "@", template, [a, b], aligned, want, mends_of_product(a, b), said)
        assert aligned.shape is not None
        name = self.name(want or self._step_name())
        batch = tuple(cell.size for cell in aligned.result[:-2] if cell.size is not None)
        backs = [back for value, back in product_back(a, b, batch) if value.gradient]
        code = put(template, a.code, b.code)
        origins = own_origins(name, aligned.shape)
        out = Value(name, code, aligned.shape, origins, a.gradient or b.gradient, made_by="@")
        number = self.add("product", "@", template, [a, b], out, aligned, backs, said)
        self.warned += of_product(number, a, b, aligned.shape)
        return out

    def single(
        self,
        kind: str,
        op: str,
        template: str,
        value: Value,
        shape: Shape,
        want: str,
        formula: Callable[[str], Back | None],
        origins: tuple[Origins, ...] | None,
        said: str,
        *,
        placed: bool = False,
        reduced: Reduced | None = None,
        axes: tuple[int, ...] = (),
        gradient: bool = True,
    ) -> Value:
        """An operation on one operand.

        Args:
            formula: what comes back, given the result's name.
            origins: of each axis of the result; None where they are its own.
        """
        if not is_small_enough(shape) or not is_countable(shape):
            raise UsageError(f"broadcasting: {quoted(template.format(value.code))} has the shape {shape}, too large.")
        name = self.name(want or self._step_name())
        back = formula(name) if value.gradient and gradient else None
        mine = own_origins(name, shape)
        together = mine if origins is None else tuple(one | two for one, two in zip(origins, mine))
        out = Value(
            name,
            put(template, value.code),
            shape,
            together,
            back is not None,
            placed=placed,
            reduced=reduced,
            made_by=value.made_by if kind == "pointwise" else op,
        )
        self.add(kind, op, template, [value], out, None, [back] if back else [], (said,), axes)
        return out

    def add(
        self,
        kind: str,
        op: str,
        template: str,
        operands: list[Value],
        out: Value | None,
        aligned: Alignment | None,
        backs: Iterable[Back],
        said: Sequence[str],
        axes: tuple[int, ...] = (),
    ) -> int:
        """Record a step that works; gives its number."""
        number = self._next()
        code = f"{out.name if out else ''} = {template.format(*(each.name for each in operands))}"
        rows, result = (aligned.rows, aligned.result) if aligned else ((), ())
        step = Step(number, kind, op, code, tuple(operands), out, rows, result, axes, tuple(backs), says=tuple(said))
        self.steps.append(step)
        return number

    def fail(
        self,
        kind: str,
        op: str,
        template: str,
        operands: list[Value],
        aligned: Alignment,
        want: str,
        mends: Sequence[Mend] = (),
        said: Sequence[str] = (),
    ) -> None:
        """Record a step that is an error, and stop.

        Raises:
            Stopped: always.
        """
        code = f"{want or self._step_name()} = {template.format(*(each.name for each in operands))}"
        step = Step(
            self._next(), kind, op, code, tuple(operands), None, aligned.rows, aligned.result,
            fault=aligned.fault, mends=tuple(mends), says=tuple(said),
        )  # fmt: skip
        self.steps.append(step)
        raise Stopped

    def _next(self) -> int:
        if len(self.steps) >= MOST_STEPS:
            raise UsageError(f"broadcasting: the expression has more than {MOST_STEPS} operations. Explain a part.")
        return len(self.steps) + 1

    def _letter(self) -> str:
        free = (each for each in LETTERS if each not in self.taken | self._used)
        return self.name(next(free, "x"))

    def _step_name(self) -> str:
        number = len(self.steps) + 1
        return next(name for each in count(number) if (name := f"t{each}") not in self.taken | self._used)


def check_shape(shape: Sequence[int]) -> None:
    """Refuse a shape that no tensor has.

    Raises:
        UsageError: a negative or huge size, or too many axes.
    """
    if len(shape) > MOST_AXES:
        raise UsageError(f"broadcasting: a shape has {len(shape)} axes, more than {MOST_AXES}. Leave some out.")
    for size in shape:
        if size < 0:
            raise UsageError(f"broadcasting: a size is {quoted(str(size))}. Sizes are whole numbers from 0.")
        if size > LARGEST_SIZE:
            raise UsageError(f"broadcasting: a size of {_digits(size)} is more than {LARGEST_SIZE:,}.")
    if not is_countable(tuple(shape)):
        raise UsageError(f"broadcasting: {tuple(shape)} has more entries than torch can count the bytes of.")


def _digits(size: int) -> str:
    return f"{size:,}" if size < 10**18 else f"about {size.bit_length() * 3 // 10} digits"


def _called(op: str, arguments: str) -> str:
    return f"{'torch.nn.functional' if op in LOSSES else 'torch'}.{op}({arguments})"


def _merged(a: Value, b: Value, axis: int, axes: int) -> Origins:
    """Where an axis of the result comes from: the operands' own axes of more than one entry that lie on it."""
    found: Origins = frozenset()
    for value in (a, b):
        at = axis - (axes - len(value.shape))
        if at >= 0 and value.shape[at] != 1:
            found |= value.origins[at]
    return found


def _inherited(template: str, a: Value, b: Value, shape: Shape) -> Reduced | None:
    """A dropped axis is still dropped after an operation with a single number."""
    for value, other in ((a, b), (b, a)):
        was = value.reduced
        if was is not None and value.shape == shape and other.shape == ():
            kept = (was.kept_code, other.code) if value is a else (other.code, was.kept_code)
            code = put(template, a.code, b.code)
            return Reduced(code, put(template, *kept), was.kept_shape, was.axes)
    return None
