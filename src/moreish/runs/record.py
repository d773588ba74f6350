"""What run.toml and a checkpoint's description may say: both may come from a stranger, so every value is checked."""

from __future__ import annotations

import tomllib
from typing import Annotated, Any, Literal, get_type_hints

import tomli_w
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from moreish.errors import CheckpointError, RunError
from moreish.learning.evaluate import Evaluation
from moreish.learning.recipe import Recipe
from moreish.text.alphabet import Alphabet, printable

Count = Field(ge=0, le=2**53)
Setting = bool | int | float | Annotated[str, Field(max_length=100)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class RunSection(_Strict):
    """Which run this is."""

    id: str = Field(pattern=r"^[0-9a-f]{16}$")
    format: int = Field(ge=1, le=1)
    moreish: str = Field(max_length=64)


class RecipeSection(_Strict):
    """The recipe, as in `Recipe`."""

    model: str = Field(max_length=64)
    settings: dict[str, Setting]
    method: Literal["counting", "gradient", "closed-form", "minibatches", "imported"]
    steps: int = Count
    lr: float = Field(ge=0)
    weight_decay: float = Field(ge=0)
    optimizer: Literal["sgd", "adamw", "muon"] = "adamw"
    momentum: float = Field(default=0.0, ge=0, lt=1)
    beta2: float = Field(default=0.99, ge=0, lt=1)
    schedule: Literal["constant", "step", "cosine", "linear"] = "constant"
    warmup: float = Field(default=0.0, ge=0, le=1)
    decay_at: float = Field(default=0.5, ge=0, le=1)
    batch: int = Field(default=32, ge=1, le=10**7)
    batch_of: Literal["lines", "windows"] = "lines"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    clip: float = Field(default=0.0, ge=0)
    average: float = Field(default=0.0, ge=0, lt=1)
    use: Literal["last", "best", "average"] = "last"
    patience: int = Field(default=0, ge=0, le=2**53)
    evaluate_every: int = Field(default=0, ge=0, le=2**53)
    checkpoint_every: int = Field(default=0, ge=0, le=2**53)
    watch_every: int = Field(default=0, ge=0, le=2**53)
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False
    by_hand: bool = False
    initialization: Literal[
        "default",
        "kaiming",
        "xavier",
        "lsuv",
        "over-confident",
        "softmax-mended",
        "tanh-mended",
        "kaiming-lecture",
        "batchnorm",
    ] = "default"
    seed: int = Field(ge=0, lt=2**63)
    split: Literal["unique", "lecture", "none"]
    split_seed: int = Field(ge=0, lt=2**63)
    symbols: Literal["characters", "graphemes", "words", "bytes"]
    why: str = Field(default="", max_length=1000)


class ListRecord(_Strict):
    """The list: how many lines in each part, and the file that keeps them (or their hashes)."""

    name: str = Field(max_length=4096)
    lines: int = Count
    train: int = Count
    dev: int = Count
    test: int = Count
    kfold: bool
    fingerprint: str = Field(max_length=64)
    longest: int = Count
    kept: bool
    bytes: int = Count
    sha256: str = Field(max_length=64)


class AlphabetSection(_Strict):
    """How many symbols there are and what they are; the symbols themselves are in the checkpoint."""

    kind: Literal["characters", "graphemes", "words", "bytes"]
    symbols: int = Count


class MachineSection(_Strict):
    """What a training ran on. The same steps give the same bits where all of this is the same."""

    torch: str = Field(max_length=64)
    threads: int = Field(ge=1, le=4096)
    instructions: str = Field(max_length=64)
    device: Literal["cpu", "cuda", "mps"]

    @classmethod
    def here(cls, device: str) -> MachineSection:
        """This machine, as it is set."""
        return cls(
            torch=torch.__version__, threads=torch.get_num_threads(),
            instructions=torch.backends.cpu.get_cpu_capability(), device=device,  # type: ignore[arg-type]
        )  # fmt: skip


class RunRecord(_Strict):
    """The whole of run.toml."""

    run: RunSection
    recipe: RecipeSection
    list: ListRecord
    alphabet: AlphabetSection
    machine: MachineSection | None = None

    @property
    def id(self) -> str:
        """The run's own name, by which its checkpoints are known."""
        return self.run.id

    @classmethod
    def new(cls, *, id: str, version: str, recipe: Recipe, listed: ListRecord, alphabet: Alphabet,
            device: str = "cpu") -> RunRecord:  # fmt: skip
        """The record of a run that begins.

        Raises:
            RunError: the recipe is of a kind that could not be read back.
        """
        try:
            return cls(
                run=RunSection(id=id, format=1, moreish=version),
                recipe=RecipeSection.model_validate(recipe.to_dict()),
                list=listed,
                alphabet=AlphabetSection(kind=alphabet.kind, symbols=len(alphabet)),
                machine=MachineSection.here(device),
            )
        except ValidationError as error:
            raise RunError(f"this recipe cannot be written down: {_first(error)}. Change that.") from None

    def to_toml(self, file: dict[str, Any]) -> str:
        """The text of run.toml; `file` says what became of the lines' file (bytes, sha256)."""
        values = self.model_dump(exclude_none=True)
        values["list"].update(file)
        return tomli_w.dumps(values)


class _Event(_Strict, extra="ignore"):
    """A line of events.jsonl; later versions may say more in it."""


_FIGURES: dict[str, Any] = {name: (hint | None, None) for name, hint in get_type_hints(Evaluation).items()}
EvaluationRecord = create_model("EvaluationRecord", __base__=_Event, **{**_FIGURES, "part": (str, ...)})
"""An evaluation in events.jsonl: any figure may be null, for JSON knows no infinity."""


class TrainingMeta(_Strict):
    """How far a training by minibatches had come, and which of its tensors are there."""

    optimizer: Literal["", "sgd", "adamw", "muon"]
    momentum: float = Field(ge=0, lt=1)
    average: bool
    best: bool
    use: Literal["last", "best", "average"]
    best_step: int = Field(ge=-1, le=2**53)
    best_nats: float | None
    without_better: int = Count


class CheckpointMeta(_Strict):
    """A checkpoint's description of itself; `step` is added by whoever writes the file."""

    format: Literal[1]
    run: str = Field(pattern=r"^[0-9a-f]{16}$")
    model: str = Field(max_length=64)
    config: dict[str, Setting]
    alphabet_kind: Literal["characters", "graphemes", "words", "bytes"]
    alphabet_bytes: int = Count
    training: TrainingMeta | None = None
    step: int | None = None

    @classmethod
    def parse(cls, values: dict[str, Any]) -> CheckpointMeta:
        """Check a description read from a file.

        Raises:
            CheckpointError: names the first key that is wrong.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise CheckpointError(f"its description is not one of ours: {_first(error)}") from None


def parse_evaluation(values: dict[str, Any], name: str) -> dict[str, Any]:
    """Check an evaluation read from a run's events.

    Raises:
        RunError: names the first key that is wrong.
    """
    try:
        return EvaluationRecord.model_validate(values).model_dump()
    except ValidationError as error:
        raise RunError(f"{printable(name)} is not one of ours: {_first(error)}. Restore it, or train again.") from None


def parse_run(text: bytes, name: str) -> RunRecord:
    """Read run.toml.

    Raises:
        RunError: it is no TOML, or names the first key that is wrong.
    """
    try:
        return RunRecord.model_validate(tomllib.loads(text.decode()))
    except ValidationError as error:
        raise RunError(f"{printable(name)} is not one of ours: {_first(error)}. Restore it, or train again.") from None
    except (ValueError, RecursionError) as error:  # tomllib: its own error, or that of a number of 5,000 digits
        said = printable(f"{name} cannot be read: {str(error)[:200]}")
        raise RunError(f"{said}. Restore it, or train again.") from None


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    return printable(f"{'.'.join(str(part) for part in first['loc'])[:100]}: {first['msg']}")
