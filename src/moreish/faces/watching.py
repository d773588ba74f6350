"""A network's vitals in a terminal: a row for each site, parameter and BatchNorm, and what is normal in each column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from moreish.faces.draw import sparks
from moreish.learning.normal import (
    NORMS,
    PARAMETERS,
    SITES,
    beginning,
    noise_said,
    norm_is_odd,
    parameter_is_odd,
    rate_said,
    site_is_odd,
)
from moreish.text.alphabet import printable

if TYPE_CHECKING:
    from moreish.learning.vitals import NormVitals, ParameterVitals, SiteVitals, Spread
    from moreish.runs.vitals import WatchedRun

SHAPES_FROM, SPARKS_FROM = 72, 90
"""Columns of a terminal from which shapes, and histograms of activations, have room."""
SPARKS = 20


def watch_table(found: WatchedRun, step: int, width: int) -> RenderableType:
    """Everything of one reading, each number explained."""
    now, recipe = found.at(step), found.recipe
    first = found.readings[0]
    unit = "windows" if recipe.batch_of == "windows" else "lines"
    of = f"{printable(recipe.model)}, step {now.step:,} of {recipe.steps:,}: loss {now.loss:.4f}"
    said = [f"The learning rate is at {100 * found.rate_share(step):.3g} % of its highest."]
    if now.clipped < 1:
        said.append(f"The gradient was too long, and shortened to {100 * now.clipped:.2g} %.")
    parts: list[RenderableType] = [Text(of, "bold"), _sentence(" ".join(said))]
    parts.append(_sentence(beginning(first) if first.step == 1 else f"ln V is {now.unsure:.4f}."))
    parts.append(_sentence(noise_said(found.noise(step), unit)))
    if now.sites:
        parts += [_heading("What passes through, and the gradient that comes back"), _sites(now.sites, width)]
        parts += _explained(_used_sites(now.sites), SITES)
    parts += [_heading("Parameters"), _parameters(now.parameters, found.rate_share(step), width)]
    if low := rate_said(found.rate_share(step)):
        parts.append(_sentence(low))
    parts += _explained(PARAMETERS, PARAMETERS)
    if now.norms:
        parts += [_heading("BatchNorm: the batch against what is kept for evaluation"), _norms(now.norms, step, width)]
        parts += _explained(NORMS, NORMS)
    parts.append(Text())
    if any(_has_mark(part) for part in parts):
        parts.append(Text("! outside of what is normal, by these rules of thumb.", "dim"))
    if len(found.readings) > 1:
        parts.append(Text(f"Readings at steps {_steps(found)}: --step N.", "dim"))
    return Group(*parts)


def _sites(sites: list[SiteVitals], width: int) -> Table:
    shown = _used_sites(sites)
    table = _table(["site", *shown], width)
    for site in sites:
        cells = [_mark(_site_cell(site, number), site_is_odd(site, number)) for number in shown]
        name = Text(printable(site.site), "bold" if site.kind in ("tanh", "sigmoid", "relu", "gelu", "silu") else "")
        table.add_row(name, *cells, *_drawn(site.activation, width))
    return table


def _used_sites(sites: list[SiteVitals]) -> list[str]:
    """The columns that some site has something in."""
    empty = {
        "saturated": all(site.saturated is None for site in sites),
        "dead": all(site.dead is None for site in sites),
        "gradient": all(site.gradient is None for site in sites),
    }
    return [number for number in SITES if not empty.get(number)]


def _site_cell(site: SiteVitals, number: str) -> str:
    if number in ("saturated", "dead"):
        return _share(site.saturated if number == "saturated" else site.dead)
    if number == "gradient":
        return "" if site.gradient is None else _small(site.gradient.deviation, site.gradient.not_finite)
    value = site.activation.mean if number == "mean" else site.activation.deviation
    return _plain(value, site.activation.not_finite)


def _parameters(parameters: list[ParameterVitals], lr_share: float, width: int) -> Table:
    shaped = width >= SHAPES_FROM
    table = _table(["parameter", *(["shape"] if shaped else []), *PARAMETERS], width)
    for each in parameters:
        numbers = {
            "deviation": _plain(each.data.deviation, each.data.not_finite),
            "gradient:data": _small(each.gradient_to_data, 0 if each.gradient is None else each.gradient.not_finite),
            "update:data": "" if each.update_to_data is None else f"{each.update_to_data:.2f}",
        }
        cells = [_mark(text, parameter_is_odd(each, number, lr_share)) for number, text in numbers.items()]
        shape = [Text(" × ".join(map(str, each.shape)) or "1", "dim")] if shaped else []
        table.add_row(Text(printable(each.name), "bold" if len(each.shape) > 1 else ""), *shape, *cells)
    return table


def _norms(norms: list[NormVitals], step: int, width: int) -> Table:
    table = _table(["site", *NORMS], width)
    for norm in norms:
        numbers = {
            "apart": _plain(norm.mean_apart), "ratio": _plain(norm.deviation_ratio), "rows": f"{norm.rows:,}"
        }  # fmt: skip
        cells = [_mark(text, norm_is_odd(norm, number, step)) for number, text in numbers.items()]
        table.add_row(Text(printable(norm.site)), *cells)
    return table


def _table(heads: list[str], width: int) -> Table:
    drawn = "mean" in heads and width >= SPARKS_FROM
    table = Table.grid(padding=(0, 2 if width >= SHAPES_FROM else 1))
    table.add_column()
    for _ in heads[1:]:
        table.add_column(justify="right")
    if drawn:
        table.add_column(style="cyan", no_wrap=True)
    table.add_row(*(Text(head, "dim") for head in (*heads, *(["its numbers"] if drawn else []))))
    return table


def _drawn(spread: Spread, width: int) -> list[Text]:
    if width < SPARKS_FROM:
        return []
    return [Text("" if spread.histogram is None else sparks(spread.histogram.counts, SPARKS))]


def _has_mark(part: RenderableType) -> bool:
    if not isinstance(part, Table):
        return False
    return any(isinstance(cell, Text) and cell.plain.startswith("! ") for c in part.columns for cell in c.cells)


def _mark(text: str, odd: bool) -> Text:
    return Text(f"! {text}", "bold yellow") if odd else Text(text)


def _plain(value: float | None, not_finite: int = 0) -> str:
    if not_finite:
        return f"{not_finite:,} not finite"
    if value is None:
        return ""
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.2g}"


def _small(value: float | None, not_finite: int = 0) -> str:
    if not_finite:
        return f"{not_finite:,} not finite"
    return "" if value is None else f"{value:.1e}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _explained(names: Sequence[str] | dict[str, str], words: dict[str, str]) -> list[Text]:
    return [Text.assemble((f"{name}: ", "dim bold"), (words[name], "dim")) for name in names]


def _heading(text: str) -> Text:
    return Text(f"\n{text}", "bold")


def _sentence(text: str) -> Text:
    return Text(text)


def _steps(found: WatchedRun) -> str:
    """The steps that were read, in a few words: the first ones and the last."""
    steps = [f"{one.step:,}" for one in found.readings]
    if len(steps) <= 6:
        return f"{', '.join(steps[:-1])} and {steps[-1]}"
    return f"{', '.join(steps[:3])}, …, {steps[-1]} ({len(steps)} in all)"
