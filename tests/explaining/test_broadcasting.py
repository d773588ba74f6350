"""Broadcasting and products, against torch itself: shapes, errors, and every gradient by the code that is stated."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import moreish
from moreish.errors import UsageError
from moreish.explaining.broadcasting.explanation import Broadcasting, explain_broadcasting

PAIRS = 5000
EXPRESSIONS = 300
OPERATIONS = {
    "+": torch.add, "-": torch.sub, "*": torch.mul, "/": torch.div, "**": torch.pow, "%": torch.remainder,
    "<": torch.lt, "==": torch.eq, "@": torch.matmul, "maximum": torch.maximum, "minimum": torch.minimum,
    "mse_loss": functional.mse_loss, "l1_loss": functional.l1_loss,
}  # fmt: skip
Shape = tuple[int, ...]


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of losses that broadcast and of .T
        yield


def drawn_shape(chooser: random.Random, axes: int) -> Shape:
    return tuple(chooser.choice([0, 1, 1, 2, 2, 3, 3, 4]) for _ in range(axes))


def kin(chooser: random.Random, shape: Shape) -> Shape:
    """A shape that meets another well, most of the time: some lengths are 1, a few differ, some axes are missing."""
    found = [chooser.choice([0, 2, 3]) if chooser.random() < 0.07 else size for size in shape]
    found = [1 if chooser.random() < 0.3 else size for size in found]
    return tuple(found[chooser.randint(0, len(found)) :] if chooser.random() < 0.5 else found)


def pairs() -> Iterator[tuple[str, Shape, Shape]]:
    """Operations and shapes of up to five axes, lengths 0 and 1 and vectors among them; half are products."""
    chooser = random.Random(1)
    for at in range(PAIRS):
        op = "@" if at % 2 else chooser.choice(list(OPERATIONS))
        a = drawn_shape(chooser, chooser.randint(0, 5))
        b = kin(chooser, a) if chooser.random() < 0.7 else drawn_shape(chooser, chooser.randint(0, 5))
        if op == "@" and a and chooser.random() < 0.75:
            b = (*kin(chooser, a[:-2]), a[-1], chooser.choice([0, 1, 2, 3])) if chooser.random() < 0.8 else (a[-1],)
        elif chooser.random() < 0.5:
            a, b = b, a
        yield op, a, b


def explained(op: str, a: Shape, b: Shape) -> Broadcasting:
    return explain_broadcasting(f"{op}({a}, {b})" if op[0].isalpha() else f"{a} {op} {b}")


def positive(shape: Shape) -> Tensor:
    """Entries that every operation here can be differentiated at."""
    return (torch.rand(shape, dtype=torch.float64) + 0.5).requires_grad_()


def went_back(found: Broadcasting, tensors: dict[str, Tensor], g: Tensor) -> dict[str, Tensor]:
    """What running the stated code, forward and backward, leaves behind."""
    names = {name: each.detach() for name, each in tensors.items()} | {"torch": torch, "g": g}
    for line in (*found.forward, *found.backward):
        exec(line, names)  # our own code, which is what is tested
    return names


def test_shapes_and_errors_are_torchs_on_5000_pairs(types_unchecked):
    seen = {"products": 0, "elementwise": 0, "errors": 0, "vectors": 0}
    for op, a, b in pairs():
        found = explained(op, a, b)
        try:
            want = tuple(OPERATIONS[op](torch.empty(a), torch.empty(b)).shape)
        except RuntimeError:
            want = None
        assert found.shape == want, (op, a, b)
        assert (found.steps[-1].fault is not None) == (want is None)
        for _, back, _ in found.backward_sums:
            assert back.shape == (a if back.operand == "a" else b)
        seen["products" if op == "@" else "elementwise"] += want is not None
        seen["errors"] += want is None
        seen["vectors"] += op == "@" and want is not None and 1 in (len(a), len(b))
    assert seen["products"] > 1000 and seen["elementwise"] > 1000 and seen["errors"] > 1000 and seen["vectors"] > 200


def test_the_stated_sums_give_autograds_gradients(types_unchecked):
    torch.manual_seed(0)
    compared = 0
    for op, a, b in list(pairs())[::9]:
        found = explained(op, a, b)
        tensors = {"a": positive(a), "b": positive(b)}
        if found.shape is None:
            continue
        out = OPERATIONS[op](tensors["a"], tensors["b"])
        if not out.requires_grad:
            assert found.backward == () and found.backward_sums == ()
            continue
        g = torch.rand(out.shape, dtype=torch.float64)
        mine = went_back(found, tensors, g)
        for name, want in zip("ab", torch.autograd.grad(out, list(tensors.values()), g)):
            assert mine[f"d{name}"].shape == want.shape, (op, a, b)
            torch.testing.assert_close(mine[f"d{name}"], want, rtol=1e-10, atol=1e-10)
            compared += 1
    assert compared > 500


def test_what_is_said_to_work_works(types_unchecked):
    tried = 0
    for op, a, b in list(pairs())[::8]:
        found = explained(op, a, b)
        for mend in found.steps[-1].mends:
            made = eval(mend.code, {"a": torch.rand(a), "b": torch.rand(b), "torch": torch})
            assert tuple(made.shape) == mend.shape, (op, a, b, mend)
            tried += 1
    assert tried > 100


def drawn_expression(chooser: random.Random, depth: int) -> str:
    """Operators, functions, reductions and views within one another, over P, Q and R."""
    if depth == 0 or chooser.random() < 0.15:
        return chooser.choice("PQR")
    inside, axis = drawn_expression(chooser, depth - 1), chooser.choice([-2, -1, 0, 1, 2])
    kind = chooser.random()
    if kind < 0.4:
        return f"({inside} {chooser.choice('+-*/@')} {drawn_expression(chooser, depth - 1)})"
    if kind < 0.55:
        return chooser.choice(["(2 - {0})", "({0} / 3)", "(-{0})", "({0}**2)"]).format(inside)
    if kind < 0.65:
        names = ["exp", "tanh", "sigmoid", "relu", "abs", "sin", "cos", "square", "sqrt", "log"]
        return f"torch.{chooser.choice(names)}(torch.abs({inside}))"
    if kind < 0.72:
        return chooser.choice(["torch.softmax({0}, {1})", "{0}.log_softmax({1})", "{0}.logsumexp({1})"]).format(
            inside, axis
        )
    if kind < 0.86:
        name = chooser.choice(["sum", "mean", "amax", "amin", "std", "var", "prod", "max", "min"])
        values = ".values" if name in ("max", "min") else ""
        return f"{inside}.{name}({axis}{chooser.choice(['', ', keepdim=True'])}){values}"
    views = [
        ".mT", ".t()", f".unsqueeze({axis})", "[:, None]", "[..., None]", ".squeeze()", f".transpose({axis}, 0)",
        ".reshape(-1)", ".flatten()", ".permute(1, 0)", ".expand(3, -1, -1)", ".sum()", ".mean((0, -1), keepdim=True)",
    ]  # fmt: skip
    return inside + chooser.choice(views)


def test_whole_expressions_have_torchs_shapes_errors_and_gradients(types_unchecked):
    chooser, ran, failed = random.Random(0), 0, 0
    torch.manual_seed(0)
    for _ in range(EXPRESSIONS):
        text = drawn_expression(chooser, chooser.randint(1, 4))
        shapes = [tuple(chooser.choice([1, 3, 3]) for _ in range(chooser.choice([0, 1, 2, 2, 3]))) for _ in "PQR"]
        tensors = dict(zip("PQR", map(positive, shapes)))
        found = explain_broadcasting(text, **tensors)
        try:
            out = eval(text, {"torch": torch, **tensors})
        except (RuntimeError, IndexError):
            assert found.shape is None, (text, shapes)
            failed += 1
            continue
        assert found.shape == tuple(out.shape), (text, shapes)
        told = f"{text}, {shapes}: {{}}".format
        used = [name for name in "PQR" if name in text]
        g = torch.rand(out.shape, dtype=torch.float64)
        mine = went_back(found, tensors, g) if found.steps else {f"d{text}": g}
        for name, want in zip(used, torch.autograd.grad(out, [tensors[name] for name in used], g)):
            assert mine[f"d{name}"].shape == want.shape
            well = torch.isfinite(want) & torch.isfinite(mine[f"d{name}"])
            torch.testing.assert_close(mine[f"d{name}"][well], want[well], rtol=1e-7, atol=1e-8, msg=told)
        ran += 1
    assert ran > 120 and failed > 40


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0), (0, 3), (2, 0, 3)], ids=str)
@pytest.mark.parametrize("name", ["sum", "mean", "prod", "amax", "amin", "max", "min", "var", "std", "argmax"])
def test_reductions_of_nothing_are_refused_where_torch_refuses(types_unchecked, shape, name):
    for arguments in ("", "0", "-1", "1, keepdim=True"):
        values = ".values" if name in ("max", "min") and arguments else ""
        text = f"T.{name}({arguments}){values}"
        try:
            want = tuple(eval(text, {"T": torch.rand(shape)}).shape)
        except (RuntimeError, IndexError):
            want = None
        assert explain_broadcasting(text, T=shape).shape == want, text


def test_tensors_arrays_shapes_and_numbers_may_be_given():
    counts = torch.ones(27, 27)
    by_tensor = explain_broadcasting("N / N.sum(1)", N=counts)
    assert (
        by_tensor
        == explain_broadcasting("N / N.sum(1) with N=(27,27)")
        == moreish.explain_broadcasting("N=(27,27); N / N.sum(1)")
    )
    assert explain_broadcasting("N / N.sum(1)", N=counts.numpy()).shape == (27, 27)
    assert explain_broadcasting(counts, "/", counts.sum(1, keepdim=True)).expression == "a / b"
    assert explain_broadcasting(counts, "@", (27, 5), "+ b", b=(5,)).shape == (27, 5)
    scaled = explain_broadcasting("k * x", k=-2.5, x=torch.arange(3))
    assert scaled.shape == (3,) and scaled.backward == ()  # whole numbers get no gradient
    wide = explain_broadcasting("x + g", x=(3, 1), g=(4,))
    assert wide.backward == ("dx = g_1.sum(1, keepdim=True)", "dg = g_1.sum(0)")


def test_fan_out_adds_up_and_in_place_is_held_to_its_shape():
    twice = explain_broadcasting("N * N.sum(1, keepdim=True) with N=(4,3)")
    assert twice.backward[-1] == "dN = dN + dt1.expand_as(N)"
    assert explain_broadcasting("P=(3,3); P /= P.sum(1, keepdim=True)").shape == (3, 3)
    refused = explain_broadcasting("P=(3,1); P += (3,3)")
    assert refused.shape is None and refused.steps[-1].mends[0].shape == (3, 3)
    with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):
        torch.ones(3, 1).add_(torch.ones(3, 3))


def test_what_is_too_large_is_an_error_as_in_torch():
    found = explain_broadcasting("(1000000000, 1, 1) * (1000000000, 1) * (1000000000,)")
    assert found.shape is None and "more entries" in found.steps[-1].says[0]
    wide = torch.empty(10**9, device="meta")
    with pytest.raises(RuntimeError):
        torch.mul(wide[:, None, None] * wide[:, None], wide)


BAD = [
    ("", "nothing to explain"),
    ("(27,27) /", "cannot read"),
    ("(27,27) (27,1)", "no operator between"),
    ("(27,27), (27,1)", "Put an operator between"),
    ("(27)/(27,)", r"Write \(27,\)"),
    ("27 / 27", "has no shape in it"),
    ("(1.5, 2) + (3,)", "'1.5' is no size"),
    ("(-1, 3) + (3,)", "a size is '-1'"),
    (f"({'9' * 5000},) + (1,)", "characters, more than 2,000"),
    (f"({'9' * 1500},) + (1,)", "more than 1,000,000,000"),
    (f"{'(' * 100}1{')' * 100}", "parentheses stand 100 deep"),
    (f"{'-' * 1500}(3,)", "operations stand more than"),
    ("+".join(["(3,)"] * 400), "operations stand more than"),
    ("+".join(["(3,)"] * 100), "more than 60 operations"),
    (f"({'1,' * 17}) + (1,)", "17 axes"),
    ("__import__('os').getcwd()", "not known here"),
    ("lambda: 1", "no operation on shapes"),
    ("import os", "no expression over shapes"),
    ("N / N.sum(1)", "'N' has no shape"),
    ("N with N=", "cannot read"),
    ("a + 'b' with a=(3,)", "neither a shape nor a number"),
    ("(3,) + 2**99999", "no number to go on with"),
    ("(3, 4)[0]", "picks entries"),
    ("(3, 4).max(1)", "write .values after it"),
    ("(3, 4).sum(x)", "no axis or size"),
    ("(3, 4).smu(1)", "Did you mean 'sum'"),
    ("(3, 4) < (4,) < (4,)", "compares more than two"),
    ("(3,) @ 2", "a tensor on both sides"),
    ("a\0b", "cannot read"),
]


@pytest.mark.parametrize("text, words", BAD, ids=lambda each: each[:24].replace("\0", "0"))
def test_what_is_no_expression_is_refused_in_a_line(text, words):
    with pytest.raises(UsageError, match=words) as caught:
        explain_broadcasting(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_no_text_brings_it_down(types_unchecked):
    chooser = random.Random(0)
    pieces = [
        *"()[]{},.:;=+-*/@<>!&|^~%'\"\\ \n019Ng",
        "(3,4)",
        ".sum(1)",
        "with ",
        "None",
        "lambda ",
        "[:, None]",
        "N=(3,3);",
    ]
    understood = 0
    for _ in range(1500):
        text = "".join(chooser.choice(pieces) for _ in range(chooser.randint(1, 12)))
        try:
            understood += explain_broadcasting(text).text(60) != ""
        except UsageError as error:
            assert "\n" not in str(error)
    assert understood


@pytest.mark.parametrize("given", [None, "text", (1.0,), (True,), {"a": 1}, float("nan")], ids=str)
def test_a_name_must_stand_for_a_tensor_a_shape_or_a_number(given):
    with pytest.raises(UsageError, match=r"neither a tensor nor a shape|larger than floats"):
        explain_broadcasting("x + (3,)", x=given)
