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
from moreish.explaining.grading.judging import judge

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
    grade = judge(asked, text, ran=lambda: _mark(stage, own))
    if os.getpid() == own:  # a copy that the file forked has nothing to say
        part = Path(f"{result}.part")
        part.write_text(json.dumps(grade.to_dict()), encoding="utf-8")
        part.replace(result)
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


def _mark(stage: Path, own: int) -> None:
    if os.getpid() == own:
        stage.write_text(RAN, encoding="utf-8")
