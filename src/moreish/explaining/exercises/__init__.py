"""The exercises, from easy to hard, each by its id."""

from __future__ import annotations

from moreish.errors import UsageError, did_you_mean
from moreish.explaining.exercises.definition import Exercise
from moreish.explaining.exercises.lecture import (
    BATCH_NORM_FUSED,
    CROSS_ENTROPY,
    CROSS_ENTROPY_FUSED,
    MLP,
    MLP_FUSED,
)
from moreish.explaining.exercises.networks import ATTENTION, CONVOLUTION, GELU, GRU, LSTM, RNN, SWIGLU, TIED
from moreish.explaining.exercises.normalization import LAYER_NORM, LOGSUMEXP, RMS_NORM, VARIANCE
from moreish.explaining.exercises.objectives import BINARY, FOCAL_LOSS, LABEL_SMOOTHING, WEIGHT_DECAY
from moreish.explaining.exercises.pointwise import (
    BROADCASTING,
    COMPOSITE,
    DROPOUT,
    FAN_OUT,
    LINEAR,
    MAXIMUM,
    NEURON,
    RESIDUAL,
)

EXERCISES: dict[str, Exercise] = {
    each.id: each
    for each in (
        NEURON, COMPOSITE, FAN_OUT, BROADCASTING, LINEAR, WEIGHT_DECAY, RESIDUAL, DROPOUT, MAXIMUM, LOGSUMEXP,
        BINARY, VARIANCE, CROSS_ENTROPY, CROSS_ENTROPY_FUSED, LABEL_SMOOTHING, FOCAL_LOSS, GELU, SWIGLU, RMS_NORM,
        LAYER_NORM, BATCH_NORM_FUSED, TIED, RNN, LSTM, GRU, CONVOLUTION, ATTENTION, MLP, MLP_FUSED,
    )
}  # fmt: skip


def exercise(name: str) -> Exercise:
    """The exercise of this id.

    Raises:
        UsageError: there is none; says which come near.
    """
    if not isinstance(name, str) or name not in EXERCISES:
        raise UsageError(f"no exercise is called {name!r:.60}. {did_you_mean(str(name), EXERCISES)}")
    return EXERCISES[name]
