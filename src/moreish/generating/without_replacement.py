"""Distinct lines: successive draws without replacement, all at once, by perturbed log-probabilities.

Each line's log-probability gets Gumbel noise; the k highest are k draws without replacement, in their order. Noise is
drawn from the top of the tree down, each beginning's being the largest of its ends': Kool, van Hoof and Welling 2019,
Stochastic Beams and Where to Find Them, section 4 and appendix B. Beams there use scores of unfinished lines; under
conditions these are the exact sums of `Paths.sums`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from moreish.errors import Impossible, UsageError
from moreish.generating.beam import Kept, PathTree, Tree, highest
from moreish.generating.draws import PLAIN, How, adjust
from moreish.generating.paths import Paths
from moreish.generating.prefixes import map_state
from moreish.generating.rows import reading
from moreish.models.model import LanguageModel, device_of, select
from moreish.shapes import BOUNDARY
from moreish.text.alphabet import Alphabet, printable

MOST_CELLS = 1 << 27
"""Lines x symbols that a model read along the way may have: 1 GiB of log-probabilities."""


@dataclass(frozen=True, eq=False)
class Distinct:
    """Lines in the order in which they would be drawn, each once; fewer than asked for where there are no more.

    Shapes: nats float64 [n], of the whole line under the model as it was trained; log_probs float64 [n], of being the
    first one drawn, after temperature and under the conditions; cut bool [n], had not ended at the most symbols.
    """

    texts: list[str]
    nats: np.ndarray
    log_probs: np.ndarray
    cut: np.ndarray


def draw_distinct(paths: Paths, alphabet: Alphabet, count: int, generator: torch.Generator) -> Distinct:
    """Lines that meet conditions, without replacement: exact draws, none of them cut.

    Args:
        generator: on the processor, as paths are.

    Raises:
        Impossible: the model gives what is meant no probability at all.
    """
    ahead = paths.sums
    if ahead.log_total == -torch.inf:
        raise Impossible("no line is like that: this model, without smoothing, never saw one. Loosen the conditions.")
    tree = PathTree(ahead)
    kept = highest(Perturbed(tree, generator), count)
    return _distinct(kept, alphabet, ahead.log_total, np.zeros(len(kept), bool))


def draw_distinct_from(
    model: LanguageModel[Any],
    alphabet: Alphabet,
    count: int,
    max_length: int,
    generator: torch.Generator,
    how: How = PLAIN,
    prefix: str = "",
) -> Distinct:
    """Lines of any model without replacement; a beginning is all that can be asked of them.

    A line of `max_length` symbols counts as cut: whether it would end there is not asked, and is not in its nats.

    Args:
        generator: on the processor, wherever the model is.
        how: temperature, top-k and top-p.

    Raises:
        Impossible: the model gives the prefix no probability at all.
        UsageError: more lines than fit in memory, or a prefix that leaves no room.
        AlphabetError: the prefix holds a symbol that the alphabet lacks.
    """
    if count > most_distinct(model):
        raise UsageError(
            f"{count:,} distinct lines of a model of {int(model.config.symbols):,} symbols would need too much memory. "
            f"Ask for {most_distinct(model):,} at most."
        )
    begun = alphabet.encode(alphabet.spelling(prefix)) if prefix else []
    if len(begun) >= max_length:
        raise UsageError(
            f"the prefix has {len(begun)} symbols, and a line at most {max_length}. "
            f"Use a shorter prefix or a larger --max-length."
        )
    model.eval()
    tree = ModelTree(model, begun, max_length, how)
    spent = float(tree.totals[0, 0])
    if spent == torch.inf:
        raise Impossible(
            f"no line can begin with {printable(prefix)!r:.60}: this model, without smoothing, never saw that. "
            f"Use another prefix, or train with --smoothing kneser-ney."
        )
    kept = highest(Perturbed(tree, generator), count)
    begin = torch.tensor(begun, dtype=torch.int32).expand(len(kept), -1)
    kept = Kept(
        torch.cat([begin, kept.ids], 1), kept.lengths + len(begun), kept.scores, kept.nats, kept.log_probs
    )  # fmt: skip
    return _distinct(kept, alphabet, tree.log_not_empty, (kept.lengths >= max_length).numpy())


def most_distinct(model: LanguageModel[Any]) -> int:
    """How many lines of a model can be drawn without replacement."""
    return MOST_CELLS // int(model.config.symbols)


def _distinct(kept: Kept, alphabet: Alphabet, log_total: float, cut: np.ndarray) -> Distinct:
    texts = alphabet.decode_rows(kept.ids.numpy(), kept.lengths.numpy())
    return Distinct(texts, kept.nats.numpy(), kept.log_probs.numpy() - log_total, cut)


class Perturbed(Tree):
    """A tree of log-probabilities with Gumbel noise on each, given that the largest below a line is the line's own."""

    def __init__(self, tree: Tree, generator: torch.Generator):
        self.tree, self.generator, self.symbols = tree, generator, tree.symbols

    def scores(self, first: int, end: int, own: Float[Tensor, " L"]) -> Float[Tensor, "L V"]:
        plain = self.tree.scores(first, end, own)
        noise = torch.empty_like(plain).exponential_(generator=self.generator).clamp_(min=1e-300).log_()
        noisy = plain.sub_(noise)
        largest = noisy.amax(1, keepdim=True).clamp_(min=torch.finfo(noisy.dtype).min)
        # -log(exp(-own) - exp(-largest) + exp(-noisy)), without loss of digits: appendix B.3
        below = (noisy - largest).exp_().neg_().log1p_().sub_(noisy).add_(own[:, None])
        return own[:, None] - below.clamp(min=0) - below.abs_().neg_().exp_().log1p_()

    def follow(self, rows: Int[Tensor, " C"], symbols: Int[Tensor, " C"]) -> Float[Tensor, "C W"]:
        return self.tree.follow(rows, symbols)


class ModelTree(Tree):
    """All lines that begin with some symbols, read by the model: states are carried along with the lines."""

    def __init__(self, model: LanguageModel[Any], begun: list[int], max_length: int, how: How):
        self.reader, self.symbols, self.how = reading(model), int(model.config.symbols), how
        self.device, self.left, self.empty = device_of(model), max_length - len(begun), not begun
        self.totals = torch.zeros(1, 2, dtype=torch.float64)
        self.log_not_empty = 0.0
        read = torch.tensor([[BOUNDARY, *begun]], device=self.device)
        self.state, self.last = model.begin(1), read[:, -1:]
        if begun:
            with torch.no_grad():
                self.totals[0, 0] = float(model.target_nats(read[:, :-1], read[:, 1:], self.state).double().sum())
                self.state = model(read[:, :-1], self.state)[1]
        self.parts: list[tuple[int, Any, Tensor, Tensor]] = []

    def scores(self, first: int, end: int, own: Float[Tensor, " L"]) -> Float[Tensor, "L V"]:
        if not self.left:  # whatever follows, the line ends here
            out = torch.full((end - first, self.symbols), -torch.inf, dtype=torch.float64)
            out[:, BOUNDARY] = self.totals[first:end, 1]
            return out
        rows = torch.arange(first, end, device=self.device)
        with torch.inference_mode():
            logits, state = self.reader(self.last[first:end], select(self.state, rows))
            nats = -torch.log_softmax(logits[:, 0].double(), -1)
            log_probs = -nats if self.how == PLAIN else adjust(-nats, *self.how).log()
        nats, log_probs = nats.cpu().clone(), log_probs.cpu().clone()
        if self.empty:
            self.log_not_empty = float(log_probs[0, 1:].logsumexp(0))
            log_probs[:, BOUNDARY] = -torch.inf
            self.empty = False
        self.parts.append((first, state, nats, log_probs))
        return log_probs + self.totals[first:end, 1:]

    def follow(self, rows: Int[Tensor, " C"], symbols: Int[Tensor, " C"]) -> Float[Tensor, "C W"]:
        totals = self.totals[rows]
        if not self.left:
            self.totals = totals[:0]
            return totals
        going = symbols != BOUNDARY
        states = []
        for first, state, nats, log_probs in self.parts:
            here = (rows >= first) & (rows < first + len(nats))
            mine = rows[here] - first
            totals[here, 0] += nats[mine, symbols[here]]
            totals[here, 1] += log_probs[mine, symbols[here]]
            with torch.inference_mode():
                states.append(select(state, (rows[here & going] - first).to(self.device)))
        with torch.inference_mode():
            self.state = map_state(lambda *several: torch.cat(several), states[0], *states[1:])
        self.last, self.totals = symbols[going][:, None].to(self.device), totals[going]
        self.parts = []
        self.left -= 1
        return totals
