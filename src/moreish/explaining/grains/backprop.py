"""Every gradient of a network by hand beside autograd's, with a verdict on each.

The lectures' MLP with BatchNorm (`mlp-bn`) is looked at in three grains: `atomic`, all its small steps; `fused`, with
softmax and cross-entropy as one step and BatchNorm as another; `step`, forward, backward and update as one function
without autograd. Of any other network of the catalog the gradients of its parameters are compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from moreish.errors import ConfigError, UsageError, did_you_mean
from moreish.explaining.drawing.graph import Graph, Node
from moreish.explaining.grains.lecture_net import (
    FUSED,
    ORDER,
    PARAMETERS,
    STEPS,
    Named,
    atomic_backward,
    forward,
    fresh,
    fused_backward,
)
from moreish.explaining.grains.verdicts import NEARBY, Both, Compared, apart, judge, moved
from moreish.explaining.grains.whole_model import brief, model_gradients
from moreish.learning.batches import Batches
from moreish.models.catalog import MODELS, find_model
from moreish.models.model import check_whole
from moreish.ops.mlp_step import MLPStep
from moreish.text.corpus import Corpus

LECTURE = "mlp-bn"
GRAINS = ("atomic", "fused", "step")
HIDDEN, EMBEDDING, BATCH, CONTEXT = 64, 10, 32, 3
"""The lecture's sizes."""
MOST = 10**5


@dataclass(frozen=True)
class Backprop:
    """Gradients by hand beside autograd's. `intermediates` stand as they are found, on the way back from the loss."""

    model: str
    grain: str
    seed: int
    loss: float
    intermediates: list[Compared]
    nodes: tuple[Node, ...]
    engine: str = ""
    """What did the step, where that was the grain: `compiled` or `plain`."""
    why_plain: str = ""

    @property
    def errors(self) -> list[str]:
        """The names of the gradients that are wrong."""
        return [row.name for row in self.intermediates if row.verdict == "error"]

    @property
    def sentence(self) -> str:
        """What the table comes to."""
        rows = self.intermediates
        if self.errors:
            return (
                f"{len(self.errors)} of {len(rows)} gradients are wrong. Begin with {self.errors[0]}: it comes first "
                "on the way back from the loss, and what comes after it may have inherited the fault."
            )
        exact = sum(row.verdict == "exact" for row in rows)
        if exact == len(rows):
            return f"All {len(rows)} gradients equal autograd's to the bit."
        said = f"{exact or 'none'} to the bit, the others but for rounding, which vanishes in float64"
        zero = [row.name for row in rows if row.is_zero]
        if zero:
            said += f" ({_listed(zero)} {'is' if len(zero) == 1 else 'are'} zero in theory: all digits are rounding)"
        return f"All {len(rows)} gradients equal autograd's: {said}."

    def cells(self) -> list[tuple[str, ...]]:
        """The table's heading and rows: name, shape, largest difference, the same in ulps, verdict."""
        return [("gradient of", "shape", "largest difference", "ulps", "verdict"), *map(_cells, self.intermediates)]

    def text(self) -> str:
        """The table for people, and one sentence at the end."""
        lines = self.cells()
        widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
        rows = [
            f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}  {e}" for a, b, c, d, e in lines
        ]
        return "\n".join([*rows, "", self.sentence])

    def graph(self) -> Graph:
        """What was computed from what, each with its gradient."""
        verdicts = {row.name: row for row in self.intermediates}
        nodes = [
            Node(n.name, n.op, n.shape, n.parents, n.value, n.gradient, _said(verdicts[n.name]))
            if n.name in verdicts
            else n
            for n in self.nodes
        ]
        return Graph(tuple(nodes), f"{self.model}, {self.grain}: gradients by hand beside autograd's")

    def to_dict(self) -> dict[str, Any]:
        """As it stands in JSON."""
        return {
            "model": self.model,
            "grain": self.grain,
            "seed": self.seed,
            "loss": self.loss,
            "right": not self.errors,
            "engine": self.engine or None,
            "intermediates": [row.to_dict() for row in self.intermediates],
        }


def backprop(
    source: str = "names",
    model: str = LECTURE,
    *,
    seed: int = 0,
    grain: str | None = None,
    hidden: int | None = None,
    embedding: int | None = None,
    batch: int | None = None,
    context: int | None = None,
    corpus: Corpus | None = None,
) -> Backprop:
    """Hold every hand-written gradient of a fresh network against autograd's, on one batch of a list.

    Args:
        source: a list: a file, or a bundled list's name. `corpus` is one that was read before.
        model: `mlp-bn`, or any other network of the catalog, whose parameters' gradients are compared.
        seed: decides the weights and the batch.
        grain: of mlp-bn: `atomic` (the default), `fused` or `step`.
        hidden, embedding, context: sizes; by default the lecture's (64, 10, 3), or the model's own defaults.
        batch: windows (of mlp-bn) or lines in the batch; by default 32.

    Raises:
        UsageError: a model that learns by counting, a grain that there is not, or sizes that cannot be built.
        ListError: the list cannot be read.
    """
    entry = find_model(model)
    networks = [name for name, other in MODELS.items() if other.learns_by_gradient]
    if model not in networks:
        raise UsageError(f"{model} learns by counting: it has no gradients. Use a network: {', '.join(networks)}.")
    if grain is not None and grain not in GRAINS:
        raise UsageError(f"no grain is called {grain!r:.60}. {did_you_mean(str(grain), GRAINS)}")
    if grain is not None and model != LECTURE:
        raise UsageError(f"grains are of {LECTURE}; {model} has one table. Leave out the grain, or use {LECTURE}.")
    batch = BATCH if batch is None else batch
    check_whole("backprop", "batch", batch, 1, MOST, "Use 32, as in the lecture.")
    if model == LECTURE:
        # One window has no variance to normalise by.
        check_whole("backprop", "batch", batch, 2, MOST, "BatchNorm needs two windows at least. Use 32.")
    corpus = Corpus.read(source) if corpus is None else corpus
    sizes = {"hidden": hidden, "embedding": embedding, "context": context}
    given = {name: size for name, size in sizes.items() if size is not None}
    batches = Batches(corpus.train, corpus.alphabet, batch, seed)
    if model != LECTURE:
        found, loss, nodes = model_gradients(entry, corpus, batches, seed, given)
        return Backprop(model, "model", seed, loss, judge(found), nodes)
    sizes = {"hidden": HIDDEN, "embedding": EMBEDDING, "context": CONTEXT, **given}
    entry.configure(symbols=len(corpus.alphabet), **sizes)  # refuses what is too large to be built
    return _lecture(corpus, batches, seed, grain or GRAINS[0], sizes)


def _lecture(corpus: Corpus, batches: Batches, seed: int, grain: str, sizes: dict[str, Any]) -> Backprop:
    drawn = batches.windows_at(0, sizes["context"])
    windows, targets = drawn.windows, drawn.targets
    p = fresh(len(corpus.alphabet), sizes["context"], sizes["embedding"], sizes["hidden"], seed)
    p64 = {name: tensor.double() for name, tensor in p.items()}
    v, autograd = _autograd(p, windows, targets)
    _, autograd64 = _autograd(p64, windows, targets)
    if not torch.isfinite(v["loss"]):
        raise ConfigError("the loss is not finite: the sizes are too large for the lecture's start. Use smaller ones.")
    engine = why = ""
    if grain == "step":
        step = MLPStep(*(p[name] for name in PARAMETERS))
        engine, why = step.engine, step.why_plain
        by_hand = step.gradients(windows, targets)[1]
        by_hand64 = MLPStep(*(p64[name] for name in PARAMETERS)).gradients(windows, targets)[1]
    else:
        backward = atomic_backward if grain == "atomic" else fused_backward
        by_hand = backward(p, v, windows, targets)
        v64 = forward(p64, windows, targets)
        by_hand64 = backward(p64, v64, windows, targets)
    names = [name for name in ORDER if name in by_hand]
    nearby = _noise(p, windows, targets)
    found = [
        Both(name, by_hand[name], autograd[name], by_hand64[name], autograd64[name], nearby[name]) for name in names
    ]
    values = {**p, **v, "windows": windows}
    nodes = _nodes(grain, values, by_hand)
    return Backprop(LECTURE, grain, seed, float(v["loss"]), judge(found), nodes, engine, why)


def _autograd(p: Named, windows: Tensor, targets: Tensor) -> tuple[Named, Named]:
    """The forward's values, and the gradient of every tensor by autograd."""
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in p.items()}
    v = forward(leaves, windows, targets)
    for name in STEPS:
        v[name].retain_grad()
    v["loss"].backward()
    gradients = {name: t.grad for name, t in {**leaves, **v}.items() if name != "loss" and t.grad is not None}
    return {name: t.detach() for name, t in v.items()}, gradients


def _noise(p: Named, windows: Tensor, targets: Tensor) -> dict[str, float]:
    """By how much float32 is off float64 in each of autograd's gradients, on nearby problems."""
    noise: dict[str, float] = dict.fromkeys(ORDER, 0.0)
    for which in range(NEARBY):
        q = moved(p, which)
        low = _autograd(q, windows, targets)[1]
        high = _autograd({name: t.double() for name, t in q.items()}, windows, targets)[1]
        noise = {name: max(most, apart(low[name], high[name])) for name, most in noise.items()}
    return noise


def _nodes(grain: str, values: Named, gradients: Named) -> tuple[Node, ...]:
    """The drawing of a grain."""
    steps: dict[str, tuple[str, tuple[str, ...]]] = dict.fromkeys(("windows", *PARAMETERS), ("", ()))
    if grain == "step":
        steps["loss"] = ("one step", ("windows", *PARAMETERS))
    else:
        steps |= STEPS if grain == "atomic" else FUSED
        steps["loss"] = ("-mean at targets", ("logprobs",)) if grain == "atomic" else ("cross-entropy", ("logits",))
        steps["emb"] = ("C[windows]", ("C", "windows"))
    return tuple(
        Node(
            name, op, tuple(values[name].shape), parents, brief(values[name]),
            "1" if name == "loss" else brief(gradients[name]) if name in gradients else "",
            "ids: a choice of rows has no gradient" if name == "windows" else "", is_end=name == "loss",
        )
        for name, (op, parents) in steps.items()
    )  # fmt: skip


def _cells(row: Compared) -> tuple[str, str, str, str, str]:
    shape = " x ".join(map(str, row.shape)) or "1"
    ulps = f"{row.ulps:.1f}" if row.ulps < 1e4 else f"{row.ulps:.1e}"
    return (
        row.name,
        shape,
        f"{row.max_difference:.1e}",
        ulps,
        row.verdict + (" (zero in theory)" if row.is_zero else ""),
    )


def _said(row: Compared) -> str:
    return row.verdict if row.verdict == "exact" else f"{row.verdict}: {row.max_difference:.1e}, {row.ulps:.1f} ulps"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
