"""The report: what stands in it is what the rooms below measure, and what cannot be known is said and never 0."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from moreish.errors import RunError, UsageError, counted
from moreish.explaining.embedding.measures import embeddings
from moreish.generating.sample import sample
from moreish.learning.doctor.diagnosis import diagnose
from moreish.learning.doctor.finding import Finding
from moreish.learning.evaluate import evaluate, held_out_loss
from moreish.learning.fit import events, make_recipe
from moreish.runs import report as reporting
from moreish.runs.directory import load, read_events, record_look
from moreish.runs.recording import record
from moreish.runs.report import report
from moreish.runs.reporting import learning, making, predicting, run
from moreish.runs.reporting.inside import verdicts_section
from moreish.runs.reporting.learning import read_curves
from moreish.runs.reporting.section import (
    POWER,
    Column,
    Section,
    Table,
    explained,
    figures_of,
    sentence,
    shown,
    unit_shown,
)
from moreish.runs.vitals import vitals
from moreish.text.corpus import Corpus
from moreish.text.hygiene import inspect_lines

FIXTURES = Path(__file__).parents[1] / "fixtures" / "run-0.1.0"
NAMES = ("list", "learning", "predicting", "vitals", "verdicts", "samples", "embeddings", "run")
RECORDS = (run.Making, run.Listed, learning.Learning, predicting.Predicting, making.Novelty, making.Space)


def trained_in(where: Path, source: str | Corpus, model: str, **settings) -> str:
    corpus = Corpus.read(source) if isinstance(source, str) else source
    recipe = make_recipe(corpus, model, **settings)
    for _ in record(events(corpus, recipe), corpus, recipe, where, keep_list=settings.pop("keep_list", True)):
        pass
    return str(where)


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> dict[str, str]:
    """Runs, by name; to be read only."""
    where = tmp_path_factory.mktemp("reported")
    repeated = Corpus.of(["ana", "bela", "cana", "dora"] * 30, split="lecture")
    return {
        "mlp": trained_in(
            where / "mlp", "minerals", "mlp", hidden=8, embedding=3, context=2, steps=30, evaluate_every=10
        ),
        "ngram": trained_in(where / "ngram", "minerals", "ngram", order=3),
        "one-layer": trained_in(where / "one-layer", "minerals", "one-layer", steps=20),
        "few": trained_in(where / "few", Corpus.of(["ana", "bela", "cana"]), "bigram"),
        "one": trained_in(where / "one", Corpus.of(["solo", "solo"]), "bigram"),
        "leaky": trained_in(where / "leaky", repeated, "bigram"),
        "endless": trained_in(where / "endless", "minerals", "bigram", smoothing="none"),
    }


@pytest.fixture(scope="module")
def found(places) -> reporting.Report:
    return report(places["mlp"])


def value(told: reporting.Report, section: str, name: str):
    return next(figure.value for figure in told.section(section).figures if figure.name == name)


def test_what_stands_in_it_is_what_was_measured(places, found):
    trained = load(places["mlp"])
    evaluation = evaluate(trained)
    wanted = {
        "nats": evaluation.nats_per_symbol, "bits": evaluation.bits_per_symbol, "perplexity": evaluation.perplexity,
        "copy_mass": evaluation.copy_mass, "given_new": evaluation.nats_given_new, "lines": evaluation.lines,
        "symbols": evaluation.symbols, "unsure": math.log(len(trained.alphabet)),
        "train": evaluate(trained, "train").nats_per_symbol,
    }  # fmt: skip
    for name, number in wanted.items():
        assert value(found, "predicting", name) == pytest.approx(number, rel=1e-6), name
    assert value(found, "predicting", "low") < evaluation.nats_per_symbol < value(found, "predicting", "high")
    hygiene = inspect_lines(trained.corpus.lines)
    for name in ("lines", "unique_lines", "look_alikes", "probable_typos", "shortest", "longest", "mean_length"):
        assert value(found, "list", name) == getattr(hygiene, name)
    drawn = sample(trained, making.DRAWN, seed=0)
    (table,) = found.section("samples").tables
    assert [row[0] for row in table.rows] == [line.text for line in sample(trained, 20, seed=0).lines]
    assert value(found, "samples", "new") == drawn.novelty.rate and len(table.rows) == 20
    (picture,) = found.section("embeddings").pictures
    assert picture.data == embeddings(trained)
    assert value(found, "run", "parameters") == trained.parameters and value(found, "run", "step") == 30
    assert {row[0] for row in found.section("run").tables[0].rows} >= {"hidden", "embedding", "lr", "steps"}


def test_curves_are_the_events(places, found):
    told = read_events(places["mlp"])
    (picture,) = found.section("learning").pictures
    assert picture.data.train == [(e["step"], e["loss"]) for e in told if e["event"] == "step"]
    dev = {e["step"]: e["nats_per_symbol"] for e in told if e["event"] == "evaluated"}
    assert dict(picture.data.dev) == dev and sorted(dev) == [10, 20, 30]
    assert value(found, "learning", "first") == picture.data.train[0][1]
    assert value(found, "learning", "lowest") == min(dev.values())


def test_it_is_the_same_each_time_and_its_json_is_strict(places, found):
    again = report(places["mlp"])
    assert again.to_dict() == found.to_dict()
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False)) == found.to_dict()
    other = report(places["mlp"], seed=1, lines=3)
    assert other.section("samples") != found.section("samples") and len(other.section("samples").tables[0].rows) == 3
    assert other.section("predicting") == found.section("predicting")


def test_every_number_is_explained(places):
    for record_of in RECORDS:
        for f in fields(record_of):
            assert f.metadata["explanation"].endswith("."), (record_of, f.name)
            assert f.metadata["label"]
    for where in places.values():
        for section in report(where).sections:
            assert section.about.endswith(".")
            for figure in section.figures:
                assert figure.explanation and bool(figure.unknown) == (figure.value is None), figure
                assert not figure.unknown or figure.unknown.endswith("."), figure
            for table in section.tables:
                assert all(column.explanation.endswith(".") for column in table.columns), table.name
            assert all(picture.sentence.endswith(".") for picture in section.pictures)


MISSING = {
    "ngram": {"learning": "fitted by counting", "vitals": "fitted by counting", "verdicts": "fitted by counting",
              "embeddings": "has no embedding"},
    "one-layer": {"vitals": "whole list at once", "verdicts": "Add --batch 32"},
    "few": {"learning": "fitted by counting", "embeddings": "has no embedding"},
    "one": {"predicting": "one unique line, so there is nothing to hold out"},
}  # fmt: skip


@pytest.mark.parametrize("name", MISSING)
def test_what_there_is_not_is_said_in_a_sentence(places, name):
    told = report(places[name])
    assert tuple(section.name for section in told.sections) == NAMES
    for section, words in MISSING[name].items():
        assert words in told.section(section).missing and told.section(section).missing.endswith((".", "?"))
        assert not told.section(section).figures


def test_a_run_over_folds_and_one_without_a_list(places, tmp_path):
    few = report(places["few"])
    assert value(few, "predicting", "part") == "kfold"
    assert value(few, "predicting", "nats") == pytest.approx(held_out_loss(load(places["few"])))
    assert value(few, "predicting", "low") is None and value(few, "predicting", "train") is None
    assert "takes its turn" in few.summary
    one = report(places["one"])
    assert "learnt from 1 line of" in one.summary and "leaves nothing to hold out" in one.summary
    assert "takes its turn" not in one.summary and "leaves nothing to hold out" in value(one, "run", "split")
    shutil.copytree(FIXTURES / "bigram-of-hashes", tmp_path / "run")
    told = report(tmp_path / "run")
    assert "only hashes" in told.section("list").missing and "only hashes" in told.summary
    assert value(told, "predicting", "nats") > 0 and value(told, "samples", "near") is None
    assert not {"train", "dev", "test"} & {figure.name for figure in told.section("run").figures}


@pytest.mark.parametrize("name", ["ngram", "one-layer"])
def test_a_run_of_an_older_format(name, tmp_path):
    shutil.copytree(FIXTURES / name, tmp_path / "run")
    told = report(tmp_path / "run")
    assert value(told, "run", "written_by") == "0.1.0" and told.section("vitals").missing
    assert told.section("learning").missing.endswith("so there is no curve.")


def test_leaks_and_infinite_losses_are_said(places):
    leaky = report(places["leaky"])
    assert value(leaky, "run", "leaks") is True and "may rest on lines that were learnt" in leaky.summary
    assert value(leaky, "list", "duplicate_lines") == 116
    assert any(remark.tone == "warning" for remark in leaky.section("predicting").remarks)
    endless = report(places["endless"])
    assert value(endless, "predicting", "nats") is None
    assert "Infinite" in " ".join(remark.text for remark in endless.section("predicting").remarks)
    json.dumps(endless.to_dict(), allow_nan=False)


def test_looks_at_test_are_counted_and_none_is_taken(places, tmp_path):
    shutil.copytree(places["ngram"], tmp_path / "run")
    before = (tmp_path / "run" / "events.jsonl").read_bytes()
    assert value(report(tmp_path / "run"), "run", "test_looks") == 0
    assert (tmp_path / "run" / "events.jsonl").read_bytes() == before
    record_look(tmp_path / "run", "test")
    assert value(report(tmp_path / "run"), "run", "test_looks") == 1


def test_strange_events_are_left_out():
    strange = [
        {"event": "step", "step": 1, "loss": 3.0}, {"event": "step", "step": "2", "loss": 3.0}, {"event": "step"},
        {"event": "step", "step": True, "loss": 1.0}, {"event": "step", "step": 5, "loss": None}, {"loss": 2.0},
        {"event": "step", "step": 5, "loss": float("nan")}, {"event": "step", "step": -1, "loss": 1.0},
        {"event": "evaluated", "step": 4, "part": "dev", "nats_per_symbol": 2.5},
        {"event": "evaluated", "step": 4, "part": "dev", "nats_per_symbol": 2.4},
        {"event": "evaluated", "step": 4, "part": "test", "nats_per_symbol": 1.0},
        {"event": ["step"], "step": 4, "part": "dev", "nats_per_symbol": "2"},
    ]  # fmt: skip
    curves = read_curves(strange, 27)
    assert curves.train == [(1, 3.0)] and curves.dev == [(4, 2.4)] and curves.unsure == math.log(27)


def test_an_evaluation_that_is_not_ours_is_refused(places, tmp_path):
    shutil.copytree(places["ngram"], tmp_path / "run")
    path = tmp_path / "run" / "events.jsonl"
    path.write_text(path.read_text().replace('"perplexity": ', '"perplexity": "<b>", "was": '))
    with pytest.raises(RunError, match="not one of ours: perplexity"):
        report(tmp_path / "run")


def test_a_first_loss_far_above_ln_v_and_a_risen_one_are_remarked():
    def remarks(train, dev):
        return " ".join(r.text for r in learning._remarks(learning.Curves(train, dev, 3.3), train[0][1]))

    assert "began unsure" in remarks([(1, 3.31)], [(5, 3.0), (9, 2.5)])
    assert "sure of what it did not know" in remarks([(1, 20.0)], [(5, 3.0), (9, 2.5)])
    risen = remarks([(1, 3.3)], [(5, 2.5), (9, 2.6)])
    assert "lowest at step 5" in risen and "0.100 nats" in risen and "--use best" in risen


def test_verdicts_as_the_doctor_gives_them():
    finding = Finding("saturated", "hidden.0", "40 % of tanh", 0.4, 0.05, 0.9, "--gain 5/3")
    section = verdicts_section([finding])
    assert section.tables[0].rows == (("saturated", "hidden.0", "40 % of tanh", 0.4, 0.05, 0.9, "--gain 5/3"),)
    assert "saturated" in section.remarks[0].text and section.tables[0].shown(section.tables[0].rows[0])[5] == "90.0 %"
    healthy = verdicts_section([])
    assert healthy.figures[0].value == 0 and healthy.remarks[0].text == "No fault found."
    assert verdicts_section("Too few lines.").missing == "Too few lines."


def test_a_report_takes_the_doctor_s_word(places):
    said = report(places["mlp"]).section("verdicts")
    assert [row[0] for row in said.tables[0].rows] == [f.fault for f in diagnose(load(places["mlp"])).findings]
    assert report(places["mlp"], doctor=False).section("verdicts").missing == "The training doctor was not asked."


def test_the_vitals_are_those_that_the_run_kept(places):
    section, kept = report(places["mlp"]).section("vitals"), vitals(places["mlp"])
    assert [figure.value for figure in section.figures] == [len(kept.readings), kept.readings[-1].step]
    sites, parameters = section.tables
    assert [row[:2] for row in sites.rows] == [(site.site, site.activation.mean) for site in kept.at().sites]
    assert [row[-1] for row in parameters.rows] == [each.update_to_data for each in kept.at().parameters]
    drawn = section.pictures[0].data.to_dict()
    assert drawn["readings"] == [one.step for one in kept.readings] and drawn["last"] == kept.at().to_dict()


@pytest.mark.parametrize(
    "given, unit, words",
    [
        (1234567, "", "1,234,567"), (True, "", "yes"), (0.5, "share", "50.0 %"), (2.0, "nats", "2.0000"),
        (math.inf, "nats", "infinite"), (-math.inf, "", "minus infinite"), (math.nan, "", "no number"),
        ("a\tb\x1b\u202e", "", "a\\x09b\\x1b\\u202e"),
    ],
)  # fmt: skip
def test_values_as_people_read_them(given, unit, words):
    assert shown(given, unit) == words


def test_small_gradients_are_told_as_watch_tells_them(found, places):
    assert (shown(4.56e-5, places=POWER), shown(0.0, places=POWER), shown(12.0, places=POWER)) == (
        "4.6e-05", "0.0e+00", "1.2e+01",
    )  # fmt: skip
    last = vitals(places["mlp"]).at()
    sites, parameters = found.section("vitals").tables
    told = [
        dict(zip((column.name for column in t.columns), t.shown(row))) for t in (sites, parameters) for row in t.rows
    ]
    gradients = [row["gradient"] for row in told if "gradient" in row]
    assert gradients == ["" if site.gradient is None else f"{site.gradient.deviation:.1e}" for site in last.sites]
    ratios = [row["gradient_to_data"] for row in told if "gradient_to_data" in row]
    assert ratios == [f"{each.gradient_to_data:.1e}" for each in last.parameters]


def test_a_name_keeps_its_small_letter_where_a_complaint_begins_with_it():
    assert sentence("out/dup.txt has one line", "out/dup.txt") == "out/dup.txt has one line"
    assert sentence("there is none", "out/dup.txt", "") == "There is none"


def test_a_unit_loses_its_s_after_one():
    told = {
        (1, "lines"): "line",
        (2, "lines"): "lines",
        (1, "nats"): "nats",
        (1, "share"): "",
        (1, "lines on end"): "lines on end",
    }
    assert unit_shown("lines", True) == unit_shown("lines") == "lines"
    assert {given: unit_shown(given[1], given[0]) for given in told} == told
    assert [counted(n, "line") for n in (0, 1, 2000)] == ["0 lines", "1 line", "2,000 lines"]


def test_a_figure_that_is_not_known_must_say_why():
    @dataclass(frozen=True)
    class Some:
        size: float | None = explained("size", "", "How large.")

    with pytest.raises(AssertionError, match="nothing says why"):
        figures_of(Some(None))
    (figure,) = figures_of(Some(None), {"size": "It was not measured."})
    assert figure.shown == "not known" and figure.unknown == "It was not measured."
    with pytest.raises(AssertionError):
        Section("x", "X", "Nothing.")
    with pytest.raises(AssertionError):
        Table("x", "X", (Column("a", "a", "It."),), ((1, 2),))


@pytest.mark.parametrize("lines", [0, -1, 1001, True])
def test_bad_input(places, lines):
    with pytest.raises(UsageError, match="not a whole number from 1 to 1,000"):
        report(places["ngram"], lines=lines)
    with pytest.raises(RunError, match="no run directory"):
        report("nosuch")
