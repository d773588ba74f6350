"""--plot: where a figure or a drawing may be written, and writing it. Refused before anything is computed."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from moreish.errors import UsageError
from moreish.faces.cli.console import check_out

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_figure(plot: str, source: str) -> str:
    """The format of a figure's file. Its directory is made.

    Raises:
        UsageError: no such format, no matplotlib, or a place that is not free.
        StorageError: its directory cannot be made.
    """
    from moreish.faces.plot import check_plot

    ending = check_plot(plot)
    _make_place(plot, source)
    return ending


def check_drawing(plot: str, source: str) -> None:
    """Refuse what is no place for a drawing, which is SVG. Its directory is made.

    Raises:
        UsageError: another ending, or a place that is not free.
        StorageError: its directory cannot be made.
    """
    if PurePath(plot).suffix.lower() != ".svg":
        raise UsageError(f"--plot {plot!r:.80} does not end in .svg. Give a file such as graph.svg.")
    _make_place(plot, source)


def write_figure(figure: Figure, plot: str, ending: str) -> None:
    """Write a figure, whole or not at all.

    Raises:
        StorageError: the file cannot be written.
    """
    from pathlib import Path

    from moreish.faces.plot import rendered
    from moreish.storage import write_file

    write_file(Path(plot), rendered(figure, ending))


def _make_place(plot: str, source: str) -> None:
    from pathlib import Path

    from moreish.storage import make_directory

    make_directory(Path(plot).parent)
    check_out(plot, source, "--plot")
