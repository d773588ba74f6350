"""Recurrent networks: a state that each symbol renews, so that the whole line so far can tell what comes next.

Sources: Elman, Finding Structure in Time (1990); Hochreiter and Schmidhuber, Long Short-Term Memory (1997); Cho et al.,
Learning Phrase Representations (2014); Karpathy, makemore.py, classes RNN and GRUCell. Each step stands with its
equations in `ops/gates.py`. Where we differ: layers above one another, the sum of torch's two biases as one, dropout on
what a layer gives upwards (Zaremba et al. 2014, section 3.1), recurrent weights that begin orthogonal, gate by gate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from moreish.layers import Dropout, Embedding, Linear, Map, fresh
from moreish.models.model import (
    LanguageModel,
    check_choice,
    check_flag,
    check_share,
    check_size,
    check_whole,
    setting,
)
from moreish.ops import recurrence
from moreish.ops.affine import linear
from moreish.ops.arithmetic import take
from moreish.ops.turns import Turns, in_turns, side_by_side
from moreish.randomness import stream

RESETS = ("after", "before")
WORTH_SHARING = 4096
"""Lines times units from which finding the prefixes that lines share costs less than computing them anew."""


@dataclass(frozen=True)
class RNNConfig:
    """The settings of a recurrent network."""

    symbols: int
    embedding: int = setting(48, "numbers that stand for a symbol")
    hidden: int = setting(256, "units of each layer's state")
    layers: int = setting(1, "layers, each reading the states of the one below")
    dropout: float = setting(0.3, "share of units dropped while learning, above each layer")
    learnt_start: bool = setting(False, "the state before a line is learnt, rather than zero")

    gates: ClassVar[tuple[str, ...]] = ("tanh",)
    """What each linear map of a layer goes through, in the op's order."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        check_whole(name, "symbols", self.symbols, 1, 10**9, "It counts the alphabet and the boundary.")
        check_whole(name, "embedding", self.embedding, 1, 10**6, "Use 48, say.")
        check_whole(name, "hidden", self.hidden, 1, 10**6, "Use 256, say.")
        check_whole(name, "layers", self.layers, 1, 1000, "Use 1 or 2.")
        check_share(name, "dropout", self.dropout)
        check_flag(name, "learnt_start", self.learnt_start)
        inputs = self.embedding + (self.layers - 1) * self.hidden
        check_size(
            name,
            self.symbols * (self.embedding + self.hidden)
            + len(self.gates) * self.hidden * (inputs + self.layers * self.hidden),
            f"symbols={self.symbols:,}, embedding={self.embedding:,}, hidden={self.hidden:,}, layers={self.layers}",
        )


@dataclass(frozen=True)
class GRUConfig(RNNConfig):
    """The settings of a GRU."""

    reset: str = setting("after", "where the reset gate acts: after the product with the state (torch), or before it")

    gates: ClassVar[tuple[str, ...]] = ("sigmoid", "sigmoid", "tanh")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(type(self).__name__, "reset", self.reset, RESETS)


@dataclass(frozen=True)
class LSTMConfig(RNNConfig):
    """The settings of an LSTM."""

    gates: ClassVar[tuple[str, ...]] = ("sigmoid", "sigmoid", "sigmoid", "tanh")


class Layer(nn.Module):
    """One layer's weights: `input` and `hidden` [gates H, inputs or H], `bias` [gates H], gates in the op's order."""

    matrices: ClassVar[tuple[str, ...]] = ("input", "hidden")

    def __init__(
        self,
        op: recurrence.Recurrence,
        then: tuple[str, ...],
        inputs: int,
        hidden: int,
        generator: torch.Generator,
    ):
        super().__init__()
        self.op, self.then, gates = op, then, len(then)
        self.input = fresh((gates * hidden, inputs), "kaiming", inputs, 1.0, generator)
        square = [fresh((hidden, hidden), "orthogonal", hidden, 1.0, generator) for _ in range(gates)]
        self.hidden = nn.Parameter(torch.cat([part.detach() for part in square]))
        self.bias = nn.Parameter(torch.zeros(gates * hidden))
        # The candidate's product with the state is reset with its bias, so this one cannot be part of the other.
        self.candidate = nn.Parameter(torch.zeros(hidden)) if op is recurrence.GRU else None

    def forward(
        self, x: Float[Tensor, "K D"], ids: Int[Tensor, " M"] | None, start: Float[Tensor, "S W"], turns: Turns
    ) -> Float[Tensor, "M W"]:
        """The states after each row's turn; row m reads x[ids[m]], or x[m]."""
        # Under autocast the product is of lower precision than the states it is added to.
        table = linear(x, self.input, self.bias).to(start.dtype)
        return self.op(turns, ids, start, table, *self._applied())

    def step(self, state: Float[Tensor, "B W"], x: Float[Tensor, "B G"]) -> Float[Tensor, "B W"]:
        """The state after one symbol more, from what it brings."""
        return self.op.step(state, x, *self._applied())

    def maps(self) -> list[Map]:
        """One for each gate, over the symbol and the state side by side."""
        count, (inputs, hidden) = len(self.then), (self.input.shape[1], self.hidden.shape[1])
        found = []
        for i, (over_x, over_h, bias) in enumerate(
            zip(*(p.detach().chunk(count) for p in (self.input, self.hidden, self.bias)))
        ):
            of_state = () if self.candidate is None or i < count - 1 else (self.candidate.detach(),)
            found.append(Map((over_x, over_h), (bias, *of_state), self.then[i], inputs + hidden))
        return found

    def sums(self, inputs: tuple[Any, ...], output: Float[Tensor, "M W"]) -> Float[Tensor, "M G"]:
        """What each gate's tanh or sigmoid was applied to when the layer was called with `inputs`, side by side."""
        x, ids, start, turns = inputs
        wide, last = self.hidden.shape[1], (len(self.then) - 1) * self.hidden.shape[1]
        h = turns.states_before(torch.cat([start, output]))[:, :wide]
        brought = linear(x if ids is None else x[ids], self.input, self.bias)
        sums = brought + h @ self.hidden.t()
        if self.op is recurrence.GRU:
            product = h @ self.hidden[last:].t() + self.candidate
            sums[:, last:] = brought[:, last:] + sums[:, :wide].sigmoid() * product
        elif self.op is recurrence.GRU_BEFORE:
            sums[:, last:] = brought[:, last:] + (sums[:, :wide].sigmoid() * h) @ self.hidden[last:].t()
        return sums

    def _applied(self) -> tuple[Tensor, ...]:
        """What is applied to a state, in the op's order."""
        return (self.hidden,) if self.candidate is None else (self.hidden, self.candidate)


class Recurrent(LanguageModel[Tensor]):
    """Embedding, layers, output. The state is that of each layer, [B L W]."""

    wide: ClassVar[int] = 1
    """W of the state, in units of H."""

    def __init__(self, config: Any, seed: int = 0):
        super().__init__()
        self.config = config
        generator = stream(seed, "weights")
        self.embedding = Embedding(config.symbols, config.embedding, generator=generator)
        sizes = [config.embedding] + [config.hidden] * (config.layers - 1)
        self.layers = nn.ModuleList(
            Layer(self.op(config), config.gates, inputs, config.hidden, generator) for inputs in sizes
        )
        self.dropout = Dropout(config.dropout)
        self.output = Linear(config.hidden, config.symbols, generator=generator, output=True)
        start = torch.zeros(config.layers, self.wide * config.hidden)
        self.start = nn.Parameter(start) if config.learnt_start else None

    @staticmethod
    def op(config: Any) -> recurrence.Recurrence:
        """What a layer computes."""
        raise NotImplementedError

    def begin(self, batch: int) -> Float[Tensor, "B L W"]:
        if self.start is not None:
            return self.start.expand(batch, -1, -1)
        return self.output.weight.new_zeros(batch, self.config.layers, self.wide * self.config.hidden)

    def forward(
        self, tokens: Int[Tensor, "B T"], state: Float[Tensor, "B L W"]
    ) -> tuple[Float[Tensor, "B T V"], Float[Tensor, "B L W"]]:
        rows, long = tokens.shape
        if not long:
            return self.output.weight.new_zeros(rows, 0, self.config.symbols), state
        layers = self.states(tokens.t().reshape(-1), side_by_side(rows, long), state)
        logits = self.output(self.dropout(self.given(layers[-1])))
        return logits.unflatten(0, (long, rows)).transpose(0, 1), torch.stack([all_[-rows:] for all_ in layers], 1)

    def reader(self) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Symbol by symbol, with what each symbol brings to the first layer worked out once."""
        if self.training:
            return self
        first, *above = cast("list[Layer]", list(self.layers))
        with torch.no_grad():
            table = linear(self.embedding.weight, first.input, first.bias)

        def read(tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
            if tokens.shape[1] != 1:
                return self(tokens, state)
            after = [first.step(state[:, 0], table.index_select(0, tokens[:, 0]))]
            for layer, before in zip(above, state.unbind(1)[1:]):
                after.append(layer.step(before, linear(self.given(after[-1]), layer.input, layer.bias)))
            state = torch.stack(after, 1) if above else after[0][:, None]
            return self.output(self.given(after[-1]))[:, None], state

        return read

    def read_lines(self, tokens: Int[Tensor, " N"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "N V"]:
        """Lines that have ended are left out, and prefixes that lines share are computed once.

        Below a dropout they may be: the states of a prefix are then copied to its lines before units are dropped.
        """
        drops = self.training and self.dropout.rate > 0
        share = len(lengths) * self.config.hidden >= WORTH_SHARING and (not drops or self.config.layers == 1)
        reading = in_turns(tokens, lengths, self.config.symbols, share)
        hidden = self.given(self.states(reading.ids, reading.turns, self.begin(1))[-1])
        if drops:
            return self.output(self.dropout(take(hidden, reading.row)))
        return take(self.output(hidden), reading.row)

    def states(self, ids: Int[Tensor, " M"], turns: Turns, state: Float[Tensor, "S L W"]) -> list[Float[Tensor, "K W"]]:
        """For each layer its states at all turns, the S first ones in front; row m reads symbol ids[m]."""
        x, chosen = self.embedding.weight, ids
        if len(x) > len(ids):  # fewer symbols are read than there are
            x, chosen = self.embedding(ids), None
        layers: list[Tensor] = []
        for layer, start in zip(self.layers, state.unbind(1)):
            if layers:
                x, chosen = self.dropout(self.given(layers[-1])), None
            layers.append(layer(x, chosen, start, turns))
        return layers

    def given(self, states: Float[Tensor, "M W"]) -> Float[Tensor, "M H"]:
        """What a layer gives upwards: its states, but for the part that is its own memory."""
        return states if self.wide == 1 else states[:, : self.config.hidden]


class RNN(Recurrent):
    """h' = tanh(x + W h).

    makemore's cell is this one: its matrix over [x, h] is `input` and `hidden` side by side, its bias `bias`, its start
    a learnt one.
    """

    def __init__(self, config: RNNConfig, seed: int = 0):
        super().__init__(config, seed)

    @staticmethod
    def op(config: RNNConfig) -> recurrence.Recurrence:
        return recurrence.RNN


class GRU(Recurrent):
    """Gated recurrent units; gates r, z, n, and z keeps the old state, as in torch.

    makemore's cell is this one with reset="before" and a learnt start: each of its matrices over [x, h] is a gate's
    `input` and `hidden` side by side. Its z lets the new state in, so here stand its z's weights and bias negated.
    """

    def __init__(self, config: GRUConfig, seed: int = 0):
        super().__init__(config, seed)

    @staticmethod
    def op(config: GRUConfig) -> recurrence.Recurrence:
        return recurrence.GRU if config.reset == "after" else recurrence.GRU_BEFORE


class LSTM(Recurrent):
    """Long short-term memory; gates o, i, f, g. A layer's state is h and c side by side.

    A forget gate begins open, with a bias of 1: Gers et al. 2000, section 4; Jozefowicz et al. 2015, section 2.
    """

    wide = 2

    def __init__(self, config: LSTMConfig, seed: int = 0):
        super().__init__(config, seed)
        with torch.no_grad():
            for layer in self.layers:
                nn.init.ones_(layer.get_parameter("bias")[2 * config.hidden : 3 * config.hidden])

    @staticmethod
    def op(config: LSTMConfig) -> recurrence.Recurrence:
        return recurrence.LSTM
