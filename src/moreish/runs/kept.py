"""What a run keeps of its list: the lines, part after part, or only their hashes. Compressed, and checked when read."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from moreish.errors import RunError
from moreish.runs.record import ListRecord
from moreish.storage import read_file, write_file
from moreish.text.alphabet import printable
from moreish.text.corpus import Corpus
from moreish.text.hashing import line_hashes
from moreish.text.lines import Lines

LINES_FILE, HASHES_FILE = "lines.gz", "hashes.gz"
HASH_BYTES = 8


def write_kept(where: Path, corpus: Corpus, keep_list: bool) -> dict[str, Any]:
    """Write the lines or their hashes; returns what run.toml must say of the file.

    Raises:
        StorageError: the disk refused.
    """
    counted = {"bytes": 0}

    def raw() -> Iterator[bytes]:
        for part in (corpus.train, corpus.dev, corpus.test):
            chunks = part.blocks() if keep_list else (line_hashes(part).astype("<u8").tobytes(),)
            for chunk in chunks:
                counted["bytes"] += len(chunk)
                yield chunk

    def packed() -> Iterator[bytes]:
        squeeze = zlib.compressobj(level=6, wbits=31)  # gzip without a date: the same lines give the same file
        for chunk in raw():
            yield squeeze.compress(chunk)
        yield squeeze.flush()

    sha256 = write_file(where / (LINES_FILE if keep_list else HASHES_FILE), packed())
    return {"bytes": counted["bytes"], "sha256": sha256}


def read_kept(where: Path, listed: ListRecord) -> tuple[Lines, Lines, Lines, np.ndarray | None]:
    """(train, dev, test, None), or empty parts and the hashes of all their lines, uint64 [lines].

    Raises:
        RunError: the file is damaged, or is not what run.toml says.
        StorageError: it cannot be read.
    """
    path = where / (LINES_FILE if listed.kept else HASHES_FILE)
    text = _unpacked(path, listed)
    total = listed.train + listed.dev + listed.test
    if listed.lines != total:
        _refuse(where / "run.toml", f"of {listed.lines:,} lines, its parts have {total:,}")
    if not listed.kept:
        if len(text) != HASH_BYTES * total:
            _refuse(path, f"it does not hold the hashes of {total:,} lines")
        nothing = Lines(np.zeros(0, np.uint8))
        return nothing, nothing, nothing, np.frombuffer(text, dtype="<u8").astype(np.uint64)
    whole = Lines(np.frombuffer(text, dtype=np.uint8))
    if len(whole) != total or not listed.train or not text.endswith(b"\n"):
        _refuse(path, f"it holds {len(whole):,} lines where run.toml says {total:,}, {listed.train:,} of them to learn")
    if text.startswith(b"\n") or b"\n\n" in text:
        _refuse(path, "it holds an empty line")
    try:
        for block in whole.blocks():
            if not block.isascii():
                block.decode()
    except UnicodeDecodeError as error:
        _refuse(path, f"it is not UTF-8: {error.reason}")
    ends = whole.starts[np.cumsum([listed.train, listed.dev, listed.test])]
    train, dev, test = (Lines(whole.data[a:b]) for a, b in zip([0, *ends[:-1]], ends))
    return train, dev, test, None


def _unpacked(path: Path, listed: ListRecord) -> bytes:
    packed = read_file(path)
    if hashlib.sha256(packed).hexdigest() != listed.sha256:
        _refuse(path, "its sha256 is not the one in run.toml")
    try:
        text = zlib.decompressobj(wbits=31).decompress(packed, listed.bytes + 1)
    except zlib.error as error:
        _refuse(path, str(error))
    if len(text) != listed.bytes:
        _refuse(path, f"it does not hold the {listed.bytes:,} bytes that run.toml says")
    return text


def _refuse(path: Path, why: str) -> NoReturn:
    raise RunError(f"{printable(str(path))} is damaged: {why}. Restore the file from a copy, or train again.")
