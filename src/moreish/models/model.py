"""The one protocol: a language model reads symbols left to right and says what may come next.

Training reads a whole line, a prompt is T = its length, sampling is T = 1: the same line of code. The loss is not in
the model, and sampling is not in the model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, field, fields, is_dataclass, replace
from typing import Any, ClassVar, Generic, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from moreish.errors import ConfigError, did_you_mean
from moreish.shapes import BOUNDARY

State = TypeVar("State")

MOST_WEIGHTS = 500_000_000
"""Weights that a network may have: 2 GB, and as much again for its gradients and twice for AdamW."""


class LanguageModel(nn.Module, Generic[State], ABC):
    """Reads symbols left to right; says what may come next.

    A line is read as its boundary and then its symbols: `emma` is the tokens `0 e m m a`, and the targets are
    `e m m a 0`. Every tensor in a state has the batch first.
    """

    config: Any
    """A frozen dataclass beside the model; `symbols` is V, the boundary included."""

    fitted_by_counting: ClassVar[bool] = False
    """Whether the tables come from counting, so that no parameter waits for a gradient."""

    holds_list: ClassVar[bool] = False
    """Whether the lines that it learnt can be read out of its tables."""

    @property
    def waits_for_tables(self) -> bool:
        """Whether it learns by gradient to weigh tables that nothing was counted into yet (see `Entry.prepare`)."""
        return False

    @abstractmethod
    def begin(self, batch: int) -> State:
        """The state before the first symbol of `batch` lines."""

    @abstractmethod
    def forward(self, tokens: Int[Tensor, "B T"], state: State) -> tuple[Float[Tensor, "B T V"], State]:
        """Logits of what follows each token, and the state after the last. Changes neither argument."""

    def reader(self) -> Callable[[Tensor, State], tuple[Tensor, State]]:
        """What reads as `forward` does, often, while no weight changes: a model may work things out for it once.

        A reader of a model's own is called in inference mode, so it keeps nothing of what it reads.
        """
        return self

    def target_nats(
        self, tokens: Int[Tensor, "B T"], targets: Int[Tensor, "B T"], state: State
    ) -> Float[Tensor, "B T"]:
        """Negative log-likelihood of each target, in nats. A model with tables may look it up instead."""
        logits, _ = self(tokens, state)
        return -torch.log_softmax(logits, -1).gather(-1, targets.long()[..., None])[..., 0]

    def read_lines(self, tokens: Int[Tensor, " N"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "N V"]:
        """Logits of what follows each token of whole lines laid end to end: `0 e m m a 0 a v a`, lengths 5 and 4.

        What `forward` gives line by line; models override it to compute no padding. Each line begins with its
        boundary and ends before the closing one.
        """
        inside = torch.arange(int(lengths.max()), device=tokens.device) < lengths[:, None]
        padded = torch.full(inside.shape, BOUNDARY, dtype=tokens.dtype, device=tokens.device)
        padded[inside] = tokens
        return self(padded, self.begin(len(lengths)))[0][inside]

    def learning_logits(
        self, tokens: Int[Tensor, " N"], targets: Int[Tensor, " N"], lengths: Int[Tensor, " B"]
    ) -> Float[Tensor, "N V"]:
        """What a training step learns from: `read_lines`, unless a model must be kept from seeing its own target."""
        return self.read_lines(tokens, lengths)


class WindowModel(LanguageModel[Tensor]):
    """A model that sees the last C symbols and nothing else. It writes only `score`.

    Its state is the last C - 1 symbols read, int [B C-1]; before a line they are boundaries.
    """

    context: int
    """C, at least 1."""

    @abstractmethod
    def score(self, windows: Int[Tensor, "M C"]) -> Float[Tensor, "M V"]:
        """Logits of what follows each window, oldest symbol first."""

    def begin(self, batch: int) -> Int[Tensor, "B K"]:
        return torch.full((batch, self.context - 1), BOUNDARY, dtype=torch.long, device=device_of(self))

    def forward(
        self, tokens: Int[Tensor, "B T"], state: Int[Tensor, "B K"]
    ) -> tuple[Float[Tensor, "B T V"], Int[Tensor, "B K"]]:
        rows, long = tokens.shape
        seen = torch.cat([state, tokens.to(state.dtype)], dim=1)
        windows = seen.unfold(1, self.context, 1) if long else seen.new_zeros(rows, 0, self.context)
        logits = self.score(windows.reshape(-1, self.context))
        # seen[:, -(C-1):] would keep everything where C = 1.
        return logits.reshape(rows, long, self.config.symbols), seen[:, long:]

    def read_lines(self, tokens: Int[Tensor, " N"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "N V"]:
        return self.score(windows_of(tokens, lengths, self.context))


def windows_of(tokens: Int[Tensor, " N"], lengths: Int[Tensor, " B"], context: int) -> Int[Tensor, "N C"]:
    """The last `context` symbols at each position of lines laid end to end; boundaries stand before a line."""
    first = torch.repeat_interleave(lengths.cumsum(0) - lengths, lengths)
    back = torch.arange(1 - context, 1, device=tokens.device)
    at = torch.arange(len(tokens), device=tokens.device)[:, None] + back
    # A line's first token is a boundary itself, so whatever lies before it reads as that.
    return tokens[torch.maximum(at, first[:, None])]


def device_of(model: nn.Module) -> torch.device:
    """Where a model's tensors are; the processor, for one that has none."""
    tensor = next(model.parameters(), next(model.buffers(), None))
    return torch.device("cpu") if tensor is None else tensor.device


def place(model: LanguageModel[Any], device: str) -> LanguageModel[Any]:
    """Move a model to a device.

    Under mps models stay on the processor for now: drawing and scoring need float64, which mps lacks.
    """
    return model if device == "mps" else model.to(device)


def select(state: Any, rows: Tensor) -> Any:
    """The state of some rows, in that order: repeats a prompt, drops finished lines, serves beams.

    Args:
        state: a tensor with the batch first, or tuples (named ones too), lists and frozen dataclasses of such.
        rows: int [k], indices into the batch.
    """
    if isinstance(state, Tensor):
        return state.index_select(0, rows)
    if isinstance(state, (tuple, list)):
        parts = [select(part, rows) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else type(state)(parts)
    if is_dataclass(state) and not isinstance(state, type):
        return replace(state, **{f.name: select(getattr(state, f.name), rows) for f in fields(state)})
    raise TypeError(f"a state holds {type(state).__name__}, which has no rows. Use tensors, tuples or dataclasses.")


def config_to_dict(config: Any) -> dict[str, Any]:
    """A config as plain values, for a file."""
    return asdict(config)


def config_from_dict(cls: type, values: dict[str, Any]) -> Any:
    """A config from plain values.

    Raises:
        ConfigError: an unknown key (with a guess at the one meant), or a value that the config refuses.
    """
    known = {f.name for f in fields(cls)}
    for key in values:
        if key not in known:
            raise ConfigError(f"{cls.__name__} has no key {key!r}. {did_you_mean(key, known)}")
    try:
        return cls(**values)
    except TypeError as error:
        raise ConfigError(f"{cls.__name__}: {error}. It has: {', '.join(sorted(known))}.") from None


def setting(default: Any, meaning: str) -> Any:
    """A field of a config with its default and its meaning, from which flags and documentation are made."""
    return field(default=default, metadata={"meaning": meaning})


def check_whole(owner: str, name: str, value: Any, low: int, high: int, advice: str) -> None:
    """Refuse a setting that is not a whole number from `low` to `high`.

    Raises:
        ConfigError
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"{owner}: {name}={value!r} is not a whole number from {low:,} to {high:,}. {advice}")


def check_share(owner: str, name: str, value: Any) -> None:
    """Refuse a setting that is not a number from 0 to below 1.

    Raises:
        ConfigError
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise ConfigError(f"{owner}: {name}={value!r} is not a number from 0 to below 1. Use 0 for none, or 0.2.")


def check_choice(owner: str, name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Refuse a setting that is none of the choices.

    Raises:
        ConfigError
    """
    if value not in choices:
        raise ConfigError(f"{owner}: {name}={value!r:.60} is none of: {', '.join(choices)}. Use one of those.")


def check_flag(owner: str, name: str, value: Any) -> None:
    """Refuse a switch that is neither True nor False.

    Raises:
        ConfigError
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{owner}: {name}={value!r:.60} is neither true nor false. Use one of those.")


def check_size(owner: str, weights: int, why: str) -> None:
    """Refuse a config whose weights would not fit, before anything is allocated for them.

    Raises:
        ConfigError
    """
    if weights > MOST_WEIGHTS:
        raise ConfigError(
            f"{owner}: {why} needs {weights:,} weights, {weights * 4 / 2**30:,.1f} GiB; at most {MOST_WEIGHTS:,} are "
            f"built. Use smaller sizes."
        )
