"""A report as one HTML page that needs nothing else: no network, no script, no file beside it.

Whatever comes from a list or a model may be HTML, or turn the writing around: every text is escaped, its control
characters are written out, and each value stands in an element that keeps its direction to itself.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from functools import partial
from html import escape
from typing import TYPE_CHECKING

from moreish.faces.reporting.inline import Inline
from moreish.faces.reporting.pictures import DRAWINGS
from moreish.faces.reporting.style import FONT, stylesheet
from moreish.runs.reporting.section import unit_shown
from moreish.text.alphabet import printable

if TYPE_CHECKING:
    from moreish.runs.report import Report
    from moreish.runs.reporting.section import Figure, Picture, Remark, Section, Table, Value

TONES = {"good": "Good", "plain": "", "warning": "Note"}
"""A remark's tone in a word, for those who do not see its colour."""

WIDE = 5
"""Columns from which a table runs across the page."""
PROSE = 36
"""Characters from which a cell is a sentence rather than a word."""


def page(report: Report) -> str:
    """The whole page. matplotlib must be installed."""
    inline = Inline(FONT)
    sections = "".join(_section(section, inline) for section in report.sections)
    style = stylesheet(inline)
    links = "".join(f'<li><a href="#{said(s.name)}">{said(s.title)}</a></li>' for s in report.sections)
    tiles = "".join(
        f"<div><dt>{said(f.label)}</dt><dd>{_value(f.shown)} "
        f'<span class="unit">{said(unit_shown(f.unit, f.value))}</span></dd></div>'
        for f in report.headlines
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_policy(style, sections))}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'
        f"<title>{said(report.title)}</title><style>{style}</style></head>\n"
        f"<body><header><h1>{_value(report.model)} on {_value(report.list)}</h1>"
        f'<p class="quiet">{said(report.summary)}</p><dl class="tiles">{tiles}</dl>'
        f'<nav aria-label="Sections"><ul>{links}</ul></nav></header>\n'
        f"<main>{sections}</main>\n"
        f"<footer>Written by <code>moreish report</code> of the run {_value(report.run)}. The same report as data: "
        f"<code>moreish report RUN --json</code>.</footer></body></html>\n"
    )


def said(text: str) -> str:
    """Text as it can stand in a page, in an element or in an attribute: no markup, no control characters."""
    return escape(printable(text))


def _prose(text: str) -> str:
    """Our own sentences; what stands between backticks is a command or a piece of code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", said(text))


def _value(text: str) -> str:
    """A text of the list's or the model's own, whose direction of writing goes no further than itself."""
    return f"<bdi>{said(text)}</bdi>"


def _policy(style: str, body: str) -> str:
    """Nothing may be loaded, run or sent; the one stylesheet is known by its hash."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    images = " img-src data:;" if "data:image/" in body else ""
    return f"default-src 'none'; style-src 'sha256-{digest}';{images} base-uri 'none'; form-action 'none'"


def _section(section: Section, inline: Inline) -> str:
    name = said(section.name)
    head = f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{said(section.title)}</h2>'
    head += f'<p class="quiet">{_prose(section.about)}</p>'
    if section.missing:
        return f'{head}<p class="unknown">{_prose(section.missing)}</p></section>\n'
    parts = [_picture(picture, section, inline) for picture in section.pictures]
    parts.append(_figures(section.figures))
    parts += [_table(table) for table in section.tables]
    return f'{head}{_remarks(section.remarks)}<div class="body">{"".join(parts)}</div></section>\n'


def _remarks(remarks: Iterable[Remark]) -> str:
    items = "".join(
        f'<li class="{said(remark.tone)}">{f"<b>{TONES[remark.tone]}:</b> " if TONES[remark.tone] else ""}'
        f"{_prose(remark.text)}</li>"
        for remark in remarks
    )
    return f'<ul class="remarks">{items}</ul>' if items else ""


def _figures(figures: Iterable[Figure]) -> str:
    rows = []
    for figure in figures:
        known = figure.value is not None
        value = f'{_value(figure.shown)} <span class="unit">{said(unit_shown(figure.unit, figure.value))}</span>'
        why = figure.explanation if known else f"{figure.explanation} Not known: {figure.unknown}"
        rows.append(
            f'<div><dt>{said(figure.label)}</dt><dd class="value{"" if known else " unknown"}">'
            f'{value if known else said(figure.shown)}</dd><dd class="why">{_prose(why)}</dd></div>'
        )
    return f'<dl class="figures">{"".join(rows)}</dl>' if rows else ""


def _table(table: Table) -> str:
    kinds = [_kind([row[i] for row in table.rows]) for i in range(len(table.columns))]
    wide = len(table.columns) >= WIDE or "text prose" in kinds
    head = "".join(
        f'<th scope="col" class="{kind}">{said(column.label)}</th>' for column, kind in zip(table.columns, kinds)
    )
    rows = "".join(
        "<tr>"
        + "".join(
            f'<td class="{kind}">{_value(cell) if cell else ""}</td>' for cell, kind in zip(table.shown(row), kinds)
        )
        + "</tr>"
        for row in table.rows
    )
    columns = "".join(
        f"<div><dt>{said(column.label)}{f' ({said(unit)})' if (unit := unit_shown(column.unit)) else ''}:</dt> "
        f"<dd>{_prose(column.explanation)}</dd></div>"
        for column in table.columns
    )
    about = f'<p class="why">{_prose(table.about)}</p>' if table.about else ""
    title = said(table.title)
    return (
        f'<div class="table{" wide" if wide else ""}"><h3>{title}</h3>{about}'
        f'<div class="scroll" role="region" aria-label="{title}" tabindex="0">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        f'<dl class="columns">{columns}</dl></div>'
    )


def _kind(cells: Iterable[Value]) -> str:
    """How a column is set: numbers to the right, long texts with room to run in."""
    texts = [cell for cell in cells if isinstance(cell, str)]
    return "number" if not texts else "text prose" if max(map(len, texts)) > PROSE else "text"


def _picture(picture: Picture, section: Section, inline: Inline) -> str:
    """The drawing and what is to be seen in it; where there is a wide one too, the page shows that which has room."""
    drawing, name = DRAWINGS[picture.kind], f"{section.name}-{picture.name}"
    sentence = printable(picture.sentence)
    drawn = inline.draw(name, partial(drawing.figure, picture.data), sentence)
    kind = ""
    if drawing.wide is not None:
        wide = inline.draw(f"{name}-wide", partial(drawing.wide, picture.data), sentence)
        drawn = f'<div class="narrowly">{drawn}</div><div class="widely">{wide}</div>'
        kind = ' class="wide"'
    return f"<figure{kind}>{drawn}<figcaption>{said(picture.sentence)}</figcaption></figure>"
