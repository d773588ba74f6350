"""more, sample, demo."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moreish.errors import UsageError
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
from moreish.faces.cli.console import (
    as_json,
    check_out,
    is_terminal,
    note,
    print_lines,
    stdout,
    working,
    write_out,
)
from moreish.faces.cli.learn import parse_settings
from moreish.faces.cli.options import (
    Column,
    Count,
    Csv,
    Device,
    Distance,
    Encoding,
    Field,
    Json,
    ListArgument,
    MaxLength,
    NewOnly,
    Normalize,
    OutFile,
    RunArgument,
    SampleSeed,
    Symbols,
    Temperature,
    TopK,
    TopP,
    Typical,
    WithoutReplacement,
    check_device,
    number,
    read_options,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

    from moreish.generating.sample import Sample


def more(
    context: typer.Context,
    source: ListArgument,
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
    repeats: Annotated[bool, typer.Option("--repeats", help="Let a line come more than once.")] = False,
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="Which model; auto chooses what suits the list.")
    ] = "auto",
    time: Annotated[
        float, typer.Option("--time", parser=number, metavar="SECONDS", help="What learning may take, the first time.")
    ] = 30.0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Learn again, even if this list was learnt before.")] = False,
    temperature: Temperature = 1.0,
    top_k: TopK = None,
    top_p: TopP = None,
    typical: Typical = None,
    max_length: MaxLength = None,
    seed: SampleSeed = None,
    symbols: Symbols = "characters",
    column: Column = None,
    field: Field = None,
    encoding: Encoding = "utf-8",
    normalize: Normalize = "NFC",
    out: OutFile = None,
    csv: Csv = False,
    json: Json = False,
) -> None:
    """Make more things like those of a list: learns what suits it (once), then makes new lines.

    Off a terminal only the lines are printed.

    Example: moreish more names -n 20 --new-only --prefix ma
    """
    from moreish.generating.sample import check_request

    check_output(out, csv, json, source)
    check_request(count, distance, max_length, temperature, top_k, top_p, typical)
    conditions = read_conditions(prefix, suffix, contains, excludes, length, pattern, alphabet, syllables, vowels)
    options = read_options(encoding, normalize, column, field)
    settings = parse_settings(context.args, model)
    from moreish.runs.cache import learn_once

    with working(f"reading {source}", quiet=json):
        learnt = learn_once(source, options, symbols, model, settings, time=time, fresh=fresh)
    for warning in learnt.warnings:
        note(f"warning: {warning}")
    if is_terminal() and not json:
        note(learnt.why)
    deliver(
        learnt.trained, count, out, csv, json, extra={"model": learnt.trained.recipe.model, "why": learnt.why},
        temperature=temperature, top_k=top_k, top_p=top_p, typical=typical, conditions=conditions,
        max_length=max_length, seed=seed, new_only=new_only, distinct=not repeats, distance=distance,
    )  # fmt: skip


def sample(
    run: RunArgument,
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
    """Draw lines from a run, each with its log-probability and an honest word on where it comes from.

    `copy`: it stands in the list. `near copy`: new, but one edit from a line, which is named. `new`: neither.

    Example: moreish sample runs/names-ngram-1 -n 20 --new-only --json
    """
    from moreish.generating.sample import check_request
    from moreish.runs.directory import load

    check_output(out, csv, json)
    check_request(count, distance, max_length, temperature, top_k, top_p, typical)
    conditions = read_conditions(prefix, suffix, contains, excludes, length, pattern, alphabet, syllables, vowels)
    with working("loading", quiet=json):
        trained = load(run, check_device(device))
    check_output(out, csv, json, trained.corpus.name)
    deliver(
        trained, count, out, csv, json, extra={},
        temperature=temperature, top_k=top_k, top_p=top_p, typical=typical, conditions=conditions,
        max_length=max_length, seed=seed, new_only=new_only, distinct=distinct,
        without_replacement=without_replacement, distance=distance,
    )  # fmt: skip


def demo() -> None:
    """A guided walk through the main things, in under a minute: inspect a list, learn it, make more, look inside.

    Example: moreish demo
    """
    from moreish.faces.tour import tour

    tour(stdout())


def check_output(out: str | None, csv: bool, json: bool, source: str = "") -> None:
    """Refuse two formats at once, and a file over the list or in a run.

    Raises:
        UsageError, StorageError
    """
    if csv and json:
        raise UsageError("--csv and --json are two formats for one output. Give one of them.")
    if out is not None:
        check_out(out, source)


def deliver(
    trained: Any,
    count: int,
    out: str | None,
    csv: bool,
    json: bool,
    extra: dict[str, Any],
    draw: Callable[..., Sample] | None = None,
    table: Callable[[Any, int], RenderableType] | None = None,
    **request: Any,
) -> None:
    """Draw lines, and give them as they were asked for: in a file, as JSON or CSV, as a table, or only the lines.

    Args:
        extra: further keys of the JSON.
        draw, table: in place of `generating.sample.sample` and `terminal.sample_table`.
        request: what `draw` takes.
    """
    import secrets

    from moreish.generating.sample import sample

    draw = draw or sample
    seed = request.pop("seed")
    seed = secrets.randbelow(2**31) if seed is None else seed
    with working(f"drawing {count:,} lines", quiet=json):
        found = draw(trained, count, seed=seed, **request)
    as_text = _formatted(found, csv, json, {**extra, "seed": seed})
    if found.found < found.asked:
        note(_too_few(found))
    if out is not None:
        write_out(out, as_text or "".join(f"{line.text}\n" for line in found.lines))
        note(f"wrote {out}")
    elif json or csv:
        import sys

        sys.stdout.write(as_text)
    elif is_terminal():
        from moreish.faces.terminal import sample_table

        stdout().print((table or sample_table)(found, seed))
    else:
        print_lines([line.text for line in found.lines])


def _too_few(found: Sample) -> str:
    if found.possible is not None and found.found == found.possible:
        return f"found {found.found:,} of the {found.asked:,} lines asked for: there are no more like that."
    if not found.drawn and not found.exact:
        return "found none of the lines asked for: this model gives none like that any probability. Loosen a condition."
    return (
        f"found {found.found:,} of the {found.asked:,} lines asked for, in {found.drawn:,} drawn. "
        f"A higher --temperature or a looser condition gives more."
    )


def _formatted(found: Sample, csv: bool, json: bool, extra: dict[str, Any]) -> str:
    if json:
        return as_json({**found.to_dict(), **extra})
    if csv:
        import csv as writer
        import io

        text = io.StringIO()
        rows = writer.writer(text, lineterminator="\n")
        rows.writerow(["text", "nats", "origin", "near", "nearest", "edits", "nats_given_condition"])
        rows.writerows(
            [x.text, f"{x.nats:.4f}", x.origin, x.near or "", x.nearest or "", "" if x.edits is None else x.edits,
             "" if x.nats_given_condition is None else f"{x.nats_given_condition:.4f}"]
            for x in found.lines
        )  # fmt: skip
        return text.getvalue()
    return ""
