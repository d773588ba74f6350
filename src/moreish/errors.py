"""The errors of Moreish, in one voice: what is wrong, against what, what to do.

    MoreishError                 anything a user can cause or meet; one line, no traceback, exit 1
    ├── UsageError               a command, flag or argument that cannot be obeyed; exit 2
    │   └── ConfigError          a model's or recipe's setting that cannot be built
    ├── ListError                a list that cannot be read: file, line, byte offset, the byte, what helps
    ├── AlphabetError            text holding a symbol that an alphabet lacks
    ├── StorageError             the disk said no; nothing that stood before is lost
    ├── RunError                 a run directory that is missing, taken, or not a run
    │   ├── RunExists            it is there already and --overwrite was not given
    │   ├── RunLocked            another process writes to it: pid and host
    │   └── CheckpointError      a checkpoint that is damaged, cut, swapped or not ours
    ├── LawBroken                a model that breaks a law of `check_model`
    └── Impossible               what was asked for cannot exist

    CheckpointWarning (a UserWarning): a damaged checkpoint was passed over for an older, whole one; both are named.
    ResumeWarning (a UserWarning): a training goes on where the same bits cannot be promised; says what differs.

Asserts are for our own invariants, never for a user's mistake.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MoreishError(Exception):
    """Anything a user can cause or meet. `str(error)` is one line meant for people."""

    exit_code = 1


class UsageError(MoreishError):
    """A command, flag or argument that cannot be obeyed."""

    exit_code = 2


class ConfigError(UsageError):
    """A model's or recipe's setting that cannot be built."""


class ListError(MoreishError):
    """A list that cannot be read. Says file, line, byte offset and the byte in hex where there are such."""


class AlphabetError(MoreishError):
    """Text that holds a symbol the alphabet lacks."""


class StorageError(MoreishError):
    """A write or read that the operating system refused. What stood before still stands."""


class RunError(MoreishError):
    """A run directory that is missing, taken, or not a run."""


class RunExists(RunError):
    """The run directory is there already."""


class RunLocked(RunError):
    """Another process writes to this run directory."""


class CheckpointError(RunError):
    """A checkpoint that is damaged, cut, swapped, or not ours."""


class LawBroken(MoreishError):
    """A model that breaks laws of `check_model`. `laws` maps each broken law's name to what was seen."""

    def __init__(self, laws: dict[str, str]):
        self.laws = laws
        super().__init__("; ".join(f"{name}: {why}" for name, why in laws.items()))


class Impossible(MoreishError):
    """What was asked for cannot exist."""


class CheckpointWarning(UserWarning):
    """A damaged checkpoint was passed over for an older, whole one."""


class ResumeWarning(UserWarning):
    """A training goes on under another torch, another number of threads, or on another kind of processor."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'lstm'?`, or the names there are, to end a sentence about an unknown name."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"Did you mean {near[0]!r}?" if near else "There are: " + ", ".join(names) + "."


def counted(count: int, one: str) -> str:
    """`1 line`, `2,000 lines`: a number of things whose plural ends in s."""
    return f"{count:,} {one}{'' if count == 1 else 's'}"


def printable(text: str) -> str:
    """Text with control and other unprintable characters escaped, so that a line cannot command a terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" if ord(c) < 256 else f"\\u{ord(c):04x}" for c in text)
