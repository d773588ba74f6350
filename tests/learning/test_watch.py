"""Vitals against the same network written out in plain torch, and a training that is the same watched and unwatched."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moreish.errors import MoreishError
from moreish.learning import watching
from moreish.learning.fit import Watched, events, fit, make_recipe
from moreish.learning.steps import begin
from moreish.learning.training import Training
from moreish.learning.vitals import Noise, SiteVitals, Spread, noise_of, noise_scale, parameter_vitals, spread
from moreish.learning.watch import Watch
from moreish.learning.watching import Look, watched
from moreish.ops.op import by_autograd
from moreish.text.corpus import Corpus
from quick import NETWORKS, SMALL

chooser = random.Random(3)
LINES = ["".join(chooser.choices("abcde", [8, 5, 3, 2, 1], k=chooser.randint(2, 7))) for _ in range(500)]


@pytest.fixture(scope="module")
def corpus():
    return Corpus.of(LINES)


def training(corpus: Corpus, model: str, **asked: Any) -> Training:
    recipe = make_recipe(corpus, model, **{"steps": 20, "batch": 16, "lr": 0.01, **SMALL.get(model, {}), **asked})
    return begin(recipe, corpus.train, corpus.alphabet)


# ---- the same networks, written out


def lines_of(batch) -> list[tuple[Tensor, Tensor]]:
    return list(zip(batch.tokens.split(batch.lengths.tolist()), batch.targets.split(batch.lengths.tolist())))


def plain_mlp_bn(w: dict[str, Tensor], batch) -> tuple[Tensor, dict[str, list[Tensor]]]:
    context = w["hidden.0.weight"].shape[1] // w["embedding.weight"].shape[1]
    windows = []
    for tokens, _ in lines_of(batch):
        padded = torch.cat([torch.zeros(context - 1, dtype=torch.long), tokens])
        windows += [padded[i : i + context] for i in range(len(tokens))]
    x = w["embedding.weight"][torch.stack(windows)].flatten(1)
    a = x @ w["hidden.0.weight"].T
    mean, variance = a.mean(0), a.var(0, correction=0)
    b = (a - mean) / torch.sqrt(variance + 1e-5) * w["norms.0.gain"] + w["norms.0.bias"]
    t = torch.tanh(b)
    logits = t @ w["output.weight"].T + w["output.bias"]
    loss = F.cross_entropy(logits, batch.targets)
    return loss, {"hidden.0": [a], "norms.0": [b], "tanh": [t], "output": [logits]}


def plain_gru(w: dict[str, Tensor], batch) -> tuple[Tensor, dict[str, list[Tensor]]]:
    width = w["layers.0.hidden"].shape[1]
    gates, candidates, logits = [], [], []
    for tokens, _ in lines_of(batch):
        h = torch.zeros(1, width)
        for token in tokens:
            x = w["embedding.weight"][token][None] @ w["layers.0.input"].T + w["layers.0.bias"]
            p = h @ w["layers.0.hidden"].T
            both = torch.sigmoid(x[:, : 2 * width] + p[:, : 2 * width])
            r, z = both.chunk(2, 1)
            n = torch.tanh(x[:, 2 * width :] + r * (p[:, 2 * width :] + w["layers.0.candidate"]))
            h = (1 - z) * n + z * h
            gates.append(both)
            candidates.append(n)
            logits.append(h @ w["output.weight"].T + w["output.bias"])
    loss = F.cross_entropy(torch.cat(logits), batch.targets)
    return loss, {"layers.0.sigmoid": gates, "layers.0.tanh": candidates, "output": logits}


def plain_wavenet(w: dict[str, Tensor], batch) -> tuple[Tensor, dict[str, list[Tensor]]]:
    """Prefix by prefix, each once: what stands before a line are boundaries, which is what its first place sees too."""
    lines = [tokens.tolist() for tokens, _ in lines_of(batch)]
    prefixes = sorted({tuple(line[: k + 1]) for line in lines for k in range(len(line))})
    row = {prefix: i for i, prefix in enumerate(prefixes)}
    x = w["embedding.weight"][[prefix[-1] for prefix in prefixes]]
    layers = 1 + max(int(name.split(".")[1]) for name in w if name.startswith("layers."))
    sites: dict[str, list[Tensor]] = {"embedding": [x]}
    total = torch.zeros(())
    for i in range(layers):
        earlier = x[[row[prefix[: max(1, len(prefix) - 2**i)]] for prefix in prefixes]]
        a = torch.cat([earlier, x], 1) @ w[f"layers.{i}.gated.weight"].T + w[f"layers.{i}.gated.bias"]
        t, s = torch.tanh(a.chunk(2, 1)[0]), torch.sigmoid(a.chunk(2, 1)[1])
        sites |= {f"layers.{i}.tanh": [t], f"layers.{i}.sigmoid": [s]}
        total = total + (t * s) @ w[f"layers.{i}.skip.weight"].T + w[f"layers.{i}.skip.bias"]
        if i < layers - 1:
            x = x + (t * s) @ w[f"layers.{i}.residual.weight"].T + w[f"layers.{i}.residual.bias"]
    first = torch.relu(total)
    mixed = first @ w["mix.weight"].T + w["mix.bias"]
    second = torch.relu(mixed)
    logits = second @ w["output.weight"].T + w["output.bias"]
    sites |= {"relu.0": [first], "mix": [mixed], "relu.1": [second], "output": [logits]}
    at = [row[tuple(line[: k + 1])] for line in lines for k in range(len(line))]
    return F.cross_entropy(logits[at], batch.targets), sites


PLAIN = {"mlp-bn": plain_mlp_bn, "gru": plain_gru, "wavenet": plain_wavenet}


@pytest.mark.parametrize("name", PLAIN)
def test_vitals_are_those_of_the_network_written_out(name, corpus):
    going = training(corpus, name, dropout=0.0, lr=0.1, steps=40)
    for _ in range(8):
        going.advance()
    with torch.no_grad():  # enough of it that something is saturated
        for p in going.model.parameters():
            p.mul_(3.0)
    look = Look(going)
    batch = going.batch(going.step + 1)
    w = {n: p.detach().clone().requires_grad_() for n, p in going.model.named_parameters()}
    loss, sites = PLAIN[name](w, batch)
    for values in sites.values():
        for value in values:
            value.retain_grad()
    loss.backward()
    seen = {site.site: site for site in look.sites}
    assert set(sites) <= set(seen)
    for site, values in sites.items():
        agree(seen[site], torch.cat([value.detach() for value in values]), torch.cat([value.grad for value in values]))
    for n, p in w.items():
        other = look.other[n]
        assert (p.grad is None) == (other is None)
        assert p.grad is None or torch.allclose(p.grad, other, rtol=1e-3, atol=1e-5 * float(p.grad.abs().max())), n


def agree(site: SiteVitals, given: Tensor, back: Tensor) -> None:
    x = given.double()
    assert site.units == x.shape[1]
    assert site.activation.mean == pytest.approx(float(x.mean()), abs=1e-5 * float(x.abs().max()))
    assert site.activation.deviation == pytest.approx(float(x.std(correction=0)), rel=1e-4)
    assert site.gradient.mean == pytest.approx(float(back.mean()), abs=1e-4 * float(back.abs().max()))
    assert site.gradient.deviation == pytest.approx(float(back.double().std(correction=0)), rel=1e-3)
    ends = {"tanh": x.abs() > 0.97, "sigmoid": (2 * x - 1).abs() > 0.97, "relu": x <= 0}.get(site.kind)
    if ends is None:
        assert site.saturated is None and site.dead is None
        return
    share = float(ends.double().mean())
    assert share > 0 and site.dead == pytest.approx(float(ends.all(0).double().mean()))
    assert site.saturated is None if site.kind == "relu" else site.saturated == pytest.approx(share, abs=2e-3)
    histogram = site.activation.histogram
    if site.kind != "relu" and x.numel() <= 4096:
        bins = torch.histc(x, len(histogram.counts), histogram.low, histogram.high)
        assert sum(abs(a - int(b)) for a, b in zip(histogram.counts, bins)) <= 4  # at a bin's edge rounding decides


def test_norms_are_the_batch_against_what_was_kept(corpus):
    going = training(corpus, "mlp-bn", steps=40)
    for _ in range(8):
        going.advance()
    norm = going.model.norms[0]
    kept = norm.running_mean.clone(), norm.running_variance.clone()
    look = Look(going)
    _, sites = plain_mlp_bn(dict(going.model.named_parameters()), going.batch(going.step + 1))
    a = sites["hidden.0"][0].detach()
    (seen,) = look.norms
    assert (seen.site, seen.rows, seen.learning) == ("norms.0", len(a), True)
    assert seen.mean_apart == pytest.approx(float(((a.mean(0) - kept[0]).abs() / kept[1].sqrt()).mean()), rel=1e-4)
    assert seen.deviation_ratio == pytest.approx(float((a.std(0, correction=0) / kept[1].sqrt()).mean()), rel=1e-4)
    assert torch.equal(norm.running_mean, kept[0]) and torch.equal(norm.running_variance, kept[1])


# ---- the training stays as it is

HOW: dict[str, dict[str, Any]] = {
    "mlp": {"optimizer": "muon", "average": 0.9, "clip": 0.05},
    "mlp-bn": {"optimizer": "sgd", "momentum": 0.9, "batch_of": "windows", "average": 0.0, "dropout": 0.2},
    "transformer": {"dropout": 0.2, "precision": "bfloat16"},
    "rnn": {"by_hand": True},
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_watching_changes_no_bit(name, corpus):
    how = {"steps": 4, "label_smoothing": 0.1, "batch": 400 if name == "bow" else 16, **HOW.get(name, {})}
    alone, seen = training(corpus, name, **how), training(corpus, name, **how)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    losses = [alone.advance() for _ in range(4)]
    told = [watched(seen) for _ in range(4)]
    assert [loss for loss, _ in told] == losses == [vitals.loss for _, vitals in told]
    assert [vitals.step for _, vitals in told] == [1, 2, 3, 4]
    mine, other = seen.tensors(), alone.tensors()
    assert mine.keys() == other.keys() and all(torch.equal(t, other[n]) for n, t in mine.items())
    assert torch.equal(torch.get_rng_state(), state)
    assert seen.model.training == alone.model.training
    for (n, p), (_, q) in zip(seen.model.named_parameters(), alone.model.named_parameters()):
        assert (p.grad is None) == (q.grad is None) and (p.grad is None or torch.equal(p.grad, q.grad)), n


def test_a_look_leaves_gradients_modes_and_hooks_as_they_were(corpus):
    going = training(corpus, "mlp-bn", dropout=0.3)
    going.advance()
    going.model.norms[0].training = False
    gradients = [p.grad for p in going.model.parameters()]
    Look(going)
    assert all(p.grad is g for p, g in zip(going.model.parameters(), gradients))
    assert not going.model.norms[0].training and going.model.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in going.model.modules())


@pytest.mark.parametrize("every, read", [(0, []), (3, [1, 3, 6, 8]), (100, [1, 8])])
def test_the_first_each_so_many_and_the_last_step_are_read_and_fit_reads_none(corpus, every, read, monkeypatch):
    recipe = make_recipe(corpus, "mlp", **SMALL["mlp"], steps=8, batch=16, watch_every=every)
    told = [event for event in events(corpus, recipe) if isinstance(event, Watched)]
    assert [event.step for event in told] == [event.vitals.step for event in told] == read
    monkeypatch.setattr(watching, "Look", None)
    assert fit(corpus, "mlp", **SMALL["mlp"], steps=8, batch=16, watch_every=every).recipe.watch_every == 0


@pytest.mark.parametrize("steps, every", [(40, 100), (2_000, 100), (60_000, 600)])
def test_a_long_training_has_about_a_hundred_readings(corpus, steps, every):
    assert make_recipe(corpus, "mlp", steps=steps).watch_every == every
    assert make_recipe(corpus, "mlp", steps=steps, watch_every=7).watch_every == 7


# ---- parameters


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "muon"])
def test_the_update_is_the_real_change_and_the_gradient_is_the_steps_before_clipping(corpus, optimizer):
    how = {"optimizer": optimizer, "dropout": 0.0, "lr": 0.02, "weight_decay": 0.1, "layers": 2}
    going, free = training(corpus, "mlp", clip=0.01, **how), training(corpus, "mlp", clip=0.0, **how)
    before = {n: p.detach().clone() for n, p in going.model.named_parameters()}
    _, vitals = watched(going)
    free.gradient(free.batch(0), 0)
    slopes = {n: p.grad for n, p in free.model.named_parameters()}
    total = math.sqrt(sum(float(g.square().sum()) for g in slopes.values()))
    assert vitals.clipped == pytest.approx(0.01 / total, rel=1e-4) and vitals.clipped < 1
    for one in vitals.parameters:
        old, slope = before[one.name].double(), slopes[one.name].double()
        moved = going.model.get_parameter(one.name).detach().double() - old
        if float(old.std(correction=0)) == 0:  # a bias, at first
            assert one.update_to_data is None and one.gradient_to_data is None
            continue
        ratio = float(slope.std(correction=0) / old.std(correction=0))
        assert one.gradient_to_data == pytest.approx(ratio, rel=1e-3)
        assert one.gradient.deviation == pytest.approx(float(slope.std(correction=0)), rel=1e-3)
        update = float(moved.std(correction=0) / old.std(correction=0))
        assert one.update_to_data == pytest.approx(math.log10(update), abs=1e-3)
        assert one.shape == list(old.shape) and (one.gradient.histogram is not None) == (old.ndim > 1)


def test_what_did_not_move_has_no_update():
    p = torch.arange(4.0)
    assert parameter_vitals("p", p, None, p).update_to_data is None
    assert parameter_vitals("p", p, torch.zeros(4), p + 1).update_to_data is None  # a shift: it spreads no more
    assert parameter_vitals("p", p, None, None).gradient_to_data is None
    assert parameter_vitals("p", torch.ones(1), torch.ones(1), torch.zeros(1)).gradient_to_data is None


# ---- the first step


@pytest.mark.parametrize("name", ["mlp", "mlp-bn"])
def test_the_loss_begins_where_the_lectures_mended_network_does(name, names):
    corpus = Corpus.read(names)
    recipe = make_recipe(corpus, name, steps=1)
    loss, vitals = watched(begin(recipe, corpus.train, corpus.alphabet))
    assert 3.29 <= loss == vitals.loss <= 3.32 and vitals.unsure == pytest.approx(math.log(27))


# ---- noise


def test_noise_is_that_of_the_examples_gradients():
    going = training(Corpus.of(LINES[:60]), "mlp", batch_of="windows", batch=8, dropout=0.0, average=0.0, use="last")
    going.model.double()
    context, every = going.model.context, np.arange(going.batches.symbols)
    rows = torch.stack([_gradient(going, going.batches.windows_of(at, context)) for at in every[:, None]])
    true = rows.mean(0)
    variance = float((rows - true).square().sum(1).mean())
    found = []
    for i in range(150):
        pair = [_gradient(going, going.batch(2 * i + j)) for j in range(2)]
        found.append(noise_of([pair[0]], [pair[1]], 8))
    for name, wanted in (("squared_norm", float(true @ true)), ("variance", variance)):
        values = torch.tensor([getattr(one, name) for one in found], dtype=torch.float64)
        doubt = float(values.std() / math.sqrt(len(values)))
        assert abs(float(values.mean()) - wanted) < 4 * doubt and doubt < 0.3 * wanted, name
    scale = noise_scale(found)
    assert scale.readings == 150 and scale.batch == 8
    assert scale.examples == pytest.approx(variance / float(true @ true), rel=0.5)


def _gradient(going: Training, batch) -> Tensor:
    loss = going.loss(batch, 0)
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(going.model.parameters()))])


def test_a_reading_has_the_noise_of_two_batches_at_the_same_parameters(corpus):
    going = training(corpus, "mlp", dropout=0.0, clip=0.01)
    going.advance()
    one, other = (_gradient(going, going.batch(step)) for step in (1, 2))
    _, vitals = watched(going)
    wanted = noise_of([one], [other], 16)
    assert vitals.noise.squared_norm == pytest.approx(wanted.squared_norm, rel=1e-3)
    assert vitals.noise.variance == pytest.approx(wanted.variance, rel=1e-3)


@pytest.mark.parametrize("lines, known", [(16, False), (31, False), (32, True), (100, True)])
def test_the_two_batches_never_share_a_line(lines, known):
    corpus = Corpus.of([f"{a}{b}" for a in "abcdefghij" for b in "abcdefghij"][:lines], split="none")
    going = training(corpus, "mlp", steps=40)
    for step in range(12):
        other = watching._other_step(going)
        mine, theirs = (
            {tuple(t.tolist()) for t, _ in lines_of(going.batch(each))} for each in (step, other)
        )  # fmt: skip
        assert not known or mine.isdisjoint(theirs)
        _, vitals = watched(going)
        assert (vitals.noise is not None) == known


def test_the_noise_scale_is_not_known_where_the_signal_may_be_nothing():
    assert noise_scale([]) is None
    assert noise_scale([Noise(1.0, 50.0, 8)]).examples == 50.0
    assert noise_scale([Noise(-1.0, 50.0, 8)]).examples is None
    assert noise_scale([Noise(x, 50.0, 8) for x in (-1.0, 1.5, 0.2)]).examples is None
    known = noise_scale([Noise(x, 50.0, 8) for x in (1.0, 1.1, 0.9)])
    assert known.examples == pytest.approx(50.0) and known.signal == pytest.approx(1.0)


# ---- what is not finite


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_what_is_not_finite_is_counted_and_no_error(corpus, bad):
    going = training(corpus, "mlp", dropout=0.0)
    going.advance()
    with torch.no_grad():
        going.model.hidden[0].weight[0, 0] = bad
    look = Look(going)
    with pytest.raises(MoreishError, match=r"weight hidden\.0\.weight"):
        going.advance()
    vitals = look.vitals(math.nan)
    by_name = {p.name: p for p in vitals.parameters}
    assert by_name["hidden.0.weight"].data.not_finite == 1
    assert by_name["hidden.0.weight"].data.mean is not None
    assert any(site.activation.not_finite for site in vitals.sites)
    assert vitals.noise is None and all(p.update_to_data is None for p in vitals.parameters)


def test_spread_counts_what_is_not_finite_and_reaches_where_float32_does_not():
    assert spread(torch.tensor([])) == Spread(None, None, None, 0)
    assert spread(torch.tensor([math.nan, math.inf])) == Spread(None, None, None, 2)
    some = spread(torch.tensor([1.0, math.nan, 3.0, -math.inf]))
    assert (some.mean, some.deviation, some.not_finite) == (2.0, 1.0, 2)
    huge = spread(torch.tensor([3e38, -3e38, 3e38, -3e38]))
    assert huge.not_finite == 0 and huge.deviation == pytest.approx(3e38)
    same = spread(torch.full((5,), 2.0))
    assert (same.deviation, same.histogram) == (0.0, None)


@pytest.mark.parametrize("columns", [1, 16, 27, 64])
def test_a_histogram_of_many_has_every_column_alike(columns):
    x = torch.arange(columns, dtype=torch.float32).repeat(40_000 // columns, 1)
    found = spread(x, (-0.5, columns - 0.5)).histogram
    total = sum(found.counts)
    assert 2000 < total <= 4097
    if columns == 16:
        assert max(found.counts) - min(n for n in found.counts if n) <= 1


# ---- any network


def test_a_strangers_network_is_seen_through():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    x = torch.randn(9, 4)
    with Watch(net) as watch:
        net(x).square().mean().backward()
    seen = {reading.site: reading for reading in watch.readings()}
    assert [(s, r.kind) for s, r in seen.items()] == [
        ("0", "linear"), ("1", "batchnorm"), ("2.tanh", "tanh"), ("3", "linear"), ("4.relu", "relu"), ("5", "linear"),
    ]  # fmt: skip
    outputs, value = [], x
    net[1].running_mean.zero_(), net[1].running_var.fill_(1.0)
    for module in net:
        value = module(value)
        value.retain_grad()
        outputs.append(value)
    value.square().mean().backward()
    for reading, wanted in zip(seen.values(), outputs):
        assert torch.equal(reading.activation, wanted.detach()) and torch.allclose(reading.gradient, wanted.grad)
    (norm,) = watch.norms
    assert torch.allclose(norm.mean, outputs[0].detach().mean(0)) and norm.rows == 9 and norm.learning
    assert not any(m._forward_hooks for m in net.modules())


def test_what_was_changed_in_place_is_left_out_rather_than_told_wrong():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 2))
    with Watch(net) as watch:
        net(torch.randn(5, 3)).sum().backward()
    assert [reading.site for reading in watch.readings()] == ["1.relu", "2"]


def test_a_cell_that_is_applied_again_and_again_is_one_site():
    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.Linear(3, 3)

        def forward(self, x):
            for _ in range(4):
                x = self.cell(x).tanh()
            return x

    with Watch(Loop()) as watch:
        watch.model(torch.randn(5, 3)).sum().backward()
    assert {r.site: len(r.activation) for r in watch.readings()} == {
        "cell": 20, "tanh.0": 5, "tanh.1": 5, "tanh.2": 5, "tanh.3": 5,
    }  # fmt: skip
    watch.clear()
    assert list(watch.readings()) == []


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_seen_with_its_gradients(name, corpus):
    going = training(corpus, name)
    with by_autograd(), Watch(going.model) as watch:
        loss = going.loss(going.batch(0), 0)
    loss.backward()
    sites = list(watch.readings())
    assert sites or name == "one-layer"
    assert all(reading.gradient is not None and reading.gradient.shape == reading.activation.shape for reading in sites)
    assert len({reading.site for reading in sites}) == len(sites)
