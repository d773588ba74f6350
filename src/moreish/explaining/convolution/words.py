"""What the figures of the convolution say, in sentences that are made from them."""

from __future__ import annotations

from moreish.explaining.convolution.walk import Convolution


def explained(found: Convolution) -> dict[str, str]:
    """A sentence or two for each figure, by its name."""
    return {
        "same": _same(found),
        "reach": _reach(found),
        "evaluations": _evaluations(found),
        "calls": _calls(found),
        "timings": _timings(found),
    }


def concluded(found: Convolution) -> list[str]:
    """What follows, from the numbers of this list."""
    rows = {each.way: each for each in found.evaluations}
    tree = found.same[0]
    calls = {(each.way, each.lines, each.symbols): each.calls for each in found.calls}
    long = found.calls[-1]
    loop, slid = (calls[way, long.lines, long.symbols] for way in ("loop", "convolution"))
    times = {(each.way, each.symbols): each.ratio for each in found.timings.times}
    return [
        f"Why it is the same: two neighbours joined by one linear map are a kernel of two taps, and neighbours at "
        f"level l stand 2^(l-1) apart, so the tree is one place of a stack of dilated convolutions (logits differ by "
        f"{tree.float64:.0e} in float64).",
        f"Why convolutions are efficient: the loop over places is inside the kernel, not in Python, so {loop:,} calls "
        f"become {slid}, and a text of {long.symbols} symbols is read {times['loop', long.symbols]:.0f} times as fast; "
        f"and rows that windows share are worked out once, {rows['convolution'].each:.1f} a symbol and not "
        f"{rows['windows'].each:.0f}.",
        f"What the network says does not change: the weights are the same, and so is every output.{_short(found)}",
    ]


def _short(found: Convolution) -> str:
    """Where sliding is not worth it, if anywhere: many windows are one large product too."""
    faster = [each for each in found.timings.times if each.way == "windows" and each.ratio < 1]
    if not faster:
        return ""
    texts = " and ".join(f"{each.lines} × {each.symbols} symbols" for each in faster)
    return f" Of {texts} all windows at once, which need no loop either, were read faster still."


def _same(found: Convolution) -> str:
    tree, queues, wavenet = found.same
    apart = max(each.float64 / each.largest if each.largest else 0.0 for each in found.same)
    return (
        f"{found.compared:,} of {found.symbols:,} symbols, by a tree that learnt {found.steps} steps: each through its "
        f"window of {found.context}, boundaries before a line included, and by the same weights slid over the line; "
        f"also symbol by symbol, each level keeping what it was given in a queue, as Fast WaveNet does, which holds "
        f"for WaveNet itself ({wavenet.float32:.0e} of logits up to {wavenet.largest:.2g}). Differences shrink with "
        f"the precision, from {max(tree.float32, queues.float32):.0e} to {max(tree.float64, queues.float64):.0e} of "
        f"logits up to {tree.largest:.1f} (at most {apart:.0e} of the largest): they are rounding."
    )


def _reach(found: Convolution) -> str:
    reach = found.reach
    levels = ", ".join(str(level.dilation) for level in reversed(reach.levels))
    agreed = reach.expected == reach.by_gradient == reach.by_change
    said = (
        "exactly these places get a gradient from it, and exactly at these another symbol changes it"
        if agreed
        else f"a gradient reaches the places {reach.by_gradient}, a change {reach.by_change}"
    )
    later = "none" if not reach.later else str(reach.later)
    return (
        f"Dilations {levels} see 1 + {' + '.join(levels.split(', '))} = {len(reach.expected)} symbols: each level "
        f"doubles it. Of the last output, {said}; of the outputs before it, the last symbol moves {later}: the "
        f"convolution is causal."
    )


def _evaluations(found: Convolution) -> str:
    windows, slid, queued = found.evaluations
    return (
        f"A row is what one level, or the logits, work out for one place; counted over all {found.symbols:,} symbols "
        f"of the list. A window takes {found.context // 2} + ... + 1 rows and one of logits, and its neighbour nearly "
        f"the same rows again. Sliding saves {_saved(slid.rows, windows.rows)} of them here, where "
        f"{found.context - 1} boundaries go before every short line, and queues, which begin with those worked out, "
        f"{_saved(queued.rows, windows.rows)}: {found.levels} levels and the logits, once a symbol. That is O(C) rows "
        f"against O(log C)."
        f"{f' {found.cut:,} lines were cut.' if found.cut else ''}"
    )


def _saved(fewer: int, rows: int) -> str:
    return f"{100 * (1 - fewer / rows):.0f} %"


def _calls(found: Convolution) -> str:
    loops = [each for each in found.calls if each.way == "loop"]
    slid = {each.calls for each in found.calls if each.way == "convolution"}
    ends = f"{min(slid)}" if len(slid) == 1 else f"{min(slid)} to {max(slid)}"
    return (
        f"Operators that Python calls, by torch's profiler. The loop calls the tree at each place anew: "
        f"{loops[0].calls:,} for {loops[0].symbols} symbols, {loops[-1].calls:,} for {loops[-1].symbols}. The "
        f"convolution makes {ends} whatever the length."
    )


def _timings(found: Convolution) -> str:
    t = found.timings
    windows = [each for each in t.times if each.way == "windows"]
    ratios = ", ".join(f"{each.ratio:.1f}" for each in windows)
    return (
        f"On {t.device}, {t.threads} thread{'s' * (t.threads > 1)}: the median of {t.repeats} readings in turn, over "
        f"that of the convolution; the one figure here that differs from run to run. All windows at once have no loop "
        f"in Python either: they work out more rows, in fewer and larger products, and take {ratios} times as long."
    )
