"""best, complete."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moreish.errors import UsageError, counted
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
from moreish.faces.cli.console import as_json, check_out, is_terminal, note, print_lines, stdout, working, write_out
from moreish.faces.cli.measuring import grid
from moreish.faces.cli.options import (
    OUTPUT,
    Count,
    Device,
    Json,
    MaxLength,
    NewOnly,
    OutFile,
    RunArgument,
    check_device,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

    from moreish.generating.best import Best
    from moreish.generating.template import Completions

Csv = Annotated[
    bool,
    typer.Option("--csv", help="CSV: text, nats, nats_given_condition, origin, near.", rich_help_panel=OUTPUT),
]
PLACES_SHOWN, SYMBOLS_SHOWN = 12, 6


def best(
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
    max_length: MaxLength = None,
    device: Device = "cpu",
    out: OutFile = None,
    csv: Csv = False,
    json: Json = False,
) -> None:
    """Give the most probable lines of a run exactly, conditions included; nothing is drawn.

    Exact for count models and networks of short windows; other networks are searched best-first until a budget is
    spent, and what is found by then are still the most probable lines. Of lines equally likely the first in the order
    of their symbols comes first.

    Example: moreish best runs/names-ngram-1 -n 20 --contains qu --suffix a
    """
    from moreish.generating.best import best as most_probable

    conditions = read_conditions(prefix, suffix, contains, excludes, length, pattern, alphabet, syllables, vowels)
    trained = _load(run, count, max_length, device, out, csv, json)
    with working("looking for the best lines", quiet=json):
        found = most_probable(trained, count, conditions=conditions, max_length=max_length, new_only=new_only)
    asked = bool(conditions)
    _deliver(found, found.to_dict(), lambda: best_table(found, asked), out, csv, json)


def complete(
    run: RunArgument,
    template: Annotated[
        str, typer.Argument(metavar="TEMPLATE", help="Such as 'ma?e???': ? is any one character, * any number of them.")
    ],
    count: Count = 20,
    new_only: NewOnly = False,
    max_length: MaxLength = None,
    device: Device = "cpu",
    out: OutFile = None,
    csv: Csv = False,
    json: Json = False,
) -> None:
    r"""Fill the open places of a line: its most probable completions, and what may stand in each place.

    A ? is any one character (one grapheme with --symbols graphemes), a * any number of characters, none too; \? and \*
    stand for themselves, and \\ for a backslash.

    Example: moreish complete runs/names-ngram-1 "ma?e???"
    """
    from moreish.generating.template import complete as fill
    from moreish.generating.template import parse_template

    parse_template(template)
    trained = _load(run, count, max_length, device, out, csv, json)
    with working("looking for completions", quiet=json):
        found = fill(trained, template, count, max_length=max_length, new_only=new_only)
    _deliver(found.best, found.to_dict(), lambda: completions_table(found), out, csv, json)


def _load(run: str, count: int, max_length: int | None, device: str, out: str | None, csv: bool, json: bool) -> Any:
    from moreish.generating.sample import check_request
    from moreish.runs.directory import load

    if csv and json:
        raise UsageError("--csv and --json are two formats for one output. Give one of them.")
    if out is not None:
        check_out(out, "")
    check_request(count, max_length=max_length)
    with working("loading", quiet=json):
        trained = load(run, check_device(device))
    if out is not None:
        check_out(out, trained.corpus.name)
    return trained


def _deliver(found: Best, values: dict[str, Any], table: Any, out: str | None, csv: bool, json: bool) -> None:
    text = as_json(values) if json else as_csv(found) if csv else "".join(f"{line.text}\n" for line in found.lines)
    if found.found < found.asked:
        note(_why_fewer(found))
    if out is not None:
        write_out(out, text)
        note(f"wrote {out}")
    elif json or csv:
        sys.stdout.write(text)
    elif is_terminal():
        stdout().print(table())
    else:
        print_lines([line.text for line in found.lines])


def _why_fewer(found: Best) -> str:
    if found.all_there_are:
        return f"there is no more like that than {counted(found.found, 'line')}, of the {found.asked:,} asked for."
    read = "" if found.read is None else f" after reading {found.read:,} beginnings of lines"
    return (
        f"found {found.found:,} of the {found.asked:,} lines asked for, and gave up{read}. Those found are still the "
        f"most probable ones. A longer --prefix narrows the search; a model of counts needs none."
    )


def as_csv(found: Best) -> str:
    """The lines as rows, under the names of their columns."""
    import csv
    import io

    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["text", "nats", "nats_given_condition", "origin", "near"])
    for x in found.lines:
        given = "" if x.nats_given_condition is None else f"{x.nats_given_condition:.4f}"
        rows.writerow([x.text, f"{x.nats:.4f}", given, x.origin, x.near or ""])
    return text.getvalue()


def best_table(found: Best, asked: bool) -> RenderableType:
    """Lines with their nats and origins; given what was asked too, where anything was."""
    from rich.console import Group
    from rich.text import Text

    from moreish.faces.terminal import line_word
    from moreish.text.alphabet import printable

    given = asked and found.log_probability is not None
    heads = ["line", "where from", "nats", *(["nats given that", "share"] if given else [])]
    table = grid(heads, "ll" + "r" * (len(heads) - 2))
    for line in found.lines:
        row = [Text(printable(line.text), "bold"), line_word(line.origin, line.near), Text(f"{line.nats:.1f}", "dim")]
        if given and line.nats_given_condition is not None:
            row += [Text(f"{line.nats_given_condition:.1f}", "dim"), Text(as_share(-line.nats_given_condition))]
        table.add_row(*row)
    return Group(table, Text(), *(Text(words, "dim") for words in _sentences(found, asked)))


def completions_table(found: Completions) -> RenderableType:
    """The completions, and the likeliest symbols of each open place."""
    from rich.console import Group
    from rich.text import Text

    from moreish.text.alphabet import sign

    parts = [best_table(found.best, True)]
    if found.places:
        table = grid(["place", "what may stand there, given the template"], "rl")
        for place in found.places[:PLACES_SHOWN]:
            told = "  ".join(f"{sign(symbol)} {100 * share:.0f} %" for symbol, share in place.symbols[:SYMBOLS_SHOWN])
            table.add_row(str(place.at + 1), told)
        parts += [Text(), table]
        if len(found.places) > PLACES_SHOWN:
            parts.append(Text(f"and {len(found.places) - PLACES_SHOWN} places more: --json has them all", "dim"))
    return Group(*parts)


def as_share(log_probability: float) -> str:
    """A probability in percent, with digits enough to tell it from nothing."""
    import math

    share = math.exp(log_probability)
    return f"{100 * share:.1f} %" if share >= 0.0995 else f"{100 * share:.2g} %"


def _sentences(found: Best, asked: bool) -> list[str]:
    words = ["nats: how surprising the model finds the whole line; fewer are likelier."]
    if found.log_probability is not None and asked:
        share = as_share(found.log_probability)
        words.append(f"A line of this model is like that, its maximum length included, with probability {share}.")
    if found.all_there_are:
        words.append(f"There is no more like that than {counted(found.found, 'line')}.")
    elif found.exact:
        words.append("Exact: no other line is likelier than these.")
    if found.read is not None:
        words.append(f"Found best-first, by reading {found.read:,} beginnings of lines.")
    return words
