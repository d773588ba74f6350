"""Runs that are damaged, or a stranger's: each is refused in one line, at once, and nothing in it is run."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import shutil
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch

from moreish.errors import MoreishError, RunError
from moreish.exchange.arpa import to_arpa
from moreish.generating.sample import sample
from moreish.learning.evaluate import evaluate
from moreish.learning.fit import fit
from moreish.learning.recipe import learning_keys
from moreish.learning.score import score
from moreish.learning.tables import bigram_table
from moreish.runs import checkpoint
from moreish.runs.directory import describe, load, record_look
from moreish.runs.record import MachineSection
from moreish.runs.recording import save
from moreish.text.corpus import Corpus

chooser = random.Random(4)
LINES = ["".join(chooser.choices("abcdé", k=chooser.randint(1, 6))) for _ in range(300)]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Runs to be copied: `ngram`, `one-layer`, and `hashes` without its list."""
    where = tmp_path_factory.mktemp("made")
    corpus = Corpus.of(LINES, name="lines")
    save(fit(corpus, "ngram", order=3), where / "ngram")
    save(fit(corpus, "bigram"), where / "bigram")
    save(fit(corpus, "one-layer", steps=2), where / "one-layer")
    save(fit(corpus, "bigram"), where / "hashes", keep_list=False)
    return where


@pytest.fixture
def run(made, tmp_path) -> Path:
    shutil.copytree(made / "ngram", tmp_path / "run")
    return tmp_path / "run"


def refused(where: Path, said: str = ".") -> str:
    """What is said where a run does not load: one line fit for a terminal, within a second."""
    begin = time.process_time()
    with pytest.raises(MoreishError, match=said) as caught:
        load(where)
    assert time.process_time() - begin < 1
    text = str(caught.value)
    assert text.isprintable() and len(text) < 1000, text
    return text


# run.toml


def told(run: Path) -> dict[str, Any]:
    return tomllib.loads((run / "run.toml").read_text())


def keys_of(values: dict[str, Any], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, value in values.items():
        found.append((*above, key))
        if isinstance(value, dict):
            found += keys_of(value, (*above, key))
    return found


def changed(values: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A copy with another value at a path; ... takes the key away."""
    copy = json.loads(json.dumps(values))
    at = copy
    for key in path[:-1]:
        at = at[key]
    if value is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return copy


HARMLESS = {
    ("recipe", "why"), ("list", "name"), ("recipe", "settings", "order"), ("recipe", "settings"), ("machine",),
    *(("machine", key) for key in MachineSection.model_fields),
    *(("recipe", key) for key in learning_keys() if key not in ("steps", "lr", "weight_decay")),
}  # fmt: skip
"""Keys that may be missing, or say anything of their type."""


def test_every_key_of_the_run_file_is_checked(run, types_unchecked):
    good = told(run)
    for path in keys_of(good):
        tried = [..., [], "\x1b[31m" * 3, -1, 3, 2**60, float("nan"), float("inf"), True, {"a": 1}, 1.5, "x" * 5000]
        for value in tried:
            if changed(good, path, value) == good:
                continue
            (run / "run.toml").write_text(tomli_w.dumps(changed(good, path, value)))
            before = time.process_time()
            try:
                trained = load(run)
                score(trained, "ab")
                sample(trained, 2)
                evaluate(trained)
            except MoreishError as error:
                assert str(error).isprintable() and len(str(error)) < 1000, (path, value)
            else:
                is_free = path in HARMLESS or (path, type(value)) in {
                    (("run", "moreish"), str), (("recipe", "seed"), int), (("recipe", "split_seed"), int),
                    (("recipe", "steps"), int), (("list", "fingerprint"), str), (("list", "longest"), int),
                    (("list", "kfold"), bool), (("recipe", "lr"), float), (("recipe", "weight_decay"), float),
                    (("recipe", "lr"), int), (("recipe", "weight_decay"), int),
                }  # fmt: skip
                assert is_free, (path, value)
            assert time.process_time() - before < 2, (path, value)
        if path not in HARMLESS:
            (run / "run.toml").write_text(tomli_w.dumps(changed(good, path, ...)))
            assert path[-1] in refused(run), path
        (run / "run.toml").write_text(tomli_w.dumps(changed(good, (*path[:-1], "extra"), 1)))
        if path[:-1] != ("recipe", "settings"):
            assert "extra" in refused(run)


RUN_FILES: dict[str, bytes] = {
    "empty": b"",
    "not TOML": b"[run\n",
    "not UTF-8": b"[run]\nid = '\xff'\n",
    "a NUL": b"\0",
    "an escape": b"\x1b[2J = 1\n",
    "5,000 digits": b"a = " + b"9" * 5000,
    "deep": b"a = " + b"[" * 5000 + b"]" * 5000,
    "a key twice": b"a = 1\na = 2\n",
    "JSON": b"{}",
    "two megabytes": b"# " + b"x" * (2 << 20),
}


@pytest.mark.parametrize("name", RUN_FILES)
def test_a_run_file_that_is_none_is_refused(name, run):
    (run / "run.toml").write_bytes(RUN_FILES[name])
    assert "run.toml" in refused(run)


def test_every_flipped_bit_of_the_run_file_is_harmless(run):
    data = bytearray((run / "run.toml").read_bytes())
    for bit in chooser.sample(range(8 * len(data)), 300):
        data[bit // 8] ^= 1 << bit % 8
        (run / "run.toml").write_bytes(data)
        try:
            score(load(run), "ab")
        except MoreishError as error:
            assert str(error).isprintable()
        data[bit // 8] ^= 1 << bit % 8


def test_a_run_file_that_is_none_of_these_things_at_all(run):
    (run / "run.toml").unlink()
    (run / "run.toml").mkdir()
    refused(run, "is a directory")


@pytest.mark.parametrize(("values", "said"), [
    ({("recipe", "model"): "bigram"}, "speaks of a bigram"),
    ({("recipe", "model"): "[/red]\x1b[2J"}, "speaks of a"),
    ({("alphabet", "symbols"): 7}, "of 7"),
    ({("alphabet", "kind"): "bytes"}, "bytes"),
    ({("recipe", "settings", "order"): 99}, "order"),
    ({("recipe", "settings", "oder"): 3}, "Did you mean 'order'"),
    ({("recipe", "settings", "smoothing"): "knezer-ney"}, "smoothing"),
    ({("recipe", "method"): "gradient"}, "learn nothing"),
])  # fmt: skip
def test_a_run_file_that_does_not_fit_its_checkpoint_is_refused(values, said, run):
    good = told(run)
    for path, value in values.items():
        good = changed(good, path, value)
    (run / "run.toml").write_text(tomli_w.dumps(good))
    refused(run, said)


# The lines.


def test_lines_that_were_damaged_are_noticed(run):
    good = (run / "lines.gz").read_bytes()
    damaged = [good[:n] for n in (0, 1, 10, len(good) // 2, len(good) - 1)] + [good + b"x", b"\x1f\x8b", b"x" * 100]
    for bit in chooser.sample(range(8 * len(good)), 60):
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(flipped))
    for data in damaged:
        (run / "lines.gz").write_bytes(data)
        refused(run, r"lines\.gz is damaged: its sha256")
    (run / "lines.gz").unlink()
    refused(run, "no such file")
    (run / "lines.gz").mkdir()
    refused(run, "is a directory")


def with_lines(run: Path, text: bytes, packed: bytes | None = None, **listed: Any) -> None:
    """Other lines, with a hash that is right: a stranger's."""
    packed = gzip.compress(text) if packed is None else packed
    good = told(run)
    name = "lines.gz" if good["list"]["kept"] else "hashes.gz"
    (run / name).write_bytes(packed)
    good["list"] |= {"bytes": len(text), "sha256": hashlib.sha256(packed).hexdigest(), **listed}
    good["list"]["lines"] = sum(good["list"][part] for part in ("train", "dev", "test"))
    (run / "run.toml").write_text(tomli_w.dumps(good))


STRANGE_LINES = {
    "not gzip": ({"text": b"", "packed": b"abc"}, "incorrect header"),
    "cut short": ({"text": b"ab\n" * 300, "packed": gzip.compress(b"ab\n" * 300)[:20], "train": 300}, "does not hold"),
    "more than is said": ({"text": b"ab\n", "packed": gzip.compress(b"ab\n" * 9)}, "does not hold the 3 bytes"),
    "a bomb": ({"text": b"ab\n", "packed": gzip.compress(bytes(10**8))}, "does not hold the 3 bytes"),
    "fewer lines": ({"text": b"ab\nba\n"}, "holds 2 lines where"),
    "nothing to learn": ({"text": b"ab\nba\n", "train": 0, "dev": 2, "test": 0}, "0 of them to learn"),
    "no lines at all": ({"text": b"", "train": 0, "dev": 0, "test": 0}, "0 lines"),
    "a last line without end": ({"text": b"ab\nba\nab", "train": 2, "dev": 0, "test": 0}, "where run.toml says"),
    "an empty line": ({"text": b"ab\n\nba\n", "train": 3, "dev": 0, "test": 0}, "an empty line"),
    "an empty first line": ({"text": b"\nba\n", "train": 2, "dev": 0, "test": 0}, "an empty line"),
    "not UTF-8": ({"text": b"ab\n\xff\n", "train": 2, "dev": 0, "test": 0}, "is not UTF-8"),
    "half a pair": ({"text": b"ab\n\xed\xa0\x80\n", "train": 2, "dev": 0, "test": 0}, "is not UTF-8"),
    "terabytes said": ({"text": b"ab\n", "bytes": 2**50}, "does not hold the 1,125"),
}


@pytest.mark.parametrize("name", STRANGE_LINES)
def test_a_strangers_lines_are_checked(name, run):
    given, said = STRANGE_LINES[name]
    with_lines(run, **given)
    refused(run, said)


def test_a_strangers_lines_of_unknown_symbols_are_no_traceback(run):
    with_lines(run, "xyz\nqé\n".encode(), train=1, dev=1, test=0, longest=0)
    trained = load(run)
    for use in (evaluate, sample):
        with pytest.raises(MoreishError, match="lacks"):
            use(trained)


@pytest.mark.parametrize(("text", "listed"), [
    (b"1234567", {}), (b"", {}), (b"12345678", {}), (bytes(8 * 300), {"train": 299, "dev": 0, "test": 0}),
])  # fmt: skip
def test_a_strangers_hashes_are_checked(made, tmp_path, text, listed):
    shutil.copytree(made / "hashes", tmp_path / "run")
    with_lines(tmp_path / "run", text, **listed)
    refused(tmp_path / "run", "hashes of")


# Events.


@pytest.mark.parametrize("line", [
    '{"event": "evaluated"}', '{"event": "evaluated", "nats_per_symbol": "2", "part": "dev"}', "{}", '{"event": 1}',
    '{"event": "evaluated", "nats_per_symbol": NaN, "part": "dev"}', '{"event": null}', '{"event": []}',
    '{"event": "evaluated", "nats_per_symbol": 1e999, "part": "dev"}', '{"event": "looked"}',
    '{"event": "evaluated", "nats_per_symbol": 2.0, "part": "\\u001b[2J[/red]"}', "[" * 5000,
    '{"event": "evaluated", "nats_per_symbol": 2.0, "part": ["dev"]}', '{"event": "evaluated", "part": 1}', "nonsense",
])  # fmt: skip
def test_strange_events_are_no_traceback(line, run):
    (run / "events.jsonl").write_text(f"{line}\n" + '{"event": "finished", "step": 1}\n')
    try:
        json.dumps(describe(run), allow_nan=False)
    except MoreishError as error:
        assert "events.jsonl" in str(error) and str(error).isprintable()
    try:
        record_look(run, "test")
    except MoreishError as error:
        assert "events.jsonl" in str(error) and str(error).isprintable()


def test_an_event_of_a_later_version_is_read_as_far_as_it_is_known(run):
    values = {"event": "evaluated", "step": 1, "part": "dev", "nats_per_symbol": 2.5, "brand_new": 1}
    (run / "events.jsonl").write_text(json.dumps(values) + "\n")
    shown = describe(run)["evaluation"]
    assert shown["nats_per_symbol"] == 2.5 and shown["copy_mass"] is None and "brand_new" not in shown


# Checkpoints of strangers, whole in themselves.


def rewritten(where: Path, meta: dict[str, Any] | None = None, **tensors: Any) -> None:
    """Write the checkpoint again with other tensors and settings; those that are ... are left out."""
    step, path = checkpoint.newest(where)[0]
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    shapes = {key: (checkpoint.DTYPES[entry["dtype"]], tuple(entry["shape"])) for key, entry in header.items()
              if key != "__metadata__"}  # fmt: skip
    found = checkpoint.load(where, lambda _: shapes)
    kept = {key: value for key, value in (found.meta | (meta or {})).items() if value is not ...}
    both = {key: change(found.tensors[key]) for key, change in tensors.items() if callable(change)}
    both |= {key: tensor for key, tensor in tensors.items() if not callable(tensor)}
    left = {key: tensor for key, tensor in (found.tensors | both).items() if tensor is not ...}
    checkpoint.save(where, step, {k: v for k, v in kept.items() if k not in ("format", "step")}, left)


def symbols_of(value: Any) -> torch.Tensor:
    data = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


GOOD = ["a", "b", "c", "d", "é"]
ALPHABETS: dict[str, Any] = {
    "one too few": GOOD[:4],
    "one too many": [*GOOD, "f"],
    "a symbol twice": ["a", "b", "c", "d", "a"],
    "a number": ["a", "b", "c", "d", 1],
    "an object": {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5},
    "a string": "abcde",
    "null": None,
    "a newline": ["a", "b", "c", "d", "\n"],
    "an empty symbol": ["a", "b", "c", "d", ""],
    "two characters": ["a", "b", "c", "d", "ef"],
    "half a pair": ["a", "b", "c", "d", "\ud800"],
    "half a pair, escaped": rb'["a", "b", "c", "d", "\ud800"]',
    "not UTF-8": b'["a", "b", "c", "d", "\xff"]',
    "no JSON": b"[",
    "NaN": b"[NaN]",
    "5,000 digits": b"[" + b"9" * 5000 + b"]",
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "nothing": b" ",
}


@pytest.mark.parametrize("name", ALPHABETS)
def test_a_strangers_alphabet_is_checked(name, run):
    data = symbols_of(ALPHABETS[name])
    rewritten(run, {"alphabet_bytes": len(data)}, alphabet=data)
    refused(run, "alphabet")


@pytest.mark.parametrize(("kind", "symbols"), [
    ("bytes", ["a", "b", "c", "d", "Ā"]), ("bytes", ["a", "b", "c", "d", "\n"]), ("bytes", ["a", "b", "c", "d", "ab"]),
    ("words", ["a", "b", "c", "d", "e f"]), ("words", ["a", "b", "c", "d", "e\n"]),
    ("graphemes", ["a", "b", "c", "d", ""]), ("graphemes", ["a", "b", "c", "d", "\ud800"]), ("runes", GOOD),
])  # fmt: skip
def test_an_alphabet_holds_symbols_of_its_kind(kind, symbols, run):
    data = symbols_of(symbols)
    rewritten(run, {"alphabet_bytes": len(data), "alphabet_kind": kind}, alphabet=data)
    good = changed(told(run), ("alphabet", "kind"), kind if kind != "runes" else "words")
    (run / "run.toml").write_text(tomli_w.dumps(good))
    refused(run, "alphabet")


def chain(suffix: torch.Tensor) -> torch.Tensor:
    """Each state's suffix is the one before it: no circle, but as long a way as there are states."""
    return torch.arange(-1, len(suffix) - 1).clamp(min=0).to(suffix.dtype)


def circle(suffix: torch.Tensor) -> torch.Tensor:
    changed = suffix.clone()
    changed[2], changed[3] = 3, 2
    return changed


TABLES: dict[str, dict[str, Any]] = {
    "a circle of suffixes": {"model.suffix": circle},
    "a state that is its own suffix": {"model.suffix": lambda t: torch.arange(len(t)).to(t.dtype)},
    "a root with a suffix": {"model.suffix": lambda t: torch.cat([torch.tensor([1], dtype=t.dtype), t[1:]])},
    "a long way of suffixes": {"model.suffix": chain},
    "suffixes beyond the end": {"model.suffix": lambda t: t + 1000},
    "rows that overlap": {"model.row_starts": lambda t: t.flip(0)},
    "rows beyond the end": {"model.row_starts": lambda t: t * 3},
    "edges to nowhere": {"model.edge_next": lambda t: t - 5},
    "edges out of order": {"model.edge_symbols": lambda t: t.flip(0)},
    "symbols that are none": {"model.edge_symbols": lambda t: t + 100},
    "likelier than certain": {"model.edge_log_probs": lambda t: t + 10},
    "NaN": {"model.edge_log_probs": lambda t: torch.full_like(t, torch.nan)},
    "NaN in a weight": {"model.log_backoff": lambda t: torch.full_like(t, torch.nan)},
    "counts below nothing": {"model.edge_counts": lambda t: -t},
    "a tensor less": {"model.suffix": ...},
    "a tensor more": {"model.more": torch.zeros(1)},
    "another dtype": {"model.suffix": lambda t: t.double()},
    "another shape": {"model.suffix": lambda t: t[1:]},
}


@pytest.mark.parametrize("model", ["ngram", "bigram"])
@pytest.mark.parametrize("name", TABLES)
def test_a_strangers_tables_are_checked(name, model, made, tmp_path):
    shutil.copytree(made / model, tmp_path / "run")
    rewritten(tmp_path / "run", **TABLES[name])
    refused(tmp_path / "run")


@pytest.mark.parametrize("smoothing", ["none", "add-1", "kneser-ney"])
def test_tables_in_which_nothing_may_follow_end_in_one_line(smoothing, tmp_path):
    save(fit(Corpus.of(LINES), "ngram", order=3, smoothing=smoothing), tmp_path / "run")
    rewritten(tmp_path / "run", **{
        "model.edge_log_probs": lambda t: torch.full_like(t, -torch.inf),
        "model.log_backoff": lambda t: torch.full_like(t, -torch.inf),
    })  # fmt: skip
    trained = load(tmp_path / "run")
    assert score(trained, "ab")[0].to_dict()["nats"] is None
    for how in ({}, {"temperature": 0.5}, {"top_k": 2}, {"top_p": 0.5}):
        with pytest.raises(MoreishError, match="nothing follow"):
            sample(trained, 5, **how)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_are_refused(value, made, tmp_path):
    shutil.copytree(made / "one-layer", tmp_path / "run")
    rewritten(tmp_path / "run", **{"model.weight": lambda t: torch.where(torch.arange(t.shape[1]) == 2, value, t)})
    refused(tmp_path / "run", "no finite number")


def test_weights_however_large_are_no_traceback(made, tmp_path):
    shutil.copytree(made / "one-layer", tmp_path / "run")
    rewritten(tmp_path / "run", **{"model.weight": lambda t: t.sign() * 3e38})
    trained = load(tmp_path / "run")
    json.dumps([score(trained, LINES[0])[0].to_dict(), sample(trained, 9).to_dict()], allow_nan=False)


@pytest.mark.parametrize("meta", [
    {"model": "nosuch"}, {"model": "bigram"}, {"model": "uniform"}, {"model": "\x1b[2J"}, {"model": 1}, {"model": ...},
    {"config": {}}, {"config": []}, {"config": {"symbols": 10**12}}, {"config": {"symbols": "6"}},
    {"config": {"symbols": 6, "order": 3, "smoothing": "x", "states": 10, "edges": 60}},
    {"config": {"symbols": 6, "order": 3, "smoothing": "kneser-ney", "states": 2**31 - 1, "edges": 2**31 - 1}},
    {"config": {"symbols": True}}, {"config": {"symbols": 6.0}}, {"config": {"symbols": 6, "extra": 1}},
    {"config": {"symbols": [6]}}, {"alphabet_bytes": 0}, {"alphabet_bytes": 2**40}, {"alphabet_bytes": -1},
    {"alphabet_bytes": 5}, {"alphabet_kind": "runes"}, {"alphabet_kind": ...}, {"extra": 1}, {"config": ...},
])  # fmt: skip
def test_a_strangers_settings_are_checked(meta, run, types_unchecked):
    rewritten(run, meta)
    refused(run)


def test_a_model_whose_tables_look_right_can_be_used_in_every_way(made, tmp_path):
    """Whatever passes the checks is safe to use: tables of random numbers, drawn until a few hundred have passed."""
    shutil.copytree(made / "bigram", tmp_path / "run")
    passed = 0
    for seed in range(40):
        numbers = torch.Generator().manual_seed(seed)

        def shuffled(t: torch.Tensor, numbers=numbers) -> torch.Tensor:
            return t[torch.randperm(len(t), generator=numbers)]

        which = ["edge_next", "oldest", "edge_log_probs", "edge_counts", "log_backoff"][seed % 5]
        rewritten(tmp_path / "run", **{f"model.{which}": shuffled})
        try:
            trained = load(tmp_path / "run")
        except RunError:
            continue
        passed += 1
        for use in (lambda x: score(x, ["ab", ""]), lambda x: sample(x, 5), evaluate, bigram_table, to_arpa):
            try:
                use(trained)
            except MoreishError as error:
                assert str(error).isprintable()
    assert passed > 10
