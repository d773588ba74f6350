"""Judging the rows of quality, and showing them: in the terminal, and in docs/results.md."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from quality_rows import BY_ID, QUALITY_ROWS, SEEDS, Limit, QualityRow
from results import Result

BEGIN = "<!-- quality: written by `make quality ARGS=--write-docs`, not by hand -->"
END = "<!-- end of quality -->"
HEADINGS = (
    "row", "split", "dev", "± 2 se", "asked", "holds", "aim", "copy mass", "given new", "train", "test", "weights",
    "core-s", "published",
)  # fmt: skip
Figures = dict[tuple[str, str], dict[str, list[Result]]]
"""For each (row, split) the results on dev and on test, one a seed."""


@dataclass(frozen=True)
class Standing:
    """A row on one split: its results of dev and of test, and which row they are from (for `best-pure`, the best)."""

    row: QualityRow
    split: str
    dev: list[Result]
    test: list[Result]
    source: str

    @property
    def limit(self) -> Limit | None:
        return self.row.limits[self.split]

    @property
    def nats(self) -> float:
        return mean(result["nats"] for result in self.dev)

    @property
    def error(self) -> float | None:
        """The standard error of the mean over seeds; None for fewer than two."""
        if len(self.dev) < 2:
            return None
        return stdev(result["nats"] for result in self.dev) / len(self.dev) ** 0.5

    @property
    def holds(self) -> bool | None:
        """Whether it does what is asked: None where nothing is, or while seeds are missing."""
        if self.limit is None or len(self.dev) < len(SEEDS):
            return None
        allowed = self.row.core_seconds
        if allowed is not None and max(result["core_seconds"] for result in self.dev) > allowed:
            return False
        return within(self.nats, 2 * (self.error or 0.0), self.limit)

    @property
    def reached(self) -> bool | None:
        """Whether the mean is at the aim; None where there is none, or while seeds are missing."""
        if self.limit is None or self.limit.aim is None or len(self.dev) < len(SEEDS):
            return None
        return self.nats <= self.limit.aim


def within(nats: float, doubt: float, limit: Limit) -> bool:
    """Whether a mean, less its two standard errors, is at most the figure; with `within`, near it on both sides."""
    if limit.within is None:
        return nats - doubt <= limit.figure
    return abs(nats - limit.figure) - doubt <= limit.within


def standings(figures: Figures) -> list[Standing]:
    """Every row on every split on which it is measured and has a result."""
    out = []
    for row in QUALITY_ROWS:
        source = best_of(row.best, figures) if row.best else row.id
        for split in row.limits:
            found = figures.get((source, split), {}) if source else {}
            if found.get("dev"):
                out.append(Standing(row, split, found["dev"], found.get("test", []), source))
    return out


def best_of(rows: tuple[str, ...], figures: Figures) -> str:
    """The row with the lowest mean on dev of the unique split, so that the leak decides nothing; "" without any."""
    means = {
        row: mean(result["nats"] for result in figures[row, "unique"]["dev"])
        for row in rows
        if len(figures.get((row, "unique"), {}).get("dev", [])) == len(SEEDS)
    }
    return min(means, key=lambda row: means[row]) if means else ""


def cells(standing: Standing) -> list[str]:
    """A row of the table, in the order of HEADINGS."""
    row, limit, dev = standing.row, standing.limit, standing.dev
    title = row.title if standing.source == row.id else f"{row.title}: {BY_ID[standing.source].id}"
    doubt = standing.error
    return [
        title,
        "lecture (leaks)" if standing.split == "lecture" else standing.split,
        f"{standing.nats:.4f}",
        "" if doubt is None else f"{2 * doubt:.4f}",
        asked(row, standing.split),
        _verdict(standing.holds, len(dev), limit is not None),
        "" if limit is None or limit.aim is None else f"{limit.aim:.3f}" + (" reached" if standing.reached else ""),
        _percent(dev, "copy_mass"),
        _mean(dev, "nats_given_new", "{:.4f}"),
        _mean(dev, "train_nats", "{:.3f}"),
        _mean(standing.test, "nats", "{:.4f}"),
        _mean(dev, "parameters", "{:,.0f}"),
        _mean(dev, "core_seconds", "{:.0f}"),
        row.published if standing.split == "lecture" else "",
    ]


def asked(row: QualityRow, split: str) -> str:
    """What is asked of a row, in words."""
    limit = row.limits[split]
    if limit is None:
        return "nothing, for information"
    bound = f"at most {limit.figure:.3f}" if limit.within is None else f"{limit.figure:.3f} ± {limit.within:g}"
    return bound + ("" if row.core_seconds is None else f", {row.core_seconds:.0f} core-s")


def _verdict(holds: bool | None, seeds: int, is_asked: bool) -> str:
    if holds is None:
        return "–" if not is_asked and seeds == len(SEEDS) else f"{seeds} of {len(SEEDS)} seeds"
    return "yes" if holds else "NO"


def _mean(results: list[Result], name: str, form: str) -> str:
    values = [result[name] for result in results if result.get(name) is not None]
    return form.format(mean(values)) if values else ""


def _percent(results: list[Result], name: str) -> str:
    return _mean(results, name, "{:.1%}").replace("%", " %")


def page(figures: Figures) -> list[str]:
    """The table as it stands in docs/results.md, and where its figures come from."""
    rows = standings(figures)
    results = [result for standing in rows for result in (*standing.dev, *standing.test)]
    days = sorted({result["on"] for result in results})
    commits = sorted({result["commit"] for result in results})
    looks = sorted({result["on"] for standing in rows for result in standing.test})
    return [
        f"Learnt on {', '.join(days)}; at {', '.join(commits)}. {len(SEEDS)} seeds, the mean of each figure. Test was "
        + (f"looked at once for each run, on {', '.join(looks)}." if looks else "not looked at yet."),
        "",
        f"| {' | '.join(HEADINGS)} |",
        "|" + "---|" * len(HEADINGS),
        *(f"| {' | '.join(cells(standing))} |" for standing in rows),
    ]


def summary(figures: Figures) -> str:
    """How many rows hold, in a sentence."""
    verdicts: list[Any] = [standing.holds for standing in standings(figures)]
    wanted = sum(limit is not None for row in QUALITY_ROWS for limit in row.limits.values())
    return f"{sum(verdict is True for verdict in verdicts)} of {wanted} bounded rows hold."
