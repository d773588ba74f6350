"""`moreish report` and `moreish embeddings`: page, JSON and terminal agree, and a list cannot speak through them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import warnings
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from calling import MADE_UP
from rich.console import Console

from moreish.errors import UsageError
from moreish.faces import plot
from moreish.faces.cli import run
from moreish.faces.plot import DARK, LIGHT, rendered
from moreish.faces.reporting.pictures import DRAWINGS
from moreish.faces.reporting.terminal import told
from moreish.runs.directory import load
from moreish.runs.report import Report, report
from moreish.runs.reporting.learning import Curves

HOSTILE = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</style><b>", "</svg><iframe src=//x>",
    "a\u202egnp", "\u2066iso\u2069", "nul\x01one", "`code`", "$x^2$", "$\\frac", "مرحبا", "日本",
    "-->", "]]>", "&amp;", "x" * 300,
]  # fmt: skip
VOID = {"meta", "br", "img", "link", "input"}


class Reader(HTMLParser):
    """A page's elements, attributes and words; what is opened must be closed, in order."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.style = ""
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.words.append(data)

    @property
    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}

    def values(self, attribute: str) -> list[str]:
        return [attrs[attribute] or "" for _, attrs in self.elements if attribute in attrs]


def squeezed(text: str) -> str:
    """Letters alone: line breaks, spaces and backticks are of the face, not of the report."""
    return "".join(text.replace("`", "").split())


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> dict[str, str]:
    """Runs of an MLP on the made-up list and on a hostile one."""
    where = tmp_path_factory.mktemp("networks")
    (where / "plain.txt").write_text("".join(f"{line}\n" for line in MADE_UP))
    hostile = [f"{line}{tail}" for line in HOSTILE for tail in ("", "a", "ab", "abc")]
    (where / "hostile.txt").write_text("".join(f"{line}\n" for line in hostile), encoding="utf-8")
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.chdir(where)  # the list's name is then a short one
    for name in ("plain", "hostile"):
        flags = ["--model", "mlp", "--steps", "20", "--hidden", "8", "--embedding", "2", "--context", "2"]
        assert run(["train", f"{name}.txt", "--run", str(where / name), *flags]) == 0
    monkeypatch.undo()
    return {name: str(where / name) for name in ("plain", "hostile")}


@pytest.fixture(scope="module")
def reports(networks) -> dict[str, Report]:
    return {name: report(where) for name, where in networks.items()}


@pytest.fixture(scope="module")
def pages(reports) -> dict[str, str]:
    pytest.importorskip("matplotlib")
    from moreish.faces.reporting.page import page

    return {name: page(found) for name, found in reports.items()}


def test_page_json_and_terminal_say_the_same(reports, pages):
    found = reports["plain"]
    plain = json.loads(json.dumps(found.to_dict()))
    page_words = squeezed(" ".join(Reader(pages["plain"]).words))
    console = Console(width=100_000, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(told(found, 80))  # on a paper so wide that nothing is broken
    terminal_words = squeezed(console.export_text())
    assert len(plain["sections"]) == len(found.sections) == 8
    for section in plain["sections"]:
        told_of = [section["title"], section["about"], section["missing"]]
        told_of += [remark["text"] for remark in section["remarks"]]
        for figure in section["figures"]:
            told_of += [figure["label"], figure["shown"], figure["explanation"], figure["unknown"]]
        for table in section["tables"]:
            told_of += [table["title"], table["about"], *(column["explanation"] for column in table["columns"])]
            told_of += [cell for row in table["rows"] for cell in row if isinstance(cell, str)]
        told_of += [picture["sentence"] for picture in section["pictures"]]
        for words in told_of:
            assert squeezed(words) in page_words, words
            assert squeezed(words) in terminal_words, words
        for figure in section["figures"]:  # each beside its own name
            label, value = squeezed(figure["label"]), squeezed(figure["shown"])
            assert label + value in page_words and f"{label}:{value}" in terminal_words, figure


def test_rows_of_tables_are_the_same_everywhere(reports, pages):
    found = reports["plain"]
    page_words = squeezed(" ".join(Reader(pages["plain"]).words))
    for section in found.sections:
        for table in section.tables:
            for row in table.rows:
                assert squeezed(" ".join(table.shown(row))) in page_words


@pytest.mark.parametrize("name", ["plain", "hostile"])
def test_the_page_needs_nothing_and_runs_nothing(pages, name):
    reader = Reader(pages[name])
    assert not reader.tags & {"script", "img", "iframe", "link", "object", "embed", "form", "input", "base", "image"}
    for tag, attributes in reader.elements:
        assert not [key for key in attributes if key.startswith("on") or key in ("style", "src", "xmlns")], tag
        assert (attributes.get("href") or "#").startswith("#"), attributes
    assert "url(" not in reader.style and "@import" not in reader.style and "http" not in reader.style
    (policy,) = [a["content"] for t, a in reader.elements if a.get("http-equiv") == "Content-Security-Policy"]
    digest = base64.b64encode(hashlib.sha256(reader.style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert pages[name].count("<style") == 1


@pytest.mark.parametrize("name", ["plain", "hostile"])
def test_ids_are_each_one_element_s_and_every_reference_is_met(pages, name):
    reader = Reader(pages[name])
    ids = reader.values("id")
    assert len(ids) == len(set(ids))
    wanted = {href[1:] for href in reader.values("href")}
    for value in (v for _, attributes in reader.elements for v in attributes.values() if v):
        wanted |= set(re.findall(r"url\(#([^)]+)\)", value))
    wanted |= set(reader.values("aria-labelledby"))
    assert wanted and wanted <= set(ids)


def test_one_drawing_serves_light_and_dark(pages):
    reader = Reader(pages["plain"])
    assert reader.tags >= {"svg", "path", "text"}
    assert "#f0a" not in pages["plain"], "a marked colour was left"
    used = set(re.findall(r"var\(--(\w+)\)", reader.style))
    light, dark = re.findall(r":root{([^}]*--paper[^}]*)}", reader.style)
    for theme, look in ((light, LIGHT), (dark, DARK)):
        defined = dict(re.findall(r"--(\w+):(#\w+);", theme))
        assert used <= defined.keys() and {"ink", "paper", "blue"} <= used
        assert all(defined[name] == getattr(look, name) for name in ("paper", "ink", "blue", "faint"))
    of_drawings = "".join(re.findall(r"\.d\d+\{([^}]*)\}", reader.style))
    assert not re.findall(r"#[0-9a-f]{3,6}", of_drawings)
    classes = {each for names in reader.values("class") for each in names.split()}
    assert set(re.findall(r"\.(d\d+)\{", reader.style)) <= classes


def test_a_scale_of_colours_is_the_dark_one_in_the_dark_and_ids_are_the_same_each_time():
    matplotlib = pytest.importorskip("matplotlib")
    from matplotlib.colors import to_hex

    from moreish.faces.reporting.inline import Inline

    shares = (0.0, 0.3, 0.9)

    def make(look):
        figure = plot.new_figure(look, 3, 2)
        axes = figure.add_subplot()
        for share in shares:
            axes.plot([0, 1], [share, 1], color=matplotlib.colormaps[look.scale](share))
        disc = matplotlib.patches.Circle((0.5, 0.5), 0.4, transform=axes.transData)
        axes.plot([0, 1], [0, 1], color=look.ink).pop().set_clip_path(
            disc
        )  # by a path, whose id is its place in memory
        return figure

    inline = Inline("serif")
    drawn = inline.draw("x", make, "Three lines.")
    for dark, look in ((False, LIGHT), (True, DARK)):
        told_of = dict(re.findall(r"--(scale\d+):(#\w+);", inline.colours(dark)))
        assert sorted(told_of.values()) == sorted(to_hex(matplotlib.colormaps[look.scale](share)) for share in shares)
        assert all(f"var(--{name})" in inline.css for name in told_of)
    assert Inline("serif").draw("x", make, "Three lines.") == drawn and drawn.count("<svg") == 1


def test_every_drawing_says_what_is_to_be_seen(reports, pages):
    reader = Reader(pages["plain"])
    drawings = [attributes for tag, attributes in reader.elements if tag == "svg"]
    sentences = [picture.sentence for section in reports["plain"].sections for picture in section.pictures]
    assert {drawing["aria-label"] for drawing in drawings} == set(sentences) and len(drawings) >= len(sentences) >= 3
    assert {drawing["role"] for drawing in drawings} == {"img"} and all("viewbox" in drawing for drawing in drawings)
    assert reader.elements[0] == ("html", {"lang": "en"})


def test_what_the_list_says_stays_text_and_keeps_its_direction(reports, pages):
    text = pages["hostile"]
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f]", text)
    assert "<script>" not in text and "<iframe" not in text and "<img" not in text
    words = "".join(Reader(text).words)
    symbols = {place.symbol for place in reports["hostile"].section("embeddings").pictures[0].data.places}
    assert {"<", "&", '"', "م", "\u202e"} <= symbols, "they are drawn too"
    assert "\\u202e" in words
    ran = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    ran.print(told(reports["hostile"], 80))
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f]", ran.export_text())


def test_the_command_writes_the_page_whole_and_the_same_each_time(moreish, networks, pages):
    ran = moreish("report", networks["plain"], "-o", "out/deep/report.html")
    assert ran.code == 0 and ran.out == "" and ran.err == "moreish: wrote out/deep/report.html\n"
    assert Path("out/deep/report.html").read_text(encoding="utf-8") == pages["plain"]
    both = moreish("report", networks["plain"], "-o", "again.html", "--json", "-n", "3")
    assert both.err == "" and len(both.json["sections"]) == 8
    assert both.json == json.loads(json.dumps(report(networks["plain"], lines=3).to_dict()))
    assert moreish("report", networks["plain"], "-n", "3", "--json").json == both.json


@pytest.mark.parametrize("name", ["ngram", "one-layer", "hashes", "one"])
def test_every_kind_of_run_is_told_of(moreish, runs, name):
    pytest.importorskip("matplotlib")
    ran = moreish("report", runs[name], "-o", "r.html")
    assert ran.code == 0, ran.err
    text = Path("r.html").read_text(encoding="utf-8")
    assert {"body", "main"} <= Reader(text).tags
    told_of = moreish("report", runs[name])
    assert told_of.code == 0 and "Verdicts" in told_of.out
    if name == "ngram":
        assert "fittedbycounting" in squeezed(told_of.out) and "hasnoembedding" in squeezed(told_of.out)


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("command", ["report", "embeddings"])
def test_nothing_leaves_the_terminal(moreish, networks, monkeypatch, command, width):
    monkeypatch.setenv("COLUMNS", str(width))
    ran = moreish(command, networks["plain"])
    assert ran.code == 0 and ran.err == "" and "\x1b" not in ran.out
    assert all(len(line) <= width for line in ran.lines)


REFUSED = [
    (["report", "RUN", "-o", "r.pdf"], 2, "does not end in .html"),
    (["report", "RUN", "-o", "RUN/r.html"], 2, "inside a run directory"),
    (["report", "nosuch"], 1, "no run directory nosuch"),
    (["report", "RUN", "-n", "0"], 2, "-n 0 is not a whole number from 1 to 1,000"),
    (["report", "RUN", "--seed", "-1"], 2, "seed"),
    (["embeddings", "RUN", "--by", "angle"], 2, "neither distance nor cosine"),
    (["embeddings", "RUN", "--neighbours", "-2"], 2, "not a whole number from 0"),
    (["embeddings", "RUN", "--plot", "e.bmp"], 2, "ends in none of"),
    (["embeddings", "RUN", "--dark"], 2, "--dark is about the drawing"),
    (["embeddings", "NGRAM"], 2, "the model ngram, which has no embedding"),
]


@pytest.mark.parametrize("words, code, said", REFUSED, ids=lambda x: str(x)[:50])
def test_what_cannot_be_obeyed_is_refused_in_a_sentence(moreish, networks, runs, words, code, said, types_unchecked):
    places = {"RUN": networks["plain"], "NGRAM": runs["ngram"]}
    ran = moreish(*(word.replace("RUN", places["RUN"]) if word != "NGRAM" else places[word] for word in words))
    assert ran.code == code and ran.out == "" and said in " ".join(ran.err.replace("│", " ").split()), ran.err


def test_without_matplotlib_a_sentence_says_how_to_get_it(moreish, networks, monkeypatch):
    monkeypatch.setattr(plot, "find_spec", lambda name: None)
    ran = moreish("report", networks["plain"], "-o", "r.html")
    assert ran.code == 2 and "-o needs matplotlib" in ran.err and "moreish[plots]" in ran.err
    assert moreish("report", networks["plain"]).code == 0, "the terminal needs none"
    with pytest.raises(UsageError):
        plot.check_matplotlib("-o")


def test_each_kind_of_picture_can_be_drawn_both_ways(reports):
    pytest.importorskip("matplotlib")
    pictures = [picture for section in reports["plain"].sections for picture in section.pictures]
    assert {picture.kind for picture in pictures} == DRAWINGS.keys()
    for picture in pictures:
        drawing = DRAWINGS[picture.kind]
        for look in (LIGHT, DARK):
            figure = drawing.figure(picture.data, look)
            figure.draw_without_rendering()
            for axes in figure.axes:
                for text in (t for t in (axes._left_title, axes.xaxis.label, axes.yaxis.label) if t.get_text()):
                    box = text.get_window_extent()
                    assert box.x0 >= -1 and box.x1 <= figure.bbox.x1 + 1, text.get_text()


def test_the_key_of_the_curves_names_what_is_drawn_and_no_more():
    console = Console(width=80, record=True, file=Path("/dev/null").open("w"))  # noqa: SIM115
    for train, dev, named in (
        ([(1, 3.0), (9, 2.0)], [], {"batches"}), ([(1, 3.0)], [(5, 2.5)], {"batches", "dev"}),
        ([], [(1, 3.0), (5, 2.0)], {"dev"}),
    ):  # fmt: skip
        console.print(DRAWINGS["curves"].characters(Curves(train, dev, 3.3), 80))
        told = console.export_text()
        assert "knowing nothing" in told and {word for word in ("batches", "dev") if word in told} == named


def test_a_picture_may_have_a_wide_drawing_too_and_the_page_shows_one_of_them(reports, pages, monkeypatch):
    pytest.importorskip("matplotlib")
    from moreish.faces.plot_report import curves_figure
    from moreish.faces.reporting.page import page

    drawing = replace(DRAWINGS["curves"], wide=lambda data, look: curves_figure(data, 9.0, 3.0, look))
    monkeypatch.setitem(DRAWINGS, "curves", drawing)
    reader, before = Reader(page(reports["plain"])), Reader(pages["plain"])
    assert reader.values("class").count("drawn") == before.values("class").count("drawn") + 1
    assert {"narrowly", "widely"} <= set(reader.values("class")) and len(reader.values("id")) == len(
        set(reader.values("id"))
    )
    assert ".widely{display:none}" in reader.style and "{.narrowly{display:none}.widely{display:block}" in reader.style


def test_the_figure_of_the_symbols_has_each_at_its_place(networks):
    pytest.importorskip("matplotlib")
    from moreish.explaining.embedding.measures import embeddings
    from moreish.faces.draw_places import place_label
    from moreish.faces.plot_embeddings import embeddings_figure

    found = embeddings(load(networks["plain"]))
    figure = embeddings_figure(found)
    drawn = {text.get_text(): text.get_position() for text in figure.axes[0].texts}
    assert drawn == {place_label(place): (place.x, place.y) for place in found.places}
    assert rendered(embeddings_figure(found), "svg") == rendered(figure, "svg")
    hostile = embeddings(load(networks["hostile"]))
    codes = {text.get_text() for text in embeddings_figure(hostile).axes[0].texts}
    letters = {text.get_text() for text in embeddings_figure(hostile, any_font=True).axes[0].texts}
    assert "U+65E5" in codes and "日" in letters and "$" in codes
    assert rendered(embeddings_figure(hostile), "png")


@pytest.mark.parametrize("width", [4.4, 7.0])
def test_a_code_is_small_and_no_label_leaves_the_axes(networks, width):
    pytest.importorskip("matplotlib")
    from moreish.explaining.embedding.measures import embeddings
    from moreish.faces.plot_embeddings import SMALLEST, embeddings_figure

    figure = embeddings_figure(embeddings(load(networks["hostile"])), width)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.draw_without_rendering()
    (axes,) = figure.axes
    codes = [text for text in axes.texts if text.get_text().startswith(("U+", "\\x", "\\u"))]
    assert len(codes) > 2
    assert all(text.get_fontsize() < SMALLEST and text.get_fontweight() == "normal" for text in codes)
    for text in axes.texts:
        box = text.get_window_extent()
        assert axes.bbox.x0 - 1 <= box.x0 and box.x1 <= axes.bbox.x1 + 1, text.get_text()


def test_symbols_are_drawn_where_they_stand_in_the_terminal_too(moreish, networks):
    from moreish.faces.draw_places import character_scatter

    corners = [
        (0.0, 0.0, "a", ""),
        (1.0, 1.0, "b", ""),
        (0.0, 1.0, "c", ""),
        (0.0, 1.0, "d", ""),
        (0.5, 0.5, "long", ""),
    ]
    grid, left = character_scatter(corners, 21, 5)
    rows = grid.plain.split("\n")
    assert rows[0].startswith("cd") and rows[0].endswith("b") and rows[4].startswith("a") and not left
    assert rows[2].strip() == "long" and all(len(row) == 21 for row in rows)
    assert character_scatter([(0.0, 0.0, "a", "")] * 40, 3, 2)[1], "what finds no room is told of"
    ran = moreish("embeddings", networks["plain"])
    assert "exactly" in squeezed(ran.out) and "Nearest" in ran.out
    assert moreish("embeddings", networks["plain"], "--by", "cosine", "--json").json["by"] == "cosine"


def test_help_needs_neither_torch_nor_matplotlib():
    for command in ("report", "embeddings"):
        script = (
            f"import sys; from moreish.faces.cli import run; code = run([{command!r}, '--help'])\n"
            "print(code, sorted({'torch', 'matplotlib', 'numpy'} & sys.modules.keys()))"
        )
        ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert ran.stdout.splitlines()[-1] == "0 []" and f"Example: moreish {command}" in ran.stdout
