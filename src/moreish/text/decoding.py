"""Bytes to text, strictly: what is not text is refused with its place, its byte, and the flag that would help."""

from __future__ import annotations

import bisect
import codecs
import itertools
from collections.abc import Iterable, Iterator

from moreish.errors import ListError, UsageError, did_you_mean
from moreish.text.sources import Place

COMMON_ENCODINGS = ("ascii", "big5", "cp1252", "gb18030", "latin-1", "shift_jis", "utf-16", "utf-32", "utf-8")
NOT_OF_FILES = {"idna", "mbcs", "oem", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"}
"""Codecs of Python that are for something else than text files."""

KINDS_OF_FILE = (
    (b"\x1f\x8b", "a gzip archive. Unpack it first."),
    (b"PK\x03\x04", "a zip archive, as spreadsheets and documents are. Unpack it, or save it as text or CSV."),
    *((b"BZh%d1AY" % level, "a bzip2 archive. Unpack it first.") for level in range(1, 10)),
    (b"\xfd7zXZ", "an xz archive. Unpack it first."),
    (b"(\xb5/\xfd", "a zstd archive. Unpack it first."),
    (b"\x89PNG", "a PNG picture. Give a text file."),
    (b"\xff\xd8\xff", "a JPEG picture. Give a text file."),
    (b"GIF87a", "a GIF picture. Give a text file."),
    (b"GIF89a", "a GIF picture. Give a text file."),
    (b"%PDF-", "a PDF document. Copy the list out of it into a text file."),
    (b"\xd0\xcf\x11\xe0", "an old Word or Excel document. Save it as text or CSV."),
    (b"SQLite format 3", "a SQLite database. Export the list as text or CSV."),
    (b"PAR1", "a Parquet table. Export the list as text or CSV."),
    *((bytes([0x80, version]), "a Python pickle, which is never opened. Give a text file.") for version in range(2, 6)),
)
"""How files begin that are no text. These only explain a refusal: valid text is read, however it begins."""
WIDE_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
BYTE_ORDER_MARKS = (codecs.BOM_UTF8, *(mark for mark, _ in WIDE_MARKS))
LONGEST_MARK = max(map(len, BYTE_ORDER_MARKS))


def codec_name(encoding: str) -> str:
    """Python's own name for an encoding of text files.

    Raises:
        UsageError: there is none such.
    """
    try:
        name = codecs.lookup(encoding).name
        codecs.getincrementaldecoder(name)
        b"?".decode(name, "replace")  # refuses codecs that are not between text and bytes, such as rot13
    except (LookupError, ValueError):
        name = "undefined"
    if name in NOT_OF_FILES:
        raise UsageError(f"no encoding of text is called {encoding!r}. {did_you_mean(encoding, COMMON_ENCODINGS)}")
    return "utf-8" if name == "utf-8-sig" else name


def utf8(chunks: Iterator[bytes], encoding: str, place: Place) -> Iterator[bytes]:
    """Text in any encoding as UTF-8, its byte-order mark taken off.

    Text that says it is UTF-8 goes through as it is; `decode` checks it, where its lines are known.

    Raises:
        ListError: the bytes are not of that encoding.
    """
    codec = codec_name(encoding)
    first = b""
    while len(first) < LONGEST_MARK and (chunk := next(chunks, b"")):
        first += chunk
    if codec != "utf-8":
        place.translated = True
        yield from _decoded(itertools.chain([first], chunks), codec, encoding, place)
        return
    for mark, wide in WIDE_MARKS:
        if first.startswith(mark):
            where = place.at(1, 0)
            raise ListError(f"{where}: 0x{mark[0]:02x} begins {wide.upper()} text, not UTF-8. Pass --encoding {wide}.")
    if first.startswith(codecs.BOM_UTF8):
        place.offset = len(codecs.BOM_UTF8)
        first = first[len(codecs.BOM_UTF8) :]
    yield first
    yield from chunks


def decode(block: bytes, place: Place) -> str:
    """The text of a block of whole lines, `place` being where it begins.

    Raises:
        ListError: it holds NUL, or is not UTF-8.
    """
    at = block.find(b"\0")
    if at >= 0:
        raise _nul(place, _line(block, at, place), place.offset + at)
    try:
        return block.decode()
    except UnicodeDecodeError as error:
        where = place.at(_line(block, error.start, place), place.offset + error.start)
        advice = _why_not_utf8(block, error, place)
        raise ListError(f"{where}: 0x{block[error.start]:02x} is not UTF-8. {advice}") from None


def kind_of_file(head: bytes) -> str:
    """`The file is a gzip archive. Unpack it first.`, or nothing where how it begins tells nothing."""
    return next((f"The file is {kind}" for magic, kind in KINDS_OF_FILE if head.startswith(magic)), "")


def _decoded(chunks: Iterable[bytes], codec: str, encoding: str, place: Place) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(codec)()
    width = len("aa".encode(codec)) - len("a".encode(codec))
    before, begun = 0, False
    for chunk in itertools.chain(chunks, [b""]):
        state = decoder.getstate()
        try:
            text = decoder.decode(chunk, not chunk)
        except UnicodeError as error:
            if not isinstance(error, UnicodeDecodeError) or "BOM" in error.reason:
                what = (
                    f"{place.at(1, 0)}: 0x{place.head[0]:02x} begins no {encoding} text: its byte-order mark is missing"
                )
            else:
                at = error.start + len(chunk) - len(error.object)  # below 0 in what was held back of the last chunk
                line = place.lines + 1 + _text(decoder, state, chunk, at).count("\n")
                what = f"{place.at(line, before + at)}: 0x{error.object[error.start]:02x} is not {encoding}"
            raise ListError(f"{what}. {_other_encoding(codec, place)}") from None
        nul = text.find("\0")
        if nul >= 0:
            ends = range(len(chunk) + 1)
            at = bisect.bisect_left(ends, nul + 1, key=lambda end: len(_text(decoder, state, chunk, end))) - width
            raise _nul(place, place.lines + 1 + text.count("\n", 0, nul), before + at)
        try:
            clean = (text if begun else text.removeprefix("\ufeff")).encode()
        except UnicodeEncodeError:  # UTF-7 can spell one
            raise ListError(f"{place.name} holds half a surrogate pair, which is no text. Save it as UTF-8.") from None
        begun = begun or bool(text)
        before += len(chunk)
        yield clean


def _text(decoder: codecs.IncrementalDecoder, state: tuple[bytes, int], chunk: bytes, end: int) -> str:
    """The text of a chunk up to a byte of it."""
    decoder.setstate(state)
    try:
        return decoder.decode(chunk[: max(0, end)])
    except UnicodeError:
        return ""  # not even the byte order is known


def _line(block: bytes, at: int, place: Place) -> int:
    return place.lines + 1 + block.count(b"\n", 0, at)


def _nul(place: Place, line: int, byte: int) -> ListError:
    return ListError(f"{place.at(line, byte)}: 0x00 is NUL, which text does not hold. {_why_nul(place.head)}")


def _why_nul(head: bytes) -> str:
    if kind := kind_of_file(head):
        return kind
    for mark, encoding in WIDE_MARKS:
        if head.startswith(mark):
            return f"The file begins as {encoding.upper()} does. Pass --encoding {encoding}."
    # Western text in UTF-16 and UTF-32 is NUL at most bytes of certain places in turn.
    zeros = tuple(head[at::4].count(0) * 4 > len(head) * 0.7 for at in range(4))
    for pattern, encoding in (
        ((False, True, True, True), "utf-32-le"),
        ((True, True, True, False), "utf-32-be"),
        ((False, True, False, True), "utf-16-le"),
        ((True, False, True, False), "utf-16-be"),
    ):
        if zeros == pattern:
            return f"The file looks like {encoding[:6].upper()}. Pass --encoding {encoding}."
    return "Take NUL out (tr -d '\\000'), or name the file's encoding, such as --encoding utf-16."


def _why_not_utf8(block: bytes, error: UnicodeDecodeError, place: Place) -> str:
    if kind := kind_of_file(place.head):
        return kind
    byte, following = block[error.start], block[error.start + 1]  # a block ends with a newline, so there is one
    if place.offset + error.end == place.read and block[error.end :] == b"\n":
        return "The file breaks off inside a character. Copy it anew; or, if it is Latin-1, pass --encoding latin-1."
    if byte == 0xED and 0xA0 <= following <= 0xBF:
        return "It begins half a surrogate pair, as in CESU-8. Save the file as UTF-8 anew."
    if (
        (byte in (0xC0, 0xC1) and 0x80 <= following <= 0xBF)
        or (byte == 0xE0 and 0x80 <= following <= 0x9F)
        or (byte == 0xF0 and 0x80 <= following <= 0x8F)
    ):
        return "It begins an overlong form, which UTF-8 forbids. Save the file as UTF-8 anew."
    line = block[block.rfind(b"\n", 0, error.start) + 1 : block.find(b"\n", error.start)]
    if any(0x80 <= c <= 0x9F for c in line):
        return "If the file is from Windows, pass --encoding cp1252."
    return "If the file is Latin-1, pass --encoding latin-1."


def _other_encoding(codec: str, place: Place) -> str:
    if kind := kind_of_file(place.head):
        return kind
    if codec in ("utf-16", "utf-32"):
        return f"Pass --encoding {codec}-le or {codec}-be, or leave the flag out if the file is UTF-8."
    return "Pass the file's own encoding, or leave the flag out if it is UTF-8."
