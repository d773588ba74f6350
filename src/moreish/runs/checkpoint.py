"""Checkpoints: each one whole file, which says itself whether it is whole.

`checkpoint-<step>.safetensors` is a valid safetensors file, so any tool opens it. Its metadata holds two strings:
`moreish`, a JSON object with the format's number, the run's id, the step and what else the caller put in; and `sha256`,
the hash of the whole file with that very field as 64 zeros. Neither a flipped bit nor a cut goes unnoticed, and a file
that was put in another's place is known by its run and step.

A checkpoint may come from a stranger. Nothing in it is run, and nothing is allocated for it before its tensors' names,
dtypes and shapes have been found equal to those that its validated settings ask for.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import reprlib
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from moreish import storage
from moreish.errors import CheckpointError, CheckpointWarning, MoreishError, StorageError
from moreish.text.alphabet import printable

FORMAT = 1
KEPT = 2
"""Checkpoints of a run that stay: the newest, and one to fall back on."""

HEADER = 1 << 20
"""Bytes that a header may have."""
TENSORS = 4096
COUNTS = {b"{": 1 << 13, b"[": 1 << 14, b":": 1 << 15, b",": 1 << 17}
"""How often each sign of JSON may stand in a header, so that parsing a megabyte of it stays below 20 MB."""

NAME = re.compile(r"checkpoint-(0|[1-9][0-9]{0,17})\.safetensors", re.ASCII)
SEAL = b'"sha256":"%s"'
"""The header's own hash, as it stands there. In the caller's strings its quotation marks would be escaped."""
UNSEALED = b"0" * 64

DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "U16": torch.uint16,
    "I16": torch.int16,
    "U32": torch.uint32,
    "I32": torch.int32,
    "U64": torch.uint64,
    "I64": torch.int64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}

Expected = dict[str, tuple[torch.dtype, tuple[int, ...]]]
"""What tensors there must be: the dtype and shape of each name."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint that is safely on the disk. `sha256` is that of the file."""

    path: Path
    step: int
    sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A checkpoint that was read and found whole."""

    step: int
    meta: dict[str, Any]
    tensors: dict[str, Tensor]
    path: Path


@dataclass(frozen=True, slots=True)
class _Header:
    """A header that is well formed. `entries` holds (name, dtype, shape, begin, end) by the order in the file."""

    meta: dict[str, Any]
    seal: str
    entries: list[tuple[str, str, tuple[int, ...], int, int]]
    raw: bytes
    """The file's first bytes, up to the tensors, with the seal as zeros."""


def save(directory: str | os.PathLike[str], step: int, meta: dict[str, Any], tensors: dict[str, Tensor]) -> Saved:
    """Write the checkpoint of one step, durably, and only then remove the older ones but for the newest of them.

    Checkpoints of later steps are removed too: the run went on from an earlier one.

    Args:
        directory: of the run; it must be there, and the caller holds its lock.
        step: from 0.
        meta: a JSON object with `run`, the run's id. `format` and `step` are set here.
        tensors: by name; at most 4,096.

    Raises:
        CheckpointError: `meta` or the tensors are more than a checkpoint may hold.
        StorageError: the disk refused. The last good checkpoint is kept.
    """
    path = Path(directory, f"checkpoint-{step}.safetensors")
    assert NAME.fullmatch(path.name), step
    assert isinstance(meta["run"], str), meta["run"]
    # Wider numbers first, so that each tensor begins where its dtype may.
    named = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
    data = [_bytes_of(tensor) for _, tensor in named]
    header = _header_of({**meta, "format": FORMAT, "step": step}, named)
    header = header.replace(SEAL % UNSEALED, SEAL % _hash([header, *data]).encode())
    older = newest(directory)
    sha256 = storage.write_file(path, [header, *data], "the last good checkpoint" if older else "")
    kept = [each for each, _ in older if each < step][: KEPT - 1]
    try:
        for other, other_path in older:
            if other != step and other not in kept:
                storage.remove_file(other_path)
    except StorageError as error:
        raise StorageError(f"{path.name} is safely written, but an older one stays: {error}") from error
    return Saved(path, step, sha256)


def newest(directory: str | os.PathLike[str]) -> list[tuple[int, Path]]:
    """The steps and paths of a run's checkpoints, newest first, whole or not.

    Raises:
        StorageError: the directory cannot be read.
    """
    found = ((NAME.fullmatch(name), name) for name in storage.names(directory))
    return sorted(((int(match[1]), Path(directory, name)) for match, name in found if match), reverse=True)


def load(
    directory: str | os.PathLike[str], expected: Callable[[dict[str, Any]], Expected], run: str | None = None,
    step: int | None = None,
) -> Checkpoint:  # fmt: skip
    """The newest whole checkpoint of a run, or the one of a step.

    Args:
        directory: of the run.
        expected: is given `meta` before anything is allocated, and says what tensors must be there. `meta` is a JSON
            object and may be a stranger's: nothing in it but `format`, `run` and `step` is checked. May raise
            ConfigError.
        run: the id that the run must have.
        step: that one and no other.

    Raises:
        CheckpointError: there is none, or none is whole; says the fault of each.
        StorageError: the directory cannot be read.

    Warns:
        CheckpointWarning: a newer one is damaged; names it and the one that is used instead.
    """
    there = newest(directory)
    while True:
        wanted = [(each, path) for each, path in there if step in (None, each)]
        faults: list[str] = []
        for each, path in wanted:
            try:
                with storage.reading(path) as (file, size):
                    checkpoint = _read(file, size, path, each, run, expected)
            except (CheckpointError, StorageError) as error:
                faults.append(f"{path.name}: {error}")
                continue
            if faults:
                warnings.warn(f"{' '.join(faults)} Using {path.name} instead.", CheckpointWarning, 2)
            return checkpoint
        before, there = there, newest(directory)
        if there == before:  # else a writer saved and pruned meanwhile
            break
    shown = printable(os.fspath(directory))
    if not there:
        raise CheckpointError(f"{shown} holds no checkpoint. Train a model into it, or name another run.")
    if not wanted:
        steps = ", ".join(str(each) for each, _ in there[:10])
        raise CheckpointError(f"{shown} holds no checkpoint of step {step}. There are: {steps}.")
    raise CheckpointError(f"{shown} holds no checkpoint that can be used. {' '.join(faults)} Restore one from a copy, "
                          f"or train anew.")  # fmt: skip


def _read(
    file: BufferedIOBase,
    size: int,
    path: Path,
    step: int,
    run: str | None,
    expected: Callable[[dict[str, Any]], Expected],
) -> Checkpoint:
    """A checkpoint from `size` bytes. Raises CheckpointError with its fault."""
    header = _header(file, size)
    _check_identity(header.meta, step, run)
    _check_tensors(header.entries, _asked(expected, header.meta))
    end = len(header.raw) + (header.entries[-1][-1] if header.entries else 0)
    if size != end:
        what = "is cut short" if size < end else "goes on after its end"
        raise CheckpointError(f"it {what}: {size:,} bytes, not {end:,}.")
    digest = hashlib.sha256(header.raw)
    tensors: dict[str, Tensor] = {}
    for name, dtype, shape, *_ in header.entries:
        tensors[name] = torch.empty(shape, dtype=DTYPES[dtype])
        data = _bytes_of(tensors[name])
        if file.readinto(data) != data.nbytes:
            raise CheckpointError("it was cut while it was being read.")
        digest.update(data)
    if digest.hexdigest() != header.seal:
        raise CheckpointError("it is damaged: its content does not match its sha256.")
    return Checkpoint(step, header.meta, tensors, path)


def _header(file: BufferedIOBase, size: int) -> _Header:
    """The header, well formed. Raises CheckpointError where it is not."""
    length = int.from_bytes(file.read(8), "little")
    if length > HEADER:
        raise CheckpointError(f"its header is said to take {length:,} bytes; at most {HEADER:,} are read.")
    raw = file.read(length)
    if size < 8 or len(raw) < length:
        raise CheckpointError("it is cut short inside its header.")
    if any(raw.count(sign) > most for sign, most in COUNTS.items()):
        raise CheckpointError("its header is of more parts than any checkpoint's.")
    entries = _parsed(raw)
    metadata = entries.pop("__metadata__", None)
    if not isinstance(metadata, dict) or metadata.keys() != {"moreish", "sha256"}:
        raise CheckpointError("it was not written by moreish: its metadata are not 'moreish' and 'sha256'.")
    text, seal = metadata["moreish"], metadata["sha256"]
    if not isinstance(text, str) or not isinstance(seal, str) or not re.fullmatch("[0-9a-f]{64}", seal):
        raise CheckpointError("its metadata are damaged.")
    sealed = SEAL % seal.encode()
    if raw.count(sealed) != 1:
        raise CheckpointError("its sha256 does not stand where it should.")
    if len(entries) > TENSORS:
        raise CheckpointError(f"it holds {len(entries):,} tensors; at most {TENSORS:,} are read.")
    unsealed = length.to_bytes(8, "little") + raw.replace(sealed, SEAL % UNSEALED)
    return _Header(_parsed(text), seal, _entries(entries), unsealed)


def _parsed(text: bytes | str) -> dict[str, Any]:
    """A JSON object without repeated keys or numbers that are not finite. Raises CheckpointError for anything else."""
    try:
        text = text.decode() if isinstance(text, bytes) else text
        thing = json.loads(text, object_pairs_hook=_unique, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"its header is damaged: {_short(error)}.") from None
    if not isinstance(thing, dict):
        raise CheckpointError("its header is damaged: no JSON object where there should be one.")
    return thing


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    thing = dict(pairs)
    if len(thing) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return thing


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is no finite number")
    return number


def _entries(header: dict[str, Any]) -> list[tuple[str, str, tuple[int, ...], int, int]]:
    """Name, dtype, shape, begin and end of each tensor, one right after the other from 0 on."""
    entries = []
    for name, entry in header.items():
        if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
            raise CheckpointError(f"its tensor {_short(name)} is not described by dtype, shape and data_offsets.")
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(dtype, str) or not _sizes(shape) or not _sizes(offsets) or len(offsets) != 2:
            raise CheckpointError(f"its tensor {_short(name)} is described by something else than sizes.")
        entries.append((name, dtype, tuple(shape), *offsets))
    entries.sort(key=lambda entry: entry[3:])
    end = 0
    for name, _, _, begin, until in entries:
        if begin != end or until < begin:
            raise CheckpointError(f"its tensor {_short(name)} does not begin where the one before it ends.")
        end = until
    return entries


def _sizes(thing: Any) -> bool:
    return isinstance(thing, list) and all(type(size) is int and size >= 0 for size in thing)


def _check_identity(meta: dict[str, Any], step: int, run: str | None) -> None:
    found = meta.get("format")
    if type(found) is not int or found != FORMAT:
        raise CheckpointError(f"it is of format {_short(found)}; this version of moreish reads format {FORMAT}.")
    found = meta.get("run")
    if not isinstance(found, str) or run not in (None, found):
        raise CheckpointError(f"it is of run {_short(found)}, not of {_short(run)}, so it was put in another's place.")
    found = meta.get("step")
    if type(found) is not int or found != step:
        raise CheckpointError(f"it is of step {_short(found)}, not of {step}, so it was put in another's place.")


def _asked(expected: Callable[[dict[str, Any]], Expected], meta: dict[str, Any]) -> Expected:
    """What `expected` asks for. Whatever it stumbles over in a stranger's settings is the checkpoint's fault."""
    try:
        return expected(meta)
    except MoreishError as error:
        raise CheckpointError(f"its settings cannot be used: {error}") from error
    except Exception as error:
        raise CheckpointError(f"its settings cannot be used: {type(error).__name__}: {_short(error)}.") from error


def _check_tensors(entries: list[tuple[str, str, tuple[int, ...], int, int]], asked: Expected) -> None:
    names = {name for name, *_ in entries}
    for name in asked:
        if name not in names:
            raise CheckpointError(f"it lacks the tensor {_short(name)} that its settings ask for.")
    for name, dtype, shape, begin, end in entries:
        if name not in asked:
            raise CheckpointError(f"it holds a tensor {_short(name)} that its settings do not ask for.")
        wanted, wanted_shape = asked[name]
        if DTYPES.get(dtype) != wanted or shape != wanted_shape:
            raise CheckpointError(f"its tensor {_short(name)} is {_short(dtype)} {_short(list(shape))}; its settings "
                                  f"ask for {DTYPE_NAMES[wanted]} {list(wanted_shape)}.")  # fmt: skip
        if end - begin != wanted.itemsize * math.prod(shape):
            raise CheckpointError(f"its tensor {_short(name)} takes {_short(end - begin)} bytes, not its size.")


def _short(thing: Any) -> str:
    """Something of a stranger's, for a message: neither long nor able to command a terminal."""
    return printable(str(thing)[:100] if isinstance(thing, Exception) else reprlib.repr(thing))


def _header_of(meta: dict[str, Any], named: list[tuple[str, Tensor]]) -> bytes:
    """The file's first bytes, unsealed, up to the tensors."""
    text = json.dumps(meta, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text = text.encode("utf-8", "backslashreplace").decode()  # half a surrogate pair, in JSON, is written \udc80
    header: dict[str, Any] = {"__metadata__": {"moreish": text, "sha256": UNSEALED.decode()}}
    end = 0
    for name, tensor in named:
        begin, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": DTYPE_NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    assert len(header) == len(named) + 1
    raw = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    if len(raw) > HEADER or len(named) > TENSORS or any(raw.count(sign) > most for sign, most in COUNTS.items()):
        raise CheckpointError(f"a checkpoint's header may have {HEADER:,} bytes, {TENSORS:,} tensors and "
                              f"{COUNTS[b',']:,} parts; this one has {len(raw):,}, {len(named):,} and "
                              f"{raw.count(b','):,}. Use fewer symbols, or a model of fewer parts.")  # fmt: skip
    return len(raw).to_bytes(8, "little") + raw


def _bytes_of(tensor: Tensor) -> memoryview:
    """A tensor's own bytes, in order; of a contiguous one on the CPU, the very memory."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def _hash(chunks: Iterable[bytes | memoryview]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
