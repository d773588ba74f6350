"""All the lines that conditions allow, as paths: pairs of a model's context and an automaton's state, and how likely it
is, or at best, that a line can be brought to a good end from each.

Backward sums are those of hidden Markov models (Rabiner 1989, A tutorial on hidden Markov models, section III A), over
the product of the two and the symbols that are left; with the largest in place of the sum they are Viterbi's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from moreish.generating.chain import Chain
from moreish.generating.constraints import Compiled

MOST_CELLS = 1 << 23
"""Pairs x symbols: 32 MiB of where they lead, 64 MiB of probabilities while sums are made, and at most 64 million
contexts x states, 320 MiB, looked through to find them. More would take many seconds."""
MOST_TABLE = 1 << 26
"""Pairs x lengths whose sums are kept: 512 MiB."""
FAINT = 1e-200
"""Where all that is meant has less probability than that, parts of it may have been rounded to nothing: sums are made
again of logarithms, which takes three times as long."""


NEGLIGIBLE = 1e-6
"""Of the whole: what a symbol more may add where that is not worth following any further."""


class TooLarge(Exception):
    """The tables would not fit. Says what they need."""


@dataclass(frozen=True, eq=False)
class Paths:
    """Pairs that a line can reach: `context` and `accepting` [N] of each, `after` [N, V] the pair that a symbol leads
    to, or N where nothing good can follow. A line begins in pair 0. It ends, where it may, by the boundary, column 0.
    """

    chain: Chain
    context: Int[Tensor, " N"]
    accepting: Bool[Tensor, " N"]
    after: Int[Tensor, "N V"]
    low: int
    high: int

    def __len__(self) -> int:
        return len(self.context)

    @cached_property
    def sums(self) -> Ahead:
        """The probability of all good ends. Made once."""
        ahead = self._backward(log=False)
        return ahead if float(ahead.by_left[self.high][0]) >= FAINT else self._backward(log=True)

    @cached_property
    def best(self) -> Ahead:
        """The probability of the likeliest good end. Made once."""
        return self._backward(log=True, largest=True)

    @cached_property
    def lines(self) -> float:
        """How many different lines there are that the chain gives any probability; rounded above 2**53."""
        after = self.after[:, 1:].contiguous()
        ending = (self.accepting & torch.isfinite(self.chain.log_probs[:, 0])[self.context]).double()
        here = torch.zeros(len(self) + 1, dtype=torch.float64)
        for left in range(self.high + 1):
            onward = here.index_select(0, after.view(-1)).view(after.shape).sum(1).clamp_(max=1e300) if left else 0
            here[:-1] = onward + ending * (self.high - left >= self.low)
        return float(here[0])

    @cached_property
    def beyond(self) -> float | None:
        """The probability of lines that meet the conditions, a most length aside, and are longer than `high`.

        Sums are followed to where they hardly grow, at most to ten times the length. None where all is so improbable
        that logarithms are needed.
        """
        ahead = self.sums
        if ahead.log:
            return None
        weight = self.chain.log_probs.index_select(0, self.context).exp_()
        ending = torch.where(self.accepting, weight[:, 0], 0.0)
        weight, after = weight[:, 1:].contiguous(), self.after[:, 1:].contiguous()

        def read(here: Tensor) -> Tensor:
            onward = here.index_select(0, after.view(-1)).view(after.shape)
            return torch.cat([onward.mul_(weight).sum(1), here.new_zeros(1)])

        within = float(ahead.by_left[self.high][0])
        here = ahead.by_left[self.high - self.low]  # the last in which a line may end
        for _ in range(9 * self.high):
            before, here = here, read(here)
            here[:-1] += ending
            if float((here - before).max()) <= NEGLIGIBLE * within:
                break
        for _ in range(self.low):
            here = read(here)
        return max(float(here[0]) - within, 0.0)

    def _backward(self, log: bool, largest: bool = False) -> Ahead:
        zero = -torch.inf if log else 0.0
        weight = self.chain.log_probs.index_select(0, self.context)
        ending = torch.where(self.accepting, weight[:, 0], -torch.inf)
        if not log:
            weight, ending = weight.exp_(), ending.exp()
        weight, after = weight[:, 1:].contiguous(), self.after[:, 1:].contiguous()
        none = torch.full_like(ending, zero)
        table = [torch.cat([ending if self.high >= self.low else none, none.new_full((1,), zero)])]
        settled = False
        for left in range(1, self.high + 1):
            ends = self.high - left >= self.low
            if settled and ends:  # once a symbol more changes nothing, none does, while a line may end anywhere
                table.append(table[-1])
                continue
            onward = table[-1].index_select(0, after.view(-1)).view(after.shape)
            if not log:
                here = onward.mul_(weight).sum(1)
                here = here.add_(ending) if ends else here
            elif largest:
                here = onward.add_(weight).amax(1) if onward.shape[1] else none
                here = torch.maximum(here, ending) if ends else here
            else:
                onward.add_(weight)
                here = torch.logsumexp(torch.cat([onward, ending[:, None]], 1) if ends else onward, 1)
            here = torch.cat([here, here.new_full((1,), zero)])
            settled = ends and torch.equal(here, table[-1])
            table.append(table[-1] if settled else here)
        return Ahead(replace(self), table, log)  # not self, which keeps this: in a circle both would outlive their use


@dataclass(frozen=True, eq=False)
class Ahead:
    """`by_left[r]` [N + 1]: for each pair, with r symbols left at most, the sum (or the largest) of its good ends'
    probabilities; of their logarithms where `log`. The last entry is nothing."""

    paths: Paths
    by_left: list[Float[Tensor, " M"]]
    log: bool

    @property
    def log_total(self) -> float:
        """The logarithm of the whole: -inf where no line is both meant and possible."""
        whole = self.by_left[self.paths.high][0]
        return float(whole if self.log else whole.log())

    def log_ahead(self, pairs: Int[Tensor, " L"], left: int) -> Float[Tensor, " L"]:
        """The logarithm of what lies ahead of lines in these pairs, with `left` symbols left."""
        here = self.by_left[left].index_select(0, pairs)
        return here if self.log else here.log()

    def share(self, pairs: Int[Tensor, " L"], left: int) -> tuple[Float[Tensor, "L V"], Int[Tensor, "L V"]]:
        """For each symbol what lies ahead after it, over what lies ahead now; and the pair after it.

        Times the probability of the symbol, these sum to 1 for sums. Column 0, the end: 1 over what lies ahead now,
        where a line may end.
        """
        paths = self.paths
        after = paths.after.index_select(0, pairs)
        if left:
            onward = self.by_left[left - 1].index_select(0, after.view(-1)).view(after.shape)
        else:
            onward = torch.full(after.shape, -torch.inf if self.log else 0.0, dtype=torch.float64)
        ends = paths.accepting.index_select(0, pairs) & (paths.high - left >= paths.low)
        here = self.by_left[left].index_select(0, pairs)[:, None]
        if self.log:
            onward[:, 0] = torch.where(ends, 0.0, -torch.inf)
            return onward.sub_(here).exp_(), after
        onward[:, 0] = ends.double()
        return onward.div_(here), after


def find_paths(chain: Chain, compiled: Compiled, most_cells: int = MOST_CELLS) -> Paths:
    """Every pair that a line of the chain can reach while the conditions can still be met.

    Args:
        most_cells: pairs x symbols.

    Raises:
        TooLarge: their tables would not fit.
    """
    symbols, states = chain.symbols, len(compiled.acceptor)
    acceptor = torch.from_numpy(compiled.acceptor.by_symbol).long()
    if len(chain.nats) * states > 8 * most_cells:
        raise TooLarge(f"{len(chain.nats):,} contexts times {states:,} states")
    most = min(most_cells // symbols, MOST_TABLE // (compiled.high + 1))
    possible = None if bool(torch.isfinite(chain.log_probs).all()) else torch.isfinite(chain.log_probs[:, 1:])
    seen = torch.zeros(len(chain.nats) * states, dtype=torch.bool)
    fresh = torch.tensor([chain.start * states])
    seen[fresh] = True
    found, count = [fresh], 1
    while len(fresh):
        context, state = torch.div(fresh, states, rounding_mode="floor"), fresh.remainder(states)
        onward = acceptor.index_select(0, state)
        codes = chain.after[:, 1:].index_select(0, context).mul_(states).add_(onward)
        alive = onward >= 0
        if possible is not None:
            alive &= possible.index_select(0, context)
        codes = codes[alive]
        fresh = codes[~seen[codes]].unique()
        seen[fresh] = True
        found.append(fresh)
        count += len(fresh)
        if count > most:
            raise TooLarge(f"over {most:,} pairs of a context and a state, {compiled.high:,} symbols long")
    code = torch.cat(found)
    number = torch.full((len(seen),), count, dtype=torch.int32)
    number[code] = torch.arange(count, dtype=torch.int32)
    context, state = torch.div(code, states, rounding_mode="floor"), code.remainder(states)
    onward = acceptor.index_select(0, state)
    codes = chain.after[:, 1:].index_select(0, context).mul_(states).add_(onward.clamp(min=0))
    after = torch.full((count, symbols), count, dtype=torch.int32)
    alive = onward >= 0
    if possible is not None:
        alive &= possible.index_select(0, context)
    after[:, 1:] = torch.where(alive, number[codes], count)
    accepting = torch.from_numpy(compiled.acceptor.accepting)[state]
    return Paths(chain, context, accepting, after, compiled.low, compiled.high)
