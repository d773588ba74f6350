"""A learner's file judged: run, held against the truth, each wrong node told own from inherited, the cause looked for.

This is what runs in the separate process (`trial.py`); tests call it directly.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from moreish.explaining.exercises.definition import DRAWS, FUNCTION, Exercise
from moreish.explaining.grading.case import CUT, Case, Finding
from moreish.explaining.grading.grades import BROKEN, NOT_DONE, RIGHT, WRONG, Grade, broken
from moreish.explaining.grading.hypotheses import explain
from moreish.explaining.grading.running import Nowhere, call, described, load
from moreish.explaining.grading.submission import (
    Failure,
    Fault,
    Submission,
    as_tensor,
    parse,
)
from moreish.explaining.grading.truth import Truth, find_truth, follows
from moreish.explaining.grading.wording import fault_of, listed, wrong_message

OF_SHAPES = (RuntimeError, IndexError, ValueError)
"""What torch raises where shapes do not fit: a mistake in the derivative, not a broken file."""


def judge(exercise: Exercise, source: str, ran: Callable[[Grade], None] = lambda so_far: None) -> Grade:
    """The judgement on a learner's file.

    Args:
        exercise: the one that it is for.
        source: its text.
        ran: called when the learner's function has been run and only the judging is left, with what is known by then.
    """
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # a learner's torch.zeros(...) is then as exact as all else
    try:
        truths = [find_truth(exercise, draw) for draw in range(DRAWS)]
        tree = parse(source)
        module = load(tree)
        began = time.monotonic()
        problem, results = call(module, truths, tree)
        seconds = time.monotonic() - began
        done = [_verdict(truths, results, node) for node in exercise.nodes]
        ran(_so_far(exercise, truths, results, problem, done))
        if problem is None and all(verdict is True for verdict in done):
            return Grade(exercise.id, RIGHT, "Every derivative is right.")
        with contextlib.redirect_stdout(Nowhere()), contextlib.redirect_stderr(Nowhere()):
            submission = Submission.of(exercise, tree, module)
            return _diagnosed(exercise, submission, truths, results, problem, done, seconds)
    except Fault as fault:
        return broken(exercise.id, _sentence(str(fault), fault.line), fault.line)
    finally:
        torch.set_default_dtype(default)


def _so_far(
    exercise: Exercise,
    truths: list[Truth],
    results: list[dict[str, Any]],
    problem: Fault | None,
    done: list[bool | None],
) -> Grade:
    """What one run says, without a cause: all there is to say where the file is too slow to be run again."""
    if problem is not None:
        return broken(exercise.id, _sentence(str(problem), problem.line), problem.line)
    remaining = tuple(node for node, verdict in zip(exercise.nodes, done) if verdict is None)
    wrong = [node for node, verdict in zip(exercise.nodes, done) if verdict is False]
    if wrong:  # all that comes before the first is right, so that its mistake is its own
        message = wrong_message(truths[0], wrong[0], results[0].get(wrong[0]), None, Finding("unknown", CUT),
                                wrong[:1], [], remaining)  # fmt: skip
        return Grade(exercise.id, WRONG, message, wrong[0], (wrong[0],), (), "unknown", remaining)
    right = [node for node, verdict in zip(exercise.nodes, done) if verdict]
    if remaining:
        return Grade(exercise.id, NOT_DONE, _to_do(right, remaining), remaining=remaining)
    return Grade(exercise.id, RIGHT, "Every derivative is right.")


def _diagnosed(
    exercise: Exercise,
    submission: Submission,
    truths: list[Truth],
    results: list[dict[str, Any]],
    problem: Fault | None,
    done: list[bool | None],
    seconds: float,
) -> Grade:
    free = [submission.run(truth, forced=False) for truth in truths]
    forced = [submission.run(truth, forced=True) for truth in truths]
    remaining = tuple(n for n in exercise.nodes if n not in forced[0][1] and _is_missing(forced[0][0].get(n)))
    _check_types(exercise, submission, forced)
    right = {n for n in exercise.nodes if _right_everywhere(truths, forced, n)}
    failures: dict[str, Failure] = {}
    for _, failed in forced:
        failures.update(failed)
    own = [n for n in exercise.nodes if n not in right and n not in remaining]
    spoilt = [n for n in exercise.nodes if n in right and not _right_everywhere(truths, free, n)]
    inherited = [n for n in spoilt if not _waits(n, remaining, free)]
    own, inherited = _within_loops(submission, truths, forced, own, inherited)
    if not own:
        aliased = [n for n, verdict in zip(exercise.nodes, done) if verdict is False and n in right and n not in spoilt]
        ends = as_tensor(submission.ends_with(truths[0], aliased[0])) if aliased else None
        if problem is None and ends is not None and not truths[0].is_right(aliased[0], ends):
            return _changed_in_place(exercise, submission, truths, results, aliased, remaining)
        if problem is not None and (not remaining or "NoneType" not in str(problem)):
            raise problem  # a derivative that is still None explains no other error
        if remaining:
            fine = [n for n in exercise.nodes if n in right]
            return Grade(exercise.id, NOT_DONE, _to_do(fine, remaining), remaining=remaining)
        return _only_together(exercise, results, done)
    first = own[0]
    failure = failures.get(first)
    got = [_got(found, failed, first) for found, failed in forced]
    finding = explain(Case(first, truths, got, submission, seconds))
    if failure is not None and not _is_mistake(failure.error, exercise):
        line = failure.line
        return Grade(exercise.id, BROKEN, _sentence(fault_of(failure.error), line), first, tuple(own), tuple(inherited),
                     remaining=remaining, line=line)  # fmt: skip
    message = wrong_message(
        truths[0], first, forced[0][0].get(first), failure, finding, own, inherited, remaining
    )  # fmt: skip
    return Grade(exercise.id, WRONG, message, first, tuple(own), tuple(inherited), finding.cause, remaining,
                 failure.line if failure is not None else submission.line(first))  # fmt: skip


def _is_mistake(error: BaseException, exercise: Exercise) -> bool:
    """Whether an exception tells of a mistake in the derivative: shapes that do not fit, one that is not there yet."""
    if isinstance(error, NameError):
        return error.name in exercise.nodes
    out_of_reach = isinstance(error, (RecursionError, NotImplementedError)) or "allocate memory" in str(error)
    return isinstance(error, OF_SHAPES) and not out_of_reach


def _changed_in_place(
    exercise: Exercise,
    submission: Submission,
    truths: list[Truth],
    results: list[dict[str, Any]],
    aliased: list[str],
    remaining: tuple[str, ...],
) -> Grade:
    """Right when they were assigned, and other values in the end: a later statement wrote into the same tensor."""
    finding = Finding("changed in place", f"{aliased[0]} was right when it was assigned")
    got = results[0].get(aliased[0])
    message = wrong_message(truths[0], aliased[0], got, None, finding, aliased, [], remaining)
    return Grade(exercise.id, WRONG, message, aliased[0], tuple(aliased), (), finding.cause, remaining,
                 submission.line(aliased[0]))  # fmt: skip


Run = tuple[dict[str, Any], dict[str, Failure]]


def _got(found: dict[str, Any], failed: dict[str, Failure], node: str) -> Tensor | None:
    return None if node in failed else as_tensor(found.get(node))


def _verdict(truths: list[Truth], results: list[dict[str, Any]], node: str) -> bool | None:
    """Whether what the function returned for a node is right on every draw; None where it returned nothing."""
    if len(results) < len(truths):
        return False
    values = [as_tensor(found.get(node)) for found in results]
    if any(each is None for each in values):
        return None
    return all(truth.is_right(node, each) for truth, each in zip(truths, values) if each is not None)


def _right_everywhere(truths: list[Truth], runs: list[Run], node: str) -> bool:
    for truth, (found, failed) in zip(truths, runs):
        got = _got(found, failed, node)
        if got is None or not truth.is_right(node, got):
            return False
    return True


def _is_missing(value: Any) -> bool:
    return value is None or value is Ellipsis


def _waits(node: str, remaining: tuple[str, ...], free: list[Run]) -> bool:
    """Whether a node could not be computed only because an earlier one is still to be filled in."""
    return bool(remaining) and any(node in failed and isinstance(failed[node].error, (TypeError, AttributeError))
                                   for _, failed in free)  # fmt: skip


def _check_types(exercise: Exercise, submission: Submission, forced: list[Run]) -> None:
    for found, failed in forced:
        for node in exercise.nodes:
            value = found.get(node)
            if node not in failed and not _is_missing(value) and as_tensor(value) is None:
                raise Fault(f"{node} is {described(value)}, not a tensor", submission.line(node))


def _within_loops(
    submission: Submission, truths: list[Truth], forced: list[Run], own: list[str], inherited: list[str]
) -> tuple[list[str], list[str]]:
    """Of two wrong nodes that one compound statement computes, the later may only hand on what the earlier got wrong.

    Inside one statement no right value can be put in between, so that a forced run finds both wrong.
    """
    kept: list[str] = []
    for node in own:
        index = submission.last(node)
        shared = [other for other in kept if index >= 0 and other in submission.changes[index]]
        (inherited if shared and _only_follows(truths, forced, node) else kept).append(node)
    return kept, sorted(inherited, key=submission.exercise.nodes.index)


def _only_follows(truths: list[Truth], forced: list[Run], node: str) -> bool:
    for truth, (found, failed) in zip(truths, forced):
        values = {name: _got(found, failed, name) for name in found}
        given = {name: value for name, value in values.items() if value is not None}
        if node not in given or not follows(truth, node, given):
            return False
    return True


def _only_together(exercise: Exercise, results: list[dict[str, Any]], done: list[bool | None]) -> Grade:
    """Right statement by statement, and yet not as returned: the function hands back something else."""
    wrong = [node for node, verdict in zip(exercise.nodes, done) if verdict is not True]
    node = wrong[0]
    if results and _is_missing(results[0].get(node)):
        raise Fault(f"{FUNCTION} does not return {node}. End it with `return locals()`")
    raise Fault(f"{node} is right when it is assigned, but {FUNCTION} returns another value for it")


def _to_do(right: list[str], remaining: tuple[str, ...]) -> str:
    so_far = f"{listed(right)} {'is' if len(right) == 1 else 'are'} right. " if right else "Nothing is filled in yet. "
    return f"{so_far}Still to do: {', '.join(remaining)}."


def _sentence(text: str, line: int | None) -> str:
    text = text.rstrip(".")
    return f"Line {line}: {text}." if line else f"{text[:1].upper()}{text[1:]}."
