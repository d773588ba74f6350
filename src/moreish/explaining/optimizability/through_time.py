"""How large the gradient of a line's last loss is, k symbols back: at the symbols' embeddings and at the states.

With h' = tanh(x + W h) the gradient goes back by one factor a symbol, Wᵀ diag(1 - h'²). Its size is multiplied by at
most the largest singular value of W; where W is drawn at random, or orthogonal, by about the root mean square of its
singular values times that of the slopes 1 - h'². Below 1 it vanishes, above 1 it explodes.

Sources: Hochreiter 1991; Bengio, Simard and Frasconi 1994, section 3; Pascanu, Mikolov and Bengio 2013, section 2.1;
the root mean squares are those of a mean field: Poole et al. 2016, section 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from moreish.explaining.optimizability.networks import Network
from moreish.learning.batches import Batches
from moreish.models.model import LanguageModel
from moreish.models.recurrent import Layer, Recurrent
from moreish.models.wavenet import WaveNet
from moreish.ops.affine import linear

FARTHEST = 15
LEAST, MOST = 30, 200
"""Lines that a mean is taken over: where a list has fewer that are long enough, it does not reach so far back."""
NOTHING = 1e-290


@dataclass(frozen=True)
class Back:
    """Geometric means over lines, each against that at the last symbol: 1 at k = 0; None beyond `reach`.

    `inputs` are of the embeddings read, `states` of the states after each symbol, None where there is no state.
    `factor` is by how much `inputs` changes a symbol, `state_factor` by how much `states` does.
    """

    network: str
    inputs: list[float | None]
    states: list[float | None] | None
    factor: float
    state_factor: float | None


@dataclass(frozen=True)
class Plain:
    """Why a plain RNN's gradient changes by `measured` a symbol.

    `largest` is the largest singular value of W, a bound; `radius` its spectral radius; `usual` the root mean square of
    its singular values; `slope` that of the slopes of tanh on the lines. `expected` is usual times slope.
    """

    network: str
    largest: float
    radius: float
    usual: float
    slope: float
    expected: float
    measured: float


def long_lines(batches: Batches) -> tuple[int, list[np.ndarray]]:
    """How many symbols back one can look, and lines long enough for it, those of one length together."""
    sizes = batches.sizes
    reach = 0
    for k in range(1, FARTHEST + 1):
        if (sizes > k).sum() >= LEAST:
            reach = k
    rows = np.flatnonzero(sizes > reach)[:MOST]
    return reach, [rows[sizes[rows] == size] for size in np.unique(sizes[rows])]


def back(network: Network, model: LanguageModel, batches: Batches) -> tuple[Back, Plain | None]:
    """What comes back along the lines of a list that are long enough; in float64, for little may be left."""
    model = model.double()
    reach, groups = long_lines(batches)
    inputs, states, slopes = [], [], []
    for rows in groups:
        batch = batches.of(rows)
        shape = (len(rows), int(batch.lengths[0]))
        found = gradients(model, batch.tokens.view(shape), batch.targets.view(shape)[:, -1])
        inputs.append(_backwards(found[0], reach))
        if found[1] is not None and found[2] is not None:
            states.append(_backwards(found[1], reach))
            slopes.append((1 - found[2].square()).square().flatten())
    at_inputs = _against_last(torch.cat(inputs))
    at_states = _against_last(torch.cat(states)) if states else None
    pad: list[float | None] = [None] * (FARTHEST - reach)
    told = Back(
        network=network.name,
        inputs=[*at_inputs, *pad],
        states=None if at_states is None else [*at_states, *pad],
        factor=factor_of(at_inputs),
        state_factor=None if at_states is None else factor_of(at_states),
    )
    if not network.plain or told.state_factor is None:
        return told, None
    weight = cast("Layer", cast("Recurrent", model).layers[0]).hidden.detach()
    return told, _plain(network.name, weight, float(torch.cat(slopes).mean().sqrt()), told.state_factor)


def gradients(
    model: LanguageModel, tokens: Int[Tensor, "B T"], targets: Int[Tensor, " B"]
) -> tuple[Float[Tensor, "B T"], Float[Tensor, "B T"] | None, Float[Tensor, "B T H"] | None]:
    """Of each line's loss at its last symbol: the norms of the gradients at its embeddings and at its states; and what
    a recurrent layer gives at each symbol.
    """
    if isinstance(model, Recurrent):
        return _recurrent(model, tokens, targets)
    assert isinstance(model, WaveNet)
    embedded = model.embedding(tokens).detach().requires_grad_()
    handle = model.embedding.register_forward_hook(lambda *_: embedded)
    try:
        logits, _ = model(tokens, model.begin(len(tokens)))
    finally:
        handle.remove()
    (at,) = torch.autograd.grad(_losses(logits[:, -1], targets), embedded)
    return at.norm(dim=-1), None, None


def _recurrent(
    model: Recurrent, tokens: Int[Tensor, "B T"], targets: Int[Tensor, " B"]
) -> tuple[Float[Tensor, "B T"], Float[Tensor, "B T"], Float[Tensor, "B T H"]]:
    """Symbol by symbol, for whole lines are read by a pass of their own, which keeps no state to ask."""
    (layer,) = cast("list[Layer]", list(model.layers))
    embedded = model.embedding(tokens).detach().requires_grad_()
    state = model.begin(len(tokens))[:, 0]
    states = []
    for x in embedded.unbind(1):
        state = layer.step(state, linear(x, layer.input, layer.bias))
        states.append(state)
    loss = _losses(model.output(model.given(state)), targets)
    at, *at_states = torch.autograd.grad(loss, [embedded, *states])
    given = torch.stack([model.given(each.detach()) for each in states], 1)
    return at.norm(dim=-1), torch.stack([each.norm(dim=-1) for each in at_states], 1), given


def _losses(logits: Float[Tensor, "B V"], targets: Int[Tensor, " B"]) -> Float[Tensor, ""]:
    """The sum: lines do not meet, so each has the gradient of its own loss."""
    return torch.nn.functional.cross_entropy(logits, targets, reduction="sum")


def _backwards(norms: Float[Tensor, "B T"], reach: int) -> Float[Tensor, "B K"]:
    """The last symbol first, as far as one looks."""
    return norms.flip(1)[:, : reach + 1]


def _against_last(norms: Float[Tensor, "B K"]) -> list[float]:
    logs = norms.clamp(min=NOTHING).log().mean(0)
    return [float(each) for each in (logs - logs[0]).exp()]


def factor_of(norms: list[float]) -> float:
    """The geometric mean of the steps from one symbol to the one before it."""
    return norms[-1] ** (1 / (len(norms) - 1)) if len(norms) > 1 else math.nan


def _plain(name: str, weight: Float[Tensor, "H H"], slope: float, measured: float) -> Plain:
    singular = torch.linalg.svdvals(weight)
    usual = float(singular.square().mean().sqrt())
    return Plain(
        network=name,
        largest=float(singular[0]),
        radius=float(torch.linalg.eigvals(weight).abs().max()),
        usual=usual,
        slope=slope,
        expected=usual * slope,
        measured=measured,
    )
