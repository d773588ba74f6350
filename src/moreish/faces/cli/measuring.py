"""What every command has in common that reads a list, measures something on it, and shows what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from moreish.faces.cli.console import note, print_json, stdout, working
from moreish.faces.cli.plots import write_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import RenderableType
    from rich.table import Table

    from moreish.text.corpus import Corpus

Found = TypeVar("Found")


def read_corpus(source: str, quiet: bool, **settings: Any) -> Corpus:
    """A list, with a sign of life while it is read and a word on all that is odd about it.

    Args:
        settings: as `Corpus.read` takes them.
    """
    from moreish.text.corpus import Corpus

    with working(f"reading {source}", quiet=quiet):
        corpus = Corpus.read(source, **settings)
    for warning in corpus.report.warnings if corpus.report else ():
        note(f"warning: {warning}")
    return corpus


def followed(events: Iterable[Any], kind: type[Found], description: str, quiet: bool) -> Found:
    """What a stream of events ends in, the others telling how far it is: `done` of `total`."""
    found = None
    with working(description, quiet=quiet) as update:
        for event in events:
            if isinstance(event, kind):
                found = event
            else:
                update(event.done, event.total)
    assert found is not None
    return found


def show(
    found: Any,
    told: Callable[[Any], RenderableType],
    figure: Callable[..., Figure],
    plot: str | None,
    dark: bool,
    json: bool,
) -> None:
    """What was found: as a figure where one was asked for, and as JSON or in words."""
    write_figure(plot, partial(figure, found), dark, quiet=json)
    if json:
        print_json(found.to_dict())
    else:
        stdout().print(told(found), crop=False)  # a table of counts is as wide as its numbers, also in a file


def grid(heads: Iterable[str], sides: str = "", *, vertical: Any = "top", no_wrap: bool = False) -> Table:
    """A table without lines, its heads dim.

    Args:
        sides: l or r for each column; all to the right where it is empty.
        no_wrap: whether what stands at the right is kept in one line.
    """
    from rich.table import Table
    from rich.text import Text

    heads = list(heads)
    table = Table.grid(padding=(0, 2))
    for side in sides or "r" * len(heads):
        right = side == "r"
        table.add_column(justify="right" if right else "left", vertical=vertical, no_wrap=no_wrap and right)
    table.add_row(*(Text(head, "dim") for head in heads))
    return table
