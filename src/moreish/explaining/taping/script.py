"""A learner's file of Python, run as it stands while a tape records."""

from __future__ import annotations

import sys
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from types import TracebackType
from typing import Any

from moreish.errors import MoreishError, UsageError
from moreish.explaining.taping.tape import Tape
from moreish.storage import read_file

MOST_BYTES = 1 << 20


def tape_of(path: str, require_grad: bool = False) -> Tape:
    """Run a file as `python FILE` would, what it prints going to standard error, and return what it computed.

    Args:
        require_grad: as of `tape`.

    Raises:
        MoreishError: the file stops with an error of its own, which is told with its line, or computes nothing.
        UsageError: it is no Python.
        StorageError: it cannot be read.
    """
    code = _compiled(path, read_file(path, MOST_BYTES + 1))
    variables: dict[str, Any] = {"__name__": "__main__", "__file__": path, "__builtins__": __builtins__}
    recording = Tape(require_grad, variables)
    before = list(sys.path), list(sys.argv)
    sys.path.insert(0, str(Path(path).resolve().parent))
    sys.argv = [path]
    try:
        with redirect_stdout(sys.stderr), recording:
            exec(code, variables)  # the learner's own file, run because they asked for it
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        where = f"{path}{_line(error.__traceback__, path)}"
        if isinstance(error, SystemExit):
            raise MoreishError(
                f"{where}: it leaves by exit(). Take that out, so that the file runs to its end."
            ) from None
        said = " ".join(str(error).split()) or "no more is said"
        kind = "" if isinstance(error, MoreishError) else f"{type(error).__name__}: "
        raise MoreishError(f"{where}: {kind}{said[:400].rstrip('.')}.") from None
    finally:
        sys.path[:], sys.argv[:] = before
    if not recording.records:
        raise MoreishError(
            f"{path} computes nothing with torch. Write an expression of tensors, such as L = (a * b).sum()."
        )
    return recording


def _compiled(path: str, source: bytes) -> Any:
    if len(source) > MOST_BYTES:
        raise UsageError(f"{path} is larger than {MOST_BYTES >> 20} MB. Give a small file of Python.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return compile(source, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        raise UsageError(f"{path}{line}: no valid Python: {error.msg}. Mend that line.") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"{path} is no Python that can be read: {error or 'nested too deep'}.") from None


def _line(traceback: TracebackType | None, path: str) -> str:
    """Where the file itself was when it stopped, however deep within torch that was."""
    found = ""
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == path:
            found = f", line {traceback.tb_lineno}"
        traceback = traceback.tb_next
    return found
