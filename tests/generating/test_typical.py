"""Locally typical sampling: against plain Python after the paper (Meister et al. 2023), and by what defines it."""

from __future__ import annotations

import math

import pytest
import torch

from moreish.generating.draws import adjust, make_draw
from moreish.models import ngram as ngram_module
from moreish.text.corpus import Corpus
from quick import quick

CORPUS = Corpus.of(["ab", "abba", "bab", "c", "cab", "abc", "ba", "b", "aab"], split="none")
TAUS = [1e-300, 0.1, 0.5, 0.9, 0.999, 1.0]


def plain_typical(probs: list[float], tau: float) -> list[float]:
    """One symbol at a time: those first whose surprisal is nearest the entropy, until they have probability tau."""
    entropy = -math.fsum(p * math.log(p) for p in probs if p > 0)
    order = sorted((i for i, p in enumerate(probs) if p > 0), key=lambda i: abs(entropy + math.log(probs[i])))
    kept: set[int] = set()
    for i in order:
        if math.fsum(probs[j] for j in kept) >= tau:
            break
        kept.add(i)
    total = math.fsum(probs[i] for i in kept)
    return [p / total if i in kept else 0.0 for i, p in enumerate(probs)]


def distributions(rows: int = 150, symbols: int = 7) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(rows, symbols, generator=generator, dtype=torch.float64).mul(2)
    logits[::5, 2] = -math.inf
    return logits.log_softmax(1)


@pytest.mark.parametrize("tau", TAUS)
@pytest.mark.parametrize("temperature, top_k, top_p", [(1.0, None, None), (0.7, None, None), (1.5, 5, 0.9)])
def test_adjusting_is_plain_pythons_after_all_other_settings(temperature, top_k, top_p, tau):
    log_probs = distributions()
    before = adjust(log_probs, temperature, top_k, top_p)
    for row, found in zip(before.tolist(), adjust(log_probs, temperature, top_k, top_p, tau).tolist()):
        wanted = row if tau == 1 else plain_typical(row, tau)
        assert found == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("tau", TAUS[:-1])
def test_no_symbol_kept_is_less_typical_than_one_dropped_and_none_is_kept_in_vain(tau):
    log_probs = torch.tensor([[4.0, 4, 2, 2, 2, 1, 1], [1, 1, 1, 1, 1, 1, 1], [9, 9, 1, 1, 1, 1, 0]]).double()
    log_probs = log_probs.log().sub(log_probs.sum(1, keepdim=True).log())  # ties, and a symbol that is impossible
    for row, found in zip(log_probs, adjust(log_probs, 1.0, typical=tau)):
        probs, kept = row.exp(), found > 0
        off = (-row + (row.exp() * row.nan_to_num(neginf=0)).sum()).abs()
        assert float(probs[kept].sum()) >= tau - 1e-12 and not bool((found[row == -math.inf] > 0).any())
        assert not bool((~kept).any()) or float(off[kept].max()) <= float(off[~kept].min()) + 1e-12
        assert float(probs[kept].sum() - probs[kept][off[kept].argmax()]) < tau + 1e-12
        assert float(found.sum()) == pytest.approx(1)
        assert (found[kept] / probs[kept]).tolist() == pytest.approx([1 / float(probs[kept].sum())] * int(kept.sum()))


def test_the_likeliest_symbol_may_be_dropped_where_it_says_too_little():
    log_probs = torch.tensor([[0.4, *[0.06] * 10]], dtype=torch.float64).log()
    assert adjust(log_probs, 1.0, typical=0.5)[0, 0] == 0
    assert adjust(log_probs, 1.0, top_p=0.5)[0, 0] > 0
    assert int((adjust(torch.zeros(1, 10).double().log_softmax(1), 1.0, typical=0.35) > 0).sum()) == 4


@pytest.mark.parametrize("way", ["dense", "sparse", "one-layer"])
def test_every_way_of_drawing_obeys(way, monkeypatch):
    if way == "sparse":
        monkeypatch.setattr(ngram_module, "DENSE_CELLS", 0)
    model = quick(CORPUS, "one-layer" if way == "one-layer" else "ngram").model.eval()
    how = (0.8, None, None, 0.6)
    draw, count = make_draw(model, *how), 6000
    for read in ([[0]], [[0, 1]], [[0, 3]]):
        tokens = torch.tensor(read)
        generator = torch.Generator().manual_seed(3)
        place = draw.keep(draw.begin(tokens), torch.zeros(count, dtype=torch.long))
        symbols, nats, _ = draw.step(place, generator)
        log_probs = model(tokens, model.begin(1))[0][0, -1].detach().double().log_softmax(0)
        shares = adjust(log_probs[None], *how)[0]
        found = torch.bincount(symbols, minlength=len(shares)) / count
        assert not bool((found[shares == 0] > 0).any()) and 0 < int((shares == 0).sum()) < len(shares)
        assert float((found - shares).abs().max()) < 5 * math.sqrt(0.25 / count)
        assert torch.allclose(nats.double(), -log_probs[symbols], atol=1e-5)  # of the model as it is
