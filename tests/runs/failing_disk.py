"""Disks that fail on purpose, to be put in the place of `storage.disk`.

None of them waits for the hardware: an fsync that works does nothing here, for speed. What an fsync is for is tested
by `power_loss`.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from moreish.storage import Disk

KILLED = 99
"""How a process ends that is killed at an operation."""
OPERATIONS = (
    "open", "write", "truncate", "size", "fsync", "close", "replace", "unlink", "mkdir", "fsync_directory",
)  # fmt: skip
REFUSALS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "EACCES": errno.EACCES}
FAULTS = (*REFUSALS, "short", "lost", "kill")
"""`short`: half of a write is taken, and said to be; `lost`: half is taken, and all is said to be."""


class Failing(Disk):
    """Works until operation number `at`; then fails that once, or for ever. Without `at` it only counts."""

    def __init__(self, at: int | None = None, fault: str = "", forever: bool = False):
        self.at, self.fault, self.forever = at, fault, forever
        self.done: list[str] = []

    def operate(self, name: str, *args):
        number = len(self.done)
        self.done.append(name)
        hit = self.at is not None and (number == self.at or (self.forever and number > self.at))
        work = getattr(Disk, name)
        if name == "write" and hit and self.fault not in REFUSALS:
            handle, data = args
            taken = work(self, handle, data[: len(data) // 2])
            if self.fault == "kill":
                os._exit(KILLED)
            return taken if self.fault == "short" else len(data)
        if hit and self.fault == "kill":
            os._exit(KILLED)
        if hit and self.fault in REFUSALS:
            if name == "close":
                work(self, *args)  # a handle is gone after close, whatever it reports
            raise OSError(REFUSALS[self.fault], "made to fail")
        return None if name in ("fsync", "fsync_directory") else work(self, *args)


class Full(Disk):
    """A disk with room for so many more bytes and files. What is removed makes no room."""

    def __init__(self, room: int, inodes: int = 1000):
        self.room, self.inodes = room, inodes

    def open(self, path: Path, flags: int, mode: int = 0o666) -> int:
        if flags & os.O_CREAT and not path.exists():
            if not self.inodes:
                raise OSError(errno.ENOSPC, "made to fail")
            self.inodes -= 1
        return super().open(path, flags, mode)

    def write(self, handle: int, data: memoryview) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "made to fail")
        taken = super().write(handle, data[: self.room])
        self.room -= taken
        return taken

    def fsync(self, handle: int) -> None:
        pass

    def fsync_directory(self, path: Path) -> None:
        pass


def _operation(name: str):
    def operation(self: Failing, *args):
        return self.operate(name, *args)

    return operation


for _name in OPERATIONS:
    setattr(Failing, _name, _operation(_name))
