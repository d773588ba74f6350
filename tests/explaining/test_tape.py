"""The tape: values and gradients are torch's own, names are the learner's, and each rule is told from the numbers."""

# ruff: noqa: F841 - a tape reads variables that no line of code does

from __future__ import annotations

import code
import json
import random

import pytest
import torch
from rich.cells import cell_len
from tape_cases import CASES, leaf, lecture, micrograd, normal, sentences
from torch import nn

import moreish
from moreish.errors import UsageError
from moreish.explaining.taping import recorder
from moreish.explaining.taping.reasons import why_none
from moreish.explaining.taping.rules import TITLES
from moreish.explaining.taping.tape import Tape, tape


def test_microgradss_example_gives_the_numbers_of_its_readme():
    t = micrograd()
    assert f"{t['g'].value:.4f}" == "24.7041"
    assert f"{t['a'].gradient:.4f}" == "138.8338" and f"{t['b'].gradient:.4f}" == "645.5773"
    assert [each.name for each in t.ends] == ["g_2"] and t["g"] is t["g_2"] and t["g_1"].value == 24.5
    assert len(t["b"].received) == 5


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_every_gradient_is_autograds(make):
    t = make()
    (end,) = t.ends
    checked = 0
    for each in t.records:
        if each.tensor._version == each.version and t[each.name] is each and each.edge is not None:
            (right,) = torch.autograd.grad(end.tensor, each.tensor, retain_graph=True, allow_unused=True)
            assert (each.gradient is None) == (right is None), each.name
            if right is not None and len(t._recorder.by_edge[each.edge.node, each.edge.output_nr]) == 1:
                torch.testing.assert_close(each.gradient, right, rtol=0, atol=0)
                checked += 1
    assert checked >= 4


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_what_came_back_adds_up_and_came_in_time(make):
    t = make()
    for each in t.records:
        if each.gradient is not None and each not in t.ends:
            total = sum(sent.gradient for sent in each.received if sent.gradient is not None)
            torch.testing.assert_close(total, each.gradient, rtol=1e-12, atol=1e-12)
            assert each.awaited == len(each.received) > 0
    order = {name: at for at, (name, _, _) in enumerate(t.visits())}
    for each in t.records:
        for parent in each.parents:
            if each.gradient is not None and parent.gradient is not None and each.edge.node is not parent.edge.node:
                assert order[each.name] < order[parent.name], f"{parent.name} was passed before {each.name}"
    assert all(rule.holds for rule in t.rules())
    assert {rule.rule for rule in t.rules()} <= set(TITLES)


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_recording_changes_nothing(make):
    torch.manual_seed(5)
    t = make()
    after = torch.random.get_rng_state()
    t.rules(), t.text(), t.svg(), t.to_dict()
    assert torch.equal(torch.random.get_rng_state(), after)
    assert all(each.tensor.grad is None for each in t.records if each.tensor.is_leaf)


def test_each_branch_of_a_fan_out_is_what_it_would_send_alone():
    """A copy of the tensor for each use: torch then gives each branch a gradient of its own."""
    with tape() as t:
        x = leaf(1.5, -2.0, 0.3)
        y = x.tanh()
        loss = (x * y).sum() + x.exp().prod() + (x @ x)
    one, two, three, four, five = (x.detach().clone().requires_grad_() for _ in range(5))
    ((one * two.tanh()).sum() + three.exp().prod() + four @ five).backward()
    by = {}
    for sent in t["x"].received:
        by.setdefault(sent.call.outputs[0].name, []).append(sent.gradient)
    assert set(by) == {"mul_1", "y", "exp_1", "matmul_1"} and len(by["matmul_1"]) == 2
    torch.testing.assert_close(by["mul_1"][0], one.grad)
    torch.testing.assert_close(by["y"][0], two.grad)
    torch.testing.assert_close(by["exp_1"][0], three.grad)
    torch.testing.assert_close(sum(by["matmul_1"]), four.grad + five.grad)


def test_expressions_made_at_random():
    chooser = random.Random(3)
    pointwise = (
        torch.tanh,
        torch.exp,
        torch.sigmoid,
        lambda x: x * 0.5,
        lambda x: 1 - x,
        torch.neg,
        lambda x: x.clone(),
    )
    joining = (torch.add, torch.mul, torch.sub, torch.maximum)
    for _ in range(25):
        made = [normal(3, 1), normal(4), normal(3, 4), leaf(0.7)]
        with tape() as t:
            for _ in range(chooser.randint(3, 14)):
                if chooser.random() < 0.5:
                    made.append(chooser.choice(pointwise)(chooser.choice(made)))
                else:
                    made.append(chooser.choice(joining)(chooser.choice(made), chooser.choice(made)))
            loss = sum(each.mean() for each in made[-3:])
        for each in t.records:
            right = torch.autograd.grad(loss, each.tensor, retain_graph=True, allow_unused=True)[0]
            assert (right is None) == (each.gradient is None) == (why_none(each, t.ends) is not None)
            assert right is None or torch.equal(right, each.gradient)
        broken = [rule.sentence for rule in t.rules() if not rule.holds]
        assert not broken


# Names.


class Layer:
    def __init__(self):
        self.weight = leaf(0.5)

    def __call__(self, x):
        self.out = x * self.weight
        return self.out


def passed_on(pre, gain):
    inner = pre * gain
    return inner.tanh()


def names_of(t: Tape) -> list[str]:
    return [each.name for each in t.records]


def test_names_are_the_learners_own():
    layers, w, params = [Layer(), Layer()], leaf(2.0), {"scale": leaf(3.0)}
    model = nn.Linear(1, 1).double()
    with tape() as t:
        x = w + 1
        for layer in layers:
            x = layer(x)
        y = passed_on(x, gain=params["scale"])
        ys = [y * each for each in (1, 2)]
        loss = (model(ys[0][None]).exp() + ys[1]).sum()
    made = "w x_1 layers[0].weight x_2 layers[1].weight x_3 params['scale'] inner y ys[0] ys[1] index_1 model.weight "
    assert names_of(t) == (made + "model.bias linear_1 exp_1 add_1 loss").split()


def test_names_hold_where_code_is_typed_at_a_prompt():
    console = code.InteractiveInterpreter()
    for line in ("import torch, moreish", "a = torch.tensor(2.0, requires_grad=True)", "_ = a * 7", "__ = _"):
        assert console.runsource(line) is False
    block = "with moreish.tape() as t:\n    b = a * 3\n    _1 = b + 1\n    loss = _1 * b\n"
    assert console.runsource(block) is False
    assert names_of(console.locals["t"]) == ["a", "b", "add_1", "loss"]


def test_a_name_for_two_and_a_generated_name_that_is_taken():
    with tape() as t:
        exp_1 = leaf(0.1)
        h = exp_1.exp().exp()
        h = h * 2
        h_1 = h + 1
        loss = h_1 * h
    assert names_of(t) == ["exp_1", "exp_2", "h_2", "h_3", "h_1", "loss"]
    assert t["h"] is t["h_3"]
    with pytest.raises(UsageError, match=r"nothing is called 'loose'\. Did you mean 'loss'\?"):
        t["loose"]


@pytest.mark.parametrize(
    ("line", "op", "made_by"),
    [
        ("a + b", "+", "a + b"),
        ("10.0 / a", "10.0 /", "10.0 / a"),
        ("2 ** a", "2 **", "2 ** a"),
        ("-a", "-", "-a"),
        ("a @ b", "@", "a @ b"),
        ("a[1:, None]", "[1:, None]", "a[1:, None]"),
        ("a[i]", "[...]", "a[i]"),
        ("a.sum(0, keepdim=True)", "sum(0, keepdim=True)", "sum(a, 0, keepdim=True)"),
        ("torch.stack([a, b])", "stack", "stack([a, b])"),
        ("a.T", "T", "a.T"),
        ("F.softmax(a, dim=0)", "softmax(dim=0)", "softmax(a, dim=0)"),
        ("a.max(0).values", "max(0).values", "max(a, 0).values"),
    ],
)
def test_how_a_call_is_told(line, op, made_by):
    variables = {"a": normal(2, 2), "b": normal(2, 2, seed=1), "i": torch.tensor([0, 1]), "torch": torch}
    variables["F"] = nn.functional
    t = Tape(variables=variables)
    with t:
        exec(f"y = {line}", variables)
    assert (t["y"].op, t["y"].expression) == (op, made_by)


# Where backward starts.


@pytest.mark.parametrize(
    ("lines", "end"),
    [
        ("loss = (w * 2).sum(); best = loss.log()", "loss"),
        ("L = (w * 2).sum(); best = L.exp()", "L"),
        ("y = (w * 2).sum(); z = y.exp()", "z"),
        ("y = (w * 2).sum(); n = w.argmax()", "y"),
        ("loss = w * 2; y = loss[:1]", "y"),
    ],
)
def test_the_end_is_the_loss_or_the_last_scalar(lines, end):
    variables = {"torch": torch, "w": normal(3)}
    t = Tape(variables=variables)
    with t:
        exec(lines, variables)
    assert [each.name for each in t.ends] == [end] and t.problem == ""


def test_the_learners_own_backward_is_where_recording_ends():
    ways = (lambda y, w: y.backward(), lambda y, w: torch.autograd.backward(y), lambda y, w: torch.autograd.grad(y, w))
    for go in ways:
        with tape() as t:
            w = leaf(2.0)
            y = w**3
            go(y, w)
            with torch.no_grad():
                w -= 0.1
            z = y * 2
        assert names_of(t) == ["w", "y"] and t.ends == [t["y"]] and t["w"].gradient == 12 and t["w"].value == 2
    with tape() as t:
        w = normal(3)
        y = w * w
        y.backward(torch.tensor([1.0, 0.0, 2.0]))
    torch.testing.assert_close(w.grad, t["w"].gradient)


def test_another_end_may_be_taken():
    with tape() as t:
        w = normal(3)
        y = w * w
        loss = y.sum()
        later = loss * 3
    assert t["w"].gradient is not None and t["later"].gradient is None
    t.backward(later)
    torch.testing.assert_close(t["w"].gradient, 6 * w.detach())
    t.backward(y, torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64))
    assert t.ends == [t["y"]] and t["w"].gradient[1:].tolist() == [0, 0] and t["loss"].gradient is None
    for given, said in (
        ((y,), r"y has the shape \(3,\), and backward starts from a single number"),
        ((y, torch.ones(2)), r"gradient has the shape \(2,\) and y has \(3,\)"),
        ((torch.ones(()),), "only start from a tensor that was computed within the block"),
    ):
        with pytest.raises(UsageError, match=said):
            t.backward(*given)
    loss.backward()
    with pytest.raises(UsageError, match="retain_graph=True"):
        t.backward(later)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("x = torch.ones(3); loss = x.sum()", "Nothing here asks for a gradient."),
        ("y = w * 2", "No single number that wants a gradient was computed."),
        ("k = 3", "Nothing was computed with torch in the block."),
        ("y = w.exp(); y += 1; loss = y.sum()", "changed in place after it was used, by y_1 += 1."),
    ],
)
def test_without_gradients_there_is_a_sentence_why(lines, said):
    variables = {"torch": torch, "w": normal(3)}
    t = Tape(variables=variables)
    with t:
        exec(lines, variables)
    assert said in t.problem and not t.ends and said in t.text(200)
    assert t.to_dict()["problem"] == t.problem
    if t.records:
        assert t.svg() and not sentences(t, "shape")


def test_a_block_that_stops_keeps_what_it_computed():
    with pytest.raises(ZeroDivisionError), tape() as t:
        x = leaf(1.0)
        y = x * 2
        1 / 0  # noqa: B018
    assert names_of(t) == ["x", "y"] and "stopped with ZeroDivisionError" in t.text()


def test_misuse_is_told(monkeypatch):
    with tape() as t:
        leaf(1.0) * 2
    with pytest.raises(UsageError, match="Open another"), t:
        pass
    with pytest.raises(UsageError, match="nothing was recorded"):
        tape().backward(leaf(1.0))
    monkeypatch.setattr(recorder, "MOST_CALLS", 20)
    with pytest.raises(UsageError, match="Record one step of a training"), tape():
        x = leaf(1.0)
        while True:
            x = x * 2


def test_require_grad_lets_plain_numbers_ask():
    with tape(require_grad=True) as t:
        a, n = torch.tensor(2.0), torch.tensor(3)
        loss = a * n
    assert loss.requires_grad and t["a"].gradient == 3 and t["n"].gradient is None


def test_tapes_within_tapes():
    with tape() as outer:
        a = leaf(1.0)
        with tape() as inner:
            b = a * 2
            loss = b.exp()
        L = loss * a
    assert names_of(inner) == ["a", "b", "loss"] and names_of(outer) == ["a", "b", "loss", "L"]


def test_memory_shared_unseen():
    """A detached twin and a view are told anew when their memory was written to through another."""
    with tape() as t:
        w = leaf(1.0, 2.0)
        x = w * 2
        with torch.no_grad():
            twin = x.detach()
            twin += 1
        loss = (x * 1).sum()
    assert t["x_2"].value.tolist() == [3, 5] and t["x_1"].value.tolist() == [2, 4]
    assert "changed through twin_2" in t["x_2"].expression and t["w"].gradient.tolist() == [2, 2]
    x = leaf(1.0, 2.0) * 1
    row = x[0]
    with tape() as t:
        row += 5
        loss = (x * x).sum()
    assert t["x_1"].value.tolist() == [1, 2] and t["x_2"].value.tolist() == [6, 2] and t["row_2"].value == 6
    assert t["x_2"].parents == [t["x_1"]] and t["x_1"].gradient.tolist() == [12, 4] == t["x_2"].gradient.tolist()
    with tape() as t:
        w = leaf(2.0)
        y = w * 3
        with torch.no_grad():
            w -= 1
        loss = y + w * 5
    assert t["w_1"].gradient == 3 and t["w_2"].gradient == 5


def test_odd_tensors_are_taken_as_they_are():
    with tape() as t:
        w = normal(3)
        e = torch.empty(0, dtype=torch.float64, requires_grad=True)
        m = torch.empty(3, device="meta")
        v = torch.vmap(lambda each: each * 2)(w)
        c = torch.fft.fft(v)
        s = w.detach().to_sparse()
        bad = w * float("nan")
        loss = c.abs().sum() + e.sum() + bad.sum()
    assert t["v"].parents == [t["w"]] and t["e"].gradient.shape == (0,)
    assert json.loads(json.dumps(t.to_dict(), allow_nan=False))["nodes"][-1]["value"] is None
    assert "not finite" in t.text() or "nan" in t.text()


# Shown.


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140, 200])
@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_text_fits_any_terminal_and_leaves_nothing_out(make, width):
    t = make()
    text = t.text(width)
    assert max(map(cell_len, text.splitlines())) <= width
    assert all(each.name[:20] in text for each in t.records)
    words = " ".join(text.split())
    assert all(TITLES[rule.rule] in words and rule.sentence in words for rule in t.rules())
    assert "Backward started from" in text


def test_data_is_plain_and_whole():
    t = lecture()
    told = json.loads(json.dumps(t.to_dict(), allow_nan=False))
    assert [node["name"] for node in told["nodes"]] == names_of(t) and told["ends"] == ["loss"]
    by_name = {node["name"]: node for node in told["nodes"]}
    assert by_name["h"]["gradient"] == t["h"].gradient.tolist() and by_name["h"]["shape"] == [6, 5]
    assert by_name["Xb"]["reason"] == "whole numbers" and by_name["Xb"]["dtype"] == "int64"
    graph = t.graph()
    assert [node.name for node in graph.nodes] == names_of(t) and graph.title == "loss"
    assert [node.parents for node in graph.nodes] == [tuple(node["parents"]) for node in told["nodes"]]
    assert [node.name for node in graph.nodes if node.is_end] == ["loss"]
    assert repr(t) == f"<tape of {len(t.records)} tensors>" and repr(tape()) == "<tape>"
    assert t._repr_svg_() == t.svg() and tape()._repr_svg_() is None


def test_the_public_name():
    assert moreish.tape is tape and isinstance(moreish.tape(), moreish.Tape)
