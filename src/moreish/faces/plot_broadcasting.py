"""The figure of `moreish explain broadcasting`: axes as boxes, right-aligned; what stretches, what is contracted."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from moreish.faces.plot import CHARACTERS_AN_INCH, LIGHT, Look, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from moreish.explaining.broadcasting.alignment import Cell
    from moreish.explaining.broadcasting.explanation import Broadcasting
    from moreish.explaining.broadcasting.steps import Step

MOST_PANELS = 8
MARGIN, ROW, LINE, BOX = 0.25, 0.44, 0.2, 0.3
"""Inches: around the whole, from row to row of boxes, from line to line of words, and how high a box is."""
BESIDE = 2.5
"""Inches beside the boxes from which words find room there; else they stand below."""
SMALL = 9


@dataclass(frozen=True)
class Row:
    """A row of boxes: a tensor's name, its axes, and what stands beside it."""

    name: str
    cells: tuple[Cell, ...]
    note: str
    is_result: bool = False


def broadcasting_figure(
    found: Broadcasting, width: float = 8.0, height: float | None = None, look: Look = LIGHT
) -> Figure:
    """A panel for each step: operands above, the result below, one column for each axis from the right.

    Args:
        width, height: in inches; the height is what the steps take, unless given.
    """
    steps = [step for step in found.steps if step.rows or step.axes or step.fault]
    panels = [(step, _rows(found, step)) for step in steps[:MOST_PANELS]]
    paper = _Paper(look, width)
    title = found.expression + (f"  gives  {found.shape}" if found.shape is not None else ":  an error")
    paper.words(title, look.ink if found.shape is not None else look.red, size=12, bold=True)
    given = ", ".join(f"{value.name} {value.shape}" for value in found.given)
    paper.words(f"with {given}" if found.given else "", look.faint)
    for step, rows in panels:
        paper.gap(0.14)
        _panel(paper, step, rows, max(len(row.name) for _, every in panels for row in every))
    paper.gap(0.1)
    for text, colour in _below(found, look, len(steps) - len(panels), panels):
        paper.gap(0.05)
        paper.words(text, colour)
    return paper.figure(height)


def _rows(found: Broadcasting, step: Step) -> list[Row]:
    """Operands and result; of a reduction the axes that go are marked."""
    from moreish.explaining.broadcasting.alignment import Cell

    sums = {(number, back.operand): back for number, back, _ in found.backward_sums}
    rows = []
    for at, value in enumerate(step.operands):
        if step.rows:
            cells = step.rows[at]
        else:
            cells = tuple(Cell(size, role="reduced" if i in step.axes else "") for i, size in enumerate(value.shape))
        back = sums.get((step.number, value.name))
        note = str(value.shape) if not value.number else "a number"
        if back is not None and step.out is not None:
            note += f"   back: {back.sums.lstrip('.')}" if back.sums else "   back: no sum"
        rows.append(Row(value.name, cells, note))
    out = step.result
    if not out and step.out is not None:
        out = tuple(Cell(size) for size in step.out.shape)
    name = step.out.name if step.out else "result"
    note = str(step.out.shape) if step.out else "torch refuses it"
    note = f"their mean: {note}" if step.out and step.kind == "loss" else note
    return [*rows, Row(name, out, note, is_result=True)]


def _panel(paper: _Paper, step: Step, rows: list[Row], letters: int) -> None:
    columns = max((len(row.cells) for row in rows), default=0)
    paper.words(f"{step.number}   {step.code}", paper.look.red if step.fault else paper.look.ink, bold=True)
    left = MARGIN + min(0.2 + 0.1 * letters, 0.28 * paper.width)
    room = paper.width - left - MARGIN
    pitch = min(1.0, room / max(columns, 1))
    wide = 0.9 * pitch
    beside = paper.width - left - columns * pitch - MARGIN
    noted = max(len(row.note) for row in rows) / CHARACTERS_AN_INCH <= beside - 0.15 and beside >= BESIDE
    axes = range(columns)
    for at in axes:
        paper.label(left + at * pitch + wide / 2, str(at - columns), paper.look.faint)
    paper.gap(LINE * 0.9)
    middles: dict[tuple[int, int], tuple[float, float]] = {}
    for line, row in enumerate(rows):
        y = paper.y + BOX / 2
        fits = max(int((left - MARGIN) * 10) - 1, 2)
        name = row.name if len(row.name) <= fits else row.name[: fits - 1] + "…"
        paper.text(MARGIN, y, name, paper.look.ink, bold=row.is_result)
        for at, cell in enumerate(row.cells, columns - len(row.cells)):
            x = left + at * pitch
            if cell.size is not None or cell.to is not None or cell.role:
                paper.box(x, paper.y, wide, cell, row.is_result, step.fault is not None)
                middles[line, at] = (x + wide / 2, y)
        if not row.cells:
            paper.text(left, y, "no axes", paper.look.faint)
        if noted:
            paper.text(left + columns * pitch + 0.12, y, row.note, paper.look.ink)
        paper.gap(ROW)
    if step.kind == "product" and len(rows) == 3:
        _link(paper, step, rows, columns, middles)
    if step.kind == "reduction" and step.out is not None:
        _follow(paper, step, columns, middles)
    if not noted:
        for row in rows:
            paper.words(f"{row.name}: {' '.join(row.note.split())}", paper.look.ink)


def _link(
    paper: _Paper, step: Step, rows: list[Row], columns: int, middles: dict[tuple[int, int], tuple[float, float]]
) -> None:
    """A line from the last axis of the left to the last but one of the right."""
    ends = []
    for line, row in enumerate(rows[:2]):
        places = [
            at for at, cell in enumerate(row.cells, columns - len(row.cells)) if cell.role in ("contracted", "fault")
        ]
        meeting = [at for at in places if at == columns - 1 - line]
        ends += [middles[line, at] for at in meeting]
    if len(ends) == 2:
        paper.link(ends[0], ends[1], paper.look.red if step.fault else paper.look.violet)


def _follow(paper: _Paper, step: Step, columns: int, middles: dict[tuple[int, int], tuple[float, float]]) -> None:
    """A faint line from each axis that a reduction leaves to where it lies after it: without keepdim it moves."""
    assert step.out is not None
    before, after = len(step.operands[0].shape), len(step.out.shape)
    left = [axis for axis in range(before) if axis not in step.axes or before == after]
    for at, axis in enumerate(left):
        paper.link(middles[0, columns - before + axis], middles[1, columns - after + at], paper.look.faint, 1.2)


def _below(
    found: Broadcasting, look: Look, left_out: int, panels: list[tuple[Step, list[Row]]]
) -> list[tuple[str, str]]:
    """What the signs mean, the warnings, and what would work."""
    roles = {cell.role for step, rows in panels for row in rows for cell in row.cells if step.rows}
    reduces = any(not step.rows for step, _ in panels)
    said = ["Axes are counted from the right, where shapes are aligned."]
    if roles & {"stretched", "lacking"}:
        said.append(
            "Hatched: stretched, from 1 or from an axis that is not there (·), so its gradient is summed there."
        )
    if "contracted" in roles:
        said.append("Linked: the last axis of the left with the last but one of the right, multiplied and summed.")
    if reduces:
        said.append("Crossed: the axis that a reduction goes over; lines lead to where the others lie after it.")
    if "added" in roles:
        said.append("(1): added to a vector for the product, and gone after it.")
    lines = [(" ".join(said), look.faint)]
    if left_out > 0:
        lines.append((f"{left_out} more steps are not drawn.", look.faint))
    for step in found.steps:
        if step.fault:
            lines.append((f"{step.fault.why[:1].upper()}{step.fault.why[1:]}.", look.red))
        lines += [(f"Works: {mend.code}, which gives {mend.shape}.", look.green) for mend in step.mends[:2]]
    for warning in found.warnings:
        lines.append((f"Warning, {warning.name}: {warning.says}", look.orange))
        if warning.mend:
            lines.append((f"Instead: {warning.mend}", look.green))
    return lines


class _Paper:
    """Words and boxes in inches, from the top down; drawn when it is known how high they are."""

    def __init__(self, look: Look, width: float):
        self.look, self.width, self.y = look, width, MARGIN
        self._drawn: list[tuple[str, tuple[Any, ...]]] = []

    def gap(self, inches: float) -> None:
        """Go down."""
        self.y += inches

    def words(self, text: str, colour: str, size: float = SMALL, bold: bool = False) -> None:
        """A paragraph, broken to the paper, and down below it."""
        room = round((self.width - 2 * MARGIN) * CHARACTERS_AN_INCH * SMALL / size * (1.0 if bold else 1.12))
        for line in wrap(text, max(room, 12), break_on_hyphens=False):
            self.y += LINE * size / SMALL
            self.text(MARGIN, self.y - LINE * size / SMALL / 2, line, colour, size, bold)

    def text(self, x: float, y: float, text: str, colour: str, size: float = SMALL, bold: bool = False) -> None:
        """A line of text, its left middle there."""
        self._drawn.append(("text", (x, y, text, colour, size, bold, "left")))

    def label(self, x: float, text: str, colour: str) -> None:
        """A line of text around this place, in the present line."""
        self._drawn.append(("text", (x, self.y + LINE / 2, text, colour, 8, False, "center")))

    def box(self, x: float, y: float, width: float, cell: Cell, is_result: bool, fails: bool) -> None:
        """An axis; of a result that there is not, faint."""
        self._drawn.append(("box", (x, y, width, cell, is_result, fails)))

    def link(self, start: tuple[float, float], end: tuple[float, float], colour: str, thick: float = 2.2) -> None:
        """A line between two boxes."""
        self._drawn.append(("link", (start, end, colour, thick)))

    def figure(self, height: float | None) -> Figure:
        """All that was put on it."""
        high = max(self.y + MARGIN, height or 0.0)
        figure = new_figure(self.look, self.width, high)
        figure.set_layout_engine("none")  # places are known here, in inches
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, self.width)
        axes.set_ylim(high, 0)
        axes.axis("off")
        for kind, what in self._drawn:
            {"text": self._text, "box": self._box, "link": self._link}[kind](axes, *what)
        return figure

    def _text(self, axes: Any, x: float, y: float, text: str, colour: str, size: float, bold: bool, align: str) -> None:
        weight = "bold" if bold else "normal"
        axes.text(x, y, text, color=colour, fontsize=size, weight=weight, ha=align, va="center", parse_math=False)

    def _box(self, axes: Any, x: float, y: float, width: float, cell: Cell, is_result: bool, fails: bool) -> None:
        from matplotlib.patches import Rectangle

        from moreish.explaining.broadcasting.words import cell_said

        look = self.look
        stretched = cell.role in ("stretched", "lacking")
        edges = {"contracted": look.violet, "fault": look.red, "stretched": look.orange, "lacking": look.orange}
        edges["reduced"] = look.violet
        edge = edges.get(cell.role, (look.faint if fails else look.green) if is_result else look.blue)
        style = (0, (3, 2)) if cell.role in ("lacking", "added") or (is_result and fails) else "-"
        face = Rectangle((x, y), width, BOX, facecolor=edge, alpha=0.12, lw=0)
        frame = Rectangle(
            (x, y), width, BOX, fill=False, edgecolor=edge, lw=2.2 if cell.role == "fault" else 1.4, ls=style
        )
        axes.add_patch(face)
        if stretched or cell.role == "reduced":
            hatch = "////" if stretched else "xxxx"
            axes.add_patch(Rectangle((x, y), width, BOX, fill=False, edgecolor=edge, hatch=hatch, lw=0, alpha=0.45))
        axes.add_patch(frame)
        said = cell_said(cell).strip("[]")
        size = SMALL if len(said) * 0.085 <= width else max(4.0, SMALL * width / (len(said) * 0.085))
        under = {"facecolor": look.paper, "edgecolor": "none", "pad": 1.0, "alpha": 0.85}
        axes.text(
            x + width / 2, y + BOX / 2, said, color=look.ink, fontsize=size, ha="center", va="center",
            bbox=under if stretched or cell.role == "reduced" else None,
            zorder=3,
        )  # fmt: skip

    def _link(self, axes: Any, start: tuple[float, float], end: tuple[float, float], colour: str, thick: float) -> None:
        (x0, y0), (x1, y1) = start, end
        axes.plot([x0, x1], [y0 + BOX / 2, y1 - BOX / 2], color=colour, lw=thick, marker="o", ms=1.8 * thick, zorder=4)
