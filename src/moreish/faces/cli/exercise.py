"""exercise: list, start, check, hint, solution."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from moreish.errors import RunExists, UsageError
from moreish.faces.cli.command import Command
from moreish.faces.cli.console import note, print_json, stdout
from moreish.faces.cli.layout import Group
from moreish.faces.cli.options import Json, number, whole

ABOUT = """Gradients by hand, to practise: files to fill in, and a grader that says where a derivative is wrong and why.

Example: moreish exercise start cross_entropy out/x.py"""
exercises = typer.Typer(no_args_is_help=True, cls=Group, rich_markup_mode=None)

Id = Annotated[str, typer.Argument(metavar="ID", help="An exercise: see `moreish exercise list`.")]


@exercises.command("list", cls=Command)
def list_(json: Json = False) -> None:
    """The exercises there are, from easy to hard.

    Example: moreish exercise list
    """
    from moreish.explaining.exercises import EXERCISES

    if json:
        print_json({"exercises": [{"id": each.id, "title": each.title} for each in EXERCISES.values()]})
        return
    stdout().print(_table([(each.id, each.title) for each in EXERCISES.values()]))
    print("\nBegin with: moreish exercise start neuron neuron.py")


@exercises.command(cls=Command)
def start(
    id: Id,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where to write it, such as out/x.py.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file that is there.")] = False,
) -> None:
    """Write an exercise's file: its forward is given, the derivatives are to be filled in.

    The directory is made if need be. A file that is there stays, unless --overwrite is given.

    Example: moreish exercise start cross_entropy out/x.py
    """
    from pathlib import Path

    from moreish.explaining.exercises import exercise
    from moreish.storage import exists, make_directory, write_file

    asked = exercise(id)
    if not file or "\0" in file:
        raise UsageError(f"{file!r} is no name for a file. Give one, such as out/x.py.")
    if exists(file) and not overwrite:
        raise RunExists(f"{file} is there already. Give another file, or --overwrite to replace it.")
    make_directory(Path(file).parent)
    write_file(file, asked.blank.encode())
    note(f"{len(asked.nodes)} derivatives to fill in. Next: moreish exercise check {file}")


@exercises.command(cls=Command)
def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file that you filled in.")],
    time: Annotated[
        float, typer.Option("--time", parser=number, metavar="SECONDS", help="How long the file may run.")
    ] = 10.0,
    json: Json = False,
) -> None:
    """Say whether a file's derivatives are right; if not, where the first mistake is, and why.

    The file runs in a process of its own, with a limit of time and memory. Exit code 0: right, or not done yet without
    a mistake so far. 1: wrong, or broken.

    Example: moreish exercise check out/x.py
    """
    from moreish.explaining.grading.grader import grade_file

    found = grade_file(file, seconds=time)
    if json:
        print_json(found.to_dict())
    else:
        stdout().print(_told(found))
    if found.status in ("wrong", "broken"):
        raise typer.Exit(1)


@exercises.command(cls=Command)
def hint(
    id: Id,
    node: Annotated[
        str | None, typer.Option("--node", metavar="NAME", help="About one derivative, such as dprobs.")
    ] = None,
    more: Annotated[
        int, typer.Option("--more", parser=whole, metavar="N", help="N hints further; of a node, 1 is its formula.")
    ] = 0,
) -> None:
    """A hint, the most general first.

    With --node: where the value is used, so how many contributions its derivative has; with --more 1, its formula.

    Example: moreish exercise hint cross_entropy --node dprobs
    """
    from moreish.explaining.exercises import exercise

    asked = exercise(id)
    if more < 0:
        raise UsageError(f"--more {more} is below 0. Use 0 for the first hint, 1 for the next.")
    if node is not None:
        name = f"d{node}" if f"d{node}" in asked.nodes else node
        asked.check_node(name)
        print(asked.formula(name) if more else _uses(asked, name))
        return
    if more >= len(asked.hints):
        nodes = ", ".join(asked.nodes)
        print(f"There are {len(asked.hints)} hints. For one derivative: --node NAME, and --more 1. There are: {nodes}.")
        return
    print(asked.hints[more])


@exercises.command(cls=Command)
def solution(id: Id) -> None:
    """Print an exercise's file, filled in.

    Example: moreish exercise solution cross_entropy
    """
    from moreish.explaining.exercises import exercise

    print(exercise(id).solution, end="")


def _uses(asked: Any, node: str) -> str:
    lines = asked.consumers(node)
    ways = "once" if len(lines) == 1 else f"in {len(lines)} statements, each with its own contribution"
    return f"{node[1:]} is used {ways}:\n" + "\n".join(f"  {line}" for line in lines)


def _table(rows: list[tuple[str, str]]) -> Any:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column()
    for row in rows:
        table.add_row(*row)
    return table


STYLES = {"right": "bold green", "wrong": "bold yellow", "not done": "bold", "broken": "bold red"}


def _told(found: Any) -> Any:
    from rich.console import Group as Together
    from rich.text import Text

    from moreish.text.alphabet import printable

    parts = [Text.assemble((found.status, STYLES[found.status]), f"  {found.id}"), Text(printable(found.message))]
    if found.cause is not None:
        parts.append(Text(f"Cause: {found.cause}.", "cyan"))
    if found.printed.strip():
        parts += [Text("It printed:", "dim"), *(Text(f"  {printable(line)}", "dim") for line in
                                                found.printed.splitlines()[:10])]  # fmt: skip
    return Together(*parts)
