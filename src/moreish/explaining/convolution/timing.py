"""Operator calls and time of each way of reading lines through a tree. Times are the one thing that differs each run.

Calls are those that Python makes, as torch.profiler records them; what an operator calls in its turn is not counted.
Times are taken in turn, way after way, so that whatever else the machine does falls on all alike.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Int
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from moreish.explaining.convolution.sliding import Slid, by_loop, by_windows
from moreish.models.tree import Tree

REPEATS = 7
LOG_LEVEL = "KINETO_LOG_LEVEL"
WAYS: dict[str, Callable[[Tree], Callable[..., Tensor]]] = {
    "loop": lambda tree: partial(by_loop, tree),
    "windows": lambda tree: partial(by_windows, tree),
    "convolution": Slid,
}
"""The loop over places in Python; all windows at once; the whole model slid over the line."""


@dataclass(frozen=True)
class Calls:
    """Operators that Python calls to read `lines` lines of `symbols` symbols each."""

    way: str
    lines: int
    symbols: int
    calls: int


@dataclass(frozen=True)
class Time:
    """The median of some readings, in seconds, and how many times that of the convolution it is."""

    way: str
    lines: int
    symbols: int
    seconds: float
    ratio: float


@dataclass(frozen=True)
class Timings:
    """Where it was measured: the device, torch's threads, readings of each way."""

    device: str
    threads: int
    repeats: int
    times: list[Time]


def calls_of(tree: Tree, tokens: Int[Tensor, "B T"]) -> list[Calls]:
    """How many operators each way calls."""
    lines, symbols = tokens.shape
    return [Calls(name, lines, symbols, _calls(way(tree), tokens)) for name, way in WAYS.items()]


@torch.no_grad()
def timings_of(tree: Tree, batches: list[Tensor], device: str) -> Timings:
    """Median times over several readings, each way in turn, of lines int [B T] that are on the device."""
    times, ways = [], {name: way(tree) for name, way in WAYS.items()}
    for tokens in batches:
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(REPEATS + 1):
            for name, way in ways.items():
                _wait(device)
                begun = time.perf_counter()
                way(tokens)
                _wait(device)
                if turn:  # the first reading of each finds nothing in any cache
                    taken[name].append(time.perf_counter() - begun)
        seconds = {name: statistics.median(each) for name, each in taken.items()}
        lines, symbols = tokens.shape
        times += [Time(name, lines, symbols, s, s / seconds["convolution"]) for name, s in seconds.items()]
    return Timings(device, torch.get_num_threads(), REPEATS, times)


@torch.no_grad()
def _calls(way: Callable[..., Tensor], tokens: Int[Tensor, "B T"]) -> int:
    with _silence(), profile(activities=[ProfilerActivity.CPU]) as recorded:
        way(tokens)
    events = recorded.events() or []
    return sum(event.name.startswith("aten::") and event.cpu_parent is None for event in events)


@contextmanager
def _silence() -> Iterator[None]:
    """The profiler writes its beginning and end to standard error, unless told not to before its first use."""
    told = os.environ.get(LOG_LEVEL)
    os.environ[LOG_LEVEL] = "99" if told is None else told
    try:
        yield
    finally:
        if told is None:
            del os.environ[LOG_LEVEL]


def _wait(device: str) -> None:
    """Until the device has done what it was told."""
    if device == "cuda":
        torch.cuda.synchronize()
