"""The public names: sorted, documented, loaded when they are needed, and working together as the README says."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

import moreish


def test_all_is_sorted_whole_and_true():
    kinds = [0 if name.isupper() else 1 if name[0].isupper() else 2 for name in moreish.__all__]  # as ruff sorts them
    assert list(zip(kinds, moreish.__all__)) == sorted(set(zip(kinds, moreish.__all__)))
    assert dir(moreish) == sorted(moreish.__all__)
    homes = {name for names in moreish._HOMES.values() for name in names.split()}
    assert {"__version__", *homes} == set(moreish.__all__)
    for home, names in moreish._HOMES.items():
        module = importlib.import_module(home)
        for name in names.split():
            assert getattr(moreish, name) is getattr(module, name)
    for name in moreish.__all__:
        assert getattr(moreish, name) is not None
    for name in ("nothing", "Corpse", "_secret"):
        with pytest.raises(AttributeError, match=name):
            getattr(moreish, name)


def test_type_checkers_see_the_same_names():
    """What stands under TYPE_CHECKING is what is handed out at run time."""
    source = inspect.getsource(moreish)
    block = source[source.index("if TYPE_CHECKING:") : source.index("__version__: str")]
    for home, names in moreish._HOMES.items():
        assert f"from {home} import" in block
        for name in names.split():
            assert name in block


def test_everything_public_is_documented_and_typed():
    for name in moreish.__all__:
        thing = getattr(moreish, name)
        if callable(thing):
            assert (thing.__doc__ or "").strip().endswith((".", "::")) or "\n" in (thing.__doc__ or ""), name
        if inspect.isfunction(thing):
            signature = inspect.signature(inspect.unwrap(thing))
            assert signature.return_annotation is not inspect.Signature.empty, name
            for parameter in signature.parameters.values():
                assert parameter.annotation is not inspect.Parameter.empty, (name, parameter.name)


def test_nothing_heavy_is_loaded_before_it_is_needed():
    script = (
        "import sys, moreish\n"
        "loaded = lambda: sorted({'torch', 'numpy', 'typer', 'rich', 'pydantic', 'regex'} & sys.modules.keys())\n"
        "print(loaded(), dir(moreish)[0], moreish.__version__)\n"
        "moreish.Corpus.read('dinosaurs'); moreish.inspect('dinosaurs'); moreish.UsageError; moreish.bundled()\n"
        "print('torch' in sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == [f"[] Alphabet {moreish.__version__}", "False"]


def test_the_whole_way(tmp_path):
    corpus = moreish.Corpus.read("dinosaurs")
    trained = moreish.fit(corpus, "ngram", order=4)
    assert isinstance(trained, moreish.Trained) and trained.corpus is corpus and trained.recipe.settings == {"order": 4}
    assert isinstance(trained.model, moreish.LanguageModel) and isinstance(trained.alphabet, moreish.Alphabet)
    found = moreish.sample(trained, 5, new_only=True, seed=1)
    assert isinstance(found, moreish.Sample) and [type(line) for line in found.lines] == [moreish.Line] * 5
    assert not {line.text for line in found.lines} & set(corpus.lines)
    (scored,) = moreish.score(trained, found.lines[0].text)
    assert scored.nats == pytest.approx(found.lines[0].nats)
    evaluation = moreish.evaluate(trained)
    assert isinstance(evaluation, moreish.Evaluation) and 0 < evaluation.nats_per_symbol < 3.3
    saved = moreish.save(trained, tmp_path / "run")
    loaded = moreish.load(tmp_path / "run")
    assert saved.run == loaded.run and loaded.recipe == trained.recipe and loaded.corpus.lines == corpus.lines
    assert moreish.evaluate(loaded) == evaluation and moreish.score(loaded, ["Rex", ""]) == moreish.score(
        trained, ["Rex", ""]
    )
    assert moreish.sample(loaded, 5, new_only=True, seed=1) == found
    with pytest.raises(moreish.RunExists):
        moreish.save(trained, tmp_path / "run")


def test_a_training_as_a_stream_of_events():
    corpus = moreish.Corpus.of(["ana", "bela", "cana"] * 90)
    recipe = moreish.make_recipe(corpus, "one-layer", steps=200, lr=5.0)
    kinds = [type(event) for event in moreish.events(corpus, recipe)]
    assert kinds == [moreish.Step, moreish.Step, moreish.Evaluated, moreish.Finished]


def test_the_models_are_called_with_everything_defaulted():
    for name, make in moreish.MODELS.items():
        model = make(symbols=27, seed=0)
        assert isinstance(model, moreish.LanguageModel) and model.config.symbols == 27, name
        assert moreish.check_model(model)


def test_a_model_of_ones_own_can_be_checked():
    class Stubborn(moreish.MODELS["uniform"].model):
        def score(self, windows):
            return super().score(windows) + windows.float().mean()  # one row knows of the others

    with pytest.raises(moreish.LawBroken):
        moreish.check_model(lambda symbols=27, seed=0: Stubborn(moreish.MODELS["uniform"].configure(symbols=symbols)))


def test_errors_are_a_tree_and_say_what_to_do():
    for name in moreish.__all__:
        thing = getattr(moreish, name)
        if inspect.isclass(thing) and issubclass(thing, Exception):
            assert issubclass(thing, (moreish.MoreishError, UserWarning)), name
    for use, kind in (
        (lambda: moreish.Corpus.read("nosuch"), moreish.ListError),
        (lambda: moreish.fit(moreish.Corpus.of(["a", "b"]), "lsmt"), moreish.ConfigError),
        (lambda: moreish.load("nosuch"), moreish.RunError),
        (lambda: moreish.score(moreish.fit(moreish.Corpus.of(["a", "b"]), "bigram"), "c"), moreish.AlphabetError),
    ):
        with pytest.raises(kind) as caught:
            use()
        assert "\n" not in str(caught.value) and str(caught.value).endswith((".", "?"))
