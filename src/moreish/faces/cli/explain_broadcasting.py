"""explain broadcasting."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from moreish.faces.cli.console import print_json, stdout
from moreish.faces.cli.options import Json
from moreish.faces.cli.plots import Dark, Plot, check_figure, write_figure

STYLES = {
    "head": "bold", "plain": "", "dim": "dim", "code": "cyan", "warning": "bold yellow", "error": "bold red",
    "good": "green",
}  # fmt: skip


def broadcasting(
    expression: Annotated[
        str, typer.Argument(metavar="EXPRESSION", help='Shapes and operators, such as "(27,27) / (27,1)".')
    ],
    plot: Plot = None,
    dark: Dark = False,
    json: Json = False,
) -> None:
    """How shapes meet: which axis stretches, what is contracted, what the backward must sum, and silent traps.

    A shape stands for a tensor: "(32,8,10) @ (10,200)". Names get theirs after `with`: "N / N.sum(1) with N=(27,27)".
    Known are the operators, reductions such as sum, views such as mT, unsqueeze and [:, None], functions such as exp,
    and losses. Shapes that do not meet are explained too, with what would work. Nothing is run.

    Example: moreish explain broadcasting "(27,27) / (27,)"
    """
    check_figure(plot, "", dark)
    from moreish.explaining.broadcasting.explanation import explain_broadcasting

    found = explain_broadcasting(expression)
    if plot is not None:
        from moreish.faces.plot_broadcasting import broadcasting_figure

        write_figure(plot, partial(broadcasting_figure, found), dark, quiet=json)
    if json:
        print_json(found.to_dict())
        return
    from rich.text import Text

    from moreish.explaining.broadcasting.page import page

    console = stdout()
    for kind, line in page(found, console.width):
        console.print(Text(line, STYLES[kind]), soft_wrap=True)
