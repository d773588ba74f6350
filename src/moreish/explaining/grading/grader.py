"""The grader: a learner's file, or the derivatives computed in a notebook, held against the truth."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from moreish.errors import UsageError, did_you_mean
from moreish.explaining.exercises import EXERCISES, exercise
from moreish.explaining.grading.case import Case
from moreish.explaining.grading.grades import NOT_DONE, RIGHT, WRONG, Grade, broken
from moreish.explaining.grading.hypotheses import explain
from moreish.explaining.grading.sandbox import MEMORY, SECONDS, judge_apart
from moreish.explaining.grading.submission import TOO_DEEP, Fault, as_tensor, find_function, named_exercise, parse
from moreish.explaining.grading.truth import find_truth, follows, next_nodes
from moreish.explaining.grading.wording import listed, wrong_message
from moreish.storage import reading

LONGEST = 1 << 20
"""Bytes in a learner's file at most."""


def grade_file(path: str | os.PathLike[str], seconds: float = SECONDS, memory: int = MEMORY) -> Grade:
    """Judge a learner's file, which says for which exercise it is on a line such as `exercise: cross_entropy`.

    Its code runs in a separate process, for at most `seconds` and with at most `memory` bytes.

    Raises:
        StorageError: the file cannot be read.
        UsageError: it is not said, or not known, which exercise it is for.
    """
    with reading(path) as (file, _):
        data = file.read(LONGEST + 1)
    name = Path(path).name
    if len(data) > LONGEST:
        return broken("", f"{name} is longer than {LONGEST:,} bytes: that is no exercise.")
    try:
        source = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        return broken("", f"Line {line}: it is not in UTF-8 (byte 0x{data[error.start]:02x}). Save it as UTF-8.", line)
    asked = named_exercise(source)
    if asked is None:
        raise UsageError(f"{name} does not say which exercise it is. Give it a line such as `exercise: cross_entropy`.")
    found = exercise(asked)
    try:
        tree = parse(source)
        function = find_function(tree)
        text = ast.dump(function)
    except RecursionError:
        return broken(found.id, f"{TOO_DEEP[:1].upper()}{TOO_DEEP[1:]}.")
    except Fault as fault:
        where = f"Line {fault.line}: " if fault.line else ""
        return broken(found.id, f"{where}{fault}.", fault.line)
    if text == ast.dump(find_function(parse(found.blank))):
        return Grade(found.id, NOT_DONE, f"Nothing is filled in yet. Still to do: {', '.join(found.nodes)}.",
                     remaining=found.nodes)  # fmt: skip
    return judge_apart(found.id, source, seconds, memory)


def grade(name: str, values: Mapping[str, Any]) -> Grade:
    """Judge derivatives computed in a notebook from `moreish.exercise(name).inputs`.

    Args:
        name: the exercise's id.
        values: the derivative of the loss with respect to each name, `{"logits": dlogits, ...}` or
            `{"dlogits": dlogits, ...}`: tensors, numpy arrays or numbers, in float32 or float64. What is missing, or
            None, is still to do. There are no statements to look at here, so whether a wrong one is its own fault is
            found by computing it anew from the values given for the nodes that come before.

    Raises:
        UsageError: an unknown exercise or name, or a value that is no tensor.
    """
    asked = exercise(name)
    if not isinstance(values, Mapping):
        raise UsageError(f"values is of type {type(values).__name__}. Give a dict, such as {{'logits': dlogits}}.")
    given = _given(asked.nodes, values, asked.id)
    truth = find_truth(asked, 0)
    wrong = [node for node in asked.nodes if node in given and not truth.is_right(node, given[node])]
    remaining = tuple(node for node in asked.nodes if node not in given)
    if not wrong:
        if remaining:
            right = [node for node in asked.nodes if node in given]
            so_far = f"{listed(right)} {'is' if len(right) == 1 else 'are'} right. " if right else ""
            return Grade(asked.id, NOT_DONE, f"{so_far}Still to do: {', '.join(remaining)}.", remaining=remaining)
        return Grade(asked.id, RIGHT, "Every derivative is right.")
    inherited = [
        node for node in wrong[1:] if set(next_nodes(asked, node)) & set(wrong) and follows(truth, node, given)
    ]
    own = [node for node in wrong if node not in inherited]
    finding = explain(Case(own[0], [truth], [given[own[0]]]))
    message = wrong_message(truth, own[0], given[own[0]], None, finding, own, inherited, remaining)
    return Grade(asked.id, WRONG, message, own[0], tuple(own), tuple(inherited), finding.cause, remaining)


def _given(nodes: tuple[str, ...], values: Mapping[str, Any], name: str) -> dict[str, Tensor]:
    """The learner's values as tensors, under the names of the nodes."""
    found: dict[str, Tensor] = {}
    for key, value in values.items():
        node = key if key in nodes else f"d{key}"
        if node not in nodes:
            known = [*nodes, *(each[1:] for each in nodes)]
            raise UsageError(f"{name} does not ask for {key!r:.60}. {did_you_mean(str(key), known)}")
        if node in found:
            raise UsageError(f"{node} is given twice, as {node!r} and as {node[1:]!r}. Give it once.")
        if value is None:
            continue
        tensor = as_tensor(value)
        if tensor is None or tensor.is_complex():
            raise UsageError(f"{key!r} is of type {type(value).__name__}. Give a tensor, a numpy array or a number.")
        found[node] = tensor.cpu().float()  # as the inputs are: whoever computed in float64 loses nothing by it
    return found


__all__ = ["EXERCISES", "grade", "grade_file"]
