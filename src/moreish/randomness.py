"""Independent, named streams of randomness.

`stream(seed, "sampling")` and `stream(seed, "weights")` never share a number, so drawing more from one cannot shift
the other: adding dropout cannot change the order of the data.
"""

from __future__ import annotations

import hashlib
import random
from array import array
from typing import TYPE_CHECKING

import numpy as np

from moreish.errors import UsageError

if TYPE_CHECKING:
    import torch

SEEDS = 2**63
"""Seeds are whole numbers from 0 to SEEDS - 1."""


def stream_seed(seed: int, name: str) -> int:
    """The 63-bit seed of the stream called `name`: sha256 of both, the same on every machine and in every process."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < SEEDS:
        raise UsageError(f"seed={seed!r} is not a whole number from 0 to 2**63 - 1. Use one, such as 0 or 42.")
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "little") >> 1


def stream(seed: int, name: str, device: str = "cpu") -> torch.Generator:
    """An independent generator for `name`.

    Raises:
        UsageError: the seed is not a whole number from 0 to 2**63 - 1.
    """
    import torch  # deferred: text and faces name seeds without loading torch

    return torch.Generator(device).manual_seed(stream_seed(seed, name))


def shuffled(count: int, seed: int) -> np.ndarray:
    """The order in which `random.Random(seed).shuffle` leaves a list of `count` things: uint32 [count]."""
    order = array("I", range(count))  # 4 bytes each: a Python list of ten million would take 360 MB
    random.Random(seed).shuffle(order)
    return np.frombuffer(order, dtype=np.uint32) if count else np.zeros(0, np.uint32)
