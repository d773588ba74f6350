"""Mutants are wrong where they say and of the kind they say, and variants are right: by torch's autograd."""

from __future__ import annotations

import ast

import pytest
import torch

from bench_modules import BENCH, bench
from solved_exercises import CROSS_ENTROPY, SOLVED, benches, inputs, pools, variants

grading_tasks, mutants, solved = map(bench, ("grading_tasks", "mutants", "solved"))

CAUSES = {
    "missing broadcast sum", "missing keepdim", "keepdim too many", "wrong axis", "lost branch", "= for +=",
    "transposed product", "n - 1 for n", "n for n - 1", "forgotten mean", "wrong scale", "wrong sign", "missing factor",
    "detached maximum", "wrong order", "wrong operand",
}  # fmt: skip
INNER = "(-counts * totals ** (-2) * dprobs)"


@pytest.mark.parametrize("name", ["formulas", "mistakes", "mutants", "solved", "variants"])
def test_mutants_and_variants_import_nothing_of_moreish(name):
    nodes = list(ast.walk(ast.parse((BENCH / f"{name}.py").read_text())))
    imported = [str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)]
    imported += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    allowed = {"formulas", "mistakes", "solved"}
    ours = {path.stem for path in BENCH.glob("*.py")}
    assert imported
    assert not [module for module in imported if module.startswith("moreish") or module in ours - allowed]


def test_the_judge_agrees_with_torchs_own_layers():
    given = inputs()["cross_entropy"]
    logits = given["logits"].requires_grad_()
    torch.nn.functional.cross_entropy(logits, given["targets"]).backward()
    torch.testing.assert_close(benches()["cross_entropy"].right[0]["dlogits"], logits.grad, rtol=1e-12, atol=1e-14)
    assert benches()["cross_entropy"].wrong(CROSS_ENTROPY) == []


@pytest.mark.parametrize(
    "old, new, wrong",
    [
        ("dnorm = counts * dcounts", "dnorm = dcounts", ["dnorm", "dmaxima", "dlogits"]),
        ("dlogits = dnorm.clone()", "dlogits = -dnorm", ["dlogits"]),
        ("dmaxima = -dnorm.sum(1, keepdim=True)", "dmaxima = 0.0", ["dmaxima"]),  # no tensor of its shape
        ("-dnorm.sum(1, keepdim=True)", "torch.zeros_like(maxima)", []),  # zero in theory: rounding in the right file
        ("dlogits = dnorm.clone()", "dlogits = dnorm * (1 + 1e-14)", []),
        ("dlogits = dnorm.clone()", "dlogits = dnorm * (1 + 1e-8)", None),
        ("dnorm = counts * dcounts", "dnorm = counts.mul_(dcounts)", None),  # changes a variable of the forward part
    ],
)
def test_wrong_nodes_are_found(old, new, wrong):
    assert benches()["cross_entropy"].wrong(CROSS_ENTROPY.replace(old, new)) == wrong


def test_a_wrong_solution_is_no_bench():
    with pytest.raises(solved.Unfit, match="dnorm"):
        solved.Bench(CROSS_ENTROPY.replace("counts * dcounts", "dcounts"), inputs()["cross_entropy"])
    with pytest.raises(solved.Unfit, match="NameError") as error:
        benches()["cross_entropy"].wrong(CROSS_ENTROPY.replace("counts * dcounts", "count * dcounts"))
    assert "dnorm" in CROSS_ENTROPY.splitlines()[error.value.line - 1]


def test_mutants_leave_the_forward_part_and_differ():
    wrong, broken = pools()
    sources = [task.source for task in wrong + broken]
    assert len(set(sources)) == len(sources) > 200
    for task in wrong + broken:
        assert task.source != SOLVED[task.exercise]
        assert task.source.split("# Backward")[0] == SOLVED[task.exercise].split("# Backward")[0]


def test_mutants_are_wrong_at_their_node_and_at_none_before_it():
    for task in pools()[0]:
        bench_of = benches()[task.exercise]
        given = solved.run(task.source, bench_of.inputs[0])
        same = []
        for name in bench_of.order[: bench_of.order.index(task.node) + 1]:
            ours, theirs = given[name], bench_of.right[0][name]
            alike = isinstance(ours, torch.Tensor) and ours.shape == theirs.shape
            same.append(alike and torch.allclose(ours, theirs, rtol=1e-8, atol=1e-10))
        assert same == [True] * (len(same) - 1) + [False], (task.what, same)


@pytest.mark.parametrize(
    "exercise, kind, node, line",
    [
        ("cross_entropy", "n dropped", "dlogprobs", "dlogprobs[range(n), targets] = -1.0"),
        ("cross_entropy", "n - 1 for n", "dlogprobs", "dlogprobs[range(n), targets] = -1.0 / (n - 1)"),
        ("cross_entropy", "factor dropped", "dprobs", "dprobs = 1.0 * dlogprobs"),
        ("cross_entropy", "sign turned", "dtotals", f"dtotals = -{INNER}.sum(1, keepdim=True)"),
        ("cross_entropy", "axis changed", "dtotals", f"dtotals = {INNER}.sum(0, keepdim=True)"),
        ("cross_entropy", "+= made =", "dcounts", "dcounts = torch.ones_like(counts) * dtotals"),
        ("cross_entropy", "term dropped", "dcounts", "dcounts = torch.ones_like(counts) * dtotals"),
        ("cross_entropy", "used too early", "dnorm", "dnorm = counts * dcounts"),
        ("layer_norm", "transposed", "dout", "dout = (1 - final ** 2) * dfinal @ weight"),
        ("layer_norm", "transposed", "dweight", "dweight = ((1 - final ** 2) * dfinal).T @ out"),
        ("layer_norm", "sum dropped", "dbias", "dbias = dout"),
        ("layer_norm", "keepdim added", "dbias", "dbias = dout.sum(0, keepdim=True)"),
        ("layer_norm", "term dropped", "dx", "dx = ddiff"),
        ("layer_norm", "mean made sum", "dx", "dx = ddiff - ddiff.sum(1, keepdim=True)"),
        ("tied", "constant dropped", "dlogits", "dlogits = logits.clone()"),
        ("tied", "maximum dropped", "dlogits", "demb = dlogits @ table"),
        ("tied", "term dropped", "dtable", "pass"),
        ("tied", "+= made =", "dtable", "dtable[tokens[i]] = demb[i]"),
        ("tied", "other operand", "dtop", "dtop = 2 * (y - y) / tokens.shape[0]"),
    ],
)  # fmt: skip
def test_kinds_are_what_they_say(exercise, kind, node, line):
    of_kind = [task for task in pools()[0] if (task.exercise, task.kind) == (exercise, kind)]
    assert (node, line) in [(task.node, task.source.splitlines()[task.line - 1].strip()) for task in of_kind]


def test_every_kind_is_made_and_its_causes_are_the_graders_words():
    wrong, broken = pools()
    assert {task.kind for task in wrong} == set(mutants.KINDS) - {"moved before its input"}
    assert "moved before its input" in {task.kind for task in broken}
    assert {cause for causes, _ in mutants.KINDS.values() for cause in causes} == CAUSES
    assert all(mutants.KINDS[task.kind][0] <= set(task.causes) <= CAUSES for task in wrong)


def test_what_is_zero_in_theory_makes_no_mutant():
    """The gradient through cross-entropy's maximum is zero, so leaving it out is no mistake."""
    assert not [t for t in pools()[0] if (t.exercise, t.kind) == ("cross_entropy", "maximum dropped")]


def test_mutants_that_cannot_be_run_name_the_line_that_raises():
    for task in pools()[1]:
        with pytest.raises(solved.Unfit) as error:
            solved.run(task.source, inputs()[task.exercise])
        assert error.value.line == task.line > task.source.splitlines().index("    # Backward: yours.")


def test_mutants_follow_from_the_seed():
    bench_of = benches()["tied"]
    once, again, other = (mutants.mutants(bench_of.solved, seed, bench_of.shapes) for seed in (0, 0, 1))
    assert once == again
    assert {mutant.source for mutant in other} - {mutant.source for mutant in once}


def test_variants_are_right_and_written_differently():
    assert len({task.source for task in variants()} | set(SOLVED.values())) == 18 + 3
    assert len({name for task in variants() for name in task.kind.split(", ")}) > 20
    for task in variants():
        assert task.source.split("# Backward")[0] == SOLVED[task.exercise].split("# Backward")[0]
        bench_of = benches()[task.exercise]
        given = solved.run(task.source, bench_of.inputs[1])
        for name in bench_of.order:
            torch.testing.assert_close(given[name], bench_of.right[1][name], rtol=1e-9, atol=1e-12)
