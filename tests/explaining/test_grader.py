"""The grader: where a mistake is, whose it is, what it is; and that right work is right however it is written."""

from __future__ import annotations

import ast

import numpy as np
import pytest
import torch

import moreish
from moreish.errors import UsageError
from moreish.explaining.exercises import EXERCISES, exercise
from moreish.explaining.grading.grades import Grade
from moreish.explaining.grading.judging import judge


def changed(name: str, old: str, new: str) -> str:
    """A solution with one piece of its backward exchanged."""
    forward, mark, backward = exercise(name).solution.partition("# Backward")
    assert backward.count(old) >= 1, f"{name} has no {old!r}"
    return forward + mark + backward.replace(old, new, 1)


MISTAKES = [
    ("neuron", "1.0 - loss**2", "1.0 + loss**2", "dz", "wrong sign"),
    ("neuron", "dx = dz * w", "dx = dz", "dx", "missing factor"),
    ("neuron", "dx = dz * w", "dx = w", "dx", "missing factor"),
    ("composite", "torch.cos(e) * dy", "torch.sin(e) * dy", "de", "wrong operand"),
    ("composite", "2.0 * x * dsquare", "x * dsquare", "dx", "missing factor"),
    ("composite", "2.0 * x * dsquare", "4.0 * x * dsquare", "dx", "wrong scale"),
    ("composite", "-e * de", "e * de", "dsquare", "wrong sign"),
    ("fan_out", "dratio / product", "dratio * product", "dtotal", "wrong operand"),
    ("fan_out", "da = da + dtotal", "da = dtotal", "da", "= for +="),
    ("fan_out", "a / n", "a", "dratio", "forgotten mean"),
    ("fan_out", "da + dtotal + dproduct * b", "da + dproduct * b", "da", "lost branch"),
    ("broadcasting", "dgrid.sum(0, keepdim=True)", "dgrid", "drow", "missing broadcast sum"),
    ("broadcasting", "dgrid.sum(0, keepdim=True)", "dgrid.sum(0)", "drow", "missing keepdim"),
    ("broadcasting", "dgrid.sum(0, keepdim=True)", "dgrid.sum(1, keepdim=True)", "drow", "wrong axis"),
    ("linear", "dproduct @ w.T", "dproduct @ w", "dx", "transposed product"),
    ("linear", "x.T @ dproduct", "dproduct.T @ x", "dw", "transposed product"),
    ("linear", "dy.sum(0)", "dy.sum(0, keepdim=True)", "db", "keepdim too many"),
    ("linear", "dy.sum(0)", "dy.mean(0)", "db", "wrong scale"),
    ("linear", "weight / y.numel()", "weight", "dy", "forgotten mean"),
    ("residual", "dz @ w.T", "dz @ w", "dx", "transposed product"),
    ("residual", "dy + 0.3 * dskip", "0.3 * dskip", "dx", "lost branch"),
    ("maximum", "dx + dlargest * (x == largest)", "dx", "dx", "detached maximum"),
    ("weight_decay", "2.0 * error / n", "2.0 * error / (n - 1)", "derror", "n - 1 for n"),
    ("weight_decay", "    dw += 0.05 * 2.0 * w * dpenalty\n", "", "dw", "lost branch"),
    ("variance", "dunbiased / (n - 1)", "dunbiased / n", "dtotal", "n for n - 1"),
    ("variance", "dtotal = dbiased / n", "dtotal = dbiased / (n - 1)", "dtotal", "n - 1 for n"),
    ("cross_entropy", "-1.0 / n", "1.0 / n", "dlogprobs", "wrong sign"),
    ("cross_entropy", "dcounts += dcounts_sum", "dcounts = dcounts_sum", "dcounts", "= for +="),
    ("cross_entropy", "    dcounts += dcounts_sum\n", "", "dcounts", "lost branch"),
    ("cross_entropy", "counts_sum**-2", "counts_sum**-1", "dcounts_sum", "missing factor"),
    ("cross_entropy", "counts_sum**-2", "counts_sum**2", "dcounts_sum", "wrong sign"),
    ("maximum", "/ largest**2", "* largest**2", "dlargest", "wrong operand"),
    ("cross_entropy", "dcounts * counts", "dcounts * probs", "dnorm_logits", "wrong operand"),
    ("cross_entropy_fused", "dlogits / n", "dlogits", "dlogits", "forgotten mean"),
    ("cross_entropy_fused", "    dlogits[range(n), targets] -= 1.0\n", "", "dlogits", "lost branch"),
    ("cross_entropy_fused", "-= 1.0", "-= 2.0", "dlogits", "wrong scale"),
    ("cross_entropy_fused", "F.softmax(logits, 1)", "F.softmax(logits, 0)", "dlogits", "wrong axis"),
    ("batch_norm_fused", "n / (n - 1) * bnraw", "bnraw", "dhprebn", "n for n - 1"),
    ("batch_norm_fused", "- dhpreact.sum(0)", "+ dhpreact.sum(0)", "dhprebn", "wrong sign"),
    ("batch_norm_fused", " - dhpreact.sum(0)", "", "dhprebn", "lost branch"),
    ("batch_norm_fused", "(bnraw * dhpreact).sum(0, keepdim=True)", "(bnraw * dhpreact)", "dbngain",
     "missing broadcast sum"),
    ("attention", "(dprobs * probs).sum(1, keepdim=True)", "(dprobs * probs).sum(1)", "dmasked", "missing keepdim"),
    ("attention", "(dprobs * probs).sum(1, keepdim=True)", "dprobs * probs", "dmasked", "missing broadcast sum"),
    ("attention", "dscores @ k * scale", "dscores @ k", "dq", "missing factor"),
    ("attention", "dscores.T @ q", "dscores @ q", "dk", "transposed product"),
    ("rnn", "dwh += h0.T @ dz1", "dwh = h0.T @ dz1", "dwh", "= for +="),
    ("gru", "dh1 * (h0 - n)", "dh1 * (n - h0)", "dz", "wrong sign"),
    ("gru", "dh1 * (h0 - n)", "dh1 * h0", "dz", "lost branch"),
    ("lstm", "weight_c + dt * (1.0 - t**2)", "dt * (1.0 - t**2)", "dc1", "lost branch"),
    ("gelu", "3.0 * x**2 * dcube", "3.0 * x * dcube", "dx", "missing factor"),
    ("convolution", "dy.sum((0, 1))", "dy.sum((1, 2))", "db", "wrong axis"),
    ("tied_embedding", "dC.index_add_(0, tokens, de)", "dC[tokens] += de", "dC", "= for +="),
    ("tied_embedding", "    dC.index_add_(0, tokens, de)\n", "", "dC", "lost branch"),
    ("mlp", "dC[tokens[k, j]] += demb", "dC[tokens[k, j]] = demb", "dC", "= for +="),
    ("mlp", "torch.ones_like(bndiff2) / (n - 1) * dbnvar", "torch.ones_like(bndiff2) / n * dbnvar", "dbndiff2",
     "n for n - 1"),
    ("mlp", "-dbndiff.sum(0, keepdim=True)", "-dbndiff.mean(0, keepdim=True)", "dbnmeani", "wrong scale"),
    ("mlp", "-0.5 * (bnvar + 1e-5) ** -1.5", "-0.5 * (bnvar + 1e-5) ** -0.5", "dbnvar", "missing factor"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new", "node", "cause"), MISTAKES)
def test_a_mistake_is_found_where_it_is_and_named(name, old, new, node, cause):
    found = judge(exercise(name), changed(name, old, new))
    assert (found.status, found.first_wrong, found.own, found.cause) == ("wrong", node, (node,), cause), found
    assert found.message.startswith(node) and found.message.endswith(".") and "\n" not in found.message
    right = ast.unparse(ast.parse(exercise(name).formula(node)).body[-1]).split(" = ")[-1]
    assert right.isidentifier() or right not in found.message, "that would give the formula away"
    later = exercise(name).nodes[exercise(name).nodes.index(node) + 1 :]
    assert set(found.inherited) <= set(later)


def test_passed_on_before_it_is_complete():
    early = changed(
        "cross_entropy",
        "    dcounts += dcounts_sum\n    dnorm_logits = dcounts * counts\n",
        "    dnorm_logits = dcounts * counts\n    dcounts += dcounts_sum\n",
    )
    found = judge(exercise("cross_entropy"), early)
    assert (found.first_wrong, found.cause) == ("dnorm_logits", "wrong order") and "dcounts" in found.message
    assert found.inherited == ("dlogit_maxes", "dlogits")
    unknown_yet = changed(
        "composite",
        "    de = torch.cos(e) * dy\n    dsquare = -e * de\n",
        "    dsquare = -e * de\n    de = torch.cos(e) * dy\n",
    )
    found = judge(exercise("composite"), unknown_yet)
    assert (found.status, found.first_wrong, found.cause) == ("wrong", "dsquare", "wrong order")


def test_two_names_for_one_tensor():
    found = judge(exercise("mlp"), changed("mlp", "dbndiff.clone()", "dbndiff"))
    assert (found.status, found.first_wrong, found.cause) == ("wrong", "dbndiff", "changed in place")
    assert ".clone()" in found.message


def test_own_and_inherited_mistakes_are_told_apart():
    twice = changed("cross_entropy", "dlogprobs / probs", "dlogprobs * probs").replace(
        "dcounts * counts\n", "-dcounts * counts\n"
    )
    found = judge(exercise("cross_entropy"), twice)
    assert found.own == ("dprobs", "dnorm_logits") and found.first_wrong == "dprobs"
    assert found.inherited == ("dcounts_sum_inv", "dcounts_sum", "dcounts", "dlogits")


def test_nodes_of_one_loop_inherit_from_one_another():
    text = exercise("rnn").blank
    for node in exercise("rnn").nodes:
        text = text.replace(f"    {node} = None\n", "")
    loop = """
    dh2 = weight
    dwx, dwh, db = torch.zeros_like(wx), torch.zeros_like(wh), torch.zeros_like(b)
    dh, steps = dh2, [(x2, h1, h2), (x1, h0, h1)]
    for step, (x, before, h) in enumerate(steps):
        dz = SIGN (1.0 - h**2) * dh
        dwx += x.T @ dz
        dwh += before.T @ dz
        db += dz.sum(0)
        dx = dz @ wx.T
        dh = dz @ wh.T
        if step == 0:
            dz2, dx2 = dz, dx
            dh = dh + 2.0 * h1
            dh1 = dh
        else:
            dz1, dx1, dh0 = dz, dx, dh
    return locals()
"""
    start = text.replace("    return locals()\n", loop)
    assert judge(exercise("rnn"), start.replace("SIGN", "")).status == "right"
    found = judge(exercise("rnn"), start.replace("SIGN", "-"))
    assert (found.status, found.first_wrong) == ("wrong", "dz2") and "dwx" not in found.own


RIGHT = [
    ("cross_entropy", "dprobs = dlogprobs / probs", "dprobs = (1.0 / probs) * dlogprobs"),
    ("cross_entropy", "dcounts += dcounts_sum", "dcounts = dcounts + dcounts_sum.expand(n, counts.shape[1])"),
    ("cross_entropy", "-(counts_sum**-2) * dcounts_sum_inv", "-dcounts_sum_inv * counts_sum_inv * counts_sum_inv"),
    ("cross_entropy", "(dprobs * counts).sum(1, keepdim=True)",
     "torch.einsum('nv,nv->n', dprobs, counts).unsqueeze(1)"),
    ("cross_entropy_fused", "    dlogits = F.softmax(logits, 1)\n    dlogits[range(n), targets] -= 1.0\n",
     "    p = logits.exp() / logits.exp().sum(1, keepdim=True)\n"
     "    dlogits = p - F.one_hot(targets, logits.shape[1])\n"),
    ("composite", "2.0 * x * dsquare", "torch.tensor(2.0, dtype=torch.float32) * x * dsquare"),
    ("gelu", "3.0 * x**2 * dcube", "(3.0 * x**2 * dcube).float()"),
    ("layer_norm", "2.0 * centred * dvariance / d", "torch.tensor(2.0 / d).float() * centred * dvariance"),
    ("layer_norm", "dy * gain", "torch.stack([gain[j] * dy[:, j] for j in range(d)], 1)"),
    ("linear", "x.T @ dproduct", "sum(torch.outer(x[i], dproduct[i]) for i in range(x.shape[0]))"),
    ("linear", "dproduct = dy\n", "dproduct, helper = dy.clone(), 3\n"),
    ("tied_embedding", "dC.index_add_(0, tokens, de)", "dC = dC + F.one_hot(tokens, C.shape[0]).to(de).T @ de"),
    ("neuron", "db = dz", "db = float(dz)"),
    ("neuron", "dx = dz * w\n", "def times(a):\n        return a * w\n    dx = times(dz)\n"),
    ("attention", "probs * (dprobs - (dprobs * probs).sum(1, keepdim=True))",
     "torch.stack([(torch.diag(p) - torch.outer(p, p)) @ d for p, d in zip(probs, dprobs)])"),
    ("batch_norm_fused", "- n / (n - 1) * bnraw * (dhpreact * bnraw).sum(0)",
     "- (hprebn - bnmean) * bnvar_inv**2 * n / (n - 1) * (dhpreact * (hprebn - bnmean)).sum(0, keepdim=True)"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new"), RIGHT)
def test_right_work_is_right_however_it_is_written(name, old, new):
    text = changed(name, old, new)
    if "F." in new and "import functional" not in text:
        text = text.replace("import torch\n", "import torch\nfrom torch.nn import functional as F\n", 1)
    assert judge(exercise(name), text).status == "right"


def test_what_is_done_so_far_is_judged():
    asked = exercise("cross_entropy")
    part = asked.blank.replace("dprobs = None", "dprobs = dlogprobs / probs")
    found = judge(asked, part)
    assert found.status == "not done" and found.message.startswith("dprobs is right. Still to do: dlogprobs, ")
    assert found.remaining == tuple(node for node in asked.nodes if node != "dprobs")
    found = judge(asked, part.replace("/ probs", "* probs"))
    assert (found.status, found.first_wrong, found.cause) == ("wrong", "dprobs", "wrong operand")
    assert "Still to do: dlogprobs" in found.message and found.inherited == ()
    found = judge(asked, asked.blank.replace("    dlogits = None\n", ""))
    assert found.status == "not done" and found.remaining == asked.nodes


def test_what_is_still_none_excuses_no_other_error():
    blank = EXERCISES["neuron"].blank
    eats = blank.replace("    return locals()", "    raise MemoryError\n    return locals()")
    assert judge(EXERCISES["neuron"], eats).status == "broken"
    waits = blank.replace("    return locals()", "    scaled = dz * 2\n    return locals()")
    assert judge(EXERCISES["neuron"], waits).status == "not done"


def test_messages_speak_of_shapes_and_numbers():
    found = judge(exercise("broadcasting"), changed("broadcasting", "dgrid.sum(0, keepdim=True)", "dgrid"))
    assert "sum(0, keepdim=True)" in found.message and "(4, 6); that of row is (1, 6)" in found.message
    found = judge(exercise("cross_entropy"), changed("cross_entropy", "-1.0 / n", "-1.0"))
    assert "it is -1 and should be -0.2; it is 5 times that" in found.message
    found = judge(exercise("linear"), changed("linear", "dproduct @ w.T", "dproduct @ w"))
    assert found.line == exercise("linear").solution.splitlines().index("    dx = dproduct @ w.T") + 1
    assert f"Line {found.line} raises RuntimeError" in found.message


def solved(name: str, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """The solution's derivatives under the names of the values, as a notebook would have them."""
    asked = exercise(name)
    names: dict[str, object] = {}
    exec(compile(asked.solution, "file", "exec"), names)
    inputs = {k: v.to(dtype) if v.is_floating_point() else v for k, v in asked.inputs.items()}
    found = names["exercise"](**inputs)  # type: ignore[operator]
    return {node[1:]: found[node] for node in asked.nodes}


@pytest.mark.parametrize("name", EXERCISES)
def test_in_a_notebook(name):
    values = solved(name)
    assert moreish.grade(name, values).status == "right"
    assert moreish.grade(name, {f"d{key}": value.double().numpy() for key, value in values.items()}).status == "right"
    assert moreish.grade(name, {}).status == "not done"
    (first, value), *rest = values.items()
    found = moreish.grade(name, {first: -value, **dict(rest)})
    assert (found.status, found.first_wrong, found.own) == ("wrong", f"d{first}", (f"d{first}",)), found
    assert found.cause == "wrong sign" and f"d{first}" in str(found)


def test_in_a_notebook_inherited_is_told_from_own():
    values = solved("cross_entropy", torch.float64)
    given = exercise("cross_entropy").forward_values(exercise("cross_entropy").drawn(0))
    values["probs"] = -values["probs"]
    values["counts_sum_inv"] = (values["probs"] * given["counts"]).sum(1, keepdim=True)
    values["counts_sum"] = values["counts_sum"] * 3
    found = moreish.grade("cross_entropy", values)
    assert found.own[:2] == ("dprobs", "dcounts_sum") and found.inherited[0] == "dcounts_sum_inv"
    assert found.cause == "wrong sign"
    values = solved("maximum", torch.float64)
    values["x"] = exercise("maximum").drawn(0)["weight"] / exercise("maximum").forward_values(
        exercise("maximum").drawn(0))["largest"]  # fmt: skip
    assert moreish.grade("maximum", values).cause == "detached maximum"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"logit": 1.0}, "Did you mean 'logits'"),
        ({"logits": "one"}, "of type str"),
        ({"logits": [1.0]}, "of type list"),
        ({"logits": np.array(["a"])}, "of type ndarray"),
        ({"logits": 1.0, "dlogits": 1.0}, "given twice"),
        ([1.0], "of type list"),
    ],
)
def test_values_that_cannot_be_graded(values, said, types_unchecked):
    with pytest.raises(UsageError, match=said):
        moreish.grade("cross_entropy", values)


def test_odd_values_are_wrong_not_a_crash():
    for value in (float("nan"), torch.tensor([]), torch.zeros(3), True):
        found = moreish.grade("cross_entropy_fused", {"logits": value})
        assert (found.status, found.first_wrong) == ("wrong", "dlogits")
    nan = changed("cross_entropy_fused", "dlogits / n", "dlogits / 0.0")
    assert judge(exercise("cross_entropy_fused"), nan).status == "wrong"


def test_a_grade_goes_through_json_unchanged():
    found = judge(exercise("linear"), changed("linear", "dy.sum(0)", "dy"))
    assert Grade.from_dict({**found.to_dict(), "own": list(found.own), "a key of later": 1}) == found
