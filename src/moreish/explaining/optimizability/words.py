"""What the figures on gradients through time say, in sentences that are made from them."""

from __future__ import annotations

from moreish.explaining.optimizability.chapter import Optimizability
from moreish.explaining.optimizability.descending import Recall, Sweep
from moreish.explaining.optimizability.through_time import Back, Plain

KNOWN = 0.5
"""The share of what there is to know of a first symbol from which on it is remembered."""
LITTLE = 0.05
"""Nats per symbol within which best losses are called alike."""
AGREES = 0.15
"""How far a measured factor may be from the expected one, as a share of it, to be said to agree."""

IN_PRINCIPLE = (
    "In principle: an RNN can compute whatever can be computed, given exact numbers and time without bound (Siegelmann "
    "and Sontag 1995); in finite precision it is a finite automaton, a large one. So it is very expressive. But it is "
    "learnt by first-order steps, along a gradient that must come back through every symbol: what activations and that "
    "gradient do while it learns is the key."
)


def explained(found: Optimizability) -> dict[str, str]:
    """A sentence or two for each figure, by its name."""
    short = f" {found.reason}" if found.reason else ""
    return {
        "networks": "What is compared, of about as many weights each.",
        "back": (
            f"The gradient of a line's last loss at the symbol read {found.reach} before it, against that at the last "
            f"symbol: the geometric mean over {found.lines} lines; and its factor a symbol, at first and after "
            f"{found.steps} steps at the best rate.{short}"
        ),
        "plain": (
            "Wᵀ diag(1 - h'²) is what a gradient meets at each symbol. `largest` singular value of W: a bound, for no "
            "slope of tanh is above 1. `usual` singular value and `slope` of tanh, root mean squares: their product is "
            "what is expected, where W has no direction that it prefers."
        ),
        "sweep": (
            f"Nats per symbol on {found.part} after {found.steps} steps of plain descent at each rate. Rates within "
            f"{found.within:g} nats of a network's best are good; `clipped` is where gradients longer than 1 are cut."
        ),
        "recall": (
            f"The first symbol of a text is asked for, so many symbols later; {found.recall_steps} steps of Adam, "
            f"clipped. 1.00 is all there is to know, 0 what the frequencies of first symbols tell. Where a line ends "
            f"before, the text goes on with the next lines."
        ),
    }


def concluded(found: Optimizability) -> list[str]:
    """What follows, from the numbers of this list."""
    return [
        IN_PRINCIPLE,
        of_back(found.fresh, found.reach),
        of_plain(found.plain),
        of_learnt(found.fresh, found.learnt, found.plain, found.plain_learnt),
        of_sweeps(found.sweeps, found.within),
        of_recalls(found.recalls, found.fresh),
        "Rates and gradients are of one seed, so differences of a few hundredths of a nat are no verdict.",
    ]


def of_back(fresh: list[Back], reach: int) -> str:
    """What vanishes and what explodes before anything is learnt."""
    said = []
    for each in fresh:
        left = each.inputs[reach]
        assert left is not None
        said.append(f"{each.network} {left:.1g} (× {each.factor:.2f} a symbol)")
    gone = [each.network for each in fresh if each.factor < 1]
    grown = [each.network for each in fresh if each.factor > 1]
    verdict = "; ".join(f"it {verb} in {and_(names)}" for verb, names in (("shrinks", gone), ("grows", grown)) if names)
    return f"At first, {reach} symbols back there comes, for 1 at the last symbol: {', '.join(said)}. So {verdict}."


def of_plain(plain: list[Plain]) -> str:
    """Whether the theory of the factor holds here."""
    told = ", ".join(f"{each.network} {each.expected:.2f} ({each.measured:.2f} measured)" for each in plain)
    off = max(abs(each.measured / each.expected - 1) for each in plain)
    agrees = "as measured" if off <= AGREES else f"off by {100 * off:.0f} % at most"
    even = next((each for each in plain if abs(each.largest - 1) < 1e-3), None)
    orthogonal = (
        f" Orthogonal weights alone do not keep it: they change no length, but the slopes of tanh take "
        f"{100 * (1 - even.slope):.0f} % a symbol."
        if even is not None
        else ""
    )
    return f"Why: the usual singular value of W times the usual slope of tanh gives {told}: {agrees}.{orthogonal}"


def of_learnt(fresh: list[Back], learnt: list[Back], before: list[Plain], after: list[Plain]) -> str:
    """How the factors move as networks learn."""
    was = {each.network: each for each in fresh}
    moved = ", ".join(f"{each.network} {was[each.network].factor:.2f} to {each.factor:.2f}" for each in learnt)
    text = f"After learning the factor a symbol went from: {moved}."
    singular = {each.network: each.largest for each in before}
    grown = [each for each in after if each.largest > 1.1 * singular[each.network]]
    if grown:
        each = grown[0]
        text += (
            f" Descent itself lengthens some directions of W ({each.network}: largest singular value "
            f"{singular[each.network]:.2f} to {each.largest:.2f}), so it no longer prefers none."
        )
    return text


def of_sweeps(sweeps: list[Sweep], within: float) -> str:
    """What it costs on the list's own task, and how wide the region of good rates is."""
    met = [each for each in sweeps if each.best is not None]
    if not met:
        return "On the list: no network learnt at any of these rates."
    losses = {each.network: each.best for each in met if each.best is not None}
    low, high = min(losses, key=lambda n: losses[n]), max(losses, key=lambda n: losses[n])
    text = f"On the list itself the best losses are {losses[low]:.3f} ({low}) to {losses[high]:.3f} ({high})"
    plain = losses.get("rnn", losses[high]) - losses[low]
    if plain <= LITTLE:
        text += (
            f"; a plain RNN with orthogonal weights is {plain:.3f} from the best. So the list hardly shows it: its "
            f"lines are short and what comes next hangs on the last few symbols, so what is lost farther back is not "
            f"missed"
        )
    rates = ", ".join(f"{each.network} {len(each.good)}" for each in met)
    return f"{text}. Good rates, of {len(met[0].rates)}: {rates}. {_clipping(met, within)}"


def _clipping(sweeps: list[Sweep], within: float) -> str:
    more = []
    for each in sweeps:
        assert each.best is not None
        won = [
            rate
            for rate, nats, clipped in zip(each.rates, each.nats, each.clipped)
            if clipped is not None and clipped <= each.best + within and (nats is None or nats > each.best + within)
        ]
        if won:
            more.append(f"{each.network} at {', '.join(f'{rate:g}' for rate in won)}")
    if not more:
        return "Clipping makes no other rate good."
    return f"Clipping makes more rates good: {'; '.join(more)}."


def of_recalls(recalls: list[Recall], fresh: list[Back]) -> str:
    """How far back each network learnt to remember, in the same steps, and whether its gradient at first tells it."""
    farthest = {
        each.network: max((d for d, known in zip(each.distances, each.known) if known >= KNOWN), default=0)
        for each in recalls
    }
    told = ", ".join(f"{name} {f'to {back}' if back else 'not at all'}" for name, back in farthest.items())
    far = recalls[0].distances[-1]
    able = [name for name, back in farthest.items() if back == far]
    who = "each" if len(able) == len(farthest) else f"{and_(able)} alone" if able else "none"
    text = (
        f"Where a symbol must be remembered, at least half of what there is to know was learnt, by symbols back: "
        f"{told}. At {far} it is {who}. Each of them could hold it; descent finds it in these steps or does not."
    )
    factors = {each.network: each.factor for each in fresh}
    against = [
        (factors[b] - factors[a], a, b)
        for a in farthest
        for b in farthest
        if factors[a] <= factors[b] <= 1 and farthest[a] > farthest[b]
    ]
    if against:
        _, a, b = min(against)
        text += (
            f" What is left of a gradient at first does not decide it alone: {a} (× {factors[a]:.2f} a symbol) "
            f"remembers farther than {b} (× {factors[b]:.2f})."
        )
    return text


def and_(words: list[str]) -> str:
    """`a, b and c`."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
