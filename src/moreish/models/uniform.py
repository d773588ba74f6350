"""The model that knows nothing: every symbol is as likely as any other. Its loss is ln V, the line to start from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from moreish.models.model import WindowModel, check_whole
from moreish.models.ngram import MOST_SYMBOLS


@dataclass(frozen=True)
class UniformConfig:
    """A uniform model's settings."""

    symbols: int

    def __post_init__(self) -> None:
        check_whole(
            "UniformConfig", "symbols", self.symbols, 1, MOST_SYMBOLS, "It counts the alphabet and the boundary."
        )


class Uniform(WindowModel):
    """1/V for every symbol, always."""

    fitted_by_counting: ClassVar[bool] = True
    context = 1

    def __init__(self, config: UniformConfig, seed: int = 0):
        super().__init__()
        self.config = config

    def score(self, windows: Int[Tensor, "M C"]) -> Float[Tensor, "M V"]:
        return torch.zeros(len(windows), self.config.symbols, device=windows.device)
