"""Why a derivative is wrong: hypotheses, each tested by numbers on every draw of the inputs.

Three sources, none of which depends on how the learner wrote it alone: the learner's value beside the true one (a
ratio, a shape); the derivative that a mistaken forward would have; and small changes to the learner's own statements
(does it become right?) or to the solution's (does it become what the learner has?).
"""

from __future__ import annotations

import ast
import contextlib
import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from moreish.explaining.grading import edits
from moreish.explaining.grading.branches import Branch
from moreish.explaining.grading.case import CUT, NONE_FITS, Case, Finding
from moreish.explaining.grading.causes import CAUSES
from moreish.explaining.grading.ratios import read_ratio, shape_relation
from moreish.explaining.grading.submission import loaded, stored
from moreish.explaining.grading.syntax import replaced
from moreish.explaining.grading.truth import derivative, next_nodes


def explain(case: Case) -> Finding:
    """The first cause, in the order of `CAUSES`, that the numbers confirm."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some changes are nonsense, which torch says
            for hypothesis in HYPOTHESES:
                with contextlib.suppress(RecursionError):  # a statement nested too deep to be changed
                    for finding in hypothesis(case):
                        assert finding.cause in CAUSES, finding.cause
                        return finding
    except TimeoutError:
        return Finding("unknown", CUT)
    return Finding("unknown", CUT if case.cut else NONE_FITS)


def _order(case: Case) -> Iterator[Finding]:
    """With everything else right beforehand the statements are right as they stand, or in another order."""
    submission = case.submission
    if submission is None:
        return
    plain = case.statements
    first = submission.slice(case.node)[0] if plain else 0
    if plain and case.repairs(plain):
        late = [n for n in set().union(*map(loaded, plain)) & set(case.truths[0].gradients) - {case.node}
                if submission.last(n) > first]  # fmt: skip
        if late:
            yield Finding("wrong order", f"{late[0]} is used before it is complete")
    for index in range(len(plain) - 1):
        swapped = [*plain[:index], plain[index + 1], plain[index], *plain[index + 2 :]]
        if case.repairs(swapped):
            yield Finding("wrong order", f"lines {plain[index].lineno} and {plain[index + 1].lineno}")


def _replaced_contribution(case: Case) -> Iterator[Finding]:
    """`+=` for a later `=`, nested in loops too; one row indexed twice and changed once."""
    seen = False
    for place, statement in enumerate(case.statements):
        for each in ast.walk(statement):
            is_own = isinstance(each, (ast.Assign, ast.AugAssign)) and case.node in stored(each)
            if not is_own:
                continue
            assert isinstance(each, (ast.Assign, ast.AugAssign))
            target = each.targets[0] if isinstance(each, ast.Assign) else each.target
            for new in _accumulating(each, target, seen):
                if case.repairs(_with(case.statements, place, each, new)):
                    yield Finding("= for +=", f"line {each.lineno}")
            seen = True


def _accumulating(each: ast.Assign | ast.AugAssign, target: ast.expr, seen: bool) -> Iterator[ast.stmt]:
    if isinstance(each, ast.Assign) and (seen or isinstance(target, ast.Subscript)):
        yield ast.copy_location(ast.AugAssign(target, ast.Add(), each.value), each)  # type: ignore[arg-type]
    if isinstance(target, ast.Subscript):
        as_tensor = ast.Attribute(ast.Name("torch", ast.Load()), "as_tensor", ast.Load())
        index = target.slice.elts if isinstance(target.slice, ast.Tuple) else [target.slice]
        where = ast.Tuple([ast.Call(as_tensor, [i], []) for i in index], ast.Load())
        put = ast.Attribute(target.value, "index_put_", ast.Load())
        accumulate = [ast.keyword("accumulate", ast.Constant(True))]
        yield ast.copy_location(ast.Expr(ast.Call(put, [where, each.value], accumulate)), each)


def _with(statements: list[ast.stmt], place: int, old: ast.AST, new: ast.AST) -> list[ast.stmt]:
    return [*statements[:place], replaced(statements[place], old, new), *statements[place + 1 :]]  # type: ignore[list-item]


def _shapes(case: Case) -> Iterator[Finding]:
    """The right numbers in the wrong shape: not summed, an axis lost or too many, transposed."""
    if all(got is not None for got in case.got):
        found = {shape_relation(got, truth.gradients[case.node], lambda a, b, t=truth: t.is_close(a, b))
                 for truth, got in zip(case.truths, case.got) if got is not None}  # fmt: skip
        if len(found) == 1 and (relation := found.pop()) is not None:
            yield Finding(*relation)


def _ratio(*causes: str) -> Callable[[Case], Iterator[Finding]]:
    """The learner's value, or one of its branches, is a known number of times the right one."""

    def hypothesis(case: Case) -> Iterator[Finding]:
        if any(got is None or got.shape != t.gradients[case.node].shape for t, got in zip(case.truths, case.got)):
            return
        got = [each.double() for each in case.got if each is not None]
        want = [truth.gradients[case.node] for truth in case.truths]
        found = read_ratio(case.truths, got, want)
        if found is not None and found[0] in causes:
            yield Finding(*found)
        for branch in case.branches:
            rest = [w - b for w, b in zip(want, branch.values)]
            if all(truth.is_nothing(each) for truth, each in zip(case.truths, rest)):
                continue
            found = read_ratio(case.truths, [g - r for g, r in zip(got, rest)], list(branch.values))
            if found is not None and found[0] in causes:
                yield Finding(found[0], f"{found[1]}, in the contribution through {branch.words}".lstrip(", "))

    return hypothesis


def _lost(case: Case) -> Iterator[Finding]:
    """One or two uses in the forward taken for constants; one term of the solution left out."""
    found = case.branches
    for branch in found:
        if case.predicts(lambda k, b=branch: _rest(case, k, b)):
            yield Finding("detached maximum" if branch.is_maximum else "lost branch", branch.words)
    for place, statement in enumerate(case.solved):
        if isinstance(statement, (ast.AugAssign, ast.Assign)):
            left = [*case.solved[:place], *case.solved[place + 1 :]]
            if left and case.predicts(lambda k, left=left: case.value(left, k)):
                yield Finding("lost branch", "one of the contributions")
    for i, one in enumerate(found):
        for other in found[i + 1 :]:
            if case.predicts(lambda k, a=one, b=other: _rest(case, k, a, b)):
                yield Finding("lost branch", f"{one.words} and {other.words}")


def _rest(case: Case, draw: int, *lost: Branch) -> Tensor | None:
    """The derivative without some branches; None where nothing is left, which would explain any zero."""
    truth = case.truths[draw]
    rest = truth.gradients[case.node] - sum(branch.values[draw] for branch in lost)
    return None if truth.is_nothing(rest) else rest


def _by_repair(cause: str, *changes: edits.Edit) -> Callable[[Case], Iterator[Finding]]:
    """One small change makes the learner's statements right."""

    def hypothesis(case: Case) -> Iterator[Finding]:
        for edit in changes:
            for place, statement in enumerate(case.statements):
                for new, words in edits.edited(statement, edit, case.names):
                    if case.repairs([*case.statements[:place], new, *case.statements[place + 1 :]]):
                        yield Finding(cause, words)

    return hypothesis


def _by_damage(cause: str, *changes: edits.Edit) -> Callable[[Case], Iterator[Finding]]:
    """One small change makes the solution's statements give what the learner has."""

    def hypothesis(case: Case) -> Iterator[Finding]:
        if any(got is None for got in case.got):
            return
        for edit in changes:
            for place, statement in enumerate(case.solved):
                for new, words in edits.edited(statement, edit, case.names):
                    made = [*case.solved[:place], new, *case.solved[place + 1 :]]
                    if case.predicts(lambda k, made=made: case.value(made, k)):
                        yield Finding(cause, words)

    return hypothesis


def _by_forward(cause: str, *changes: edits.Edit) -> Callable[[Case], Iterator[Finding]]:
    """The learner's value is the derivative of a forward with one small change."""

    def hypothesis(case: Case) -> Iterator[Finding]:
        if any(got is None for got in case.got):
            return
        forward = list(case.truths[0].exercise.forward)
        for edit in changes:
            for place, statement in enumerate(forward):
                for new, words in edits.edited(statement, edit, case.names):
                    made = [*forward[:place], new, *forward[place + 1 :]]
                    if case.predicts(lambda k, made=made: derivative(case.truths[k], case.node, made)):
                        yield Finding(cause, words)

    return hypothesis


def _incoming(case: Case) -> Iterator[Finding]:
    """The local derivative alone: one incoming derivative, or all, taken for 1."""
    following = next_nodes(case.truths[0].exercise, case.node)
    for without in ([each] for each in following):
        if case.predicts(lambda k, w=without: derivative(case.truths[k], case.node, None, lambda n: (
            torch.ones_like if n in w else lambda x: x)(case.truths[k].gradients[n]))):  # fmt: skip
            yield Finding("missing factor", f"the incoming derivative {without[0]}")


HYPOTHESES: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    _order,
    _replaced_contribution,
    _shapes,
    _by_repair("missing keepdim", edits.keepdims),
    _by_repair("keepdim too many", edits.no_keepdims),
    _by_repair("wrong axis", edits.axes),
    _by_damage("wrong axis", edits.axes),
    _by_repair("missing keepdim", edits.unsqueezes),
    _by_repair("transposed product", edits.transposes),
    _by_damage("transposed product", edits.transposes),
    _by_damage("missing broadcast sum", edits.no_sums),
    _by_repair("n - 1 for n", edits.one_more),
    _by_repair("n for n - 1", edits.one_less),
    _ratio("n - 1 for n", "n for n - 1"),
    _by_damage("n - 1 for n", edits.one_less),
    _by_damage("n for n - 1", edits.one_more),
    _ratio("forgotten mean"),
    _by_repair("forgotten mean", edits.means),
    _by_damage("forgotten mean", edits.no_means),
    _lost,
    _ratio("wrong sign"),
    _by_repair("wrong sign", edits.signs, edits.negated),
    _by_damage("wrong sign", edits.signs, edits.negated, edits.exponent_signs),
    _by_repair("wrong scale", edits.constants),
    _by_damage("missing factor", edits.fewer_factors),
    _incoming,
    _by_damage("lost branch", edits.fewer_terms),
    _by_forward("lost branch", edits.fewer_terms),
    _by_repair("missing factor", edits.more_factors, edits.powers),
    _by_damage("missing factor", edits.powers),
    _ratio("wrong scale"),
    _by_repair("wrong scale", edits.no_means),
    _by_repair("missing broadcast sum", edits.sums),
    _by_repair("wrong operand", edits.operands),
    _by_damage("wrong operand", edits.operands),
    _by_repair("missing factor", edits.any_factors),
)
