"""How the report's page looks: the colours of the figures, for readers of light and of dark pages, and for paper."""

from __future__ import annotations

from moreish.faces.plot import DARK, LIGHT, Look
from moreish.faces.reporting.inline import COLOURS, Inline

FONT = 'system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif'
MONO = 'ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace'
EXTRA = {
    "light": {"quiet": "#57606a", "card": "#f6f8fa", "edge": "#d0d7de"},
    "dark": {"quiet": "#9198a1", "card": "#151b23", "edge": "#3d444d"},
}
"""Colours of the page that no figure has: quiet words, cards, and edges."""

RULES = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 FONT;overflow-wrap:break-word}
header,main,footer{max-width:76rem;margin:0 auto;padding:0 1rem}
header{padding-top:2rem}
h1{font-size:1.75rem;line-height:1.2;margin:0 0 .4rem}
h2{font-size:1.3rem;margin:0 0 .2rem}
h3{font-size:1rem;margin:0 0 .3rem}
p{margin:0 0 .7rem}
a{color:var(--blue)}
code{font:.92em MONO}
.quiet,.why,.unit,figcaption,footer{color:var(--quiet)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.75rem;padding:0;margin:1rem 0}
.tiles div{background:var(--card);border:1px solid var(--edge);border-radius:.5rem;padding:.7rem .9rem}
.tiles dt{color:var(--quiet);font-size:.875rem}
.tiles dd{margin:0;font-size:1.5rem;font-weight:650;line-height:1.25;font-variant-numeric:tabular-nums}
.tiles .unit{display:block;font-size:.8125rem;font-weight:400}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:.3rem 1rem;padding:0;margin:1rem 0 0}
section{border-top:1px solid var(--edge);margin-top:2rem;padding-top:1.4rem}
.body{columns:2 30rem;column-gap:3rem;margin-top:.8rem}
.body>*{break-inside:avoid;margin:0 0 1.5rem}
.remarks{list-style:none;padding:0;margin:.8rem 0 0}
.remarks li{border-left:.25rem solid var(--edge);padding:.1rem 0 .1rem .8rem;margin:0 0 .5rem;max-width:60rem}
.remarks .warning{border-color:var(--orange)}
.remarks .good{border-color:var(--green)}
.remarks b{font-weight:650}
.body>.figures{break-inside:auto}
.figures>div{break-inside:avoid;display:grid;grid-template-columns:1fr auto;gap:0 1rem;padding:.45rem 0;
border-bottom:1px solid var(--edge)}
.figures dt{font-weight:600}
.figures dd{margin:0}
.figures .value{text-align:right;font-variant-numeric:tabular-nums}
.figures .why{grid-column:1/-1;font-size:.875rem;line-height:1.45}
.why{font-size:.875rem;line-height:1.45}
.unknown{font-style:italic}
figure{margin:0}
figcaption{font-size:.875rem;line-height:1.45;margin-top:.4rem}
.drawn{display:block;width:100%;height:auto;max-width:36rem}
.scroll{overflow-x:auto;border:1px solid var(--edge);border-radius:.5rem}
.scroll:focus-visible{outline:2px solid var(--blue)}
table{border-collapse:collapse;width:100%;font-size:.875rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid var(--edge)}
tr:last-child td{border-bottom:0}
th{background:var(--card);font-weight:600;white-space:nowrap}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td.text{white-space:pre-wrap;overflow-wrap:normal}
td.prose{min-width:13rem;overflow-wrap:break-word}
.widely{display:none}
@media (min-width:64rem){.narrowly{display:none}.widely{display:block}.widely .drawn{max-width:none}
figure.wide{column-span:all}}
.table.wide{column-span:all;padding-top:1rem}
.columns{font-size:.8125rem;line-height:1.45;color:var(--quiet);margin:.4rem 0 0}
.columns div{display:inline}
.columns dt,.columns dd{display:inline;margin:0}
.columns dt{font-weight:600}
.columns dd::after{content:" "}
footer{border-top:1px solid var(--edge);margin-top:2.5rem;padding-top:1rem;padding-bottom:2.5rem;font-size:.875rem}
@media print{
html{font-size:10pt}body{font-size:1rem}nav{display:none}a{color:inherit}
.scroll{overflow:visible;border-radius:0}.body{columns:2 20rem}
section{break-inside:auto}h2,h3{break-after:avoid}
}
"""


def stylesheet(inline: Inline) -> str:
    """The page's one stylesheet, the rules of its drawings among them."""
    rules = RULES.replace("FONT", FONT).replace("MONO", MONO).replace("\n", "")
    light = _colours("light", LIGHT) + inline.colours(dark=False)
    dark = _colours("dark", DARK) + inline.colours(dark=True)
    return (
        f":root{{color-scheme:light dark;{light}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
        f"@media print{{:root{{color-scheme:light}}}}{rules}{inline.css}"
    )


def _colours(theme: str, look: Look) -> str:
    told = {name: getattr(look, name) for name in COLOURS} | EXTRA[theme]
    return "".join(f"--{name}:{value};" for name, value in told.items())
