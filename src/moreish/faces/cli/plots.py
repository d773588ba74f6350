"""--plot: where a figure or a drawing may be written, and writing it. Refused before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated

import typer

from moreish.errors import UsageError
from moreish.faces.cli.console import check_out, note, write_out
from moreish.faces.cli.options import OUTPUT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Plot = Annotated[
    str | None,
    typer.Option(
        "--plot", metavar="FILE", rich_help_panel=OUTPUT,
        help="Draw it into this file: .png, .svg or .pdf. Its directory is made.",
    ),
]  # fmt: skip
Drawing = Annotated[
    str | None,
    typer.Option(
        "--plot", metavar="FILE", rich_help_panel=OUTPUT, help="Draw it into this .svg file. Its directory is made."
    ),
]
Dark = Annotated[bool, typer.Option("--dark", help="Draw on a dark ground.", rich_help_panel=OUTPUT)]


def check_figure(plot: str | None, source: str, dark: bool = False) -> None:
    """Refuse what is no place for a figure. Its directory is made.

    Raises:
        UsageError: no such format, no matplotlib, a place that is not free, or --dark without --plot.
        StorageError: its directory cannot be made.
    """
    if plot is None:
        _check_undrawn(dark)
        return
    from moreish.faces.plot import check_plot

    check_plot(plot)
    _make_place(plot, source)


def check_drawing(plot: str | None, source: str, dark: bool = False) -> None:
    """Refuse what is no place for a drawing, which is SVG. Its directory is made.

    Raises:
        UsageError: another ending, a place that is not free, or --dark without --plot.
        StorageError: its directory cannot be made.
    """
    if plot is None:
        _check_undrawn(dark)
        return
    if PurePath(plot).suffix.lower() != ".svg":
        raise UsageError(f"--plot {plot!r:.80} does not end in .svg. Give a file such as graph.svg.")
    _make_place(plot, source)


def write_figure(plot: str | None, make: Callable[..., Figure], dark: bool, quiet: bool) -> None:
    """Write a figure, whole or not at all, where one was asked for; say so unless `quiet`.

    Raises:
        StorageError: the file cannot be written.
    """
    if plot is None:
        return
    from pathlib import Path

    from moreish.faces.plot import DARK, LIGHT, check_plot, rendered
    from moreish.storage import write_file

    write_file(Path(plot), rendered(make(look=DARK if dark else LIGHT), check_plot(plot)))
    if not quiet:
        note(f"wrote {plot}")


def write_drawing(plot: str | None, make: Callable[[bool], str], dark: bool, quiet: bool) -> None:
    """Write a drawing where one was asked for; say so unless `quiet`.

    Raises:
        StorageError: the file cannot be written.
    """
    if plot is None:
        return
    write_out(plot, make(dark))
    if not quiet:
        note(f"wrote {plot}")


def _check_undrawn(dark: bool) -> None:
    if dark:
        raise UsageError("--dark is about the drawing. Give --plot FILE too, or leave it out.")


def _make_place(plot: str, source: str) -> None:
    from pathlib import Path

    from moreish.storage import make_directory

    make_directory(Path(plot).parent)
    check_out(plot, source, "--plot")
