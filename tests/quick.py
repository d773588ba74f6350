"""Models that learn in no time: small ones, a few steps."""

from __future__ import annotations

from typing import Any

from moreish.learning.fit import fit
from moreish.learning.recipe import Trained
from moreish.models.catalog import MODELS
from moreish.text.corpus import Corpus

SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": 12, "embedding": 4, "context": 3, "dropout": 0.2},
    "mlp-bn": {"hidden": 12, "embedding": 4},
    "bow": {"hidden": 12, "embedding": 4},
    "rnn": {"hidden": 12, "embedding": 4},
    "gru": {"hidden": 12, "embedding": 4},
    "lstm": {"hidden": 12, "embedding": 4},
    "tree": {"hidden": 12, "embedding": 4},
    "wavenet": {"width": 8, "skip": 8},
    "transformer": {"width": 8, "heads": 2, "layers": 2},
    "mixture": {"gate": 8, "scorer": 8},
}
"""Settings under which a network takes its steps in milliseconds."""
NETWORKS = tuple(name for name, entry in MODELS.items() if entry.learns_by_gradient)


def quick(corpus: Corpus, model: str, **asked: Any) -> Trained:
    """A model of the catalog, learnt a little: by counting, or a few steps of a small network."""
    few = {"steps": 5} if model in NETWORKS and "closed_form" not in asked else {}
    return fit(corpus, model, **{**few, **SMALL.get(model, {}), **asked})
