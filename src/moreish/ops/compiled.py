"""C files of the package, built by the machine's own compiler the first time they are wanted, and kept.

A library is called by what it was built from: its source, the compiler's command, flags and version, and the processor.
So another of these is another file, and nothing is ever out of date. Its name also holds the hash of its bytes: one
that was damaged is known before it is loaded, and built anew. Files come into place whole (`storage.write_file`), so
processes that build at once do no harm.

Whatever goes wrong raises `NotCompiled`, whose message says why in a sentence: callers have a way without.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
import shlex
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from moreish.errors import MoreishError, StorageError
from moreish.storage import cache_directory, make_directory, names, read_file, remove_file, write_file

COMPILERS = ("cc", "gcc", "clang")
"""Asked in this order, after $CC."""
FLAGS = ("-O3", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC", "-w")
"""None of them lets the compiler reorder sums or forget about NaN."""
OF_THIS_PROCESSOR = (("-march=native",), ("-mcpu=native",), ())
"""Compilers differ in which of these they know on which processor."""
LONGEST = 60.0
"""Seconds that a compiler may take; it takes three."""
MOST_KEPT = 8
TELLING = {
    "vendor_id", "cpu family", "model", "model name", "stepping", "flags", "Features", "CPU implementer",
    "CPU architecture", "CPU variant", "CPU part",
}  # fmt: skip
"""What /proc/cpuinfo says of a processor that does not change from core to core or from moment to moment."""


class NotCompiled(MoreishError):
    """There is no compiled library; says why."""


def library(source: Path) -> ctypes.CDLL:
    """The library of a C file, built now unless it was before.

    Raises:
        NotCompiled: there is no compiler, it failed or hung, or what it made cannot be kept or loaded.
    """
    try:
        code = read_file(source)
        place = _own_directory()
        compiler, version = _compiler()
        line = "\0".join([version, processor(), *compiler, *FLAGS, *sum(OF_THIS_PROCESSOR, ())])
        key = hashlib.sha256(line.encode("utf-8", "surrogateescape") + b"\0" + code).hexdigest()[:16]
        stem = f"{source.stem}-{key}-"
        kept = _kept(place, stem)
        if kept is not None:
            with suppress(FileNotFoundError):  # another process removed it just now
                return _loaded(kept)
        built = _built(compiler, source)
        path = place / f"{stem}{_digest(built)}.so"
        write_file(path, built)
        _prune(place, source.stem, path)
        return _loaded(path)
    except StorageError as error:
        raise NotCompiled(f"what was compiled could not be kept: {error}") from None
    except OSError as error:  # no room for temporary files, a directory that vanished
        raise NotCompiled(f"the compiler could not be put to work: {error}.") from None


def _loaded(path: Path) -> ctypes.CDLL:
    """Raises NotCompiled: it is no library for this machine. FileNotFoundError: it is gone."""
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        path.lstat()
        raise NotCompiled(f"what was compiled could not be loaded: {error}.") from None


def processor() -> str:
    """What decides which instructions may be used."""
    uname = os.uname()
    said = [uname.sysname, uname.machine, platform.processor()]
    with suppress(OSError):
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
        said += [line for line in first.splitlines() if line.partition(":")[0].strip() in TELLING]
    return "\n".join(said)


def _compiler() -> tuple[list[str], str]:
    """A compiler's command and what it says of its version."""
    try:
        asked = [shlex.split(os.environ.get("CC", ""))]
    except ValueError as error:
        raise NotCompiled(f"$CC is no command: {error}.") from None
    if asked[0] and not shutil.which(asked[0][0]):  # another would build without what was asked for
        raise NotCompiled(f"$CC names {asked[0][0]!r:.100}, which is no command here. Correct it, or unset it.")
    for command in (*asked, *([name] for name in COMPILERS)):
        if command and shutil.which(command[0]):
            code, said = _run([*command, "--version"])
            if code == 0:
                return command, said
            raise NotCompiled(f"the compiler {command[0]} does not work: {_last_line(said)}")
    raise NotCompiled(f"no C compiler was found (looked for {', '.join(COMPILERS)}); $CC may name one.")


def _built(compiler: list[str], source: Path) -> bytes:
    """What the compiler makes of a source."""
    said = ""
    with tempfile.TemporaryDirectory(prefix="moreish-") as scratch:
        out = Path(scratch) / "library.so"
        for own in OF_THIS_PROCESSOR:
            code, said = _run([*compiler, *FLAGS, *own, "-o", str(out), str(source), "-lm"])
            if code == 0 and out.is_file():
                return out.read_bytes()
    raise NotCompiled(f"the compiler {compiler[0]} failed: {_last_line(said)}")


def _run(command: Sequence[str]) -> tuple[int, str]:
    """A command's exit code and what it said. What hangs is ended with all that it started."""
    with tempfile.TemporaryFile() as heard:  # a pipe would be held open by a child that outlives its parent
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=heard, stderr=heard, start_new_session=True
            )
        except OSError as error:
            return 1, str(error)
        try:
            code = process.wait(LONGEST)
        except BaseException as error:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise NotCompiled(f"the compiler {command[0]} was stopped after {LONGEST:g} seconds.") from None
            raise
        heard.seek(0)
        return code, heard.read().decode("utf-8", "replace")


def _own_directory() -> Path:
    """Where libraries are kept. What is loaded runs as the user, so nobody else may be able to write there.

    Where others could, they no longer can, and what lies there is removed: it may be theirs.

    Raises:
        NotCompiled: somebody else owns it, or anybody may replace it.
        StorageError: it cannot be made.
    """
    place = cache_directory() / "compiled"
    make_directory(place.parent)
    with suppress(FileExistsError):
        place.mkdir(0o700)  # from the first, whatever the umask: one that was open for a moment would be emptied
    for directory in (place.parent, place):
        found = directory.stat()
        if found.st_uid not in (os.getuid(), 0):
            raise NotCompiled(f"{directory} belongs to another user. Name a directory of your own: MOREISH_CACHE=...")
    above = place.parent.stat().st_mode
    if above & stat.S_IWOTH and not above & stat.S_ISVTX:
        raise NotCompiled(f"anybody may write to {place.parent}. Name a directory of your own: MOREISH_CACHE=...")
    if place.stat().st_mode & 0o022:
        try:
            place.chmod(0o700)
        except OSError as error:
            raise NotCompiled(f"others may write to {place}: {error.strerror}.") from None
        for name in names(place):
            if name.endswith(".so"):
                remove_file(place / name)
    return place


def _kept(place: Path, stem: str) -> Path | None:
    """The user's library of that name whose bytes are as they were written; those that are not are removed."""
    for name in names(place):
        if re.fullmatch(re.escape(stem) + r"[0-9a-f]{16}\.so", name):
            path = place / name
            with suppress(FileNotFoundError):  # another process removed it
                found = path.lstat()
                own = stat.S_ISREG(found.st_mode) and found.st_uid in (os.getuid(), 0)
                if own and _digest(path.read_bytes()) == name[len(stem) : -len(".so")]:
                    return path
                remove_file(path)
    return None


def _prune(place: Path, stem: str, newest: Path) -> None:
    """Remove all but the last few: a new compiler or version of Moreish leaves the old ones behind."""
    found = []
    for name in names(place):
        if re.fullmatch(re.escape(stem) + r"-[0-9a-f]{16}-[0-9a-f]{16}\.so", name):
            with suppress(OSError):  # another process removed it
                found.append(((place / name).stat().st_mtime, place / name))
    for _, path in sorted(found, reverse=True)[MOST_KEPT:]:
        with suppress(StorageError):
            if path != newest:
                remove_file(path)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower()] or lines[-1:]
    return telling[0][:200] if telling else "it said nothing."
