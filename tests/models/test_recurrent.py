"""Recurrent models against torch's own layers and makemore's formulas; lines read without padding."""

import math

import pytest
import torch
from torch import nn

import moreish
from moreish.errors import ConfigError
from moreish.layers import hidden_matrices, set_dropout
from moreish.models import recurrent
from moreish.models.model import LanguageModel
from moreish.models.recurrent import GRU, LSTM, RNN, GRUConfig, LSTMConfig, RNNConfig

V, E, H = 6, 4, 8
EXACT = 1e-12
TORCH_GATES = {nn.RNN: [0], nn.GRU: [0, 1, 2], nn.LSTM: [3, 0, 1, 2]}
"""Of torch's gates, which stands where in ours."""

KINDS = {
    "rnn": (RNN, RNNConfig, {}),
    "gru": (GRU, GRUConfig, {}),
    "gru before": (GRU, GRUConfig, {"reset": "before"}),
    "lstm": (LSTM, LSTMConfig, {}),
}
LINES = [[0, 3, 1, 1], [0], [0, 3, 1, 5, 2, 4], [0, 3, 1, 1], [0, 2], [0, 3, 1], [0, 5, 5, 5, 5, 5, 5, 5, 5]]
TOKENS = torch.tensor([symbol for line in LINES for symbol in line])
LENGTHS = torch.tensor([len(line) for line in LINES])


def make(kind: str, symbols: int = V, seed: int = 0, **given):
    model, config, fixed = KINDS[kind]
    return model(config(symbols=symbols, **{"embedding": E, "hidden": H, "dropout": 0.0, **fixed, **given}), seed=seed)


def exact(kind: str, **given):
    """One in float64 whose every weight is drawn anew, so that none is 0 and none of a kind with another."""
    model = make(kind, **given).double()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64) * 0.5)
    return model


@pytest.fixture(params=[True, False], ids=["prefixes shared", "none shared"])
def sharing(request, monkeypatch):
    monkeypatch.setattr(recurrent, "WORTH_SHARING", 0 if request.param else 10**9)


# Against torch and makemore.


@pytest.mark.parametrize("symbols", [V, 500], ids=["few symbols", "more symbols than positions"])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("kind, torchs", [("rnn", nn.RNN), ("gru", nn.GRU), ("lstm", nn.LSTM)])
def test_a_model_is_torchs_layer_between_an_embedding_and_a_linear_map(kind, torchs, layers, symbols):
    model = exact(kind, layers=layers, symbols=symbols)
    theirs = torchs(E, H, layers, batch_first=True).double()
    order = TORCH_GATES[torchs]
    back = [order.index(gate) for gate in range(len(order))]
    with torch.no_grad():
        for number, layer in enumerate(model.layers):
            for name, ours in (("weight_ih", layer.input), ("weight_hh", layer.hidden), ("bias_ih", layer.bias)):
                getattr(theirs, f"{name}_l{number}").copy_(torch.cat([ours.chunk(len(order))[i] for i in back]))
            b_h = getattr(theirs, f"bias_hh_l{number}").zero_()
            if kind == "gru":
                b_h[2 * H :] = layer.candidate
    tokens = torch.randint(0, symbols, (5, 7), generator=torch.Generator().manual_seed(0))
    hidden, last = theirs(model.embedding.weight[tokens])
    logits, state = model(tokens, model.begin(5))
    assert (logits - (hidden @ model.output.weight.t() + model.output.bias)).abs().max() < EXACT
    last = torch.cat(last, -1) if kind == "lstm" else last
    assert (state - last.transpose(0, 1)).abs().max() < EXACT


class Makemore(nn.Module):
    """makemore.py's RNN with either cell, after its formulas: one matrix over [x, h] a gate, and a learnt start."""

    def __init__(self, gates: tuple[str, ...]):
        super().__init__()
        self.start, self.wte = nn.Parameter(torch.randn(1, H)), nn.Embedding(V, E)
        self.gates = nn.ModuleDict({gate: nn.Linear(E + H, H) for gate in gates})
        self.lm_head = nn.Linear(H, V)
        self.double()

    def forward(self, tokens):
        h, logits = self.start.expand(len(tokens), -1), []
        for x in self.wte(tokens).unbind(1):
            xh = torch.cat([x, h], 1)
            if "h" in self.gates:
                h = torch.tanh(self.gates["h"](xh))
            else:
                r, z = torch.sigmoid(self.gates["r"](xh)), torch.sigmoid(self.gates["z"](xh))
                h = (1 - z) * h + z * torch.tanh(self.gates["hbar"](torch.cat([x, r * h], 1)))
            logits.append(self.lm_head(h))
        return torch.stack(logits, 1)


@pytest.mark.parametrize("kind, gates", [("rnn", {"h": 1}), ("gru before", {"r": 1, "z": -1, "hbar": 1})])
def test_makemores_weights_give_makemores_logits(kind, gates):
    torch.manual_seed(0)
    theirs, model = Makemore(tuple(gates)), make(kind, learnt_start=True).double()
    weight = torch.cat([sign * theirs.gates[gate].weight for gate, sign in gates.items()])
    layer = "layers.0"
    model.load_state_dict(
        {
            "start": theirs.start,
            "embedding.weight": theirs.wte.weight,
            f"{layer}.input": weight[:, :E],
            f"{layer}.hidden": weight[:, E:],
            f"{layer}.bias": torch.cat([sign * theirs.gates[gate].bias for gate, sign in gates.items()]),
            "output.weight": theirs.lm_head.weight,
            "output.bias": theirs.lm_head.bias,
        }
    )
    tokens = torch.randint(0, V, (4, 9), generator=torch.Generator().manual_seed(1))
    assert (model(tokens, model.begin(4))[0] - theirs(tokens)).abs().max() < EXACT


# Lines without padding.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layers, symbols", [(1, V), (2, V), (1, 500)])
def test_lines_end_to_end_are_read_as_each_alone(kind, layers, symbols, sharing):
    model = exact(kind, layers=layers, symbols=symbols, learnt_start=True)
    alone = [model(torch.tensor([line]), model.begin(1))[0][0] for line in LINES]
    assert (model.read_lines(TOKENS, LENGTHS) - torch.cat(alone)).abs().max() < EXACT


@pytest.mark.parametrize("kind", KINDS)
def test_lines_end_to_end_give_the_gradients_of_padded_ones(kind, sharing):
    model = exact(kind, layers=2, learnt_start=True)
    weights = torch.randn(len(TOKENS), V, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    parameters = dict(model.named_parameters())
    ours = (model.read_lines(TOKENS, LENGTHS) * weights).sum()
    padded = (LanguageModel.read_lines(model, TOKENS, LENGTHS) * weights).sum()
    for name, one, other in zip(
        parameters, *(torch.autograd.grad(loss, list(parameters.values())) for loss in (ours, padded))
    ):
        assert (one - other).abs().max() < EXACT * max(1.0, float(other.abs().max())), name


@pytest.mark.parametrize("tokens, lengths", [([0], [1]), ([0, 0, 0], [1, 1, 1]), ([0, 1, 2, 3, 4], [5])])
def test_the_shortest_lists_are_read(tokens, lengths, sharing):
    model = exact("gru")
    tokens, lengths = torch.tensor(tokens), torch.tensor(lengths)
    padded = LanguageModel.read_lines(model, tokens, lengths)
    assert (model.read_lines(tokens, lengths) - padded).abs().max() < EXACT


def test_reading_nothing_changes_nothing():
    model = exact("lstm", layers=2)
    _, state = model(torch.tensor([[0, 1]]), model.begin(1))
    logits, after = model(torch.zeros(1, 0, dtype=torch.long), state)
    assert logits.shape == (1, 0, V) and torch.equal(after, state)


# Dropout.


def learning(model, seed: int = 0):
    set_dropout(model.train(), torch.Generator().manual_seed(seed))
    return model


def test_dropout_is_the_same_whether_prefixes_are_shared_or_not(monkeypatch):
    model = exact("gru", dropout=0.5)
    read = []
    for worth in (0, 10**9):
        monkeypatch.setattr(recurrent, "WORTH_SHARING", worth)
        read.append(learning(model).read_lines(TOKENS, LENGTHS))
    assert (read[0] - read[1]).abs().max() < EXACT
    assert (read[0] - model.eval().read_lines(TOKENS, LENGTHS)).abs().max() > 0.1


@pytest.mark.parametrize("layers", [1, 2])
def test_dropout_falls_differently_on_equal_lines(layers, sharing):
    model = learning(exact("gru", dropout=0.5, layers=layers, hidden=32))
    one, two = model.read_lines(torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([3, 3])).chunk(2)
    assert ((one - two).abs().amax(1) > 1e-3).all()


def test_dropout_keeps_the_mean_of_the_logits(sharing):
    model = learning(exact("gru", dropout=0.3))
    tokens, lengths = torch.tensor([0, 1, 2]).repeat(4000), torch.full((4000,), 3)
    dropped = model.read_lines(tokens, lengths).reshape(4000, 3, V)
    plain = model.eval().read_lines(tokens[:3], lengths[:1])
    deviations = (dropped.mean(0) - plain) / (dropped.std(0) / math.sqrt(4000))
    assert deviations.abs().max() < 4.5  # 18 numbers: beyond it once in 8,000 draws


# What every model keeps.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layers, learnt_start", [(1, False), (2, True)])
def test_laws(kind, layers, learnt_start):
    def factory(symbols: int, seed: int):
        return make(kind, symbols, seed, layers=layers, learnt_start=learnt_start, hidden=24)

    assert "learns-by-heart" in moreish.check_model(factory)
    moreish.check_model(factory(7, 0).double())


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_as_it_comes_is_near_ln_v_and_its_recurrent_weights_keep_lengths(kind):
    model, config, fixed = KINDS[kind]
    fresh = model(config(symbols=27, layers=2, **fixed), seed=3).eval()
    logits = fresh.read_lines(TOKENS, LENGTHS)
    loss = nn.functional.cross_entropy(logits, torch.arange(len(logits)) % 27)
    assert loss.item() == pytest.approx(math.log(27), abs=0.1)
    for layer in fresh.layers:
        for square in layer.hidden.split(config(27).hidden):
            assert torch.allclose(square @ square.t(), torch.eye(len(square)), atol=1e-4)
        forget = layer.bias.chunk(4)[2] if kind == "lstm" else layer.bias.new_ones(1)
        assert (forget == 1).all() and layer.bias.sum() == (forget.sum() if kind == "lstm" else 0)


@pytest.mark.parametrize("kind", KINDS)
def test_counted_weights_are_those_there_are_and_on_the_meta_device_none_is_drawn(kind, monkeypatch):
    counted = []
    monkeypatch.setattr(recurrent, "check_size", lambda owner, weights, why: counted.append(weights))
    with torch.device("meta"):
        model = make(kind, layers=3)
    matrices = [p for name, p in model.named_parameters() if p.ndim > 1]
    assert all(p.is_meta for p in model.parameters()) and counted == [sum(p.numel() for p in matrices)]
    assert set(hidden_matrices(model)) == {f"layers.{i}.{part}" for i in range(3) for part in ("input", "hidden")}


@pytest.mark.parametrize("kind", KINDS)
def test_under_autocast_states_stay_whole(kind):
    model = make(kind, layers=2, hidden=32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        reads = [model.read_lines(TOKENS, LENGTHS), *(model(TOKENS[:k, None].t(), model.begin(1))[0] for k in (1, 4))]
        _, state = model(TOKENS[:1, None], model.begin(1))
    sum(logits.float().square().sum() for logits in reads).backward()
    assert state.dtype == torch.float32 and all(bool(p.grad.isfinite().all()) for p in model.parameters())
    full = model.read_lines(TOKENS, LENGTHS)
    assert (reads[0] - full).abs().max() < 0.05 * full.abs().max()


BAD = [
    ({"symbols": 0}, "symbols=0"),
    ({"symbols": 27.0}, "symbols=27.0"),
    ({"embedding": 0}, "embedding=0"),
    ({"hidden": -1}, "hidden=-1"),
    ({"hidden": True}, "hidden=True"),
    ({"layers": 0}, "layers=0"),
    ({"layers": 1001}, "layers=1001"),
    ({"dropout": 1.0}, "dropout=1.0"),
    ({"dropout": -0.1}, "dropout=-0.1"),
    ({"dropout": float("nan")}, "dropout=nan"),
    ({"learnt_start": 1}, "learnt_start=1"),
    ({"hidden": 100_000}, "weights, "),
    ({"symbols": 10**9}, "weights, "),
    ({"layers": 1000, "hidden": 1000}, "weights, "),
]


@pytest.mark.parametrize("config", [RNNConfig, GRUConfig, LSTMConfig])
@pytest.mark.parametrize("bad, said", BAD)
def test_configs_that_cannot_be_are_refused_with_their_names(config, bad, said, types_unchecked):
    with pytest.raises(ConfigError, match=f"^{config.__name__}: .*{said}.*(Use|It counts) "):
        config(**{"symbols": 27, **bad})


@pytest.mark.parametrize("reset", ["", "never", None, 1])
def test_a_reset_is_before_or_after(reset, types_unchecked):
    with pytest.raises(ConfigError, match=r"GRUConfig: reset=.*: after, before"):
        GRUConfig(symbols=27, reset=reset)
