"""The plain ways to draw lines, which the fast ones are held against; and small models to draw them from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from moreish.generating import draws as draws_module
from moreish.generating.draws import Draw, adjust
from moreish.models.catalog import MODELS
from moreish.models.model import LanguageModel
from moreish.models.uniform import UniformConfig
from moreish.randomness import stream
from moreish.text.corpus import Corpus

ALPHABET = Corpus.of(["abcd"], split="none").alphabet
LONGEST = 9


class Pair(NamedTuple):
    slow: Tensor
    fast: list[Tensor]


@dataclass(frozen=True, slots=True)
class Memory:
    """A state of every kind that `select` takes; `seen` grows with the line, as a transformer's keys do."""

    pair: Pair
    seen: tuple[Tensor, ...]


class Remembering(LanguageModel[Memory]):
    """Says something else after every prefix; counts what it reads."""

    def __init__(self, symbols: int = 5):
        super().__init__()
        self.config = UniformConfig(symbols)
        self.into = nn.Parameter(torch.randn(symbols, 6, generator=stream(1, "into")))
        self.output = nn.Parameter(torch.randn(18, symbols, generator=stream(1, "output")))
        self.reads: Counter[tuple[int, ...]] = Counter()

    def begin(self, batch: int) -> Memory:
        zero = self.into.new_zeros(batch, 6)
        return Memory(Pair(zero, [zero]), (zero[:, None, :0], torch.zeros(batch, 0, dtype=torch.long)))

    def forward(self, tokens: Tensor, state: Memory) -> tuple[Tensor, Memory]:
        slow, fast = state.pair.slow, state.pair.fast[0]
        keys, read = state.seen
        out = []
        for t in range(tokens.shape[1]):
            x = self.into[tokens[:, t]]
            slow, fast = torch.tanh(0.9 * slow + x), torch.tanh(x - fast)
            keys = torch.cat([keys, slow.mean(1)[:, None, None]], 2)
            read = torch.cat([read, tokens[:, t : t + 1]], 1)
            self.reads.update(map(tuple, read.tolist()))
            out.append(torch.cat([slow, fast, keys.mean(2) * x], 1) @ self.output)
        return torch.stack(out, 1), Memory(Pair(slow, [fast]), (keys, read))


def mlp(context: int, symbols: int = 5) -> LanguageModel[Any]:
    """A fresh one is all but uniform, so its last layer is turned up."""
    name = "mlp" if context > 1 else "one-layer"
    sizes = {"context": context, "embedding": 4, "hidden": 16, "layers": 1} if context > 1 else {}
    model = MODELS[name](symbols=symbols, seed=1, **sizes)
    with torch.no_grad():
        list(model.parameters())[-2 if context > 1 else 0].mul_(40.0)
    return model.eval()


MADE: dict[str, Callable[[], LanguageModel[Any]]] = {
    "remembering": Remembering,
    "mlp of 9": lambda: mlp(9),
    "mlp of 2": lambda: mlp(2),
    "one symbol": lambda: mlp(1),
}


class Plain(Draw):
    """The plain way: each line by itself, from its first symbol, at each step; a position is what the lines read."""

    def __init__(self, model: LanguageModel[Any], *how: Any):
        self.model, self.how = model, how or (1.0, None, None)

    def begin(self, read: Tensor) -> Tensor:
        return read

    def step(self, position: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        lines = [self.model(line[None], self.model.begin(1))[0][0, -1] for line in position]
        log_probs = torch.stack(lines).double().log_softmax(1)
        bounds = adjust(log_probs, *self.how).cumsum(1)
        numbers = draws_module._uniform(len(position), generator, bounds)
        symbols = (bounds <= (numbers * bounds[:, -1])[:, None]).sum(1)
        return symbols, -log_probs.gather(1, symbols[:, None])[:, 0], torch.cat([position, symbols[:, None]], 1)


def multinomial_lines(model: LanguageModel[Any], count: int) -> list[str]:
    """As makemore draws: all read again at each step, torch.multinomial."""
    generator = torch.Generator().manual_seed(11)
    lines = torch.zeros(count, 1, dtype=torch.long)
    for _ in range(LONGEST + 1):
        logits, _ = model(lines, model.begin(count))
        lines = torch.cat([lines, torch.multinomial(logits[:, -1].softmax(1), 1, generator=generator)], 1)
    rows = [row[: row.index(0)] if 0 in row else row[:LONGEST] for row in lines[:, 1:].tolist()]
    return [ALPHABET.decode(row) for row in rows]
