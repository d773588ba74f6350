"""Checkpoints: what is saved comes back, and what is not whole is noticed."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from small_run import META, RUN, expected, tensors_of, whole

from moreish import storage
from moreish.errors import CheckpointError, CheckpointWarning, StorageError
from moreish.runs import checkpoint
from moreish.runs.checkpoint import load, newest, save


def file_of(step: int, tmp_path: Path) -> bytes:
    return save(tmp_path, step, META, tensors_of(step)).path.read_bytes()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with steps 10 and 20 saved."""
    directory = tmp_path / "run"
    storage.make_directory(directory)
    for step in (10, 20):
        save(directory, step, META, tensors_of(step))
        storage.append_line(directory / "events.jsonl", json.dumps({"saved": step}))
    return directory


# What is saved comes back.


ALL_DTYPES = {
    **{name: torch.arange(6).reshape(2, 3).to(dtype) for name, dtype in checkpoint.DTYPES.items()},
    "no dimension": torch.tensor(1.5),
    "empty": torch.zeros(0, 3),
    "a view": torch.arange(12.0).reshape(3, 4).T[1:],
    "a parameter": torch.nn.Parameter(torch.randn(2)),
}


def test_what_is_saved_comes_back(tmp_path):
    meta = {**META, "config": {"symbols": 'aé"\\,{[:\U0001f600\ud800'}, "nested": [{"a": [1, 2.5, None, True]}]}
    saved = save(tmp_path, 7, meta, ALL_DTYPES)
    found = load(tmp_path, lambda _: {name: (t.dtype, tuple(t.shape)) for name, t in ALL_DTYPES.items()}, RUN, 7)
    assert found.meta == {**meta, "format": 1, "step": 7} and found.step == 7 and found.path == saved.path
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in ALL_DTYPES.items())
    assert saved.sha256 == storage.sha256_file(saved.path)


def test_any_tool_opens_the_file(tmp_path):
    path = save(tmp_path, 7, META, ALL_DTYPES).path
    assert all(torch.equal(tensor, ALL_DTYPES[name]) for name, tensor in load_file(path).items())
    with safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["moreish"])["config"] == {"symbols": 3}
        assert len(file.metadata()["sha256"]) == 64


def test_a_run_without_tensors(tmp_path):
    save(tmp_path, 0, META, {})
    assert load(tmp_path, lambda _: {}).tensors == {}


def test_the_two_newest_are_kept(tmp_path):
    for step in (0, 5, 10, 15):
        save(tmp_path, step, META, tensors_of(step))
    assert newest(tmp_path) == [(s, tmp_path / f"checkpoint-{s}.safetensors") for s in (15, 10)]
    save(tmp_path, 12, META, tensors_of(12))  # resumed from 10: what came after belongs to another course of the run
    assert [step for step, _ in newest(tmp_path)] == [12, 10]
    save(tmp_path, 12, META, tensors_of(12))
    assert [step for step, _ in newest(tmp_path)] == [12, 10]
    assert whole(tmp_path) == 12 and load(tmp_path, expected, step=10).step == 10


def test_other_files_are_left_alone(tmp_path):
    others = ["checkpoint-x.safetensors", "checkpoint-01.safetensors", "checkpoint-1.safetensors.bak", "run.toml"]
    others += ["checkpoint-²2.safetensors", f"checkpoint-{'9' * 30}.safetensors"]
    for name in others:
        (tmp_path / name).write_text("x")
    for step in range(4):
        save(tmp_path, step, META, tensors_of(step))
    assert {path.name for path in tmp_path.iterdir()} == {*others, *(path.name for _, path in newest(tmp_path))}


def test_what_cannot_be_read_back_is_not_written(tmp_path):
    for meta, tensors in [
        ({**META, "words": ["a" * 100] * 12_000}, {}),
        ({**META, "words": [1] * 140_000}, {}),
        (META, {str(i): torch.zeros(1) for i in range(4097)}),
    ]:
        with pytest.raises(CheckpointError, match="header may have"):
            save(tmp_path, 1, meta, tensors)
    assert not newest(tmp_path)
    save(tmp_path, 1, META, {str(i): torch.zeros(1, 1, 1) for i in range(4096)})


def test_where_there_is_none(tmp_path, run):
    with pytest.raises(CheckpointError, match=r"holds no checkpoint of step 15\. There are: 20, 10\."):
        load(run, expected, step=15)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"holds no checkpoint\. Train"):
        load(tmp_path / "empty", expected)
    with pytest.raises(StorageError, match="no such file or directory"):
        load(tmp_path / "absent", expected)


# R5: any flipped bit, cut, extension or swapped file is noticed.


def verify(data: bytes, step: int = 10) -> None:
    checkpoint._read(io.BytesIO(data), len(data), Path("x"), step, RUN, expected)


def test_every_flipped_bit_is_noticed(tmp_path):
    data = bytearray(file_of(10, tmp_path))
    verify(bytes(data))
    for bit in range(8 * len(data)):
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CheckpointError):
            verify(bytes(data))
        data[bit // 8] ^= 1 << bit % 8


def test_every_cut_and_extension_is_noticed(tmp_path):
    data = file_of(10, tmp_path)
    changed = [data[:n] for n in range(len(data))] + [data[n:] for n in range(1, len(data))]
    changed += [data + extra for n in range(1, 65) for extra in (bytes(n), b" " * n, data[:n])] + [data + data]
    changed += [data[:n] + data[n + 1 :] for n in range(len(data))]
    changed += [data[:n] + b"\0" + data[n:] for n in range(len(data))]
    for each in changed:
        with pytest.raises(CheckpointError):
            verify(each)


def other_run(run: Path) -> None:
    (run / "checkpoint-20.safetensors").unlink()
    save(run, 20, {**META, "run": "another"}, tensors_of(20))


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "cut": (lambda run: os.truncate(run / "checkpoint-20.safetensors", 300), "cut short"),
    "empty": (lambda run: os.truncate(run / "checkpoint-20.safetensors", 0), "cut short"),
    "extended": (lambda run: (run / "checkpoint-20.safetensors").open("ab").write(b"x"), "goes on after its end"),
    "zeros": (lambda run: (run / "checkpoint-20.safetensors").write_bytes(bytes(500)), "damaged"),
    "another step's": (
        lambda run: (run / "checkpoint-20.safetensors").write_bytes((run / "checkpoint-10.safetensors").read_bytes()),
        "of step 10, not of 20",
    ),
    "another run's": (other_run, "of run 'another', not of '5f0c'"),
    "a directory": (
        lambda run: [(run / "checkpoint-20.safetensors").unlink(), (run / "checkpoint-20.safetensors").mkdir()],
        "is a directory",
    ),
    "a pipe": (
        lambda run: [(run / "checkpoint-20.safetensors").unlink(), os.mkfifo(run / "checkpoint-20.safetensors")],
        "cannot read",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_newest_falls_back_with_a_warning_naming_both(run, damage):
    DAMAGE[damage][0](run)
    with pytest.warns(CheckpointWarning) as caught:
        assert load(run, expected, run=RUN).step == 10
    (warning,) = [str(each.message) for each in caught]
    assert "checkpoint-20.safetensors" in warning and "checkpoint-10.safetensors" in warning
    assert DAMAGE[damage][1] in warning and "\n" not in warning
    with pytest.raises(CheckpointError, match="checkpoint-20"):
        load(run, expected, run=RUN, step=20)


def test_without_any_whole_one_each_fault_is_said(run):
    os.truncate(run / "checkpoint-20.safetensors", 300)
    data = bytearray((run / "checkpoint-10.safetensors").read_bytes())
    data[-1] ^= 1
    (run / "checkpoint-10.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        load(run, expected)
    for said in ("checkpoint-20.safetensors: it is cut short", "checkpoint-10.safetensors: it is damaged"):
        assert said in str(caught.value)
