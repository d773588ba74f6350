"""import: what other programs made, as runs of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from moreish.errors import UsageError
from moreish.faces.cli.console import note, print_json, stdout, working
from moreish.faces.cli.options import LIST, Encoding, Json, Split, SplitSeed, whole

if TYPE_CHECKING:
    from moreish.learning.evaluate import Evaluation
    from moreish.learning.recipe import Trained
    from moreish.runs.checkpoint import Saved

FORMATS = ("makemore",)


def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What the other program saved, such as out/model.pt.")],
    source: Annotated[
        str,
        typer.Option(
            "--list", metavar="LIST", help="The list it learnt: its symbols are not in the file.", rich_help_panel=LIST
        ),
    ],
    origin: Annotated[
        str, typer.Option("--from", metavar="makemore", help="The program: Karpathy's makemore.py.")
    ] = "makemore",
    heads: Annotated[
        int | None,
        typer.Option(
            "--heads", parser=whole, metavar="N", help="Of a transformer; no file says. [default: 4, as in makemore]"
        ),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="DIR", help="Where to keep it. [default: runs/<list>-<model>-N]")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run that is there.")] = False,
    keep_list: Annotated[
        bool, typer.Option("--keep-list/--no-keep-list", help="Keep the lines in the run, or only their hashes.")
    ] = True,
    split: Split = "unique",
    split_seed: SplitSeed = 42,
    encoding: Encoding = "utf-8",
    json: Json = False,
) -> None:
    """Make a run of a model that another program learnt: a state dict of makemore.py, with the list it learnt.

    The run samples, scores and evaluates as any other. What it learnt was split by that program's own rule, so its
    figures on lines held out here leak, and say so. Nothing in the file is run.

    Example: moreish import out/model.pt --from makemore --list names.txt
    """
    from pathlib import Path

    from moreish.exchange.makemore import import_makemore
    from moreish.learning.evaluate import evaluate
    from moreish.learning.fit import Evaluated, Finished
    from moreish.runs.checkpoint import Saved
    from moreish.runs.place import check_free, free_directory
    from moreish.runs.recording import record

    if origin not in FORMATS:
        raise UsageError(f"nothing is read from a program called {origin!r:.60}. There are: {', '.join(FORMATS)}.")
    for name, given in (("file", file), ("--list", source), ("--run", run)):
        if given is not None and (not given or "\0" in given):
            raise UsageError(f"{given!r} is no name for {name}. Give one, such as out/model.pt.")
    if run is not None:
        check_free(Path(run), overwrite)
    with working(f"reading {file}", quiet=json):
        trained = import_makemore(file, source, heads=heads, split=split, split_seed=split_seed, encoding=encoding)  # type: ignore[arg-type]
    for warning in trained.corpus.report.warnings if trained.corpus.report else ():
        note(f"warning: {warning}")
    with working("evaluating", quiet=json):
        found = evaluate(trained)
    directory = free_directory(trained.corpus.name, f"makemore-{trained.recipe.model}") if run is None else Path(run)
    told = [Evaluated(0, found), Finished(0, trained)]
    saved, finished = None, None
    for event in record(told, trained.corpus, trained.recipe, directory, keep_list=keep_list, overwrite=overwrite):
        saved = event if isinstance(event, Saved) else saved
        finished = event if isinstance(event, Finished) else finished
    assert saved is not None and finished is not None, "a recording ends with what it saved"
    if json:
        print_json(_as_json(finished.trained, found, saved))
        return
    stdout().print(_summary(finished.trained, found))


def _as_json(trained: Trained, found: Evaluation, saved: Saved) -> dict[str, Any]:
    return {
        "run": trained.run,
        "model": trained.recipe.model,
        "why": trained.recipe.why,
        "step": saved.step,
        "parameters": trained.parameters,
        "checkpoint": str(saved.path),
        "sha256": saved.sha256,
        "split": trained.corpus.split,
        "leaks": trained.corpus.leaks,
        "evaluation": found.to_dict(),
    }


def _summary(trained: Trained, found: Evaluation) -> Any:
    """What an import came to, for people."""
    import math

    from rich.console import Group
    from rich.text import Text

    from moreish.text.alphabet import printable

    run, nothing = printable(trained.run), math.log(len(trained.alphabet))
    lines = [
        Text(f"{trained.recipe.model}, {trained.parameters:,} parameters: {trained.recipe.why}."),
        Text(
            f"{found.nats_per_symbol:.4f} nats per symbol on {found.part}; knowing nothing would be {nothing:.4f}.",
            "bold",
        ),
    ]
    if not found.nats_per_symbol < nothing:
        lines.append(Text("! It knows less than nothing of this list: perhaps it learnt another one.", "yellow"))
    if found.note:
        lines.append(Text(f"! {found.note[:1].upper()}{found.note[1:]}.", "yellow"))
    lines.append(Text.assemble("Kept in ", (run, "bold"), f". Next: moreish sample {run} -n 20 --new-only"))
    return Group(*lines)
