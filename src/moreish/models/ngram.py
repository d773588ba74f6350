"""Count models: unigram, bigram and n-gram of any order, read as an automaton of contexts.

Source: Shannon, A Mathematical Theory of Communication (1948), section 3 (n-grams of letters); smoothing as in
`smoothing.py`. Where we differ from a model of fixed windows: the state is the longest seen suffix of what was read,
one number a line, so reading a symbol costs one look-up whatever the order (`docs/decisions/0003-automaton.md`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from moreish.errors import ConfigError
from moreish.models.counts import HIGHEST_ORDER, Grams
from moreish.models.model import LanguageModel, check_whole
from moreish.models.smoothing import Automaton, fit_automaton, parse_smoothing

DENSE_CELLS = 1 << 23
"""Up to here (states x symbols) every distribution is written out: 8 MB for the 5-gram of 30,000 names."""
MOST_SYMBOLS = 2_000_000
MOST_EDGES = 2**31 - 1


@dataclass(frozen=True)
class NGramConfig:
    """An n-gram model's settings; `states` and `edges` are found by fitting."""

    symbols: int
    order: int = 5
    smoothing: str = "kneser-ney"
    states: int = 1
    edges: int = 0

    def __post_init__(self) -> None:
        name = type(self).__name__
        check_whole(name, "symbols", self.symbols, 1, MOST_SYMBOLS, "It counts the alphabet and the boundary.")
        check_whole(name, "order", self.order, 1, HIGHEST_ORDER, "Orders over 8 rarely help.")
        check_whole(name, "states", self.states, 1, MOST_EDGES, "It is set by fitting.")
        check_whole(name, "edges", self.edges, 0, MOST_EDGES, "It is set by fitting.")
        parse_smoothing(self.smoothing)
        if self.edges == 0:
            object.__setattr__(self, "edges", self.symbols)
        if self.edges < self.symbols or self.edges > self.states * self.symbols:
            raise ConfigError(
                f"{name}: edges={self.edges} cannot be with {self.states} states of {self.symbols} symbols."
            )


@dataclass(frozen=True)
class UnigramConfig(NGramConfig):
    """How often each symbol stands anywhere; order 1."""

    order: int = 1
    smoothing: str = "add-1"

    def __post_init__(self) -> None:
        if self.order != 1:
            raise ConfigError(f"unigram: order={self.order} is not 1. Use the model ngram for other orders.")
        super().__post_init__()


@dataclass(frozen=True)
class BigramConfig(NGramConfig):
    """The lectures' first model: which symbol follows which; order 2."""

    order: int = 2
    smoothing: str = "add-1"

    def __post_init__(self) -> None:
        if self.order != 2:
            raise ConfigError(f"bigram: order={self.order} is not 2. Use the model ngram for other orders.")
        super().__post_init__()


class NGram(LanguageModel[Tensor]):
    """An n-gram model with back-off. Fresh, it is uniform; `fit` gives the model of some counts.

    State: int32 [B], the automaton's state. Logits are natural logarithms of probabilities, float64.
    """

    fitted_by_counting: ClassVar[bool] = True
    row_starts: Int[Tensor, " R"]
    edge_symbols: Int[Tensor, " E"]
    edge_counts: Int[Tensor, " E"]
    edge_log_probs: Float[Tensor, " E"]
    edge_next: Int[Tensor, " E"]
    log_backoff: Float[Tensor, " S"]
    suffix: Int[Tensor, " S"]
    oldest: Int[Tensor, " S"]

    def __init__(self, config: NGramConfig, seed: int = 0):
        """`seed` is part of every model's signature; counting needs none."""
        super().__init__()
        self.config = config
        states, edges, symbols = config.states, config.edges, config.symbols
        starts = torch.full((states + 1,), edges, dtype=torch.int64)
        starts[0] = 0
        self.register_buffer("row_starts", starts)
        edge_symbols = torch.zeros(edges, dtype=torch.int32)
        if not edge_symbols.is_meta:  # only shapes are asked for there, and this loads sympy: a second
            edge_symbols = torch.arange(edges, dtype=torch.int64).remainder(symbols).int()
        self.register_buffer("edge_symbols", edge_symbols)
        self.register_buffer("edge_counts", torch.zeros(edges, dtype=torch.int64))
        self.register_buffer("edge_log_probs", torch.full((edges,), -float(np.log(symbols)), dtype=torch.float64))
        self.register_buffer("edge_next", torch.zeros(edges, dtype=torch.int32))
        self.register_buffer("log_backoff", torch.zeros(states, dtype=torch.float64))
        self.register_buffer("suffix", torch.zeros(states, dtype=torch.int32))
        self.register_buffer("oldest", torch.zeros(states, dtype=torch.int32))
        self._dense_tables: tuple[Tensor, Tensor] | None = None
        self._keys: Tensor | None = None
        self._edge_owners: Tensor | None = None
        self._smoothing = parse_smoothing(config.smoothing)[0]
        self.register_load_state_dict_post_hook(lambda module, _: module.forget_tables())

    @classmethod
    def fit(cls, config: NGramConfig, grams: Grams) -> NGram:
        """The model of these counts, whose order and alphabet must be the config's."""
        assert grams.order == config.order and grams.symbols == config.symbols, "counts of another order or alphabet"
        tables = fit_automaton(grams, config.smoothing)
        fitted = replace(config, states=len(tables.suffix), edges=len(tables.edge_symbols))
        model = cls(fitted)
        model.load_state_dict({name: torch.from_numpy(getattr(tables, name)) for name in Automaton.__annotations__})
        return model

    @property
    def start(self) -> int:
        """The state at a line's start."""
        return 1 if self.config.order > 1 and self.config.states > 1 else 0

    @property
    def interpolated(self) -> bool:
        """Whether a symbol not seen in a context takes its probability from the context's suffix, not from 1/V."""
        return self._smoothing in ("kneser-ney", "witten-bell")

    @property
    def is_dense(self) -> bool:
        """Whether every distribution is written out as a row."""
        return self.config.states * self.config.symbols <= DENSE_CELLS

    def begin(self, batch: int) -> Int[Tensor, " B"]:
        return torch.full((batch,), self.start, dtype=torch.int32, device=self.suffix.device)

    def forward(
        self, tokens: Int[Tensor, "B T"], state: Int[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B T V"], Int[Tensor, " B"]]:
        rows = []
        for t in range(tokens.shape[1]):
            state = self.look_up(state, tokens[:, t])[1]
            rows.append(self.rows(state))
        if not rows:
            return self.log_backoff.new_zeros(len(tokens), 0, self.config.symbols), state
        return torch.stack(rows, 1), state

    def target_nats(
        self, tokens: Int[Tensor, "B T"], targets: Int[Tensor, "B T"], state: Int[Tensor, " B"]
    ) -> Float[Tensor, "B T"]:
        columns = []
        in_order = torch.equal(tokens[:, 1:], targets[:, :-1])  # as when a line is scored: one look-up gives both
        tokens, targets = tokens.T.contiguous(), targets.T.contiguous()
        for t in range(len(tokens)):
            if t == 0 or not in_order:
                state = self.look_up(state, tokens[t])[1]
            log_probs, after = self.look_up(state, targets[t])
            columns.append(log_probs.neg_())
            state = after if in_order else state
        return torch.stack(columns, 1) if columns else self.log_backoff.new_zeros(tokens.T.shape)

    def look_up(
        self, state: Int[Tensor, " B"], symbol: Int[Tensor, " B"]
    ) -> tuple[Float[Tensor, " B"], Int[Tensor, " B"]]:
        """The log-probability of each symbol in each state, and the state after it."""
        if self.is_dense:
            log_probs, after = self.tables()
            cell = state.long().mul(self.config.symbols).add_(symbol)
            return log_probs.view(-1).index_select(0, cell), after.view(-1).index_select(0, cell)
        origin, symbol = state.long(), symbol.long()
        edge = self.find_edges(origin, symbol)
        lost = self.log_backoff.new_zeros(len(origin))
        unseen = missing = (edge < 0).nonzero()[:, 0]
        at = origin[missing]
        while len(missing):
            lost[missing] += self.log_backoff[at]
            at = self.suffix[at].long()
            found = self.find_edges(at, symbol[missing])
            edge[missing] = found
            missing, at = missing[found < 0], at[found < 0]
        log_probs = self.edge_log_probs[edge] + lost
        if not self.interpolated:
            log_probs[unseen] = self.log_backoff[origin[unseen]] - float(np.log(self.config.symbols))
        return log_probs, self.edge_next[edge]

    def find_edges(self, state: Int[Tensor, " B"], symbol: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        """Which edge leaves each state with each symbol, or -1."""
        keys = self._keys
        if keys is None:
            keys = self._keys = self._owners() * self.config.symbols + self.edge_symbols
        key = state.long() * self.config.symbols + symbol
        at = torch.searchsorted(keys, key).clamp_(max=len(keys) - 1)
        return torch.where(keys[at] == key, at, -1)

    def rows(self, state: Int[Tensor, " B"]) -> Float[Tensor, "B V"]:
        """The log-probabilities of every symbol in each state."""
        if self.is_dense:
            return self.tables()[0][state.long()]
        distinct, inverse = state.long().unique(return_inverse=True)
        chain = [distinct]  # each state, its suffix, and so on down to the root
        while bool((chain[-1] > 0).any()):
            chain.append(self.suffix[chain[-1]].long())
        out = self._edge_row(0).expand(len(distinct), -1).clone()
        for deeper in reversed(chain):
            self._overlay(out, deeper, (deeper > 0).nonzero()[:, 0])
        return out.log_()[inverse]

    def tables(self) -> tuple[Float[Tensor, "S V"], Int[Tensor, "S V"]]:
        """For each state and symbol the log-probability and the state after, written out.

        Only for models where `is_dense`: large alphabets would need gigabytes.
        """
        if self._dense_tables is None:
            states, symbols = self.config.states, self.config.symbols
            depth = self.depths()
            log_probs = self.log_backoff.new_empty(states, symbols)
            after = self.edge_next.new_empty(states, symbols)
            log_probs[0], after[0] = self._edge_row(0), self.edge_next[: self.config.symbols]
            for level in range(1, int(depth.max()) + 1):
                here = (depth == level).nonzero()[:, 0]
                block = log_probs[self.suffix[here].long()]
                self._overlay(block, here, torch.arange(len(here), device=here.device))
                log_probs[here] = block
                after[here] = after[self.suffix[here].long()]
                edge, _ = self._edges_of(here)
                after[self._owners()[edge], self.edge_symbols[edge].long()] = self.edge_next[edge]
            self._dense_tables = log_probs.log_(), after
        return self._dense_tables

    def depths(self) -> Int[Tensor, " S"]:
        """The length of each state's context, the start symbol counted."""
        depth = torch.zeros_like(self.suffix)
        at = torch.arange(len(depth), device=depth.device)
        while bool((at > 0).any()):
            depth += at > 0
            at = self.suffix[at].long()
        return depth

    def context_symbols(self, state: int) -> list[int]:
        """The ids of a state's context, oldest first; 0 leads where it begins a line."""
        out: list[int] = []
        while state:
            out.append(int(self.oldest[state]))
            state = int(self.suffix[state])
        return out

    def check_tables(self) -> None:
        """Refuse tables that no fitting gives: reading them could run for ever or off their ends.

        Raises:
            ConfigError: says which table is wrong.
        """
        states, edges, symbols = self.config.states, self.config.edges, self.config.symbols
        sizes = self.row_starts.diff()
        numbers = torch.arange(states)
        sound = {
            "row_starts": bool((sizes >= 0).all() and self.row_starts[0] == 0 and self.row_starts[-1] == edges),
            "suffix": bool((self.suffix[1:] < numbers[1:]).all() and (self.suffix >= 0).all() and self.suffix[0] == 0),
            "edge_next": bool(((self.edge_next >= 0) & (self.edge_next < states)).all()),
            "edge_symbols": bool(((self.edge_symbols >= 0) & (self.edge_symbols < symbols)).all()),
            "oldest": bool(((self.oldest >= 0) & (self.oldest < symbols)).all()),
            "edge_counts": bool((self.edge_counts >= 0).all()),
            "edge_log_probs": bool((self.edge_log_probs <= 1e-9).all()),  # false for NaN too
            "log_backoff": bool((self.log_backoff <= 1e-9).all()),
        }
        if all(sound.values()):
            root = self.edge_symbols[: int(self.row_starts[1])]
            sound["edge_symbols"] = bool(torch.equal(root, torch.arange(symbols, dtype=root.dtype)))
            keys = self._owners() * symbols + self.edge_symbols
            sound["edge_symbols"] &= bool((keys.diff() > 0).all())
            context = numbers
            for _ in range(self.config.order - 1):  # no context is longer, so that following its suffixes soon ends
                context = self.suffix[context]
            sound["suffix"] = not bool(context.any())
        wrong = [name for name, good in sound.items() if not good]
        if wrong:
            raise ConfigError(f"the model's table {wrong[0]} is not one that fitting gives. Train again.")

    def forget_tables(self) -> None:
        """Drop what was computed from the buffers, after they have changed."""
        self._dense_tables = self._keys = self._edge_owners = None

    def _apply(self, fn, recurse=True):
        self.forget_tables()
        return super()._apply(fn, recurse)

    def _owners(self) -> Int[Tensor, " E"]:
        if self._edge_owners is None:
            sizes = self.row_starts.diff()
            self._edge_owners = torch.repeat_interleave(torch.arange(len(sizes), device=sizes.device), sizes)
        return self._edge_owners

    def _edge_row(self, state: int) -> Float[Tensor, " V"]:
        first, end = int(self.row_starts[state]), int(self.row_starts[state + 1])
        return self.edge_log_probs[first:end].exp()

    def _edges_of(self, states: Int[Tensor, " N"]) -> tuple[Int[Tensor, " K"], Int[Tensor, " K"]]:
        """All edges of some states, and to which of the states (by position) each belongs."""
        first = self.row_starts[states]
        sizes = self.row_starts[states + 1] - first
        position = torch.repeat_interleave(torch.arange(len(states), device=states.device), sizes)
        before = sizes.cumsum(0) - sizes
        edge = torch.arange(len(position), device=states.device) - before[position] + first[position]
        return edge, position

    def _overlay(self, block: Float[Tensor, "N V"], states: Int[Tensor, " N"], rows: Int[Tensor, " K"]) -> None:
        """Turn probabilities of the suffixes, in place, into those of `states`, for the given rows of the block."""
        states = states[rows]
        gamma = self.log_backoff[states].exp()[:, None]
        block[rows] = (
            block[rows] * gamma if self.interpolated else (gamma / self.config.symbols).expand(-1, block.shape[1])
        )
        edge, position = self._edges_of(states)
        block[rows[position], self.edge_symbols[edge].long()] = self.edge_log_probs[edge].exp()
