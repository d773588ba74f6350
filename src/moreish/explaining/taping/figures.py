"""Numbers as short texts and as plain values."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

FEW = 3
"""Entries that are shown one by one."""
NOISE = 1e-4
"""A mean this far below the deviation is told as 0."""
MOST_ENTRIES = 1000


def number(value: float | complex) -> str:
    """A number in about six characters: `24.7041`, `-8`, `1.2e-05`, `nan`."""
    if isinstance(value, complex):
        return f"{value:.3g}"
    if isinstance(value, (bool, int)):
        return str(value)
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e5 else f"{value:.2e}"


def short(tensor: Tensor | None) -> str:
    """A scalar as a number, few entries one by one, more as mean and standard deviation: `0.12 ± 0.98`."""
    if tensor is None:
        return ""
    if tensor.ndim == 0:
        return number(tensor.item())
    if tensor.numel() <= FEW:
        return "[" + ", ".join(_brief(each) for each in tensor.flatten().tolist()) + "]"
    if not (tensor.is_floating_point() or tensor.is_complex()):
        if tensor.dtype is torch.bool:
            return f"{int(tensor.sum())} of {tensor.numel()} true"
        return f"{int(tensor.min())} to {int(tensor.max())}"
    if broken := int((~torch.isfinite(tensor)).sum()):
        return f"{broken} of {tensor.numel()} not finite"
    if tensor.is_complex():
        return f"|.| {_brief(tensor.abs().mean().item())}"
    mean, deviation = _moments(tensor)
    return f"{_brief(mean if abs(mean) > NOISE * deviation else 0.0)} ± {_brief(deviation)}"


def plain(tensor: Tensor | None) -> Any:
    """Its entries as numbers in lists, for JSON; None where there are none, or more than 1,000, or one is not finite.

    Complex entries are pairs of numbers.
    """
    if tensor is None or tensor.numel() > MOST_ENTRIES:
        return None
    whole = torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
    return _finite(whole.tolist())


def statistics(tensor: Tensor | None) -> dict[str, float | None] | None:
    """`mean`, `deviation` (of all entries, divided by n), `least` and `most`; None where there are no real numbers."""
    if tensor is None or tensor.is_complex() or tensor.numel() == 0:
        return None
    real = tensor.double()
    mean, deviation = _moments(real)
    found = {"mean": mean, "deviation": deviation, "least": real.min().item(), "most": real.max().item()}
    return {key: _finite(value) for key, value in found.items()}


def _moments(tensor: Tensor) -> tuple[float, float]:
    real = tensor.double()
    return real.mean().item(), real.std(correction=0).item()


def _brief(value: float | complex) -> str:
    """A number in three digits: `0.12`, `-8`, `1.2e-05`."""
    if isinstance(value, (bool, int, complex)):
        return number(value)
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:.2f}" if 0.1 <= abs(value) < 1e4 else f"{value:.2g}"


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
