"""Draws the README's pictures of the terminal, in light and dark: `python docs/pictures.py`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from moreish.explaining.taping.tape import tape
from moreish.faces.cli import run
from moreish.faces.terminal import bigram_picture, sample_table
from moreish.generating.sample import sample
from moreish.learning.fit import fit
from moreish.learning.tables import bigram_table
from moreish.text.corpus import Corpus

HERE = Path(__file__).parent / "images"
COLOURS = {
    "dark": ((13, 17, 23), (230, 237, 243), (63, 185, 80), (210, 153, 34), (57, 197, 207), (248, 81, 73)),
    "light": ((255, 255, 255), (31, 35, 40), (26, 127, 55), (154, 103, 0), (27, 124, 131), (207, 34, 46)),
}
# rich's own format fetches its font from the web; a picture in a README must not.
FORMAT = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g></g></svg>
"""


def theme(name: str) -> TerminalTheme:
    """A terminal's colours."""
    back, fore, green, yellow, cyan, red = COLOURS[name]
    ansi = [back, red, green, yellow, cyan, fore, cyan, fore]
    return TerminalTheme(back, fore, ansi, ansi)


def draw(name: str, title: str, width: int, *parts: object) -> None:
    """Write one picture, in light and dark."""
    with (HERE / "screen.txt").open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=width, file=nowhere, force_terminal=True, color_system="truecolor")
        for part in parts:
            console.print(part, soft_wrap=isinstance(part, str))
        for shade in COLOURS:
            svg = console.export_svg(title=title, theme=theme(shade), code_format=FORMAT, clear=False, unique_id=name)
            (HERE / f"{name}-{shade}.svg").write_text(svg, encoding="utf-8")
    (HERE / "screen.txt").unlink()


def main() -> None:
    """Draw them all."""
    HERE.mkdir(exist_ok=True)
    corpus = Corpus.read("names")
    found = sample(fit(corpus, "ngram"), 12, new_only=True, distinct=True, prefix="ma", seed=3)
    prompt = Text.assemble(("$ ", "dim"), "moreish more names -n 12 --new-only --prefix ma --model ngram --seed 3\n")
    draw("more", "moreish more", 96, prompt, sample_table(found, 3))
    table = bigram_table(fit(corpus, "bigram"))
    prompt = Text.assemble(("$ ", "dim"), "moreish models bigram --of runs/b\n")
    draw("bigram", "moreish models bigram", 142, prompt, bigram_picture(table, 142, True))
    x = torch.tensor([[1.0, -2.0]], requires_grad=True)
    w = torch.tensor([[0.5], [1.5]], requires_grad=True)
    with tape() as recorded:
        h = torch.tanh(x @ w)
        loss = (h + x).sum()  # noqa: F841  the tape names it
    for shade in COLOURS:
        (HERE / f"tape-{shade}.svg").write_text(recorded.svg(dark=shade == "dark"), encoding="utf-8")
    with tempfile.TemporaryDirectory() as place:
        run(["train", "names", "--model", "mlp-bn", "--layers", "3", "--steps", "600", "--run", f"{place}/r", "--json"])
        for shade in COLOURS:
            dark = ["--dark"] * (shade == "dark")
            run(["watch", f"{place}/r", "--step", "500", "--plot", str(HERE / f"watch-{shade}.svg"), *dark])


if __name__ == "__main__":
    main()
