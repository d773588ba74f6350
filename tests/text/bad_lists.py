"""Every odd list file we could think of, with its verdict. One table drives the tests and makes docs/input.md:

python tests/text/bad_lists.py > docs/input.md
"""

from __future__ import annotations

import io
import os
import pickle
import socket
import struct
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from moreish.text.reading import LONGEST_LINE

VERDICTS = {"accept": "accepted", "warn": "accepted, with a warning", "refuse": "refused"}


@dataclass(frozen=True)
class Case:
    """One odd list.

    `content` is what `file` holds, or a function that makes something in a directory and returns the source to name.
    `says` is the whole warning or refusal, `…` standing for anything. `lines` are those that come out, `facts` what
    the report counts. `around` is where the reading happens, `meanwhile` what happens after its first block.
    """

    name: str
    content: bytes | Callable[[Path], str]
    verdict: Literal["accept", "warn", "refuse"]
    why: str
    says: str = ""
    lines: list[str] | None = None
    facts: dict[str, object] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    file: str = "list.txt"
    around: Callable[[], AbstractContextManager[object]] = nullcontext
    meanwhile: Callable[[Path], object] | None = None

    def make(self, directory: Path) -> str:
        """The source to read, made in `directory`, which is to be the working directory."""
        if callable(self.content):
            return self.content(directory)
        (directory / self.file).write_bytes(self.content)
        return self.file


# What the cases need around them.


@contextmanager
def without_privileges() -> Iterator[None]:
    """As a user whom permissions bind: root reads whatever it likes."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def standard_input(stream: object) -> Iterator[None]:
    before, sys.stdin = sys.stdin, stream  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stdin = before


def piped(content: bytes) -> Callable[[], AbstractContextManager[None]]:
    return lambda: standard_input(io.TextIOWrapper(io.BytesIO(content)))


@contextmanager
def terminal() -> Iterator[None]:
    master, slave = os.openpty()
    with os.fdopen(master, "rb"), os.fdopen(slave, encoding="utf-8") as stream, standard_input(stream):
        yield


# Sources that are made rather than written.


def made(name: str, make: Callable[[Path], object]) -> Callable[[Path], str]:
    def content(directory: Path) -> str:
        make(directory / name)
        return name

    return content


def beside(existing: str, asked: str) -> Callable[[Path], str]:
    return lambda directory: [asked, (directory / existing).write_bytes(b"anna\n")][0]  # type: ignore[return-value]


def long_line(size: int) -> Callable[[Path], str]:
    def make(path: Path) -> None:
        with path.open("wb") as file:
            file.write(b"anna\n")
            for at in range(0, size, 1_000_000):
                file.write(b"a" * min(1_000_000, size - at))
            file.write(b"\nbob\n")

    return made("list.txt", make)


def forbidden(path: Path) -> None:
    path.write_bytes(b"anna\n")
    path.chmod(0)


def forbidden_directory(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"anna\n")
    path.parent.chmod(0)


def listening(path: Path) -> None:
    # Bound by its name alone: the whole path may be too long for a socket.
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path.name)


def surrogates(text: str) -> bytes:
    """CESU-8: each half of a UTF-16 surrogate pair spelt as if it were a character."""
    units = struct.iter_unpack("<H", text.encode("utf-16-le"))
    return b"".join(chr(unit).encode("utf-8", "surrogatepass") for (unit,) in units)


MANY_SYMBOLS = [chr(c) for c in range(0x4E00, 0x4E00 + 12_000)]
NFD = unicodedata.normalize("NFD", "José")

SIZES = [
    Case("an empty file", b"", "refuse", "There is nothing to learn from.",
         "list.txt has no lines. Give a list with one thing per line."),
    Case("only empty lines", b"\n\n\r\n", "refuse", "Empty lines are dropped, and nothing is left.",
         "list.txt has no lines: its 3 lines are empty. Give a list with one thing per line."),
    Case("only a byte-order mark", b"\xef\xbb\xbf", "refuse", "The mark is taken off, and nothing is left.",
         "list.txt has no lines. Give a list with one thing per line."),
    Case("one character", b"a", "accept", "One line; its last newline may be missing.", lines=["a"]),
    Case("one line", b"anna\n", "accept", "It is a list of one.", lines=["anna"]),
    Case("nine lines", b"a\nb\nc\nd\ne\nf\ng\nh\ni\n", "accept", "Few, but a list.", lines=[*"abcdefghi"]),
    Case("all lines the same", b"anna\n" * 50, "accept", "Lines are counted, not judged.", lines=["anna"] * 50),
    Case("all one symbol", b"aaa\na\naa\n", "accept", "An alphabet of one.", lines=["aaa", "a", "aa"]),
    Case("a line of 1,000,000 bytes", long_line(LONGEST_LINE), "accept", "The longest that is read.",
         facts={"lines": 3}),
    Case("a line of 1,000,001 bytes", long_line(LONGEST_LINE + 1), "refuse",
         "What has such lines is hardly a list; it is refused before the line is held in memory.",
         "list.txt, line 2, byte 5: longer than 1,000,000 bytes. A list has one thing per line."),
    Case("a line of 100 MB", long_line(100_000_000), "refuse", "As above, after its first megabyte.",
         "list.txt, line 2, byte 5: longer than 1,000,000 bytes. A list has one thing per line."),
    Case("more than 10,000 symbols", "".join(f"{c}\n" for c in MANY_SYMBOLS).encode(), "accept",
         "Large alphabets are alphabets.", lines=MANY_SYMBOLS),
]  # fmt: skip

LINE_ENDS = [
    Case("no newline at the end", b"anna\nbob", "accept", "The last line is a line.", lines=["anna", "bob"]),
    Case("empty lines between", b"\nanna\n\n\nbob\n\n", "accept", "They are dropped, and counted.",
         lines=["anna", "bob"], facts={"blank_lines": 4}),
    Case("lines of white space", b"anna\n  \n\t\n", "accept", "White space is text, inside lines and around them.",
         lines=["anna", "  ", "\t"], facts={"blank_lines": 0}),
    Case("white space around", b" anna\nbob \n", "accept", "It is kept as it is.", lines=[" anna", "bob "]),
    Case("Windows line ends (CRLF)", b"anna\r\nbob\r\n", "accept", "They end lines as newlines do, and are counted.",
         lines=["anna", "bob"], facts={"crlf_lines": 2}),
    Case("mixed line ends", b"anna\r\nbob\ncleo\r\n", "accept", "Each is understood by itself.",
         lines=["anna", "bob", "cleo"], facts={"crlf_lines": 2}),
    Case("Windows line ends, the last one cut off", b"anna\r\nbob\r", "accept", "The file's end completes it.",
         lines=["anna", "bob"], facts={"crlf_lines": 2}),
    Case("empty lines with Windows ends", b"\r\nanna\r\n\r\nbob", "accept", "Empty all the same.",
         lines=["anna", "bob"], facts={"blank_lines": 2, "crlf_lines": 3}),
    Case("old Macintosh line ends (CR only)", b"anna\rbob\rcleo\r", "refuse",
         "It would be one long line, which nobody means.",
         "list.txt, line 1, byte 4: 0x0d ends lines and no newline does, as on old Macintoshes. "
         "Turn them into newlines with tr '\\r' '\\n'."),
    Case("a carriage return inside a line", b"anna\nb\rob\n", "warn", "Only a newline ends a line; the rest is text.",
         "Carriage returns inside lines: 1, the first in line 2. They are kept. "
         "If they end lines, turn them into newlines with tr '\\r' '\\n'.",
         lines=["anna", "b\rob"], facts={"carriage_returns": 1}),
    Case("lines ended by CR CR LF", b"anna\r\r\nbob\r\r\n", "warn", "One carriage return belongs to the line's end.",
         "Carriage returns inside lines: 2, the first in line 1. They are kept. "
         "If they end lines, turn them into newlines with tr '\\r' '\\n'.",
         lines=["anna\r", "bob\r"], facts={"crlf_lines": 2}),
    Case("NEL, U+2028 or U+2029 inside a line", "a\x85b\u2028c\u2029d\n".encode(), "accept",
         "They end no line here; programs that split at them lose lines.", lines=["a\x85b\u2028c\u2029d"]),
    Case("vertical tab, form feed, FS, GS or RS inside a line", b"a\x0bb\x0cc\x1cd\x1de\x1ef\n", "warn",
         "They end no line here, but they are control characters.",
         "Control characters: 5, the first in line 1. They are kept. Take them out if they are not meant.",
         lines=["a\x0bb\x0cc\x1cd\x1de\x1ef"], facts={"control_characters": 5}),
    Case("a tab inside a line", b"anna\t7\n", "accept", "A tab is white space.", lines=["anna\t7"]),
]  # fmt: skip

ENCODINGS = [
    Case("UTF-8", "zoë\n李\n".encode(), "accept", "The encoding that is taken for granted.", lines=["zoë", "李"]),
    Case("UTF-8 with a byte-order mark", b"\xef\xbb\xbfanna\n", "accept", "The mark is taken off.", lines=["anna"],
         facts={"bom": True, "bytes": 8}),
    Case("a second byte-order mark inside", b"anna\n\xef\xbb\xbfbob\n", "accept",
         "Only at the beginning is it a mark; here it is the character U+FEFF.", lines=["anna", "\ufeffbob"]),
    Case("UTF-16 with a byte-order mark", "anna\n".encode("utf-16"), "refuse", "The mark says what it is.",
         "list.txt, line 1, byte 0: 0xff begins UTF-16 text, not UTF-8. Pass --encoding utf-16."),
    Case("UTF-32 with a byte-order mark", "anna\n".encode("utf-32"), "refuse", "The mark says what it is.",
         "list.txt, line 1, byte 0: 0xff begins UTF-32 text, not UTF-8. Pass --encoding utf-32."),
    Case("UTF-16 without a mark", "anna\nbob\n".encode("utf-16-le"), "refuse", "Every other byte is NUL.",
         "list.txt, line 1, byte 1: 0x00 is NUL, which text does not hold. "
         "The file looks like UTF-16. Pass --encoding utf-16-le."),
    Case("big-endian UTF-32 without a mark", "anna\nbob\n".encode("utf-32-be"), "refuse", "Three bytes in four are 0.",
         "list.txt, line 1, byte 0: 0x00 is NUL, which text does not hold. "
         "The file looks like UTF-32. Pass --encoding utf-32-be."),
    Case("UTF-16, and the flag", "zoë\n李\n".encode("utf-16"), "accept", "The flag names the encoding.",
         lines=["zoë", "李"], options={"encoding": "utf-16"}, facts={"bom": True}),
    Case("UTF-16 without a mark, and the flag", "zoë\n李\n".encode("utf-16-be"), "accept",
         "This flag names the byte order too.", lines=["zoë", "李"], options={"encoding": "utf-16-be"}),
    Case("UTF-32, and the flag", "zoë\n😀\n".encode("utf-32"), "accept", "The flag names the encoding.",
         lines=["zoë", "😀"], options={"encoding": "utf-32"}),
    Case("UTF-16 without a mark, and a flag that needs one", "anna\n".encode("utf-16-le"), "refuse",
         "Its byte order is not told.",
         "list.txt, line 1, byte 0: 0x61 begins no utf-16 text: its byte-order mark is missing. "
         "Pass --encoding utf-16-le or utf-16-be, or leave the flag out if the file is UTF-8.",
         options={"encoding": "utf-16"}),
    Case("UTF-16 that breaks off inside a character", "anna\n".encode("utf-16-le")[:-1], "refuse",
         "Half a character is none.",
         "list.txt, line 1, byte 8: 0x0a is not utf-16-le. "
         "Pass the file's own encoding, or leave the flag out if it is UTF-8.", options={"encoding": "utf-16-le"}),
    Case("Latin-1", "anna\nJosé\n".encode("latin-1"), "refuse", "Guessing would turn é into something else unnoticed.",
         "list.txt, line 2, byte 8: 0xe9 is not UTF-8. If the file is Latin-1, pass --encoding latin-1."),
    Case("Windows text (cp1252)", "anna\nO’Neil\n".encode("cp1252"), "refuse", "As Latin-1.",
         "list.txt, line 2, byte 6: 0x92 is not UTF-8. If the file is from Windows, pass --encoding cp1252."),
    Case("Latin-1, and the flag", "anna\nJosé\n".encode("latin-1"), "accept", "The flag names the encoding.",
         lines=["anna", "José"], options={"encoding": "latin-1"}),
    Case("Shift JIS, and the flag", "さくら\n".encode("shift_jis"), "accept", "Any encoding Python knows will do.",
         lines=["さくら"], options={"encoding": "shift_jis"}),
    Case("bytes that are not of the encoding named", "anna\nJosé\n".encode(), "refuse", "No flag is obeyed blindly.",
         "list.txt, line 2, byte 8: 0xc3 is not ascii. "
         "Pass the file's own encoding, or leave the flag out if it is UTF-8.", options={"encoding": "ascii"}),
    Case("UTF-8 with a mark, read as Latin-1", b"\xef\xbb\xbfanna\n", "warn", "The mark says otherwise than the flag.",
         "It begins as UTF-8 does and was read as latin-1. Leave --encoding out.", options={"encoding": "latin-1"},
         lines=["ï»¿anna"]),
    Case("a file that breaks off inside a character", "anna\nJosé".encode()[:-1], "refuse", "Something is missing.",
         "list.txt, line 2, byte 8: 0xc3 is not UTF-8. "
         "The file breaks off inside a character. Copy it anew; or, if it is Latin-1, pass --encoding latin-1."),
    Case("an overlong form", b"anna\n\xc0\xaf\n", "refuse", "UTF-8 spells each character one way only.",
         "list.txt, line 2, byte 5: 0xc0 is not UTF-8. "
         "It begins an overlong form, which UTF-8 forbids. Save the file as UTF-8 anew."),
    Case("surrogates, as in CESU-8", b"anna\n" + surrogates("😀") + b"\n", "refuse",
         "Halves of surrogate pairs are no characters.",
         "list.txt, line 2, byte 5: 0xed is not UTF-8. "
         "It begins half a surrogate pair, as in CESU-8. Save the file as UTF-8 anew."),
    Case("beyond U+10FFFF", b"\xf5\x80\x80\x80\n", "refuse", "There are no such characters.",
         "list.txt, line 1, byte 0: 0xf5 is not UTF-8. If the file is from Windows, pass --encoding cp1252."),
    Case("NUL inside text", b"anna\nb\0b\n" * 3, "refuse", "Text holds no NUL, and other programs stop at it.",
         "list.txt, line 2, byte 6: 0x00 is NUL, which text does not hold. "
         "Take NUL out (tr -d '\\000'), or name the file's encoding, such as --encoding utf-16."),
    Case("NUL inside text of another encoding", "anna\nb\0b\n".encode("utf-16-be"), "refuse", "As above.",
         "list.txt, line 2, byte 12: 0x00 is NUL, which text does not hold. …", options={"encoding": "utf-16-be"}),
    Case("U+FFFD", "anna\nJos\ufffd\n".encode(), "warn", "An earlier conversion put it where it failed.",
         "Marks of a failed conversion, U+FFFD: 1, the first in line 2. They are kept. Go back to the text before it.",
         lines=["anna", "Jos\ufffd"], facts={"replacement_characters": 1}),
]  # fmt: skip

ODD_TEXT = [
    Case("terminal escape sequences", b"anna\n\x1b[31mbob\x1b[0m\n", "warn",
         "They could command a terminal. They are kept as text, and escaped in messages.",
         "Control characters: 2, the first in line 2. They are kept. Take them out if they are not meant.",
         lines=["anna", "\x1b[31mbob\x1b[0m"], facts={"control_characters": 2}),
    Case("a combining mark first", "\u0301anna\n".encode(), "accept", "Odd, but valid.", lines=["\u0301anna"]),
    Case("the same line in NFC and in NFD", f"José\n{NFD}\n".encode(), "accept",
         "Two spellings of one text. Both become NFC, and the lines that changed are counted.", lines=["José", "José"],
         facts={"normalized_lines": 1}),
    Case("the same with normal form none", f"José\n{NFD}\n".encode(), "accept", "Asked for, so kept apart.",
         lines=["José", NFD], facts={"normalized_lines": 0}, options={"normalize": "none"}),
    Case("1,000 marks on one base", ("e" + "\u0301" * 1000 + "\n").encode(), "accept", "Valid, if hard to read.",
         lines=["é" + "\u0301" * 999], facts={"normalized_lines": 1}),
    Case("100,000 marks on one base, out of order", ("x" + "\u0345\u0316" * 50_000 + "\n").encode(), "accept",
         "NFC puts marks in order; here it takes a moment, not minutes.",
         lines=["x" + "\u0316" * 50_000 + "\u0345" * 50_000], facts={"normalized_lines": 1}),
    Case("right-to-left text", "שרה\nدانيال\n".encode(), "accept", "Lines are kept in reading order.",
         lines=["שרה", "دانيال"]),
    Case("bidirectional overrides", "anna\u202ebob\u202c\n".encode(), "accept",
         "Format characters are characters; `moreish inspect` lists them.", lines=["anna\u202ebob\u202c"]),
    Case("emoji with joiners", "👩‍👩‍👧\n🏳️‍🌈\n".encode(), "accept", "`--symbols graphemes` keeps each together.",
         lines=["👩‍👩‍👧", "🏳️‍🌈"]),
    Case("the lectures' boundary sign inside text", b".anna.\nb.ob\n", "accept",
         "The boundary is no character, so a full stop is free to be one.", lines=[".anna.", "b.ob"]),
    Case("HTML", b"<b>anna</b>\n<img src=x onerror=alert(1)>\n", "accept", "Text like any other; nothing obeys it.",
         lines=["<b>anna</b>", "<img src=x onerror=alert(1)>"]),
    Case("a web page", b"<!DOCTYPE html>\n<html><body>anna</body></html>\n", "warn",
         "A page about a list was saved, probably, instead of the list.",
         "It is a web page, read line by line, tags and all. Save the list itself.", facts={"lines": 2}),
    Case("spreadsheet formulas", b"=1+1\n@SUM(A1)\n-anna\n", "accept", "Text like any other; nothing evaluates it.",
         lines=["=1+1", "@SUM(A1)", "-anna"]),
    Case("private, unassigned and non-characters", "\ue000\u0378\ufdd0\U0010ffff\n".encode(), "accept",
         "Valid UTF-8; Unicode may give them a meaning yet.", lines=["\ue000\u0378\ufdd0\U0010ffff"]),
]  # fmt: skip

BINARY = [
    Case("gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xffK\xcc\xcb\xe2\x02\x00", "refuse", "Not text.",
         "list.txt, line 1, byte 3: 0x00 is NUL, which text does not hold. "
         "The file is a gzip archive. Unpack it first."),
    Case("zip, or a spreadsheet (.xlsx)", b"PK\x03\x04\x14\x00\x00\x00\x08\x00", "refuse", "Not text.",
         "list.txt, line 1, byte 5: 0x00 is NUL, which text does not hold. The file is a zip archive, "
         "as spreadsheets and documents are. Unpack it, or save it as text or CSV."),
    Case("bzip2", b"BZh91AY&SY\xa3\xc2\n", "refuse", "Not text.",
         "list.txt, line 1, byte 10: 0xa3 is not UTF-8. The file is a bzip2 archive. Unpack it first."),
    Case("xz", b"\xfd7zXZ\x00\x00\x04", "refuse", "Not text.", "…The file is an xz archive. Unpack it first."),
    Case("zstd", b"(\xb5/\xfd\x04X)\n", "refuse", "Not text.",
         "list.txt, line 1, byte 1: 0xb5 is not UTF-8. The file is a zstd archive. Unpack it first."),
    Case("PNG", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "refuse", "Not text.",
         "list.txt, line 1, byte 0: 0x89 is not UTF-8. The file is a PNG picture. Give a text file."),
    Case("JPEG", b"\xff\xd8\xff\xe0\x10JFIF\n", "refuse", "Not text.",
         "list.txt, line 1, byte 0: 0xff is not UTF-8. The file is a JPEG picture. Give a text file."),
    Case("PDF", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "refuse", "Not text.",
         "list.txt, line 2, byte 10: 0xe2 is not UTF-8. "
         "The file is a PDF document. Copy the list out of it into a text file."),
    Case("SQLite", b"SQLite format 3\x00\x10\x00", "refuse", "Not text.",
         "…The file is a SQLite database. Export the list as text or CSV."),
    Case("a pickle", pickle.dumps(["anna", "bob"], protocol=4), "refuse", "A pickle can run code; none is ever opened.",
         "…The file is a Python pickle, which is never opened. Give a text file."),
    Case("a pickle of the oldest protocol", pickle.dumps(["anna"], protocol=0), "accept",
         "It is plain ASCII, and read as such; it is not unpickled."),
    Case("gzip, read as Latin-1", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xffK\xcc\xcb\xe2\x02\x00", "refuse",
         "In Latin-1 every byte is a character, but text holds no NUL.",
         "list.txt, line 1, byte 3: 0x00 is NUL, which text does not hold. "
         "The file is a gzip archive. Unpack it first.",
         options={"encoding": "latin-1"}),
]  # fmt: skip

TABLES = [
    Case("a column of CSV", b'id,name\n1,anna\n2,"bob, jr"\n', "accept", "The first row names the columns.",
         lines=["anna", "bob, jr"], options={"column": "name"}, file="list.csv"),
    Case("a column of TSV", b"id\tname\n1\tanna, b\n", "accept", "By its name, .tsv or .tab.", lines=["anna, b"],
         options={"column": "name"}, file="list.tsv"),
    Case("CSV with semicolons", b"id;name\n1;anna\n2;bob, jr\n", "accept", "Comma, semicolon or tab: row one tells.",
         lines=["anna", "bob, jr"], options={"column": "name"}, file="list.csv"),
    Case("CSV with a mark, Windows ends and quotes", b'\xef\xbb\xbf"name","id"\r\n"anna ""a""",1\r\n', "accept",
         "As spreadsheets write it.", lines=['anna "a"'], options={"column": "name"}, file="list.csv"),
    Case("a column that is not there", b"id,name\n1,anna\n", "refuse", "Nothing is guessed.",
         "list.csv has no column 'nmae'. Did you mean 'name'?", options={"column": "nmae"}, file="list.csv"),
    Case("a column unlike any", b"id,name\n1,anna\n", "refuse", "As above.",
         "list.csv has no column 'title'. There are: id, name.", options={"column": "title"}, file="list.csv"),
    Case("two columns of one name", b"name,name\nanna,bob\n", "refuse", "Which one is meant cannot be known.",
         "list.csv has 2 columns called 'name'. Rename one.", options={"column": "name"}, file="list.csv"),
    Case("a quote that is not closed", b'name\nanna\n"bob\ncleo\n', "refuse", "What follows would be one value.",
         "list.csv, row beginning in line 3: not CSV (…). Look for a quote without its partner.",
         options={"column": "name"}, file="list.csv"),
    Case("more values than columns", b"id,name\n1,anna\n2,bob, jr\n", "refuse", "A value was cut in two, probably.",
         "list.csv, line 3: 3 values under 2 columns. Put quotes around values that hold ','.",
         options={"column": "name"}, file="list.csv"),
    Case("rows that end early, and empty values", b"id,name\n1\n2,\n\n3,anna\n", "accept",
         "Nothing is there to read: dropped, and counted as empty lines.", lines=["anna"],
         facts={"blank_lines": 3}, options={"column": "name"}, file="list.csv"),
    Case("a value with line breaks inside", b'name\n"anna\nmaria"\n"bob\r\njr"\ncleo\n', "warn",
         "One thing is one line, so each break becomes a space.",
         "Values with line breaks inside: 2. Each break became a space.", lines=["anna maria", "bob jr", "cleo"],
         facts={"joined_values": 2}, options={"column": "name"}, file="list.csv"),
    Case("a row of names alone", b"id,name\n", "refuse", "No values.",
         "list.csv has no lines. Give a list with one thing per line.", options={"column": "name"}, file="list.csv"),
    Case("CSV without a column named", b"id,name\n1,anna\n", "warn", "Lines, but hardly those that are meant.",
         "It is a table, read line by line, delimiters and all. Name a column: --column NAME.",
         lines=["id,name", "1,anna"], file="list.csv"),
    Case("a bad byte in CSV", b"id,name\n1,Jos\xe9\n", "refuse", "As in any file.",
         "list.csv, line 2, byte 13: 0xe9 is not UTF-8. If the file is Latin-1, pass --encoding latin-1.",
         options={"column": "name"}, file="list.csv"),
    Case("a field of JSON Lines", b'{"name": "anna"}\n\n{"id": 2, "name": "zo\\u00eb"}\n', "accept",
         "One object per line; empty lines are dropped.", lines=["anna", "zoë"], facts={"blank_lines": 1},
         options={"field": "name"}, file="list.jsonl"),
    Case("a line that is not JSON", b'{"name": "anna"}\n{"name": "bob"\n', "refuse", "Nothing is passed over.",
         "list.jsonl, line 2: not JSON (…). Give one object per line.", options={"field": "name"}, file="list.jsonl"),
    Case("a JSON array", b'[{"name": "anna"}]\n', "refuse", "JSON Lines has one object per line.",
         'list.jsonl, line 1: a list, not an object. Give one object per line, such as {"name": "…"}.',
         options={"field": "name"}, file="list.jsonl"),
    Case("an object without the field", b'{"name": "anna"}\n{"nmae": "bob"}\n', "refuse", "Nothing is passed over.",
         "list.jsonl, line 2: no field 'name'. Did you mean 'nmae'?", options={"field": "name"}, file="list.jsonl"),
    Case("a field that is a number", b'{"name": 7}\n', "refuse", "Its spelling is not kept in JSON: 7.0, 7 or 7e0.",
         "list.jsonl, line 1: field 'name' is a number, not a string. Put it in quotes.",
         options={"field": "name"}, file="list.jsonl"),
    Case("a field that is null", b'{"name": null}\n{"name": "anna"}\n', "accept", "Dropped, counted as an empty line.",
         lines=["anna"], facts={"blank_lines": 1}, options={"field": "name"}, file="list.jsonl"),
    Case("JSON with NUL or half a surrogate pair", b'{"name": "a\\ud800"}\n', "refuse", "Neither is text.",
         "list.jsonl, line 1: field 'name' holds NUL or half a surrogate pair. Take it out.",
         options={"field": "name"}, file="list.jsonl"),
    Case("JSON nested 100,000 deep", b'{"name": ' + b"[" * 100_000 + b"\n", "refuse", "No list needs that.",
         "list.jsonl, line 1: nested too deep, or a number too long. Give one plain object per line.",
         options={"field": "name"}, file="list.jsonl"),
    Case("a JSON number of 5,000 digits", b'{"name": "anna", "id": ' + b"9" * 5000 + b"}\n", "refuse", "As above.",
         "list.jsonl, line 1: nested too deep, or a number too long. Give one plain object per line.",
         options={"field": "name"}, file="list.jsonl"),
    Case("JSON without a field named", b'{"name": "anna"}\n', "warn", "Lines, but hardly those that are meant.",
         "It is JSON, read line by line, braces and all. Name a field of JSON Lines: --field NAME.",
         lines=['{"name": "anna"}'], file="list.jsonl"),
]  # fmt: skip

FILES = [
    Case("a directory", made("lists", Path.mkdir), "refuse", "It may hold lists, but is none.",
         "lists: a directory, not a list. Name a file in it."),
    Case("a named pipe", made("pipe", os.mkfifo), "refuse", "Opening it would wait for a writer, perhaps for ever.",
         "pipe: a pipe. Read it through standard input: - as the list, and < before the pipe's name."),
    Case("a socket", made("socket", listening), "refuse", "Not a file.",
         "socket: a socket, not a list. Name a file, or - for standard input."),
    Case("/dev/zero", lambda _: "/dev/zero", "refuse", "Devices have no end.",
         "/dev/zero: a device, not a list. Name a file, or - for standard input."),
    Case("a link to a list", made("link.txt", lambda p: [p.with_name("x").write_bytes(b"a\n"), p.symlink_to("x")]),
         "accept", "Links are followed.", lines=["a"]),
    Case("a broken link", made("link.txt", lambda p: p.symlink_to("gone.txt")), "refuse", "Nothing is behind it.",
         "link.txt: a link to 'gone.txt', which is not there. Mend the link, or name the file itself."),
    Case("a link to itself", made("link.txt", lambda p: p.symlink_to("link.txt")), "refuse", "Nothing is behind it.",
         "link.txt: cannot be read (…). Check the path and the disk."),
    Case("no such file", beside("names_of_cats.txt", "name_of_cats.txt"), "refuse",
         "The file or bundled list that is nearest in name is named.",
         "name_of_cats.txt: no such file. Did you mean 'names_of_cats.txt'?"),
    Case("no such directory", lambda _: "gone/list.txt", "refuse", "As above.",
         "gone/list.txt: no such file. Its directory 'gone' is not there either. Check the path."),
    Case("the name of a bundled list", lambda _: "names", "accept", "It is read when no such file is there."),
    Case("a bundled list's name, misspelt", lambda _: "nmaes", "refuse", "As with files.",
         "nmaes: no such file. Did you mean 'names'?"),
    Case("a file called like a bundled list", b"anna\n", "accept", "Your own files come first.", lines=["anna"],
         file="names"),
    Case("a file that may not be read", made("list.txt", forbidden), "refuse", "Permissions are respected.",
         "list.txt: this user may not read it. Give read permission to it and its directories.",
         around=without_privileges),
    Case("a file in a directory that may not be entered", made("d/list.txt", forbidden_directory), "refuse",
         "As above.",
         "d/list.txt: this user may not read it. Give read permission to it and its directories.",
         around=without_privileges),
    Case("a file that grows while it is read", b"anna\n" * 500_000, "refuse", "What was read is no list anyone made.",
         "list.txt changed while it was being read. Let it rest, or read a copy of it.",
         meanwhile=lambda p: p.open("ab").write(b"bob\n")),
    Case("a file that shrinks while it is read", b"anna\n" * 500_000, "refuse", "As above.",
         "list.txt changed while it was being read. Let it rest, or read a copy of it.",
         meanwhile=lambda p: os.truncate(p, 1_500_000)),
    Case("a file rewritten while it is read", b"anna\n" * 500_000, "refuse", "As above, by its time of change.",
         "list.txt changed while it was being read. Let it rest, or read a copy of it.",
         meanwhile=lambda p: os.utime(p, ns=(0, 0))),
    Case("an odd file name", b"anna\n", "accept", "It is shown with its control characters escaped.",
         lines=["anna"], facts={"name": "a \\x1b[31m\\x0ab.txt"}, file="a \x1b[31m\nb.txt"),
    Case("a file name that is not UTF-8", b"anna\n", "accept", "As above.", lines=["anna"],
         facts={"name": "\\udce9.txt"}, file=os.fsdecode(b"\xe9.txt")),
    Case("an odd name of no file", lambda _: "\x1b[31m/\x00", "refuse", "No path holds NUL.",
         "'\\x1b[31m/\\x00' is no path. Give a file, the name of a bundled list, or - for standard input."),
    Case("an empty path", lambda _: "", "refuse", "It names nothing.",
         "'' is no path. Give a file, the name of a bundled list, or - for standard input."),
    Case("a name longer than names can be", lambda _: "a" * 5000, "refuse", "The operating system refuses it.",
         "aaa…: cannot be read (…). Check the path and the disk."),
    Case("standard input, -", lambda _: "-", "accept", "A pipe or a file sent in.", lines=["anna", "bob"],
         facts={"name": "standard input"}, around=piped(b"anna\nbob\n")),
    Case("a file called -", b"anna\n", "accept", "Say ./- for it.", lines=["anna"], file="./-"),
    Case("standard input with a bad byte", lambda _: "-", "refuse", "As in files.",
         "standard input, line 1, byte 3: 0xe9 is not UTF-8. If the file is Latin-1, pass --encoding latin-1.",
         around=piped(b"Jos\xe9\n")),
    Case("standard input that is closed", lambda _: "-", "refuse", "There is nothing to read.",
         "standard input is closed. Name a file, or send a list in: < list.txt.", around=lambda: standard_input(None)),
    Case("standard input that is a terminal", lambda _: "-", "refuse", "It would wait for you to type a list.",
         "standard input is a terminal. Name a file, or send a list in: < list.txt.", around=terminal),
]  # fmt: skip

GROUPS = {
    "Sizes": SIZES,
    "Line ends and white space": LINE_ENDS,
    "Encodings": ENCODINGS,
    "Odd text": ODD_TEXT,
    "Files that are not text": BINARY,
    "Columns and fields": TABLES,
    "Files, paths and standard input": FILES,
}
CASES = [case for cases in GROUPS.values() for case in cases]

INTRODUCTION = """\
<!-- Made from the tests' own table by: python tests/text/bad_lists.py > docs/input.md -->

# What Moreish reads

A list is text with one thing per line: a file, standard input (`-`), a column of CSV or TSV (`--column NAME`), or a
field of JSON Lines (`--field NAME`). Before anything else sees it, it is made *clean*:

- It is **UTF-8**, unless `--encoding` names another of the text encodings Python knows. A byte-order mark is taken off.
- **Lines end at a newline**, with or without a carriage return before it, and nowhere else.
- **Empty lines are dropped** and counted. White space inside a line and around it is kept.
- Each line is put in Unicode's **normal form NFC**, so that an accented letter is spelt one way. `--normalize none`
  leaves the lines as they are. Lines that changed are counted.
- A line has at most 1,000,000 bytes; a value of CSV, 131,072 characters.

Each kind of input has one of three verdicts. What is **accepted** is read without a word. What is accepted **with a
warning** is read whole, and a sentence says what may not be meant. What is **refused** ends the command with exit code
1, nothing made, and one line that says where (lines are counted from 1, bytes from 0), what (the byte in hexadecimal),
and what to do. `moreish inspect LIST` says more about the lines themselves.

In the messages below, `…` stands for words that depend on your system.
"""


def as_markdown() -> str:
    """The table as a page for users."""
    parts = [INTRODUCTION]
    for title, cases in GROUPS.items():
        rows = [f"| {_what(case)} | {VERDICTS[case.verdict]} | {_said(case)} |" for case in cases]
        parts.append(
            "\n".join(
                [f"## {title}", "", "| What is given | Verdict | Why, and what you see |", "|---|---|---|", *rows, ""]
            )
        )
    return "\n".join(parts)


def _what(case: Case) -> str:
    flags = " ".join(f"--{name} {value}" for name, value in case.options.items())
    return f"{case.name} (`{flags}`)" if flags else case.name


def _said(case: Case) -> str:
    message = case.says.replace("|", "\\|")
    return f"{case.why} `{message}`" if message else case.why


if __name__ == "__main__":
    sys.stdout.buffer.write(as_markdown().encode())
