"""The optimisers: SGD as in the lectures, AdamW, and Muon for hidden matrices with AdamW for the rest.

What an optimiser remembers is a dict of tensors by name, so that a checkpoint can hold it and a resumed training is
the same to the bit.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from moreish.layers import hidden_matrices

OPTIMIZERS = ("sgd", "adamw", "muon")
EPSILON = 1e-8
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Jordan et al. 2024: the quintic whose repetition brings singular values near 1."""
NEWTON_SCHULZ_STEPS = 5
MATCH_ADAM = 0.2
"""Liu et al. 2025, section 2.2: an update of this root mean square an entry lets Muon and AdamW share a rate."""


class _Prompt(torch.optim.Optimizer):
    """Torch's, without what it wraps around two methods for its compiler: that loads it, which takes a second or two.

    Nothing here is compiled by it: a model's passes may be, an optimiser's steps are not.
    """

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)


class SGD(_Prompt, torch.optim.SGD):
    """Torch's own, begun in no time."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))


class AdamW(_Prompt, torch.optim.AdamW):
    """Torch's own, begun in no time."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


class Muon(_Prompt):
    """Momentum made orthogonal: every direction of a matrix is moved alike.

    Source: Jordan et al. 2024, Muon; the scale 0.2 sqrt(max(rows, columns)) from Liu et al. 2025, equation 4. Where we
    differ: float32 throughout, since few processors multiply bfloat16 any faster.
    """

    def __init__(self, params: Any, lr: float, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step for every matrix; equal shapes are made orthogonal together."""
        for group in self.param_groups:
            by_shape: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {}
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                held = state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                nesterov = p.grad.lerp(held, group["momentum"]).flatten(1)
                by_shape.setdefault((nesterov.shape[0], nesterov.shape[1]), []).append((p, nesterov))
            for (rows, columns), pairs in by_shape.items():
                updates = orthogonal(torch.stack([update for _, update in pairs]))
                scale = group["lr"] * MATCH_ADAM * max(rows, columns) ** 0.5
                for (p, _), update in zip(pairs, updates):
                    p.mul_(1 - group["lr"] * group["weight_decay"]).sub_(update.view_as(p), alpha=scale)


def orthogonal(matrices: Float[Tensor, "N R K"]) -> Float[Tensor, "N R K"]:
    """Nearly U V^T of each matrix's U S V^T: singular values end between about 0.7 and 1.2."""
    a, b, c = NEWTON_SCHULZ
    x = matrices.mT if matrices.shape[1] > matrices.shape[2] else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if matrices.shape[1] > matrices.shape[2] else x


class Optimizer:
    """One or two of torch's optimisers over a model's parameters, with one learning rate."""

    def __init__(
        self, model: nn.Module, kind: str, *, weight_decay: float = 0.0, momentum: float = 0.0, beta2: float = 0.99
    ):
        self.kind, self.momentum = kind, momentum
        self.named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        matrices = set(hidden_matrices(model)) if kind == "muon" else set()
        self.parts: list[torch.optim.Optimizer] = []
        if kind == "sgd":
            self.parts.append(SGD(self.named.values(), lr=0.0, momentum=momentum, weight_decay=weight_decay))
            return
        chosen = [p for name, p in self.named.items() if name in matrices]
        if chosen:
            self.parts.append(Muon(chosen, lr=0.0, weight_decay=weight_decay))
        # Only matrices decay: biases and gains have no scale to be kept small (as in GPT-2).
        rest = [p for name, p in self.named.items() if name not in matrices]
        groups = [
            {"params": [p for p in rest if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
        if groups:
            self.parts.append(AdamW(groups, lr=0.0, betas=(0.9, beta2), eps=EPSILON, fused=True))

    def step(self, lr: float) -> None:
        """One step at this learning rate, by the gradients that stand at the parameters."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = lr
            part.step()

    def tensors(self) -> dict[str, Tensor]:
        """What is remembered, by name: `momentum/hidden.0.weight`."""
        return {
            f"{what}/{name}": state[what]
            for name, p in self.named.items()
            for part in self.parts
            if (state := part.state.get(p))
            for what in remembered(self.kind, self.momentum)
            if state.get(what) is not None
        }

    def load(self, tensors: dict[str, Tensor], step: int) -> None:
        """Remember what another optimiser of this kind did after `step` steps."""
        for part in self.parts:
            mine = {id(p) for group in part.param_groups for p in group["params"]}
            for name, p in self.named.items():
                if id(p) not in mine:
                    continue
                found = {key.split("/", 1)[0]: t for key, t in tensors.items() if key.split("/", 1)[1] == name}
                if not found:
                    continue
                state: dict[str, Any] = {what: t.to(p.device).clone() for what, t in found.items()}
                if "exp_avg" in state:
                    state["step"] = torch.tensor(float(step), device=p.device)
                part.state[p] = state


def remembered(kind: str, momentum: float) -> tuple[str, ...]:
    """Which tensors an optimiser may keep for a parameter."""
    if kind == "sgd":
        return ("momentum_buffer",) if momentum else ()
    return ("momentum", "exp_avg", "exp_avg_sq")


def expected_tensors(model: nn.Module, kind: str, momentum: float) -> Iterator[tuple[str, Tensor]]:
    """The names and likenesses of what an optimiser remembers after a step, without making one."""
    matrices = set(hidden_matrices(model)) if kind == "muon" else set()
    for name, p in model.named_parameters():
        if kind == "sgd":
            whats = remembered(kind, momentum)
        else:
            whats = ("momentum",) if name in matrices else ("exp_avg", "exp_avg_sq")
        for what in whats:
            yield f"{what}/{name}", p
