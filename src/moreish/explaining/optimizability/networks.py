"""The networks that are compared, of about as many weights each, and plain RNNs that begin with other weights.

Sources: Saxe et al. 2014 (orthogonal weights keep a gradient's size), Glorot and Bengio 2010 (a deviation of
gain / sqrt(width)); the models' own sources stand with them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch

from moreish.layers import INITIAL
from moreish.models.model import LanguageModel
from moreish.models.recurrent import GRU, LSTM, RNN, GRUConfig, Layer, LSTMConfig, RNNConfig
from moreish.models.wavenet import WaveNet, WaveNetConfig
from moreish.randomness import stream

EMBEDDING = 16
RNN_UNITS, GRU_UNITS, LSTM_UNITS = 96, 56, 48
WAVENET_WIDTH, WAVENET_SKIP, WAVENET_LAYERS = 18, 36, 5
SMALL, LARGE = 0.5, 4.0
"""Times 1 / sqrt(units): deviations of plain recurrent weights, whose spectral radius is then about this number."""


@dataclass(frozen=True)
class Network:
    """A network by its name: how it is made for so many symbols and a seed, and what is particular about it."""

    name: str
    make: Callable[[int, int], LanguageModel]
    about: str
    plain: bool = False
    """Whether its state goes from symbol to symbol through one matrix and tanh."""


def _rnn(symbols: int, seed: int) -> RNN:
    return RNN(RNNConfig(symbols, EMBEDDING, RNN_UNITS, dropout=0.0), seed)


def _rnn_of(gain: float) -> Callable[[int, int], RNN]:
    def make(symbols: int, seed: int) -> RNN:
        model = _rnn(symbols, seed)
        weight = cast("Layer", model.layers[0]).hidden
        with torch.no_grad():
            INITIAL["kaiming"](weight, RNN_UNITS, gain, stream(seed, "optimizability/weights"))
        return model

    return make


def _gru(symbols: int, seed: int) -> GRU:
    return GRU(GRUConfig(symbols, EMBEDDING, GRU_UNITS, dropout=0.0), seed)


def _lstm(symbols: int, seed: int) -> LSTM:
    return LSTM(LSTMConfig(symbols, EMBEDDING, LSTM_UNITS, dropout=0.0), seed)


def _wavenet(symbols: int, seed: int) -> WaveNet:
    return WaveNet(WaveNetConfig(symbols, WAVENET_WIDTH, WAVENET_SKIP, WAVENET_LAYERS, dropout=0.0), seed)


NETWORKS = (
    Network("rnn", _rnn, "tanh(x + W h), W orthogonal at first", plain=True),
    Network("rnn-small", _rnn_of(SMALL), f"the same, W drawn with deviation {SMALL:g} / sqrt(units)", plain=True),
    Network("rnn-large", _rnn_of(LARGE), f"the same, W drawn with deviation {LARGE:g} / sqrt(units)", plain=True),
    Network("gru", _gru, "a gate keeps the state, or renews it"),
    Network("lstm", _lstm, "a cell that is added to, and gates that begin open"),
    Network("wavenet", _wavenet, f"convolutions: {WAVENET_LAYERS} layers between any two of 32 symbols"),
)
