"""blend."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from moreish.faces.cli.conditions import (
    Allowed,
    Contains,
    Excludes,
    Length,
    Pattern,
    Prefix,
    Suffix,
    Syllables,
    Vowels,
    read_conditions,
)
from moreish.faces.cli.console import is_terminal, stderr, stdout, working
from moreish.faces.cli.generate import check_output, deliver
from moreish.faces.cli.measuring import grid
from moreish.faces.cli.options import (
    Count,
    Csv,
    Device,
    Distance,
    Json,
    MaxLength,
    NewOnly,
    OutFile,
    SampleSeed,
    Temperature,
    TopK,
    TopP,
    Typical,
    WithoutReplacement,
    check_device,
    number,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

    from moreish.generating.blend import Blended, BlendedSample, HeldOutLosses


def blend(
    run_a: Annotated[str, typer.Argument(metavar="RUN_A", help="A run directory.")],
    run_b: Annotated[str, typer.Argument(metavar="RUN_B", help="Another, of any model and any list.")],
    weight: Annotated[
        float, typer.Option("--weight", parser=number, metavar="W", help="B's share, from 0 (only A) to 1 (only B).")
    ] = 0.3,
    count: Count = 20,
    new_only: NewOnly = False,
    prefix: Prefix = "",
    suffix: Suffix = "",
    contains: Contains = None,
    excludes: Excludes = None,
    length: Length = None,
    pattern: Pattern = None,
    alphabet: Allowed = None,
    syllables: Syllables = None,
    vowels: Vowels = None,
    distance: Distance = None,
    distinct: Annotated[bool, typer.Option("--distinct", help="Each line only once.")] = False,
    without_replacement: WithoutReplacement = False,
    losses: Annotated[
        bool, typer.Option("--losses", help="Also what held-out lines cost under A, under B and under the blend.")
    ] = False,
    temperature: Temperature = 1.0,
    top_k: TopK = None,
    top_p: TopP = None,
    typical: Typical = None,
    max_length: MaxLength = None,
    seed: SampleSeed = None,
    device: Device = "cpu",
    out: OutFile = None,
    csv: Csv = False,
    json: Json = False,
) -> None:
    """Two runs as one: at each place their distributions are interpolated, over the union of their symbols.

    The next symbol has probability (1 - W) under A plus W under B. A symbol that a run's list never had is impossible
    under it; a line that holds one goes on by the other run alone. `new` is what neither list has. A blend is made anew
    each time from its two runs, and is no run of its own.

    Example: moreish blend runs/names-ngram-1 runs/dinosaurs-ngram-1 --weight 0.3 -n 20
    """
    check_output(out, csv, json)
    from moreish.generating.blend import blend as blended_of
    from moreish.generating.blend import held_out_losses, sample_blend
    from moreish.generating.sample import check_request
    from moreish.models.blend import check_weight
    from moreish.runs.directory import load

    check_request(count, distance, max_length, temperature, top_k, top_p, typical)
    conditions = read_conditions(prefix, suffix, contains, excludes, length, pattern, alphabet, syllables, vowels)
    check_weight(weight)
    with working("loading", quiet=json):
        where = check_device(device)
        blended = blended_of(load(run_a, where), load(run_b, where), weight)
    for part in blended.parts:
        check_output(out, csv, json, part.corpus.name)
    measured = None
    if losses:
        with working("measuring held-out lines", quiet=json):
            measured = held_out_losses(blended)
    extra = {"weight": weight, "runs": [run_a, run_b], "losses": None}
    if measured is not None:
        extra["losses"] = [row.to_dict() for row in measured]
    deliver(
        blended, count, out, csv, json, extra=extra, draw=sample_blend, table=partial(table_of, blended),
        temperature=temperature, top_k=top_k, top_p=top_p, typical=typical, conditions=conditions,
        max_length=max_length, seed=seed, new_only=new_only, distinct=distinct,
        without_replacement=without_replacement, distance=distance,
    )  # fmt: skip
    if measured is not None and not json:
        (stdout() if is_terminal() else stderr()).print(losses_table(measured))


def table_of(blended: Blended, found: BlendedSample, seed: int) -> RenderableType:
    """Lines with an honest word on each, and what each costs under the blend and under its two parts."""
    from rich.console import Group
    from rich.text import Text

    from moreish.faces.terminal import ORIGIN_STYLES, novelty_words
    from moreish.text.alphabet import printable

    table = grid(["", "", "nats", "A", "B"], "llrrr", no_wrap=True)
    for line, a, b in zip(found.lines, found.nats_a, found.nats_b):
        word = line.origin if line.near is None else f"one edit from {line.near}"
        table.add_row(
            Text(printable(line.text), "bold"),
            Text(printable(word), ORIGIN_STYLES[line.origin]),
            Text(f"{line.nats:.1f}", "dim"),
            *(Text(_nats(nats), "dim") for nats in (a, b)),
            *([Text("cut at the maximum length", "dim")] if line.cut else []),
        )
    first, second = ((printable(part.run or part.corpus.name), part.recipe.model) for part in blended.parts)
    whose = Text(
        f"A: {first[0]} ({first[1]}), {1 - blended.weight:g} of the blend. B: {second[0]} ({second[1]}), "
        f"{blended.weight:g}. Under A and B: the line's nats by that run alone; –: it lacks a symbol of the line.",
        "dim",
    )
    return Group(table, Text(), whose, *novelty_words(found, seed))


def losses_table(rows: list[HeldOutLosses]) -> RenderableType:
    """What held-out lines cost under each, the lowest marked."""
    from rich.console import Group
    from rich.text import Text

    from moreish.text.alphabet import printable

    table = grid(["dev lines of", "lines", "A", "B", "blend"], "lrrrr")
    for row in rows:
        figures = (row.a, row.b, row.blend)
        table.add_row(
            Text(printable(row.run)),
            f"{row.lines:,}",
            *(
                Text(f"{each:.4f}" if math.isfinite(each) else "infinite", "bold green" if each == min(figures) else "")
                for each in figures
            ),
        )
    said = (
        "Nats per symbol of lines that neither run learnt; lower is better. Infinite: some line is impossible, for one "
        "by a symbol that the run lacks."
    )
    return Group(Text(), table, Text(said, "dim"))


def _nats(nats: float | None) -> str:
    return "–" if nats is None else f"{nats:.1f}"
