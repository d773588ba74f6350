"""report."""

from __future__ import annotations

from typing import Annotated

import typer

from moreish.errors import UsageError
from moreish.faces.cli.console import check_out, note, print_json, stdout, working, write_out
from moreish.faces.cli.options import OUTPUT, Count, Json, RunArgument, whole

ENDINGS = (".html", ".htm")


def report(
    run: RunArgument,
    out: Annotated[
        str | None,
        typer.Option(
            "-o", "--out", metavar="FILE", rich_help_panel=OUTPUT,
            help="Write it into this .html file, a page that needs nothing else. Its directory is made.",
        ),
    ] = None,
    count: Count = 20,
    seed: Annotated[
        int, typer.Option("--seed", parser=whole, metavar="N", help="Of the lines that it makes.")
    ] = 0,
    doctor: Annotated[
        bool, typer.Option("--doctor/--no-doctor", help="Let the doctor take the training's first steps again.")
    ] = True,
    json: Json = False,
) -> None:  # fmt: skip
    """All that there is to say of a run, each number explained: in the terminal, or with -o as one page.

    The doctor's word on its list, how it learnt, how well it predicts, what passed through it, what it makes, what it
    made of its symbols, and its recipe. Page, --json and terminal are the same report.

    Example: moreish report runs/mine -o report.html
    """
    _check(out)
    from moreish.runs.report import MOST_LINES
    from moreish.runs.report import report as measure

    if not 1 <= count <= MOST_LINES:
        raise UsageError(f"-n {count} is not a whole number from 1 to {MOST_LINES:,}. Use 20, say.")

    with working("measuring", quiet=json):
        found = measure(run, seed=seed, lines=count, doctor=doctor)
    if out is not None:
        check_out(out, found.list)
        from moreish.faces.reporting.page import page

        with working("drawing", quiet=json):
            whole_page = page(found)
        write_out(out, whole_page)
        if not json:
            note(f"wrote {out}")
    if json:
        print_json(found.to_dict())
    elif out is None:
        from moreish.faces.reporting.terminal import told

        console = stdout()
        console.print(told(found, console.width))


def _check(out: str | None) -> None:
    """Refuse what is no place for a page, before anything is computed. Its directory is made."""
    if out is None:
        return
    from pathlib import Path

    from moreish.faces.plot import check_matplotlib
    from moreish.storage import make_directory

    if not out.lower().endswith(ENDINGS):
        raise UsageError(f"-o {out!r:.80} does not end in .html. Give a file such as report.html.")
    check_matplotlib("-o")
    make_directory(Path(out).parent)
    check_out(out, "")
