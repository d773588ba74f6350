"""The transformer: every symbol attends to those before it.

Source: Vaswani et al. 2017, Attention Is All You Need, the decoder; normalised before each part and at the end, as in
GPT-2 (Radford et al. 2019) and Karpathy's makemore. Three parts have a switch: RMSNorm (Zhang and Sennrich 2019) or
layer normalisation, rotary positions (Su et al. 2021) or learnt ones, SwiGLU (Shazeer 2020) or GELU in its tanh form;
the second of each is GPT-2's. Where we differ: a line may be longer than the context. Attention then reaches the last
`context` symbols, and learnt positions stay at the last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from moreish.errors import ConfigError
from moreish.layers import GAINS, OUTPUT_SCALE, Dropout, Embedding, LayerNorm, Linear, RMSNorm, may_fuse
from moreish.models.model import (
    LanguageModel,
    check_choice,
    check_flag,
    check_share,
    check_size,
    check_whole,
    device_of,
    setting,
)
from moreish.models.packing import Packed, pack
from moreish.ops.affine import linear
from moreish.ops.arithmetic import add, multiply, take
from moreish.ops.attend import angles, attend, attend_once, reach, rotate
from moreish.ops.block import BlockWeights, Ends, Where, decoder
from moreish.ops.normalize import EPSILON
from moreish.ops.op import told
from moreish.ops.pointwise import gelu, silu
from moreish.randomness import stream

WIDENING = 4
"""The feedforward layer is this many times the width; SwiGLU's two thirds of it, for its three matrices."""
MANY_ROWS = 256
"""Rows that each read one symbol from which on attention goes position by position."""
MOST_PIECES = 64
"""Pieces that a layer keeps before they are laid side by side."""
FUSED_PLACES = 128
"""Places in a block up to which all its attention weights are kept for the gradient."""


@dataclass(frozen=True)
class TransformerConfig:
    """The transformer's settings.

    The defaults have makemore's sizes and the parts that learnt names best. GPT-2's and makemore's own parts are
    norm="layer", positions="learnt", feedforward="gelu".
    """

    symbols: int
    context: int = setting(32, "symbols that attention reaches back, and positions that are learnt")
    width: int = setting(64, "numbers that stand for a symbol and its place, from layer to layer")
    heads: int = setting(4, "heads of attention; each has width / heads numbers")
    layers: int = setting(4, "blocks of attention and feedforward layer")
    dropout: float = setting(0.1, "share of what each part adds that is dropped while learning")
    norm: str = setting("rms", "normalisation before each part: layer, rms")
    positions: str = setting("rotary", "how places are told apart: learnt, rotary")
    feedforward: str = setting("swiglu", "the feedforward layer: gelu, swiglu")
    tie: bool = setting(False, "give the logits by the embedding's own weights")

    def __post_init__(self) -> None:
        name = type(self).__name__
        check_whole(name, "symbols", self.symbols, 1, 10**9, "It counts the alphabet and the boundary.")
        check_whole(name, "context", self.context, 1, 10**6, "Use 32, or what the longest line has.")
        check_whole(name, "width", self.width, 1, 10**6, "Use 64, say.")
        check_whole(name, "heads", self.heads, 1, 10**6, "Use 4, say.")
        check_whole(name, "layers", self.layers, 1, 1000, "Use 4, say.")
        check_share(name, "dropout", self.dropout)
        check_choice(name, "norm", self.norm, ("layer", "rms"))
        check_choice(name, "positions", self.positions, ("learnt", "rotary"))
        check_choice(name, "feedforward", self.feedforward, ("gelu", "swiglu"))
        check_flag(name, "tie", self.tie)
        self._check_heads(name)
        check_size(
            name,
            self.symbols * self.width * (1 if self.tie else 2)
            + (self.context * self.width if self.positions == "learnt" else 0)
            + self.layers * (4 + 2 * WIDENING) * self.width**2,
            f"symbols={self.symbols:,}, context={self.context:,}, width={self.width:,}, layers={self.layers}",
        )

    def _check_heads(self, name: str) -> None:
        each, rest = divmod(self.width, self.heads)
        if rest:
            fewer = next(h for h in range(self.heads, 0, -1) if self.width % h == 0)
            more = next((h for h in range(self.heads, self.width + 1) if self.width % h == 0), fewer)
            heads = " or ".join(f"heads={h}" for h in sorted({fewer, more}))
            width = max(1, round(self.width / self.heads)) * self.heads
            raise ConfigError(
                f"{name}: width={self.width} is not a multiple of heads={self.heads}. Use {heads}, or width={width}."
            )
        if self.positions == "rotary" and each % 2:
            raise ConfigError(
                f"{name}: positions='rotary' turns pairs of numbers, and width={self.width} with heads={self.heads} "
                f"gives each head {each}. Use width={2 * self.width}, or positions='learnt'."
            )


Pieces = tuple[Float[Tensor, "B _ 2 D"], ...]
"""Keys and values that one layer keeps, a piece for each reading, oldest first."""


@dataclass(frozen=True, slots=True)
class Cache:
    """What was read: how many symbols, and each layer's keys and values of the last ones, at most context - 1.

    A new value at each reading, never written to, so two readings from one never meet.
    """

    read: Int[Tensor, " B"]
    layers: tuple[Pieces, ...]


class Block(nn.Module):
    """x + attention(norm(x)), then x + feedforward(norm(x))."""

    def __init__(self, config: TransformerConfig, generator: torch.Generator):
        super().__init__()
        width, self.heads = config.width, config.heads
        norm = LayerNorm if config.norm == "layer" else RMSNorm
        gated = config.feedforward == "swiglu"
        wide = max(1, round(WIDENING * width * 2 / 3)) if gated else WIDENING * width
        # Radford et al. 2019, section 2.3: what is added 2 * layers times is scaled down by its root.
        added = (2 * config.layers) ** -0.5
        self.norm_1 = norm(width)
        self.qkv = Linear(width, 3 * width, generator=generator)
        self.merge = Linear(width, width, generator=generator, gain=added)
        self.norm_2 = norm(width)
        self.up = Linear(width, wide, generator=generator, then="linear" if gated else "gelu", gain=1.0)
        self.gate = Linear(width, wide, generator=generator, then="silu", gain=1.0) if gated else None
        self.down = Linear(wide, width, generator=generator, gain=added * GAINS["gelu"])
        self.dropout = Dropout(config.dropout)

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        before: Pieces,
        bias: Float[Tensor, "#B 1 T L"] | None,
        turn: Float[Tensor, "2 B T K"] | None,
    ) -> tuple[Float[Tensor, "B T D"], Float[Tensor, "B T 2 D"]]:
        """What x becomes, and its own keys and values."""
        rows, length, width = x.shape
        by_head = (rows, length, 3, self.heads, width // self.heads)
        qkv = self.qkv(self.norm_1(x)).view(by_head)
        if turn is not None:
            qkv = rotate(qkv, turn, parts=2)
        pieces = (*before, qkv[:, :, 1:].flatten(3))
        if length == 1 and rows >= MANY_ROWS and not torch.is_grad_enabled():
            split = (kv.unflatten(2, by_head[3:]) for piece in pieces for kv in piece.unbind(1))
            mixed = attend_once(qkv[:, 0, 0], [(kv[:, 0], kv[:, 1]) for kv in split])
        else:
            every = torch.cat(pieces, 1) if before else pieces[0]
            k, v = every.unflatten(3, by_head[3:]).permute(2, 0, 3, 1, 4)
            mixed = attend(qkv[:, :, 0].transpose(1, 2), k, v, bias).transpose(1, 2)
        x = add(x, self.dropout(self.merge(mixed.reshape(rows, length, width))))
        return add(x, self.dropout(self._feed(self.norm_2(x)))), pieces[-1]

    def _feed(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        if self.gate is None:
            return self.down(gelu(self.up(x)))
        return self.down(multiply(silu(self.gate(x)), self.up(x)))


class Transformer(LanguageModel[Cache]):
    """Embeddings of symbols and places, blocks, a last normalisation, logits."""

    fused = True
    """Whether whole lines go through all blocks in one pass where the settings allow it (`ops/block.py`)."""

    def __init__(self, config: TransformerConfig, seed: int = 0):
        super().__init__()
        self.config = config
        generator = stream(seed, "weights")
        # Where the embedding gives the logits too, they must begin small; the first normalisation mends the rest.
        deviation = OUTPUT_SCALE / math.sqrt(config.width) if config.tie else 1.0
        self.embedding = Embedding(
            config.symbols, config.width, generator=generator, deviation=deviation, output=config.tie
        )
        learnt = config.positions == "learnt"
        self.positions = (
            Embedding(config.context, config.width, generator=generator, deviation=deviation) if learnt else None
        )
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config, generator) for _ in range(config.layers))
        self.norm = LayerNorm(config.width) if config.norm == "layer" else RMSNorm(config.width)
        self.output = (
            None if config.tie else Linear(config.width, config.symbols, generator=generator, bias=False, output=True)
        )
        usual = (config.norm, config.feedforward, config.positions) == ("layer", "gelu", "learnt")
        self._plain = usual and not config.tie
        self._parts = tuple(self.modules())[1:]

    def begin(self, batch: int) -> Cache:
        return Cache(torch.zeros(batch, dtype=torch.long, device=device_of(self)), ((),) * self.config.layers)

    def forward(self, tokens: Int[Tensor, "B T"], state: Cache) -> tuple[Float[Tensor, "B T V"], Cache]:
        context, length = self.config.context, tokens.shape[1]
        places = state.read[:, None] + torch.arange(length, device=tokens.device)
        x = self._embed(tokens, places)
        turn = self._turn(places, x.dtype)
        kept = sum(piece.shape[1] for piece in state.layers[0])
        bias = reach(length, kept + length, context, x.dtype, x.device)
        layers = []
        for block, before in zip(self.blocks, state.layers):
            x, own = block(x, before, bias, turn)
            layers.append(_latest((*before, own), kept + length - (context - 1)))
        return self._logits(x), Cache(state.read + length, tuple(layers))

    def read_lines(self, tokens: Int[Tensor, " N"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "N V"]:
        if torch.compiler.is_compiling():
            return super().read_lines(tokens, lengths)
        packed = pack(tokens, lengths, self.config.symbols)
        bias = packed.reach(self.config.context, self.embedding.weight.dtype)[:, None]
        if self._fusible(packed):
            where = Where(packed.tokens, self._clamped(packed.depths), bias, packed.places)
            return decoder(where, self.config.heads, EPSILON, *self._weights(), self._masks(packed.tokens.numel()))
        x = self._embed(packed.tokens, packed.depths)
        turn = self._turn(packed.depths, x.dtype)
        for block in self.blocks:
            x, _ = block(x, (), bias, turn)
        return take(self._logits(x.flatten(0, 1)), packed.places)

    def _clamped(self, places: Int[Tensor, "B T"]) -> Int[Tensor, "B T"]:
        return places.clamp(max=self.config.context - 1)

    def _embed(self, tokens: Int[Tensor, "B T"], places: Int[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        x = self.embedding(tokens)
        if self.positions is not None:
            x = add(x, self.positions(self._clamped(places)))
        return self.dropout(x)

    def _turn(self, places: Int[Tensor, "B T"], dtype: torch.dtype) -> Float[Tensor, "2 B T K"] | None:
        if self.config.positions == "learnt":
            return None
        return angles(places, self.config.width // self.config.heads, dtype)

    def _logits(self, x: Float[Tensor, "*N D"]) -> Float[Tensor, "*N V"]:
        x = self.norm(x)
        return linear(x, self.embedding.weight) if self.output is None else self.output(x)

    def _fusible(self, packed: Packed) -> bool:
        return (
            self._plain
            and self.fused
            and not told()
            and packed.tokens.shape[1] <= FUSED_PLACES
            and may_fuse(*self._parts)
        )

    def _weights(self) -> tuple[Ends, list[BlockWeights]]:
        """What `decoder` takes: the parameters in the order in which they were made."""
        size = len(BlockWeights._fields)
        flat = [p for part in self._parts for p in part._parameters.values() if p is not None]
        symbols, positions, *inner, gain, bias, output = flat
        each = [BlockWeights(*inner[i : i + size]) for i in range(0, len(inner), size)]
        return Ends(symbols, positions, gain, bias, output), each

    def _masks(self, places: int) -> list[Tensor] | None:
        if not self.training or self.config.dropout == 0:
            return None
        ones = self.embedding.weight.new_ones(places, self.config.width)
        drops = [self.dropout, *(block.dropout for block in self.blocks for _ in range(2))]
        return [drop(ones) for drop in drops]


def _latest(pieces: Pieces, beyond: int) -> Pieces:
    """The pieces without the `beyond` oldest symbols."""
    while beyond > 0 and pieces and pieces[0].shape[1] <= beyond:
        beyond -= pieces[0].shape[1]
        pieces = pieces[1:]
    if beyond > 0 and pieces:
        pieces = (pieces[0][:, beyond:], *pieces[1:])
    return (torch.cat(pieces, 1),) if len(pieces) > MOST_PIECES else pieces
