"""The whole step of the lectures' MLP with BatchNorm in plain torch: in place, nothing allocated, no autograd.

The derivations are those of `affine`, `normalize`, `pointwise` and `loss`; what is here is how they are put together.

1. Normalising takes each unit's mean over the batch away, and a mean passes through a linear map: (x - mean(x)) W1 is
   already centred. So 30 columns are centred instead of 200, and b1 has no part in it: its gradient is zero.
2. The same on the way back: dx of BatchNorm needs the mean of its gradient taken away, but W1's gradient is a product
   with centred inputs, which does that by itself; only the embeddings' gradient is centred, again 30 columns wide.
3. Sums over the batch are products with a row of ones, three times as fast as `sum`; tanh x = 2 sigmoid(2 x) - 1 takes
   a third of torch's tanh.
4. Gradients go into the weights by the product that makes them (`addmm_`), with -lr / n as its factor.
5. Rows of C are chosen, and their gradients collected, by products with a one-hot matrix, twice as fast as indexing;
   where there are more than MOST_ONE_HOT symbols, by indexing.
"""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from moreish.errors import UsageError

MOST_ONE_HOT = 256


class Buffers:
    """What a step over n windows writes into, made once for each n, and the views of it that products take."""

    def __init__(self, step: PlainStep, n: int):
        p = step.p
        symbols, width = p["C"].shape
        inputs, hidden = p["W1"].shape

        def empty(*shape: int) -> Tensor:
            return torch.empty(shape, dtype=p["C"].dtype)

        places = n * inputs // width
        self.one_hot, self.wanted = (empty(places, symbols), empty(n, symbols)) if step.dense else (empty(0, 0),) * 2
        self.minus = -torch.ones(n, 1, dtype=p["C"].dtype)
        self.x, self.d_x = empty(n, inputs), empty(n, inputs)
        self.emb, self.d_emb = (t.view(-1, width) for t in (self.x, self.d_x))
        self.x_mean, self.d_x_mean = empty(1, inputs), empty(1, inputs)
        self.centred, self.h, self.d_h, self.squared = (empty(n, hidden) for _ in range(4))
        self.row, self.scale, self.by, self.doubled, self.d_gain, self.d_bias = (empty(1, hidden) for _ in range(6))
        self.logits, self.log_probs = empty(n, symbols), empty(n, symbols)
        self.ones = torch.ones(1, n, dtype=p["C"].dtype)
        self.mean_of = self.ones / n
        self.variance_of = self.ones / (n - step.correction)
        self.unbiased_of = self.ones / (n - 1)
        self.one_hot_t, self.x_t, self.h_t = self.one_hot.t(), self.x.t(), self.h.t()
        self.flat_log_probs, self.flat_wanted = self.log_probs.view(-1), self.wanted.view(-1)


class PlainStep:
    """Holds the lecture's parameters by name, each in the layout that its products like best."""

    name = "plain"

    def __init__(self, parameters: dict[str, Tensor], correction: int, epsilon: float, momentum: float):
        self.p = {name: tensor.contiguous().clone() for name, tensor in parameters.items()}
        self.w2_t = self.p["W2"].t().contiguous()
        self.p["W2"] = self.w2_t.t()
        self.w1_t, self.b2_row = self.p["W1"].t(), self.p["b2"].view(1, -1)
        self.correction, self.momentum = correction, momentum
        hidden, like = len(self.p["b1"]), self.p["C"].dtype
        self.running_mean, self.running_variance = torch.zeros(1, hidden, dtype=like), torch.ones(1, hidden, dtype=like)
        self.epsilon = torch.full((1, hidden), epsilon, dtype=like)
        self.dense = len(self.p["C"]) <= MOST_ONE_HOT
        self.eye = torch.eye(len(self.p["C"]) if self.dense else 0, dtype=like)
        # Numbers of Python's take a conversion at each call.
        self.minus_one, self.two = torch.tensor(-1.0, dtype=like), torch.tensor(2.0, dtype=like)
        self._buffers: dict[int, Buffers] = {}

    @torch.inference_mode()
    def run(self, windows: Int[Tensor, "N c"], targets: Int[Tensor, " N"], lr: float) -> float:
        """One step; returns the loss before it.

        Raises:
            UsageError: an id that is none of the symbols; nothing has changed.
        """
        n = windows.shape[0]
        b = self._buffers.get(n)
        if b is None:
            b = self._buffers[n] = Buffers(self, n)
        loss = self._forward(b, windows, targets, self.momentum)
        self._backward(b, targets)
        self._update(b, windows, -lr / n)
        return loss / n

    @torch.no_grad()
    def gradients(self, windows: Int[Tensor, "N c"], targets: Int[Tensor, " N"]) -> tuple[float, dict[str, Tensor]]:
        """The loss and the gradients by name; nothing changes.

        Raises:
            UsageError: an id that is none of the symbols.
        """
        n = windows.shape[0]
        b = Buffers(self, n)
        loss = self._forward(b, windows, targets, 0.0)
        self._backward(b, targets)
        d_table = torch.zeros_like(self.p["C"]).index_add_(0, windows.reshape(-1), b.d_emb)
        return loss / n, {
            "C": d_table / n,
            "W1": b.x_t @ b.d_h / n,
            "b1": torch.zeros_like(self.p["b1"]),
            "W2": b.h_t @ b.logits / n,
            "b2": (b.ones @ b.logits)[0] / n,
            "bngain": b.d_gain / n,
            "bnbias": b.d_bias / n,
        }

    def _forward(self, b: Buffers, windows: Tensor, targets: Tensor, momentum: float) -> float:
        """Returns n times the loss."""
        p = self.p
        self._choose(b, windows, targets)
        torch.mm(b.mean_of, b.x, out=b.x_mean)
        b.x.sub_(b.x_mean)
        torch.mm(b.x, p["W1"], out=b.centred)
        torch.mul(b.centred, b.centred, out=b.squared)
        torch.mm(b.variance_of, b.squared, out=b.scale)
        if momentum:
            self._keep(b, momentum)
        b.scale.add_(self.epsilon).rsqrt_()
        torch.mul(b.scale, p["bngain"], out=b.by)
        torch.add(b.by, b.by, out=b.doubled)
        torch.add(p["bnbias"], p["bnbias"], out=b.row)
        torch.addcmul(b.row, b.centred, b.doubled, out=b.h)
        b.h.sigmoid_()
        torch.addcmul(self.minus_one, b.h, self.two, out=b.h)
        torch.addmm(p["b2"], b.h, p["W2"], out=b.logits)
        torch.log_softmax(b.logits, 1, out=b.log_probs)
        if not self.dense:
            return -b.log_probs.gather(1, targets[:, None]).sum().item()
        return -torch.dot(b.flat_log_probs, b.flat_wanted).item()

    def _choose(self, b: Buffers, windows: Tensor, targets: Tensor) -> None:
        """The windows' embeddings, and the targets' rows: all ids are met here, before anything changes.

        Raises:
            UsageError: an id that is none of the symbols.
        """
        p, what = self.p, "windows"
        try:
            if self.dense:
                torch.index_select(self.eye, 0, windows.view(-1), out=b.one_hot)
                what = "targets"
                torch.index_select(self.eye, 0, targets, out=b.wanted)
                torch.mm(b.one_hot, p["C"], out=b.emb)
            else:
                torch.index_select(p["C"], 0, windows.view(-1), out=b.emb)
                what = "targets"
                torch.index_select(p["b2"], 0, targets)  # for its check; a hundredth of the step
        except IndexError:
            raise strange_id(what, len(p["C"])) from None

    def _keep(self, b: Buffers, momentum: float) -> None:
        """Move the running statistics. Their variance is the unbiased one, whatever the batch is normalised by."""
        torch.addmm(self.p["b1"], b.x_mean, self.p["W1"], out=b.row)
        self.running_mean.lerp_(b.row, momentum)
        unbiased = b.scale if self.correction == 1 else torch.mm(b.unbiased_of, b.squared, out=b.row)
        self.running_variance.lerp_(unbiased, momentum)

    def _backward(self, b: Buffers, targets: Tensor) -> None:
        """Every gradient here is that of n times the loss; 1 / n comes in with the rate."""
        d = torch.exp(b.log_probs, out=b.logits)
        if self.dense:
            d.sub_(b.wanted)
        else:
            d.scatter_add_(1, targets[:, None], b.minus)
        torch.mm(d, self.w2_t, out=b.d_h)
        torch.mul(b.h, b.h, out=b.squared)
        g = b.d_h.addcmul_(b.d_h, b.squared, value=-1)
        torch.mm(b.ones, g, out=b.d_bias)
        torch.mul(g, b.centred, out=b.squared)
        torch.mm(b.ones, b.squared, out=b.d_gain)
        torch.mm(b.variance_of, b.squared, out=b.row)  # sum(g c) / (n - k)
        b.d_gain.mul_(b.scale)
        b.row.mul_(b.scale).mul_(b.scale)
        g.addcmul_(b.centred, b.row, value=-1).mul_(b.by)  # BatchNorm's dx, its mean over the batch not yet taken away
        torch.mm(g, self.w1_t, out=b.d_x)
        torch.mm(b.mean_of, b.d_x, out=b.d_x_mean)
        b.d_x.sub_(b.d_x_mean)

    def _update(self, b: Buffers, windows: Tensor, by: float) -> None:
        p = self.p
        p["W2"].addmm_(b.h_t, b.logits, alpha=by)
        self.b2_row.addmm_(b.ones, b.logits, alpha=by)
        p["bngain"].add_(b.d_gain, alpha=by)
        p["bnbias"].add_(b.d_bias, alpha=by)
        p["W1"].addmm_(b.x_t, b.d_h, alpha=by)
        if self.dense:
            p["C"].addmm_(b.one_hot_t, b.d_emb, alpha=by)
        else:
            p["C"].index_add_(0, windows.view(-1), b.d_emb, alpha=by)


def strange_id(what: str, symbols: int) -> UsageError:
    """For ids that no parameters are there for."""
    return UsageError(f"{what} hold an id that is none of 0 to {symbols - 1}. Use the parameters' own alphabet.")
