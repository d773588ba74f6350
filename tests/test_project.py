"""The house itself: which way imports point, what no file may say, and a set-up that says plainly what is missing."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "moreish"

FLOORS = {
    **dict.fromkeys(("errors", "shapes", "randomness", "storage"), 0),
    **dict.fromkeys(("text", "ops"), 1),
    "layers": 2,
    "models": 3,
    **dict.fromkeys(("learning", "generating", "explaining"), 4),
    **dict.fromkeys(("runs", "exchange"), 5),
    "faces": 6,
    **dict.fromkeys(("", "__init__", "__main__"), 7),  # the roof: the public names and the command
}
"""The floor of each room, by the first part of a module's name within the package."""

PLACES = ("src", "tests", "bench", "docs", ".ci")
ROOT_FILES = ("*.md", "*.toml", "Makefile", "constraints.txt", "LICENSE", ".gitignore")
BUILT = ("__pycache__", ".ipynb_checkpoints")

SLANG = {"utils", "util", "common", "helpers", "helper", "core", "base", "managers", "manager"}
TO_DO = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b[:\s]*(.*)")  # split, so that this file has none itself

FORBIDDEN = {
    "a path of one machine": re.compile(r"(?<![\w.~}])/(?:work|root|opt|home|Users|mnt)/\w"),
    "a registry's host": re.compile(r"pypi\.org|pythonhosted\.org|download\.pytorch\.org|anaconda\.org|npmjs\.org"),
    "an exact torch, which stands only in constraints.txt": re.compile(r"torch={2,3}\d"),
}


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package, parsed, by its name without `moreish.`; the package itself is ''."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts).removesuffix("__init__").removesuffix(".")] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Each module that is imported anywhere in a tree (in functions and for type checkers too), and the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are written in full, from moreish on"
            for alias in node.names:
                # `from moreish.runs import checkpoint` imports a module, `from moreish.shapes import IGNORE` a name.
                whole = f"{node.module}.{alias.name}"
                yield (whole if whole.removeprefix("moreish.") in modules() else str(node.module)), node.lineno


def own_imports(name: str) -> list[tuple[str, int]]:
    """The package's modules that one of them imports, by their names without `moreish.`."""
    found = [(m, line) for m, line in imported(modules()[name]) if m == "moreish" or m.startswith("moreish.")]
    return [(m.removeprefix("moreish").removeprefix("."), line) for m, line in found]


def floor(name: str) -> int:
    return FLOORS[name.split(".")[0]]


@cache
def texts() -> dict[str, str]:
    """The project's own text files, by their path from the root."""
    paths = [path for place in PLACES for path in (ROOT / place).rglob("*")]
    paths += [path for pattern in ROOT_FILES for path in ROOT.glob(pattern)]
    found = {}
    for path in paths:
        if path.is_file() and not set(BUILT) & set(path.parts):
            data = path.read_bytes()
            if b"\0" not in data:
                found[path.relative_to(ROOT).as_posix()] = data.decode("utf-8", "replace")
    return found


def test_every_room_has_a_floor():
    rooms = {name.split(".")[0] for name in modules()}
    assert rooms <= FLOORS.keys(), f"{rooms - FLOORS.keys()}: which floor? Say so in FLOORS and CONTRIBUTING.md."


@pytest.mark.parametrize("name", modules(), ids=lambda name: name or "moreish")
def test_imports_point_down(name):
    for other, line in own_imports(name):
        assert floor(other) <= floor(name), f"moreish.{name}, line {line}: {other} is {floor(other) - floor(name)} up."


def test_no_circle_of_imports():
    left = {name: {other for other, _ in own_imports(name)} - {name} for name in modules() if floor(name) < 7}
    while free := [name for name, others in left.items() if not others & left.keys()]:
        for name in free:
            del left[name]
    assert not left, f"these import one another in a circle: {sorted(left)}"


def test_below_the_faces_no_import_hides_in_a_function():
    for name, tree in modules().items():
        if floor(name) < 6:
            functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
            hidden = [(m, line) for node in functions for m, line in imported(node) if m.startswith("moreish")]
            assert not hidden, f"moreish.{name} imports inside a function: {hidden}"


def test_text_never_loads_torch():
    text = [name for name in modules() if floor(name) == 1 and name.split(".")[0] == "text"]
    for name in text:
        assert not [m for m, _ in imported(modules()[name]) if m.split(".")[0] == "torch"], f"moreish.{name}"
    script = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module('moreish.' + name)\n"
    script += "import moreish\nprint(*(m for m in ('torch', 'typer', 'rich') if m in sys.modules))"
    ran = subprocess.run([sys.executable, "-c", script, *text], capture_output=True, text=True, check=True)
    assert ran.stdout == "\n", f"importing moreish and moreish.text loads {ran.stdout}"


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_names(what):
    found = [
        f"{path}, line {number}: {line.strip()[:80]}"
        for path, text in texts().items()
        if path != "constraints.txt"
        for number, line in enumerate(text.split("\n"), 1)
        if FORBIDDEN[what].search(line)
    ]
    assert not found, f"{what}: {found}"


def test_the_pin_and_the_requirement_agree():
    pin = re.fullmatch(r"torch==(\d+)\.(\d+)\.\d+\n", texts()["constraints.txt"])
    project = tomllib.loads(texts()["pyproject.toml"])["project"]
    least = re.fullmatch(r"torch>=(\d+)\.(\d+)", next(d for d in project["dependencies"] if d.startswith("torch")))
    assert pin and least and tuple(map(int, pin.groups())) >= tuple(map(int, least.groups()))


def test_what_is_to_do_stands_in_the_log():
    log = texts()["docs/log.md"]
    for path, text in texts().items():
        if path.endswith((".py", "Makefile", ".ci/run")):
            for match in TO_DO.finditer(text):
                said = match[1].strip()
                assert said and said in log, f"{path}: {match[0]!r} has no line in docs/log.md. Write one, or do it."


def test_names_say_what_is_inside():
    for path in texts():
        parts = {Path(part).stem.lower() for part in Path(path).parts}
        assert not parts & SLANG, f"{path}: name it after what it holds."


def test_decisions_are_short_pages():
    pages = sorted(path for path in texts() if path.startswith("docs/decisions/"))
    numbers = [int(Path(page).name[:4]) for page in pages]
    assert numbers == list(range(1, len(pages) + 1)), pages
    for page in pages:
        lines = texts()[page].strip().split("\n")
        assert 5 <= len(lines) <= 40, f"{page} has {len(lines)} lines; 10 to 25 are plenty."
        assert lines[0].startswith(f"# {int(Path(page).name[:4])}. "), page
        for part in ("**Context.**", "**Choice.**", "**Price.**"):
            assert part in texts()[page], f"{page} lacks its {part}"


def test_links_between_pages_lead_somewhere():
    for path, text in texts().items():
        if path.endswith(".md"):
            for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
                if "://" not in link:
                    there = (ROOT / path).parent / link
                    assert there.exists(), f"{path} links to {link}, which is not there."


def test_one_version_everywhere():
    version = tomllib.loads(texts()["pyproject.toml"])["project"]["version"]
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)", texts()["CHANGELOG.md"], re.M)
    assert newest and newest[1] == version


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed here")


def make(*arguments: str, at: Path = ROOT) -> subprocess.CompletedProcess[str]:
    # As a user calls it, though these tests may themselves run under `make test`, which hands its settings down.
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(["make", *arguments], cwd=at, env=outside, capture_output=True, text=True, timeout=60)


@needs_make
def test_make_lists_what_there_is():
    targets = re.search(r"^\.PHONY: (.*)$", texts()["Makefile"], re.M)
    assert targets
    told = set(re.findall(r"^make (\w+)", make().stdout, re.M))
    assert told == set(targets[1].split()) - {"help", "anew"}
    for path, text in texts().items():
        if path.endswith(".md"):
            named = set(re.findall(r"`make (\w+)`", text))
            assert named <= told | {"help"}, f"{path} names {named - told}, which the Makefile lacks."


def shim(directory: Path, name: str, exit_code: int) -> str:
    """A Python that the set-up cannot use: it exits as ours would at the check, and says version 3.9.18."""
    path = directory / name
    path.write_text(f'#!/bin/sh\ncase "$2" in *platform*) echo 3.9.18 ;; *) exit {exit_code} ;; esac\n')
    path.chmod(0o755)
    return str(path)


@needs_make
@pytest.mark.parametrize(
    ("exit_code", "said"),
    [
        (3, "Moreish needs Python 3.11 or newer and {python} is 3.9.18. Install one, or name yours: "
            "make PYTHON=python3.12 demo"),
        (1, "{python} has no venv module. Install it (Debian, Ubuntu: apt install python3-venv) and run make demo "
            "again."),
        (127, "No Python was found as {python}. Install 3.11 or newer, or name yours: make PYTHON=python3.12 demo"),
    ],
    ids=["too old", "no venv module", "no Python"],
)  # fmt: skip
def test_a_python_that_will_not_do_gets_one_line(tmp_path, exit_code, said):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    python = shim(tmp_path, "python3", exit_code)
    ran = make(f"PYTHON={python}", "demo", at=tmp_path)
    ours = [line for line in ran.stderr.splitlines() if not line.startswith("make")]
    assert (ran.returncode, ran.stdout, ours) == (2, "", [said.format(python=python)])
    assert not (tmp_path / ".venv").exists()


def test_continuous_integration_runs_the_tests():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111, "it must be executable"
    assert texts()[".ci/run"].rstrip().endswith("make test")
