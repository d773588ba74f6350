"""The reader of lists: a file, standard input, a CSV column or a JSON Lines field in; clean lines out.

Clean text is UTF-8 in Unicode form NFC, one thing per line, no empty lines, every line ended by one newline. Lines
end at a newline, with or without a carriage return before it, and nowhere else: form feeds, U+2028 and the like are
characters of a line. White space inside and around a line is kept.

Text goes by in blocks of about 1 MiB, so memory does not grow with the list, and a block of ASCII in which nothing is
amiss is only looked at, never taken apart. `docs/input.md` says what is accepted, warned of and refused, and why.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np
import regex

from moreish.errors import ListError, UsageError
from moreish.text.decoding import BYTE_ORDER_MARKS, codec_name, decode, kind_of_file, utf8
from moreish.text.lines import NEWLINE
from moreish.text.sources import CHUNK, Place, chunks, resolve
from moreish.text.tables import column_values, field_values

__all__ = ["LONGEST_LINE", "ReadOptions", "ReadReport", "blocks", "resolve"]

LONGEST_LINE = 1_000_000
"""Bytes. What has a longer line is no list but some other file, and is refused before the line is held."""

TO_NEWLINES = "into newlines with tr '\\r' '\\n'."

LINE_BREAK = re.compile(r"\r\n|\r|\n")
NOT_ODD = bytes({*range(32, 256), *b"\0\t\n"})
"""Every byte but the control characters that are counted; NUL is refused before."""
LONG_LINE = 4096
"""Bytes. In a longer line the combining marks on one base are counted before they are put in order."""
MANY_MARKS = regex.compile(r"(?:[^\p{CCC=0}]|[\u0f73\u0f75\u0f81]){64,}")
HIDDEN_MARKS = {0x0F73: "\u0f71\u0f72", 0x0F75: "\u0f71\u0f74", 0x0F81: "\u0f71\u0f80"}
"""The characters of combining class 0 that come apart into marks of other classes."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a list.

    `encoding` is any text encoding Python knows. `normalize` is `NFC` (one spelling of each accented letter) or `none`.
    `column` names a column of a CSV or TSV file, `field` a key of JSON Lines objects; at most one of the two.

    Raises:
        UsageError: an unknown encoding or normal form, or both a column and a field.
    """

    encoding: str = "utf-8"
    normalize: Literal["NFC", "none"] = "NFC"
    column: str | None = None
    field: str | None = None

    def __post_init__(self) -> None:
        codec_name(self.encoding)
        if self.normalize not in ("NFC", "none"):
            raise UsageError(f"no normal form is called {self.normalize!r} here. There are: NFC, none.")
        if self.column is not None and self.field is not None:
            raise UsageError("--column is for CSV and --field for JSON Lines, and both are given. Give one of them.")


@dataclass(slots=True)
class ReadReport:
    """What was met while reading; filled as the blocks go by, whole when they have ended.

    `bytes` counts the source as it stands, `lines` what was kept, `blank_lines` the empty ones that were dropped.
    `normalized_lines` were changed by NFC. `carriage_returns` stand alone inside lines; `control_characters` are the
    others below U+0020, but for tabs; `replacement_characters` are U+FFFD. `joined_values` are those of a column or
    field whose line breaks became spaces. `sha256` is that of the clean text: a list is known again by it, however
    its file is spelt.
    """

    name: str = ""
    bytes: int = 0
    lines: int = 0
    blank_lines: int = 0
    bom: bool = False
    crlf_lines: int = 0
    normalized_lines: int = 0
    carriage_returns: int = 0
    control_characters: int = 0
    replacement_characters: int = 0
    joined_values: int = 0
    sha256: str = ""
    warnings: list[str] = field(default_factory=list)


def blocks(
    source: str | os.PathLike[str], options: ReadOptions | None = None, report: ReadReport | None = None
) -> Iterator[bytes]:
    """The clean text of a list, in blocks of about 1 MiB of UTF-8, each ending with a line's end.

    Args:
        source: a path, the name of a bundled list, or `-` for standard input.
        options: how to read; by default UTF-8, NFC, one thing per line.
        report: a fresh one, to be filled.

    Raises:
        ListError: the list cannot be read, or has no lines; may come instead of any block, or after the last.
    """
    name, path = resolve(source)
    report = ReadReport() if report is None else report
    report.name = name
    yield from _Reading(path, options or ReadOptions(), report).blocks()


class _Reading:
    """One reading of one source. `first` says in which line each oddity was first met."""

    def __init__(self, path: Path | None, options: ReadOptions, report: ReadReport):
        self.path, self.options, self.report = path, options, report
        self.place = Place(report.name)
        self.first: dict[str, int] = {}
        self.scratch = np.empty((2, 0), dtype=bool)

    def blocks(self) -> Iterator[bytes]:
        digest = hashlib.sha256()
        report = self.report
        for block in self._dirty_blocks():
            clean = self._clean(block)
            report.bytes = self.place.read
            if clean:
                digest.update(clean)
                yield clean
        report.bytes = self.place.read
        report.bom = self.place.head.startswith(BYTE_ORDER_MARKS)
        if not report.lines:
            why = f": its {report.blank_lines} lines are empty" if report.blank_lines else ""
            raise ListError(f"{report.name} has no lines{why}. Give a list with one thing per line.")
        report.sha256 = digest.hexdigest()
        report.warnings += self._warnings()

    def _dirty_blocks(self) -> Iterator[bytes]:
        """Whole lines of UTF-8: the source's own, or one for each value of the column or field."""
        if self.options.column is not None:
            yield from self._gathered(column_values(self._text_lines(), self.options.column, self.place))
        elif self.options.field is not None:
            yield from self._gathered(field_values(self._text_lines(), self.options.field, self.place))
        else:
            for block in self._whole_lines():
                yield block
                self.place.lines = self.report.lines + self.report.blank_lines

    def _whole_lines(self) -> Iterator[bytes]:
        """The source's text as UTF-8, in blocks that end with a line's end."""
        place = self.place
        rest, any_newline = b"", False
        for chunk in utf8(chunks(self.path, place), self.options.encoding, place):
            cut = chunk.rfind(b"\n") + 1
            block = b"".join((rest, memoryview(chunk)[:cut])) if cut else b""
            rest = chunk[cut:] if cut else rest + chunk
            any_newline = any_newline or cut > 0
            self._check_lengths(block)
            if block:
                yield block
            place.offset += len(block)
            self._check_lengths(rest)
        if b"\r" in rest and not any_newline:
            where = place.here(1, rest.index(b"\r"))
            raise ListError(
                f"{where}: 0x0d ends lines and no newline does, as on old Macintoshes. Turn them {TO_NEWLINES}"
            )
        if rest:
            yield rest + b"\n"

    def _check_lengths(self, block: bytes) -> None:
        if not _may_hold_longer(block, LONGEST_LINE):
            return
        at = 0
        for number, line in enumerate(block.split(b"\n"), start=self.place.lines + 1):
            if len(line) > LONGEST_LINE:
                advice = kind_of_file(self.place.head) or "A list has one thing per line."
                if b"\r" in line:
                    advice = f"If carriage returns end its lines, turn them {TO_NEWLINES}"
                raise ListError(f"{self.place.here(number, at)}: longer than {LONGEST_LINE:,} bytes. {advice}")
            at += len(line) + 1

    def _text_lines(self) -> Iterator[str]:
        """The source's lines with their ends on, `place.lines` counting them."""
        for block in self._whole_lines():
            for line in decode(block, self.place).split("\n")[:-1]:
                self.place.lines += 1
                yield line + "\n"

    def _gathered(self, values: Iterator[str]) -> Iterator[bytes]:
        """Values as lines, in blocks of about 1 MiB."""
        held: list[str] = []
        size = 0
        for value in values:
            line = LINE_BREAK.sub(" ", value)
            if line is not value and line != value:
                self.report.joined_values += 1
            held.append(line)
            size += len(line) + 1
            if size >= CHUNK:
                yield "\n".join([*held, ""]).encode()
                held, size = [], 0
        if held:
            yield "\n".join([*held, ""]).encode()

    def _clean(self, block: bytes) -> bytes:
        """Whole lines made clean, and counted; b"" where all of them are empty."""
        lines, has_blanks, is_plain = self._look(block)
        if not is_plain:
            block = self._composed(block)
            if np.count_nonzero(np.frombuffer(block, np.uint8) < 32) != lines:
                block = self._controlled(block)
                has_blanks = block.startswith(b"\n") or b"\n\n" in block
        blanks = 0
        if has_blanks:
            kept = [line for line in block.split(b"\n") if line]
            blanks = lines - len(kept)
            block = b"\n".join([*kept, b""])
        self.report.lines += lines - blanks
        self.report.blank_lines += blanks
        return block

    def _look(self, block: bytes) -> tuple[int, bool, bool]:
        """(line ends, whether a line is empty, whether all is ASCII without control characters) of whole lines."""
        if len(block) > self.scratch.shape[1]:
            # Kept from block to block: fresh pages for each would cost a third of the speed.
            self.scratch = np.empty((2, 2 * len(block)), dtype=bool)
        codes = np.frombuffer(block, np.int8)  # signed, so that what is no ASCII is below 32 too
        ends, low = self.scratch[:, : len(block)]
        np.equal(codes, NEWLINE, out=ends)
        lines = int(np.count_nonzero(ends))
        has_blanks = bool(ends[0] or np.logical_and(ends[1:], ends[:-1], out=low[1:]).any())
        return lines, has_blanks, int(np.count_nonzero(np.less(codes, 32, out=low))) == lines

    def _composed(self, block: bytes) -> bytes:
        """A block found to be text, in NFC."""
        text = decode(block, self.place)
        if block.isascii():
            return block
        if "\ufffd" in text:
            self._note("replacement_characters", text.count("\ufffd"), text.count("\n", 0, text.index("\ufffd")))
        if self.options.normalize == "none":
            return block
        ordered = MANY_MARKS.sub(_in_canonical_order, text) if _may_hold_longer(block, LONG_LINE) else text
        composed = unicodedata.normalize("NFC", ordered)
        if composed == text:
            return block
        self.report.normalized_lines += sum(map(str.__ne__, text.split("\n"), composed.split("\n")))
        return composed.encode()

    def _controlled(self, block: bytes) -> bytes:
        """A block with its lines ended by newlines alone, its other control characters counted."""
        crlf = block.count(b"\r\n")
        if crlf:
            self.report.crlf_lines += crlf
            block = block.replace(b"\r\n", b"\n")
        odd = block.translate(None, NOT_ODD)
        if not odd:
            return block
        others = odd.replace(b"\r", b"")
        if others != odd:
            self._note("carriage_returns", len(odd) - len(others), block.count(b"\n", 0, block.index(b"\r")))
        if others:
            first = min(block.index(byte) for byte in set(others))
            self._note("control_characters", len(others), block.count(b"\n", 0, first))
        return block

    def _note(self, what: str, count: int, lines_before: int) -> None:
        setattr(self.report, what, getattr(self.report, what) + count)
        self.first.setdefault(what, self.report.lines + self.report.blank_lines + lines_before + 1)

    def _warnings(self) -> list[str]:
        """What is read but may not be meant, a sentence each."""
        report, options, head = self.report, self.options, self.place.head
        thing = "line" if options.column is None and options.field is None else "value"
        said = []
        if head.startswith(codecs.BOM_UTF8) and codec_name(options.encoding) != "utf-8":
            said.append(f"It begins as UTF-8 does and was read as {options.encoding}. Leave --encoding out.")
        if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
            said.append("It is a web page, read line by line, tags and all. Save the list itself.")
        suffix = Path(report.name).suffix.lower()
        if thing == "line" and suffix in (".csv", ".tsv", ".tab") and re.search(rb"[,;\t]", head.split(b"\n")[0]):
            said.append("It is a table, read line by line, delimiters and all. Name a column: --column NAME.")
        if thing == "line" and suffix in (".jsonl", ".ndjson", ".json") and head.lstrip().startswith((b"{", b"[")):
            said.append("It is JSON, read line by line, braces and all. Name a field of JSON Lines: --field NAME.")
        for what, called, advice in (
            ("carriage_returns", "Carriage returns inside lines", f"If they end lines, turn them {TO_NEWLINES}"),
            ("control_characters", "Control characters", "Take them out if they are not meant."),
            ("replacement_characters", "Marks of a failed conversion, U+FFFD", "Go back to the text before it."),
        ):
            if what in self.first:
                where = f"the first in {thing} {self.first[what]}"
                said.append(f"{called}: {getattr(report, what)}, {where}. They are kept. {advice}")
        if report.joined_values:
            said.append(f"Values with line breaks inside: {report.joined_values}. Each break became a space.")
        return said


def _may_hold_longer(block: bytes, limit: int) -> bool:
    """Whether a line may be longer: such a line fills one of these windows, and a newline in each is soon found."""
    window = limit // 2
    return any(block.find(b"\n", at, at + window) < 0 for at in range(0, len(block) - window + 1, window))


def _in_canonical_order(run: regex.Match[str]) -> str:
    """Many marks in canonical order. `normalize` would put them in it too, but in minutes for a line full of them."""
    marks = run[0].translate(HIDDEN_MARKS)
    classes = groupby(marks, key=lambda mark: unicodedata.combining(mark) > 0)
    return "".join("".join(sorted(some, key=unicodedata.combining)) for _, some in classes)
