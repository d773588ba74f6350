"""Measurements made short: few steps, few seeds. What is found has its form all the same."""

from __future__ import annotations

import pytest

from moreish.explaining.batchnorm import faults, mates, regularizing
from moreish.explaining.optimizability import descending


def hurry_batchnorm(patch: pytest.MonkeyPatch) -> None:
    """Two seeds of a few steps each."""
    for name, value in {"SEEDS": 2, "PADDING_STEPS": 4, "AXES_STEPS": 4, "AXES_HIDDEN": 8, "CALIBRATION": 4}.items():
        patch.setattr(faults, name, value)
    for name, value in {"SEEDS": 2, "STEPS": 4, "LOOKS": 2, "HIDDEN": 8}.items():
        patch.setattr(regularizing, name, value)
    for name, value in {"SIZES": (2, 8), "LINES": 3, "DRAWS": 3}.items():
        patch.setattr(mates, name, value)


def hurry_optimizability(patch: pytest.MonkeyPatch) -> None:
    """A few steps at three rates, and two distances."""
    for name, value in {"RATES": (0.1, 1.0, 30.0), "STEPS": 3, "RECALL_STEPS": 2, "ASKED": 64}.items():
        patch.setattr(descending, name, value)
    patch.setattr(descending, "DISTANCES", (2, 4))
