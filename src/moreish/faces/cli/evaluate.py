"""evaluate."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from moreish.errors import UsageError
from moreish.faces.cli.console import print_json, stdout, working
from moreish.faces.cli.options import (
    SAMPLING,
    Device,
    Json,
    RunArgument,
    Temperature,
    TopK,
    TopP,
    check_device,
    whole,
)

Samples = Annotated[
    int | None,
    typer.Option(
        "--samples", parser=whole, metavar="N", rich_help_panel=SAMPLING,
        help="Draw N lines, and hold them against real unseen lines.",
    ),
]  # fmt: skip
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed", parser=whole, metavar="N", rich_help_panel=SAMPLING,
        help="The same seed gives the same lines. [default: 0]",
    ),
]  # fmt: skip


def evaluate(
    run: RunArgument,
    part: Annotated[str, typer.Option("--part", metavar="dev|test|train", help="Which part of the list.")] = "dev",
    samples: Samples = None,
    temperature: Temperature = 1.0,
    top_k: TopK = None,
    top_p: TopP = None,
    seed: Seed = None,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """How well a run predicts a part of its list it did not learn from, and how good the lines are that it makes.

    Looks at the test part are counted in the run, and the count is said: choose by dev, look at test once.

    Asked for samples, it holds them against real unseen lines: new, true, distinct, distances, nearness, what they
    leave out, whether a classifier can tell. The real lines' figure is the target, and each is explained.

    Example: moreish evaluate runs/names-ngram-1 --samples 10000
    """
    from moreish.faces.terminal import evaluation_table
    from moreish.generating.quality.quality import check_samples, quality
    from moreish.generating.sample import check_request
    from moreish.learning.evaluate import evaluate as measure
    from moreish.runs.directory import count_looks, load, record_look

    if samples is not None:
        check_samples(samples)
        check_request(samples, temperature=temperature, top_k=top_k, top_p=top_p)
    elif seed is not None or temperature != 1.0 or top_k is not None or top_p is not None:
        raise UsageError("--seed, --temperature, --top-k and --top-p are for drawing lines. Add --samples 10000, say.")
    with working("evaluating", quiet=json):
        trained = load(run, check_device(device))
        if samples is None:
            made, found = None, measure(trained, part)
        else:
            made = quality(
                trained, samples, part=part, seed=seed or 0, temperature=temperature, top_k=top_k, top_p=top_p
            )
            found = made.evaluation
    looks = record_look(run, "test") if found.part == "test" else count_looks(run)
    if json:
        told: dict[str, Any] = {**found.to_dict(), "run": run, "test_looks": looks}
        if made is not None:
            told["quality"] = made.to_dict()
            del told["quality"]["evaluation"]  # it stands beside
        print_json(told)
        return
    stdout().print(evaluation_table(found, looks))
    if made is not None:
        from moreish.faces.quality import quality_table

        console = stdout()
        console.print()
        console.print(quality_table(made, console.width))
