"""Models that learn in no time: small ones, a few steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jaxtyping

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


@contextmanager
def checked_before() -> Iterator[None]:
    """Without the check of shapes and types, which takes most of a small model's time: for more of the same.

    What runs in here must have run before outside of it, in the same test, on the same model and kind of batch.
    """
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
