"""What all tests share: one thread, steady examples, the list of names where there is one, and checks set aside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest
import torch
from hypothesis import settings

import quick_checker

quick_checker.install()

torch.set_num_threads(1)  # workers of pytest-xdist would get in one another's way
# The same examples each time: a failure is then the change's own. `--hypothesis-profile=search` looks for new ones.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile("steady")


def pytest_configure(config: pytest.Config) -> None:
    # Not in pyproject.toml: pytest would import moreish to know the warning before its shapes can be checked.
    config.addinivalue_line("filterwarnings", "error::moreish.errors.CheckpointWarning")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing that a test learns or compiles goes into the user's cache; workers share what one has compiled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOREISH_CACHE", str(tmp_path_factory.getbasetemp().parent / "moreish-cache"))
        yield


@pytest.fixture(scope="session")
def names() -> Path:
    """The list of given names that the published figures are about; NAMES says where it lies."""
    default = Path(__file__).parents[2] / "shared" / "data" / "names.txt"
    path = Path(os.environ.get("NAMES", default))
    if not path.is_file():
        pytest.skip(f"no list of names at {path}: set NAMES to one with the lectures' 32,033 lines")
    return path


@pytest.fixture
def types_unchecked():
    """For tests of refusals: a value of the wrong type reaches our own check, as it does outside the tests."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
