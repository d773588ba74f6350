"""The options that say what every line shall be like, and how they are read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from moreish.errors import UsageError

if TYPE_CHECKING:
    from moreish.generating.constraints import Conditions

PANEL = "Conditions"


def span(text: str | tuple[int, int | None]) -> tuple[int, int | None]:
    """A least and a most: `4:8`, `6` for 6 exactly, `4:` for 4 or more, `:8` for 8 at most."""
    if isinstance(text, tuple):
        return text
    found = re.fullmatch(r"([0-9]{0,9})(:?)([0-9]{0,9})", text)
    if not found or text in ("", ":"):
        raise typer.BadParameter(f"{text[:40]!r} is not a least and a most. Use 4:8, 6 for exactly 6, 4: or :8.")
    low, colon, high = found.groups()
    if not colon:
        return int(low), int(low)
    return int(low or 0), int(high) if high else None


Prefix = Annotated[
    str, typer.Option("--prefix", metavar="TEXT", help="What every line begins with.", rich_help_panel=PANEL)
]
Suffix = Annotated[
    str, typer.Option("--suffix", metavar="TEXT", help="What every line ends with.", rich_help_panel=PANEL)
]
# typer reads these at run time, on 3.11 too: hence list and no tuple
Contains = Annotated[
    list[str] | None,
    typer.Option("--contains", metavar="TEXT", help="What stands in it; may be given again.", rich_help_panel=PANEL),
]
Excludes = Annotated[
    list[str] | None,
    typer.Option("--excludes", metavar="TEXT", help="What does not; may be given again.", rich_help_panel=PANEL),
]
Length = Annotated[
    str | None,
    typer.Option("--length", metavar="A:B", help="Least and most symbols: 4:8, 6, 4: or :8.", rich_help_panel=PANEL),
]
Pattern = Annotated[
    str | None,
    typer.Option("--pattern", metavar="REGEX", help="A regular expression for the whole line.", rich_help_panel=PANEL),
]
Allowed = Annotated[
    str | None,
    typer.Option("--alphabet", metavar="CHARACTERS", help="The only characters it may have.", rich_help_panel=PANEL),
]
Syllables = Annotated[
    str | None,
    typer.Option(
        "--syllables", metavar="A:B", help="Least and most runs of vowels: 2:3, 2, 2: or :3.", rich_help_panel=PANEL
    ),
]
Vowels = Annotated[
    str | None,
    typer.Option(
        "--vowels", metavar="LETTERS", help="For --syllables. [default: found in the list]", rich_help_panel=PANEL
    ),
]


def read_conditions(
    prefix: str = "", suffix: str = "", contains: list[str] | None = None, excludes: list[str] | None = None,
    length: str | None = None, pattern: str | None = None, allowed: str | None = None,
    syllables: str | None = None, vowels: str | None = None,
) -> Conditions:  # fmt: skip
    """The conditions of these options.

    Raises:
        UsageError: one that cannot be read.
    """
    from moreish.generating.constraints import Conditions

    def read(option: str, text: str | None) -> tuple[int, int | None] | None:
        try:
            return None if text is None else span(text)
        except typer.BadParameter as error:
            raise UsageError(f"{option}: {error}") from None

    least_and_most = read("--length", length)
    if least_and_most is not None:
        least_and_most = (max(least_and_most[0], 1), least_and_most[1])
    return Conditions(
        prefix, suffix, tuple(contains or ()), tuple(excludes or ()), least_and_most, pattern, allowed,
        read("--syllables", syllables), vowels,
    )  # fmt: skip
