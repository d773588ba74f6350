"""A tuned recipe for every model: near its best with no flags, from 200 lines to a million.

What was found on the unique split's dev part of several lists stands in `TUNED`; how the length of a training follows
from a list's size in `steps_for`. `docs/results.md` has the losses that they reach.
"""

from __future__ import annotations

import math
from typing import Any

from moreish.learning.recipe import learning_keys
from moreish.text.corpus import Corpus

Tuned = dict[str, Any]

NETWORK: Tuned = {"optimizer": "adamw", "lr": 3e-3, "schedule": "cosine", "warmup": 0.05, "batch": 128,
                  "weight_decay": 0.1, "average": 0.998, "use": "average", "clip": 1.0}  # fmt: skip
"""What suits a network about which nothing more is known."""

DESCENT: Tuned = {**NETWORK, "optimizer": "sgd", "lr": 0.1, "schedule": "constant", "warmup": 0.0, "weight_decay": 0.0,
                  "average": 0.0, "use": "last", "clip": 0.0}  # fmt: skip
"""For who asks for SGD: as in the lectures, without anything they do not have."""
SIZES: dict[str, tuple[set[str], Tuned]] = {"mlp": ({"hidden", "layers"}, {"layers": 2, "dropout": 0.1})}
"""Settings of a model that go together with the default of others, and so are taken where none of these is given."""
TUNED: dict[str, Tuned] = {
    "one-layer": {"lr": 0.1, "weight_decay": 0.0},
    "mlp": {"lr": 5e-3},
    "mlp-bn": {"lr": 5e-3},
    "bow": {"lr": 5e-3},
    "gru": {"lr": 4e-3},
    "lstm": {"lr": 4e-3},
    "wavenet": {"lr": 4e-3},
    "transformer": {"lr": 4e-3},
    "mixture": {"lr": 4e-3, "beta2": 0.99, "warmup": 0.03, "average": 0.0},
}
PASSES: dict[str, float] = {"mlp": 14.0, "wavenet": 10.0, "gru": 13.0, "lstm": 13.0, "transformer": 13.0, "rnn": 13.0,
                            "mixture": 5.0}  # fmt: skip
DEFAULT_PASSES = 14.0
ONE_LAYER_STEPS = 2000
ONE_LAYER_LR = 50.0
"""The lecture's rate; its 100 to 200 steps stop at 2.47 where counting gives 2.454."""
MOST_CANDIDATES = 1 << 19
"""Of a mixture's step, over all its positions: each takes 92 numbers several times over, 2 GB in all."""
LEAST_STEPS = 40
"""Below, a network has hardly begun; far above, a list of a few hundred lines is learnt by heart (`docs/log.md`)."""
FEWER_STEPS = {"mixture": 20}
"""Its tables know a short list from the start: what weighs them has little to learn there, and soon learns too much."""
MOST_STEPS = 60_000
WATCH_EVERY, READINGS = 100, 100
"""Steps between readings of the vitals, which take two steps' time, and about how many of them a long training has."""


def defaults(model: str) -> Tuned:
    """How a model learns unless told otherwise; `steps` is None, for it follows from the list's size."""
    if model == "one-layer":  # descends on the whole list, as in the lecture
        return {"steps": ONE_LAYER_STEPS, "lr": ONE_LAYER_LR, "weight_decay": 0.0, "initialization": "default"}
    found = {name: default for name, (default, _) in learning_keys().items()}
    return _settled({**found, **NETWORK, **TUNED.get(model, {}), "steps": None, "watch_every": WATCH_EVERY})


def tuned(model: str, corpus: Corpus, settings: Tuned, learning: Tuned) -> tuple[Tuned, Tuned]:
    """A model's settings and how it learns this list, what was asked for taking the first place."""
    if learning.get("optimizer") == "sgd":
        found = {**DESCENT, **learning}
    else:
        found = {**NETWORK, **TUNED.get(model, {}), **learning}
    together, sizes = SIZES.get(model, (set(), {}))
    if not together & settings.keys():
        settings = {**sizes, **settings}
    if learning.get("use") is None:
        found = _settled(found)
    if model == "mixture" and "batch" not in learning:
        symbols = len(corpus.alphabet) * (1 + len(corpus.train.data) / max(1, len(corpus.train)))
        found["batch"] = max(1, min(found["batch"], int(MOST_CANDIDATES / symbols)))
    if "steps" not in found:
        found["steps"] = steps_for(model, corpus, found["batch"])
    found.setdefault("watch_every", watch_every(found["steps"]))
    return settings, found


def watch_every(steps: int) -> int:
    """Steps between readings of the vitals, so that they cost a few per cent and fill no disk."""
    return max(WATCH_EVERY, math.ceil(steps / READINGS))


def _settled(found: Tuned) -> Tuned:
    """Without an average there is none to use."""
    return found if found["average"] else {**found, "use": "last"}


def steps_for(model: str, corpus: Corpus, batch: int) -> int:
    """So many passes as suit the model, fewer over a list so long that one shows it all."""
    lines = len(corpus.train)
    passes = PASSES.get(model, DEFAULT_PASSES)
    return min(MOST_STEPS, max(FEWER_STEPS.get(model, LEAST_STEPS), math.ceil(passes * lines / max(1, batch))))
