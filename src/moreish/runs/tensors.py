"""A model and its alphabet as the tensors of a checkpoint, which may be a stranger's."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import torch

from moreish.errors import CheckpointError, ConfigError, MoreishError
from moreish.learning.recipe import Trained
from moreish.learning.training import Progress, Training, expected_training
from moreish.models.catalog import find_model
from moreish.models.model import LanguageModel, config_from_dict, config_to_dict
from moreish.runs import checkpoint
from moreish.runs.checkpoint import Saved
from moreish.runs.record import CheckpointMeta, TrainingMeta
from moreish.text.alphabet import Alphabet, printable

MOST_ALPHABET_BYTES = 1 << 28


def save_model(where: Path, run: str, step: int, trained: Trained, training: Training | None = None, *,
               finished: bool = True) -> Saved:  # fmt: skip
    """Write a checkpoint of a model and its alphabet.

    Args:
        training: of a network: its last weights are the checkpoint's `model.`, and what else the run uses (`average.`,
            `best.`) stands beside them.
        finished: whether the training is over; else what it takes to go on is kept too (`optimizer.`).

    Raises:
        StorageError: the disk refused. The last good checkpoint is kept.
    """
    symbols = json.dumps(trained.alphabet.symbols, ensure_ascii=False).encode()
    told = None
    if training is None:
        tensors = {f"model.{name}": t for name, t in trained.model.state_dict().items()}
    else:
        tensors = training.tensors()
        if finished:
            tensors = {name: t for name, t in tensors.items() if not name.startswith("optimizer.")}
        told = _told(training, finished)
    meta = CheckpointMeta(
        format=1, run=run, model=trained.recipe.model, config=config_to_dict(trained.model.config),
        alphabet_kind=trained.alphabet.kind, alphabet_bytes=len(symbols), training=told,
    )  # fmt: skip
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    tensors["alphabet"] = torch.frombuffer(bytearray(symbols), dtype=torch.uint8)
    return checkpoint.save(where, step, meta.model_dump(exclude={"step"}, exclude_none=told is None), tensors)


def _told(training: Training, finished: bool) -> TrainingMeta:
    recipe, progress = training.recipe, training.progress
    return TrainingMeta(
        optimizer="" if finished else recipe.optimizer,  # type: ignore[arg-type]
        momentum=recipe.momentum,
        average=bool(training.average),
        best=bool(training.best),
        use=recipe.use,  # type: ignore[arg-type]
        best_step=progress.best_step,
        best_nats=progress.best_nats if math.isfinite(progress.best_nats) else None,
        without_better=progress.without_better,
    )


def expected(values: dict[str, Any]) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """The tensors a checkpoint of this description must hold, found without allocating any."""
    meta = CheckpointMeta.parse(values)
    if not 0 < meta.alphabet_bytes <= MOST_ALPHABET_BYTES:
        raise CheckpointError(f"its alphabet of {meta.alphabet_bytes:,} bytes is beyond the limit of 256 MiB")
    entry = find_model(meta.model)
    with torch.device("meta"):
        model = entry.build(config_from_dict(entry.config, meta.config))
    tensors = {f"model.{name}": (t.dtype, tuple(t.shape)) for name, t in model.state_dict().items()}
    if (told := meta.training) is not None:
        tensors |= expected_training(
            model, optimizer=told.optimizer, momentum=told.momentum, average=told.average, best=told.best,
            begun=bool(meta.step),
        )  # fmt: skip
    return {**tensors, "alphabet": (torch.uint8, (meta.alphabet_bytes,))}


def read_model(stored: checkpoint.Checkpoint) -> tuple[LanguageModel[Any], Alphabet]:
    """A checkpoint's model, with the weights that the run uses, and its alphabet.

    Refused where using them could run for ever or off the ends of a table.
    """
    meta = CheckpointMeta.model_validate(stored.meta)
    alphabet = _alphabet(stored.tensors["alphabet"], meta)
    entry = find_model(meta.model)
    model = entry.build(config_from_dict(entry.config, meta.config), seed=0)
    tensors = _part(stored, _used(meta.training))
    model.load_state_dict(tensors)
    try:
        check = getattr(model, "check_tables", None)
        if check is not None:
            check()
    except ConfigError as error:
        raise CheckpointError(f"{printable(str(stored.path))}: {error}") from None
    if not all(bool(weights.isfinite().all()) for weights in model.parameters()):
        raise CheckpointError(f"{printable(str(stored.path))}: a weight is no finite number. Train again.")
    return model, alphabet


def read_training(stored: checkpoint.Checkpoint) -> tuple[Progress, dict[str, torch.Tensor]] | None:
    """How far a training had come and what it takes to go on; None where it had ended."""
    told = CheckpointMeta.model_validate(stored.meta).training
    if told is None or not told.optimizer:
        return None
    nats = math.inf if told.best_nats is None else told.best_nats
    tensors = {name: t for name, t in stored.tensors.items() if name != "alphabet"}
    return Progress(stored.step, told.best_step, nats, told.without_better), tensors


def weights_sha256(stored: checkpoint.Checkpoint) -> str:
    """The hash of the last step's state dict, names sorted: each tensor's name, dtype, shape and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(_part(stored, "model").items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _used(told: TrainingMeta | None) -> str:
    if told is None:
        return "model"
    if told.use == "best" and told.best:
        return "best"
    return "average" if told.average and told.use != "last" else "model"


def _part(stored: checkpoint.Checkpoint, part: str) -> dict[str, torch.Tensor]:
    prefix = f"{part}."
    return {name.removeprefix(prefix): t for name, t in stored.tensors.items() if name.startswith(prefix)}


def _alphabet(stored: torch.Tensor, meta: CheckpointMeta) -> Alphabet:
    try:
        symbols = json.loads(stored.numpy().tobytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"the checkpoint's alphabet cannot be read: {str(error)[:100]}. Train again.") from None
    if not isinstance(symbols, list) or not all(_is_symbol(each, meta.alphabet_kind) for each in symbols):
        raise CheckpointError(f"the checkpoint's alphabet is not a list of {meta.alphabet_kind}. Train again.")
    if len(symbols) + 1 != meta.config.get("symbols"):
        raise CheckpointError(
            f"the checkpoint's alphabet has {len(symbols)} symbols, not those of its model. Train again."
        )
    try:
        return Alphabet(meta.alphabet_kind, tuple(symbols))  # type: ignore[arg-type]
    except MoreishError as error:
        raise CheckpointError(f"the checkpoint's alphabet cannot be used: {error}") from None


def _is_symbol(text: Any, kind: str) -> bool:
    """Whether lines can be made of this."""
    if not isinstance(text, str) or "\n" in text or any("\ud800" <= c <= "\udfff" for c in text):
        return False
    if kind in ("words", "graphemes"):
        return " " not in text if kind == "words" else text != ""
    return len(text) == 1 and (kind == "characters" or ord(text) < 256)
