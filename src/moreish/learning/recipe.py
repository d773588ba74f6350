"""What was asked for (`Recipe`) and what came of it (`Trained`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np

from moreish.errors import ConfigError
from moreish.learning.optimize import OPTIMIZERS
from moreish.learning.schedule import SCHEDULES
from moreish.models.initialization import check_name
from moreish.models.model import LanguageModel, check_choice, check_flag, check_share, check_whole, setting
from moreish.randomness import stream_seed
from moreish.text.alphabet import Alphabet
from moreish.text.corpus import Corpus

METHODS = ("counting", "gradient", "closed-form", "minibatches", "imported", "blending")
BATCH_OF = ("lines", "windows")
PRECISIONS = ("float32", "bfloat16")
USES = ("last", "best", "average")
MOST_STEPS = 10**9


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training, beside the list itself.

    The fields with a meaning are flags of `moreish train`; `learning_keys` lists them.
    """

    model: str
    settings: dict[str, Any] = field(default_factory=dict)
    """The model's own settings, as given; the rest are the config's defaults."""
    method: str = "counting"
    steps: int = setting(0, "steps of learning: exactly so many")
    lr: float = setting(0.0, "learning rate, at its highest")
    weight_decay: float = setting(0.0, "AdamW, Muon: decay of matrices; one-layer: added to the loss")
    seed: int = 0
    split: str = "unique"
    split_seed: int = 42
    symbols: str = "characters"
    why: str = ""
    """Why this model, in a sentence, where Moreish chose it."""
    optimizer: str = setting("adamw", "sgd, adamw, or muon (hidden matrices by Muon, the rest by AdamW)")
    momentum: float = setting(0.0, "of SGD; the lectures use none")
    beta2: float = setting(0.99, "of AdamW: how long squared gradients are remembered")
    schedule: str = setting("constant", "of the rate: constant, step (the lectures'), cosine, linear")
    warmup: float = setting(0.0, "share of the steps in which the rate rises")
    decay_at: float = setting(0.5, "after which share of the steps `step` goes to a tenth")
    batch: int = setting(32, "lines, or windows, in a step")
    batch_of: str = setting("lines", "what a batch is of: lines, or windows drawn as in the lectures")
    label_smoothing: float = setting(0.0, "share of the target spread over all symbols")
    clip: float = setting(0.0, "largest norm of the gradient; 0: any")
    average: float = setting(0.0, "decay of the running average of the weights (EMA); 0: none is kept")
    use: str = setting("last", "which weights the run uses: last, best (on dev), average (EMA)")
    patience: int = setting(0, "stop after so many evaluations without a better one; 0: never early")
    evaluate_every: int = setting(0, "steps between evaluations on dev; 0: ten in all")
    checkpoint_every: int = setting(0, "steps between checkpoints; 0: at the end only")
    watch_every: int = setting(0, "steps between readings of the vitals (moreish watch); 0: never")
    precision: str = setting("float32", "of the products: float32 or bfloat16")
    compile: bool = setting(False, "torch.compile: takes a minute here, and gains little")
    by_hand: bool = setting(False, "learn by the hand-written gradients, which equal autograd's to rounding")
    initialization: str = setting(
        "default",
        "how weights begin: default, kaiming, xavier, lsuv; the lecture's over-confident, softmax-mended, tanh-mended, "
        "kaiming-lecture, batchnorm",
    )

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ConfigError(f"no method is called {self.method!r}. There are: {', '.join(METHODS)}.")
        stream_seed(self.seed, "recipe")  # refuses what is no seed, also where nothing is drawn
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or not 0 <= self.steps <= MOST_STEPS:
            raise ConfigError(f"steps={self.steps!r} is not a whole number from 0 to 1,000,000,000. Use 2000, say.")
        _check_number("lr", self.lr, 0.0, 1e6, "Use 50 for one layer, which takes large steps; 0.1 for SGD, say.")
        _check_number("weight_decay", self.weight_decay, 0.0, 1e6, "Use 0 for none, or 0.01.")
        if self.method in ("gradient", "minibatches") and not self.lr > 0:
            raise ConfigError(f"lr={self.lr!r} would learn nothing. Use a positive learning rate, such as 0.1.")
        check_choice("recipe", "optimizer", self.optimizer, OPTIMIZERS)
        check_choice("recipe", "schedule", self.schedule, SCHEDULES)
        check_choice("recipe", "batch_of", self.batch_of, BATCH_OF)
        check_choice("recipe", "precision", self.precision, PRECISIONS)
        check_choice("recipe", "use", self.use, USES)
        check_name(self.initialization)
        check_flag("recipe", "compile", self.compile)
        check_flag("recipe", "by_hand", self.by_hand)
        for name in ("momentum", "beta2", "label_smoothing", "average"):
            check_share("recipe", name, getattr(self, name))
        for name in ("warmup", "decay_at"):
            _check_number(name, getattr(self, name), 0.0, 1.0, "It is a share of the steps. Use 0.1, say.")
        _check_number("clip", self.clip, 0.0, 1e9, "Use 1, say, or 0 for none.")
        check_whole("recipe", "batch", self.batch, 1, 10**7, "Use 32, say.")
        for name in ("patience", "evaluate_every", "checkpoint_every", "watch_every"):
            check_whole("recipe", name, getattr(self, name), 0, MOST_STEPS, "Use 0, or a number of steps.")
        if self.use == "average" and not self.average:
            raise ConfigError("use='average' needs an average. Give --average 0.999, say, or --use last.")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a file."""
        return asdict(self)


def learning_keys() -> dict[str, tuple[Any, str]]:
    """The settings of learning: each name with its default and its meaning."""
    return {f.name: (f.default, f.metadata["meaning"]) for f in fields(Recipe) if "meaning" in f.metadata}


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
        """Numbers learnt: weights of a network, n-grams seen by a count model; of a blend both."""
        return sum(p.numel() for p in self.model.parameters()) + int(getattr(self.model.config, "edges", 0))

    def with_run(self, run: str) -> Trained:
        """The same, as it stands in a run directory."""
        return replace(self, run=run)


def _check_number(name: str, value: Any, low: float, high: float, advice: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ConfigError(f"{name}={value!r} is not a number from {low:g} to {high:g}. {advice}")
