"""What every language model must keep, whatever is inside: shipped, so that anyone can check a model of their own.

    reading-in-chunks      model(a + b, s) gives the logits of model(a, s), then of model(b, its state)
    later-symbols          later symbols cannot change earlier logits
    rows-apart             rows do not influence each other in evaluation mode
    select-commutes        choosing rows of a state, then reading, is reading, then choosing rows
    nothing-changed        reading changes neither tokens nor state nor the model's tensors
    batch-first            every tensor in a state has the batch first
    reader-reads-alike     what `reader` gives reads as the model does
    nats-of-logits         target_nats gives what the logits say: a model is measured by what it samples from
    same-seed              the same seed gives the same parameters
    config-round-trip      config -> dict -> config -> weights gives equal logits
    every-gradient         every parameter receives gradient
    gradients-by-hand      the ops' hand-written gradients equal autograd's, in float64
    fresh-loss             a fresh model's loss is near ln V
    learns-by-heart        one line of distinct symbols can be learnt by heart
    sums-to-one            over a small alphabet, the probabilities of all lines up to length L, plus the rest, are 1

A model fitted by counting (`fitted_by_counting`) is exempt from every-gradient, gradients-by-hand and learns-by-heart;
from the first also one whose tables wait to be counted (`waits_for_tables`), for what weighs them has nothing to weigh
yet. An instance rather than a factory is exempt from same-seed, config-round-trip and fresh-loss (it may be trained),
and, where its alphabet is large, from sums-to-one. Two tolerances only: EXACT for float64, CLOSE for float32.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from moreish.errors import LawBroken
from moreish.layers import set_dropout
from moreish.models.model import LanguageModel, config_from_dict, config_to_dict, device_of, select
from moreish.ops.op import by_autograd, by_hand
from moreish.randomness import stream
from moreish.shapes import BOUNDARY

EXACT = 1e-10
"""Largest absolute difference in float64."""
CLOSE = 1e-4
"""Largest absolute difference in float32."""
NEAR_LN_V = 0.2
"""Nats that a fresh model's loss may differ from ln V."""
HEART_RATES = (0.05, 0.005)
"""Learning rates at which a line may be learnt by heart: a narrow net creeps where a wide one overshoots."""
SYMBOLS = 7
LINES_TO = 4
ROWS, LONG = 3, 9

Factory = Callable[..., LanguageModel[Any]]


def check_model(factory_or_model: Factory | LanguageModel[Any], seed: int = 0) -> list[str]:
    """Check a model against every law that applies to it.

    Args:
        factory_or_model: `factory(symbols=7, seed=0)` gives a fresh model (an entry of MODELS is one); or a model,
            whose alphabet is then read from `model.config.symbols`.

    Returns: the names of the laws that were checked.

    Raises:
        LawBroken: names every broken law, each with what was seen.
    """
    laws = _Laws(factory_or_model, seed)
    checked: list[str] = []
    broken: dict[str, str] = {}
    for name, law in laws.applicable().items():
        try:
            law()
        except _Seen as seen:
            broken[name] = str(seen)
        except Exception as error:  # a law that a model cannot even be asked is a broken one
            broken[name] = f"{type(error).__name__}: {error}"
        checked.append(name)
    if broken:
        raise LawBroken(broken)
    return checked


class _Seen(Exception):
    """What was seen where a law is broken."""


class _Laws:
    def __init__(self, subject: Factory | LanguageModel[Any], seed: int):
        self.fresh = not isinstance(subject, LanguageModel)
        self.factory: Factory | None = None if isinstance(subject, LanguageModel) else subject
        self.seed = seed
        if isinstance(subject, LanguageModel):
            self.model, self.symbols = copy.deepcopy(subject), int(subject.config.symbols)
        else:
            self.model, self.symbols = subject(symbols=SYMBOLS, seed=seed), SYMBOLS
        self.model.eval()
        self.random = stream(seed, "laws")

    def applicable(self) -> dict[str, Callable[[], None]]:
        laws = {
            "reading-in-chunks": self.reading_in_chunks,
            "later-symbols": self.later_symbols,
            "rows-apart": self.rows_apart,
            "select-commutes": self.select_commutes,
            "nothing-changed": self.nothing_changed,
            "batch-first": self.batch_first,
            "reader-reads-alike": self.reader_reads_alike,
            "nats-of-logits": self.nats_of_logits,
        }
        if self.fresh:
            laws |= {
                "same-seed": self.same_seed,
                "config-round-trip": self.config_round_trip,
                "fresh-loss": self.fresh_loss,
            }
        if not self.model.fitted_by_counting:
            laws["learns-by-heart"] = self.learns_by_heart
            laws["gradients-by-hand"] = self.gradients_by_hand
            if not self.model.waits_for_tables:
                laws["every-gradient"] = self.every_gradient
        if self.fresh or self.symbols <= SYMBOLS:
            laws["sums-to-one"] = self.sums_to_one
        return laws

    def tokens(self, rows: int = ROWS, long: int = LONG) -> Tensor:
        """Lines as they are read: a boundary, then symbols."""
        low = 1 if self.symbols > 1 else 0
        inside = torch.randint(low, self.symbols, (rows, long - 1), generator=self.random)
        return torch.cat([torch.full((rows, 1), BOUNDARY), inside], 1)

    @torch.no_grad()
    def reading_in_chunks(self) -> None:
        tokens = self.tokens()
        whole, _ = self.model(tokens, self.model.begin(ROWS))
        for cut in (1, 2, LONG - 1):
            first, state = self.model(tokens[:, :cut], self.model.begin(ROWS))
            second, _ = self.model(tokens[:, cut:], state)
            self.same(whole, torch.cat([first, second], 1), f"read in two pieces, cut after symbol {cut}")

    @torch.no_grad()
    def later_symbols(self) -> None:
        tokens = self.tokens()
        before, _ = self.model(tokens, self.model.begin(ROWS))
        for at in range(1, LONG):
            changed = tokens.clone()
            changed[:, at:] = self.tokens()[:, 1 : LONG - at + 1]
            after, _ = self.model(changed, self.model.begin(ROWS))
            self.same(before[:, :at], after[:, :at], f"symbols from position {at} on replaced")

    @torch.no_grad()
    def rows_apart(self) -> None:
        tokens = self.tokens()
        together, _ = self.model(tokens, self.model.begin(ROWS))
        for row in range(ROWS):
            alone, _ = self.model(tokens[row : row + 1], self.model.begin(1))
            self.same(together[row : row + 1], alone, f"row {row} of {ROWS} read alone")
        others = torch.cat([tokens[:1], self.tokens(ROWS - 1)])
        beside, _ = self.model(others, self.model.begin(ROWS))
        self.same(together[:1], beside[:1], "the same row beside other rows")

    @torch.no_grad()
    def select_commutes(self) -> None:
        tokens = self.tokens()
        _, state = self.model(tokens[:, :4], self.model.begin(ROWS))
        rows = torch.tensor([2, 0, 0, 1])
        later, after = self.model(tokens[:, 4:], state)
        chosen, chosen_after = self.model(tokens[rows, 4:], select(state, rows))
        self.same(later[rows], chosen, "rows 2 0 0 1 of a state, read on")
        ahead = self.tokens(4, 2)
        self.same(
            self.model(ahead, select(after, rows))[0], self.model(ahead, chosen_after)[0], "the state after, read on"
        )

    @torch.no_grad()
    def nothing_changed(self) -> None:
        tokens = self.tokens()
        _, state = self.model(tokens[:, :3], self.model.begin(ROWS))
        kept_tokens, kept_state, kept_self = (
            tokens.clone(),
            copy.deepcopy(state),
            copy.deepcopy(self.model.state_dict()),
        )
        first, _ = self.model(tokens[:, 3:], state)
        if not torch.equal(tokens, kept_tokens):
            raise _Seen("reading changed its tokens in place")
        if any(not torch.equal(a, b) for a, b in zip(_tensors(state), _tensors(kept_state))):
            raise _Seen("reading changed the state it was given in place")
        if any(not torch.equal(value, kept_self[name]) for name, value in self.model.state_dict().items()):
            raise _Seen("reading in evaluation mode changed the model's own tensors")
        self.same(first, self.model(tokens[:, 3:], state)[0], "the same symbols read again from the same state")

    @torch.no_grad()
    def batch_first(self) -> None:
        for rows in (1, 4):
            state = self.model.begin(rows)
            logits, after = self.model(self.tokens(rows), state)
            if logits.shape != (rows, LONG, self.symbols):
                raise _Seen(f"logits have shape {tuple(logits.shape)}, not [B T V] = {(rows, LONG, self.symbols)}")
            for tensor in (*_tensors(state), *_tensors(after)):
                if not tensor.ndim or tensor.shape[0] != rows:
                    raise _Seen(f"a state's tensor has shape {tuple(tensor.shape)} for a batch of {rows}")

    def reader_reads_alike(self) -> None:
        with torch.no_grad():
            tokens, state = self.tokens(), self.model.begin(ROWS)
            wanted, after = self.model(tokens, state)
            beyond, _ = self.model(tokens[:, 1:2], after)
        reader = self.model.reader()
        # A model that reads itself may keep what it works out, and nothing made in inference mode can be learnt from.
        with torch.no_grad() if reader is self.model else torch.inference_mode():
            found = []
            for symbol in tokens.split(1, 1):
                logits, state = reader(symbol, state)
                found.append(logits)
            self.same(wanted, torch.cat(found, 1), "read symbol by symbol by the model's reader")
            self.same(beyond, reader(tokens[:, 1:2], state)[0], "read on from where its reader ended")
            self.same(wanted, reader(tokens, self.model.begin(ROWS))[0], "read at once by the model's reader")

    @torch.no_grad()
    def nats_of_logits(self) -> None:
        tokens, end = self.tokens(), torch.full((ROWS, 1), BOUNDARY)
        logits, _ = self.model(tokens, self.model.begin(ROWS))
        for targets in (torch.cat([tokens[:, 1:], end], 1), self.tokens()):  # the line's own symbols, then any others
            said = -torch.log_softmax(logits, -1).gather(-1, targets[..., None])[..., 0]
            nats = self.model.target_nats(tokens, targets, self.model.begin(ROWS))
            if said.shape != nats.shape or _apart(said, nats) > self.tolerance(nats):
                raise _Seen(f"target_nats and the logits differ by up to {_apart(said, nats):.1e} nats")

    def same_seed(self) -> None:
        assert self.factory
        one, two = (self.factory(symbols=SYMBOLS, seed=self.seed).state_dict() for _ in range(2))
        for name, value in one.items():
            if not torch.equal(value, two[name]):
                raise _Seen(f"{name} differs between two models of seed {self.seed}")

    @torch.no_grad()
    def config_round_trip(self) -> None:
        config = self.model.config
        again = type(self.model)(config_from_dict(type(config), config_to_dict(config)))  # type: ignore[call-arg]
        weights = next(self.model.parameters(), None)
        if weights is not None:  # a factory may have made a model of another precision than its config does
            again.to(weights.dtype)
        again.load_state_dict(self.model.state_dict())
        again.eval()
        tokens = self.tokens()
        ours, theirs = (model(tokens, model.begin(ROWS))[0] for model in (self.model, again))
        if not torch.equal(ours, theirs):
            raise _Seen(f"logits differ by up to {_apart(ours, theirs):.1e}")

    @torch.no_grad()
    def fresh_loss(self) -> None:
        tokens = self.tokens(64)
        loss = self.loss(self.model, tokens).item()
        if not abs(loss - math.log(self.symbols)) <= NEAR_LN_V:
            raise _Seen(f"loss {loss:.4f}, ln V = {math.log(self.symbols):.4f}")

    def every_gradient(self) -> None:
        model = copy.deepcopy(self.model).train()
        tokens = torch.cat([self.tokens(64), torch.zeros(64, 1, dtype=torch.long)], 1)
        self.loss(model, tokens).backward()
        without = [n for n, p in model.named_parameters() if p.grad is None or not bool((p.grad != 0).any())]
        if without:
            raise _Seen(f"no gradient reaches {', '.join(without)}")

    def gradients_by_hand(self) -> None:
        model = copy.deepcopy(self.model).double().train()
        tokens = torch.cat([self.tokens(16), torch.zeros(16, 1, dtype=torch.long)], 1)
        seed = int(torch.randint(2**31, (), generator=self.random))

        def gradients() -> dict[str, Tensor]:
            set_dropout(model, torch.Generator(device_of(model)).manual_seed(seed))
            named = dict(model.named_parameters())
            got = torch.autograd.grad(self.loss(model, tokens), list(named.values()), allow_unused=True)
            return {name: g for name, g in zip(named, got) if g is not None}

        with by_hand():
            ours = gradients()
        with by_autograd():
            theirs = gradients()
        # What is zero in theory is rounding noise in both: it is held against the largest gradient there is.
        largest = max((float(g.abs().max()) for g in theirs.values()), default=0.0)
        for name, wanted in theirs.items():
            if name not in ours or _apart(ours[name], wanted) > EXACT * max(1.0, largest):
                off = _apart(ours[name], wanted) if name in ours else math.inf
                raise _Seen(f"by hand the gradient of {name} is off by {off:.1e} of {largest:.1e}")

    def learns_by_heart(self) -> None:
        line = torch.cat([torch.arange(min(self.symbols, 6)), torch.zeros(1, dtype=torch.long)])[None]
        losses = []
        for rate in HEART_RATES:
            model = copy.deepcopy(self.model).train()
            optimizer = torch.optim.Adam(model.parameters(), lr=rate)
            loss = self.loss(model, line)
            for _ in range(400):
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                loss = self.loss(model, line)
                if loss.item() < 0.02:
                    return
            losses.append(loss.item())
        raise _Seen(f"after 400 steps on one line the loss is still {min(losses):.3f} nats")

    @torch.no_grad()
    def sums_to_one(self) -> None:
        symbols = min(self.symbols, 3) if self.fresh else self.symbols
        model = self.factory(symbols=symbols, seed=self.seed).eval() if self.factory else self.model
        longest = LINES_TO if symbols <= 3 else 2
        total = 0.0
        for length in range(longest + 1):
            lines = torch.tensor(list(itertools.product(range(1, symbols), repeat=length)), dtype=torch.long)
            lines = lines.reshape((symbols - 1) ** length, length)
            edge = torch.zeros(len(lines), 1, dtype=torch.long)
            # By target_nats, not by a softmax, which would mend a table that does not sum to 1.
            nats = model.target_nats(torch.cat([edge, lines], 1), torch.cat([lines, edge], 1), model.begin(len(lines)))
            inside, end = (-nats[:, :-1]).double().sum(1).exp(), (-nats[:, -1]).double().exp()
            total += (inside * end).sum().item()
            going_on = (inside * (1 - end)).sum().item()
            if not abs(total + going_on - 1) <= self.tolerance(nats):
                raise _Seen(f"lines up to length {length} and what is longer sum to {total + going_on:.12f}")

    def loss(self, model: LanguageModel[Any], tokens: Tensor) -> Tensor:
        logits, _ = model(tokens[:, :-1], model.begin(len(tokens)))
        return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), tokens[:, 1:].reshape(-1))

    def same(self, a: Tensor, b: Tensor, where: str) -> None:
        if a.shape != b.shape:
            raise _Seen(f"{where}: shapes {tuple(a.shape)} and {tuple(b.shape)}")
        if _apart(a, b) > self.tolerance(a):
            raise _Seen(f"{where}: logits differ by up to {_apart(a, b):.1e}")

    @staticmethod
    def tolerance(tensor: Tensor) -> float:
        return EXACT if tensor.dtype == torch.float64 else CLOSE


def _apart(a: Tensor, b: Tensor) -> float:
    """The largest difference; equal infinities differ by nothing, anything against NaN by infinity."""
    difference = torch.where(a == b, torch.zeros_like(a), (a - b).abs())
    return float(torch.nan_to_num(difference, nan=math.inf).max()) if difference.numel() else 0.0


def _tensors(state: Any) -> list[Tensor]:
    if isinstance(state, Tensor):
        return [state]
    if isinstance(state, (tuple, list)):
        return [t for part in state for t in _tensors(part)]
    if is_dataclass(state):
        return [t for f in fields(state) for t in _tensors(getattr(state, f.name))]
    return []
