"""why."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from moreish.faces.cli.console import print_json, stdout, working
from moreish.faces.cli.measuring import grid
from moreish.faces.cli.options import Json, RunArgument

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from moreish.generating.support import Example
    from moreish.generating.trace import Why, WhySymbol

DEEPEST = 5.0
"""Nats from which a letter is shaded as deep as can be: a probability of 0.7 %."""
CONTEXT_SHOWN, LINE_SHOWN = 14, 24
"""Characters of a context, the last of them, and of a line, those about the symbol."""
ROOM_FOR_ALL = 90
"""Columns from which three training lines stand beside a symbol; one where there are fewer."""

EXPECTED = "%: its probability. bits: how unsure the model was there (entropy). rank: 1, and none was likelier."


def why(
    run: RunArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The line to explain.")],
    json: Json = False,
) -> None:
    """Why a run scores a line as it does: symbol by symbol, what it expected, and which training lines speak for it.

    Beside the run's own model stand count models of rising order. For a network also the contexts after which its
    hidden state is most alike.

    Example: moreish why runs/names-ngram-1 annabel
    """
    from moreish.faces.draw import has_colour
    from moreish.generating.trace import why as explain
    from moreish.runs.directory import load

    with working("looking for reasons", quiet=json):
        trained = load(run)
        found = explain(trained, text)
    if json:
        print_json(found.to_dict())
        return
    console = stdout()
    console.print(told(found, trained.alphabet.kind, console.width, has_colour(console)))


def told(found: Why, kind: str, width: int, colour: bool = True) -> RenderableType:
    """The line shaded by surprise, what was expected, what each model gave it, and what supports it."""
    from rich.console import Group
    from rich.text import Text

    from moreish.shapes import BOUNDARY_SIGN
    from moreish.text.alphabet import printable

    score = "impossible" if math.isinf(found.nats) else f"{found.nats:.2f} nats"
    parts: list[RenderableType] = [
        Text.assemble((printable(found.text), "bold"), f"  {score} under {found.model}"),
        Text("the sum of its symbols' nats, the last of them for its end.", "dim"),
        Text(),
    ]
    if colour:
        parts += [shaded(found), _legend()]
    parts.append(Text(f"{BOUNDARY_SIGN} is the end of the line.", "dim"))
    parts += [Text(), _expected(found), Text(EXPECTED, "dim")]
    if len(found.rungs) > 1:
        parts += [Text("\nWhat each model gives it, in %", "bold"), _rungs(found), _rung_words(found)]
    if found.symbols[0].support is not None:
        words = "The longest context that training lines have with this symbol after it"
        parts += [Text(f"\n{words}", "bold"), _support(found, kind, width)]
    if found.symbols[0].nearest is not None:
        words = "Other contexts after which the hidden state is most alike"
        parts += [Text(f"\n{words}", "bold"), _nearest(found, kind, width), _near_words()]
    parts += [Text.assemble(("! ", "bold yellow"), note) for note in found.notes]
    return Group(*parts)


def shaded(found: Why) -> Text:
    """The line's symbols, each the deeper the more surprising it was."""
    from rich.text import Text

    out = Text()
    for each in found.symbols:
        out.append(f" {_label(each.symbol)} ", _shade(each.nats))
    return out


def _legend() -> Text:
    from rich.text import Text

    out = Text().append("The deeper, the more surprising: ", "dim")
    for nats in range(int(DEEPEST) + 1):
        out.append(f" {nats}{'+' if nats == DEEPEST else ''} ", _shade(nats))
    return out.append(" nats.", "dim")


def _shade(nats: float) -> str:
    from moreish.faces.draw import heat

    background, foreground = heat(nats / DEEPEST)
    return f"{foreground} on {background}"


def _expected(found: Why) -> Table:
    from rich.text import Text

    table = grid(("", "nats", "%", "bits", "rank", "likeliest others, in %"), "lrrrrl")
    for each in found.symbols:
        others = Text()
        for other in each.runners_up:
            others.append(_label(other.symbol), "" if other.symbol else "dim")
            others.append(f" {_percent(other.probability):<4}  ", "dim")
        others.rstrip()
        nats = "never" if math.isinf(each.nats) else f"{each.nats:.2f}"
        figures = (nats, _percent(each.probability), f"{each.entropy_bits:.2f}", f"{each.rank:,}")
        table.add_row(_head(each), *(Text(figure) for figure in figures), others)
    return table


def _rungs(found: Why) -> Table:
    from rich.text import Text

    shown = [rung for rung in found.rungs if rung.name != "uniform"]  # the same for each symbol: said in words
    table = grid(("", *(rung.name for rung in shown)), "l" + "r" * len(shown), no_wrap=True)
    for each in found.symbols:
        best = max(each.rungs[rung.name] for rung in shown)
        cells = [(each.rungs[rung.name], _percent(each.rungs[rung.name])) for rung in shown]
        table.add_row(_head(each), *(Text(cell, "bold" if p == best else "") for p, cell in cells))
    totals = ("never" if math.isinf(rung.nats) else f"{rung.nats:.2f}" for rung in shown)
    table.add_row(Text("nats", "dim"), *(Text(total, "dim") for total in totals))
    return table


def _rung_words(found: Why) -> Text:
    from rich.text import Text

    own = found.rungs[-1]
    settings = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in own.settings.items())
    words = f"run: {own.model} {settings}".strip() + "."
    uniform = next((rung for rung in found.rungs if rung.name == "uniform"), None)
    if uniform is not None:
        share = _percent(found.symbols[0].rungs["uniform"])
        words += f" Knowing nothing, each symbol has {share} %, the line {uniform.nats:.2f} nats."
    return Text(f"{words} The count models are fitted on the same lines.", "dim")


def _support(found: Why, kind: str, width: int) -> Table:
    from rich.text import Text

    lines = 3 if width >= ROOM_FOR_ALL else 1
    table = grid(("", "after", "times", "of", "as in"), "llrrl", no_wrap=True)
    for each in found.symbols:
        support = each.support
        if support is None:
            continue
        examples = Text("   ").join(_example(one, kind) for one in support.lines[:lines])
        context = _context(support.context, support.from_start)
        table.add_row(_head(each), context, Text(f"{support.followed:,}"), Text(f"{support.seen:,}", "dim"), examples)
    return table


def _nearest(found: Why, kind: str, width: int) -> Table:
    from rich.text import Text

    from moreish.generating.support import Example

    count = 3 if width >= ROOM_FOR_ALL else 1
    table = grid(("", "feels as after", "cosine", "times", "of", "as in"), "llrrrl", no_wrap=True)
    for each in found.symbols:
        for i, near in enumerate((each.nearest or [])[:count]):
            followed, line = Text(f"{near.followed:,}"), Example(near.line, near.position)
            table.add_row(
                _head(each) if i == 0 else Text(), _context(near.context, near.from_start), Text(f"{near.cosine:.3f}"),
                followed, Text(f"{near.seen:,}", "dim"), _example(line, kind),
            )  # fmt: skip
    return table


def _near_words() -> Text:
    from rich.text import Text

    return Text(
        "cosine: of the hidden states, 1 where they point the same way. times: the symbol followed there, of how "
        "often the context was seen in the training lines that were compared.",
        "dim",
    )


def _example(one: Example, kind: str) -> Text:
    """A training line, what stands about the symbol, which is marked."""
    from rich.text import Text

    from moreish.shapes import BOUNDARY_SIGN
    from moreish.text.alphabet import printable, split_symbols

    if kind == "bytes":  # a byte is not always a character
        return Text(_cut(printable(one.line)))
    between = " " if kind == "words" else ""
    pieces = [printable(piece) for piece in split_symbols(one.line, kind)]
    before, after = between.join(pieces[: one.position]), between.join(pieces[one.position + 1 :])
    symbol = pieces[one.position] if one.position < len(pieces) else BOUNDARY_SIGN
    room = max(LINE_SHOWN - len(symbol), 4)
    if len(before) + len(after) > room:
        before = _cut(before, room // 2, last=True)
        after = _cut(after, room - len(before))
    joints = [between if before else "", between if after and between else ""]
    return Text.assemble(f"{before}{joints[0]}", (symbol, "bold cyan"), f"{joints[1]}{after}")


def _cut(text: str, width: int = LINE_SHOWN, last: bool = False) -> str:
    """At most so many characters of a text, the first or the last, and a sign that there were more."""
    if len(text) <= width:
        return text
    return f"…{text[len(text) - width + 1 :]}" if last else f"{text[: width - 1]}…"


def _context(context: str, from_start: bool) -> Text:
    from rich.text import Text

    from moreish.shapes import BOUNDARY_SIGN
    from moreish.text.alphabet import printable

    shown = _cut(printable(context), CONTEXT_SHOWN, last=True)
    if not context and not from_start:
        return Text("anything", "dim")
    return Text.assemble((BOUNDARY_SIGN if from_start and not shown.startswith("…") else "", "dim"), shown)


def _head(each: WhySymbol) -> Text:
    from rich.text import Text

    return Text(_label(each.symbol), "bold" if each.symbol else "dim")


def _label(symbol: str) -> str:
    from moreish.shapes import BOUNDARY_SIGN
    from moreish.text.alphabet import sign

    return sign(symbol) if symbol else BOUNDARY_SIGN


def _percent(share: float) -> str:
    """A probability in percent: one decimal, and two digits where that would be 0.0."""
    percent = 100 * share
    if percent >= 0.1 or percent == 0:
        return f"{percent:.1f}" if percent else "0"
    return f"{percent:.2f}" if percent >= 0.01 else f"{percent:.0e}"
