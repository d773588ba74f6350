"""What a disk may hold after the power failed, without any special device.

`Recorder` logs the operations of a program that runs; `crash_states` gives, for every moment of the log, the trees of
files that could be found afterwards. Until a file is fsynced, its unsynced writes may be there, missing, cut in half,
there as zeros (the length got to the disk, the content did not), or with only their ends there; all unsynced files of
a state suffer the same. Until a directory is fsynced, any of the names made, moved or removed in it may be so or not,
each by itself. Ext4 and APFS keep more than this; POSIX promises no more.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moreish import storage
from moreish.storage import Disk

MOST_SUBSETS = 6
"""Up to so many unsynced names every subset is tried; beyond, prefixes, single ones and all but single ones."""
MODES = ("all", "none", "half", "zeros", "end only")

Tree = dict[str, Any]
"""Names to bytes or to trees."""


class Recorder(Disk):
    """Does everything but the waiting for hardware, and logs it."""

    def __init__(self) -> None:
        self.log: list[tuple[Any, ...]] = []
        self.inodes: dict[str, int] = {}
        self.handles: dict[int, tuple[int, bool]] = {}
        self.count = itertools.count()

    def promise(self, *what: Any) -> None:
        """From here on, this must survive."""
        self.log.append(("promise", what))

    def open(self, path: Path, flags: int, mode: int = 0o666) -> int:
        fresh = not path.exists()
        handle = super().open(path, flags, mode)
        if fresh:
            self.inodes[str(path)] = next(self.count)
            self.log.append(("create", str(path.parent), path.name, self.inodes[str(path)]))
        self.handles[handle] = self.inodes[str(path)], bool(flags & os.O_APPEND)
        if flags & os.O_TRUNC:
            self.log.append(("truncate", self.inodes[str(path)], 0))
        return handle

    def write(self, handle: int, data: memoryview) -> int:
        inode, appends = self.handles[handle]
        begin = os.fstat(handle).st_size if appends else os.lseek(handle, 0, os.SEEK_CUR)
        taken = super().write(handle, data)
        self.log.append(("write", inode, begin, bytes(data[:taken])))
        return taken

    def truncate(self, handle: int, size: int) -> None:
        super().truncate(handle, size)
        self.log.append(("truncate", self.handles[handle][0], size))

    def replace(self, source: Path, target: Path) -> None:
        super().replace(source, target)
        assert source.parent == target.parent
        self.inodes[str(target)] = self.inodes.pop(str(source))
        self.log.append(("rename", str(source.parent), source.name, target.name, self.inodes[str(target)]))

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        self.log.append(("unlink", str(path.parent), path.name))

    def mkdir(self, path: Path) -> None:
        super().mkdir(path)
        self.log.append(("mkdir", str(path.parent), path.name, str(path)))

    def fsync(self, handle: int) -> None:
        self.log.append(("fsync", self.handles[handle][0], _site()))

    def fsync_directory(self, path: Path) -> None:
        self.log.append(("fsync_directory", str(path), _site()))


def _site() -> tuple[str, ...]:
    """Which fsync of the code this is: the functions of storage.py on the way to it, innermost first, and its line."""
    frame = sys._getframe(2)
    line, names = frame.f_lineno, []
    while frame is not None:
        if frame.f_code.co_filename == storage.__file__:
            names.append(frame.f_code.co_name)
        frame = frame.f_back
    return (*names, str(line))


@dataclass
class _Machine:
    """What is certainly on the disk, and what is not yet certain."""

    names: dict[str, dict[str, int | str]] = field(default_factory=dict)
    unsure_names: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    data: dict[int, bytes] = field(default_factory=dict)
    unsure_data: dict[int, list[tuple[Any, ...]]] = field(default_factory=dict)

    def step(self, entry: tuple[Any, ...]) -> None:
        match entry:
            case ("create" | "mkdir" | "rename" | "unlink", directory, *_):
                self.unsure_names.setdefault(directory, []).append(entry)
            case ("write" | "truncate", inode, *_):
                self.unsure_data.setdefault(inode, []).append(entry)
            case ("fsync", inode, *_):
                self.data[inode] = _written(self.data.get(inode, b""), self.unsure_data.pop(inode, []), "all")
            case ("fsync_directory", directory, *_):
                pending = self.unsure_names.pop(directory, [])
                self.names[directory] = _named(self.names.get(directory, {}), pending)

    def crash(self, root: str) -> Iterator[Tree]:
        directories = list(self.unsure_names)
        for chosen in itertools.product(*(_subsets(self.unsure_names[each]) for each in directories)):
            names = dict(self.names)
            for directory, pending in zip(directories, chosen):
                names[directory] = _named(names.get(directory, {}), pending)
            for mode in MODES if self.unsure_data else MODES[:1]:
                data = dict(self.data)
                for inode, pending in self.unsure_data.items():
                    data[inode] = _written(data.get(inode, b""), pending, mode)
                yield _tree(root, names, data)


def _subsets(pending: list[tuple[Any, ...]]) -> list[list[tuple[Any, ...]]]:
    n = len(pending)
    if n <= MOST_SUBSETS:
        return [list(itertools.compress(pending, bits)) for bits in itertools.product((0, 1), repeat=n)]
    prefixes = [pending[:i] for i in range(n + 1)]
    return prefixes + [[each] for each in pending] + [pending[:i] + pending[i + 1 :] for i in range(n)]


def _named(names: dict[str, int | str], entries: list[tuple[Any, ...]]) -> dict[str, int | str]:
    names = dict(names)
    for entry in entries:
        match entry:
            case ("create" | "mkdir", _, name, inode):
                names[name] = inode
            case ("rename", _, source, target, inode):
                names.pop(source, None)
                names[target] = inode
            case ("unlink", _, name):
                names.pop(name, None)
    return names


def _written(data: bytes, entries: list[tuple[Any, ...]], mode: str) -> bytes:
    if mode == "none":
        return data
    for entry in entries:
        if entry[0] == "truncate":
            data = data[: entry[2]]
            continue
        begin, chunk = entry[2], entry[3]
        half = len(chunk) // 2
        if mode == "half":
            chunk = chunk[:half]
        elif mode == "zeros":
            chunk = bytes(len(chunk))
        elif mode == "end only":
            chunk = bytes(half) + chunk[half:]
        data = data[:begin].ljust(begin, b"\0") + chunk + data[begin + len(chunk) :]
    return data


def _tree(directory: str, names: dict[str, dict[str, int | str]], data: dict[int, bytes]) -> Tree:
    return {
        name: _tree(inode, names, data) if isinstance(inode, str) else data.get(inode, b"")
        for name, inode in names.get(directory, {}).items()
    }


def crash_states(
    log: list[tuple[Any, ...]], root: Path, without: tuple[str, ...] | None = None
) -> Iterator[tuple[list[tuple[Any, ...]], Tree]]:
    """Every promise made so far, and a tree that may be found then; `without` leaves out one fsync of the code."""
    machine, promises = _Machine(), []
    for entry in log:
        if entry[0] == "promise":
            promises.append(entry[1])
        elif entry[-1] != without:
            machine.step(entry)
        for tree in machine.crash(str(root)):
            yield promises, tree


def lay_out(tree: Tree, directory: Path) -> None:
    """Make a tree real."""
    directory.mkdir()
    for name, content in tree.items():
        if isinstance(content, bytes):
            (directory / name).write_bytes(content)
        else:
            lay_out(content, directory / name)
