"""Several models as one: a log-linear mix of what they say of each symbol, p ~ product over models of p_m ** w_m.

The weights, one a model, must be fitted on lines that no model has learnt from, and not on those that are scored with
them. So dev is cut in two by what its lines say (a line that stands twice falls into one half both times), and each
half is scored with the weights fitted on the other. A look at test takes the weights fitted on all of dev.
Source: Hinton, Training Products of Experts (2002), equation 1, with weights and normalised symbol by symbol.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from campaign import Job, Say, at_work, kept, run
from moreish import Corpus, Trained
from moreish.learning.evaluate import as_new
from moreish.shapes import BOUNDARY
from moreish.text.hashing import line_hashes
from moreish.text.lines import Lines
from results import OUT, Description, Result, add, find, read

MIX = "log-linear; weights fitted on half of dev score the other half"
LINES_AT_ONCE = 1_000
CLOSE = 1e-4
"""How near a member's loss must come to the one that was written down when it was learnt."""


def describe_mix(jobs: list[Job]) -> Description:
    """Everything that decides an ensemble."""
    return {"mix": MIX, "members": {job.row: job.description for job in jobs}}


def mixed(row: str, jobs: list[Job], part: str, say: Say) -> Result:
    """The result of the ensemble of these members on dev or test; those that are not learnt yet are learnt first.

    Raises:
        Busy: another process is at it, or at one of its members.
    """
    asked = describe_mix(jobs)
    found = find(read(), asked, part)
    if found is not None:
        return found
    recipe = jobs[0].recipe
    with at_work(OUT / recipe.split / row / str(recipe.seed)):
        told = [run(job, say) for job in jobs]
        members = [kept(job, say) for job in jobs]
        corpus = jobs[0].corpus
        say(f"{row}, {recipe.split} split, seed {recipe.seed}: what {len(members)} members say of each symbol")
        dev = Said(members, corpus.dev)
        for job, member, nats in zip(jobs, told, dev.member_nats()):
            assert abs(nats - member["nats"]) < CLOSE, f"{job.name}: {nats} now, {member['nats']} when it was learnt"
        known = Said(members, corpus.unique_train)
        if part == "dev":
            even = halves(corpus.dev)
            fitted = [(dev.fit(~scored), scored) for scored in (even, ~even)]
            figures = _figures(dev, known, corpus, corpus.dev, fitted)
        else:
            everything = np.ones(len(corpus.dev), bool)
            test = Said(members, corpus.test)
            scored = np.ones(len(corpus.test), bool)
            figures = _figures(test, known, corpus, corpus.test, [(dev.fit(everything), scored)])
        figures["parameters"] = sum(member.parameters for member in members)
        figures["core_seconds"] = round(sum(member["core_seconds"] for member in told), 2)
        return add(row, asked, part, figures)


def halves(lines: Lines) -> np.ndarray:
    """Which of two halves each line falls into, by its hash alone: bool [lines]."""
    return line_hashes(lines) % 2 == 0


class Said:
    """What several models say of some lines: log-probabilities [models N V], and what came [N]."""

    def __init__(self, members: list[Trained], lines: Lines):
        alphabet = members[0].alphabet
        assert all(member.alphabet.symbols == alphabet.symbols for member in members)
        stream = torch.from_numpy(alphabet.encode_lines(lines)).long()
        starts = (stream == BOUNDARY).nonzero()[:, 0]
        self.sizes = starts.diff()
        self.targets: Int[Tensor, " N"] = stream[1:]
        self.log_probs: Float[Tensor, "E N V"] = torch.stack(
            [log_probs(member, stream[:-1], self.sizes) for member in members]
        )

    def member_nats(self) -> list[float]:
        """Each model's own loss."""
        return [float(-_chosen(one.double(), self.targets).mean()) for one in self.log_probs]

    def fit(self, lines: np.ndarray) -> Float[Tensor, " E"]:
        """The weights under which some lines (bool [lines]) are the most probable; a convex problem."""
        inside = torch.repeat_interleave(torch.from_numpy(lines), self.sizes)
        said, targets = self.log_probs[:, inside].double(), self.targets[inside]
        weights = torch.full((len(said),), 1 / len(said), dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([weights], max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimizer.zero_grad()
            value = -_chosen(_mix(said, weights), targets).mean()
            value.backward()
            return value

        optimizer.step(loss)  # type: ignore[arg-type]
        return weights.detach()

    def line_nats(self, weights: Float[Tensor, " E"]) -> np.ndarray:
        """Nats of each line, float64 [lines]."""
        nats = torch.cat(
            [
                -_chosen(_mix(said.double(), weights), targets)
                for said, targets in zip(self.log_probs.split(1 << 16, 1), self.targets.split(1 << 16))
            ]
        )
        return np.add.reduceat(nats.numpy(), (self.sizes.cumsum(0) - self.sizes).numpy())


@torch.no_grad()
def log_probs(member: Trained, tokens: Int[Tensor, " N"], sizes: Int[Tensor, " B"]) -> Float[Tensor, "N V"]:
    """What a model says after each token of lines laid end to end."""
    model = member.model.eval()
    out, first = [], 0
    for lengths in sizes.split(LINES_AT_ONCE):
        after = first + int(lengths.sum())
        out.append(torch.log_softmax(model.read_lines(tokens[first:after], lengths), -1))
        first = after
    return torch.cat(out)


def _mix(said: Float[Tensor, "E N V"], weights: Float[Tensor, " E"]) -> Float[Tensor, "N V"]:
    return torch.log_softmax(torch.tensordot(weights, said, 1), -1)


def _chosen(log_probs: Float[Tensor, "N V"], targets: Int[Tensor, " N"]) -> Float[Tensor, " N"]:
    return log_probs.gather(1, targets[:, None])[:, 0]


def _figures(
    said: Said, known: Said, corpus: Corpus, lines: Lines, fitted: list[tuple[Tensor, np.ndarray]]
) -> dict[str, Any]:
    """Each share of the lines, `scored`, by the weights that were fitted without it."""
    new = ~np.isin(line_hashes(lines), line_hashes(corpus.unique_train))
    sizes = said.sizes.numpy()
    nats = given_new = mass = 0.0
    for weights, scored in fitted:
        of_lines = said.line_nats(weights)
        nats += float(of_lines[scored].sum())
        copied = float(np.exp(-known.line_nats(weights)).sum())
        mass += copied / len(fitted)
        given_new += float(as_new(of_lines[scored & new], copied).sum())
    return {
        "nats": nats / float(sizes.sum()),
        "copy_mass": mass,
        "nats_given_new": given_new / float(sizes[new].sum()),
        "weights": [[round(float(w), 4) for w in weights] for weights, _ in fitted],
    }
