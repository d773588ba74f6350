"""Whole rows of the recurrent networks: the steps of `gates.py` turn after turn, forward beside backward.

At these widths a step costs by its calls rather than by its arithmetic, so every turn writes into its own part of
tensors that hold all turns: five calls forward and three backward for a GRU. What does not hang on the gradient of
later turns is computed for all turns at once; the loop backward carries that gradient alone.

Everywhere: `start`, the S states before any symbol. `table`, what a symbol brings, its bias included: a row for each of
V symbols, chosen by `ids` [M]; or, where `ids` is None, a row for each of the M rows. What a network gives are the M
states, and `gradient` is theirs; kept for the backward are the states with the S first ones in front, and the gates as
their turn left them. `dh` is the gradient of one turn's states.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from moreish.ops.arithmetic import take
from moreish.ops.gates import gru_before_step, gru_step, lstm_step, rnn_step
from moreish.ops.op import Gradients, Op
from moreish.ops.turns import Turns

Ids = Int[Tensor, " M"] | None


def rnn_rows_forward(
    start: Float[Tensor, "S H"], table: Float[Tensor, "V H"], weight: Float[Tensor, "H H"], *, ids: Ids, turns: Turns
) -> tuple[Float[Tensor, "M H"], Float[Tensor, "K H"]]:
    """`rnn_step` at every turn."""
    states = torch.cat([start, _chosen(table, ids)])
    weight = _turned(weight, turns)
    for h, new in turns.forward(states):
        new.addmm_(h, weight).tanh_()
    return states[len(start) :], states


def rnn_rows_backward(
    gradient: Float[Tensor, "M H"],
    states: Float[Tensor, "K H"],
    table: Float[Tensor, "V H"],
    weight: Float[Tensor, "H H"],
    ids: Ids,
    turns: Turns,
) -> Gradients:
    """dx = (1 - h²) dh, and dh of the turn before grows by Wᵀ dx."""
    first = len(states) - turns.rows
    d_states, after = _all_states(gradient, first), states[first:]
    dx = 1 - after * after
    for dh, dh_before, part in turns.backward(d_states, dx):
        dh_before.addmm_(part.mul_(dh), weight)
    d_weight = dx.t() @ turns.states_before(states)
    return {"start": d_states[:first], "table": _to_table(dx, ids, table), "weight": d_weight}


def gru_rows_forward(
    start: Float[Tensor, "S H"],
    table: Float[Tensor, "V 3*H"],
    weight: Float[Tensor, "3*H H"],
    bias: Float[Tensor, " H"],
    *,
    ids: Ids,
    turns: Turns,
) -> tuple[Float[Tensor, "M H"], Float[Tensor, "K H"], Float[Tensor, "M 4*H"]]:
    """`gru_step` at every turn. Gates: r, z, the product w = W_n h + bias, n."""
    wide = start.shape[1]
    x_rz, x_n = table.tensor_split([2 * wide], 1)
    gates = _chosen(torch.cat([x_rz, bias.expand_as(x_n), x_n], 1), ids)
    states = _begun(start, len(gates))
    weight = _turned(weight, turns)
    r, z, w, n = gates.split(wide, 1)
    parts = (gates[:, : 3 * wide], gates[:, : 2 * wide], r, z, w, n)
    for h, new, rzw, rz, r, z, w, n in turns.forward(states, *parts):
        rzw.addmm_(h, weight)
        rz.sigmoid_()
        n.addcmul_(r, w).tanh_()
        torch.lerp(n, h, z, out=new)
    return states[len(start) :], states, gates


def gru_rows_backward(
    gradient: Float[Tensor, "M H"],
    states: Float[Tensor, "K H"],
    gates: Float[Tensor, "M 4*H"],
    table: Float[Tensor, "V 3*H"],
    weight: Float[Tensor, "3*H H"],
    ids: Ids,
    turns: Turns,
) -> Gradients:
    """With a the argument of n = tanh(a), and x_r, x_z those of the sigmoids:

    da = (1 - n²)(1 - z) dh    dw = r da    dx_r = r (1 - r) w da    dx_z = z (1 - z)(h₋ - n) dh
    dh₋ grows by z dh + Wᵀ (dx_r, dx_z, dw)
    """
    first, wide = len(states) - turns.rows, states.shape[1]
    d_states, before = _all_states(gradient, first), turns.states_before(states)
    r, z, w, n = gates.split(wide, 1)
    d_gates = 1 - gates  # read and written whole rows at a time: a column at a time, memory is waited for
    d_r, d_z, d_w, d_n = d_gates.split(wide, 1)
    d_n.addcmul_(d_n, n).mul_(d_z)
    torch.mul(d_n, r, out=d_w)
    d_r.mul_(r).mul_(w).mul_(d_n)
    d_z.mul_(z).mul_(before - n)
    each = d_gates.view(-1, 4, wide)
    for dh, dh_before, z_, four, three in turns.backward(d_states, z, each, d_gates[:, : 3 * wide]):
        four.mul_(dh.unsqueeze(1))
        dh_before.addcmul_(dh, z_).addmm_(three, weight)
    d_table = _to_table(d_gates, ids, table)
    return {
        "start": d_states[:first],
        "table": torch.cat([d_table[:, : 2 * wide], d_table[:, 3 * wide :]], 1),
        "weight": d_gates[:, : 3 * wide].t() @ before,
        "bias": d_table[:, 2 * wide : 3 * wide].sum(0),
    }


def gru_before_rows_forward(
    start: Float[Tensor, "S H"],
    table: Float[Tensor, "V 3*H"],
    weight: Float[Tensor, "3*H H"],
    *,
    ids: Ids,
    turns: Turns,
) -> tuple[Float[Tensor, "M H"], Float[Tensor, "K H"], Float[Tensor, "M 3*H"]]:
    """`gru_before_step` at every turn. Gates: r, z, n."""
    wide = start.shape[1]
    gates = _chosen(table, ids, copied=True)
    states = _begun(start, len(gates))
    weight_rz, weight_n = (_turned(part, turns) for part in weight.tensor_split([2 * wide]))
    for h, new, rz, r, z, n in turns.forward(states, gates[:, : 2 * wide], *gates.split(wide, 1)):
        rz.addmm_(h, weight_rz).sigmoid_()
        n.addmm_(r * h, weight_n).tanh_()
        torch.lerp(n, h, z, out=new)
    return states[len(start) :], states, gates


def gru_before_rows_backward(
    gradient: Float[Tensor, "M H"],
    states: Float[Tensor, "K H"],
    gates: Float[Tensor, "M 3*H"],
    table: Float[Tensor, "V 3*H"],
    weight: Float[Tensor, "3*H H"],
    ids: Ids,
    turns: Turns,
) -> Gradients:
    """With a the argument of n = tanh(a), and x_r, x_z those of the sigmoids:

    da = (1 - n²)(1 - z) dh    dx_z = z (1 - z)(h₋ - n) dh    ds = W_nᵀ da    dx_r = r (1 - r) h₋ ds
    dh₋ grows by z dh + r ds + W_rzᵀ (dx_r, dx_z)
    """
    first, wide = len(states) - turns.rows, states.shape[1]
    d_states, before = _all_states(gradient, first), turns.states_before(states)
    weight_rz, weight_n = weight.tensor_split([2 * wide])
    r, z, n = gates.split(wide, 1)
    d_gates = 1 - gates
    d_r, d_z, d_n = d_gates.split(wide, 1)
    d_n.addcmul_(d_n, n).mul_(d_z)
    d_r.mul_(r).mul_(before)
    d_z.mul_(z).mul_(before - n)
    parts = (r, z, d_r, d_gates.view(-1, 3, wide)[:, 1:], d_n, d_gates[:, : 2 * wide])
    for dh, dh_before, r_, z_, dx_r, dx_zn, da, dx_rz in turns.backward(d_states, *parts):
        dx_zn.mul_(dh.unsqueeze(1))
        ds = da @ weight_n
        dx_r.mul_(ds)
        dh_before.addcmul_(dh, z_).addcmul_(ds, r_).addmm_(dx_rz, weight_rz)
    return {
        "start": d_states[:first],
        "table": _to_table(d_gates, ids, table),
        "weight": torch.cat([d_gates[:, : 2 * wide].t() @ before, d_n.t() @ (r * before)]),
    }


def lstm_rows_forward(
    start: Float[Tensor, "S W"],
    table: Float[Tensor, "V G"],
    weight: Float[Tensor, "G H"],
    *,
    ids: Ids,
    turns: Turns,
) -> tuple[Float[Tensor, "M W"], Float[Tensor, "K W"], Float[Tensor, "M G"]]:
    """`lstm_step` at every turn; a state is h and c side by side, W = 2 H. Gates: o, i, f, g."""
    wide = weight.shape[1]
    gates = _chosen(table, ids, copied=True)
    states = _begun(start, len(gates))
    weight = _turned(weight, turns)
    for before, new, all_four, oif, o, i, f, g in turns.forward(
        states, gates, gates[:, : 3 * wide], *gates.split(wide, 1)
    ):
        (h, c), (new_h, new_c) = before.split(wide, 1), new.split(wide, 1)
        all_four.addmm_(h, weight)
        oif.sigmoid_()
        torch.mul(f, c, out=new_c).addcmul_(i, g.tanh_())
        torch.mul(o, new_c.tanh(), out=new_h)
    return states[len(start) :], states, gates


def lstm_rows_backward(
    gradient: Float[Tensor, "M W"],
    states: Float[Tensor, "K W"],
    gates: Float[Tensor, "M G"],
    table: Float[Tensor, "V G"],
    weight: Float[Tensor, "G H"],
    ids: Ids,
    turns: Turns,
) -> Gradients:
    """With t = tanh(c), and x_o, x_i, x_f, x_g the arguments of the gates:

    dc grows by o (1 - t²) dh    dx_o = o (1 - o) t dh    dx_i, dx_f, dx_g = (i (1 - i) g, f (1 - f) c₋, i (1 - g²)) dc
    dh₋ grows by Wᵀ (dx_o, dx_i, dx_f, dx_g), dc₋ by f dc
    """
    first, wide = len(states) - turns.rows, weight.shape[1]
    d_states = _all_states(gradient, first)
    h_before, c_before = turns.states_before(states).split(wide, 1)
    o, i, f, g = gates.split(wide, 1)
    t = states[first:, wide:].tanh()
    to_c = o - o * t * t
    d_gates = 1 - gates
    d_o, d_i, d_f, d_g = d_gates.split(wide, 1)
    d_o.mul_(o).mul_(t)
    d_i.mul_(i).mul_(g)
    d_f.mul_(f).mul_(c_before)
    d_g.addcmul_(d_g, g).mul_(i)
    parts = (to_c, f, d_o, d_gates.view(-1, 4, wide)[:, 1:], d_gates)
    for d_state, d_before, to_c, f, dx_o, dx_ifg, dx in turns.backward(d_states, *parts):
        (dh, dc), (dh_before, dc_before) = d_state.split(wide, 1), d_before.split(wide, 1)
        dc.addcmul_(dh, to_c)
        dx_o.mul_(dh)
        dx_ifg.mul_(dc.unsqueeze(1))
        dh_before.addmm_(dx, weight)
        dc_before.addcmul_(dc, f)
    return {
        "start": d_states[:first],
        "table": _to_table(d_gates, ids, table),
        "weight": d_gates.t() @ h_before,
    }


def _chosen(table: Tensor, ids: Tensor | None, copied: bool = False) -> Tensor:
    if ids is not None:
        return table.index_select(0, ids)
    return table.clone() if copied else table


def _to_table(d_rows: Tensor, ids: Tensor | None, table: Tensor) -> Tensor:
    """The gradient of a table whose rows were chosen by `ids`."""
    return d_rows if ids is None else d_rows.new_zeros(len(table), d_rows.shape[1]).index_add_(0, ids, d_rows)


def _turned(weight: Tensor, turns: Turns) -> Tensor:
    """The transpose, in an order that products are quicker with: worth a copy where there are many of them."""
    return weight.t().contiguous() if len(turns.sizes) > 4 else weight.t()


def _all_states(gradient: Tensor, first: int) -> Tensor:
    """The gradient with room for that of the first states, which begins as 0."""
    return torch.cat([gradient.new_zeros(first, gradient.shape[1]), gradient])


def _begun(start: Tensor, rows: int) -> Tensor:
    """Room for all states, the first ones in their place."""
    states = start.new_empty(len(start) + rows, start.shape[1])
    states[: len(start)] = start
    return states


def rows_by_steps(
    step: Op[..., Tensor], start: Tensor, table: Tensor, *weights: Tensor, ids: Ids, turns: Turns
) -> Tensor:
    """The same by one step after the other, each its own op: what autograd can follow, and whole rows are held to."""
    x = table if ids is None else take(table, ids)
    states, done = [start], 0
    for size, chosen in zip(turns.sizes, turns.chosen):
        before = states[-1][:size] if chosen is None else take(states[-1], chosen)
        states.append(step(before, x[done : done + size], *weights))
        done += size
    return torch.cat(states[1:])


def _rows(step: Op[..., Tensor], forward: Callable[..., Any], backward: Callable[..., Gradients], *keeps: str) -> Op:
    return Op(forward, backward, keeps=keeps, always=True, steps=partial(rows_by_steps, step))


rnn_rows = _rows(rnn_step, rnn_rows_forward, rnn_rows_backward, "states")
gru_rows = _rows(gru_step, gru_rows_forward, gru_rows_backward, "states", "gates")
gru_before_rows = _rows(gru_before_step, gru_before_rows_forward, gru_before_rows_backward, "states", "gates")
lstm_rows = _rows(lstm_step, lstm_rows_forward, lstm_rows_backward, "states", "gates")


@dataclass(frozen=True)
class Recurrence:
    """A network: one step, and whole rows."""

    step: Op[..., Tensor]
    rows: Op[..., Any]

    def __call__(self, turns: Turns, ids: Ids, start: Tensor, table: Tensor, *weights: Tensor) -> Tensor:
        """The M states after each row's turn. `weights` are those of the step, in its order."""
        alone = turns.before is None and len(turns.sizes) == 1
        if alone and not torch.is_autocast_enabled(start.device.type):  # which would mix precisions within a step
            return self.step(start, table if ids is None else take(table, ids), *weights)
        return self.rows(start, table, *weights, ids=ids, turns=turns)


RNN = Recurrence(rnn_step, rnn_rows)
GRU = Recurrence(gru_step, gru_rows)
GRU_BEFORE = Recurrence(gru_before_step, gru_before_rows)
LSTM = Recurrence(lstm_step, lstm_rows)
