"""ladder, compare."""

from __future__ import annotations

from typing import Annotated

import typer

from moreish.errors import UsageError
from moreish.faces.cli.console import print_json, stdout, working
from moreish.faces.cli.measuring import read_corpus
from moreish.faces.cli.options import (
    LEARNING,
    Column,
    Device,
    Encoding,
    Field,
    Json,
    ListArgument,
    Normalize,
    Split,
    SplitSeed,
    Symbols,
    check_device,
    number,
    read_options,
    whole,
)


def ladder(
    source: ListArgument,
    time: Annotated[
        float,
        typer.Option(
            "--time", parser=number, metavar="SECONDS", help="For all of it, reading and measuring included.",
            rich_help_panel=LEARNING,
        ),
    ] = 300.0,
    models: Annotated[
        str | None,
        typer.Option(
            "--models", metavar="A,B,...", help="Which models, in this order. [default: all]", rich_help_panel=LEARNING
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            "--seed", parser=whole, metavar="N", help="Decides weights, batches and samples.", rich_help_panel=LEARNING
        ),
    ] = 0,
    device: Device = "cpu",
    split: Split = "unique",
    split_seed: SplitSeed = 42,
    symbols: Symbols = "characters",
    column: Column = None,
    field: Field = None,
    encoding: Encoding = "utf-8",
    normalize: Normalize = "NFC",
    json: Json = False,
) -> None:  # fmt: skip
    """Every model on one list, from knowing nothing to the largest: how good each is, and which is worth its price.

    Each is learnt on one part of the list and measured on another, with a 95 % interval for the lines that happened to
    be held out. The time is for all of them together. Nothing is kept: learn the one you like with moreish train.

    Example: moreish ladder names --time 300
    """
    import time as clock

    began = clock.perf_counter()
    options = read_options(encoding, normalize, column, field)
    from moreish.faces.ladder import ComparisonTable, climbing
    from moreish.runs.ladder import Ladder, check_request, climb

    where = check_device(device)
    asked = None if models is None else [name.strip() for name in models.split(",") if name.strip()]
    check_request(time, asked, seed)
    corpus = read_corpus(source, json, split=split, split_seed=split_seed, symbols=symbols, options=options)
    found = None
    with climbing(time, began, quiet=json) as show:
        for event in climb(corpus, time=time, models=asked, seed=seed, device=where, began=began):
            show(event)
            if isinstance(event, Ladder):
                found = event
    assert found is not None, "a climb ends with its ladder"
    if json:
        print_json(found.to_dict())
        return
    stdout().print(ComparisonTable(found))


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Run directories of one list and one split.")],
    part: Annotated[str, typer.Option("--part", metavar="dev|test", help="Which part of the list.")] = "dev",
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Runs of the same list and split, side by side: which is better, and is that more than noise?

    Losses have 95 % intervals, and so have the differences from the first run. Looks at the test part are counted in
    every run: choose by dev, look at test once.

    Example: moreish compare runs/names-ngram-1 runs/names-mlp-1
    """
    from moreish.faces.ladder import ComparisonTable
    from moreish.runs.compare import compare as measure

    if "" in runs:
        raise UsageError("'' is no name for a run directory. Give one, such as runs/names-ngram-1.")
    with working("comparing", quiet=json):
        found = measure(runs, part, device=check_device(device))
    if json:
        print_json(found.to_dict())
        return
    stdout().print(ComparisonTable(found))
