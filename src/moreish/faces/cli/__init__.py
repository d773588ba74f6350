"""The command line. Each command is a reader of the rooms below; none of them computes anything itself.

`--help` loads neither torch nor numpy: what a command needs is imported when it runs.
"""

from __future__ import annotations

import re
import sys
import warnings
from typing import Annotated

import typer

from moreish.errors import CheckpointWarning, MoreishError, ResumeWarning
from moreish.faces.cli import (
    backprop,
    best,
    blend,
    diagnose,
    embeddings,
    evaluate,
    examine,
    exchange,
    exercise,
    explain,
    find,
    generate,
    init,
    ladder,
    learn,
    report,
    steer,
    watch,
    why,
)
from moreish.faces.cli.command import Command, LearningCommand, abandon_output
from moreish.faces.cli.console import make_output_safe, note
from moreish.faces.cli.layout import Group

app = typer.Typer(
    name="moreish",
    help="Give it a list, one thing per line. It makes more things like them, and shows you why it works.",
    epilog="Example: moreish more names -n 20 --new-only",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    cls=Group,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


OUT_OF_MEMORY = re.compile("can't allocate memory|out of memory", re.IGNORECASE)
"""How torch says it: by a RuntimeError like any other."""


def _version(asked: bool | None) -> None:
    if asked:
        from importlib.metadata import version

        print(f"moreish {version('moreish')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool | None, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = None,
) -> None:
    pass


MAKE, LEARN, LOOK = "Make more", "Learn", "Look"
app.command("more", cls=LearningCommand, rich_help_panel=MAKE)(generate.more)
app.command("sample", cls=Command, rich_help_panel=MAKE)(generate.sample)
app.command("best", cls=Command, rich_help_panel=MAKE)(best.best)
app.command("complete", cls=Command, rich_help_panel=MAKE)(best.complete)
app.command("blend", cls=Command, rich_help_panel=MAKE)(blend.blend)
app.command("steer", cls=Command, rich_help_panel=MAKE)(steer.steer)
app.command("demo", cls=Command, rich_help_panel=MAKE)(generate.demo)
app.command("train", cls=LearningCommand, rich_help_panel=LEARN)(learn.train)
app.command("resume", cls=Command, rich_help_panel=LEARN)(learn.resume)
app.command("find-lr", cls=LearningCommand, rich_help_panel=LEARN)(find.find_lr)
app.command("evaluate", cls=Command, rich_help_panel=LEARN)(evaluate.evaluate)
app.command("compare", cls=Command, rich_help_panel=LEARN)(ladder.compare)
app.command("ladder", cls=Command, rich_help_panel=LEARN)(ladder.ladder)
app.command("score", cls=Command, rich_help_panel=LEARN)(learn.score)
app.command("import", cls=Command, rich_help_panel=LEARN)(exchange.import_)
app.command("export", cls=Command, rich_help_panel=LEARN)(learn.export)
app.command("inspect", cls=Command, rich_help_panel=LOOK)(examine.inspect)
app.command("diagnose", cls=LearningCommand, rich_help_panel=LOOK)(diagnose.diagnose)
app.command("backprop", cls=Command, rich_help_panel=LOOK)(backprop.backprop)
app.command("init", cls=Command, rich_help_panel=LOOK)(init.init)
app.command("report", cls=Command, rich_help_panel=LOOK)(report.report)
app.command("embeddings", cls=Command, rich_help_panel=LOOK)(embeddings.embeddings)
app.command("watch", cls=Command, rich_help_panel=LOOK)(watch.watch)
app.command("why", cls=Command, rich_help_panel=LOOK)(why.why)
app.command("show", cls=Command, rich_help_panel=LOOK)(examine.show)
app.command("models", cls=Command, rich_help_panel=LOOK)(examine.models)
app.command("lists", cls=Command, rich_help_panel=LOOK)(examine.lists)
app.add_typer(exercise.exercises, name="exercise", rich_help_panel="Practise", help=exercise.ABOUT)
app.add_typer(explain.app, name="explain", rich_help_panel=LOOK)


def run(arguments: list[str] | None = None) -> int:
    """Run a command; returns its exit code: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C."""
    make_output_safe()
    with warnings.catch_warnings():
        warnings.simplefilter("always", CheckpointWarning)
        warnings.simplefilter("always", ResumeWarning)
        warnings.showwarning = lambda message, *_, **__: note(f"warning: {message}")
        try:
            code = _obey(arguments)
            sys.stdout.flush()
            return code
        except BrokenPipeError:
            abandon_output()
            return 0
        except MoreishError as error:
            note(str(error))
            return error.exit_code
        except OSError as error:  # files have errors of their own: this is standard output on a full disk
            where = error.filename or "standard output"
            note(f"cannot use {where}: {error.strerror or error}. See that there is room, and that you may use it.")
            abandon_output()
            return 1
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not OUT_OF_MEMORY.search(str(error)):
                raise
            note("out of memory. Use a shorter list, a smaller model, or fewer lines at once.")
            return 1


def _obey(arguments: list[str] | None) -> int:
    try:
        app(args=arguments)
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    return 0
