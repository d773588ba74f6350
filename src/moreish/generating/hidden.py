"""Contexts that a network cannot well tell apart: those after which its hidden state points the same way.

The hidden state is what the last linear layer reads, so that the logits are a linear map of it and nothing else. It is
seen where that layer's product is taken (`TorchFunctionMode`), so a model needs to know nothing of this. Compared by
cosine, as in Mikolov et al. 2013, Linguistic Regularities in Continuous Space Word Representations, section 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from moreish.layers import Linear
from moreish.learning.recipe import Trained
from moreish.models.model import LanguageModel, WindowModel, device_of, select
from moreish.randomness import stream
from moreish.shapes import BOUNDARY

CONTEXTS = 20_000
"""Training contexts that a line's are compared with; of a longer list, those of lines drawn by a fixed seed."""
LONGEST = 1_000
"""Symbols of a training line that are read."""
CELLS_AT_ONCE = 1 << 22
"""Logits held at a time."""
NEAREST = 3


@dataclass(frozen=True)
class Near:
    """A training context near by: its `cosine` with the context in question, and what came after it.

    It was `seen` so often in the training lines that were compared, and `followed` by the symbol in question so often;
    `line` is the first of them, where `next` follows the context at `position`.
    """

    context: str
    from_start: bool
    cosine: float
    seen: int
    followed: int
    line: str
    position: int
    next: str


class _OutputInputs(TorchFunctionMode):
    """While open, keeps what is multiplied by given weights."""

    def __init__(self, weights: list[Tensor]):
        super().__init__()
        self.weights = weights
        self.seen: dict[int, Tensor] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.linear and len(args) > 1:
            for i, weight in enumerate(self.weights):
                if args[1] is weight:
                    self.seen[i] = args[0].detach()
        return func(*args, **(kwargs or {}))


def output_weights(model: LanguageModel[Any]) -> list[Tensor]:
    """The weights whose products with the hidden state are the logits; empty where logits are no such sum.

    Our layers say of themselves that they give the logits; of a model of one's own it is the last `nn.Linear` with an
    output for each symbol.
    """
    symbols = int(model.config.symbols)
    if model.fitted_by_counting:
        return []
    ours: list[Tensor] = [m.get_parameter("weight") for m in model.modules() if getattr(m, "output", False) is True]
    if ours:
        return ours if all(w.shape[0] == symbols for w in ours) else []
    linear: list[Tensor] = [
        m.weight for m in model.modules() if isinstance(m, (nn.Linear, Linear)) and m.weight.shape[0] == symbols
    ]
    return linear[-1:]


@torch.no_grad()
def hidden_states(model: LanguageModel[Any], lines: list[np.ndarray]) -> list[Float[Tensor, "T H"]] | None:
    """The hidden state after each symbol of some lines, float32; None where the model has none that can be seen.

    Read symbol by symbol, all lines at once, so that whatever order a model computes in, its rows are the lines.

    Args:
        lines: ids as they are read, the boundary first: `0 e m m a`; int [T], of any lengths.
    """
    weights = output_weights(model)
    if not weights:
        return None
    model.eval()
    device = device_of(model)
    out: list[Tensor] = [torch.zeros(0)] * len(lines)
    order = sorted(range(len(lines)), key=lambda i: -len(lines[i]))
    at_once = max(1, CELLS_AT_ONCE // int(model.config.symbols))
    for first in range(0, len(order), at_once):
        chosen = order[first : first + at_once]
        sizes = np.array([len(lines[i]) for i in chosen])
        tokens = np.zeros((len(chosen), int(sizes[0])), np.int64)
        for row, i in enumerate(chosen):
            tokens[row, : len(lines[i])] = lines[i]
        columns = list(_columns(model, torch.from_numpy(tokens).to(device), sizes, weights))
        if any(column is None for column in columns):
            return None
        for row, i in enumerate(chosen):  # and not padded: one long line among many would take gigabytes
            out[i] = torch.stack([column[row] for column in columns[: len(lines[i])] if column is not None])
    return out


def _columns(
    model: LanguageModel[Any], tokens: Tensor, sizes: np.ndarray, weights: list[Tensor]
) -> Iterator[Float[Tensor, "B H"] | None]:
    """The states after each step, of the lines that have not ended: the first ones, for the longest come first."""
    state = model.begin(len(tokens))
    going = len(tokens)
    for t in range(tokens.shape[1]):
        left = int((sizes > t).sum())
        if left < going:
            state, going = select(state, torch.arange(left, device=tokens.device)), left
        with _OutputInputs(weights) as watch:
            _, state = model(tokens[:going, t : t + 1], state)
        parts = [watch.seen[i].reshape(going, -1) for i in sorted(watch.seen) if watch.seen[i].numel()]
        yield torch.cat(parts, 1).float().cpu() if len(parts) == len(weights) else None


class HiddenStates:
    """The hidden states after training contexts, each kept once however many lines begin with it.

    Contexts that the model cannot tell apart at all are one: for a `WindowModel` those with the same last C symbols,
    for others those with the same symbols since the line's start.
    """

    def __init__(self, trained: Trained, lines: list[np.ndarray], states: list[Tensor]):
        self.trained, self.lines = trained, lines
        self.numbers: dict[bytes, int] = {}
        self.first: list[tuple[int, int]] = []
        kept: list[Tensor] = []
        groups, after = [], []
        for i, line in enumerate(lines):
            read = line[:-1]
            for t in range(len(read)):
                key = self._key(read[: t + 1])
                number = self.numbers.setdefault(key, len(self.first))
                if number == len(self.first):
                    self.first.append((i, t))
                    kept.append(states[i][t])
                groups.append(number)
            after.append(line[1:])
        self.groups = np.array(groups)
        self.after = np.concatenate(after)
        self.directions = F.normalize(torch.stack(kept), dim=1)

    def near(self, read: np.ndarray, symbol: int, state: Float[Tensor, " H"]) -> list[Near]:
        """The contexts nearest to `read` (ids, the boundary first), whose hidden state is `state`, nearest first."""
        cosines = self.directions @ F.normalize(state, dim=0)
        own = self.numbers.get(self._key(read))
        if own is not None:
            cosines[own] = -torch.inf
        found = cosines.topk(min(NEAREST, len(cosines)))
        pairs = zip(found.indices.tolist(), found.values.tolist())
        return [self._near(group, cosine, symbol) for group, cosine in pairs if group != own]

    def _near(self, group: int, cosine: float, symbol: int) -> Near:
        line, at = self.first[group]
        ids, alphabet = self.lines[line], self.trained.alphabet
        context = self._seen(ids[: at + 1])
        from_start = bool(context[0] == BOUNDARY)
        after = self.after[self.groups == group]
        inside = ids[1:-1] if ids[-1] == BOUNDARY else ids[1:]
        follows = int(ids[at + 1])
        return Near(
            context=alphabet.decode(context[int(from_start) :].tolist()),
            from_start=from_start,
            cosine=max(-1.0, min(1.0, cosine)),
            seen=len(after),
            followed=int((after == symbol).sum()),
            line=alphabet.decode(inside.tolist()),
            position=at,
            next=alphabet.symbols[follows - 1] if follows else "",
        )

    def _seen(self, read: np.ndarray) -> np.ndarray:
        model = self.trained.model
        return read[max(0, len(read) - model.context) :] if isinstance(model, WindowModel) else read

    def _key(self, read: np.ndarray) -> bytes:
        return self._seen(read).tobytes()


def hidden_of(trained: Trained) -> HiddenStates | None:
    """The states after training contexts, computed once and kept with the run; None where there are none to be had."""
    if trained.hashes is not None or not output_weights(trained.model):
        return None
    return trained.once("hidden states", lambda: _computed(trained))


def _computed(trained: Trained) -> HiddenStates | None:
    lines = _drawn(trained)
    states = hidden_states(trained.model, [line[:-1] for line in lines])
    return None if states is None else HiddenStates(trained, lines, states)


def _drawn(trained: Trained) -> list[np.ndarray]:
    """Lines with `CONTEXTS` contexts, in ids with both boundaries; what is over `LONGEST` symbols is cut."""
    unique = trained.corpus.unique_train
    order = torch.randperm(len(unique), generator=stream(0, "hidden states")).numpy()[:CONTEXTS]
    ids = trained.alphabet.encode_lines(unique.take(order))
    places = np.flatnonzero(ids == BOUNDARY)
    lines, contexts = [], 0
    for start, end in zip(places[:-1].tolist(), places[1:].tolist()):
        line = ids[start : min(end, start + LONGEST) + 1]
        lines.append(line)
        contexts += len(line) - 1
        if contexts >= CONTEXTS:
            break
    return lines
