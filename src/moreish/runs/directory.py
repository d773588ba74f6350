"""A run directory: self-describing, and enough by itself.

run.toml                       what was asked, of which list, split how (text, to be read)
checkpoint-<step>.safetensors  the model and its alphabet; each one whole file, the two newest kept
lines.gz                       the run's lines with their split: train, then dev, then test
hashes.gz                      instead of lines.gz where the list was not to be kept
events.jsonl                   what happened, one JSON object a line, looks at the test part among them
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from moreish.errors import CheckpointError, ConfigError, RunError, RunExists
from moreish.learning.fit import Evaluated, Event, Finished, Step
from moreish.learning.recipe import Recipe, Trained
from moreish.models.catalog import find_model
from moreish.models.model import config_from_dict, config_to_dict, place
from moreish.models.ngram import NGram
from moreish.runs import checkpoint
from moreish.runs.checkpoint import Saved
from moreish.runs.record import CheckpointMeta, ListRecord, RunRecord, parse_run
from moreish.storage import append_line, lock, make_directory, read_file, read_journal, remove_file, write_file
from moreish.text.alphabet import Alphabet
from moreish.text.corpus import Corpus
from moreish.text.hashing import line_hashes
from moreish.text.lines import Lines

RUN_FILE, LINES_FILE, HASHES_FILE, EVENTS_FILE = "run.toml", "lines.gz", "hashes.gz", "events.jsonl"
OURS = re.compile(r"(run\.toml|lines\.gz|hashes\.gz|events\.jsonl|checkpoint-\d+\.safetensors)")
RUNS = Path("runs")
MOST_ALPHABET_BYTES = 1 << 28
MOST_RUN_FILE_BYTES = 1 << 20


def free_directory(list_name: str, model: str, under: Path = RUNS) -> Path:
    """`runs/<list>-<model>-N`, N the first that is free."""
    stem = re.sub(r"[^\w.-]+", "-", Path(list_name).stem).strip("-.") or "list"
    n = 1
    while (under / f"{stem}-{model}-{n}").exists():
        n += 1
    return under / f"{stem}-{model}-{n}"


def check_free(directory: Path, overwrite: bool) -> None:
    """Refuse a directory that holds something.

    Raises:
        RunExists: it holds a run and `overwrite` is off.
        RunError: it is no directory, or holds something that is not a run.
    """
    if not directory.exists() and not directory.is_symlink():
        return
    if not directory.is_dir():
        raise RunError(f"{directory} is a file, not a directory for a run. Give another --run.")
    held = [entry.name for entry in directory.iterdir()]
    if RUN_FILE in held and not overwrite:
        raise RunExists(f"{directory} holds a run already. Give another --run, or --overwrite to replace it.")
    if held and RUN_FILE not in held and any(not name.startswith(".") for name in held):
        raise RunError(f"{directory} is not empty and holds no run, so nothing is written there. Give another --run.")


def record(
    events: Iterable[Event], corpus: Corpus, recipe: Recipe, directory: str | Path, *, keep_list: bool = True,
    overwrite: bool = False,
) -> Iterator[Event | Saved]:  # fmt: skip
    """Write a training down as it goes, and hand its events on, with a Saved after each checkpoint.

    Nothing is touched before the first event has come: a recipe that fails at once harms no older run.

    Raises:
        RunExists, RunLocked, RunError, StorageError
    """
    where = Path(directory)
    check_free(where, overwrite)
    coming = iter(events)
    first = next(coming)
    make_directory(where)
    with ExitStack() as held:
        held.enter_context(lock(where))
        check_free(where, overwrite)
        _clear(where)
        run = _describe(corpus, recipe, keep_list)
        listed = _write_lines(where, corpus, keep_list)
        write_file(where / RUN_FILE, run.to_toml(listed).encode())
        for event in _chain(first, coming):
            append_line(where / EVENTS_FILE, json.dumps(_as_json(event), allow_nan=False))
            if isinstance(event, Finished):
                saved = _save_checkpoint(where, run.id, event)
                append_line(
                    where / EVENTS_FILE, json.dumps({"event": "saved", "step": saved.step, "sha256": saved.sha256})
                )
                yield saved
                event = Finished(event.step, event.trained.with_run(str(where)))
            yield event


def save(trained: Trained, directory: str | Path, *, keep_list: bool = True, overwrite: bool = False) -> Trained:
    """Save a trained model as a run directory.

    Raises:
        RunExists: there is one already and `overwrite` is off.
        RunLocked: another process writes to it.
        StorageError: the disk refused; nothing that stood before is lost.
    """
    events = [Finished(trained.recipe.steps, trained)]
    for event in record(events, trained.corpus, trained.recipe, directory, keep_list=keep_list, overwrite=overwrite):
        if isinstance(event, Finished):
            return event.trained
    raise AssertionError("a recording ended without its last event")


def load(directory: str | Path, device: str = "cpu") -> Trained:
    """What a run directory holds, ready to use.

    A damaged newest checkpoint is passed over for the one before it, with a CheckpointWarning.

    Raises:
        RunError: there is no such directory, it is no run, or its lines are damaged.
        CheckpointError: no checkpoint in it is whole and its own.
    """
    where = Path(directory)
    run = read_run(where)
    stored = checkpoint.load(where, _expected, run=run.run.id)
    meta = CheckpointMeta.model_validate(stored.meta)
    alphabet = _alphabet(stored.tensors["alphabet"], meta)
    config = config_from_dict(find_model(meta.model).config, meta.config)
    model = find_model(meta.model).build(config, seed=0)
    tensors = {name.removeprefix("model."): t for name, t in stored.tensors.items() if name.startswith("model.")}
    model.load_state_dict(tensors)
    if isinstance(model, NGram):
        try:
            model.check_tables()
        except ConfigError as error:
            raise CheckpointError(f"{stored.path}: {error}") from None
    recipe = Recipe(**run.recipe.model_dump())
    train, dev, test, hashes = _read_lines(where, run.list)
    corpus = Corpus(
        name=run.list.name, train=train, dev=dev, test=test, alphabet=alphabet, fingerprint=run.list.fingerprint,
        split=recipe.split, split_seed=recipe.split_seed, kfold=run.list.kfold,  # type: ignore[arg-type]
    )  # fmt: skip
    return Trained(place(model, device), alphabet, corpus, recipe, str(where), hashes, run.list.longest)


def read_run(directory: str | Path) -> RunRecord:
    """What run.toml says.

    Raises:
        RunError: there is no such directory, or no run in it, or its run.toml is damaged.
    """
    where = Path(directory)
    if not where.exists():
        near = sorted(str(path.parent) for path in where.parent.glob(f"*/{RUN_FILE}")) if where.parent.exists() else []
        hint = f"There are: {', '.join(near[:6])}." if near else "Make one with moreish train LIST --run DIR."
        raise RunError(f"there is no run directory {where}. {hint}")
    if not (where / RUN_FILE).is_file():
        raise RunError(
            f"{where} is not a run directory: it holds no {RUN_FILE}. Make one with moreish train LIST --run DIR."
        )
    return parse_run(read_file(where / RUN_FILE, limit=MOST_RUN_FILE_BYTES), str(where / RUN_FILE))


def read_events(directory: str | Path) -> list[dict[str, Any]]:
    """The events of a run, oldest first; none where nothing was written down."""
    path = Path(directory) / EVENTS_FILE
    return read_journal(path)[0] if path.exists() else []


def count_looks(directory: str | Path) -> int:
    """How often the test part of this run has been looked at."""
    return sum(event.get("event") == "looked" and event.get("part") == "test" for event in read_events(directory))


def record_look(directory: str | Path, part: str) -> int:
    """Write down that a part was looked at; returns how often the test part has been, this time included."""
    with lock(Path(directory)):
        append_line(Path(directory) / EVENTS_FILE, json.dumps({"event": "looked", "part": part}))
    return count_looks(directory)


def describe(directory: str | Path) -> dict[str, Any]:
    """What a run is and what has happened in it, as plain values.

    Raises:
        RunError: it is no run.
    """
    run, trained, events = read_run(directory), load(directory), read_events(directory)
    evaluated = [event for event in events if event["event"] == "evaluated"]
    steps = [path.name for _, path in checkpoint.newest(Path(directory))]
    return {
        "run": str(directory),
        "id": run.id,
        "moreish": run.run.moreish,
        "recipe": trained.recipe.to_dict(),
        "config": config_to_dict(trained.model.config),
        "parameters": trained.parameters,
        "list": run.list.model_dump(),
        "leaks": trained.corpus.leaks,
        "note": trained.corpus.note,
        "alphabet": {"kind": trained.alphabet.kind, "symbols": list(trained.alphabet.symbols)},
        "step": checkpoint.newest(Path(directory))[0][0],
        "checkpoints": steps,
        "evaluation": {k: v for k, v in evaluated[-1].items() if k != "event"} if evaluated else None,
        "test_looks": count_looks(directory),
    }


def remove(directory: Path) -> None:
    """Remove a run's own files, and its directory if nothing else is in it.

    Raises:
        RunLocked: another process writes to it.
    """
    with lock(directory):
        _clear(directory)
    for entry in directory.iterdir():
        if entry.name.startswith(".lock"):
            remove_file(entry)
    if not any(directory.iterdir()):
        directory.rmdir()


def _chain(first: Event, rest: Iterator[Event]) -> Iterator[Event]:
    yield first
    yield from rest


def _clear(where: Path) -> None:
    for entry in where.iterdir():
        if OURS.fullmatch(entry.name):
            remove_file(entry)


def _describe(corpus: Corpus, recipe: Recipe, keep_list: bool) -> RunRecord:
    unique = len(corpus.train) + len(corpus.dev) + len(corpus.test)
    return RunRecord.new(
        id=secrets.token_hex(8),
        version=version("moreish"),
        recipe=recipe,
        listed=ListRecord(
            name=corpus.name,
            lines=unique,
            train=len(corpus.train),
            dev=len(corpus.dev),
            test=len(corpus.test),
            kfold=corpus.kfold,
            fingerprint=corpus.fingerprint,
            longest=corpus.longest,
            kept=keep_list,
            bytes=0,
            sha256="",
        ),
        alphabet=corpus.alphabet,
    )


def _write_lines(where: Path, corpus: Corpus, keep_list: bool) -> dict[str, Any]:
    """Write the lines or their hashes, compressed; returns what run.toml must say of the file."""
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


def _read_lines(where: Path, listed: ListRecord) -> tuple[Lines, Lines, Lines, np.ndarray | None]:
    path = where / (LINES_FILE if listed.kept else HASHES_FILE)
    packed = read_file(path)
    if hashlib.sha256(packed).hexdigest() != listed.sha256:
        raise RunError(f"{path} is damaged: its sha256 is not the one in {RUN_FILE}. Train again, or restore the file.")
    try:
        unpack = zlib.decompressobj(wbits=31)
        text = unpack.decompress(packed, listed.bytes + 1)
    except zlib.error as error:
        raise RunError(f"{path} is damaged: {error}. Train again, or restore the file.") from None
    if len(text) != listed.bytes:
        raise RunError(f"{path} does not hold the {listed.bytes:,} bytes that {RUN_FILE} says. Train again.")
    nothing = Lines(np.zeros(0, np.uint8))
    if not listed.kept:
        return nothing, nothing, nothing, np.frombuffer(text, dtype="<u8").astype(np.uint64)
    whole = Lines(np.frombuffer(text, dtype=np.uint8))
    ends = np.cumsum([listed.train, listed.dev, listed.test])
    if len(whole) != ends[-1]:
        raise RunError(f"{path} holds {len(whole):,} lines where {RUN_FILE} says {ends[-1]:,}. Train again.")
    cuts = whole.starts[ends]
    train, dev, test = (Lines(whole.data[a:b]) for a, b in zip([0, *cuts[:-1]], cuts))
    return train, dev, test, None


def _save_checkpoint(where: Path, run: str, event: Finished) -> Saved:
    trained = event.trained
    symbols = json.dumps(trained.alphabet.symbols, ensure_ascii=False).encode("utf-8", "surrogatepass")
    meta = CheckpointMeta(
        format=1, run=run, model=trained.recipe.model, config=config_to_dict(trained.model.config),
        alphabet_kind=trained.alphabet.kind, alphabet_bytes=len(symbols),
    )  # fmt: skip
    tensors = {f"model.{name}": t.detach().cpu().contiguous() for name, t in trained.model.state_dict().items()}
    tensors["alphabet"] = torch.frombuffer(bytearray(symbols), dtype=torch.uint8)
    return checkpoint.save(where, event.step, meta.model_dump(exclude={"step"}), tensors)


def _expected(values: dict[str, Any]) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """The tensors a checkpoint of this description must hold, found without allocating any."""
    meta = CheckpointMeta.parse(values)
    if not 0 < meta.alphabet_bytes <= MOST_ALPHABET_BYTES:
        raise CheckpointError(f"its alphabet of {meta.alphabet_bytes:,} bytes is beyond the limit of 256 MiB")
    entry = find_model(meta.model)
    with torch.device("meta"):
        model = entry.build(config_from_dict(entry.config, meta.config))
    tensors = {f"model.{name}": (t.dtype, tuple(t.shape)) for name, t in model.state_dict().items()}
    return {**tensors, "alphabet": (torch.uint8, (meta.alphabet_bytes,))}


def _alphabet(stored: torch.Tensor, meta: CheckpointMeta) -> Alphabet:
    try:
        symbols = json.loads(stored.numpy().tobytes().decode("utf-8", "surrogatepass"))
    except ValueError as error:
        raise CheckpointError(f"the checkpoint's alphabet cannot be read: {error}. Train again.") from None
    if not isinstance(symbols, list) or not all(isinstance(s, str) for s in symbols):
        raise CheckpointError("the checkpoint's alphabet is not a list of symbols. Train again.")
    if len(symbols) + 1 != meta.config.get("symbols"):
        raise CheckpointError(
            f"the checkpoint's alphabet has {len(symbols)} symbols, not those of its model. Train again."
        )
    return Alphabet(meta.alphabet_kind, tuple(symbols))  # type: ignore[arg-type]


def _as_json(event: Event) -> dict[str, Any]:
    if isinstance(event, Step):
        return {"event": "step", "step": event.step, "loss": event.loss}
    if isinstance(event, Evaluated):
        return {"event": "evaluated", "step": event.step, **event.evaluation.to_dict()}
    return {"event": "finished", "step": event.step}
