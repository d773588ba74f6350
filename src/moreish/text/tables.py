"""One value of each row: a column of CSV or TSV, a field of JSON Lines. Nothing is guessed but the delimiter."""

from __future__ import annotations

import csv
import difflib
import itertools
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from moreish.errors import ListError, did_you_mean
from moreish.text.alphabet import printable
from moreish.text.sources import Place

if TYPE_CHECKING:
    from _csv import Reader

DELIMITERS = (",", ";", "\t")
SHOWN_NAMES = 20


def column_values(lines: Iterator[str], column: str, place: Place) -> Iterator[str]:
    """The values of one column, the first row being the names of the columns; "" where a row ends before it.

    Args:
        lines: with their line ends, `place.lines` counting those given so far.

    Raises:
        ListError: no such column, or a row that is not CSV or has more values than there are columns.
    """
    delimiter, lines = _delimiter(lines, column, place)
    rows = _rows(csv.reader(lines, delimiter=delimiter, strict=True), place)
    names = next((names for _, names in rows if names), None)
    if names is None:
        return
    if names.count(column) > 1:
        raise ListError(f"{place.name} has {names.count(column)} columns called '{printable(column)}'. Rename one.")
    if column not in names:
        raise ListError(f"{place.name} has no column '{printable(column)}'. {_meant(column, names)}")
    index = names.index(column)
    for line, row in rows:
        if len(row) > len(names) and any(row[len(names) :]):
            raise ListError(
                f"{place.name}, line {line}: {len(row)} values under {len(names)} columns. "
                f"Put quotes around values that hold {delimiter!r}."
            )
        yield row[index] if index < len(row) else ""


def field_values(lines: Iterator[str], key: str, place: Place) -> Iterator[str]:
    """The strings under one key of JSON objects, one object per line; "" for null and for empty lines.

    Raises:
        ListError: a line is no JSON object, or lacks the key, or has something else than a string there.
    """
    for line in lines:
        where = f"{place.name}, line {place.lines}"
        if not line.strip():
            yield ""
            continue
        try:
            thing = json.loads(line)
        except json.JSONDecodeError as error:
            raise ListError(
                f"{where}: not JSON ({error.msg}, column {error.colno}). Give one object per line."
            ) from None
        except (ValueError, RecursionError):
            raise ListError(
                f"{where}: nested too deep, or a number too long. Give one plain object per line."
            ) from None
        if not isinstance(thing, dict):
            raise ListError(
                f'{where}: {_type(thing)}, not an object. Give one object per line, such as {{{json.dumps(key)}: "…"}}.'
            )
        if key not in thing:
            raise ListError(f"{where}: no field '{printable(key)}'. {_meant(key, list(thing))}")
        value = thing[key]
        if not isinstance(value, str | None):
            raise ListError(f"{where}: field '{printable(key)}' is {_type(value)}, not a string. Put it in quotes.")
        value = value or ""
        if "\\u" in line and not _is_text(value):
            raise ListError(f"{where}: field '{printable(key)}' holds NUL or half a surrogate pair. Take it out.")
        yield value


def _delimiter(lines: Iterator[str], column: str, place: Place) -> tuple[str, Iterator[str]]:
    """What stands between values, and all the lines again. The name says TSV; else the first row tells."""
    if place.name.lower().endswith((".tsv", ".tab")):
        return "\t", lines
    begun = []
    for line in lines:
        begun.append(line)
        if line.strip():
            break
    header = begun[-1] if begun else ""
    # The one that yields the column asked for; failing that, the one that yields most columns.
    parsed = {delimiter: next(csv.reader([header], delimiter=delimiter), []) for delimiter in DELIMITERS}
    best = max(DELIMITERS, key=lambda delimiter: (column in parsed[delimiter], len(parsed[delimiter])))
    return best, itertools.chain(begun, lines)


def _rows(reader: Reader, place: Place) -> Iterator[tuple[int, list[str]]]:
    """Each row with the line it begins in."""
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            advice = "Look for a quote without its partner."
            raise ListError(f"{place.name}, row beginning in line {line}: not CSV ({error}). {advice}") from None
        yield line, row


def _meant(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return did_you_mean(printable(word), map(printable, near or known[:SHOWN_NAMES])) if known else "It has none."


def _type(thing: object) -> str:
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(thing), "null")


def _is_text(value: str) -> bool:
    return "\0" not in value and not any(0xD800 <= ord(c) <= 0xDFFF for c in value)
