"""makemore.py's six models written anew from their formulas: one prefix at a time, in float64, with loops and no batch.

The parameters have makemore's names, so that a dict of them is what `torch.save(model.state_dict(), ...)` would hold.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

Arrays = dict[str, np.ndarray]
KINDS = ("bigram", "mlp", "rnn", "gru", "bow", "transformer")


def state_dict(kind: str, *, symbols=27, places=16, width=12, hidden=10, layers=2, seed=0) -> dict[str, Tensor]:
    """Random parameters of a model, float32, large enough for every part to matter."""
    v, t, d, h = symbols, places, width, hidden
    shapes: dict[str, tuple[int, ...]] = {}

    def linear(name: str, outputs: int, inputs: int) -> None:
        shapes.update({f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)})

    if kind == "bigram":
        shapes["logits"] = (v, v)
    elif kind == "mlp":
        shapes["wte.weight"] = (v + 1, d)
        linear("mlp.0", h, t * d)
        linear("mlp.2", v, h)
    elif kind in ("rnn", "gru"):
        shapes.update({"start": (1, h), "wte.weight": (v, d)})
        for gate in ("h",) if kind == "rnn" else ("z", "r", "hbar"):
            linear(f"cell.xh_to_{gate}", h, d + h)
        linear("lm_head", v, h)
    elif kind == "bow":
        shapes.update({"wte.weight": (v, d), "wpe.weight": (t, d), "context_block.cbow.bias": (1, t, t)})
        linear("context_block.mlp.c_fc", h, d)
        linear("context_block.mlp.c_proj", d, h)
        linear("lm_head", v, d)
    else:
        shapes.update({"transformer.wte.weight": (v, d), "transformer.wpe.weight": (t, d)})
        for i in range(layers):
            block = f"transformer.h.{i}"
            shapes.update(
                {f"{block}.ln_1.weight": (d,), f"{block}.ln_1.bias": (d,), f"{block}.attn.bias": (1, 1, t, t)}
            )
            linear(f"{block}.attn.c_attn", 3 * d, d)
            linear(f"{block}.attn.c_proj", d, d)
            shapes.update({f"{block}.ln_2.weight": (d,), f"{block}.ln_2.bias": (d,)})
            linear(f"{block}.mlp.c_fc", 4 * d, d)
            linear(f"{block}.mlp.c_proj", d, 4 * d)
        shapes.update({"transformer.ln_f.weight": (d,), "transformer.ln_f.bias": (d,), "lm_head.weight": (v, d)})
    random = torch.Generator().manual_seed(seed)
    drawn = {name: 0.5 * torch.randn(shape, generator=random) for name, shape in shapes.items()}
    for name, shape in shapes.items():
        if name.endswith((".attn.bias", ".cbow.bias")):
            drawn[name] = torch.ones(shape).tril()
    return drawn


def logits(kind: str, parameters: dict[str, Tensor], prefix: list[int], heads: int = 4) -> np.ndarray:
    """Logits of what follows a prefix, which begins with the boundary 0: float64 [V]."""
    arrays = {name: tensor.double().numpy() for name, tensor in parameters.items()}
    if kind == "transformer":
        return _transformer(arrays, prefix, heads)
    return MODELS[kind](arrays, prefix)


def _bigram(p: Arrays, prefix: list[int]) -> np.ndarray:
    return p["logits"][prefix[-1]]


def _mlp(p: Arrays, prefix: list[int]) -> np.ndarray:
    blank = len(p["wte.weight"]) - 1
    places = p["mlp.0.weight"].shape[1] // p["wte.weight"].shape[1]
    newest_first = [prefix[-1 - k] if k < len(prefix) else blank for k in range(places)]
    x = np.concatenate([p["wte.weight"][i] for i in newest_first])
    return _linear(p, "mlp.2", np.tanh(_linear(p, "mlp.0", x)))


def _rnn(p: Arrays, prefix: list[int]) -> np.ndarray:
    h = p["start"][0]
    for i in prefix:
        h = np.tanh(_linear(p, "cell.xh_to_h", np.concatenate([p["wte.weight"][i], h])))
    return _linear(p, "lm_head", h)


def _gru(p: Arrays, prefix: list[int]) -> np.ndarray:
    h = p["start"][0]
    for i in prefix:
        x = p["wte.weight"][i]
        z, r = (_sigmoid(_linear(p, f"cell.xh_to_{gate}", np.concatenate([x, h]))) for gate in "zr")
        candidate = np.tanh(_linear(p, "cell.xh_to_hbar", np.concatenate([x, r * h])))
        h = h + z * (candidate - h)
    return _linear(p, "lm_head", h)


def _bow(p: Arrays, prefix: list[int]) -> np.ndarray:
    x = np.array([p["wte.weight"][i] + p["wpe.weight"][place] for place, i in enumerate(prefix)])
    last = x[-1] + x.mean(0)
    hidden = np.tanh(_linear(p, "context_block.mlp.c_fc", last))
    return _linear(p, "lm_head", last + _linear(p, "context_block.mlp.c_proj", hidden))


def _transformer(p: Arrays, prefix: list[int], heads: int) -> np.ndarray:
    table, places = p["transformer.wte.weight"], p["transformer.wpe.weight"]
    xs = [table[i] + places[place] for place, i in enumerate(prefix)]
    block = 0
    while f"transformer.h.{block}.ln_1.weight" in p:
        name = f"transformer.h.{block}"
        qkv = [np.split(_linear(p, f"{name}.attn.c_attn", _norm(p, f"{name}.ln_1", x)), 3) for x in xs]
        mixed = [_attend([k for _, k, _ in qkv[: t + 1]], [v for *_, v in qkv[: t + 1]], qkv[t][0], heads)
                 for t in range(len(xs))]  # fmt: skip
        xs = [x + _linear(p, f"{name}.attn.c_proj", m) for x, m in zip(xs, mixed)]
        xs = [x + _linear(p, f"{name}.mlp.c_proj", _gelu(_linear(p, f"{name}.mlp.c_fc", _norm(p, f"{name}.ln_2", x))))
              for x in xs]  # fmt: skip
        block += 1
    return p["lm_head.weight"] @ _norm(p, "transformer.ln_f", xs[-1])


def _attend(keys: list[np.ndarray], values: list[np.ndarray], query: np.ndarray, heads: int) -> np.ndarray:
    """What one place takes from those up to it: a softmax of scaled products, head by head."""
    size = len(query) // heads
    out = []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        weights = np.exp([query[part] @ key[part] / np.sqrt(size) for key in keys])
        out.append(sum(w * value[part] for w, value in zip(weights / weights.sum(), values)))
    return np.concatenate(out)


def _linear(p: Arrays, name: str, x: np.ndarray) -> np.ndarray:
    return p[f"{name}.weight"] @ x + p[f"{name}.bias"]


def _norm(p: Arrays, name: str, x: np.ndarray) -> np.ndarray:
    return p[f"{name}.weight"] * (x - x.mean()) / np.sqrt(x.var() + 1e-5) + p[f"{name}.bias"]


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _gelu(x: np.ndarray) -> np.ndarray:
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


MODELS: dict[str, Callable[[Arrays, list[int]], np.ndarray]] = {
    "bigram": _bigram, "mlp": _mlp, "rnn": _rnn, "gru": _gru, "bow": _bow,
}  # fmt: skip
