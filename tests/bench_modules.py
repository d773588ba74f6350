"""Modules of bench/, for the tests: there they import one another by their bare names."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

BENCH = Path(__file__).parents[1] / "bench"


def bench(name: str) -> ModuleType:
    """A module of bench/."""
    sys.path.insert(0, str(BENCH))
    try:
        module = importlib.import_module(name)
    finally:
        sys.path.remove(str(BENCH))
    assert Path(str(module.__file__)).parent == BENCH
    return module
