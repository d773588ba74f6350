"""Lines under conditions, exactly: the tables made for them, draws from these, and what only new lines cost."""

from __future__ import annotations

from itertools import islice

from moreish import Conditions, Corpus, fit, sample
from moreish.generating.chain import chain_of
from moreish.generating.constraints import compile_conditions
from moreish.generating.draws import PLAIN
from moreish.generating.paths import find_paths
from moreish.generating.sampler import default_max_length
from moreish.generating.sources import source_of
from timing import REPEATS, Measured, clock, in_turn, rates, timed

AT_ONCE, DRAWN, ASKED = 10_000, 100_000, 20_000
ASKED_FOR = {
    "ends": Conditions(prefix="a", suffix="a", length=(6, 6)),
    "contains": Conditions(contains=("ann", "el"), excludes="x"),
    "regex": Conditions(pattern=".*[aeiou].{5}[mn].*"),
}


def made(lists: dict[str, str]) -> dict[str, Measured]:
    """Seconds for the automaton, the pairs that can be reached and their sums; the model's own tables are there."""
    trained = fit(Corpus.read(lists["names"]), "ngram")
    longest = default_max_length(trained.longest)
    chain = chain_of(trained.model)
    out = {}
    for name, conditions in ASKED_FOR.items():
        found = []

        def make(conditions: Conditions = conditions, found: list[object] = found) -> None:
            paths = find_paths(chain, compile_conditions(conditions, trained.alphabet, longest))
            assert paths.sums.log_total < 0
            found[:] = [paths]

        taken = [timed(make) for _ in range(REPEATS)]
        (paths,) = found
        note = f"{len(paths):,} pairs of a context and a state"  # type: ignore[arg-type]
        out[name] = Measured([timing.wall for timing in taken], note=note, clock=clock(taken))
    return out


def drawn(lists: dict[str, str]) -> dict[str, Measured]:
    """Lines a second, drawn and decoded, each with its probability given the conditions."""
    trained = fit(Corpus.read(lists["names"]), "ngram")
    longest = default_max_length(trained.longest)
    out = {}
    for name, conditions in ASKED_FOR.items():
        source = source_of(trained, conditions, PLAIN, longest)

        def draw(source=source) -> None:
            batches = islice(source.batches(0, AT_ONCE), DRAWN // AT_ONCE)
            assert sum(len(batch.texts) for batch in batches) == DRAWN

        taken = [timed(draw) for _ in range(REPEATS)]
        out[name] = Measured(rates(DRAWN, taken), note=f"{len(source.paths):,} pairs", clock=clock(taken))  # type: ignore
    return out


def new_only(lists: dict[str, str]) -> Measured:
    """Lines a second with their origins: only new ones, beside all of them; under conditions, tables kept."""
    trained = fit(Corpus.read(lists["names"]), "ngram")
    conditions = Conditions(length=(4, 8))
    sample(trained, 1, conditions=conditions, new_only=True)
    ours, reference = in_turn(
        lambda: sample(trained, ASKED, conditions=conditions, new_only=True),
        lambda: sample(trained, ASKED, conditions=conditions),
    )
    share = sample(trained, ASKED, conditions=conditions).novelty.rate
    assert share is not None
    return Measured(rates(ASKED, ours), rates(ASKED, reference), f"{share:.0%} of the lines are new", clock=clock(ours))
