"""Where words go: results to standard output, everything else to standard error."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from moreish.errors import StorageError, UsageError, printable

if TYPE_CHECKING:
    from rich.console import Console


def stdout() -> Console:
    """A console for people on standard output."""
    from rich.console import Console

    class Patient(Console):
        def on_broken_pipe(self) -> None:  # rich would leave with exit code 1
            raise BrokenPipeError

    return Patient(highlight=False)


def stderr() -> Console:
    """A console for people on standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def is_terminal() -> bool:
    """Whether standard output is looked at by a person."""
    return sys.stdout is not None and sys.stdout.isatty()


def note(text: str) -> None:
    """One line on standard error, whatever the names in it hold."""
    print(f"moreish: {printable(text)}", file=sys.stderr)


def as_json(value: dict[str, Any]) -> str:
    """One JSON object; strict JSON, so no NaN or infinity, and escapes where standard output is not UTF-8."""
    is_unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return json.dumps(value, ensure_ascii=not is_unicode, allow_nan=False, indent=2) + "\n"


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on standard output."""
    sys.stdout.write(as_json(value))


def print_lines(texts: list[str]) -> None:
    """Lines, as they are, on standard output."""
    sys.stdout.write("".join(f"{text}\n" for text in texts))


def check_out(path: str, source: str, flag: str = "-o") -> None:
    """Refuse to write a result over the list that it is made from, or into a run directory.

    Raises:
        UsageError: the file is the list itself, or stands in a run.
        StorageError: its directory is missing.
    """
    from pathlib import Path

    with suppress(OSError, ValueError):
        if (Path(path).parent / "run.toml").exists():
            raise UsageError(f"{path} is inside a run directory, whose files are its own. Give another file to {flag}.")
        if not Path(path).parent.is_dir():
            raise StorageError(
                f"{Path(path).parent} is not a directory. Make it first, or give another file to {flag}."
            )
    with suppress(OSError, ValueError):  # no such file, or standard input is none
        listed = os.fstat(sys.stdin.fileno()) if source == "-" else Path(source or "").stat()
        if os.path.samestat(listed, Path(path).stat()):
            raise UsageError(f"{path} is the list itself, and would be lost. Give another file to {flag}.")


def write_out(path: str, text: str) -> None:
    """Write a result to a file, whole or not at all.

    Raises:
        StorageError: the file cannot be written.
    """
    from pathlib import Path

    from moreish.storage import write_file

    write_file(Path(path), text.encode())


@contextmanager
def working(description: str, quiet: bool = False) -> Iterator[Any]:
    """A sign of life on a terminal's standard error while something takes its time; silent elsewhere.

    Yields `update(done, total)`, which may be called or not.
    """
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr(), transient=True) as progress:
        task = progress.add_task(printable(description), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def make_output_safe() -> None:
    """Print what the terminal's encoding lacks as escapes, rather than fail half-way; what is closed swallows all."""
    for name in ("stdout", "stderr"):  # in this order: an opened file gets the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
