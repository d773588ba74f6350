"""The models of makemore.py as ours: known by their tensors' names and shapes, and turned into our weights.

Source: Karpathy, makemore.py, classes Bigram, MLP, RNN, BoW and Transformer. Where they and ours differ, a switch of
ours makes them the same: the MLP's blank, the recurrent nets' learnt first state, the GRU's reset before the product.
Our MLP reads the oldest symbol first and its the newest; its GRU's gate z lets the new state in where ours keeps the
old one: there the weights are turned round.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from moreish.errors import CheckpointError, UsageError
from moreish.exchange.state_dict import Shapes, short
from moreish.models.catalog import find_model
from moreish.models.model import LanguageModel

HEADS = 4
"""What makemore.py takes unless told otherwise."""

Sizes = dict[str, int]
"""V symbols, D numbers for a symbol, H hidden units, T places, C symbols of context; L layers."""
Weights = dict[str, Tensor]


def _linear(name: str, outputs: str, inputs: str) -> dict[str, str]:
    return {f"{name}.weight": f"{outputs} {inputs}", f"{name}.bias": outputs}


def _gates(*names: str) -> dict[str, str]:
    """A recurrent net's tensors: each gate is linear in the embedding and the state, side by side."""
    gates = {key: axes for name in names for key, axes in _linear(f"cell.xh_to_{name}", "H", "D+H").items()}
    return {"wte.weight": "V D", "start": "1 H", **gates, **_linear("lm_head", "V", "H")}


def _norm(name: str) -> dict[str, str]:
    return {f"{name}.weight": "D", f"{name}.bias": "D"}


BLOCK = {
    **_norm("ln_1"), **_linear("attn.c_attn", "3D", "D"), "attn.bias": "1 1 T T", **_linear("attn.c_proj", "D", "D"),
    **_norm("ln_2"), **_linear("mlp.c_fc", "4D", "D"), **_linear("mlp.c_proj", "D", "4D"),
}  # fmt: skip
BLOCKS = "transformer.h."
BLOCK_NAME = re.compile(r"transformer\.h\.(0|[1-9][0-9]{0,3})\.", re.ASCII)
PARTS = {"attn.c_attn": "qkv", "attn.c_proj": "merge", "mlp.c_fc": "up", "mlp.c_proj": "down"}
"""Of a block, what is linear, with our names."""

SHAPES: dict[str, dict[str, str]] = {
    "bigram": {"logits": "V V"},
    "mlp": {**_linear("mlp.2", "V", "H"), "wte.weight": "V+1 D", **_linear("mlp.0", "H", "CD")},
    "rnn": _gates("h"),
    "gru": _gates("z", "r", "hbar"),
    "bow": {
        "wte.weight": "V D", "wpe.weight": "T D", "context_block.cbow.bias": "1 T T",
        **_linear("context_block.mlp.c_fc", "H", "D"), **_linear("context_block.mlp.c_proj", "D", "H"),
        **_linear("lm_head", "V", "D"),
    },
    "transformer": {
        "transformer.wte.weight": "V D", "transformer.wpe.weight": "T D", **_norm("transformer.ln_f"),
        "lm_head.weight": "V D",
    },
}  # fmt: skip
"""The tensors of each type, and their sizes: `CD` is C times D. A transformer has those of `BLOCK` for each layer."""


def _one_layer(t: Weights, sizes: Sizes) -> Weights:
    return {"weight": t["logits"]}


def _mlp(t: Weights, sizes: Sizes) -> Weights:
    newest_first = t["mlp.0.weight"].unflatten(1, (sizes["C"], sizes["D"]))
    return {
        "embedding.weight": t["wte.weight"],
        "hidden.0.weight": newest_first.flip(1).flatten(1),
        "hidden.0.bias": t["mlp.0.bias"],
        **_renamed(t, "mlp.2", "output"),
    }


def _recurrent(t: Weights, gates: dict[str, int], sizes: Sizes) -> Weights:
    """`gates`: their names in our order, each with the sign that its weights take."""
    weight = torch.cat([sign * t[f"cell.xh_to_{gate}.weight"] for gate, sign in gates.items()])
    return {
        "start": t["start"],
        "embedding.weight": t["wte.weight"],
        "layers.0.input": weight[:, : sizes["D"]],
        "layers.0.hidden": weight[:, sizes["D"] :],
        "layers.0.bias": torch.cat([sign * t[f"cell.xh_to_{gate}.bias"] for gate, sign in gates.items()]),
        **_renamed(t, "lm_head", "output"),
    }


def _rnn(t: Weights, sizes: Sizes) -> Weights:
    return _recurrent(t, {"h": 1}, sizes)


def _gru(t: Weights, sizes: Sizes) -> Weights:
    return _recurrent(t, {"r": 1, "z": -1, "hbar": 1}, sizes)  # sigmoid(-x) = 1 - sigmoid(x)


def _bag_of_words(t: Weights, sizes: Sizes) -> Weights:
    return {
        "embedding.weight": t["wte.weight"],
        "positions.weight": t["wpe.weight"],
        **_renamed(t, "context_block.mlp.c_fc", "up"),
        **_renamed(t, "context_block.mlp.c_proj", "down"),
        **_renamed(t, "lm_head", "output"),
    }


def _transformer(t: Weights, sizes: Sizes) -> Weights:
    ours = {
        "embedding.weight": t["transformer.wte.weight"],
        "positions.weight": t["transformer.wpe.weight"],
        **_renamed(t, "transformer.ln_f", "norm", "gain"),
        "output.weight": t["lm_head.weight"],
    }
    for layer in range(sizes["L"]):
        theirs, block = f"{BLOCKS}{layer}", f"blocks.{layer}"
        for i in (1, 2):
            ours |= _renamed(t, f"{theirs}.ln_{i}", f"{block}.norm_{i}", "gain")
        for part, name in PARTS.items():
            ours |= _renamed(t, f"{theirs}.{part}", f"{block}.{name}")
    return ours


def _renamed(t: Weights, name: str, ours: str, weight: str = "weight") -> Weights:
    return {f"{ours}.{weight}": t[f"{name}.weight"], f"{ours}.bias": t[f"{name}.bias"]}


@dataclass(frozen=True)
class _Ours:
    """Our model that is one of theirs: its settings, those that are sizes by their letters, and its weights."""

    model: str
    weights: Callable[[Weights, Sizes], Weights]
    settings: dict[str, Any]


RECURRENT_SETTINGS = {"embedding": "D", "hidden": "H", "layers": 1, "dropout": 0.0, "learnt_start": True}
OURS = {
    "bigram": _Ours("one-layer", _one_layer, {}),
    "mlp": _Ours(
        "mlp", _mlp,
        {"context": "C", "embedding": "D", "hidden": "H", "layers": 1, "direct": False, "dropout": 0.0, "blank": True},
    ),
    "rnn": _Ours("rnn", _rnn, RECURRENT_SETTINGS),
    "gru": _Ours("gru", _gru, {**RECURRENT_SETTINGS, "reset": "before"}),
    "bow": _Ours("bow", _bag_of_words, {"context": "T", "embedding": "D", "hidden": "H", "dropout": 0.0}),
    "transformer": _Ours(
        "transformer", _transformer,
        {"context": "T", "width": "D", "layers": "L", "dropout": 0.0, "norm": "layer", "positions": "learnt",
         "feedforward": "gelu", "tie": False},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Found:
    """What a file's names and shapes say: which of makemore's types it is, its sizes, and the settings of ours."""

    kind: str
    sizes: Sizes
    settings: dict[str, Any]

    @property
    def model(self) -> str:
        """Which of our models it is."""
        return OURS[self.kind].model


def recognise(shapes: Shapes, heads: int | None = None) -> Found:
    """Which model a state dict of these names and shapes holds. Nothing is built.

    Args:
        heads: of a transformer; 4 if None.

    Raises:
        CheckpointError: none of makemore.py's, or one of sizes that do not go together.
        ConfigError: its sizes, or that many heads, cannot be.
        UsageError: heads for a model without any.
    """
    layers = 1 + max((int(name[1]) for name in map(BLOCK_NAME.match, shapes) if name), default=-1)
    blocks = {f"{BLOCKS}{i}.{name}": axes for i in range(min(layers, len(shapes))) for name, axes in BLOCK.items()}
    kinds = {**SHAPES, "transformer": {**SHAPES["transformer"], **blocks}}
    kind = next((kind for kind, asked in kinds.items() if asked.keys() == shapes.keys()), None)
    if kind is None:
        raise CheckpointError(_unlike(shapes, kinds))
    sizes = {**_solve(kind, kinds[kind], shapes), "L": layers}
    settings = {
        name: sizes.get(value, value) if isinstance(value, str) else value
        for name, value in OURS[kind].settings.items()
    }
    if kind == "transformer":
        settings["heads"] = HEADS if heads is None else heads
    elif heads is not None:
        raise UsageError(f"a {kind} of makemore.py has no heads, so --heads means nothing. Leave it out.")
    find_model(OURS[kind].model).configure(symbols=sizes["V"], **settings)
    return Found(kind, sizes, settings)


def convert(found: Found, tensors: Weights) -> LanguageModel[Any]:
    """Our model with the weights of theirs."""
    entry = find_model(found.model)
    model = entry.build(entry.configure(symbols=found.sizes["V"], **found.settings))
    model.load_state_dict(OURS[found.kind].weights(tensors, found.sizes))
    return model.eval()


def wrong_mask(tensors: Weights) -> str | None:
    """The name of a mask, if there is one, that hides something else than the symbols to come."""
    masks = {name: mask for name, mask in tensors.items() if name.endswith((".attn.bias", ".cbow.bias"))}
    return next((name for name, mask in masks.items() if not torch.equal(mask, torch.ones_like(mask).tril())), None)


def _solve(kind: str, asked: Mapping[str, str], shapes: Shapes) -> Sizes:
    """The size that each letter stands for."""
    sizes: Sizes = {}
    for name, axes in asked.items():
        shape, letters = shapes[name], axes.split()
        if len(shape) != len(letters) or not all(_fits(*axis, sizes) for axis in zip(letters, shape)):
            said = ", ".join(f"{letter}={size}" for letter, size in sizes.items()) or "nothing"
            raise CheckpointError(
                f"its tensor {name!r} is of shape {short(list(shape))}, which is not the [{', '.join(letters)}] of a "
                f"{kind} of makemore.py (the tensors before it say {said}). Have makemore.py save it anew."
            )
    return sizes


def _fits(axis: str, size: int, sizes: Sizes) -> bool:
    """Whether an axis such as `D+H` may be of a size; a letter that stands for none yet gets it, as C of `CD`."""
    fresh = next((c for c in axis if c.isalpha() and c not in sizes), None)
    known = sum(
        math.prod(sizes[factor] if factor.isalpha() else int(factor) for factor in re.findall("[0-9]+|[A-Z]", term))
        for term in axis.replace(fresh or "", "").split("+")
    )
    if fresh is None:
        return size == known
    sizes[fresh], rest = divmod(size, known)
    return size > 0 and not rest


def _unlike(shapes: Shapes, kinds: Mapping[str, Mapping[str, str]]) -> str:
    """What keeps names from being those of a model of makemore.py."""

    def alike(kind: str) -> float:
        asked = kinds[kind].keys()
        return len(asked & shapes.keys()) / len(asked | shapes.keys())

    nearest = max(kinds, key=alike)
    lacks, beside = (
        [repr(short(name)) for name in these if name not in those]
        for these, those in ((kinds[nearest], shapes), (shapes, kinds[nearest]))
    )
    if len(lacks) == len(kinds[nearest]):
        return (
            f"its {len(shapes)} tensors ({_some(beside) or 'none'}) are of none of makemore.py's models: "
            f"{', '.join(kinds)}. Give the model.pt of one of those."
        )
    faults = [f"lacks {_some(lacks)}"] * bool(lacks) + [f"has {_some(beside)} beside"] * bool(beside)
    return (
        f"it is nearest to a {nearest} of makemore.py, but {' and '.join(faults)}. Give a model.pt that makemore.py "
        f"itself saved."
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
