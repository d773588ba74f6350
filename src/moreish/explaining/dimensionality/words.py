"""What the figures on dimensionality say, in sentences that are made from them."""

from __future__ import annotations

from moreish.explaining.dimensionality.dimensionality import Dimensionality, Network
from moreish.explaining.dimensionality.distances import Concentration
from moreish.explaining.dimensionality.neighbours import NEAREST

SHORT = 1_000_000
"""Counts from here on are written as powers of ten."""
CLEAR = 0.02
"""Nats per symbol within which two losses are called alike."""


def explained(found: Dimensionality) -> dict[str, str]:
    """A sentence or two for each table, by its name."""
    return {
        "contexts": (
            f"possible: {found.symbols} to the power of the length, the boundary being one of {found.symbols} symbols. "
            f"seen: different ones in train; mean and median: how often each. new: share of dev's positions whose "
            f"context train does not have, where a table knows nothing."
        ),
        "losses": (
            f"nats per symbol. counts: a table of that length with {found.added:g} added to each count, and nothing "
            f"shorter to fall back on. back-off: Kneser-Ney, which falls back. network: an MLP of {found.hidden} "
            f"hidden units after {found.steps:,} steps. A dev loss far above train is overfitting."
        ),
        "random": (
            "contrast: (farthest - nearest) / nearest, the median over queries. near: the share of all points that are "
            "less than twice as far as the nearest; where it is 100 %, the nearest is hardly nearer than any other."
        ),
        "learnt": (
            f"the same between contexts of the list, their embeddings of {found.embedding} numbers a symbol side by "
            f"side, and between as many random points of as many numbers. spread: in how many directions contexts "
            f"really vary."
        ),
        "neighbours": (
            f"same next: share of the {NEAREST} nearest training windows that are followed by what follows the query; "
            f"chance: of any window. Losses on the same queries: of voting by these neighbours, of counting the same "
            f"windows where they are equal, and of the network, which learnt from all of train."
        ),
        "work": (
            "table: cells for every context and next symbol. weights: of the network. Then multiply-adds for one "
            "prediction, by the network and by comparing with every training window."
        ),
    }


def concluded(found: Dimensionality) -> list[str]:
    """What follows, from the numbers of this list."""
    sentences = [_of_space(found), _of_overfitting(found), _of_networks(found), _of_random(found), _of_learnt(found),
                 _of_neighbours(found), _of_work(found)]  # fmt: skip
    return [sentence for sentence in sentences if sentence]


def left_out(found: Dimensionality) -> list[str]:
    """Which figures there are none of, and why."""
    names = {
        "dev": "Nothing on dev, and no neighbours",
        "learnt": "Not all learnt distances",
        "neighbours": "No neighbours",
    }
    return [f"{names[name]}: {why}." for name, why in found.reasons.items()]


def headline(found: Dimensionality) -> str:
    """The whole in one sentence."""
    return _of_space(found)


def short(number: int) -> str:
    """A count that people can read: with commas, and from a million on as a power of ten."""
    return f"{number:,}" if number < SHORT else f"{number:.1e}".replace("e+", "e").replace("e0", "e")


def percent(share: float) -> str:
    """A share in per cent, to two digits where it is small."""
    return f"{100 * share:.1f} %" if share >= 0.001 or not share else f"{100 * share:.1g} %"


def _of_space(found: Dimensionality) -> str:
    first, last = found.contexts[0], found.contexts[-1]
    new = "" if last.dev_unseen is None else f", and {percent(last.dev_unseen)} of dev's positions meet one that is new"
    return (
        f"Space: each symbol of context makes {found.symbols} times as many contexts possible. Of length "
        f"{first.length}, {first.seen:,} of {short(first.possible)} are seen; of length {last.length}, {last.seen:,} "
        f"of {short(last.possible)}, {percent(last.once)} of these once only{new}."
    )


def _of_overfitting(found: Dimensionality) -> str:
    told = [(each, each.dev) for each in found.contexts if each.dev is not None]
    if not told:
        return ""
    best, least = min(told, key=lambda pair: pair[1])
    last, dev = told[-1]
    rest = (
        f"; by length {last.length} train is at {last.train:.3f} and dev at {dev:.3f}: what it counts there is chance"
        if dev > least + CLEAR
        else ""
    )
    mended = "" if last.backoff_dev is None else f". Falling back on shorter contexts mends it: {last.backoff_dev:.3f}"
    return (
        f"Overfitting: a table is best at length {best.length}, {best.train:.3f} on train and {least:.3f} on "
        f"dev{rest}{mended}."
    )


def _of_networks(found: Dimensionality) -> str:
    network = found.networks[-1]
    table = next((each for each in found.contexts if each.length == network.length), None)
    if network.dev is None or table is None or table.dev is None:
        return ""
    gap, tables = network.dev - network.train, table.dev - table.train
    return (
        f"Sharing: at length {network.length} the network's {network.work.weights:,} weights stand for "
        f"{short(network.work.table_cells)} cells. Its dev loss is {network.dev:.3f}, {abs(gap):.3f} "
        f"{'above' if gap >= 0 else 'below'} train, where the table's is {tables:.3f} above: like symbols get like "
        f"embeddings, so a context that is new is not strange."
        if gap < tables
        else f"Sharing: at length {network.length} the network overfits no less than the table: {gap:.3f} against "
        f"{tables:.3f}. The list is short for {network.work.weights:,} weights."
    )


def _of_random(found: Dimensionality) -> str:
    told = [each.found for each in found.random if each.kind == "uniform"]
    first, last = told[0], told[-1]
    all_near = next((each for each in told if each.within_twice > 0.99), None)
    near = "" if all_near is None else f"; from {all_near.dimensions} on, nearly all are less than twice as far as it"
    return (
        f"Distances: of {first.points:,} random points in {first.dimensions} dimension the farthest is "
        f"{_times(first)} as far as the nearest, in {last.dimensions:,} dimensions {_times(last)}{near}."
    )


def _of_learnt(found: Dimensionality) -> str:
    network = found.networks[-1]
    learnt = network.learnt
    if learnt is None or learnt.embeddings.contrast is None or learnt.random.contrast is None:
        return ""
    less = learnt.embeddings.contrast > learnt.random.contrast
    return (
        f"Learnt: contexts of {network.length} symbols, {learnt.embeddings.dimensions} numbers, have a contrast of "
        f"{learnt.embeddings.contrast:.2f}, where random points of as many have {learnt.random.contrast:.2f}: they "
        f"concentrate {'less' if less else 'no less'}. They spread in {learnt.effective_dimensions:.0f} directions, "
        f"and contexts that share symbols lie close."
    )


def _of_neighbours(found: Dimensionality) -> str:
    told = [(network, network.neighbours) for network in found.networks if network.neighbours is not None]
    if not told:
        return ""
    network, near = told[-1]
    verdict = (
        "better than"
        if near.knn < near.counted - CLEAR
        else "worse than"
        if near.knn > near.counted + CLEAR
        else "like"
    )
    means = (
        "nearness still means something where equality fails" if verdict == "better than" else "here that is no gain"
    )
    short_of = f", and {near.knn - near.network:.3f} short of the network" if near.knn > near.network else ""
    return (
        f"Neighbours: at length {network.length} {percent(near.same_next)} of the nearest are followed by what follows "
        f"the query, by chance {percent(near.chance)}. Voting, they come to {near.knn:.3f}, {verdict} counting equal "
        f"windows, {near.counted:.3f}: {means}{short_of}."
    )


def _of_work(found: Dimensionality) -> str:
    first, last = found.networks[0], found.networks[-1]
    times = last.work.knn_multiply_adds / last.work.network_multiply_adds
    grown = _grown(first, last)
    return (
        f"Work: from length {first.length} to {last.length} the table grows {short(grown[0])} times, the network "
        f"{grown[1]:.1f} times. Comparing with all {last.work.positions:,} training windows takes "
        f"{times:,.{int(times < 10)}f} times the network's multiply-adds."
    )


def _grown(first: Network, last: Network) -> tuple[int, float]:
    return last.work.table_cells // first.work.table_cells, last.work.weights / first.work.weights


def _times(found: Concentration) -> str:
    """How many times as far the farthest is."""
    if found.contrast is None:
        return "endlessly many times"
    times = found.contrast + 1
    return f"{times:,.0f} times" if times >= 100 else f"{times:.2f} times"
