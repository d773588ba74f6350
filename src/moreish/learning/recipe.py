"""What was asked for (`Recipe`) and what came of it (`Trained`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from moreish.errors import ConfigError
from moreish.models.model import LanguageModel
from moreish.randomness import stream_seed
from moreish.text.alphabet import Alphabet
from moreish.text.corpus import Corpus

METHODS = ("counting", "gradient", "closed-form")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training, beside the list itself."""

    model: str
    settings: dict[str, Any] = field(default_factory=dict)
    """The model's own settings, as given; the rest are the config's defaults."""
    method: str = "counting"
    steps: int = 0
    lr: float = 0.0
    weight_decay: float = 0.0
    """Strength of the lecture's regularisation: this times the mean of the squared weights is added to the loss."""
    seed: int = 0
    split: str = "unique"
    split_seed: int = 42
    symbols: str = "characters"
    why: str = ""
    """Why this model, in a sentence, where Moreish chose it."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ConfigError(f"no method is called {self.method!r}. There are: {', '.join(METHODS)}.")
        stream_seed(self.seed, "recipe")  # refuses what is no seed, also where nothing is drawn
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or not 0 <= self.steps <= 10**9:
            raise ConfigError(f"steps={self.steps!r} is not a whole number from 0 to 1,000,000,000. Use 2000, say.")
        _check_number("lr", self.lr, 0.0, 1e6, "Use 50, say: one layer takes large steps.")
        _check_number("weight_decay", self.weight_decay, 0.0, 1e6, "Use 0 for none, or 0.01.")
        if self.method == "gradient" and not self.lr > 0:
            raise ConfigError(f"lr={self.lr!r} would learn nothing. Use a positive learning rate, such as 50.")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a file."""
        return asdict(self)


@dataclass(frozen=True)
class Trained:
    """A model with what it takes to use it: what `fit` and `load` return, and `sample`, `score`, `evaluate` take.

    `run` is the directory it was loaded from or saved to, "" while it is in memory only. `hashes` stand in for the
    lines of a run that kept no list (uint64 [lines]); its corpus then has empty parts.
    """

    model: LanguageModel[Any]
    alphabet: Alphabet
    corpus: Corpus
    recipe: Recipe
    run: str = ""
    hashes: np.ndarray | None = None
    longest_line: int = 0
    """Symbols in the list's longest line, where the corpus cannot say it."""
    _made: dict[str, tuple[Any, Any]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, name: str, make: Callable[[], Any], settings: Any = None) -> Any:
        """What `make` gives, made once and kept (an index, tables to draw from) until `settings` are others."""
        if name not in self._made or self._made[name][0] != settings:
            self._made[name] = (settings, make())
        return self._made[name][1]

    @property
    def longest(self) -> int:
        """Symbols in the longest line of the list."""
        return self.longest_line or self.corpus.longest

    @property
    def parameters(self) -> int:
        """Numbers learnt: weights for a network, n-grams seen for a count model."""
        if self.model.fitted_by_counting:
            return int(getattr(self.model.config, "edges", 0))
        return sum(p.numel() for p in self.model.parameters())

    def with_run(self, run: str) -> Trained:
        """The same, as it stands in a run directory."""
        return replace(self, run=run)


def _check_number(name: str, value: Any, low: float, high: float, advice: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ConfigError(f"{name}={value!r} is not a number from {low:g} to {high:g}. {advice}")
