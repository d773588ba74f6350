"""A state dict that torch.save wrote, perhaps a stranger's: it runs no code, and asks for no memory before it is known.

The format: a zip archive of members stored as they are. `data.pkl` is a pickle that gives each tensor its name, dtype,
shape and the member `data/N` that holds its numbers. Three readings, each of which may refuse:

1. Of the archive and of the pickle as a text: only the instructions and the names that a state dict takes may stand in
   it, so what would run code, or build something large, is refused by name. Nothing is run.
2. By torch.load(weights_only=True), which runs no code either, onto the meta device: names and shapes alone. The caller
   says whether they are what he expects, and the members must be of just those sizes.
3. Of the numbers, from an archive made anew of what was looked at, the checksums right. Two readers of one archive may
   see two things in it: of a member marked as a directory, torch's gives whatever stood in memory.
"""

from __future__ import annotations

import io
import math
import pickletools
import re
import reprlib
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from moreish import storage
from moreish.errors import CheckpointError, MoreishError
from moreish.models.model import MOST_WEIGHTS
from moreish.text.alphabet import printable

DIRECTORY = 1 << 20
"""Bytes that an archive's directory may have, and that are read at a time."""
PICKLE = 1 << 18
TENSORS = 512
BESIDE = 16
"""Members of an archive that are no tensors: the format's version, the byte order and the like."""
INSTRUCTIONS = 32 * TENSORS
"""A tensor takes about 25."""

LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How torch's format before version 1.6 begins: with this number, pickled."""
HARMLESS = re.compile(
    "PROTO|STOP|MARK|GLOBAL|REDUCE|BUILD|BINPERSID|EMPTY_DICT|SETITEMS?|EMPTY_TUPLE|TUPLE[123]?|(LONG_)?BIN(PUT|GET)|"
    "BINUNICODE|BININT[12]?|LONG1|NEWFALSE|NEWTRUE|NONE"
)
"""Instructions of a pickle that a state dict may hold. Calls (REDUCE) are of the names below."""
NAMED = re.compile(r"collections OrderedDict|torch\._utils _rebuild_tensor_v2|torch [A-Za-z0-9]+Storage")

MEMBER = re.compile(r".*/data/[^/]+")
SAVE_IT = "Have it saved with torch.save(model.state_dict(), path)."

Shapes = dict[str, tuple[int, ...]]


def read_state_dict(path: Path, check: Callable[[Shapes], None]) -> dict[str, Tensor]:
    """The tensors of a state dict, all float32 and finite.

    Args:
        check: is given every tensor's name and shape before any is allocated, and may refuse them.

    Raises:
        CheckpointError: the file is no such state dict, is damaged, or `check` said so; names the file.
        StorageError: it cannot be read.
    """
    with storage.reading(path) as (file, size):
        with _faults_of(path):
            archive = _open(file, size)
            shapes = _shapes_of(_load(file, "meta"))
        with _named(path):
            check(shapes)
        with _faults_of(path):
            tensors = _read(archive, shapes)
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise CheckpointError(
                f"{printable(str(path))}: its tensor {name!r} holds a number that is not finite, so training had "
                f"failed. Take an earlier checkpoint."
            )
    return tensors


def _read(archive: zipfile.ZipFile, shapes: Shapes) -> dict[str, Tensor]:
    """The numbers, whose members must be of the sizes that the shapes ask for."""
    sizes = [entry.file_size for entry in archive.infolist() if MEMBER.fullmatch(entry.filename)]
    if sorted(sizes) != sorted(4 * math.prod(shape) for shape in shapes.values()):
        raise CheckpointError("its tensors' shapes and the sizes of what it holds differ. Get it again.")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as anew:
        for name in archive.namelist():
            # A member's checksum is looked at by its reader, at the member's end.
            with archive.open(name) as member, anew.open(name, "w", force_zip64=True) as copy:
                shutil.copyfileobj(member, copy, DIRECTORY)
    tensors = _load(out, "cpu")
    if _shapes_of(tensors) != shapes:
        raise CheckpointError(f"it holds two things under one name. {SAVE_IT}")
    return tensors


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """The faults of a file with its name before them."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{printable(str(path))}: {error}") from None


@contextmanager
def _faults_of(path: Path) -> Iterator[None]:
    """Whatever a reader stumbles over in a stranger's file is the file's fault, and said in one line."""
    with _named(path):
        try:
            yield
        except (MoreishError, MemoryError, OSError):
            raise
        except Exception as error:
            what = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            raise CheckpointError(f"it is cut short or damaged ({short(what)}). Get it again.") from None


class _Piecewise:
    """A file of which an archive's reader gets no piece larger than a directory may be."""

    def __init__(self, file: BufferedIOBase):
        self.file, self.tell, self.seekable = file, file.tell, file.seekable

    def seek(self, position: int, whence: int = 0) -> int:
        if position < 0 and whence == 0:
            raise zipfile.BadZipFile("Its directory begins before itself")
        return self.file.seek(position, whence)

    def read(self, size: int = -1) -> bytes:
        piece = self.file.read(size if 0 <= size <= DIRECTORY else DIRECTORY + 1)
        if len(piece) > DIRECTORY:
            raise CheckpointError("its directory is larger than any state dict's. Give the file that torch.save wrote.")
        return piece


def _open(file: BufferedIOBase, size: int) -> zipfile.ZipFile:
    """The archive, whose members and pickle are such as a state dict has."""
    head = file.read(len(LEGACY))
    if head.startswith(b"\x80"):
        what = "in torch's format from before 1.6" if head == LEGACY else "a bare pickle"
        raise CheckpointError(f"it is {what}, which could run code, so nothing in it was read. Save it anew with "
                              f"torch.save(model.state_dict(), path) of torch 1.6 or later.")  # fmt: skip
    if not head.startswith(b"PK\x03\x04"):
        what = "it is empty" if not head else "it is no archive of torch.save"
        raise CheckpointError(f"{what}. {SAVE_IT}")
    most = 4 * MOST_WEIGHTS + DIRECTORY + PICKLE
    if size > most:
        raise CheckpointError(f"it is of {size:,} bytes; at most {most:,} are read. Give a smaller model.")
    archive = zipfile.ZipFile(_Piecewise(file))  # type: ignore[arg-type]
    entries = archive.infolist()
    if len(entries) > TENSORS + BESIDE or len({entry.filename for entry in entries}) < len(entries):
        raise CheckpointError(f"it holds {len(entries):,} members, or one name twice; at most {TENSORS} tensors of "
                              f"different names are read. Give a smaller model.")  # fmt: skip
    if any(entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size for entry in entries):
        raise CheckpointError(f"its members are packed, as torch.save leaves none. {SAVE_IT}")
    if sum(entry.file_size for entry in entries) > size:
        raise CheckpointError("its members lie over one another, or it is cut short. Get it again.")
    pickles = [entry for entry in entries if entry.filename.endswith("/data.pkl")]
    if len(pickles) != 1 or pickles[0].file_size > PICKLE:
        raise CheckpointError(f"it has no one data.pkl of a state dict's size. {SAVE_IT}")
    _check_pickle(archive.read(pickles[0]))
    return archive


def _check_pickle(pickled: bytes) -> None:
    """Go through a pickle's instructions, running none."""
    for count, (instruction, argument, _) in enumerate(pickletools.genops(pickled)):
        if instruction.name == "GLOBAL" and not NAMED.fullmatch(str(argument)):
            named = short(str(argument).replace(" ", "."))
            raise CheckpointError(f"it is no state dict: it names {named}, and could run code. Nothing in it was run. "
                                  f"{SAVE_IT}")  # fmt: skip
        if not HARMLESS.fullmatch(instruction.name) or count > INSTRUCTIONS:
            raise CheckpointError(f"it is no state dict: its pickle holds {instruction.name} as instruction "
                                  f"{count + 1:,}. Nothing in it was run. {SAVE_IT}")  # fmt: skip


def _load(file: BufferedIOBase, device: str) -> Any:
    file.seek(0)
    return torch.load(file, map_location=device, weights_only=True)  # type: ignore[arg-type]


def _shapes_of(loaded: Any) -> Shapes:
    """Names and shapes, where all of it is plain tensors of float32."""
    if not isinstance(loaded, dict) or not all(type(each) is Tensor for each in loaded.values()):
        raise CheckpointError(f"it holds something else than tensors by name. {SAVE_IT}")
    shapes: Shapes = {}
    for name, tensor in loaded.items():
        if not isinstance(name, str):
            raise CheckpointError(f"its tensor {short(name)} has no name. {SAVE_IT}")
        if tensor.dtype != torch.float32 or tensor.layout != torch.strided:
            raise CheckpointError(f"its tensor {short(name)} is {tensor.dtype}, not torch.float32 "
                                  f"({str(tensor.layout).removeprefix('torch.')}). Save model.float().")  # fmt: skip
        whole = tensor.is_contiguous() and not tensor.storage_offset()
        if not whole or tensor.untyped_storage().nbytes() != 4 * tensor.numel():
            raise CheckpointError(f"its tensor {short(name)} is a part of another, or numbers repeated. Save "
                                  f"contiguous tensors.")  # fmt: skip
        shapes[name] = tuple(tensor.shape)
    return shapes


def short(thing: Any) -> str:
    """Something of a stranger's, for a message: neither long nor able to command a terminal."""
    return printable(thing[:100] if isinstance(thing, str) else reprlib.repr(thing))
