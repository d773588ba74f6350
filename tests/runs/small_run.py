"""A run of one small model, whose tensors follow from its step."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

from moreish.errors import ConfigError
from moreish.runs import checkpoint
from moreish.runs.checkpoint import load

RUN = "5f0c"
META = {"run": RUN, "model": "bigram", "config": {"symbols": 3}}


def tensors_of(step: int) -> dict[str, torch.Tensor]:
    return {"counts": torch.full((3, 3), step, dtype=torch.int32), "scale": torch.tensor(step / 7)}


def expected(meta: dict[str, Any]) -> checkpoint.Expected:
    """What a careful reader of META does; careless ones are in test_strangers."""
    symbols = meta["config"]["symbols"]
    if type(symbols) is not int or not 1 <= symbols <= 1000:
        raise ConfigError(f"symbols={symbols!r} is not a whole number from 1 to 1,000.")
    return {"counts": (torch.int32, (symbols, symbols)), "scale": (torch.float32, ())}


def whole(directory: Path, least: int = 0) -> int:
    """The step that loads, without a warning, with the tensors of that step."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = load(directory, expected, run=RUN)
    assert found.meta == {**META, "format": 1, "step": found.step}
    assert found.tensors.keys() == tensors_of(0).keys()
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in tensors_of(found.step).items())
    assert found.step >= least
    return found.step
