"""The mixture: a small network that weighs the predictions of many count tables against one another.

Sources: Mahoney, Adaptive Weighing of Context Models for Lossless Data Compression (2005), section 4: predictions are
mixed in the logarithm by weights that a network chooses; Kneser and Ney 1995 for continuation counts; leaving one out
after Ney, Essen and Kneser, On Structuring Probabilistic Dependences (1994), section 4. Where we differ: the weights
follow from how much each context has seen, a scorer looks at all predictions of each candidate together, and both are
learnt by gradient while each symbol is left out of its own counts.

One table holds whole lines so far: the list as a trie. What the mixture spends on known lines is said as `copy_mass`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from moreish.errors import ConfigError
from moreish.layers import Dropout, Embedding, Linear
from moreish.models.contexts import (
    CLASSES,
    LAST_PLACE,
    NAMES,
    Seen,
    keys_of,
    last_of,
    look,
    look_at_lines,
    nothing_seen,
)
from moreish.models.evidence import Candidates, entries_of, less_one, of_all, of_few
from moreish.models.model import LanguageModel, check_share, check_size, check_whole, device_of, setting
from moreish.models.tables import Tables, check_counted, count_tables, find, wrong
from moreish.ops.arithmetic import add, add_at, modulate, multiply, subtract, take, total, weigh
from moreish.ops.pointwise import relu
from moreish.randomness import stream

TABLES = len(NAMES)
EVERY_SYMBOL = 256
"""Symbols of an alphabet up to which each is a candidate everywhere; beyond, those that any table saw there."""
MOST_ROWS = 1 << 29
MOST_CELLS = 1 << 28
"""Rows x symbols up to which every row is written out once: 1 GiB. Beyond, those at hand are."""
HISTORY = 4
"""Last symbols that the gate sees."""
CELLS = 1 << 24
"""Counts looked at together when nothing is learnt: 64 MiB."""
LOOKED_AT, FEWER_LOOKED_AT = 3_000, 300
"""Positions from which the scale of each feature is found."""


@dataclass(frozen=True)
class MixtureConfig:
    """The mixture's settings; `rows` and `entries` are found by counting."""

    symbols: int
    gate: int = setting(64, "units that weigh the tables")
    scorer: int = setting(64, "units that score each candidate")
    dropout: float = setting(0.0, "share of the gate's units dropped while learning")
    rows: int = setting(0, "contexts that were seen; found by counting")
    entries: int = setting(0, "symbols seen in them; found by counting")

    def __post_init__(self) -> None:
        check_whole("MixtureConfig", "symbols", self.symbols, 1, 10**9, "It counts the alphabet and the boundary.")
        check_whole("MixtureConfig", "gate", self.gate, 1, 10**5, "Use 64, say.")
        check_whole("MixtureConfig", "scorer", self.scorer, 1, 10**5, "Use 64, say.")
        check_share("MixtureConfig", "dropout", self.dropout)
        check_whole("MixtureConfig", "rows", self.rows, 0, MOST_ROWS, "It is set by counting.")
        check_whole("MixtureConfig", "entries", self.entries, 0, MOST_ROWS, "It is set by counting.")
        if not self.rows <= self.entries <= self.rows * self.symbols:
            raise ConfigError(f"MixtureConfig: entries={self.entries:,} cannot be with {self.rows:,} rows.")
        check_size(
            "MixtureConfig",
            self.gate * (3 * TABLES + HISTORY * self.symbols + TABLES + self.symbols + 2 * self.scorer)
            + self.scorer * (2 * TABLES + min(self.symbols, EVERY_SYMBOL) + self.scorer),
            f"symbols={self.symbols:,}, gate={self.gate:,}, scorer={self.scorer:,}",
        )

    @property
    def scores_every_symbol(self) -> bool:
        """Whether every symbol is a candidate everywhere, with numbers of its own."""
        return self.symbols <= EVERY_SYMBOL


class Mixture(LanguageModel[Seen]):
    """logits = log unigram + weights(gate) . predictions + scorer(each candidate's predictions) + direct(gate)."""

    holds_list = True

    keys: Int[Tensor, " R"]
    row_starts: Int[Tensor, " R1"]
    entry_symbols: Int[Tensor, " E"]
    entry_counts: Int[Tensor, " E"]
    classes: Int[Tensor, "M V"]
    log_unigram: Float[Tensor, " V"]
    shift: Float[Tensor, " F"]
    scale: Float[Tensor, " F"]
    gate_shift: Float[Tensor, " G"]
    gate_scale: Float[Tensor, " G"]

    def __init__(self, config: MixtureConfig, seed: int = 0):
        super().__init__()
        self.config = config
        symbols, gate, scorer = config.symbols, config.gate, config.scorer
        generator = stream(seed, "weights")
        small = 0.6 / (3 * TABLES + LAST_PLACE + HISTORY * symbols) ** 0.5
        self.confidence = Linear(3 * TABLES, gate, generator=generator, then="relu", gain=small * (3 * TABLES) ** 0.5)
        self.place = Embedding(LAST_PLACE + 2, gate, generator=generator, deviation=small)
        self.history = Embedding(HISTORY * symbols, gate, generator=generator, deviation=small)
        self.weights = Linear(gate, TABLES, generator=generator, gain=0.0)
        self.candidate = Linear(2 * TABLES, scorer, generator=generator, then="relu", gain=0.6)
        self.candidate_gate = Linear(gate, scorer, generator=generator, then="relu", gain=0.6, bias=False)
        own = symbols if config.scores_every_symbol else 1
        self.candidate_symbol = Embedding(own, scorer, generator=generator, deviation=0.1)
        self.candidate_scale = Linear(gate, scorer, generator=generator, gain=0.6)
        self.second = Linear(scorer, scorer, generator=generator, then="relu", gain=0.6)
        self.score = Linear(scorer, 1, generator=generator, bias=False, output=True)
        self.direct = Linear(gate, symbols, generator=generator, output=True)
        self.dropout = Dropout(config.dropout)
        assert self.weights.bias is not None
        if not self.weights.bias.is_meta:
            nn.init.constant_(self.weights.bias, 2.0 / TABLES)
        self.register_buffer("keys", torch.zeros(config.rows, dtype=torch.int64))
        self.register_buffer("row_starts", torch.zeros(config.rows + 1, dtype=torch.int64))
        self.register_buffer("entry_symbols", torch.zeros(config.entries, dtype=torch.int32))
        self.register_buffer("entry_counts", torch.zeros(config.entries, dtype=torch.int32))
        self.register_buffer("classes", torch.zeros(len(CLASSES), symbols, dtype=torch.int64))
        self.register_buffer("log_unigram", torch.full((symbols,), -float(np.log(symbols))))
        self.register_buffer("shift", torch.zeros(2 * TABLES))
        self.register_buffer("scale", torch.ones(2 * TABLES))
        self.register_buffer("gate_shift", torch.zeros(3 * TABLES))
        self.register_buffer("gate_scale", torch.ones(3 * TABLES))
        self._dense: Tensor | None = None
        self.register_load_state_dict_post_hook(_forget)

    @classmethod
    def prepare(cls, config: MixtureConfig, ids: np.ndarray, seed: int = 0) -> Mixture:
        """A mixture with the tables of a list, `0 e m m a 0 a v a 0`, whose network has learnt nothing yet.

        Raises:
            ConfigError: the list is too long for its tables.
        """
        tables = count_tables(ids, config.symbols)
        model = cls(replace(config, rows=len(tables.keys), entries=len(tables.entry_counts)), seed)
        with torch.no_grad():
            for name in Tables.__annotations__:
                getattr(model, name).copy_(torch.from_numpy(getattr(tables, name)))
            model.forget_tables()
            model._find_scales(ids, seed)
        return model

    @property
    def waits_for_tables(self) -> bool:
        """Whether nothing was counted yet, so that what weighs the tables has nothing to weigh."""
        return not len(self.keys)

    def begin(self, batch: int) -> Seen:
        return nothing_seen(batch, device_of(self))

    def forward(self, tokens: Int[Tensor, "B T"], state: Seen) -> tuple[Float[Tensor, "B T V"], Seen]:
        seen = look(tokens.long(), state, self.classes)
        flat = Seen(*(getattr(seen, name).flatten(0, 1) for name in Seen.__slots__))
        logits = self._logits(flat) if tokens.numel() else self.log_unigram.new_zeros(0, self.config.symbols)
        return logits.view(*tokens.shape, self.config.symbols), last_of(seen, state)

    def read_lines(self, tokens: Int[Tensor, " N"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "N V"]:
        return self._logits(look_at_lines(tokens, lengths, self.classes))

    def learning_logits(
        self, tokens: Int[Tensor, " N"], targets: Int[Tensor, " N"], lengths: Int[Tensor, " B"]
    ) -> Float[Tensor, "N V"]:
        """Scores with each target left out of its own counts: what an unseen line will look like. No distribution."""
        return self._logits(look_at_lines(tokens, lengths, self.classes), targets)

    def forget_tables(self) -> None:
        """Drop what was computed from the buffers, after they have changed."""
        self._dense = None

    def check_tables(self) -> None:
        """Refuse tables that no counting gives.

        Raises:
            ConfigError: says which one.
        """
        check_counted(self.keys, self.row_starts, self.entry_symbols, self.entry_counts, self.classes, self.log_unigram)
        for name in ("shift", "scale", "gate_shift", "gate_scale"):
            table = getattr(self, name)
            if not bool(table.isfinite().all()) or (name.endswith("scale") and not bool((table > 0).all())):
                raise wrong(name)

    def counts(self, seen: Seen, targets: Int[Tensor, " N"] | None) -> Float[Tensor, "N K V"]:
        """How often each symbol was seen in each context, one occurrence of the target left out where it is given."""
        rows = self._rows(seen)
        if self.config.rows * self.config.symbols <= MOST_CELLS:
            counts = self._table().index_select(0, rows.flatten())
        else:
            _, cell, at = entries_of(rows, self.row_starts)
            counts = self.log_unigram.new_zeros(rows.numel(), self.config.symbols)
            counts[cell, self.entry_symbols[at].long()] = self.entry_counts[at].to(counts.dtype)
        counts = counts.view(-1, TABLES, self.config.symbols)
        if targets is not None:
            every = torch.arange(len(targets), device=counts.device)
            own = counts[every, :, targets]
            counts[every, :, targets] = own - less_one(own, seen.back)
        return counts

    def few(self, seen: Seen, targets: Int[Tensor, " N"] | None) -> Candidates:
        """What is known of the symbols that any table saw: `counts` and their features, for a large alphabet."""
        return of_few(
            self._rows(seen), self.row_starts, self.entry_symbols, self.entry_counts, self.log_unigram.exp(), targets,
            seen.back,
        )  # fmt: skip

    def _rows(self, seen: Seen) -> Int[Tensor, "N K"]:
        return find(self.keys, keys_of(seen, self.classes))

    def _logits(self, seen: Seen, targets: Int[Tensor, " N"] | None = None) -> Float[Tensor, "N V"]:
        if targets is not None or torch.is_grad_enabled():
            return self._mixed(seen, targets)
        # Lines that begin alike are alike up to there.
        alike, which = torch.unique(seen.prefixes[:, 0], return_inverse=True)
        one = torch.zeros_like(alike).scatter_(0, which, torch.arange(len(which), device=which.device))
        at_once = max(1, CELLS // (TABLES * self.config.symbols))
        return torch.cat([self._mixed(seen.at(rows), None) for rows in one.split(at_once)])[which]

    def _mixed(self, seen: Seen, targets: Int[Tensor, " N"] | None) -> Float[Tensor, "N V"]:
        if not self.config.scores_every_symbol:
            return self._mixed_few(seen, targets)
        with torch.no_grad():
            ratios, known = of_all(self.counts(seen, targets), self.log_unigram.exp())
            candidates = (ratios.transpose(1, 2) - self.shift) / self.scale
        gate = self._gate(seen, known)
        logits = add(self.log_unigram, weigh(self.weights(gate), ratios[:, :TABLES]))
        hidden = add(self.candidate(candidates), self.candidate_gate(gate)[:, None])
        hidden = add(hidden, self.candidate_symbol.weight)
        return add(add(logits, self._score(hidden, self.candidate_scale(gate)[:, None])), self.direct(gate))

    def _mixed_few(self, seen: Seen, targets: Int[Tensor, " N"] | None) -> Float[Tensor, "N V"]:
        """The same over the candidates that any table saw; all others of a position share one score."""
        with torch.no_grad():
            few = self.few(seen, targets)
            candidates = (few.features - self.shift) / self.scale
            positions = torch.arange(len(few.confidence), device=few.position.device)
            where = torch.cat([few.position, positions])
        gate = self._gate(seen, few.confidence)
        linear = total(multiply(take(self.weights(gate), where), few.features[:, :TABLES]), axis=1)
        hidden = add(self.candidate(candidates), take(self.candidate_gate(gate), where))
        hidden = add(hidden, self.candidate_symbol.weight)
        scores = add(linear, self._score(hidden, take(self.candidate_scale(gate), where)))
        known, others = scores.split([len(few.position), len(positions)])
        logits = add(add(self.log_unigram, others[:, None]), self.direct(gate))
        cells = few.position * self.config.symbols + few.symbol
        return add_at(logits.flatten(), cells, subtract(known, take(others, few.position))).view(logits.shape)

    def _gate(self, seen: Seen, known: Float[Tensor, "N G"]) -> Float[Tensor, "N H"]:
        """Units that see how much each table has seen, the place, and the last symbols."""
        steps = torch.arange(HISTORY, device=seen.place.device) * self.config.symbols
        gate = self.confidence((known - self.gate_shift) / self.gate_scale)
        gate = add(gate, self.place((seen.place + 1).clamp(max=LAST_PLACE + 1)))
        return self.dropout(relu(add(gate, total(self.history(seen.back[:, :HISTORY] + steps), axis=1))))

    def _score(self, hidden: Float[Tensor, "*C S"], scale: Float[Tensor, "*#C S"]) -> Float[Tensor, "*C"]:
        return self.score(relu(self.second(modulate(relu(hidden), scale))))[..., 0]

    def _table(self) -> Float[Tensor, "R V"]:
        """Every row written out, and one more of zeros for contexts never seen."""
        dtype = self.log_unigram.dtype
        if self._dense is None or self._dense.dtype != dtype:
            rows = torch.repeat_interleave(
                torch.arange(len(self.keys), device=self.keys.device), self.row_starts.diff()
            )
            dense = torch.zeros(len(self.keys) + 1, self.config.symbols, dtype=dtype, device=self.keys.device)
            dense[rows, self.entry_symbols.long()] = self.entry_counts.to(dtype)
            self._dense = dense
        return self._dense

    def _find_scales(self, ids: np.ndarray, seed: int) -> None:
        """Bring every feature to mean 0 and deviation 1, as it looks on symbols left out of their counts."""
        looked_at = LOOKED_AT if self.config.scores_every_symbol else FEWER_LOOKED_AT
        ends = np.flatnonzero(ids == 0)
        lines = torch.randperm(len(ends) - 1, generator=stream(seed, "scales")).numpy()
        lengths = np.diff(ends)[lines]
        lines = lines[: max(1, int(np.searchsorted(np.cumsum(lengths), looked_at)))]
        tokens = torch.from_numpy(np.concatenate([ids[ends[i] : ends[i + 1]] for i in lines]).astype(np.int64))
        targets = torch.from_numpy(np.concatenate([ids[ends[i] + 1 : ends[i + 1] + 1] for i in lines]).astype(np.int64))
        seen = look_at_lines(tokens, torch.from_numpy(np.diff(ends)[lines]), self.classes)
        if self.config.scores_every_symbol:
            features, known = of_all(self.counts(seen, targets), self.log_unigram.exp())
            flat = features.transpose(1, 2).reshape(-1, 2 * TABLES)
        else:
            _, _, flat, known = self.few(seen, targets)
        self.shift.copy_(flat.mean(0))
        self.scale.copy_(flat.std(0, correction=0) + 1e-3)
        self.gate_shift.copy_(known.mean(0))
        self.gate_scale.copy_(known.std(0, correction=0) + 1e-2)

    def _apply(self, fn, recurse=True):
        self.forget_tables()
        return super()._apply(fn, recurse)

    def __getstate__(self):
        return {**super().__getstate__(), "_dense": None}

    def __deepcopy__(self, memo):
        """A copy shares no tensor, but need not copy what can be computed again."""
        copied = type(self)(self.config)
        memo[id(self)] = copied
        copied.to(self.log_unigram.dtype).to(device_of(self))
        copied.load_state_dict(self.state_dict())
        copied.train(self.training)
        return copied


def _forget(model: Mixture, _: Any) -> None:
    model.forget_tables()
