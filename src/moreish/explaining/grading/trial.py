"""What runs in the separate process: it judges one file and writes the judgement as JSON to a file of its own.

Called by `sandbox.py` as `python -I -c ... SOURCE ID RESULT MEMORY`; nothing else calls it. Each stage is marked by a
line in RESULT.stage, so that the parent's clock runs while the learner's code does, and not while torch loads.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
from pathlib import Path

from moreish.explaining.exercises import exercise
from moreish.explaining.grading.grades import Grade, broken
from moreish.explaining.grading.judging import judge
from moreish.explaining.grading.submission import TOO_DEEP, line_of
from moreish.explaining.grading.wording import fault_of

READY, RAN = "ready", "ran"


def main(arguments: list[str]) -> None:
    """Judge a file and leave at once, without whatever the file registered for the end."""
    source, name, result, memory = arguments
    stage = Path(f"{result}.stage")
    asked = exercise(name)
    text = Path(source).read_text(encoding="utf-8")
    own = os.getpid()
    limit(int(memory))
    stage.write_text(READY, encoding="utf-8")

    def ran(so_far: Grade) -> None:
        if os.getpid() == own:
            _write(so_far, Path(f"{result}.so_far"))
            stage.write_text(RAN, encoding="utf-8")

    try:
        grade = judge(asked, text, ran)
    except BaseException as error:
        grade = failed(asked.id, error)
    if os.getpid() == own:  # a copy that the file forked has nothing to say
        _write(grade, Path(result))
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    os._exit(0)


def limit(memory: int) -> None:
    """At most `memory` bytes more than now, no core files, no large files: where the system knows such limits."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 26, 1 << 26))
    with contextlib.suppress(OSError, ValueError, IndexError):
        now = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (now + memory, now + memory))


def failed(exercise: str, error: BaseException) -> Grade:
    """The judgement where judging itself raised, which is not to be laid at the file's door."""
    line = line_of(error)
    where = f"Line {line}: " if line else ""
    if isinstance(error, KeyboardInterrupt):
        return broken(exercise, f"{where}it raises KeyboardInterrupt. Take that out.", line)
    if isinstance(error, RecursionError):
        return broken(exercise, f"{where}{TOO_DEEP}.", line)
    return broken(
        exercise,
        f"{where}the grader itself failed ({fault_of(error)}), which says nothing about the derivatives.",
        line,
    )


def _write(grade: Grade, place: Path) -> None:
    """At once or not at all."""
    part = Path(f"{place}.part")
    part.write_text(json.dumps(grade.to_dict()), encoding="utf-8")
    part.replace(place)
