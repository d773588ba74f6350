"""Checkpoints from strangers: no code is run, and nothing is allocated before the tensors are those asked for."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import pickle
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_run import RUN, expected

from moreish.errors import CheckpointError
from moreish.runs import checkpoint
from moreish.runs.checkpoint import load

SEALED = '"sha256":"' + "0" * 64 + '"'
COUNTS = '"counts":{"dtype":"I32","shape":[3,3],"data_offsets":[4,40]}'
SCALE = '"scale":{"dtype":"F32","shape":[],"data_offsets":[0,4]}'
GOOD_META = {"run": RUN, "format": 1, "step": 10, "config": {"symbols": 3}}
SETTINGS = json.dumps(GOOD_META)
TEXT = json.dumps(SETTINGS)
MIB = 1 << 20


def forged(raw: str | bytes, data: bytes = bytes(40), length: int | None = None) -> bytes:
    """A file with a header of one's own and a hash that is right."""
    raw = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw
    first = (len(raw) if length is None else length).to_bytes(8, "little") + raw
    seal = checkpoint._hash([first, data]).encode()
    return first.replace(SEALED.encode(), b'"sha256":"' + seal + b'"', 1) + data


def described(*entries: str, meta: str | dict[str, Any] = GOOD_META, metadata: str | None = None) -> str:
    text = meta if isinstance(meta, str) else json.dumps(meta)
    metadata = metadata or f'"__metadata__":{{"moreish":{json.dumps(text)},{SEALED}}}'
    return "{" + ",".join([metadata, *(entries or (COUNTS, SCALE))]) + "}"


def with_meta(**changes: Any) -> bytes:
    """Changed settings; those that are ... are left out."""
    meta = {key: value for key, value in {**GOOD_META, **changes}.items() if value is not ...}
    return forged(described(meta=meta))


def with_counts(old: str, new: str) -> bytes:
    assert old in COUNTS
    return forged(described(COUNTS.replace(old, new), SCALE))


def filling(unit: str, head: str = "", tail: str = "") -> str:
    """As much of something as a header may hold."""
    return head + unit * ((MIB - 500 - len(head) - len(tail)) // len(unit.encode())) + tail


STRANGERS: dict[str, bytes] = {
    "nothing": b"",
    "seven bytes": bytes(7),
    "a header of no bytes": forged(""),
    "a header beyond its limit": forged(" " * (MIB + 1)),
    "a header said to be of 2**63 bytes": forged(described(), length=1 << 63),
    "a header longer than the file": forged(described(), length=1000),
    "a pickle": pickle.dumps({"weights": [1.0]}),
    "not UTF-8": forged(described().encode().replace(b"counts", b"count\xff")),
    "UTF-16": forged(described().encode("utf-16")),
    "a byte-order mark": forged("\ufeff" + described()),
    **{f"the header {text}": forged(text) for text in ("null", "[]", "1", '"x"', "{}", "{", "}", "nan", "{'a':1}")},
    "a key twice": forged(described(COUNTS, COUNTS, SCALE)),
    "a key twice in the settings": forged(described(meta=SETTINGS[:-1] + ',"step":10}')),
    "a key twice in a tensor": with_counts('"shape"', '"dtype":"I32","shape"'),
    "metadata twice": forged(described(f'"__metadata__":{{"moreish":{TEXT},{SEALED}}}', COUNTS, SCALE)),
    "no metadata": forged("{" + COUNTS + "," + SCALE + "}"),
    "metadata of numbers": forged(described(metadata='"__metadata__":{"moreish":1,"sha256":2}')),
    "metadata with more": forged(described(metadata=f'"__metadata__":{{"moreish":{TEXT},{SEALED},"a":"b"}}')),
    "metadata that is a list": forged(described(metadata='"__metadata__":[]')),
    "no hash": forged(described(metadata=f'"__metadata__":{{"moreish":{TEXT}}}')),
    "a short hash": forged(described(metadata=f'"__metadata__":{{"moreish":{TEXT},"sha256":"00"}}')),
    "a hash of spaces": forged(described().replace("0" * 64, " " * 64)),
    "a hash spelt otherwise": forged(described().replace('"sha256":"0', '"sha256": "0')),
    **{f"{text[:9]} in the settings": forged(described(meta=SETTINGS[:-1] + ',"a":' + text + "}"))
       for text in ("NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, "[" * 8000 + "]" * 8000, "[" * 20_000, "{")},
    "settings that are a list": forged(described(meta="[1]")),
    "nesting": forged('{"a":' + "[" * 20_000 + "]" * 20_000 + "}"),
    "deeper nesting": forged("[" * MIB),
    **{f"shape {new[:12]}": with_counts("[3,3]", new)
       for new in ("[3,4]", "[9]", "[3,3,1]", "[-3,-3]", "[true,3]", "[3.0,3]", '["3",3]', "[null]", "3", "{}", "[NaN]",
                   "[1e9]", f"[{'9' * 4000}]", f"[{'9' * 5000}]", "[[3,3]]", "[" + "3," * 100_000 + "3]")},
    **{f"offsets {new[:12]}": with_counts("[4,40]", new)
       for new in ("[4,44]", "[4,36]", "[0,36]", "[8,44]", "[40,4]", "[-36,0]", "[4]", "[4,40,40]", "[4.0,40]", "4",
                   "[true,40]", f"[4,{'9' * 4000}]", "[4,4]", '["4",40]', "null")},
    **{f"dtype {new}": with_counts('"I32"', new) for new in ('"F32"', '"F4"', '"i32"', "1", "null", '["I32"]', '""')},
    "a hole between tensors": forged(described(COUNTS.replace("[4,40]", "[8,44]"), SCALE), bytes(44)),
    "tensors that overlap": forged(described(COUNTS.replace("[4,40]", "[0,36]"), SCALE), bytes(36)),
    "a size that is true": forged(described(
        '"counts":{"dtype":"I32","shape":[true,true],"data_offsets":[4,8]}', SCALE,
        meta={**GOOD_META, "config": {"symbols": 1}},
    ), bytes(8)),
    "a tensor that is a list": forged(described('"counts":[]', SCALE)),
    "a tensor with more": with_counts('"shape"', '"x":1,"shape"'),
    "a tensor less": forged(described(SCALE), bytes(4)),
    "a tensor more": forged(described(COUNTS, SCALE, '"x":{"dtype":"U8","shape":[0],"data_offsets":[40,40]}')),
    "a tensor of another name": with_counts("counts", "\\u001b[31mcount\\ud800"),
    "a tensor of a long name": with_counts("counts", "x" * 500_000),
    "4,097 tensors": forged(described(
        *(f'"{i}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}' for i in range(4097))
    )),
    **{f"format {value!s:.9}": with_meta(format=value)
       for value in (2, 0, True, 1.0, "1", None, ..., 10**4000, [1] * 99)},
    **{f"run {value!s:.9}": with_meta(run=value) for value in ("another", 1, None, ..., [RUN], {})},
    **{f"step {value!s:.9}": with_meta(step=value) for value in (11, True, 10.0, "10", None, ..., -10, 10**4000)},
    **{f"config {value!s:.9}": with_meta(config=value)
       for value in (None, ..., 1, [], {"symbols": 4}, {"symbols": 10**9})},
    "a larger model than the file holds": forged(described(
        '"counts":{"dtype":"I32","shape":[1000,1000],"data_offsets":[4,4000004]}', SCALE,
        meta={**GOOD_META, "config": {"symbols": 1000}},
    )),
    **{f"a megabyte of {unit}": forged(text) for unit, text in [
        ("lists", filling("[],", "[", "[]]")), ("objects", filling("{},", "[", "{}]")),
        ("floats", filling("1.5,", "[", "1]")), ("strings", filling('"ab",', "[", '"a"]')),
        ("wide strings", filling('"é\U0001f600",', "[", '"a"]')),
        ("keys", "{" + ",".join(f'"{i}":0' for i in range(32_000)) + "}"),
        ("keys in objects", filling('{"a":1},', "[", "1]")), ("one string", filling("\U0001f600", '["', '"]')),
        ("escapes", filling("\\u1234", '["', '"]')), ("strings in the settings", described(
            meta="[" + ",".join(f'"é{i}"' for i in range(90_000)) + "]")), ("spaces", filling(" ", "{", "}")),
        ("strings and keys", "[" + '"ab",' * 100_000 + '{"a":1},' * 8_000 + "0]"),
        ("lists of lists", "[" + '["ab"],' * 16_000 + '"ab",' * 114_000 + "0]"),
    ]},
}  # fmt: skip


def refusal(directory: Path, ask: Callable[[dict[str, Any]], checkpoint.Expected] = expected) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(directory, ask, run=RUN)
    return str(caught.value)


def quickest(act: Callable[[], object]) -> float:
    """Seconds of work that it takes, the least of five: other tests may keep the machine busy."""
    seconds = []
    for _ in range(5):
        begin = time.process_time()
        act()
        seconds.append(time.process_time() - begin)
    return min(seconds)


def test_a_forged_file_that_is_right_loads(tmp_path):
    (tmp_path / "checkpoint-10.safetensors").write_bytes(forged(described()))
    assert load(tmp_path, expected, run=RUN).tensors["counts"].tolist() == [[0] * 3] * 3


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_stranger_is_refused_at_once(tmp_path, stranger, monkeypatch):
    monkeypatch.delattr(torch, "empty")  # what would allocate its tensors
    for name in ("_unique", "_finite", "_sizes"):  # without the checks of types that only tests have: most of the time
        monkeypatch.setattr(checkpoint, name, inspect.unwrap(getattr(checkpoint, name)))
    (tmp_path / "checkpoint-10.safetensors").write_bytes(STRANGERS[stranger])
    assert quickest(lambda: refusal(tmp_path)) < 0.05
    said = refusal(tmp_path)
    assert len(said) < 800 and said.isprintable()
    tracemalloc.start()
    try:
        refusal(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_a_file_of_terabytes_is_refused_unread(tmp_path):
    path = tmp_path / "checkpoint-10.safetensors"
    side = 1 << 20
    huge = f'"counts":{{"dtype":"I32","shape":[{side},{side}],"data_offsets":[4,{4 * side * side + 4}]}}'
    raw = described(huge, SCALE, meta={**GOOD_META, "config": {"symbols": side}})
    for data in (forged(raw), forged(described())):
        path.write_bytes(data)
        os.truncate(path, len(data) - 40 + 4 * side * side + 4)  # sparse
        assert quickest(lambda: refusal(tmp_path)) < 0.05


@pytest.mark.parametrize("error", [KeyError, TypeError, ValueError, RecursionError, MemoryError, ZeroDivisionError])
def test_whatever_a_careless_reader_stumbles_over_is_the_files_fault(tmp_path, error):
    (tmp_path / "checkpoint-10.safetensors").write_bytes(forged(described()))

    def careless(meta: dict[str, Any]) -> checkpoint.Expected:
        raise error("config")

    assert f"its settings cannot be used: {error.__name__}" in refusal(tmp_path, careless)


def test_a_pickle_is_not_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "boom"),)

    for data in (pickle.dumps(Bomb()), forged(described(), pickle.dumps(Bomb()).ljust(40))):
        (tmp_path / "checkpoint-10.safetensors").write_bytes(data)
        with contextlib.suppress(CheckpointError):
            load(tmp_path, expected)
    assert not (tmp_path / "boom").exists()
