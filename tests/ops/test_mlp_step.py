"""The whole step by hand, plain and compiled, against autograd through the lecture's small steps."""

from __future__ import annotations

import shutil

import pytest
import torch
from torch import Tensor, nn

from moreish import MODELS
from moreish.errors import ConfigError, UsageError
from moreish.explaining.grains.lecture_net import PARAMETERS, STEPS, forward, fresh
from moreish.ops.compiled_step import checked_library
from moreish.ops.loss import cross_entropy
from moreish.ops.mlp_step import MLPStep
from moreish.randomness import stream

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="there is no C compiler here"
)
ENGINES = ["plain", pytest.param("compiled", marks=needs_compiler)]

# symbols, context, embedding, hidden, windows: every remainder of a tile, one of everything, more than a vector holds
SIZES = [
    (27, 3, 10, 200, 32), (27, 3, 10, 64, 32), (27, 8, 10, 200, 32), (5, 1, 1, 1, 5), (2, 1, 3, 15, 4),
    (40, 4, 9, 33, 65), (9, 2, 5, 17, 3), (300, 3, 4, 31, 40), (27, 5, 2, 129, 19), (3, 9, 1, 48, 7),
]  # fmt: skip


def drawn(symbols: int, context: int, count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = stream(seed, "ids")
    windows = torch.randint(symbols, (count, context), generator=generator)
    return windows, torch.randint(symbols, (count,), generator=generator)


def double(p: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.double() for name, tensor in p.items()}


def autograd(p: dict[str, Tensor], windows: Tensor, targets: Tensor) -> tuple[float, dict[str, Tensor]]:
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in p.items()}
    loss = forward(leaves, windows, targets)["loss"]
    return loss.item(), dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values()))))


def apart(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    return max(float((one[name] - other[name]).abs().max()) for name in PARAMETERS)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_gradients_are_autograds(sizes, engine):
    symbols, context, embedding, hidden, count = sizes
    p = fresh(symbols, context, embedding, hidden, seed=1)
    windows, targets = drawn(symbols, context, count)
    wanted_loss, wanted = autograd(double(p), windows, targets)
    largest = max(float(g.abs().max()) for g in wanted.values())
    loss, found = MLPStep(**p, engine=engine).gradients(windows, targets)
    assert loss == pytest.approx(wanted_loss, rel=2e-6)
    for name in PARAMETERS:
        assert found[name].shape == p[name].shape
        assert (found[name] - wanted[name]).abs().max() <= 5e-6 * largest, name
    if engine == "plain":
        loss, found = MLPStep(**double(p)).gradients(windows, targets)
        assert loss == pytest.approx(wanted_loss, rel=1e-12)
        assert apart(found, wanted) <= 1e-12 * largest


@pytest.mark.parametrize("engine", ENGINES)
def test_two_hundred_steps_beside_autograd(engine):
    p = fresh(27, 3, 10, 200, seed=0)
    theirs, theirs64 = dict(p), double(p)
    step, step64 = MLPStep(**p, engine=engine), MLPStep(**double(p))
    for i in range(200):
        windows, targets = drawn(27, 3, 32, seed=i)
        loss = step.step(windows, targets, 0.05)
        assert loss == pytest.approx(step64.step(windows, targets, 0.05), abs=2e-5)
        for mine in (theirs, theirs64):
            gradients = autograd(mine, windows, targets)[1]
            mine |= {name: mine[name] - 0.05 * gradients[name] for name in PARAMETERS}
        if i == 49:
            assert apart(step.parameters, theirs) <= 2.5e-6
    assert apart(step.parameters, theirs) <= 1e-4
    assert apart(step64.parameters, theirs64) <= 1e-11
    assert apart(step.parameters, p) > 0.01, "it has learnt something"


@pytest.mark.parametrize("engine", ENGINES)
def test_saturated_units_and_sure_predictions_stay_finite(engine):
    p = {name: tensor * (60 if name in ("W2", "bngain") else 1) for name, tensor in fresh(27, 3, 10, 40, 0).items()}
    windows, targets = drawn(27, 3, 32)
    wanted_loss, wanted = autograd(double(p), windows, targets)
    loss, found = MLPStep(**p, engine=engine).gradients(windows, targets)
    assert wanted_loss > 20 and loss == pytest.approx(wanted_loss, rel=1e-5)
    for name in ("W2", "b2"):
        assert (found[name] - wanted[name]).abs().max() <= 1e-5 * wanted[name].abs().max()


@pytest.mark.parametrize("engine", ENGINES)
def test_running_statistics_are_torchs(engine):
    p = fresh(9, 2, 4, 21, seed=2)
    step, norm = MLPStep(**p, engine=engine, momentum=0.1), nn.BatchNorm1d(21, momentum=0.1)
    for i in range(5):
        windows, targets = drawn(9, 2, 12, seed=i)
        now = step.parameters
        norm(now["C"][windows].flatten(1) @ now["W1"] + now["b1"])
        step.step(windows, targets, 0.1)
    for mine, theirs in zip(step.running, (norm.running_mean, norm.running_var)):
        torch.testing.assert_close(mine[0], theirs, rtol=1e-5, atol=1e-6)
    windows, _ = drawn(9, 2, 50)
    hprebn = step.parameters["C"][windows].flatten(1) @ step.parameters["W1"] + step.parameters["b1"]
    step.calibrate(windows)
    torch.testing.assert_close(step.running[0], hprebn.mean(0, keepdim=True))
    torch.testing.assert_close(step.running[1], hprebn.var(0, keepdim=True))


@pytest.mark.parametrize("engine", ENGINES)
def test_looking_changes_nothing_and_arguments_are_copied(engine):
    p = fresh(9, 2, 4, 21, seed=3)
    kept = {name: tensor.clone() for name, tensor in p.items()}
    step = MLPStep(**p, engine=engine)
    windows, targets = drawn(9, 2, 6)
    first, gradients = step.gradients(windows, targets)
    assert step.gradients(windows, targets)[0] == first and apart(step.parameters, kept) == 0
    assert not step.running[0].any() and bool((step.running[1] == 1).all())
    step.step(windows, targets, 0.5)
    assert all(torch.equal(p[name], kept[name]) for name in PARAMETERS)
    moved = {name: kept[name] - 0.5 * gradients[name] for name in PARAMETERS}
    assert apart(step.parameters, moved) < 1e-6


@pytest.mark.parametrize("engine", ENGINES)
def test_to_the_catalogs_model_and_back(engine):
    model = MODELS["mlp-bn"](symbols=27, seed=5, hidden=37)
    # The catalog divides the batch's variance by n.
    step = MLPStep.from_mlp_bn(model.state_dict(), engine=engine, correction=0, momentum=model.norms[0].momentum)
    windows, targets = drawn(27, 3, 20)
    loss = cross_entropy(model.train().score(windows), targets)
    gradients = dict(zip(dict(model.named_parameters()), torch.autograd.grad(loss, list(model.parameters()))))
    assert step.step(windows, targets, 0.3) == pytest.approx(loss.item(), rel=1e-5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter -= 0.3 * gradients[name]
    state = step.to_mlp_bn()
    assert state.keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(state[name], tensor, rtol=1e-5, atol=2e-6)
    other = MLPStep(**fresh(27, 3, 10, 37, seed=6), engine=engine)  # with a b1, which the catalog's has not
    for i in range(3):
        other.step(*drawn(27, 3, 20, seed=i), 0.1)
    model.load_state_dict(other.to_mlp_bn())
    torch.testing.assert_close(model.eval().score(windows), other.logits(windows), rtol=1e-5, atol=1e-5)


BAD = [
    (lambda w, t: (w[:1], t[:1]), "two windows at least, not 1"),
    (lambda w, t: (w[:, :1], t), r"takes windows \[N 3\] and targets \[N\], not \[6, 1\]"),
    (lambda w, t: (w, t[:5]), r"not \[6, 3\] and \[5\]"),
    (lambda w, t: (w[0], t), r"not \[3\]"),
    (lambda w, t: (w.double(), t), "ids are whole numbers, not torch.float64"),
    (lambda w, t: (w.index_fill(1, torch.tensor([1]), 300), t), "windows hold an id that is none of 0 to (8|299)"),
    (lambda w, t: (w.index_fill(0, torch.tensor([5]), -1), t), "windows hold an id"),
    (lambda w, t: (w, t.index_fill(0, torch.tensor([3]), 300)), "targets hold an id"),
    (lambda w, t: (w, t.index_fill(0, torch.tensor([3]), -1)), "targets hold an id"),
    (lambda w, t: (w, t.index_fill(0, torch.tensor([0]), -(2**62))), "targets hold an id"),
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("symbols", [9, 300])
@pytest.mark.parametrize(("spoil", "said"), BAD, ids=[said for _, said in BAD])
def test_bad_batches_are_refused_and_change_nothing(spoil, said, symbols, engine, types_unchecked):
    step = MLPStep(**fresh(symbols, 3, 4, 21, seed=3), engine=engine)
    windows, targets = spoil(*drawn(symbols, 3, 6))
    before = {name: tensor.clone() for name, tensor in step.parameters.items()}
    running = [tensor.clone() for tensor in step.running]
    for call in (lambda: step.step(windows, targets, 0.1), lambda: step.gradients(windows, targets)):
        with pytest.raises(UsageError, match=said):
            call()
    assert apart(step.parameters, before) == 0
    assert all(map(torch.equal, step.running, running))


@pytest.mark.parametrize("engine", ENGINES)
def test_other_whole_numbers_and_layouts_are_taken(engine):
    step = MLPStep(**fresh(9, 3, 4, 21, seed=3), engine=engine)
    windows, targets = drawn(9, 3, 6)
    wanted = step.gradients(windows, targets)[0]
    assert step.gradients(windows.t().contiguous().t(), targets.repeat_interleave(2)[::2])[0] == wanted
    assert step.gradients(windows.int(), targets.to(torch.int16))[0] == wanted


def test_bad_parameters_are_refused(types_unchecked):
    p = fresh(9, 3, 4, 21, seed=3)
    for change, said in (
        ({"W1": p["W1"][:-1]}, "W1 takes 11 numbers, which are not whole symbols of 4"),
        ({"b2": p["b1"]}, r"b2 is \[21\], not \[9\]"),
        ({"bngain": p["bngain"][0]}, r"bngain is \[21\], not \[1 21\]"),
        ({"W2": p["W2"].double()}, "W2 is torch.float64. Use float32 for all"),
        ({"C": p["C"].int()}, "C is torch.int32"),
        ({"correction": 2}, "correction=2 is neither 0 nor 1"),
        ({"momentum": 1.5}, "momentum=1.5 is not from 0 to 1"),
        ({"engine": "compield"}, "Did you mean 'compiled'"),
    ):
        with pytest.raises(ConfigError, match=said):
            MLPStep(**{**p, **change})
    two = MODELS["mlp-bn"](symbols=9, seed=0, layers=2)
    with pytest.raises(ConfigError, match="one hidden layer"):
        MLPStep.from_mlp_bn(two.state_dict())
    with pytest.raises(ConfigError, match="float32 only"):
        MLPStep(**double(p), engine="compiled")


@needs_compiler
def test_where_there_is_a_compiler_the_step_is_compiled():
    assert not isinstance(checked_library(), str)
    step = MLPStep(**fresh(9, 3, 4, 21, seed=3))
    assert (step.engine, step.why_plain) == ("compiled", "")
    assert MLPStep(**fresh(9, 3, 4, 21, seed=3), engine="plain").engine == "plain"
    assert MLPStep(**double(fresh(9, 3, 4, 21, seed=3))).why_plain == "the compiled step is for float32 only."


def test_the_small_steps_have_the_lectures_names():
    p = fresh(9, 3, 4, 21, seed=3)
    assert len(STEPS) == 19 and forward(p, *drawn(9, 3, 6)).keys() == {*STEPS, "loss"}
