"""A learner's file judged in a process of its own, which may hang, crash or eat memory without harm to this one.

It protects from mistakes, not from malice: the file runs with the rights of the user who asked for it to be checked.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

from moreish.errors import UsageError
from moreish.explaining.grading.grades import Grade, broken
from moreish.explaining.grading.trial import READY

SECONDS = 10.0
"""For the learner's own code."""
LOADING, JUDGING = 120.0, 60.0
"""For torch to load on a slow machine before, and for a cause to be found after."""
MEMORY = 1 << 31
"""Bytes that the learner's code may take, beside what torch has."""
PRINTED = 1 << 12
"""Bytes of what the file prints that are kept; the rest is read and dropped."""
MARK = "MOREISH_JUDGED"
"""The environment variable by which what the file started is known again."""
START = "import sys; sys.path[:0] = {path!r}; from moreish.explaining.grading.trial import main; main(sys.argv[1:])"


def judge_apart(exercise: str, source: str, seconds: float = SECONDS, memory: int = MEMORY) -> Grade:
    """The judgement on a file's text, found in a separate process.

    Args:
        exercise: the id of the exercise that it is for.
        source: the file's text.
        seconds: how long the learner's code may run.
        memory: how many bytes it may take.

    Raises:
        UsageError: a limit that is none.
    """
    if not seconds > 0 or memory <= 0:
        raise UsageError(f"a limit of {seconds:g} seconds and {memory:,} bytes is none. Use numbers above 0.")
    with tempfile.TemporaryDirectory(prefix="moreish-", ignore_cleanup_errors=True) as place:
        file, result = Path(place) / "exercise.py", Path(place) / "grade.json"
        file.write_text(source, encoding="utf-8")
        token = secrets.token_hex(16)
        process = _start([str(file), exercise, str(result), str(memory)], place, token)
        printed = bytearray()
        reader = threading.Thread(target=_read, args=(process.stdout, printed), daemon=True)
        reader.start()
        try:
            stopped = _wait(process, Path(f"{result}.stage"), result, seconds)
        finally:
            _end(process, token)
        reader.join(timeout=1)
        grade = _grade(exercise, result, process.returncode, stopped, seconds)
        said = bytes(printed).decode("utf-8", "replace")
        return Grade.from_dict({**grade.to_dict(), "printed": said})


def _start(arguments: list[str], place: str, token: str) -> subprocess.Popen[bytes]:
    package = str(Path(__file__).parents[3])  # `src`: below it, our own rooms would pass for modules
    path = [package, *(each for each in sys.path if each and each != package)]
    return subprocess.Popen(
        [sys.executable, "-I", "-B", "-c", START.format(path=path), *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        cwd=place, env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", MARK: token},
        start_new_session=True,
    )  # fmt: skip


def _read(stream: IO[bytes] | None, kept: bytearray) -> None:
    """Read all there is, so that nobody waits for a full pipe, and keep its beginning."""
    assert stream is not None
    with contextlib.suppress(OSError, ValueError):
        while block := stream.read1(1 << 16):  # type: ignore[attr-defined]
            kept += block[: max(0, PRINTED - len(kept))]


def _wait(process: subprocess.Popen[bytes], stage: Path, result: Path, seconds: float) -> str:
    """Wait for the result; returns the stage at which the time was up, or ""."""
    at, limit = "", LOADING
    began = time.monotonic()
    while time.monotonic() - began < limit:
        if process.poll() is not None or result.exists():
            return ""
        now = ""
        with contextlib.suppress(OSError):
            now = stage.read_text(encoding="utf-8")
        if now and now != at:
            at, limit, began = now, (seconds if now == READY else JUDGING), time.monotonic()
        time.sleep(0.01)
    return at or "loading"


def _end(process: subprocess.Popen[bytes], token: str) -> None:
    """End the process with all of its group, and on Linux also what left the group but kept its environment.

    Elsewhere, what the file started in a session of its own goes on; so does, everywhere, what it started there with an
    environment of its own.
    """
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=0.2)  # one that has written its result is leaving
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for _ in range(3):  # what is being started while the others end is found the next time
        if not _kill_marked(f"{MARK}={token}".encode()):
            return


def _kill_marked(mark: bytes) -> bool:
    """Kill this user's processes with `mark` in their environment, where /proc tells; whether there were any."""
    found = False
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if place.stat().st_uid == os.getuid() and mark in (place / "environ").read_bytes().split(b"\0"):
                os.kill(int(place.name), signal.SIGKILL)
                found = True
    return found


def _grade(exercise: str, result: Path, code: int, stopped: str, seconds: float) -> Grade:
    for each in (result, Path(f"{result}.so_far")):  # where the node is known, though the search did not end
        with contextlib.suppress(OSError, ValueError, TypeError):
            return Grade.from_dict(json.loads(each.read_text(encoding="utf-8")))
    if stopped == READY:
        return broken(exercise, f"It was stopped: it ran for over {seconds:g} seconds. Is a loop without end?")
    if stopped:
        return broken(exercise, f"The grader took over {LOADING:g} seconds to start. Try again.")
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        return broken(exercise, f"It crashed the process ({name}): too deep a recursion, or too much memory.")
    return broken(exercise, f"It ended the process by itself, with code {code}, as os._exit does. Take that out.")
