"""What the learner's numbers beside the right ones say by themselves: a constant ratio, the right numbers misshapen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from moreish.explaining.grading.truth import Truth

EQUAL = 1e-6
"""Two ratios that differ by less, relatively, are one."""


def read_ratio(truths: Sequence[Truth], got: Sequence[Tensor], want: Sequence[Tensor]) -> tuple[str, str] | None:
    """The cause that a ratio constant over all entries, on every draw, points to; None where it is not constant."""
    ratios = []
    for truth, a, b in zip(truths, got, want):
        if truth.is_nothing(b) or truth.is_nothing(a):
            return None
        at = int(b.abs().argmax())
        ratio = float(a.reshape(-1)[at] / b.reshape(-1)[at])
        if not truth.is_close(a, ratio * b):
            return None
        ratios.append(ratio)
    if _equal(ratios, [1.0] * len(ratios)):
        return None
    if _equal(ratios, [-1.0] * len(ratios)):
        return "wrong sign", ""
    for name, counts in _counts(truths).items():
        for cause, predicted in (
            ("n - 1 for n", [n / (n - 1) for n in counts]),
            ("n for n - 1", [(n - 1) / n for n in counts]),
            ("forgotten mean", list(counts)),
            ("forgotten mean", [n - 1 for n in counts]),
        ):
            if _equal(ratios, predicted):
                return cause, f"the division by {name}" if cause == "forgotten mean" else name
        if _equal(ratios, [1 / n for n in counts]):
            return "wrong scale", f"divided by {name} too often"
    if len(ratios) > 1 and not _equal(ratios, ratios[:1] * len(ratios)):
        return None
    return "wrong scale", f"{abs(ratios[0]):.4g} times as large"


def shape_relation(got: Tensor, want: Tensor, close: Callable[[Tensor, Tensor], bool]) -> tuple[str, str] | None:
    """The cause, if `got` holds the right numbers in another shape."""
    if got.shape == want.shape:
        return None
    if got.numel() == want.numel():
        if [n for n in got.shape if n > 1] == [n for n in want.shape if n > 1] and close(got.reshape(want.shape), want):
            return ("missing keepdim" if got.dim() < want.dim() else "keepdim too many"), "an axis of size 1"
        if got.dim() >= 2 and close(got.mT.reshape(-1), want.reshape(-1)):
            return "transposed product", "the whole of it"
    if got.numel() <= want.numel():
        return None
    lined_up = (1,) * (got.dim() - want.dim()) + tuple(want.shape)
    over = [axis for axis, (a, b) in enumerate(zip(got.shape, lined_up)) if a != b]
    if all(lined_up[axis] == 1 for axis in over) and close(got.sum(over, keepdim=True).reshape(want.shape), want):
        axes = over[0] if len(over) == 1 else tuple(over)
        keep = ", keepdim=True" if got.dim() == want.dim() else ""
        return "missing broadcast sum", f"sum({axes}{keep})"
    for axis in range(got.dim()):
        summed = got.sum(axis)
        if summed.numel() == want.numel() and close(summed.reshape(want.shape), want):
            return "missing broadcast sum", f"sum({axis})"
    return None


def _counts(truths: Sequence[Truth]) -> dict[str, list[int]]:
    """How many entries an axis has, a tensor has, or a whole number of the forward says: on each draw."""
    found: dict[str, list[int]] = {}
    for name, value in truths[0].values.items():
        others = [truth.values[name] for truth in truths]
        if isinstance(value, int):
            found.setdefault(name, [int(each) for each in others])  # type: ignore[call-overload]
        elif isinstance(value, Tensor):
            tensors = [each for each in others if isinstance(each, Tensor)]
            for axis in range(value.dim()):
                found[f"{name}.shape[{axis}]"] = [each.shape[axis] for each in tensors]
            found[f"{name}.numel()"] = [each.numel() for each in tensors]
    return {name: counts for name, counts in found.items() if min(counts) > 1}


def _equal(some: Sequence[float], others: Sequence[float | int]) -> bool:
    return bool(torch.isclose(torch.tensor(some, dtype=torch.float64), torch.tensor(others, dtype=torch.float64),
                              rtol=EQUAL, atol=0.0).all())  # fmt: skip
