"""`moreish demo`: a walk through the main things, on a bundled list, with what each number means."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from moreish.faces.draw import bar, has_colour
from moreish.faces.terminal import (
    bigram_picture,
    evaluation_table,
    hygiene_report,
    novelty_words,
    sample_table,
    score_table,
)
from moreish.generating.sample import sample
from moreish.learning.choose import choose_order
from moreish.learning.evaluate import evaluate
from moreish.learning.fit import fit
from moreish.learning.recipe import Trained
from moreish.learning.score import score
from moreish.learning.tables import bigram_table
from moreish.runs.directory import load
from moreish.runs.recording import save
from moreish.text.corpus import Corpus
from moreish.text.hygiene import inspect

LIST, OTHER = "names", "dinosaurs"
SEED = 1


def tour(console: Console) -> None:
    """Print the whole walk."""
    _step(console, f"1. A list, one thing per line: the bundled list {LIST!r}", f"moreish inspect {LIST}")
    console.print(hygiene_report(inspect(LIST)))

    corpus = Corpus.read(LIST)
    name, settings, why = choose_order(corpus)
    _step(
        console, "2. More things like them, truly new, with an honest word on each",
        f"moreish more {LIST} -n 12 --new-only --model {name} --order {settings['order']} --seed {SEED}",
    )  # fmt: skip
    trained = fit(corpus, name, why=why, **settings)
    console.print(Text(f"{why}.", "dim"))
    console.print(sample_table(sample(trained, 12, new_only=True, distinct=True, seed=SEED), SEED))

    _step(
        console, "3. How good is it? A few models on lines they have never seen",
        f"moreish train {LIST} --order {settings['order']} --run RUN",
    )  # fmt: skip
    _ladder(console, corpus, trained)
    console.print(evaluation_table(evaluate(trained), 0))

    _step(console, "4. Why? What the model expects, symbol by symbol", "moreish score RUN mariana qxzw")
    console.print(score_table(score(trained, ["mariana", "qxzw"])))

    _step(console, "5. The simplest model, whole: which letter follows which", "moreish models bigram --of RUN")
    table = bigram_table(fit(corpus, "bigram"))
    console.print(bigram_picture(table, console.width, has_colour(console)), soft_wrap=True)

    other = Corpus.read(OTHER)
    model, chosen, why = choose_order(other)
    _step(
        console,
        f"6. Another list: {OTHER}, saved as a run and loaded again",
        f"moreish more {OTHER} -n 8 --new-only --model {model} --order {chosen['order']} --seed {SEED}",
    )
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "dinosaurs"
        save(fit(other, model, why=why, **chosen), run)
        found = sample(load(run), 8, new_only=True, distinct=True, seed=SEED)
    console.print(Text(", ".join(line.text for line in found.lines), "bold"))
    console.print(*novelty_words(found, SEED), sep="\n")
    console.print(Text("\nNow yours: put one thing per line in a file, and run  moreish more FILE", "bold"))


def _step(console: Console, title: str, command: str) -> None:
    console.print()
    console.rule(Text(title, "bold"), align="left")
    console.print(Text.assemble(("$ ", "dim"), (command, "cyan")))


def _ladder(console: Console, corpus: Corpus, best: Trained) -> None:
    rungs = [(model, evaluate(fit(corpus, model)).nats_per_symbol) for model in ("uniform", "unigram", "bigram")]
    rungs.append((f"{best.recipe.model}, order {best.recipe.settings['order']}", evaluate(best).nats_per_symbol))
    most = max(loss for _, loss in rungs)
    width = max(1, min(40, console.width - 40))
    for label, loss in rungs:
        console.print(
            Text.assemble(
                f"{label:<16}", (f"{bar(loss / most, width):<{width}}", "cyan"), f" {loss:.4f} nats per symbol"
            )
        )
    console.print()
