"""Watching: what each part of a network gave, and the gradient that came back to it, without the network knowing.

Hooks on modules and torch's own hook on functions (`TorchFunctionMode`) see what passes, so models stay innocent: any
`nn.Module` can be watched, ours and others'. Measuring and judging are elsewhere (`vitals.py`, `doctor/`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from moreish.layers import BatchNorm, Embedding, LayerNorm, Linear, RMSNorm

FUNCTIONS: dict[Any, str] = {
    torch.tanh: "tanh", torch.tanh_: "tanh", Tensor.tanh: "tanh", Tensor.tanh_: "tanh", F.tanh: "tanh",
    torch.sigmoid: "sigmoid", torch.sigmoid_: "sigmoid", Tensor.sigmoid: "sigmoid", Tensor.sigmoid_: "sigmoid",
    F.sigmoid: "sigmoid", torch.relu: "relu", torch.relu_: "relu", Tensor.relu: "relu", Tensor.relu_: "relu",
    F.relu: "relu", F.relu_: "relu", F.gelu: "gelu", F.silu: "silu",
}  # fmt: skip
"""Functions whose results are watched wherever they are called."""
KINDS: tuple[tuple[tuple[type, ...], str], ...] = (
    ((BatchNorm, _BatchNorm), "batchnorm"),
    ((Embedding, nn.Embedding), "embedding"),
    ((Linear, nn.Linear), "linear"),
    ((LayerNorm, RMSNorm, nn.LayerNorm), "norm"),
)


@dataclass(frozen=True)
class Reading:
    """What a site gave in one pass, and what came back: each row an example (a position), each column a unit.

    `site` is a module's name (`hidden.0`) or a function's within it (`tanh.1`, `layers.0.tanh`), `kind` what it is.
    `gradient` is None where none came.
    """

    site: str
    kind: str
    activation: Float[Tensor, "N U"]
    gradient: Float[Tensor, "N U"] | None


@dataclass(frozen=True)
class NormReading:
    """What a BatchNorm was given: the batch's statistics (variance by n) beside those it keeps, before it renewed them.

    `learning` is whether it was in learning mode, `rows` how many examples the statistics are over.
    """

    site: str
    learning: bool
    rows: int
    mean: Float[Tensor, " D"]
    variance: Float[Tensor, " D"]
    running_mean: Float[Tensor, " D"]
    running_variance: Float[Tensor, " D"]


@dataclass
class _Seen:
    kind: str
    outputs: list[Tensor] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)


class Watch(TorchFunctionMode):
    """While open, remembers what passes through a model. After the backward pass, `readings()` has both directions.

    with Watch(model) as watch:
        model(x).sum().backward()
    watch.readings()
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self.norms: list[NormReading] = []
        self._seen: dict[tuple[str, str, int], _Seen] = {}
        self._calls: dict[tuple[str, str], int] = {}
        self._path: list[tuple[str, bool]] = [("", False)]
        self._hooks: list[Any] = []

    def __enter__(self) -> Watch:
        for name, module in self.model.named_modules():
            leaf = not any(True for _ in module.children())
            self._hooks.append(module.register_forward_pre_hook(self._entering(name, leaf)))
            self._hooks.append(module.register_forward_hook(self._leaving(name, leaf), always_call=True))
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        kind = FUNCTIONS.get(func)
        if kind is not None and isinstance(result, Tensor):
            path, leaf = self._path[-1]
            # A leaf that calls one function often does so symbol by symbol: that is one site.
            turn = 0 if leaf else self._calls.get((path, kind), 0)
            self._calls[path, kind] = turn + 1
            self._keep((path, kind, turn), kind, result)
        return result

    def readings(self) -> Iterator[Reading]:
        """What was seen, in the order in which each site was first met.

        A site whose result was changed in place later is left out: what it gave is no longer there.
        """
        several = {(path, kind) for path, kind, turn in self._seen if turn}
        for (path, kind, turn), seen in self._seen.items():
            if seen.versions != [_version(t) for t in seen.outputs]:
                continue
            if kind:
                name = f"{path}.{kind}" if path else kind
                name = f"{name}.{turn}" if (path, kind) in several else name
            else:
                name = path
            gradients = [t.grad for t in seen.outputs]
            known = [g for g in gradients if g is not None]
            yield Reading(
                name or "model",
                seen.kind,
                _stacked([t.detach() for t in seen.outputs]),
                _stacked(known) if len(known) == len(gradients) else None,
            )

    def clear(self) -> None:
        """Forget what was seen."""
        self._seen.clear()
        self._calls.clear()
        self.norms.clear()

    def _entering(self, name: str, leaf: bool) -> Any:
        def enter(module: nn.Module, inputs: Any) -> None:
            self._path.append((name, leaf))
            if isinstance(module, (BatchNorm, _BatchNorm)) and inputs and isinstance(inputs[0], Tensor):
                self.norms.append(_norm_reading(name, module, inputs[0].detach()))

        return enter

    def _leaving(self, name: str, leaf: bool) -> Any:
        def leave(module: nn.Module, inputs: Any, output: Any) -> None:
            self._path.pop()
            if leaf and isinstance(output, Tensor) and output.is_floating_point():
                kind = kind_of(module)
                if kind:
                    self._keep((name, "", 0), kind, output)

        return leave

    def _keep(self, key: tuple[str, str, int], kind: str, output: Tensor) -> None:
        if output.requires_grad and not output.is_leaf:
            output.retain_grad()
        seen = self._seen.setdefault(key, _Seen(kind))
        seen.outputs.append(output)
        seen.versions.append(_version(output))


def kind_of(module: nn.Module) -> str:
    """What a module with parameters is; "" for one that has none, whose functions are watched by themselves."""
    for classes, kind in KINDS:
        if isinstance(module, classes):
            return kind
    return "layer" if any(True for _ in module.parameters(recurse=False)) else ""


def batch_norms(model: nn.Module) -> Iterator[nn.Module]:
    """A model's BatchNorm layers, ours and torch's."""
    return (module for module in model.modules() if isinstance(module, (BatchNorm, _BatchNorm)))


def _stacked(parts: list[Tensor]) -> Tensor:
    rows = [t.reshape(-1, t.shape[-1] if t.ndim > 1 else 1) for t in parts]
    return rows[0] if len(rows) == 1 else torch.cat(rows)


def _version(t: Tensor) -> int:
    """How often a tensor was changed in place; those of inference mode do not count."""
    return 0 if t.is_inference() else t._version


def _norm_reading(name: str, module: Any, x: Tensor) -> NormReading:
    if isinstance(module, _BatchNorm) and x.ndim > 2:  # torch's has its channels second
        x = x.transpose(1, -1)
    rows = x.reshape(-1, x.shape[-1]).float()
    mean = rows.mean(0)
    running = getattr(module, "running_variance", None)
    running = module.running_var if running is None and module.running_var is not None else running
    return NormReading(
        name,
        module.training,
        len(rows),
        mean,
        rows.var(0, correction=0) if len(rows) else mean,
        mean if module.running_mean is None else module.running_mean.detach().clone(),
        mean.new_ones(len(mean)) if running is None else running.detach().clone(),
    )
