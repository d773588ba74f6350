"""KenLM reads our ARPA file and must say the same of each line."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from moreish import Corpus, fit
from moreish.exchange.arpa import to_arpa, token
from moreish.learning.evaluate import line_nats
from timing import Absent, Measured

LINES = 1_000
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
