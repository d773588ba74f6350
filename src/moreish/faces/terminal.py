"""What people read in a terminal: each function turns one room's result into something rich can print."""

from __future__ import annotations

import math
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from moreish.errors import counted
from moreish.faces.against_train import memorising_table
from moreish.faces.draw import bar, count_table, histogram, sign
from moreish.shapes import BOUNDARY_SIGN
from moreish.text.alphabet import printable

if TYPE_CHECKING:
    from moreish.generating.sample import Sample
    from moreish.learning.evaluate import Evaluation
    from moreish.learning.recipe import Trained
    from moreish.learning.score import Scored
    from moreish.learning.tables import BigramTable
    from moreish.text.hygiene import Hygiene

ORIGIN_STYLES = {"new": "bold green", "near copy": "yellow", "copy": "dim"}
SYMBOLS_SHOWN = 60


def _plain(text: str, style: str = "") -> Text:
    """Text from a list or a model: its control characters shown, its square brackets no markup."""
    return Text(printable(text), style=style)


def _grid(*columns: str) -> Table:
    table = Table.grid(padding=(0, 2))
    for style in columns:
        table.add_column(style=style)
    return table


def sample_table(found: Sample, seed: int) -> RenderableType:
    """Lines with an honest word on each, and how new they are together."""
    table = _grid("bold", "", "dim")
    for line in found.lines:
        word = line_word(line.origin, line.near)
        if line.edits is not None and line.edits > 1:
            word.append(_plain(f", {line.edits} edits from {line.nearest}"))
        cut = " (cut at the maximum length)" if line.cut else ""
        table.add_row(_plain(line.text), word, f"{line.nats:.1f} nats{cut}")
    compared = found.novelty.against_train
    memorising = [Text(), memorising_table(compared)] if compared else []
    return Group(table, Text(), *novelty_words(found, seed), *memorising)


def line_word(origin: str, near: str | None) -> Text:
    """Where a line comes from, in a word or with the line it is near."""
    return _plain(origin if near is None else f"one edit from {near}", ORIGIN_STYLES[origin])


def novelty_words(found: Sample, seed: int) -> list[Text]:
    """How new what was drawn is, in sentences."""
    rates = found.novelty
    interval = f" (95 % interval {_percent(rates.low)} to {_percent(rates.high)})" if rates.low is not None else ""
    words = [
        Text("nats: how surprising the model finds the whole line; fewer are likelier.", "dim"),
        Text(
            f"{found.found:,} of {found.asked:,} asked for. Of the {found.drawn:,} drawn with seed {seed}, "
            f"{_percent(rates.rate)} are new, that is, not in the list{interval}.",
            "dim",
        ),
    ]
    if rates.near_rate is not None:
        real = (
            f"; of real unseen lines, {_percent(rates.held_out_near_rate)}"
            if rates.held_out_near_rate is not None
            else ""
        )
        words.append(
            Text(f"Of the new ones {_percent(rates.near_rate)} are one edit from a line of the list{real}.", "dim")
        )
    return words + condition_words(found)


def condition_words(found: Sample) -> list[Text]:
    """How probable what was asked for is, in sentences; none where nothing was asked."""
    if found.probability_of_condition is None:
        return []
    kind = "exactly" if found.exact else "an estimate"
    if found.probability_interval is not None:
        low, high = (_share(x) for x in found.probability_interval)
        kind += f", 95 % interval {low} to {high}"
    words = f"A line is as asked for with probability {_share(found.probability_of_condition)} ({kind})."
    if found.beyond:
        words += f" Lines that are longer than any drawn here would add {_share(found.beyond)}."
    return [Text(words, "dim")]


def _share(probability: float) -> str:
    """A probability with two digits or more, in percent where that is no smaller than a thousandth of one."""
    return f"{100 * probability:.3g} %" if probability >= 1e-5 else f"{probability:.2g}"


def hygiene_report(found: Hygiene) -> RenderableType:
    """The doctor's report on a list."""
    facts = _grid("dim", "")
    facts.add_row("lines", f"{found.lines:,}, of them {found.unique_lines:,} unique, {found.duplicate_lines:,} repeats")
    facts.add_row(
        "look-alikes", f"{found.look_alikes:,} equal to another line but for case, accents, punctuation, spaces"
    )
    typos = (
        f"not looked for: {found.probable_typos_reason}"
        if found.probable_typos is None
        else f"{found.probable_typos:,}"
    )
    facts.add_row("long lines one edit apart", typos)
    facts.add_row("lengths", f"{found.shortest:,} to {found.longest:,} symbols, {found.mean_length:.1f} on average")
    facts.add_row("symbols", _symbol_words(found.symbols))
    leak = (
        f"{_percent(found.leak['dev'])} of dev and {_percent(found.leak['test'])} of test lines would also be in train"
    )
    facts.add_row("a split by line", leak)
    lengths = _grid("dim", "", "dim")
    lengths.columns[0].justify = "right"
    for label, count, drawn in histogram(found.lengths):
        lengths.add_row(label, Text(drawn, "cyan"), f"{count:,}")
    parts: list[RenderableType] = [_plain(found.name, "bold"), facts, Text(), Text("lengths", "dim"), lengths]
    for label, examples in (
        ("most repeated", [f"{line} ({count:,} times)" for line, count in found.most_repeated.items()]),
        ("look-alikes", [" = ".join(group) for group in found.look_alike_examples]),
        ("one edit apart", [" ~ ".join(pair) for pair in found.probable_typo_examples]),
        ("rare symbols", [f"{symbol} ({count})" for symbol, count in found.rare_symbols.items()]),
        ("unseen symbols", [f"{odd.code} {odd.name} ({odd.count:,})" for odd in found.control_symbols]),
    ):
        if examples:
            parts.append(Text.assemble((f"{label}: ", "dim"), _plain(", ".join(examples[:SYMBOLS_SHOWN]))))
    parts.append(Text())
    parts += [Text.assemble(("! ", "bold yellow"), _plain(warning)) for warning in found.warnings]
    if not found.warnings:
        parts.append(Text("Nothing to complain of.", "green"))
    return Group(*parts)


def evaluation_table(found: Evaluation, looks: int) -> RenderableType:
    """A loss and what stands beside it, each number explained."""
    table = _grid("dim", "bold", "dim")
    table.columns[1].justify = "right"
    part = f"over {found.folds} folds" if found.folds else f"on {found.part}"
    of = f"{found.model} {part} ({found.split} split): {counted(found.lines, 'line')}, {found.symbols:,} symbols"
    table.add_row("nats per symbol", f"{found.nats_per_symbol:.4f}", "mean negative log-likelihood; lower is better")
    table.add_row("bits per symbol", f"{found.bits_per_symbol:.4f}", "the same in bits: nats / ln 2")
    table.add_row("perplexity", f"{found.perplexity:.3f}", "as unsure as among so many equally likely symbols")
    table.add_row("parameters", f"{found.parameters:,}", "numbers learnt: weights, or n-grams seen")
    if found.copy_mass is not None:
        table.add_row("copy mass", _percent(found.copy_mass), "probability spent on the unique training lines")
    if found.nats_given_new is not None:
        table.add_row(
            "+ new only",
            f"{found.nats_given_new:.4f}",
            f"the loss on the {found.new_lines:,} unseen lines, that mass taken out",
        )
    parts: list[RenderableType] = [Text(of, "bold"), table]
    if math.isinf(found.nats_per_symbol):
        parts.append(Text("Infinite: without smoothing, what was never seen is impossible.", "yellow"))
    if found.note:
        parts.append(Text.assemble(("! ", "bold yellow"), f"{found.note[:1].upper()}{found.note[1:]}."))
    if looks:
        times = "once" if looks == 1 else f"{looks} times"
        parts.append(Text(f"The test part of this run has been looked at {times}.", "dim"))
    return Group(*parts)


def training_summary(trained: Trained, evaluated: Evaluation | None) -> RenderableType:
    """What a training came to."""
    corpus, run = trained.corpus, printable(trained.run)
    held = (
        f"{len(corpus.dev):,} dev and {len(corpus.test):,} test lines held out" if len(corpus.dev) else "none held out"
    )
    lines: list[RenderableType] = [
        Text(
            f"{trained.recipe.model}, {trained.parameters:,} parameters, from {counted(len(corpus.train), 'line')} "
            f"({held})."
        ),
    ]
    if evaluated:
        loss = f"{evaluated.nats_per_symbol:.4f} nats per symbol on {evaluated.part}"
        lines.append(Text(f"{loss}; knowing nothing would be {math.log(len(trained.alphabet)):.4f}.", "bold"))
    else:
        lines.append(Text("One unique line leaves nothing to hold out, so no figure is given.", "yellow"))
    if corpus.note:
        lines.append(Text(f"! {corpus.note[:1].upper()}{corpus.note[1:]}.", "yellow"))
    lines.append(Text.assemble("Kept in ", (run, "bold"), f". Next: moreish sample {run} -n 20 --new-only"))
    if trained.recipe.watch_every and trained.recipe.method == "minibatches":
        lines.append(Text(f"How it learnt, and what is normal: moreish watch {run}", "dim"))
    return Group(*lines)


def score_table(scored: list[Scored]) -> RenderableType:
    """Lines with their scores, and each symbol's part of it as a bar."""
    most = max((nats for one in scored for _, nats in one.symbols if math.isfinite(nats)), default=1.0) or 1.0
    parts: list[RenderableType] = []
    for one in scored:
        table = _grid("bold", "dim", "cyan")
        table.columns[1].justify = "right"
        labels = [*(Text(sign(symbol)) for symbol, _ in one.symbols[:-1]), Text("end", "dim")]
        for label, (_, nats) in zip(labels, one.symbols):
            table.add_row(label, f"{nats:.2f}", bar(min(nats, most) / most, 30))
        parts += [Text.assemble(_plain(one.text, "bold"), f"  {one.nats:.2f} nats"), table]
    return Group(*parts)


def run_table(found: dict[str, Any]) -> RenderableType:
    """What a run is and what happened in it."""
    recipe, listed, evaluated = found["recipe"], found["list"], found["evaluation"]
    table = _grid("dim", "")
    settings = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in recipe["settings"].items())
    table.add_row("model", _plain(f"{recipe['model']} {settings}".strip()))
    table.add_row("parameters", f"{found['parameters']:,}")
    parts = f"{listed['train']:,} train, {listed['dev']:,} dev, {listed['test']:,} test"
    table.add_row("list", _plain(f"{listed['name']}: {counted(listed['lines'], 'line')} ({parts})"))
    table.add_row("kept", "the lines" if listed["kept"] else "hashes of the lines only")
    table.add_row(
        "split", f"{recipe['split']}, seed {recipe['split_seed']}" + (f" ({found['note']})" if found["note"] else "")
    )
    alphabet = found["alphabet"]
    table.add_row("symbols", _symbol_words(dict.fromkeys(alphabet["symbols"], 0), alphabet["kind"]))
    table.add_row("checkpoints", ", ".join(found["checkpoints"]))
    if evaluated:
        loss = evaluated["nats_per_symbol"]
        shown = "infinite" if loss is None else f"{loss:.4f} nats per symbol"
        table.add_row("loss", _plain(f"{shown} on {evaluated['part']}"))
    table.add_row("looks at test", str(found["test_looks"]))
    if recipe["why"]:
        table.add_row("why", _plain(recipe["why"]))
    return Group(_plain(found["run"], "bold"), table)


def catalog_table(rows: list[dict[str, Any]]) -> RenderableType:
    """The models there are."""
    table = _grid("bold", "")
    for row in rows:
        table.add_row(row["model"], row["title"])
    return Group(table, Text("\nmoreish models NAME lists a model's settings.", "dim"))


def settings_table(
    name: str, title: str, keys: list[dict[str, Any]], learning: list[dict[str, Any]], reach: int | None
) -> RenderableType:
    """A model's every setting, then every setting of how it learns."""
    table = _grid("bold", "cyan", "")
    for key in keys:
        flag = f"--{key['key'].replace('_', '-')}" if key["settable"] else key["key"]
        table.add_row(
            flag, "" if key["default"] is None or not key["settable"] else str(key["default"]), key["meaning"]
        )
    parts: list[RenderableType] = [Text.assemble((name, "bold"), f": {title}"), table]
    if reach is not None:
        parts.append(Text(f"receptive field: {reach:,} symbols, with these settings", "dim"))
    if learning:
        how = _grid("bold", "cyan", "")
        for key in learning:
            shown = "by the list" if key["default"] is None else str(key["default"])
            how.add_row(f"--{key['key'].replace('_', '-')}", shown, key["meaning"])
        parts += [Text("\nhow it learns", "bold"), how]
    return Group(*parts)


def lists_table(rows: list[dict[str, Any]]) -> RenderableType:
    """The bundled lists."""
    table = _grid("bold", "", "", "dim")
    table.columns[1].justify = "right"
    for row in rows:
        table.add_row(row["name"], f"{row['lines']:,}", row["title"], row["source"])
    return table


def bigram_picture(table: BigramTable, width: int, colour: bool) -> RenderableType:
    """The bigram's table of counts, and how to read it."""
    labels, counts = table.shown()
    how_to_read = (
        f"Row: a symbol. Column: the one after it. {BOUNDARY_SIGN} is a line's start (as a row) and end (as a column). "
        f"The deeper the blue, the larger the share of its row; without a colour: never seen. {table.pairs_seen:,} of "
        f"{table.pairs_possible:,} pairs were seen, {table.pairs:,} in all."
    )
    return Group(
        count_table(counts, [sign(label) for label in labels], width, colour),
        Text("\n".join(wrap(how_to_read, max(width, 20))), "dim"),  # the table must not be wrapped, this must
    )


def _symbol_words(symbols: dict[str, int], kind: str = "characters") -> Text:
    shown = " ".join(sign(symbol) for symbol in list(symbols)[:SYMBOLS_SHOWN])
    more = f" and {len(symbols) - SYMBOLS_SHOWN:,} more" if len(symbols) > SYMBOLS_SHOWN else ""
    return Text.assemble(f"{len(symbols):,} {kind}: ", (shown, "bold"), more)


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{100 * share:.1f} %"
