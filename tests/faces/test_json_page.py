"""docs/json.md names exactly the keys that the commands print."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from hurried import hurry_batchnorm, hurry_optimizability
from moreish.explaining.bessel import correction as bessel
from moreish.explaining.bessel import measures as bessel_measures
from moreish.explaining.bigram import convexity
from moreish.explaining.bigram import walk as bigram_walk
from moreish.explaining.convolution import timing
from moreish.explaining.convolution import walk as convolution_walk
from moreish.explaining.dimensionality import dimensionality
from moreish.explaining.exercises import EXERCISES
from moreish.explaining.minibatch import minibatch, race
from moreish.faces.cli import run
from moreish.learning import choose
from moreish.text.corpus import Corpus

PAGE = Path(__file__).parents[2] / "docs" / "json.md"
SECTIONS = dict(re.findall(r"^## moreish (.+?)\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.S | re.M))


@pytest.fixture(scope="module")
def bigram(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = str(tmp_path_factory.mktemp("json") / "run")
    assert run(["train", "dinosaurs", "--model", "bigram", "--run", directory]) == 0
    return directory


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A bigram model of makemore.py over the bundled list's symbols, knowing nothing."""
    path = tmp_path_factory.mktemp("foreign") / "model.pt"
    symbols = len(Corpus.read("dinosaurs").alphabet)
    torch.save({"logits": torch.zeros(symbols, symbols)}, path)
    return str(path)


CASES = {
    "inspect": ["inspect", "dinosaurs"],
    "train": ["train", "minerals", "--run", "TMP"],
    "resume": ["resume", "RUN"],
    "evaluate": ["evaluate", "RUN"],
    "evaluate --samples": ["evaluate", "RUN", "--samples", "100"],
    "sample": ["sample", "RUN", "-n", "3"],
    "best": ["best", "RUN", "-n", "3"],
    "complete": ["complete", "RUN", "A???saurus", "-n", "3"],
    "more": ["more", "dinosaurs", "-n", "3"],
    "blend": ["blend", "RUN", "OTHER", "-n", "3"],
    "steer": ["steer", "RUN", "-n", "5"],
    "score": ["score", "RUN", "Ankylosaurus"],
    "why": ["why", "RUN", "Ankylosaurus"],
    "show": ["show", "RUN"],
    "models": ["models"],
    "models NAME": ["models", "ngram"],
    "models --of RUN": ["models", "--of", "RUN"],
    "lists": ["lists"],
    "lists NAME": ["lists", "minerals"],
    "ladder": ["ladder", "dinosaurs", "--models", "uniform,bigram", "--time", "2"],
    "compare": ["compare", "RUN", "OTHER"],
    "find-lr": ["find-lr", "dinosaurs", "--model", "mlp", "--hidden", "4", "--points", "20", "--seeds", "1"],
    "exercise list": ["exercise", "list"],
    "exercise check": ["exercise", "check", "FILLED"],
    "init": ["init", "minerals", "--depth", "3", "--width", "4"],
    "explain tape": ["explain", "tape", "EXPRESSION"],
    "explain batchnorm": ["explain", "batchnorm", "minerals"],
    "explain optimizability": ["explain", "optimizability", "minerals"],
    "explain bessel": ["explain", "bessel", "minerals"],
    "explain broadcasting": ["explain", "broadcasting", "(27,27) / (27,)"],
    "explain dimensionality": ["explain", "dimensionality", "minerals"],
    "explain bigram": ["explain", "bigram", "minerals"],
    "explain convolution": ["explain", "convolution", "minerals"],
    "explain losses": ["explain", "losses"],
    "explain minibatch": ["explain", "minibatch", "minerals"],
    "embeddings": ["embeddings", "NETWORK"],
    "report": ["report", "RUN"],
    "watch": ["watch", "NETWORK"],
    "diagnose": ["diagnose", "minerals", "--hidden", "4", "--steps", "40", "--plant", "overconfident-output", "--fix"],
    "backprop": ["backprop", "dinosaurs", "--hidden", "4"],
    "import": ["import", "FOREIGN", "--list", "dinosaurs", "--run", "TMP"],
}


@pytest.mark.parametrize("section", CASES)
def test_the_page_names_every_key_and_no_other(section, bigram, foreign, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MOREISH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(choose, "LEAST_LINES", 1000)  # an n-gram model, at once
    hurry_batchnorm(monkeypatch)
    hurry_optimizability(monkeypatch)
    monkeypatch.setattr(bessel, "STEPS", 2)
    monkeypatch.setattr(bessel, "SEEDS", 1)
    monkeypatch.setattr(bessel_measures, "DRAWN", bessel_measures.AT_ONCE)  # one lot, in place of sixteen
    monkeypatch.setattr(dimensionality, "STEPS", 2)
    monkeypatch.setattr(dimensionality, "NETWORKS", (1,))
    monkeypatch.setattr(minibatch, "MOMENTS", (0, 2))
    monkeypatch.setattr(minibatch, "RACE_SECONDS", 0.05)
    monkeypatch.setattr(minibatch, "SIZES", (1, 32))
    monkeypatch.setattr(race, "FULL_STEPS", 2)
    monkeypatch.setattr(bigram_walk, "STEPS", 2)
    monkeypatch.setattr(convexity, "MLP_STEPS", 2)
    monkeypatch.setattr(convolution_walk, "STEPS", 1)
    monkeypatch.setattr(convolution_walk, "MOST_SYMBOLS", 100)
    monkeypatch.setattr(convolution_walk, "TEXT", 9)
    monkeypatch.setattr(timing, "REPEATS", 1)
    other = str(tmp_path / "other")
    if "OTHER" in CASES[section]:
        assert run(["train", "dinosaurs", "--model", "unigram", "--run", other]) == 0
        capsys.readouterr()
    network = str(tmp_path / "network")
    if "NETWORK" in CASES[section]:
        flags = ["--hidden", "4", "--steps", "3", "--run", network]
        assert run(["train", "dinosaurs", "--model", "mlp", *flags]) == 0
        capsys.readouterr()
    filled = tmp_path / "x.py"
    filled.write_text(EXERCISES["neuron"].blank)
    expression = tmp_path / "expression.py"
    expression.write_text("import torch\na = torch.tensor(2.0, requires_grad=True)\nloss = a * a\n")
    places = {"FILLED": str(filled), "OTHER": other, "RUN": bigram, "TMP": str(tmp_path / "run"), "FOREIGN": foreign}
    places |= {"EXPRESSION": str(expression), "NETWORK": network}
    words = [places.get(word, word) for word in CASES[section]]
    assert run([*words, "--json"]) == 0
    rows = re.findall(r"^\| (`.+?) \|", SECTIONS[section], re.M)
    documented = {key for row in rows for key in re.findall(r"`(\w+)`", row)}
    assert set(json.loads(capsys.readouterr().out)) == documented


def test_every_section_is_tried():
    assert set(CASES) == set(SECTIONS)
