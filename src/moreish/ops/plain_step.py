"""The whole step of the lectures' MLP with BatchNorm in plain torch: in place, nothing allocated, no autograd.

The derivations are those of `affine`, `normalize`, `pointwise` and `loss`; what is here is how they are put together.

1. Normalising takes each unit's mean over the batch away, and a mean passes through a linear map: (x - mean(x)) W1 is
   already centred. So 30 columns are centred instead of 200, and b1 has no part in it: its gradient is zero.
2. The same on the way back: dx of BatchNorm needs the mean of its gradient taken away, but W1's gradient is a product
   with centred inputs, which does that by itself; only the embeddings' gradient is centred, again 30 columns wide.
3. Sums over the batch are products with a row of ones, three times as fast as `sum`. tanh x = 2 sigmoid(2 x) - 1 takes a
   third of torch's tanh.
4. Gradients go into the weights by the product that makes them (`addmm_`), with -lr / n as its factor.
5. Rows of C are chosen, and their gradients collected, by products with a one-hot matrix: 4 times as fast as indexing.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Buffers:
    """What a step over n windows writes into, made once for each n."""

    def __init__(self, step: PlainStep, n: int):
        p = step.p
        symbols, width = p["C"].shape
        inputs, hidden = p["W1"].shape

        def empty(*shape: int) -> Tensor:
            return torch.empty(shape, dtype=p["C"].dtype)

        self.one_hot = empty(n * inputs // width, symbols)
        self.x, self.d_x = empty(n, inputs), empty(n, inputs)
        self.emb, self.d_emb = (t.view(-1, width) for t in (self.x, self.d_x))
        self.x_mean, self.d_x_mean = empty(1, inputs), empty(1, inputs)
        self.centred, self.h, self.d_h, self.squared = (empty(n, hidden) for _ in range(4))
        self.mean, self.scale, self.by, self.doubled, self.row, self.d_gain, self.d_bias = (
            empty(1, hidden) for _ in range(7)
        )
        self.logits, self.log_probs = empty(n, symbols), empty(n, symbols)
        self.ones = torch.ones(1, n, dtype=p["C"].dtype)
        self.mean_of = self.ones / n
        self.variance_of = self.ones / (n - step.correction)
        self.minus = -torch.ones(n, 1, dtype=p["C"].dtype)


class PlainStep:
    """Holds the lecture's parameters by name, in the layout that its products like best."""

    name = "plain"

    def __init__(self, parameters: dict[str, Tensor], correction: int, epsilon: float):
        self.p = {name: tensor.contiguous().clone() for name, tensor in parameters.items()}
        self.p["W2"] = self.p["W2"].t().contiguous().t()
        self.correction = correction
        hidden, dtype = len(self.p["b1"]), self.p["C"].dtype
        self.running_mean, self.running_variance = torch.zeros(1, hidden, dtype=dtype), torch.ones(1, hidden, dtype=dtype)
        self.epsilon = torch.full((1, hidden), epsilon, dtype=dtype)
        self.eye = torch.eye(len(self.p["C"]), dtype=dtype)
        self.minus_one, self.two = torch.tensor(-1.0, dtype=dtype), torch.tensor(2.0, dtype=dtype)
        self._buffers: dict[int, Buffers] = {}

    @torch.inference_mode()
    def run(
        self,
        windows: Int[Tensor, "N c"],
        targets: Int[Tensor, " N"],
        lr: float,
        momentum: float,
        gradients: dict[str, Tensor] | None = None,
    ) -> float:
        """One step; returns the loss before it. With `gradients` they are left there too, by name."""
        n = len(windows)
        b = self._buffers.get(n)
        if b is None:
            b = self._buffers[n] = Buffers(self, n)
        ids = windows.reshape(-1)
        loss = self._forward(b, ids, targets)
        if momentum:
            torch.addmm(self.p["b1"], b.x_mean, self.p["W1"], out=b.mean)
            self.running_mean.lerp_(b.mean, momentum)
            self._keep_variance(b, momentum, n)
        self._backward(b, targets)
        if gradients is not None:
            self._collect(b, gradients, 1 / n)
        self._update(b, -lr / n)
        return loss

    def _forward(self, b: Buffers, ids: Tensor, targets: Tensor) -> float:
        p = self.p
        torch.index_select(self.eye, 0, ids, out=b.one_hot)
        torch.mm(b.one_hot, p["C"], out=b.emb)
        torch.mm(b.mean_of, b.x, out=b.x_mean)
        b.x.sub_(b.x_mean)
        torch.mm(b.x, p["W1"], out=b.centred)
        torch.mul(b.centred, b.centred, out=b.squared)
        torch.addmm(self.epsilon, b.variance_of, b.squared, out=b.scale)
        b.scale.rsqrt_()
        torch.mul(b.scale, p["bngain"], out=b.by)
        torch.mul(b.by, 2, out=b.doubled)
        torch.add(p["bnbias"], p["bnbias"], out=b.row)
        torch.addcmul(b.row, b.centred, b.doubled, out=b.h)
        b.h.sigmoid_()
        torch.addcmul(self.minus_one, b.h, self.two, out=b.h)
        torch.addmm(p["b2"], b.h, p["W2"], out=b.logits)
        torch.log_softmax(b.logits, 1, out=b.log_probs)
        return -b.log_probs.gather(1, targets[:, None]).mean().item()

    def _keep_variance(self, b: Buffers, momentum: float, n: int) -> None:
        """The stored variance is the unbiased one, whatever the batch is normalised by."""
        torch.mm(b.mean_of, b.squared, out=b.row)
        self.running_variance.lerp_(b.row.mul_(n / (n - 1)), momentum)

    def _backward(self, b: Buffers, targets: Tensor) -> None:
        """Every gradient here is that of n times the loss; 1 / n comes in with the rate."""
        p = self.p
        d = torch.exp(b.log_probs, out=b.logits)
        d.scatter_add_(1, targets[:, None], b.minus)
        torch.mm(d, p["W2"].t(), out=b.d_h)
        torch.mul(b.h, b.h, out=b.squared)
        g = b.d_h.addcmul_(b.d_h, b.squared, value=-1)
        torch.mm(b.ones, g, out=b.d_bias)
        torch.mul(g, b.centred, out=b.squared)
        torch.mm(b.variance_of, b.squared, out=b.row)  # sum(g c) / (n - k)
        torch.mul(b.row, b.scale, out=b.d_gain)
        b.row.mul_(b.scale).mul_(b.scale)
        g.addcmul_(b.centred, b.row, value=-1).mul_(b.by)  # BatchNorm's dx, its mean over the batch not yet taken away
        torch.mm(g, p["W1"].t(), out=b.d_x)
        torch.mm(b.mean_of, b.d_x, out=b.d_x_mean)
        b.d_x.sub_(b.d_x_mean)

    def _update(self, b: Buffers, by: float) -> None:
        p = self.p
        p["W2"].addmm_(b.h.t(), b.logits, alpha=by)
        p["b2"].view(1, -1).addmm_(b.ones, b.logits, alpha=by)
        p["bngain"].add_(b.d_gain, alpha=by * (b.ones.shape[1] - self.correction))
        p["bnbias"].add_(b.d_bias, alpha=by)
        p["W1"].addmm_(b.x.t(), b.d_h, alpha=by)
        p["C"].addmm_(b.one_hot.t(), b.d_emb, alpha=by)

    def _collect(self, b: Buffers, into: dict[str, Tensor], by: float) -> None:
        into |= {
            "C": b.one_hot.t() @ b.d_emb * by,
            "W1": b.x.t() @ b.d_h * by,
            "b1": torch.zeros_like(self.p["b1"]),
            "W2": b.h.t() @ b.logits * by,
            "b2": (b.ones @ b.logits)[0] * by,
            "bngain": b.d_gain * (by * (b.ones.shape[1] - self.correction)),
            "bnbias": b.d_bias * by,
        }
