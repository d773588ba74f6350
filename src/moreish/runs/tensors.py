"""A model and its alphabet as the tensors of a checkpoint, which may be a stranger's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from moreish.errors import CheckpointError, ConfigError, MoreishError
from moreish.learning.recipe import Trained
from moreish.models.catalog import find_model
from moreish.models.model import LanguageModel, config_from_dict, config_to_dict
from moreish.models.ngram import NGram
from moreish.runs import checkpoint
from moreish.runs.checkpoint import Saved
from moreish.runs.record import CheckpointMeta
from moreish.text.alphabet import Alphabet, printable

MOST_ALPHABET_BYTES = 1 << 28


def save_model(where: Path, run: str, step: int, trained: Trained) -> Saved:
    """Write a checkpoint of a model and its alphabet.

    Raises:
        StorageError: the disk refused. The last good checkpoint is kept.
    """
    symbols = json.dumps(trained.alphabet.symbols, ensure_ascii=False).encode()
    meta = CheckpointMeta(
        format=1, run=run, model=trained.recipe.model, config=config_to_dict(trained.model.config),
        alphabet_kind=trained.alphabet.kind, alphabet_bytes=len(symbols),
    )  # fmt: skip
    tensors = {f"model.{name}": t.detach().cpu().contiguous() for name, t in trained.model.state_dict().items()}
    tensors["alphabet"] = torch.frombuffer(bytearray(symbols), dtype=torch.uint8)
    return checkpoint.save(where, step, meta.model_dump(exclude={"step"}), tensors)


def expected(values: dict[str, Any]) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """The tensors a checkpoint of this description must hold, found without allocating any."""
    meta = CheckpointMeta.parse(values)
    if not 0 < meta.alphabet_bytes <= MOST_ALPHABET_BYTES:
        raise CheckpointError(f"its alphabet of {meta.alphabet_bytes:,} bytes is beyond the limit of 256 MiB")
    entry = find_model(meta.model)
    with torch.device("meta"):
        model = entry.build(config_from_dict(entry.config, meta.config))
    tensors = {f"model.{name}": (t.dtype, tuple(t.shape)) for name, t in model.state_dict().items()}
    return {**tensors, "alphabet": (torch.uint8, (meta.alphabet_bytes,))}


def read_model(stored: checkpoint.Checkpoint) -> tuple[LanguageModel[Any], Alphabet]:
    """A checkpoint's model and alphabet, refused where using them could run for ever or off the ends of a table."""
    meta = CheckpointMeta.model_validate(stored.meta)
    alphabet = _alphabet(stored.tensors["alphabet"], meta)
    entry = find_model(meta.model)
    model = entry.build(config_from_dict(entry.config, meta.config), seed=0)
    tensors = {name.removeprefix("model."): t for name, t in stored.tensors.items() if name.startswith("model.")}
    model.load_state_dict(tensors)
    try:
        if isinstance(model, NGram):
            model.check_tables()
    except ConfigError as error:
        raise CheckpointError(f"{printable(str(stored.path))}: {error}") from None
    if not all(bool(weights.isfinite().all()) for weights in model.parameters()):
        raise CheckpointError(f"{printable(str(stored.path))}: a weight is no finite number. Train again.")
    return model, alphabet


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
