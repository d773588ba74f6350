"""Every exercise: a forward that torch differentiates, a solution that is right, a blank that is not done."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import torch

import moreish
from moreish.errors import UsageError
from moreish.explaining.exercises import EXERCISES, exercise
from moreish.explaining.exercises.definition import DRAWS, FUNCTION
from moreish.explaining.grading.causes import CAUSES
from moreish.explaining.grading.judging import judge
from moreish.explaining.grading.truth import find_truth, next_nodes
from moreish.explaining.grading.wording import SENTENCES

ALL = pytest.mark.parametrize("asked", EXERCISES.values(), ids=EXERCISES)
PAGE = (Path(__file__).parents[2] / "docs" / "exercises.md").read_text(encoding="utf-8")


def called(text: str, inputs: dict[str, torch.Tensor]) -> dict[str, object]:
    names: dict[str, object] = {}
    exec(compile(text, "file", "exec"), names)
    return names[FUNCTION](**inputs)  # type: ignore[operator]


@ALL
def test_the_solution_is_autograds(asked):
    """In both precisions, called as a plain Python function."""
    for draw in range(DRAWS):
        inputs = asked.drawn(draw)
        leaves = {k: v.clone().requires_grad_() if v.is_floating_point() else v for k, v in inputs.items()}
        forward = called(asked.blank, leaves)
        assert forward["loss"].dim() == 0 and all(forward[node] is None for node in asked.nodes)
        wanted = torch.autograd.grad(forward["loss"], [forward[node[1:]] for node in asked.nodes])
        largest = max(float(want.abs().max()) for want in wanted)
        for dtype, atol in ((torch.float64, 1e-12), (torch.float32, 1e-4)):
            solved = called(asked.solution, {k: v.to(dtype) if v.is_floating_point() else v for k, v in inputs.items()})
            for node, want in zip(asked.nodes, wanted):
                assert solved[node].shape == want.shape, node
                torch.testing.assert_close(solved[node].double(), want, rtol=0, atol=atol * largest, msg=node)


@ALL
def test_the_solution_is_right_and_the_blank_is_not_done(asked):
    solved, blank = judge(asked, asked.solution), judge(asked, asked.blank)
    assert (solved.status, solved.own, solved.cause, solved.remaining) == ("right", (), None, ())
    assert (blank.status, blank.own, blank.cause, blank.remaining) == ("not done", (), None, asked.nodes)


@ALL
def test_sizes_differ_within_a_draw_and_between_draws(asked):
    """So that a transposed or a wrong axis cannot pass; weights of a cell are square by nature."""
    square = {"w", "wh", "wr", "wz", "wn"}
    first, second = asked.drawn(0), asked.drawn(1)
    for name, value in first.items():
        assert value.dim() == second[name].dim()
        assert value.dim() == 0 or value.shape != second[name].shape, name
        if name not in square:
            assert len(set(value.shape)) == value.dim(), f"{name} has equal axes"
    assert all(torch.equal(value, asked.drawn(0)[name]) for name, value in first.items()), "the same each time"


@ALL
def test_nodes_come_after_what_they_are_made_of(asked):
    for node in asked.nodes:
        for other in next_nodes(asked, node):
            assert asked.nodes.index(other) < asked.nodes.index(node)


@ALL
def test_files_say_which_exercise_they_are_and_fit_a_terminal(asked):
    for text in (asked.blank, asked.solution):
        assert re.findall(r"^exercise: (\w+)$", text, re.M) == [asked.id]
        assert max(map(len, text.splitlines())) <= 120
        assert {"torch"} <= {alias.name for each in ast.parse(text).body if isinstance(each, ast.Import)
                             for alias in each.names}  # fmt: skip
    assert len(asked.hints) >= 2 and all(hint.endswith((".", "?")) for hint in asked.hints)
    for node in asked.nodes:
        assert node in asked.formula(node) and asked.consumers(node)


def test_there_are_enough_of_them_and_the_page_lists_each():
    assert len(EXERCISES) >= 20 and len({each.title for each in EXERCISES.values()}) == len(EXERCISES)
    listed = re.findall(r"^\| `(\w+)` \| (.+) \| (\d+) \|$", PAGE, re.M)
    assert listed == [(each.id, each.title, str(len(each.nodes))) for each in EXERCISES.values()]


def test_the_page_and_the_sentences_know_every_cause():
    assert re.findall(r"^\| `(.+?)` \| (.+) \|$", PAGE, re.M)[-len(CAUSES) :] == list(CAUSES.items())
    assert set(SENTENCES) == set(CAUSES)


def test_float32_and_float64_hold_the_same_inputs():
    asked = moreish.exercise("layer_norm")
    for name, value in asked.inputs.items():
        assert value.dtype == torch.float32 and torch.equal(value.double(), asked.drawn(0)[name])
    values = asked.forward_values()
    assert values["loss"].shape == () and values["y"].dtype == torch.float32


def test_an_unknown_exercise_or_node():
    with pytest.raises(UsageError, match="Did you mean 'cross_entropy'"):
        exercise("cros_entropy")
    with pytest.raises(UsageError, match="Did you mean 'dprobs'"):
        exercise("cross_entropy").formula("dprob")


def test_the_truth_leaves_inputs_alone():
    truth = find_truth(exercise("mlp"), 0)
    assert not any(isinstance(v, torch.Tensor) and v.requires_grad for v in truth.values.values())
    assert all(torch.equal(truth.inputs[name], value) for name, value in exercise("mlp").drawn(0).items())


@ALL
def test_inputs_and_judgement_do_not_depend_on_the_default_dtype(asked):
    """Under float64 the notebook's own right answer must stay right, and the inputs the same."""
    inputs = asked.inputs
    torch.set_default_dtype(torch.float64)
    try:
        again = asked.inputs
        assert all(torch.equal(again[k], v) and again[k].dtype == v.dtype for k, v in inputs.items())
        solved = called(asked.solution, again)
        assert moreish.grade(asked.id, {node: solved[node] for node in asked.nodes}).status == "right"
        before = called(asked.solution, inputs)
        assert moreish.grade(asked.id, {node: before[node] for node in asked.nodes}).status == "right"
    finally:
        torch.set_default_dtype(torch.float32)
