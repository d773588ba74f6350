"""The chapter of losses as Markdown, `docs/losses.md`: `python -m moreish.explaining.losses.page`."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import fill

from moreish.explaining.losses.chapter import LOSSES, PENALTY, Loss
from moreish.explaining.losses.figures import (
    GRADIENTS,
    LOGITS,
    SITUATIONS,
    TRUTH,
    Checks,
    Compared,
    Example,
    LossFigures,
    bound,
    focal_weights,
    measure,
)

HEAD = """# Losses

What a model is told to make small: the loss of its predictions, and terms that are added to it. Made from the code by
`make docs`, figures included; a test says so when it is out of date. `moreish explain losses NAME` prints one of them.

Every loss is an `Op` with its gradient written by hand beside it (`src/moreish/ops/loss.py` and `losses.py`). N rows
count (a target of -1 does not), V symbols there are, p is the softmax of a row's logits z, t the row's target, log the
natural logarithm: losses are in nats. 1[j = t] is 1 for the target's entry and 0 for the others. **Checked** says how
far the hand-written gradient is, at most, from autograd's, from central differences, and (value and gradient) from an
implementation that is not ours, over all entries of four inputs in float64.
"""
HONEST = 1e-4
"""How near to the truth probabilities are called true."""


def page(figures: LossFigures) -> str:
    """The whole chapter."""
    parts = [HEAD, _overview(figures)]
    parts += [section(loss, figures) for loss in LOSSES.values()]
    parts += ["## The same predictions under each of them\n", _situations(figures), *_bullets(situation_words(figures))]
    parts += ["\n## Where learning ends\n", _ends(figures), *_bullets(end_words(figures))]
    parts += ["\n## A penalty, or decay\n", _decays(figures), _paragraph(decay_words(figures)).rstrip()]
    return "\n".join(parts) + "\n"


def section(loss: Loss, figures: LossFigures) -> str:
    """One loss: formula, gradient, when, checked, and worked numbers."""
    seen, found = figures.checks[loss.name], figures.examples[loss.name]
    setting = f" ({loss.setting})" if loss.setting else ""
    return "\n".join(
        [
            f"## {loss.title}\n",
            f"`{loss.name}`; `{loss.op}`{setting}.\n",
            f"```text\n{loss.formula}\n\n{loss.gradient}\n```\n",
            _paragraph(loss.why),
            _paragraph(f"**When.** {loss.when}"),
            _paragraph(f"**When not.** {loss.when_not}"),
            _paragraph(f"**Checked.** {check_words(loss, seen)}"),
            _paragraph(f"**In numbers.** {example_words(loss, found)}"),
            _paragraph(f"Source: {loss.source}"),
        ]
    )


def check_words(loss: Loss, found: Checks) -> str:
    """What the gradient by hand was held against, and how far off it is at most."""
    return (
        f"Below {bound(found.autograd)} from autograd, below {bound(found.central)} from central differences, below "
        f"{bound(found.oracle)} from {loss.oracle_name}."
    )


def example_words(loss: Loss, found: Example) -> str:
    """The worked example in a sentence."""
    given = f"For {loss.of} {_vector(found.inputs)}"
    which = "" if found.target is None else f" and the {_ORDINALS[found.target]} symbol as target"
    return f"{given}{which}: L = {_number(found.value)}, gradient {_vector(found.gradient)}."


def situation_words(figures: LossFigures) -> list[str]:
    """What the table of situations shows, told from its numbers."""
    at = {(row.name, row.situation): row for row in figures.compared}
    right, unsure, wrong, shifted = SITUATIONS

    def times(name: str, situation: str) -> float:
        return at[name, situation].gradient_norm / at["cross-entropy", situation].gradient_norm

    p, weight = focal_weights()
    over = float(p[weight > 1].max()) if bool((weight > 1).any()) else 0.0
    turned = at["label-smoothing", right].slope > 0
    moved = at["z-loss", shifted].value / at["z-loss", right].value
    same = abs(at["cross-entropy", shifted].value - at["cross-entropy", right].value) < 1e-9
    return [
        f"**Focal** turns the gradient of what is right already down to {times('focal', right):.2g} of the "
        f"cross-entropy's, of what is unsure to {times('focal', unsure):.2g}, and of what is wrong to "
        f"{times('focal', wrong):.3g}. Its weight is above 1 where p_t is below {over:.2f}, and at most "
        f"{float(weight.max()):.2f}, at p_t = {float(p[weight.argmax()]):.2f}.",
        f"**Smoothing** leaves {times('label-smoothing', wrong):.2f} of the gradient of what is wrong. That of what is "
        f"right is {times('label-smoothing', right):.1f} times as long"
        + (", and turned round: it asks for less of the target." if turned else "."),
        f"**The z-loss** grows {moved:.1f}-fold when 10 is added to all logits"
        + (", which the cross-entropy does not feel." if same else ", and the cross-entropy changes too."),
        "**The confidence penalty** does not look at the target: right and wrong have the same value, and the gradient "
        f"is {_number(at['confidence-penalty', unsure].gradient_norm)} where nothing is preferred.",
    ]


def end_words(figures: LossFigures) -> list[str]:
    """Which losses leave probabilities true."""
    true = [row.name for row in figures.learnt if row.furthest < HONEST]
    off = sorted((row for row in figures.learnt if row.furthest >= HONEST), key=lambda row: row.furthest)
    said = ", ".join(f"`{row.name}` by {row.furthest:.3f}" for row in off)
    held = [row for row in figures.learnt if row.name in true and abs(row.log_z) < HONEST]
    words = [
        f"The truth comes out of {_and(f'`{name}`' for name in true)}. Off are {said}: a model that learnt by these "
        "draws too evenly, and its loss is no likelihood.",
    ]
    if held:
        words.append(f"Only {_and(f'`{row.name}`' for row in held)} brings log Z to 0; to the others any is as good.")
    return words


def decay_words(figures: LossFigures) -> str:
    """What decoupled decay changes."""
    adam = [row.adam_l2 for row in figures.decay]
    apart = [row.adamw for row in figures.decay]
    return (
        "Under SGD the penalty takes as much whatever the gradients are. Under Adam its gradient is divided by the "
        f"size of all gradients of its weight: where those are {GRADIENTS[-1] / GRADIENTS[0]:g} times as small it took "
        f"{adam[0] / adam[-1]:.0f} times as much. Decayed apart from the gradient (AdamW) it took "
        f"{apart[0] / apart[-1]:.2f} times as much. Source: Loshchilov and Hutter 2019, section 2."
    )


def _overview(figures: LossFigures) -> str:
    ends = {row.name: row for row in figures.learnt}
    rows = ["| loss | of | what it is for | leaves probabilities true |", "|---|---|---|---|"]
    for loss in LOSSES.values():
        end = ends.get(loss.name)
        true = "" if end is None else "yes" if end.furthest < HONEST else f"no, off by {end.furthest:.3f}"
        added = ", added" if loss.added else ""
        title = f"[{loss.title}](#{_anchor(loss.title)})"
        rows.append(f"| {title} | {loss.of}{added} | {first_clause(loss.when)} | {true} |")
    return "\n".join([*rows, ""])


def _situations(figures: LossFigures) -> str:
    rows = [f"| loss | {' | '.join(SITUATIONS)} |", "|---|" + "---|" * len(SITUATIONS)]
    for loss in LOSSES.values():
        cells = [cell(row) for row in figures.compared if row.name == loss.name]
        if cells:
            rows.append(f"| {_named(loss)} | {' | '.join(cells)} |")
    logits = "; ".join(f"{name}: z = {_vector(z)}, target {target + 1}" for name, (z, target) in SITUATIONS.items())
    words = (
        "Each cell: the loss; the length of its gradient by the logits; whether a step raises (↑) or lowers (↓) the "
        f"target's own logit. Terms that are added stand alone. {logits[0].upper()}{logits[1:]}."
    )
    return "\n".join([_paragraph(words), *rows, ""])


def _ends(figures: LossFigures) -> str:
    rows = ["| loss | what it says | furthest from the truth | log Z |", "|---|---|---|---|"]
    for row in figures.learnt:
        log_z = f"{round(row.log_z, 4) + 0.0:.4f}"  # never -0.0000
        rows.append(f"| {_named(LOSSES[row.name])} | {_fixed(row.probabilities)} | {row.furthest:.4f} | {log_z} |")
    words = (
        f"Symbols come with probabilities {_vector(TRUTH)}, and a model may say what it likes: here each loss is least "
        f"(a term that is added: together with the cross-entropy). It began at z = {_vector(LOGITS)}."
    )
    return "\n".join([_paragraph(words), *rows, ""])


def _decays(figures: LossFigures) -> str:
    rows = ["| size of the gradients | SGD, penalty | Adam, penalty | AdamW |", "|---|---|---|---|"]
    rows += [f"| {row.gradient:g} | {row.sgd_l2:.4f} | {row.adam_l2:.4f} | {row.adamw:.4f} |" for row in figures.decay]
    words = (
        f"How much of a weight of 1 is gone after 100 steps at a rate of 0.01 and a coefficient of {PENALTY:g}, by "
        "torch's own optimisers, when gradients of one size and of either sign by turns come to it from the loss."
    )
    return "\n".join([_paragraph(words), *rows, ""])


_ORDINALS = ("first", "second", "third")


def cell(row: Compared) -> str:
    """A loss in one situation: value, length of the gradient, and which way the target's logit goes."""
    way = "" if abs(row.slope) < 1e-9 else " ↑" if row.slope < 0 else " ↓"
    return f"{_number(row.value)}; {_number(row.gradient_norm)}{way}"


def _number(x: float) -> str:
    """Four digits after the point; smaller numbers by powers of ten; what is nothing but rounding is 0."""
    if abs(x - round(x, 5)) < 1e-15 or abs(x) < 1e-9:
        return f"{round(x, 5) + 0.0:g}"
    return f"{x:.4f}" if abs(x) >= 1e-2 else f"{x:.2e}".replace("e-0", "e-")


def _vector(numbers: Iterable[float]) -> str:
    return f"({', '.join(map(_number, numbers))})"


def _fixed(numbers: Iterable[float]) -> str:
    return f"({', '.join(f'{x:.4f}' for x in numbers)})"


def _paragraph(text: str, indent: str = "") -> str:
    """A paragraph, its lines as long as those of the other pages."""
    return fill(text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) + "\n"


def _named(loss: Loss) -> str:
    return f"{loss.title}, {loss.setting}" if loss.setting else loss.title


def first_clause(text: str) -> str:
    """What stands before a text's first colon or semicolon."""
    return text.split(":")[0].split(";")[0].removesuffix(".")


def _and(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _bullets(lines: Iterable[str]) -> list[str]:
    return [_paragraph(f"- {line}", "  ").rstrip("\n") for line in lines]


def _anchor(title: str) -> str:
    """The anchor that a heading has on a page of Markdown."""
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c == "-")


if __name__ == "__main__":
    print(page(measure()), end="")
