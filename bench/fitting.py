"""From the opened file to the loss on dev, for the Kneser-Ney 5-gram."""

from __future__ import annotations

from moreish import Corpus, evaluate, fit
from timing import REPEATS, Measured, measure, timed


def five_gram(lists: dict[str, str]) -> Measured:
    """Core-seconds, each repeat in a fresh process, its imports left out."""
    ran = [measure("fitting:once", lists, 60) for _ in range(REPEATS)]
    note = f"dev {ran[0]['nats']:.4f} nats per symbol, its copy mass and nats_given_new included in the time"
    return Measured([once["cpu"] for once in ran], note=note)


def once(lists: dict[str, str]) -> dict[str, float]:
    nats: list[float] = []

    def work() -> None:
        trained = fit(Corpus.read(lists["names"]), "ngram", order=5, smoothing="kneser-ney")
        nats.append(evaluate(trained).nats_per_symbol)

    return {"cpu": timed(work).cpu, "nats": nats[0]}
