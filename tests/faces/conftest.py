"""The command line, called in this process."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import MADE_UP, Moreish, Ran

from moreish.faces.cli import run
from moreish.learning import choose


@pytest.fixture
def moreish(tmp_path, monkeypatch, capsys) -> Moreish:
    """Calls `moreish ARGUMENTS...` in an empty directory with a list `list.txt` and a cache of its own."""
    monkeypatch.setenv("MOREISH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(choose, "LEAST_LINES", 1000)  # a mixture takes seconds; a test of its own learns one
    monkeypatch.chdir(tmp_path)
    Path("list.txt").write_text("".join(f"{line}\n" for line in MADE_UP))

    def call(*arguments: object) -> Ran:
        capsys.readouterr()
        code = run([str(each) for each in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Ran(code, out, err)

    return call


@pytest.fixture(scope="session")
def runs(tmp_path_factory) -> dict[str, str]:
    """Runs of the made-up list, by name; to be read only."""
    where = tmp_path_factory.mktemp("runs")
    (where / "list.txt").write_text("".join(f"{line}\n" for line in MADE_UP))
    (where / "few.txt").write_text("".join(f"{line}\n" for line in MADE_UP[:30]))
    (where / "one.txt").write_text("solo\nsolo\n")
    asked = {
        "ngram": ["--order", "3"],
        "bigram": ["--model", "bigram"],
        "unigram": ["--model", "unigram"],
        "uniform": ["--model", "uniform"],
        "one-layer": ["--model", "one-layer", "--steps", "20"],
        "counts": ["--model", "bigram", "--smoothing", "none"],
        "hashes": ["--model", "bigram", "--no-keep-list"],
        "lecture": ["--model", "bigram", "--split", "lecture"],
        "none": ["--model", "bigram", "--split", "none"],
        "few": ["--model", "bigram"],
        "one": ["--model", "bigram"],
    }
    for name, flags in asked.items():
        source = where / f"{name}.txt" if name in ("few", "one") else where / "list.txt"
        assert run(["train", str(source), "--run", str(where / name), *flags]) == 0
    return {name: str(where / name) for name in asked}
