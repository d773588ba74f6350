"""Mistakes made on purpose: a solved exercise, changed in one place of its backward part, by its syntax tree.

Nothing of moreish is imported, and nothing is known of the grader but the words in which it names causes. A mutant says
what was done to it; whether it is wrong at all, and where first, is found by running it (solved.py).
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from dataclasses import dataclass

from formulas import is_filling, rewrite, terms, text, total
from mistakes import Formulas
from solved import Solved, loaded, swap, target

KINDS: dict[str, tuple[frozenset[str], str]] = {
    "term dropped": (frozenset({"lost branch"}), "one path of several to the same variable is gone"),
    "maximum dropped": (frozenset({"detached maximum", "lost branch"}), "the path through the maximum is a branch"),
    "+= made =": (frozenset({"= for +="}), "the source shows it, whatever else has the same numbers"),
    "factor dropped": (frozenset({"missing factor"}), "a factor of the local derivative, or the incoming gradient"),
    "constant dropped": (frozenset({"missing factor", "wrong scale"}), "without its factor 2, it is half as large"),
    "n dropped": (frozenset({"forgotten mean"}), "1/n is what the mean left"),
    "mean made sum": (frozenset({"forgotten mean"}), "the same"),
    "n - 1 for n": (frozenset({"n - 1 for n"}), "Bessel's where it does not belong"),
    "n for n - 1": (frozenset({"n for n - 1"}), "and left out where it does"),
    "scaled": (frozenset({"wrong scale"}), "twice or half of it"),
    "sign turned": (frozenset({"wrong sign"}), "of all or of one term"),
    "transposed": (frozenset({"transposed product"}), "operands in the wrong order, or .T on the wrong one"),
    "axis changed": (frozenset({"wrong axis"}), "summed along another axis"),
    "sum dropped": (frozenset({"missing broadcast sum"}), "what was broadcast forward must be summed backward"),
    "keepdim dropped": (frozenset({"missing keepdim"}), "the axis is gone that a product needs"),
    "keepdim added": (frozenset({"keepdim too many"}), "an axis more than the tensor has"),
    "used too early": (frozenset({"wrong order"}), "passed on before it was complete"),
    "other operand": (frozenset({"wrong operand"}), "another tensor of the same shape"),
    "moved before its input": (frozenset({"wrong order"}), "cannot run: counted apart"),
}
"""Each kind, the causes that count as right, and why. Two only where both are true of the same numbers and source."""


@dataclass(frozen=True)
class Mutant:
    """A file with one mistake."""

    source: str
    node: str
    """The `d<name>` that the mistake is at, or at whose input, a variable of one's own that nothing else reads."""
    kind: str
    line: int
    what: str

    @property
    def causes(self) -> frozenset[str]:
        """What counts as the right cause."""
        return KINDS[self.kind][0]


class _Mutator(Formulas):
    def all(self) -> Iterator[Mutant]:
        for block in self.solved.blocks:
            for at, statement in enumerate(block):
                if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign) and statement.value is not None:
                    for kind, old, new, what in self.in_value(statement, statement.value):
                        yield from self._made(
                            kind, [(statement, [self._own(swap(statement, old, new))])], statement, what
                        )
                    yield from self._of_statement(block, at)
                elif isinstance(statement, ast.Expr) and target(statement):
                    for kind, old, new, what in self.in_call(statement.value):
                        yield from self._made(kind, [(statement, [swap(statement, old, new)])], statement, what)
        yield from self._moves()

    def _own(self, statement: ast.stmt) -> ast.stmt:
        """The statement, with a copy where it would give another name to a tensor that a later += then changes."""
        match statement:
            case ast.Assign(value=ast.Name() as value) if target(statement) in self.accumulated:
                return swap(statement, value, ast.Call(ast.Attribute(value, "clone", ast.Load()), [], []))
        return statement

    def _made(
        self, kind: str, edits: list[tuple[ast.stmt, list[ast.stmt]]], at: ast.stmt, what: str, up: int = 0
    ) -> Iterator[Mutant]:
        source, node = rewrite(self.solved.source, edits), target(at)
        if not self.solved.is_gradient(node):  # a variable of one's own: the mistake is seen where it is read
            readers = {target(s) for s in self.statements if node in loaded(s)} - {node}
            node = readers.pop() if len(readers) == 1 else ""
        if source is not None and source != self.solved.source and self.solved.is_gradient(node):
            yield Mutant(source, node, kind, at.lineno - up, what)

    # Whole statements

    def _of_statement(self, block: list[ast.stmt], at: int) -> Iterator[Mutant]:
        statement, name = block[at], target(block[at])
        rest = block[at + 1 :]
        match statement:
            case ast.AugAssign(op=ast.Add() | ast.Sub() as op, value=value) if name in self.carriers:
                kind = "maximum dropped" if loaded(value) & self.maxima else "term dropped"
                gone: list[ast.stmt] = [ast.Pass()] if len(block) == 1 else []
                yield from self._made(kind, [(statement, gone)], statement, f"without {text(statement)}")
                other = ast.Sub() if isinstance(op, ast.Add) else ast.Add()
                turned = ast.AugAssign(statement.target, other, value)
                yield from self._made("sign turned", [(statement, [turned])], statement, text(turned))
                if isinstance(op, ast.Add):
                    plain = _assign(statement.target, value)
                    yield from self._made("+= made =", [(statement, [plain])], statement, text(plain))
            case ast.AugAssign(op=ast.Mult() | ast.Div() as op, value=value):
                divides = isinstance(op, ast.Div)
                kind = "n dropped" if divides and self._is_count(value) else "factor dropped"
                if self._is_scalar(value) and not self._is_count(value):
                    kind = "constant dropped"
                yield from self._made(kind, [(statement, [])], statement, f"without {text(statement)}")
            case ast.Assign(targets=[ast.Name()], value=value) if name in self.carriers and not is_filling(value):
                # The first part of a sum is dropped: the second becomes the assignment.
                later = next((s for s in rest if name in loaded(s)), None)
                match later:
                    case ast.AugAssign(target=ast.Name(), op=ast.Add(), value=second) if target(later) == name:
                        edits = [(statement, []), (later, [_assign(statement.targets[0], second)])]
                        yield from self._made("term dropped", edits, later, f"without {text(statement)}", up=1)

    def _moves(self) -> Iterator[Mutant]:
        """Statements in the wrong order: a gradient read before its last part is added, or before it is there."""
        for block in self.solved.blocks:
            for at, statement in enumerate(block):
                name = target(statement)
                reader = next((s for s in block[at + 1 :] if name in loaded(s)), None)
                if reader is None or not self.solved.is_gradient(name) or target(reader) in ("", name):
                    continue
                early, late = self._split(statement)
                if late is not None:
                    edits = [(statement, early), (reader, [reader, late])]
                    yield from self._made("used too early", edits, reader, f"{text(late)} after it", up=1 - len(early))
                elif isinstance(statement, ast.Assign):
                    edits = [(statement, [reader, statement]), (reader, [])]
                    what = f"{target(reader)} before {name}"
                    yield from self._made("moved before its input", edits, statement, what)

    def _split(self, statement: ast.stmt) -> tuple[list[ast.stmt], ast.stmt | None]:
        """What of a sum is written in time, and the statement that comes too late, if it is a sum of gradients."""
        match statement:
            case ast.AugAssign(op=ast.Add() | ast.Sub()) | ast.Assign(targets=[ast.Subscript()]):
                return [], statement
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                parts = terms(value)
                if len(parts) > 1 and all(loaded(part) & self.carriers for part, _ in parts):
                    (last, sign) = parts.pop(self.random.randrange(len(parts)))
                    first = total(parts)
                    if isinstance(first, ast.Name):  # not another name for the same tensor, which += would change
                        first = ast.Call(ast.Attribute(first, "clone", ast.Load()), [], [])
                    op = ast.Add() if sign > 0 else ast.Sub()
                    late = ast.AugAssign(ast.Name(name, ast.Store()), op, last)
                    return [_assign(statement.targets[0], first)], late
        return [], None


def _assign(place: ast.expr, value: ast.expr) -> ast.stmt:
    return ast.fix_missing_locations(ast.Assign([place], value, lineno=0, col_offset=0))


def mutants(solved: Solved, seed: int, shapes: dict[str, tuple[int, ...]] | None = None) -> list[Mutant]:
    """All mistakes that can be made in a file, each source once, shuffled; `seed` makes the choices there are.

    `shapes` gives the shape of each tensor of the forward part; without it, no operand is taken for another.
    """
    chance = random.Random(seed)
    found: dict[str, Mutant] = {}
    for mutant in _Mutator(solved, shapes or {}, chance).all():
        found.setdefault(mutant.source, mutant)
    made = list(found.values())
    chance.shuffle(made)
    return made
