"""State dicts from strangers: no code is run, nothing is read before names and shapes are right, damage is noticed."""

from __future__ import annotations

import io
import pickle
import time
import tracemalloc
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from moreish.errors import CheckpointError, StorageError, UsageError
from moreish.exchange import state_dict
from moreish.exchange.state_dict import Shapes, read_state_dict

GOOD = OrderedDict(first=torch.arange(30.0).view(6, 5), second=torch.arange(300.0, 307.0))
SHAPES: Shapes = {"first": (6, 5), "second": (7,)}
HEAD, CALL = b"\x80\x02", b"cpathlib\nPath.touch\n)R."


def anything(shapes: Shapes) -> None:
    """A caller who expects nothing."""


def written(thing: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    torch.save(thing, out, **options)
    return out.getvalue()


def forged(pickled: bytes | Callable[[bytes], bytes], *, packed: bool = False, more: int = 0) -> bytes:
    """An archive as torch.save writes it, with a pickle of one's own or a changed one."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(written(GOOD))) as old, zipfile.ZipFile(out, "w", 8 if packed else 0) as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("data.pkl"):
                data = pickled if isinstance(pickled, bytes) else pickled(data)
            new.writestr(name, data)
        for i in range(more):
            new.writestr(f"archive/{i}", b"")
    return out.getvalue()


def swapped(old: bytes, new: bytes) -> bytes:
    """With another pickle in which `old`, that stands there once, is `new`."""

    def change(pickled: bytes) -> bytes:
        assert pickled.count(old) == 1
        return pickled.replace(old, new)

    return forged(change)


def same(pickled: bytes) -> bytes:
    return pickled


def twice() -> bytes:
    out = io.BytesIO(forged(same))
    with zipfile.ZipFile(out, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(archive.namelist()[0], b"")
    return out.getvalue()


def lacking_a_member() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(forged(same))) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            if not name.endswith("data/1"):
                new.writestr(name, old.read(name))
    return out.getvalue()


def entry_of(data: bytearray, name: bytes) -> int:
    """Where a member's entry in the directory begins."""
    entry = data.index(b"PK\x01\x02")
    while not data[entry + 46 :].startswith(name):
        entry = data.index(b"PK\x01\x02", entry + 1)
    return entry


def larger_than_the_file() -> bytes:
    data = bytearray(written(GOOD))
    sizes = entry_of(data, b"archive/data/1") + 20
    data[sizes : sizes + 8] = 2 * (1 << 30).to_bytes(4, "little")
    return bytes(data)


STRANGERS: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "it is empty"),
    "text": (lambda: b"emma\nolivia\n", "it is no archive of torch.save"),
    "another archive": (lambda: forged(same).replace(b"data.pkl", b"data.xyz"), "it has no one data.pkl"),
    "the format before 1.6": (lambda: written(GOOD, _use_new_zipfile_serialization=False), "from before 1.6"),
    "a bare pickle": (lambda: pickle.dumps({"first": 1}), "a bare pickle, which could run code"),
    "a bare pickle that calls": (lambda: HEAD + CALL, "a bare pickle, which could run code"),
    "a pickle that calls": (lambda: forged(HEAD + CALL), "it names pathlib.Path.touch, and could run code"),
    "a call in a newer pickle": (lambda: forged(HEAD + b"\x8c\x02os\x8c\x06system\x93."), "holds SHORT_BINUNICODE"),
    "an instance": (lambda: forged(HEAD + b"(ios\nsystem\n."), "its pickle holds INST"),
    "an extension": (lambda: forged(HEAD + b"\x82\x01."), "its pickle holds EXT1"),
    "memory asked for": (lambda: forged(HEAD + b"cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R."), "builtins.bytearray"),
    "another kind of tensor": (lambda: swapped(b"_rebuild_tensor_v2", b"_rebuild_qtensor"), "_rebuild_qtensor"),
    "a name that commands a terminal": (lambda: forged(HEAD + b"cos\n\x1b[2J\n."), "it names os..x1b.2J"),
    "a pickle cut short": (lambda: forged(lambda pickled: pickled[:100]), "cut short or damaged"),
    "an empty pickle": (lambda: forged(b""), "cut short or damaged"),
    "an empty stack": (lambda: forged(HEAD + b"."), "cut short or damaged"),
    "numbers for tensors": (lambda: forged(HEAD + b"}(K\x01K\x02u."), "something else than tensors"),
    "16,000 tuples as a key": (lambda: forged(HEAD + b"})" + b"\x85" * 16_000 + b"Ns."), "something else than tensors"),
    "instructions without end": (lambda: forged(HEAD + b"N" * 100_000), "as instruction 16,386"),
    "a long pickle": (lambda: forged(HEAD + b"N" * 300_000), "it has no one data.pkl of a state dict's size"),
    "more numbers than there are": (lambda: swapped(b"K\x1et", b"K\x1ft"), "a part of another"),
    "a shape of more than there are": (lambda: swapped(b"K\x06K\x05\x86", b"K\x06K\x07\x86"), "a part of another"),
    "both": (lambda: swapped(b"K\x07t", b"M\x00\xfft").replace(b"K\x07\x85", b"M\x00\xff\x85"), "damaged|differ"),
    "strides": (lambda: swapped(b"K\x05K\x01\x86", b"K\x01K\x06\x86"), "a part of another"),
    "a member less": (lacking_a_member, "sizes of what it holds differ"),
    "members that lie over one another": (larger_than_the_file, "its members lie over one another"),
    "packed members": (lambda: forged(same, packed=True), "its members are packed"),
    "many members": (lambda: forged(same, more=600), "it holds 6.. members"),
    "a large directory": (lambda: forged(same, more=30_000), "its directory is larger"),
    "a name twice": (twice, "or one name twice"),
    "something before it": (lambda: b"PK\x03\x04" + forged(same), "cut short or damaged"),
    "something after it": (lambda: forged(same) + b"PK\x05\x06" + bytes(18), "it has no one data.pkl"),
    "half precision": (lambda: written({"first": torch.ones(3).half()}), "torch.float16, not torch.float32"),
    "whole numbers": (lambda: written({"first": torch.ones(3).long()}), "torch.int64, not torch.float32"),
    "a part of a tensor": (lambda: written({"first": torch.ones(4)[1:]}), "a part of another"),
    "two names of one tensor": (lambda: written(dict.fromkeys("ab", GOOD["first"])), "sizes of what it holds differ"),
    "one number repeated": (lambda: written({"first": torch.ones(1).expand(3)}), "a part of another"),
    "columns first": (lambda: written({"first": torch.ones(3, 2).t()}), "a part of another"),
    "a whole model": (lambda: written(torch.nn.Linear(2, 2)), "it names torch.nn.modules.linear.Linear, and could"),
    "a parameter": (lambda: written({"first": torch.nn.Parameter(torch.ones(2))}), "_rebuild_parameter"),
    "a number": (lambda: written({"first": 3}), "something else than tensors by name"),
    "a tensor alone": (lambda: written(torch.ones(3)), "something else than tensors by name"),
    "a list": (lambda: written([torch.ones(3)]), "its pickle holds EMPTY_LIST"),
    "tensors by number": (lambda: written({0: torch.ones(3)}), "has no name"),
    "a sparse tensor": (lambda: written({"first": torch.eye(3).to_sparse()}), "could run code"),
    "too many tensors": (lambda: written({str(i): torch.ones(1) for i in range(600)}), "it holds 6.. members"),
    "not a number": (lambda: written({"first": torch.tensor([1, float("nan")])}), "'first' holds .* not finite"),
    "infinity": (lambda: written({"first": torch.tensor([1, float("inf")])}), "'first' holds .* not finite"),
}  # fmt: skip


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "model.pt"


def test_what_was_saved_is_read(path):
    for thing in (GOOD, dict(GOOD), torch.nn.Linear(3, 4).state_dict(), {}):
        path.write_bytes(written(thing))
        found = read_state_dict(path, anything)
        assert found.keys() == thing.keys() and all(torch.equal(found[name], thing[name]) for name in found)
    path.write_bytes(forged(same))
    seen: list[Shapes] = []
    assert read_state_dict(path, seen.append).keys() == SHAPES.keys() and seen == [SHAPES]


@pytest.mark.parametrize(("make", "match"), STRANGERS.values(), ids=STRANGERS)
def test_a_strangers_file_is_refused_in_one_line(make, match, path):
    path.write_bytes(make())
    with pytest.raises(CheckpointError, match=match) as error:
        read_state_dict(path, anything)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


class Runs:
    """What, unpickled, leaves a file behind."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_code_in_a_file_is_never_run(path, tmp_path):
    mark = tmp_path / "mark"
    evil = {"first": Runs(mark)}
    torch.load(io.BytesIO(written(evil)), weights_only=False)
    assert mark.exists(), "or this test holds nothing"
    mark.unlink()
    for data in (written(evil), pickle.dumps(evil, 2), *(forged(pickle.dumps(evil, i)) for i in range(6))):
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match=r"Nothing in it was run|nothing in it was read"):
            read_state_dict(path, anything)
    assert not mark.exists()


def test_the_caller_refuses_before_a_number_is_read(path, monkeypatch):
    def check(shapes: Shapes) -> None:
        assert shapes == SHAPES
        raise CheckpointError("it is of other shapes")

    def refuse(shapes: Shapes) -> None:
        raise UsageError("heads")

    path.write_bytes(written(GOOD))
    monkeypatch.setattr(state_dict, "_read", lambda *_: pytest.fail("the numbers were read"))
    with pytest.raises(CheckpointError, match=r"model\.pt: it is of other shapes"):
        read_state_dict(path, check)
    with pytest.raises(UsageError, match=r"^heads$"):
        read_state_dict(path, refuse)


def test_a_file_cut_anywhere_is_refused(path):
    data = written(GOOD)
    for size in range(0, len(data), 3):
        path.write_bytes(data[:size])
        with pytest.raises(CheckpointError):
            read_state_dict(path, anything)


def test_a_flipped_bit_of_the_numbers_is_noticed(path):
    data = bytearray(written(GOOD))
    for tensor in GOOD.values():
        first = data.index(tensor.numpy().tobytes())
        for bit in range(0, 8 * 4 * tensor.numel(), 3):
            data[first + bit // 8] ^= 1 << bit % 8
            path.write_bytes(data)
            with pytest.raises(CheckpointError, match="Bad CRC-32"):
                read_state_dict(path, anything)
            data[first + bit // 8] ^= 1 << bit % 8


def test_a_flipped_bit_elsewhere_is_refused_or_means_nothing(path):
    data = bytearray(written(GOOD))
    first = data.index(b"PK\x01\x02")  # where the directory begins
    for bit in [*range(0, 8 * first, 83), *range(8 * first, 8 * len(data), 13)]:
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        try:
            found = read_state_dict(path, anything)
        except CheckpointError:
            continue
        finally:
            data[bit // 8] ^= 1 << bit % 8
        assert all(torch.equal(one, two) for one, two in zip(found.values(), GOOD.values(), strict=True)), bit


def test_a_member_marked_as_a_directory_holds_what_it_holds(path):
    """Torch alone would give whatever stands in memory."""
    data = bytearray(written(GOOD))
    data[entry_of(data, b"archive/data/1") + 38] |= 0x10
    path.write_bytes(data)
    assert torch.equal(read_state_dict(path, anything)["second"], GOOD["second"])


COSTLY = ("a large directory", "instructions without end", "a pickle that calls", "many members")


@pytest.mark.parametrize("name", COSTLY)
def test_refusing_takes_little(name, path):
    path.write_bytes(STRANGERS[name][0]())
    took = []
    for _ in range(5):
        began = time.perf_counter()
        with pytest.raises(CheckpointError):
            read_state_dict(path, anything)
        took.append(time.perf_counter() - began)
    tracemalloc.start()
    with pytest.raises(CheckpointError):
        read_state_dict(path, anything)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert min(took) < 0.05 and peak < 20e6


def test_what_cannot_be_read_is_said(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere.pt"):
        with pytest.raises(StorageError, match="cannot read"):
            read_state_dict(path, anything)
