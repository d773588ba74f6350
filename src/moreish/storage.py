"""Every write to disk: atomic, fsynced, hashed.

A file is either as it was or whole and new, whatever stops the process or the machine (`write_file`). A journal grows
line by line; a line that was cut off is known as such and dropped (`append_line`, `read_journal`). A directory has one
writer at a time (`lock`).

Operations that change anything go through `disk`, a small object that tests replace in order to log them or to make
them fail. What the operating system refuses becomes one `StorageError`, and what stood before still stands.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import Any, NoReturn

from filelock import FileLock, Timeout

from moreish.errors import RunLocked, StorageError

LOCK, OWNER = ".lock", ".lock-owner"
TEMPORARY = (".moreish-", ".tmp")
"""How the names of unfinished files begin and end; `lock` removes those that a dead writer left."""

PIECE = 1 << 26
"""Bytes to write at once; macOS refuses 2 GiB."""
BLOCK = 1 << 20
UNSIGNED = 0.5
"""Seconds to wait for the name of an owner who has the lock but has not signed yet: a sliver of its first moment."""

ADVICE = {
    errno.ENOSPC: "Free some space and run it again",
    errno.EDQUOT: "Free some of your quota and run it again",
    errno.EFBIG: "Raise the limit on the size of files (ulimit -f), or choose another place",
    errno.EROFS: "Choose a place on a file system that can be written to",
    errno.EACCES: "Choose another place, or have its permissions changed",
    errno.EPERM: "Choose another place, or have its permissions changed",
    errno.ENOENT: "Choose another place, or make its directory first",
    errno.ENOTDIR: "A part of this path is a file: choose another place",
    errno.EISDIR: "Choose another name",
    errno.EEXIST: "A file has that name: choose another",
    errno.ENAMETOOLONG: "Choose a shorter name",
    errno.EMFILE: "Raise the limit on open files (ulimit -n) and run it again",
    errno.EIO: "The disk itself fails: copy what matters off it, then have it checked",
}


class Disk:
    """The operations that change a disk, each as the operating system has it, each raising OSError."""

    def open(self, path: Path, flags: int, mode: int = 0o666) -> int:
        return os.open(path, flags | os.O_CLOEXEC, mode)

    def write(self, handle: int, data: memoryview) -> int:
        return os.write(handle, data)

    def truncate(self, handle: int, size: int) -> None:
        os.ftruncate(handle, size)

    def size(self, handle: int) -> int:
        return os.fstat(handle).st_size

    def fsync(self, handle: int) -> None:
        full = getattr(fcntl, "F_FULLFSYNC", None)  # on macOS, where fsync leaves data in the drive's own memory
        if full is not None:
            with contextlib.suppress(OSError):  # a file system without it
                fcntl.fcntl(handle, full)
                return
        os.fsync(handle)

    def close(self, handle: int) -> None:
        os.close(handle)

    def replace(self, source: Path, target: Path) -> None:
        source.replace(target)

    def unlink(self, path: Path) -> None:
        path.unlink()

    def mkdir(self, path: Path) -> None:
        path.mkdir()

    def fsync_directory(self, path: Path) -> None:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # network file systems that have no such thing
                raise
        finally:
            os.close(handle)


disk = Disk()


def write_file(path: str | os.PathLike[str], data: bytes | Iterable[bytes | memoryview], kept: str = "") -> str:
    """Write a whole file, durably, in place of what stood there. Gives its sha256 in hex.

    Args:
        path: where; a link is followed. Its directory must be there.
        data: the bytes, or pieces of them in order.
        kept: what is not lost if this fails, for the error's sentence; by default the file that stood there.

    Raises:
        StorageError: the disk refused. The old file is whole (or the new one, if only its confirmation failed), and
            no temporary file is left, unless that was refused too, which is said.
    """
    path = _checked(path)
    target, mode, stands = _target(path)
    kept = kept or ("what stood there before" if stands else "")
    temporary = target.with_name(secrets.token_hex(8).join(TEMPORARY))
    try:
        handle = disk.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        _refuse("write", path, error, kept)
    try:
        digest = _filled(handle, [data] if isinstance(data, bytes) else data)
        disk.replace(temporary, target)
    except BaseException as error:
        also = "" if _removed(temporary) else f" {_shown(temporary)} could not be removed: do so."
        if not isinstance(error, OSError):
            raise
        _refuse("write", path, error, kept, also)
    try:
        disk.fsync_directory(target.parent)
    except OSError as error:
        _refuse("confirm the writing of", path, error, "the new file, which may be lost if the power fails,")
    return digest


def append_line(path: str | os.PathLike[str], text: str) -> None:
    """Append one line, a JSON object, to a journal, durably. A torn last line that an earlier writer left is dropped.

    Raises:
        StorageError: the disk refused. The lines that were there still are, and no part of the new one stays.
    """
    assert "\n" not in text and _parsed(text.encode("utf-8", "backslashreplace")) is not None, text
    path = _checked(path)
    line = text.encode("utf-8", "backslashreplace") + b"\n"  # half a surrogate pair, in JSON, is written \udc80
    try:
        handle = disk.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK)
        try:
            _regular(handle)
            before = disk.size(handle)
            whole = _whole(handle, before)
            if whole < before:
                disk.truncate(handle, whole)
            try:
                _write(handle, line)
                _settle(handle, whole + len(line))
            except BaseException:
                with contextlib.suppress(OSError):  # the line is torn then, and whoever reads or appends next knows it
                    disk.truncate(handle, whole)
                raise
        finally:
            disk.close(handle)
        if not whole:  # perhaps just made
            disk.fsync_directory(path.parent)
    except OSError as error:
        _refuse("write a line to", path, error, "every earlier line")


def read_journal(path: str | os.PathLike[str]) -> tuple[list[dict[str, Any]], bool]:
    """A journal's whole lines, and whether its last one was torn, which is left out.

    Raises:
        StorageError: the journal cannot be read, or another line than its last is damaged; says which.
    """
    *lines, rest = read_file(path).split(b"\n")
    objects = [_parsed(line) for line in lines]
    torn = bool(rest)
    if objects and objects[-1] is None and not rest:  # its end reached the disk before its beginning did
        objects.pop()
        torn = True
    if None in objects:
        line = objects.index(None) + 1
        raise StorageError(f"{_shown(path)}, line {line}: no JSON object, so the file was damaged after it was "
                           f"written. Take that line out, or restore the file from a copy.")  # fmt: skip
    return [thing for thing in objects if thing is not None], torn


@contextlib.contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[tuple[BufferedIOBase, int]]:
    """An ordinary file opened for reading, and its size in bytes.

    Raises:
        StorageError: it is not there, is no ordinary file, or the disk refused; also for OSErrors inside the `with`.
    """
    path = _checked(path)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe must not hang
        try:
            _regular(handle)
            with os.fdopen(handle, "rb", closefd=False) as file:
                yield file, os.fstat(handle).st_size
        finally:
            os.close(handle)
    except OSError as error:
        _refuse("read", path, error)


def read_file(path: str | os.PathLike[str], limit: int | None = None) -> bytes:
    """A file's bytes.

    Raises:
        StorageError: it cannot be read, or is longer than `limit` bytes, found without reading more than that.
    """
    with reading(path) as (file, _):
        data = file.read() if limit is None else file.read(limit + 1)
    if limit is not None and len(data) > limit:
        raise StorageError(f"{_shown(path)} is longer than {limit:,} bytes, so it is not what it should be. "
                           f"Restore it from a copy.")  # fmt: skip
    return data


def sha256_file(path: str | os.PathLike[str]) -> str:
    """A file's sha256 in hex. Raises StorageError if it cannot be read."""
    digest = hashlib.sha256()
    with reading(path) as (file, _):
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def names(directory: str | os.PathLike[str]) -> list[str]:
    """The names in a directory. Raises StorageError if it cannot be read."""
    directory = _checked(directory)
    try:
        return [path.name for path in directory.iterdir()]
    except OSError as error:
        _refuse("read", directory, error)


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether anything has this name, a dead link included. Raises StorageError if that cannot be told."""
    path = _checked(path)
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        _refuse("look at", path, error)
    return True


def remove_file(path: str | os.PathLike[str]) -> None:
    """Remove a file; one that is gone already is no fault. Raises StorageError if the disk refused."""
    path = _checked(path)
    try:
        disk.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        _refuse("remove", path, error)


def move_file(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Move a finished file over another in the same file system, durably.

    Raises:
        StorageError: the disk refused; the file stands where it was, or where it should be.
    """
    source, target = _checked(source), _checked(target)
    try:
        disk.replace(source, target)
        disk.fsync_directory(target.parent)
    except OSError as error:
        _refuse("move a file to", target, error)


def make_directory(path: str | os.PathLike[str]) -> None:
    """Make a directory, durably, with the directories above it; one that is there already is no fault.

    Raises:
        StorageError: the disk refused, or a file has that name.
    """
    path = _checked(path)
    try:
        missing = [path]
        while missing[-1] != missing[-1].parent and not missing[-1].parent.exists():
            missing.append(missing[-1].parent)
        for directory in reversed(missing):
            try:
                disk.mkdir(directory)
            except FileExistsError:
                if not directory.is_dir():
                    raise
            else:
                disk.fsync_directory(directory.parent)
    except OSError as error:
        _refuse("make the directory", path, error)


def cache_directory() -> Path:
    """$MOREISH_CACHE, else the user's cache directory, else one under the system's temporary directory."""
    if own := os.environ.get("MOREISH_CACHE"):
        return Path(own)
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "moreish"
    with contextlib.suppress(RuntimeError):
        return Path.home() / ".cache" / "moreish"
    return Path(tempfile.gettempdir()) / f"moreish-{os.getuid()}"


@contextlib.contextmanager
def lock(directory: str | os.PathLike[str]) -> Iterator[None]:
    """Be the one writer of a directory inside the `with`. The operating system frees it when its owner dies.

    What dead writers left unfinished in the directory is removed.

    Raises:
        RunLocked: another writer has it; says the pid and the host. Found within 100 ms.
        StorageError: the directory is missing, or the disk refused.
    """
    directory = _checked(directory)
    held = FileLock(directory / LOCK)
    try:
        # filelock alone would make a directory that is missing; a vanished one must be noticed.
        disk.close(disk.open(directory / LOCK, os.O_RDWR | os.O_CREAT))
        held.acquire(timeout=0)
        _sign(directory / OWNER)
        for litter in directory.glob("*".join(TEMPORARY)):
            _removed(litter)
    except Timeout:
        raise RunLocked(f"{_shown(directory)} is being written to by {_owner(directory / OWNER)}. Wait until it "
                        f"ends, stop it, or choose another directory.") from None  # fmt: skip
    except (OSError, NotImplementedError) as error:
        if held.is_locked:
            _removed(directory / OWNER)
            held.release()
        _refuse("lock", directory, error)
    try:
        yield
    finally:
        _removed(directory / OWNER)
        held.release()


def _sign(path: Path) -> None:
    """Note who owns the lock. Only for people: it need not outlive the power, nor be read whole."""
    handle = disk.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        _write(handle, json.dumps({"pid": os.getpid(), "host": os.uname().nodename}).encode())
    finally:
        disk.close(handle)


def _owner(path: Path) -> str:
    """Who owns a lock that is held."""
    deadline = time.monotonic() + UNSIGNED
    while True:
        note = None
        with contextlib.suppress(StorageError):
            note = _parsed(read_file(path, limit=BLOCK))
        pid, host = (note.get("pid"), note.get("host")) if note else (None, None)
        if isinstance(pid, int) and isinstance(host, str) and (host != os.uname().nodename or _lives(pid)):
            return f"pid {pid} on host {_shown(host)}"
        if time.monotonic() > deadline:
            return "another process, which has not said which it is"
        time.sleep(0.002)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return pid > 0


# What the doors above are made of.


def _checked(path: str | os.PathLike[str]) -> Path:
    text = os.fsdecode(path)
    if not text or "\0" in text:
        raise StorageError(f"{text!r} is no path. Give one without NUL that names something.")
    return Path(text)


def _target(path: Path) -> tuple[Path, int, bool]:
    """Where a file is to be put, the permissions it gets there, and whether one stands there already."""
    target = path
    try:
        if path.is_symlink():
            target = Path(os.path.realpath(path))
        mode = target.stat().st_mode
    except OSError:  # not there, or the coming operations say what is wrong
        return target, 0o666, False
    if not stat.S_ISREG(mode):
        what = "a directory" if stat.S_ISDIR(mode) else "a pipe or a device"
        raise StorageError(f"cannot write {_shown(path)}: {what} has that name. Choose another.")
    if not os.access(target, os.W_OK):  # replacing it would only need the directory's consent
        _refuse("write", path, OSError(errno.EACCES, ""), "what stood there before")
    return target, stat.S_IMODE(mode), True


def _regular(handle: int) -> None:
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        raise OSError(errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL, "")


def _filled(handle: int, chunks: Iterable[bytes | memoryview]) -> str:
    """Write everything to a new file, see that it is on the disk, and close it. Gives its sha256 in hex."""
    digest, size = hashlib.sha256(), 0
    try:
        for chunk in chunks:
            digest.update(chunk)
            size += _write(handle, chunk)
        _settle(handle, size)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            disk.close(handle)
        raise
    disk.close(handle)
    return digest.hexdigest()


def _write(handle: int, chunk: bytes | memoryview) -> int:
    """Write all of a chunk, asking again as often as the disk comes up short. Gives its bytes."""
    view = memoryview(chunk)
    rest = view.cast("B") if view.nbytes else view
    while rest.nbytes:
        written = disk.write(handle, rest[:PIECE])
        if written <= 0:
            raise OSError(errno.ENOSPC, "")
        rest = rest[written:]
    return view.nbytes


def _settle(handle: int, size: int) -> None:
    """See that a file is on the disk, still has a name, and is whole: a full disk may cut it and report nothing."""
    disk.fsync(handle)
    if disk.size(handle) != size:
        raise OSError(errno.ENOSPC, "")
    if not os.fstat(handle).st_nlink:
        raise OSError(errno.ENOENT, "")


def _removed(path: Path) -> bool:
    """Remove a file, for tidiness only; whether it is gone."""
    try:
        disk.unlink(path)
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True


def _whole(handle: int, size: int) -> int:
    """Bytes of a journal's whole lines: all of it, or all but the last line if that is torn."""
    tail, begin = b"", size
    while begin and tail.count(b"\n", 0, -1) == 0:
        step = min(begin, BLOCK // 16)
        begin -= step
        tail = os.pread(handle, step, begin) + tail
    last = tail[tail.rfind(b"\n", 0, -1) + 1 :]
    torn = bool(last) and (not last.endswith(b"\n") or _parsed(last) is None)
    return size - len(last) if torn else size


def _parsed(line: bytes) -> dict[str, Any] | None:
    """A JSON object, or None for anything else."""
    try:
        thing = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return thing if isinstance(thing, dict) else None


def _shown(path: str | os.PathLike[str]) -> str:
    """A path for a message, so that its characters cannot command a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in os.fsdecode(path))


def _refuse(action: str, path: Path, error: Exception, kept: str = "", also: str = "") -> NoReturn:
    """Raise the StorageError of what the operating system said."""
    number = getattr(error, "errno", None) or errno.ENOSYS
    reason = os.strerror(number)
    advice = ADVICE.get(number, "Choose another place")
    raise StorageError(f"cannot {action} {_shown(path)}: {reason[:1].lower()}{reason[1:]} "
                       f"({errno.errorcode.get(number, number)}). {advice}{f'; {kept} is kept' if kept else ''}."
                       f"{also}") from error  # fmt: skip
