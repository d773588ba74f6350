"""Others and us must say the same: KenLM of our ARPA file, and we of makemore.py's weights."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from makemore_reference import KINDS, Reference
from moreish import Corpus, fit
from moreish.exchange.arpa import to_arpa, token
from moreish.exchange.makemore import import_makemore
from moreish.learning.evaluate import line_nats
from timing import Absent, Measured

LINES = 1_000
READ_LINES = 2_000
TAUGHT = 20
"""Steps of makemore.py's training before its weights are taken over, so that they are no mere beginning."""
SCORE = """
import json, sys
import kenlm
model = kenlm.Model(sys.argv[1])
print(json.dumps([model.score(line, bos=True, eos=True) for line in json.load(sys.stdin)]))
"""


def kenlm(lists: dict[str, str]) -> Measured:
    """The largest difference of any line, in nats for the whole line: stricter than nats per symbol."""
    python = os.environ.get("KENLM_PYTHON", sys.executable)
    try:
        there = subprocess.run([python, "-c", "import kenlm"], capture_output=True).returncode == 0
    except OSError:
        there = False
    if not there:
        raise Absent("KenLM is not here: pip install kenlm, or KENLM_PYTHON=<a Python that has it>")
    corpus = Corpus.read(lists["names"])
    trained = fit(corpus, "ngram", order=5)
    lines = corpus.dev[:LINES]
    with tempfile.TemporaryDirectory() as directory:
        arpa = Path(directory) / "names.arpa"
        arpa.write_text(to_arpa(trained), encoding="utf-8")
        words = json.dumps([" ".join(map(token, line)) for line in lines])
        ran = subprocess.run([python, "-c", SCORE, str(arpa)], input=words, capture_output=True, text=True, check=True)
    theirs = -math.log(10) * np.array(json.loads(ran.stdout.splitlines()[-1]))
    ours, symbols = line_nats(trained.model, trained.alphabet, lines)
    apart = np.abs(ours - theirs)
    ours_mean, theirs_mean = ours.sum() / symbols.sum(), theirs.sum() / symbols.sum()
    note = (
        f"{len(lines):,} dev lines: {ours_mean:.6f} nats per symbol by us, {theirs_mean:.6f} by KenLM; "
        f"a line's largest difference per symbol {(apart / symbols).max():.1e}"
    )
    return Measured([float(apart.max())], note=note)


@torch.no_grad()
def makemore(lists: dict[str, str]) -> Measured:
    """The largest difference of any logit, over makemore.py's six models, each saved and imported as a user would."""
    corpus = Corpus.read(lists["names"], split="none")
    words = corpus.train.texts()
    apart = {}
    with tempfile.TemporaryDirectory() as directory:
        for kind in KINDS:
            reference = Reference(kind, words, corpus.alphabet.symbols)
            learning = reference.learning(list(range(32 * TAUGHT)), 32, lr=5e-3)
            with torch.enable_grad():
                for _ in range(TAUGHT):
                    learning.step()
            path = Path(directory) / f"{kind}.pt"
            torch.save(reference.model.state_dict(), path)
            model = import_makemore(path, lists["names"]).model.eval()
            inputs, targets = map(torch.stack, zip(*(reference.dataset[i] for i in range(READ_LINES))))
            ours, _ = model(inputs, model.begin(len(inputs)))
            theirs, _ = reference.model.eval()(inputs.clone())  # its MLP writes into what it is given
            apart[kind] = float((ours - theirs)[targets >= 0].abs().max())
    note = ", ".join(f"{kind} {largest:.1e}" for kind, largest in apart.items())
    return Measured([max(apart.values())], note=f"{note}; after {TAUGHT} steps of its training")
