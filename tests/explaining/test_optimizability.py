"""`explain optimizability`: gradients through time against torch's own networks, the bound of theory, sentences."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from hurried import hurry_optimizability
from moreish.errors import ListError, UsageError
from moreish.explaining.optimizability import chapter, descending
from moreish.explaining.optimizability.chapter import Optimizability, Told, explain_optimizability, measured
from moreish.explaining.optimizability.descending import recall, swept
from moreish.explaining.optimizability.networks import NETWORKS, Network
from moreish.explaining.optimizability.through_time import FARTHEST, LEAST, back, factor_of, gradients, long_lines
from moreish.explaining.optimizability.words import concluded, explained, of_recalls, of_sweeps
from moreish.learning.batches import Batches
from moreish.models.model import LanguageModel
from moreish.text.corpus import Corpus

BY_NAME = {network.name: network for network in NETWORKS}
SYMBOLS, ROWS, LONG = 9, 4, 7
ORDER = {"rnn": [0], "rnn-small": [0], "rnn-large": [0], "gru": [0, 1, 2], "lstm": [1, 2, 3, 0]}
"""Which of our gates is each of torch's, in its order."""
THEIRS = {"rnn": nn.RNN, "rnn-small": nn.RNN, "rnn-large": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


@pytest.fixture(scope="module")
def corpus():
    return Corpus.read("minerals")


@pytest.fixture(scope="module")
def found(corpus):
    with pytest.MonkeyPatch.context() as patch:
        hurry_optimizability(patch)
        return explain_optimizability(corpus)


def read() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(3)
    tokens, targets = (
        torch.randint(SYMBOLS, (ROWS, LONG), generator=draw),
        torch.randint(SYMBOLS, (ROWS,), generator=draw),
    )
    return tokens, targets


def torchs(name: str, model) -> nn.Module:
    """torch's own network with the same weights, in float64."""
    layer, hidden = model.layers[0], model.config.hidden
    theirs = THEIRS[name](model.config.embedding, hidden, batch_first=True).double()

    def turned(weight):
        parts = weight.detach().split(hidden)
        return torch.cat([parts[i] for i in ORDER[name]])

    state = {
        "weight_ih_l0": turned(layer.input),
        "weight_hh_l0": turned(layer.hidden),
        "bias_ih_l0": turned(layer.bias),
        "bias_hh_l0": torch.zeros(len(layer.bias)).double(),
    }
    if layer.candidate is not None:
        state["bias_hh_l0"][2 * hidden :] = layer.candidate.detach()
    theirs.load_state_dict(state)
    return theirs


@pytest.mark.parametrize("name", THEIRS)
def test_gradients_through_time_are_those_of_torchs_own_network(name):
    model = BY_NAME[name].make(SYMBOLS, 0).double()
    with torch.no_grad():  # nothing that might hide behind a zero
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.1)
    tokens, targets = read()
    at_inputs, at_states, _ = gradients(model, tokens, targets)
    x = model.embedding(tokens).detach().requires_grad_()
    network = torchs(name, model)
    state, states = None, []
    for symbol in x.unbind(1):  # one symbol a time, so that each state is there to be asked
        out, state = network(symbol[:, None], state)
        states.append(torch.cat([state[0], state[1]], -1)[0] if isinstance(state, tuple) else state[0])
        states[-1].retain_grad()
        wide = model.config.hidden
        split = states[-1][None]
        state = (split[..., :wide].contiguous(), split[..., wide:].contiguous()) if name == "lstm" else split
        out = states[-1][:, :wide]
    nn.functional.cross_entropy(model.output(out), targets, reduction="sum").backward()
    assert x.grad is not None and at_states is not None
    assert torch.allclose(at_inputs, x.grad.norm(dim=-1), rtol=1e-9, atol=1e-15)
    wanted = torch.stack([each.grad.norm(dim=-1) for each in states if each.grad is not None], 1)
    assert torch.allclose(at_states, wanted, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: n.name)
def test_they_are_those_of_finite_differences_and_of_the_model_itself(network):
    """One embedding moved where one symbol alone stands: the whole model's loss says what its gradient is."""
    model = network.make(SYMBOLS, 0).double()
    tokens = torch.tensor([[0, 1, 2, 3, 4, 5]])
    target = torch.tensor([6])
    at, _, _ = gradients(model, tokens, target)

    def loss() -> float:
        with torch.no_grad():
            logits, _ = model(tokens, model.begin(1))
            return float(nn.functional.cross_entropy(logits[:, -1], target))

    step = 1e-6
    for place in (1, 3, 5):  # not the boundary, which WaveNet reads before a line too
        row, moved = model.embedding.weight.data[tokens[0, place]], []
        for i in range(len(row)):
            row[i] += step
            above = loss()
            row[i] -= 2 * step
            moved.append((above - loss()) / (2 * step))
            row[i] += step
        assert float(at[0, place]) == pytest.approx(float(np.linalg.norm(moved)), rel=1e-4, abs=1e-10)


@pytest.mark.parametrize("name", ["rnn", "rnn-small", "rnn-large"])
def test_the_largest_singular_value_bounds_each_step(name, corpus):
    batches = Batches(corpus.train, corpus.alphabet, 32, 0)
    model = BY_NAME[name].make(len(corpus.alphabet), 0)
    told, plain = back(BY_NAME[name], model, batches)
    assert plain is not None and told.states is not None
    states = [each for each in told.states if each is not None]
    for earlier, later in pairwise(states):
        assert later <= earlier * plain.largest * (1 + 1e-9)
    weight = model.layers[0].hidden.detach().numpy()
    assert plain.largest == pytest.approx(np.linalg.norm(weight, 2), rel=1e-9)
    assert plain.radius == pytest.approx(np.abs(np.linalg.eigvals(weight)).max(), rel=1e-9)
    assert plain.usual == pytest.approx(np.linalg.norm(weight) / math.sqrt(len(weight)), rel=1e-9)
    assert plain.radius <= plain.largest * (1 + 1e-9) and 0 < plain.slope <= 1
    assert plain.expected == pytest.approx(plain.measured, rel=0.25), "fresh weights prefer no direction"


def test_small_weights_vanish_large_ones_explode_and_nothing_is_seen_beyond_the_lines(found):
    by = {each.network: each for each in found.fresh}
    assert by["rnn-small"].factor < by["rnn"].factor < 1 < by["rnn-large"].factor
    for each in (*found.fresh, *found.learnt):
        assert each.inputs[0] == 1 and len(each.inputs) == FARTHEST + 1
        assert [norm is None for norm in each.inputs] == [k > found.reach for k in range(FARTHEST + 1)]
        assert each.factor == pytest.approx(each.inputs[found.reach] ** (1 / found.reach))
        assert (each.states is None) == (each.network == "wavenet")


def test_lines_that_are_long_enough_are_counted():
    few = Corpus.of([f"{a}{b}{c}{d}" for a in "abcd" for b in "klmn" for c in "uvwx" for d in "pqr"])
    batches = Batches(few.train, few.alphabet, 4, 0)
    reach, groups = long_lines(batches)
    assert reach == 4 and sum(map(len, groups)) == min(200, len(few.train))
    longer = Corpus.of([*few.train, *(f"pqrs{a}{b}uvw" for a in "abcdefg" for b in "klmno")])
    batches = Batches(longer.train, longer.alphabet, 4, 0)
    reach, groups = long_lines(batches)
    many = int((batches.sizes >= 10).sum())
    assert (reach, sum(map(len, groups))) == ((9, many) if many >= LEAST else (4, min(200, len(longer.train))))


def test_a_factor_is_the_geometric_mean_of_its_steps():
    assert factor_of([1.0, 0.5, 0.1, 0.125]) == pytest.approx(0.5)
    assert math.isnan(factor_of([1.0]))


def test_clipping_cuts_what_is_longer_and_nothing_else(corpus, monkeypatch):
    """Against torch's own clipping and SGD, in float64: torch adds 1e-6 to a norm, which steps magnify."""
    monkeypatch.setattr(descending, "STEPS", 4)
    symbols = len(corpus.alphabet)
    batches = Batches(corpus.train, corpus.alphabet, 8, 0)
    scored = batches.of(np.arange(50))
    network, rate, clip = BY_NAME["rnn"], 1.0, 0.5
    nats, longest = descending._descended(network.make(symbols, 0).double(), batches, scored, rate, clip)
    model = network.make(symbols, 0).double()
    optimizer, norms = torch.optim.SGD(model.parameters(), rate), []
    for step in range(4):
        batch = batches.at(step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(batch.logits(model), batch.targets).backward()
        norms.append(float(nn.utils.clip_grad_norm_(model.parameters(), clip)))
        optimizer.step()
    with torch.no_grad():
        wanted = float(nn.functional.cross_entropy(scored.logits(model), scored.targets))
    assert max(norms) > clip and longest == pytest.approx(max(norms), rel=1e-4)
    assert nats == pytest.approx(wanted, rel=1e-4)


def test_good_rates_are_those_near_the_best(monkeypatch):
    monkeypatch.setattr(descending, "RATES", (0.1, 1.0, 10.0))
    told = swept("rnn", [2.55, 2.5, None], [2.55, 2.5, 2.7])
    assert (told.best, told.best_rate, told.good, told.span) == (2.5, 1.0, [0.1, 1.0], 10.0)
    none = swept("rnn", [None, None, None], [None, None, None])
    assert (none.best, none.best_rate, none.good, none.span) == (None, None, [], None)
    assert "no network learnt" in of_sweeps([none], 0.1)
    saved = replace(told, clipped=[2.55, 2.5, 2.58])
    assert "Clipping makes more rates good: rnn at 10." in of_sweeps([saved, none], 0.1)
    assert "Clipping makes no other rate good." in of_sweeps([told], 0.1)


class Copying(LanguageModel):
    """Knows the first symbol of what it reads, or only its frequencies: what there is to know, and none of it."""

    def __init__(self, symbols: int, knows: bool):
        super().__init__()
        self.symbols, self.knows = symbols, knows
        self.shift = nn.Parameter(torch.zeros(symbols))

    def begin(self, batch):
        return torch.zeros(batch, 1)

    def forward(self, tokens, state):
        logits = nn.functional.one_hot(tokens[:, 1], self.symbols).float() * 50 * self.knows + self.shift
        return logits[:, None].expand(-1, tokens.shape[1], -1), state


@pytest.mark.parametrize("knows, wanted", [(True, 1.0), (False, 0.0)])
def test_what_is_known_goes_from_frequencies_to_all(corpus, monkeypatch, knows, wanted):
    monkeypatch.setattr(descending, "DISTANCES", (2, 5))
    monkeypatch.setattr(descending, "RECALL_STEPS", 300)
    monkeypatch.setattr(descending, "RECALL_RATE", 0.05)
    batches = Batches(corpus.train, corpus.alphabet, 32, 0)
    told = recall(
        Network("copying", lambda symbols, seed: Copying(symbols, knows), ""), batches, len(corpus.alphabet), 0
    )
    assert told.known == pytest.approx([wanted] * 2, abs=0.05)


def test_sentences_follow_from_the_figures(found):
    assert set(explained(found)) == {"networks", "back", "plain", "sweep", "recall"}
    lines = concluded(found)
    assert lines[0].startswith("In principle: an RNN can compute") and "it grows in rnn-large" in lines[1]
    recalls = [
        replace(each, distances=[2, 4], known=[1.0, 0.9] if each.network == "gru" else [0.8, 0.0])
        for each in found.recalls
    ]
    factors = {"gru": 0.60, "rnn": 0.62, "wavenet": 0.9}
    fresh = [replace(each, factor=factors.get(each.network, 0.1)) for each in found.fresh]
    told = of_recalls(recalls, fresh)
    assert "At 4 it is gru alone" in told and "gru (× 0.60 a symbol) remembers farther than rnn (× 0.62)" in told
    alike = of_recalls([replace(each, distances=[2, 4], known=[1.0, 1.0]) for each in recalls], fresh)
    assert "At 4 it is each" in alike and "decide it alone" not in alike
    never = of_recalls([replace(each, distances=[2, 4], known=[0.1, 0.0]) for each in recalls], fresh)
    assert "At 4 it is none" in never and "rnn not at all" in never


def test_the_same_seed_gives_the_same_figures_and_another_others(corpus, monkeypatch):
    hurry_optimizability(monkeypatch)
    monkeypatch.setattr(chapter, "NETWORKS", (BY_NAME["rnn"], BY_NAME["gru"]))
    once = list(measured(corpus, 5))
    assert once == list(measured(corpus, 5)) and once[-1] != explain_optimizability(corpus, 6)
    told = [(event.done, event.total) for event in once if isinstance(event, Told)]
    assert told == [(i, 4) for i in range(4)] and isinstance(once[-1], Optimizability)
    assert json.loads(json.dumps(once[-1].to_dict(), allow_nan=False)) == once[-1].to_dict()


def test_lists_too_short_and_seeds_that_are_none_are_refused(corpus):
    with pytest.raises(ListError, match="fewer than 30 lines to learn from"):
        explain_optimizability(Corpus.of(["ana", "eva"]))
    with pytest.raises(ListError, match="longer than 2 symbols, too few to look back along"):
        explain_optimizability(Corpus.of([f"{a}{b}" for a in "abcdefghij" for b in "klmnopqr"]))
    with pytest.raises(UsageError, match="seed=-1"):
        explain_optimizability(corpus, -1)
