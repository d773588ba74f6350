"""Timing on one core, two programs in turn, and memory in a process of its own.

Each measurement is a function `(lists) -> Measured` (or several of these by name) and runs in a fresh process:
`python bench/timing.py counting:bigrams '{"names": "names.txt"}'` prints what it measured as JSON.
"""

from __future__ import annotations

import dataclasses
import gc
import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

REPEATS = 5
MB, MIB = 10**6, 2**20


class Absent(Exception):
    """What a row needs is not here; says what, and how to get it."""


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds on the clock, and seconds that the processor worked for it (`cpu`)."""

    wall: float
    cpu: float


@dataclasses.dataclass(frozen=True)
class Measured:
    """One figure: `ours` and, taken in turn with it, `reference`, a value for each repeat.

    `at_most` is a limit that follows from what was measured. `clock` is how many seconds went by for each one that the
    core worked for us: well above 1, other programs had their share of it.
    """

    ours: list[float]
    reference: list[float] = dataclasses.field(default_factory=list)
    note: str = ""
    at_most: float | None = None
    clock: float = 1.0


def timed(work: Callable[[], Any]) -> Timing:
    """How long a call takes."""
    gc.collect()
    began, worked = time.perf_counter(), time.process_time()
    work()
    return Timing(time.perf_counter() - began, time.process_time() - worked)


def in_turn(*works: Callable[[], Any], repeats: int = REPEATS) -> list[list[Timing]]:
    """Each work's timings, all of them taking turns: what slows the machine for a while slows them alike."""
    taken = [[timed(work) for work in works] for _ in range(repeats)]
    return [list(column) for column in zip(*taken)]


def rates(amount: float, timings: list[Timing]) -> list[float]:
    """So much in a second, on the clock."""
    return [amount / timing.wall for timing in timings]


def clock(timings: list[Timing]) -> float:
    """Seconds on the clock for each one at work."""
    return median(timing.wall / max(timing.cpu, 1e-9) for timing in timings)


def run_process(command: list[str]) -> tuple[Timing, int]:
    """A process from its start to its end: how long, and its peak memory in bytes.

    Linux counts the memory of the process that starts it as its own, so call this from one that holds little.

    Raises:
        RuntimeError: it failed; with the last line it said.
    """
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[0]} exited with {process.returncode}: {(said.strip() or '-').splitlines()[-1]}")
    return Timing(wall, usage.ru_utime + usage.ru_stime), _peak(usage)


def memory_now() -> int:
    """Bytes that this process holds now; where the system does not say, the most it has held."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return memory_peak()


def memory_peak() -> int:
    """Bytes, the most that this process has held."""
    return _peak(resource.getrusage(resource.RUSAGE_SELF))


def _peak(usage: resource.struct_rusage) -> int:
    return usage.ru_maxrss if sys.platform == "darwin" else usage.ru_maxrss * 1024


def pin() -> None:
    """This process and those it starts keep to one core and one thread, as far as the system lets them."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"


def measure(target: str, lists: dict[str, str], limit: float) -> Any:
    """What `module:function` gives in a process of its own, as plain values.

    Raises:
        Absent: it needs something that is not here.
        RuntimeError: it failed, or took longer than `limit` seconds.
    """
    command = [sys.executable, str(Path(__file__)), target, json.dumps(lists)]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"stopped after {limit:.0f} s") from None
    if ran.returncode:
        raise RuntimeError((ran.stderr.strip() or f"exited with {ran.returncode}").splitlines()[-1])
    answer = json.loads(ran.stdout.splitlines()[-1])
    if isinstance(answer, dict) and "absent" in answer:
        raise Absent(answer["absent"])
    return answer


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return dataclasses.asdict(value) if isinstance(value, Measured) else value


def main() -> None:
    """The process of one measurement."""
    module, function = sys.argv[1].split(":")
    work = getattr(importlib.import_module(module), function)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    try:
        answer = _plain(work(json.loads(sys.argv[2])))
    except Absent as error:
        answer = {"absent": str(error)}
    print(json.dumps(answer))


if __name__ == "__main__":
    importlib.import_module("timing").main()  # not this copy's: what is measured imports `timing` too
