"""Where a list comes from: a file, standard input, or one of the bundled lists, opened so that nothing can hang."""

from __future__ import annotations

import difflib
import io
import itertools
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from moreish.errors import ListError, did_you_mean
from moreish.text.alphabet import printable
from moreish.text.lists import bundled

CHUNK = 1 << 20
"""Bytes read at a time."""
HEAD = 4096
"""Bytes at a file's beginning by which its kind is told."""
SIBLINGS = 1000
"""Files of a directory looked at for one that was meant."""

KINDS_OF_NODE = (
    (stat.S_ISDIR, "a directory, not a list. Name a file in it."),
    (stat.S_ISFIFO, "a pipe. Read it through standard input: - as the list, and < before the pipe's name."),
    (stat.S_ISSOCK, "a socket, not a list. Name a file, or - for standard input."),
    (lambda mode: not stat.S_ISREG(mode), "a device, not a list. Name a file, or - for standard input."),
)


@dataclass(slots=True)
class Place:
    """Where the reader stands: lines gone by, bytes before the block at hand, bytes read, and how the source begins.

    `translated` text came from another encoding, so that its bytes are not those of the source.
    """

    name: str
    lines: int = 0
    offset: int = 0
    read: int = 0
    head: bytes = b""
    translated: bool = False

    def here(self, line: int, ahead: int) -> str:
        """The place of a byte of the block at hand."""
        return f"{self.name}, line {line}" if self.translated else self.at(line, self.offset + ahead)

    def at(self, line: int, byte: int) -> str:
        """`names.txt, line 3, byte 14`: lines from 1, bytes from 0, both of the source as it stands."""
        return f"{self.name}, line {line}, byte {byte}"


def resolve(source: str | os.PathLike[str]) -> tuple[str, Path | None]:
    """A source's name, safe to show on a terminal, and its path; None is standard input.

    A name such as `names` means the bundled list when no such file exists.

    Raises:
        ListError: there is neither such a file nor such a list.
    """
    if source == "-":
        return "standard input", None
    text = os.fsdecode(source)
    shown = printable(text)
    if not text or "\0" in text:
        raise ListError(f"'{shown}' is no path. Give a file, the name of a bundled list, or - for standard input.")
    path = Path(text)
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        mode = None
    except OSError as error:
        raise refused(shown, error) from None
    if (mode is None or stat.S_ISDIR(mode)) and text in bundled():
        return text, bundled()[text].path
    if mode is None:
        raise ListError(f"{shown}: no such file. {_nearest(path)}")
    return shown, path


def chunks(path: Path | None, place: Place) -> Iterator[bytes]:
    """The bytes of a file, or of standard input for None, 1 MiB at a time.

    Raises:
        ListError: it is no file, may not be read, or changes while it is read.
    """
    if path is None:
        yield from _read(_standard_input(), place)
        return
    try:
        _check_node(path.stat().st_mode, place)
        # Without waiting for a writer, should a pipe have taken the file's place since.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with io.FileIO(handle) as file:
            before = os.fstat(handle)
            _check_node(before.st_mode, place)
            yield from _read(file, place)
            after = os.fstat(handle)
    except OSError as error:
        raise refused(place.name, error, path) from None
    same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    if not same or (before.st_size and before.st_size != place.read):  # files under /proc have no size
        raise ListError(f"{place.name} changed while it was being read. Let it rest, or read a copy of it.")


def refused(name: str, error: OSError, path: Path | None = None) -> ListError:
    """What the operating system said, and what to do about it."""
    if isinstance(error, FileNotFoundError) and path is not None and path.is_symlink():
        target = printable(str(path.readlink()))
        return ListError(f"{name}: a link to '{target}', which is not there. Mend the link, or name the file itself.")
    if isinstance(error, PermissionError):
        return ListError(f"{name}: this user may not read it. Give read permission to it and its directories.")
    return ListError(f"{name}: cannot be read ({error.strerror or error}). Check the path and the disk.")


def _read(file: io.BufferedIOBase | io.RawIOBase, place: Place) -> Iterator[bytes]:
    try:
        while chunk := file.read(CHUNK):
            if len(place.head) < HEAD:
                place.head = (place.head + chunk)[:HEAD]
            place.read += len(chunk)
            yield chunk
        if chunk is None:  # a pipe that does not wait: what follows would be lost
            raise ListError(f"{place.name} has nothing to give yet. Make the pipe a waiting one, or name a file.")
    except OSError as error:
        raise refused(place.name, error) from None


def _check_node(mode: int, place: Place) -> None:
    for is_kind, what in KINDS_OF_NODE:
        if is_kind(mode):
            raise ListError(f"{place.name}: {what}")


def _standard_input() -> io.BufferedIOBase:
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None or stream.closed:
        raise ListError("standard input is closed. Name a file, or send a list in: < list.txt.")
    if stream.isatty():
        raise ListError("standard input is a terminal. Name a file, or send a list in: < list.txt.")
    return stream


def _nearest(path: Path) -> str:
    """Which file or bundled list was meant by a path that is not there."""
    siblings: list[str] = []
    if path.parent.is_dir():
        try:
            with os.scandir(path.parent) as entries:
                siblings = [str(path.parent / entry.name) for entry in itertools.islice(entries, SIBLINGS)]
        except OSError:
            pass  # a directory that may be entered but not listed
    else:
        return f"Its directory '{printable(str(path.parent))}' is not there either. Check the path."
    near = difflib.get_close_matches(str(path), [*siblings, *bundled()], n=1, cutoff=0.6)
    if near:
        return did_you_mean(printable(str(path)), map(printable, near))
    return f"Bundled lists: {', '.join(bundled())}."
