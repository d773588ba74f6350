"""Recurrent steps against torch's cells, and whole rows by hand against the same steps under autograd."""

import pytest
import torch
from torch import nn

from moreish.ops import recurrence
from moreish.ops.gates import gru_before_step, gru_step, lstm_step, rnn_step
from moreish.ops.turns import in_turns, side_by_side

WIDE, ROWS = 5, 3
EXACT = 1e-12
LINES = [[0, 3, 1], [0], [0, 3, 1, 1, 2], [0, 3, 1], [0, 2], [0, 3, 2, 1], [0, 2, 2, 2, 2, 2, 2, 2]]

OPS = {"rnn": recurrence.RNN, "gru": recurrence.GRU, "gru before": recurrence.GRU_BEFORE, "lstm": recurrence.LSTM}
GATES = {"rnn": 1, "gru": 3, "gru before": 3, "lstm": 4}


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def inputs(name: str, starts: int, rows: int) -> dict[str, torch.Tensor]:
    gates = GATES[name]
    made = {"start": drawn(starts, (2 if name == "lstm" else 1) * WIDE), "table": drawn(rows, gates * WIDE)}
    made["weight"] = drawn(gates * WIDE, WIDE)
    if name == "gru":
        made["bias"] = drawn(WIDE)
    return {key: value.requires_grad_() for key, value in made.items()}


def weights_of(cell: nn.Module, order: list[int]) -> tuple[torch.Tensor, ...]:
    """A torch cell's weights as ours: input weight, hidden weight, bias of the input, bias of the hidden."""
    parts = (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)
    return tuple(torch.cat([part.detach().chunk(len(order))[i] for i in order]) for part in parts)


def test_an_rnn_step_is_torchs_cell():
    cell = nn.RNNCell(4, WIDE).double()
    w_x, w_h, b_x, b_h = weights_of(cell, [0])
    x, h = drawn(ROWS, 4), drawn(ROWS, WIDE)
    assert (rnn_step(h, x @ w_x.t() + b_x + b_h, w_h) - cell(x, h)).abs().max() < EXACT


def test_a_gru_step_is_torchs_cell():
    cell = nn.GRUCell(4, WIDE).double()
    w_x, w_h, b_x, b_h = weights_of(cell, [0, 1, 2])
    x, h = drawn(ROWS, 4), drawn(ROWS, WIDE)
    bias = b_x + torch.cat([b_h[: 2 * WIDE], torch.zeros(WIDE)])
    assert (gru_step(h, x @ w_x.t() + bias, w_h, b_h[2 * WIDE :]) - cell(x, h)).abs().max() < EXACT


def test_an_lstm_step_is_torchs_cell_with_its_gates_in_another_order():
    cell = nn.LSTMCell(4, WIDE).double()
    w_x, w_h, b_x, b_h = weights_of(cell, [3, 0, 1, 2])
    x, h, c = drawn(ROWS, 4), drawn(ROWS, WIDE), drawn(ROWS, WIDE + 1)[:, 1:]
    after = lstm_step(torch.cat([h, c], 1), x @ w_x.t() + b_x + b_h, w_h)
    assert (after - torch.cat(cell(x, (h, c)), 1)).abs().max() < EXACT


def test_a_gru_step_that_resets_before_is_the_papers():
    x, h, weight = drawn(ROWS, 3 * WIDE), drawn(ROWS, WIDE), drawn(3 * WIDE, WIDE)
    expected = torch.empty_like(h)
    w_r, w_z, w_n = weight.chunk(3)
    for row in range(ROWS):  # Cho et al. 2014, equations 5 to 8, unit by unit
        r = torch.sigmoid(x[row, :WIDE] + w_r @ h[row])
        z = torch.sigmoid(x[row, WIDE : 2 * WIDE] + w_z @ h[row])
        candidate = torch.tanh(x[row, 2 * WIDE :] + w_n @ (r * h[row]))
        expected[row] = z * h[row] + (1 - z) * candidate
    assert (gru_before_step(h, x, weight) - expected).abs().max() < EXACT


def plans():
    lengths = torch.tensor([len(line) for line in LINES])
    tokens = torch.tensor([symbol for line in LINES for symbol in line])
    for share in (True, False):
        reading = in_turns(tokens, lengths, 4, share)
        yield f"lines, share={share}", reading.turns, reading.ids, 1, 4
        yield f"rows, share={share}", reading.turns, None, 1, reading.turns.rows
    yield "side by side", side_by_side(ROWS, 6), torch.arange(ROWS * 6) % 4, ROWS, 4
    yield "one turn", side_by_side(ROWS, 1), None, ROWS, ROWS


@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("plan", list(plans()), ids=lambda plan: plan[0])
def test_rows_by_hand_equal_steps_under_autograd(name, plan):
    _, turns, ids, starts, rows = plan
    given = inputs(name, starts, rows)
    by_hand, by_steps = (
        OPS[name](turns, ids, *given.values()),
        recurrence.rows_by_steps(OPS[name].step, *given.values(), ids=ids, turns=turns),
    )
    assert (by_hand - by_steps).abs().max() < EXACT
    weights = drawn(*by_hand.shape)
    for loss in (lambda out: (out * weights).sum(), lambda out: out.sum(), lambda out: out[-1].sum()):
        ours = torch.autograd.grad(loss(by_hand), list(given.values()), retain_graph=True)
        autograd = torch.autograd.grad(loss(by_steps), list(given.values()), retain_graph=True)
        for key, one, other in zip(given, ours, autograd):
            assert (one - other).abs().max() < EXACT * max(1, float(other.abs().max())), key


@pytest.mark.parametrize("name", OPS)
def test_rows_by_hand_pass_finite_differences(name):
    tokens, lengths = torch.tensor([0, 1, 0, 2, 1, 0, 1, 2]), torch.tensor([2, 3, 3])
    reading = in_turns(tokens, lengths, 3)
    given = inputs(name, 1, 3)

    def read(*tensors):
        return OPS[name](reading.turns, reading.ids, *tensors)

    assert torch.autograd.gradcheck(read, tuple(given.values()))


@pytest.mark.parametrize("name", OPS)
def test_reading_by_hand_leaves_what_it_was_given(name):
    reading = in_turns(torch.tensor([0, 1, 2, 0, 1]), torch.tensor([3, 2]), 3)
    for ids, rows in ((reading.ids, 3), (None, reading.turns.rows)):
        given = inputs(name, 1, rows)
        kept = {key: value.detach().clone() for key, value in given.items()}
        out = OPS[name](reading.turns, ids, *given.values())
        weights = drawn(*out.shape)
        gradient = weights.clone()
        out.backward(gradient)
        assert torch.equal(gradient, weights)
        assert all(torch.equal(value, kept[key]) for key, value in given.items())
