"""Observing any training loop from outside: what passes through the model, what comes back, and what becomes of it.

Nothing is asked of the loop but that it computes with torch: losses are seen where `backward` is called, cross-entropy
where torch computes it, the parameters' real change from one pass to the next, gradients by hooks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from moreish.learning.doctor.composition import Composing
from moreish.learning.doctor.evidence import Evidence, Look, Measured, Pass
from moreish.learning.vitals import parameter_vitals, site_vitals
from moreish.learning.watch import Watch, batch_norms
from moreish.ops.op import by_autograd

EVERY = 20
"""Passes between closer looks."""
LIKELIHOODS = {F.cross_entropy: True, F.nll_loss: False}
"""Losses of logits, and of log-probabilities."""


class _Bag(nn.Module):
    """Parameters that belong to no module, as in the lectures' first loops."""

    def __init__(self, parameters: Iterable[Tensor]):
        super().__init__()
        self.tensors = list(parameters)

    def named_parameters(self, *args: Any, **kwargs: Any) -> Any:
        return ((f"parameters[{i}]", t) for i, t in enumerate(self.tensors))


class _Listening(TorchFunctionMode):
    """Hears of every torch function that is called while it is open."""

    def __init__(self, observer: Observer):
        super().__init__()
        self.observer = observer
        self._autograd: list[Any] = []

    def __enter__(self) -> _Listening:
        # What is by hand hides its steps, and recurrent rows are by hand unless told otherwise.
        self._autograd.append(by_autograd())
        self._autograd[-1].__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._autograd.pop().__exit__(*error)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.observer.heard(func, args, kwargs or {})


class Observer:
    """While open, gathers the evidence of a training loop.

    A loop of ours opens `listening` for the passes that matter (`attentive`) and tells of the others by `passed`, after
    their step, which takes a third of the time.
    """

    def __init__(self, model: nn.Module | Iterable[Tensor], every: int = EVERY):
        self.listening = _Listening(self)
        self.model = model if isinstance(model, nn.Module) else _Bag(model)
        self.named: dict[str, Tensor] = dict(self.model.named_parameters())
        self.evidence, self.every = Evidence(), every
        self.composing = Composing()
        self._watch = Watch(self.model)
        self._hooks: list[Any] = []
        self._looking = False
        self._incoming: dict[str, Tensor] = {}
        self._stale = self._fresh = 0.0
        self._nats: list[tuple[float, int]] = []
        self._before: dict[str, Tensor] | None = None
        self._unfinished: Look | None = None
        self._last_gradients: dict[str, Tensor] = {}
        self._moved: set[str] = set()
        self._compared = 0
        self._just_moved = False
        self._reached: set[str] = set()
        self._norm_rows: list[int] = []
        self._padding: list[float] = []

    def __enter__(self) -> Observer:
        self.attach()
        self.listening.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.listening.__exit__(*error)
        self.detach()

    @property
    def attentive(self) -> bool:
        """Whether the coming pass must be listened to: one looked at closely, or one before or after such."""
        return len(self.evidence.passes) % self.every in (0, 1, self.every - 1)

    def attach(self) -> None:
        """Put hooks on the model and its parameters."""
        self._hooks.append(self.model.register_forward_pre_hook(self._called))
        for norm in batch_norms(self.model):
            self._hooks.append(norm.register_forward_pre_hook(self._normed))
        for name, p in self.named.items():
            if p.requires_grad:
                self._hooks.append(p.register_hook(self._arriving(name)))
        self._look(True)

    def detach(self) -> None:
        """Take them away, and conclude."""
        self._look(False)
        self._compare()
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self._conclude()

    def heard(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Call a torch function, and take note of it."""
        if func is Tensor.backward and isinstance(args[0], Tensor):
            return self._backward(func, args, kwargs)
        result = func(*args, **kwargs)
        if self._looking and torch.is_grad_enabled():
            self._watch.met(func, result)
        if func in LIKELIHOODS and torch.is_grad_enabled():
            self._likelihood(LIKELIHOODS[func], args, kwargs)
        return result

    def passed(self, loss: float, targets: int) -> None:
        """Take note of a backward pass that was not listened to, begun from this loss over so many targets."""
        known = [p for p in self.evidence.passes if p.nats]
        # As the loss stood to the likelihood in the last pass that was listened to.
        times = known[-1].loss / known[-1].nats if known and known[-1].nats else math.nan
        summed = times / known[-1].targets if known and known[-1].targets and times > 1.5 else 0.0
        nats = loss / (summed * targets if summed else times)
        self._finish(loss, nats if math.isfinite(nats) else None, targets)

    def measured(self, train: float | None = None, dev: float | None = None) -> None:
        """Take note of losses, nats a symbol, that the loop measured itself on lines learnt from and held out."""
        self.evidence.measured.append(Measured(len(self.evidence.passes), train, dev))

    def _likelihood(self, of_logits: bool, args: Any, kwargs: Any) -> None:
        """The mean loss of a cross-entropy, whatever it was reduced by."""
        names = ("input", "target", "weight", "size_average", "ignore_index")
        given = dict(zip(names, args)) | kwargs
        x, target = given["input"].detach(), given["target"]
        if x.ndim < 2 or target.is_floating_point():
            return
        with torch.no_grad(), torch._C.DisableTorchFunction():
            if x.ndim > 2:
                x = x.transpose(1, -1).reshape(-1, x.shape[1])
            flat, ignored = target.reshape(-1).long(), given.get("ignore_index", -100)
            known = flat != ignored
            log_p = torch.log_softmax(x.float(), -1) if of_logits else x.float()
            nats = -log_p.gather(1, flat.clamp_min(0)[:, None])[:, 0][known]
        self.evidence.symbols = x.shape[1]
        self._nats.append((float(nats.sum()), int(known.sum())))

    def _backward(self, func: Any, args: Any, kwargs: Any) -> Any:
        loss = float(args[0].detach().sum()) if args[0].numel() == 1 else math.nan
        if not math.isfinite(loss):
            self.broke("the loss", len(self.evidence.passes))
        result = func(*args, **kwargs)
        count = sum(n for _, n in self._nats)
        self._finish(loss, sum(total for total, _ in self._nats) / count if count else None, count)
        return result

    def _finish(self, loss: float, nats: float | None, count: int) -> None:
        """A backward pass is over."""
        step = len(self.evidence.passes)
        self.evidence.passes.append(Pass(step, loss, nats, count or None))
        if self._norm_rows:
            rows = min(self._norm_rows)
            self.evidence.norm_rows = min(rows, self.evidence.norm_rows or rows)
            if count:
                self._padding.append(rows / count)
        self._norm_rows.clear()
        self._nats.clear()
        self._compare()
        if self._looking:
            self._unfinished = self._looked(step)
            self._last_gradients = dict(self._incoming)
        self._incoming.clear()
        self._stale = self._fresh = 0.0
        due = (step + 1) % self.every
        if self._looking or due == 0:
            self._before = {name: p.detach().clone() for name, p in self.named.items()}
        self._look(due == 0)

    def _compare(self) -> None:
        """What became of the parameters since the last copy was taken."""
        before, self._before = self._before, None
        self._just_moved = False
        if before is None:
            return
        moved = {name for name, p in self.named.items() if not torch.equal(before[name], p.detach())}
        self._moved |= moved
        self._just_moved = bool(moved)
        self._compared += bool(moved)
        look, self._unfinished = self._unfinished, None
        if look is None:
            return
        parameters = [
            parameter_vitals(name, before[name], self._last_gradients.get(name), p) for name, p in self.named.items()
        ]
        self.evidence.looks.append(replace(look, parameters=parameters))

    def _looked(self, step: int) -> Look:
        sites = [site_vitals(reading) for reading in self._watch.readings()]
        self._watch.clear()
        silent = [name for name, p in self.named.items() if p.requires_grad and name not in self._incoming]
        silent += [name for name, g in self._incoming.items() if not bool(g.any())]
        for name, gradient in self._incoming.items():
            if not bool(gradient.isfinite().all()):
                self.broke(f"the gradient of {name}", step)
        whole = self._stale + self._fresh
        # Between two passes without a step, gradients are gathered on purpose.
        carried = math.sqrt(self._stale / whole) if whole and self._just_moved else 0.0
        return Look(step, sites, [], carried, silent)

    def _arriving(self, name: str) -> Any:
        def arrive(gradient: Tensor) -> None:
            p = self.named[name]
            self._reached.add(name)
            if not self._looking:
                return
            with torch.no_grad():
                self._incoming[name] = gradient.detach().clone()
                self._fresh += float(gradient.double().square().sum())
                if p.grad is not None:
                    self._stale += float(p.grad.double().square().sum())

        return arrive

    def _called(self, module: nn.Module, inputs: Any) -> None:
        if torch.is_grad_enabled() and module.training:
            x = next((x for x in inputs if isinstance(x, Tensor) and not x.is_floating_point()), None)
            if x is not None and x.ndim:
                self.composing.met_rows(x)

    def _normed(self, module: nn.Module, inputs: Any) -> None:
        learning = torch.is_grad_enabled()
        counts = self.evidence.norm_modes.setdefault("learning" if learning else "evaluating", [0, 0])
        counts[int(module.training == learning)] += 1
        if learning and inputs and isinstance(inputs[0], Tensor):
            self._norm_rows.append(_rows_of(inputs[0], module))

    def _look(self, on: bool) -> None:
        if on and not self._looking:
            self._watch.attach()
        elif self._looking and not on:
            self._watch.detach()
        if on:
            self._watch.clear()
        self._looking = on

    def broke(self, what: str, step: int) -> None:
        """Take note that something is not finite, the first time: the first weight that is not, else `what`."""
        if not self.evidence.broken:
            bad = next((f"the weight {n}" for n, p in self.named.items() if not bool(p.isfinite().all())), what)
            self.evidence.broken, self.evidence.broken_at = bad, step

    def _conclude(self) -> None:
        found = self.evidence
        found.composition = self.composing.composition()
        found.norm_padding = sum(self._padding) / len(self._padding) if self._padding else None
        if found.passes:
            found.unconnected = [n for n, p in self.named.items() if p.requires_grad and n not in self._reached]
            found.unconnected += [
                name for name in self.named
                if name in self._reached and found.looks and all(name in look.silent for look in found.looks)
            ]  # fmt: skip
        if self._compared:
            found.fixed = [n for n, p in self.named.items() if not p.requires_grad]
            found.frozen = [n for n in self.named if n not in self._moved and n not in found.unconnected]


def _rows_of(x: Tensor, module: nn.Module) -> int:
    """Rows that BatchNorm takes its statistics over: every axis but that of the channels."""
    channels = x.shape[1] if isinstance(module, nn.modules.batchnorm._BatchNorm) else x.shape[-1]
    return x.numel() // max(1, channels)
