"""The options that commands share, and how numbers are read from the command line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from moreish.errors import UsageError

if TYPE_CHECKING:
    from moreish.text.reading import ReadOptions


def whole(text: str | int) -> int:
    """A whole number in plain digits: `1_000`, `１０` and `1e3` are not one."""
    if isinstance(text, int):
        return text
    if not re.fullmatch(r"[+-]?[0-9]{1,30}", text):
        raise typer.BadParameter(f"{text[:40]!r} is not a whole number. Use digits only, such as 20.")
    return int(text)


def number(text: str | float) -> float:
    """A decimal number in plain digits; `nan` and `inf` are read, and refused by name where they mean nothing."""
    if isinstance(text, (int, float)):
        return float(text)
    if not re.fullmatch(
        r"[+-]?([0-9]{1,30}(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?|[+-]?(nan|inf(inity)?)", text, re.I
    ):
        raise typer.BadParameter(f"{text[:40]!r} is not a number. Use digits, such as 0.8.")
    return float(text)


LIST = "The list"
SAMPLING = "Sampling"
LEARNING = "Learning"
OUTPUT = "Output"

# typer reads these annotations at run time, on 3.11 too: hence Optional rather than `| None` in aliases.
ListArgument = Annotated[
    str,
    typer.Argument(
        metavar="LIST", help="A file with one thing per line, `-` for standard input, or a bundled list's name."
    ),
]
ListOrNames = Annotated[
    str,
    typer.Argument(
        metavar="[LIST]", help="A file with one thing per line, `-` for standard input, or a bundled list's name."
    ),
]
"""For a command that takes `names` where no list is given."""
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run directory, such as runs/names-ngram-1.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.", rich_help_panel=OUTPUT)]
Column = Annotated[
    str | None,
    typer.Option("--column", metavar="NAME", help="Read this column of a CSV or TSV file.", rich_help_panel=LIST),
]
Field = Annotated[
    str | None,
    typer.Option("--field", metavar="NAME", help="Read this key of a JSON Lines file.", rich_help_panel=LIST),
]
Encoding = Annotated[
    str, typer.Option("--encoding", metavar="NAME", help="The file's encoding, such as latin-1.", rich_help_panel=LIST)
]
Normalize = Annotated[
    str,
    typer.Option(
        "--normalize", metavar="NFC|none", help="Unicode normal form to bring lines to.", rich_help_panel=LIST
    ),
]
Split = Annotated[
    str,
    typer.Option(
        "--split",
        metavar="unique|lecture|none",
        help="unique: by unique item, 80/10/10. lecture: the lectures' own, which leaks. none: learn all lines.",
        rich_help_panel=LIST,
    ),
]
SplitSeed = Annotated[
    int, typer.Option("--split-seed", parser=whole, metavar="N", help="Seed of the split.", rich_help_panel=LIST)
]
Symbols = Annotated[
    str,
    typer.Option(
        "--symbols", metavar="characters|graphemes|words|bytes", help="What a symbol is.", rich_help_panel=LIST
    ),
]
Count = Annotated[int, typer.Option("-n", "--count", parser=whole, metavar="N", help="Lines asked for.")]
NewOnly = Annotated[bool, typer.Option("--new-only", help="Only lines that do not stand in the list.")]
Distance = Annotated[
    int | None,
    typer.Option(
        "--distance",
        parser=whole,
        metavar="D",
        help="Only lines more than D edits from every line of the list; names the nearest, and holds what is drawn "
        "against a count model and held-out lines, so that memorising shows.",
    ),
]
WithoutReplacement = Annotated[
    bool,
    typer.Option("--without-replacement", help="Distinct lines drawn at once (Gumbel top-k), likelier ones sooner."),
]
Temperature = Annotated[
    float,
    typer.Option(
        "--temperature",
        parser=number,
        metavar="T",
        help="1: the model as it is. Lower: safer.",
        rich_help_panel=SAMPLING,
    ),
]
TopK = Annotated[
    int | None,
    typer.Option("--top-k", parser=whole, metavar="K", help="Only the K likeliest symbols.", rich_help_panel=SAMPLING),
]
TopP = Annotated[
    float | None,
    typer.Option(
        "--top-p",
        parser=number,
        metavar="P",
        help="Only the likeliest symbols up to probability P.",
        rich_help_panel=SAMPLING,
    ),
]
Typical = Annotated[
    float | None,
    typer.Option(
        "--typical",
        parser=number,
        metavar="TAU",
        help="Only symbols about as surprising as expected, up to probability TAU.",
        rich_help_panel=SAMPLING,
    ),
]
MaxLength = Annotated[
    int | None,
    typer.Option(
        "--max-length",
        parser=whole,
        metavar="N",
        help="Symbols in a line at most. [default: twice the longest line]",
        rich_help_panel=SAMPLING,
    ),
]
SampleSeed = Annotated[
    int | None,
    typer.Option(
        "--seed", parser=whole, metavar="N", help="The same seed gives the same lines. [default: another each time]",
        rich_help_panel=SAMPLING,
    ),
]  # fmt: skip
OutFile = Annotated[
    str | None, typer.Option("-o", "--out", metavar="FILE", help="Write to this file.", rich_help_panel=OUTPUT)
]
Csv = Annotated[
    bool,
    typer.Option(
        "--csv", help="CSV: text, nats, origin, near, nearest, edits, nats_given_condition.", rich_help_panel=OUTPUT
    ),
]
Device = Annotated[
    str, typer.Option("--device", metavar="cpu|cuda|mps", help="Where to compute.", rich_help_panel=LEARNING)
]


def read_options(encoding: str, normalize: str, column: str | None, field: str | None) -> ReadOptions:
    """The reader's options from the shared flags.

    Raises:
        UsageError: a flag that means nothing.
    """
    from moreish.text.reading import ReadOptions

    return ReadOptions(encoding=encoding, normalize=normalize, column=column, field=field)  # type: ignore[arg-type]


def check_device(device: str) -> str:
    """The device, where this machine has it.

    Raises:
        UsageError: there is no such device here.
    """
    import torch

    here = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device not in here:
        raise UsageError(f"no device is called {device!r}. There are: cpu, cuda, mps.")
    if not here[device]:
        raise UsageError(f"this machine has no {device} device that torch can use. Use --device cpu.")
    return device
