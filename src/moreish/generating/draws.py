"""Drawing the next symbol, for many lines at once.

`LogitsDraw` works with any model. An n-gram model is an automaton whose distributions do not change, so
`AutomatonDraw` lays their cumulative probabilities end to end once and draws by one binary search; where the symbols
are many it keeps only those seen in each context, and a share for "as the shorter context would".
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from moreish.errors import MoreishError, UsageError
from moreish.generating.prefixes import Prefixes
from moreish.generating.windows import Windows
from moreish.models.model import LanguageModel, WindowModel, select
from moreish.models.ngram import NGram

BACK_OFF = -1
How = tuple[float, int | None, float | None, float | None]
PLAIN: How = (1.0, None, None, None)
"""Temperature, top-k, top-p and typical that leave a model as it is."""
CELLS_AT_ONCE = 1 << 23


class Draw(ABC):
    """Draws symbols. A *position* is where many lines stand; each kind of draw has its own."""

    most_at_once = 10_000
    device: torch.device | None = None
    """Where it draws; the model's own device where it does not say."""

    @abstractmethod
    def begin(self, read: Int[Tensor, "1 T"]) -> Any:
        """The position of one line after its boundary and prefix, `read`."""

    @abstractmethod
    def step(self, position: Any, generator: torch.Generator) -> tuple[Int[Tensor, " B"], Float[Tensor, " B"], Any]:
        """Draw one symbol for each line: the symbols, their nats under the untempered model, the position after."""

    def keep(self, position: Any, rows: Int[Tensor, " K"]) -> Any:
        """The position of some of its lines, in that order: repeats a prompt, drops finished lines."""
        return select(position, rows)


class LogitsDraw(Draw):
    """Any model, read once for all lines that have the same prefix, or the same window where windows are few.

    What was read is kept from one step to the next and from one batch to the next, until `begin` is called again: a
    model that learns in between is to be begun again.
    """

    def __init__(
        self,
        model: LanguageModel[Any],
        temperature: float,
        top_k: int | None,
        top_p: float | None,
        typical: float | None = None,
    ):
        self.model, self.how = model, (temperature, top_k, top_p, typical)
        self.most_at_once = max(1, min(10_000, CELLS_AT_ONCE // int(model.config.symbols)))

    @torch.no_grad()
    def begin(self, read: Int[Tensor, "1 T"]) -> Any:
        state = self.model.begin(1)
        if read.shape[1] > 1:
            _, state = self.model(read[:, :-1], state)
        return self.stand(state, read[:, -1])

    @torch.no_grad()
    def stand(self, state: Any, last: Int[Tensor, " B"]) -> Any:
        """The position of lines in a state of the model, about to read `last`."""
        if isinstance(self.model, WindowModel) and Windows.suit(self.model):
            reader = Windows(self.model, self._lay_out, last.device)
        else:
            reader = Prefixes(self.model, self._lay_out, max(self.most_at_once, len(last)), last.device)
        return reader, reader.stand(state, last)

    @torch.no_grad()
    def step(self, position: Any, generator: torch.Generator) -> tuple[Int[Tensor, " B"], Float[Tensor, " B"], Any]:
        reader, place = position
        with torch.inference_mode():  # a tenth faster than no_grad; what it makes stays inside
            rows, place = reader.read(place)
        symbols, nats, cells = reader.rows.pick(rows, _uniform(rows.shape[0], generator, reader.rows.bounds))
        return symbols, nats, (reader, place.drawn(cells, nats))

    def keep(self, position: Any, rows: Int[Tensor, " K"]) -> Any:
        reader, place = position
        return reader, place.keep(rows)

    def _lay_out(self, logits: Float[Tensor, "D V"], bounds: Float[Tensor, "D V"], nats: Float[Tensor, "D V"]) -> None:
        """Write cumulative probabilities, the last of each row 1, and the nats of each symbol, untempered."""
        exact = logits.double()
        exact = exact - exact.amax(-1, keepdim=True)
        probs = exact.exp()  # and no softmax, which takes several times as long over few symbols
        torch.cumsum(probs, -1, out=bounds)
        total = bounds[:, -1:].clone()
        if not float(total.amin()) > 0:  # true for NaN too
            raise MoreishError(
                "after some context this model lets nothing follow, which no fitting gives. Train again."
            )
        exact = total.log() - exact
        nats.copy_(exact)
        if self.how != PLAIN:
            torch.cumsum(adjust(-exact, *self.how), -1, out=bounds)
            total = bounds[:, -1:].clone()
        bounds /= total


class AutomatonDraw(Draw):
    """An n-gram model: a position is the automaton's state."""

    def __init__(
        self,
        model: NGram,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        typical: float | None = None,
    ):
        self.model = model
        self.suffix = model.suffix.long()
        self.whole = model.is_dense
        how = (temperature, top_k, top_p, typical)
        if self.whole:
            edge, share, owner = _whole_rows(model, *how)
        else:
            assert how == PLAIN, "sparse rows cannot be tempered"
            edge, share, owner = _shares(model)
        self.edge = edge
        self.bounds = _lay_out(share, owner)
        # A number next to 1 would round to the next state's: state + number has no more than 52 bits.
        self.under_one = 1 - len(self.suffix) * 2**-52

    def begin(self, read: Int[Tensor, "1 T"]) -> Int[Tensor, " B"]:
        state = self.model.begin(1)
        for t in range(read.shape[1]):
            state = self.model.look_up(state, read[:, t])[1]
        return state.long()

    def step(
        self, position: Int[Tensor, " B"], generator: torch.Generator
    ) -> tuple[Int[Tensor, " B"], Float[Tensor, " B"], Int[Tensor, " B"]]:
        at = self._search(position, generator)
        if self.whole:
            symbols = at - position * self.model.config.symbols
            log_probs, after = self.model.look_up(position, symbols)
            return symbols, -log_probs, after.long()
        edge = self.edge[at]
        symbols = self.model.edge_symbols[edge].long()
        log_probs, after = self.model.edge_log_probs[edge], self.model.edge_next[edge].long()
        lines = (edge == BACK_OFF).nonzero()[:, 0]
        if len(lines):
            drawn = self._draw_shorter(position[lines], generator)
            symbols[lines] = drawn
            log_probs[lines], next_states = self.model.look_up(position[lines], drawn)
            after[lines] = next_states.long()
        return symbols, -log_probs, after

    def _draw_shorter(self, state: Int[Tensor, " B"], generator: torch.Generator) -> Int[Tensor, " B"]:
        """Symbols for lines that backed off from `state`: from its suffix, and on until one is drawn."""
        if not self.model.interpolated:  # add-K shares its mass among all symbols alike
            return torch.randint(self.model.config.symbols, state.shape, generator=generator, device=state.device)
        out = torch.empty_like(state)
        waiting = torch.arange(len(state), device=state.device)
        while len(waiting):
            state = self.suffix[state]
            edge = self.edge[self._search(state, generator)]
            drawn = edge != BACK_OFF
            out[waiting[drawn]] = self.model.edge_symbols[edge[drawn]].long()
            waiting, state = waiting[~drawn], state[~drawn]
        return out

    def _search(self, state: Int[Tensor, " B"], generator: torch.Generator) -> Int[Tensor, " B"]:
        at = state + _uniform(len(state), generator, self.bounds).mul_(self.under_one)
        return torch.searchsorted(self.bounds, at, right=True)


def make_draw(
    model: LanguageModel[Any],
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    typical: float | None = None,
) -> Draw:
    """The quickest way to draw from this model under these settings.

    Raises:
        UsageError: a setting that means nothing; says which and what it may be.
    """
    check_settings(temperature, top_k, top_p, typical)
    how = (temperature, top_k, top_p, typical)
    if isinstance(model, NGram) and (model.is_dense or how == PLAIN):
        return AutomatonDraw(model, *how)
    return LogitsDraw(model, *how)


def check_settings(
    temperature: float, top_k: int | None = None, top_p: float | None = None, typical: float | None = None
) -> None:
    """Refuse settings of sampling that mean nothing.

    Raises:
        UsageError
    """
    number = isinstance(temperature, (int, float)) and not isinstance(temperature, bool)
    if not number or not 0 <= temperature <= sys.float_info.max:
        raise UsageError(
            f"temperature={temperature!r:.60} is not a finite number of at least 0. "
            f"Use 1 for the model as it is, below 1 for safer lines, 0 for the likeliest symbol each time."
        )
    if top_k is not None and (isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1):
        raise UsageError(f"top_k={top_k!r} is not a whole number of at least 1. Use 10, say, or leave it out.")
    for name, share in (("top_p", top_p), ("typical", typical)):
        if share is not None and (isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share <= 1):
            raise UsageError(f"{name}={share!r} is not a number above 0 and up to 1. Use 0.9, say, or leave it out.")


def adjust(
    log_probs: Float[Tensor, "N V"],
    temperature: float,
    top_k: int | None = None,
    top_p: float | None = None,
    typical: float | None = None,
) -> Float[Tensor, "N V"]:
    """Probabilities after temperature, then top-k, then top-p, then typical; rows sum to 1.

    Temperature 0 is argmax (the first, of equals). Top-p keeps the likeliest symbols until their sum reaches p:
    Holtzman et al. 2020, The Curious Case of Neural Text Degeneration, section 3.1. Typical keeps those whose surprisal
    -log p is nearest to the entropy of what the others left, until their sum reaches tau: Meister et al. 2023, Locally
    Typical Sampling, by sorting, as there. So it may drop the likeliest, and where tau is small a line's end.
    """
    best = log_probs.amax(-1, keepdim=True)
    if temperature == 0:
        return torch.zeros_like(log_probs).scatter_(-1, log_probs.argmax(-1, keepdim=True), 1.0)
    probs = ((log_probs - best) / float(temperature)).exp() if temperature != 1 else log_probs.exp()
    if top_k is not None and top_k < probs.shape[-1]:
        kept = probs.topk(top_k, -1).indices
        probs = torch.zeros_like(probs).scatter_(-1, kept, probs.gather(-1, kept))
    probs = probs / probs.sum(-1, keepdim=True)
    if top_p is not None and top_p < 1:
        probs = _first_in(probs, (-probs).argsort(dim=-1, stable=True), top_p)
    if typical is not None and typical < 1:
        surprisal = -probs.log()
        entropy = torch.special.entr(probs).sum(-1, keepdim=True)
        probs = _first_in(probs, (surprisal - entropy).abs().argsort(dim=-1, stable=True), typical)
    return probs


def _first_in(probs: Float[Tensor, "N V"], order: Int[Tensor, "N V"], share: float) -> Float[Tensor, "N V"]:
    """The first symbols in an order until their sum reaches `share`, the last of them included; rows sum to 1."""
    ordered = probs.gather(-1, order)
    before = ordered.cumsum(-1) - ordered
    kept = torch.zeros_like(probs).scatter_(-1, order, torch.where(before < share, ordered, 0.0))
    return kept / kept.sum(-1, keepdim=True)


def _uniform(count: int, generator: torch.Generator, like: Tensor) -> Float[Tensor, " B"]:
    return torch.rand(count, generator=generator, device=like.device, dtype=like.dtype)


def _shares(model: NGram) -> tuple[Tensor, Tensor, Tensor]:
    """For each state its edges' own shares of the probability, then what it leaves to the shorter context.

    An edge's probability is its own share plus gamma times its probability in the suffix: a mixture, so drawing the
    part first and then within it is the same distribution. Returns: edge (or BACK_OFF), share, state.
    """
    states = torch.arange(len(model.suffix), device=model.suffix.device)
    owner = torch.repeat_interleave(states, model.row_starts.diff())
    own = model.edge_log_probs.exp()
    gamma = model.log_backoff.exp()
    gamma[0] = 0.0  # the root's edges are all there is
    deep = owner > 0
    if model.interpolated:
        shorter, _ = model.look_up(model.suffix[owner[deep]], model.edge_symbols[deep])
        own[deep] -= gamma[owner[deep]] * shorter.exp()
    else:
        own[deep] -= gamma[owner[deep]] / model.config.symbols
    edge = torch.cat([torch.arange(len(owner), device=owner.device), torch.full_like(states, BACK_OFF)])
    share = torch.cat([own.clamp_(min=0), gamma])
    whose = torch.cat([owner, states])
    order = torch.argsort(whose, stable=True)
    return edge[order], share[order], whose[order]


def _whole_rows(model: NGram, *how: Any) -> tuple[Tensor, Tensor, Tensor]:
    log_probs = model.tables()[0]
    states, symbols = log_probs.shape
    share = adjust(log_probs, *how).reshape(-1)
    owner = torch.repeat_interleave(torch.arange(states, device=share.device), symbols)
    return torch.zeros(0, dtype=torch.long, device=share.device), share, owner


def _lay_out(share: Float[Tensor, " K"], owner: Int[Tensor, " K"]) -> Float[Tensor, " K"]:
    """Cumulative shares within each state, plus the state's number: one ascending row to search in."""
    running = share.cumsum(0)
    last = torch.cat([(owner[1:] != owner[:-1]).nonzero()[:, 0], torch.tensor([len(owner) - 1], device=owner.device)])
    before = torch.cat([running.new_zeros(1), running[last[:-1]]])
    total = running[last] - before
    if not bool((total > 0).all()):  # false for NaN too
        raise MoreishError("after some context this model lets nothing follow, which no fitting gives. Train again.")
    within = ((running - before[owner]) / total[owner]).clamp_(max=1.0)
    # Rounding must leave no gap at a row's end, and nothing beyond its last possible symbol.
    possible = torch.where(share > 0, torch.arange(len(share), device=share.device), -1)
    final = torch.zeros_like(last).scatter_reduce(0, owner, possible, "amax", include_self=False)
    within = torch.where(torch.arange(len(share), device=share.device) >= final[owner], 1.0, within)
    return owner + within
