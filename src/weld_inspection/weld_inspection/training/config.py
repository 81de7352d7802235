"""The numbers of a training, from a YAML file and the command line."""

from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from weld_inspection.errors import InspectionError
from weld_inspection.networks.config import MINIMUM_SIZE

PRECISIONS = ("auto", "fp32", "bf16")
SCHEDULES = ("constant", "one_cycle")
SEEDS = 2**32
DEFAULT_OUT = "training_output"
LISTS = ("data", "validation", "start_from", "only")  # of TrainingConfig


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """What a training does; the defaults are Algorithm 1 with the paper's numbers.

    Attributes:
        network: Name in the networks' registry.
        data: Folders of clips to train on.
        validation: Folders of clips to measure on after each epoch; may be empty.
        out: Folder of the run: checkpoints, metrics, model.
        epochs: Passes over the training windows.
        batch_size: Windows in a step.
        learning_rate: Of Adam; the peak where the schedule is one_cycle.
        schedule: "constant" as in the paper, or "one_cycle" for short trainings.
        window: Frames of a training window; 0 for the network's T. A step on fewer costs less, and
            the weights fit any T; validation is on windows of T all the same.
        stride: Frames from one training window to the next; 0 for the window's length, which is
            the paper's "without overlap".
        imbalance: Sound pixels to a defect one that the loss counts, drawn at random from those of
            each step; 0 counts all (Table 3 of the paper: 3 to 30). At most what the data have;
            a step that has less counts fewer of its defect pixels.
        augment: Flip, reverse and recolour the training windows at random.
        crop: Width and height in pixels of the part of each training window that a step sees, most
            of them around defects (with `imbalance` anywhere, for more sound pixels), see
            `training.crops`; None for whole frames as in the paper.
        seed: Of weights, order, augmentation and crops.
        device: "auto", "cpu" or "cuda".
        precision: "auto", "fp32" or "bf16" (autocast; weights stay fp32).
        workers: Processes that read clips; 0 reads in the training process.
        start_from: Model files whose weights are taken over where names and shapes agree, of each
            what those before it lack, see `training.start`; the statistics of their batch
            normalisation stay as they are.
        teacher: Model file whose features the network learns beside the masks (knowledge
            distillation); "" for none.
        only: Parts of the network that learn, by their modules' names, such as
            ("spatial_decoder", "skip"); all where there is none. The others stay as `start_from`
            has them, and cost no gradient.
        network_options: Overrides of NetworkConfig's fields, such as {"channels": 32}.
    """

    network: str = "bi_crrn_ed_attn"
    data: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    out: str = DEFAULT_OUT
    epochs: int = 150
    batch_size: int = 20
    learning_rate: float = 1e-4
    schedule: str = "constant"
    window: int = 0
    stride: int = 0
    imbalance: float = 0.0
    augment: bool = True
    crop: tuple[int, int] | None = None
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    workers: int = 0
    start_from: tuple[str, ...] = ()
    teacher: str = ""
    only: tuple[str, ...] = ()
    network_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
            InspectionError: A value is out of its range.
        """
        if not isinstance(self.network_options, dict):
            raise InspectionError(
                f"network_options is {self.network_options!r}: give names and values"
            )
        if "architecture" in self.network_options:
            raise InspectionError("network_options says architecture: give that as network")
        kinds = {"network": "a network's name", "out": "a folder", "device": "auto, cpu or cuda"}
        kinds |= {"teacher": "a model file"}
        for name, kind in kinds.items():
            if not isinstance(getattr(self, name), str):
                raise InspectionError(f"{name} is {getattr(self, name)!r}: give {kind}")
        if not isinstance(self.augment, bool):
            raise InspectionError(f"augment is {self.augment!r}: give true or false")
        if not isinstance(self.seed, int) or not 0 <= self.seed < SEEDS:
            raise InspectionError(f"seed is {self.seed!r}: give a whole number from 0 to 2^32 - 1")
        for name in ("data", "validation"):
            if not all(isinstance(folder, str) for folder in getattr(self, name)):
                raise InspectionError(f"{name} is {getattr(self, name)!r}: give folders of clips")
        if not all(isinstance(path, str) for path in self.start_from):
            raise InspectionError(f"start_from is {self.start_from!r}: give model files")
        if not all(isinstance(part, str) for part in self.only):
            raise InspectionError(f"only is {self.only!r}: give names of parts of the network")
        if self.only and not self.start_from:
            raise InspectionError(
                "with only, the rest of the network stays as it is: give the model that it is of, "
                "start_from"
            )
        lowest = {"epochs": 1, "batch_size": 1, "window": 0, "stride": 0, "workers": 0}
        for name, least in lowest.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise InspectionError(f"{name} is {value!r}: give a whole number >= {least}")
        if not isinstance(self.learning_rate, (int, float)) or not self.learning_rate > 0:
            raise InspectionError(f"learning_rate is {self.learning_rate!r}: give a number > 0")
        if not isinstance(self.imbalance, (int, float)) or not self.imbalance >= 0:
            raise InspectionError(f"imbalance is {self.imbalance!r}: give a number >= 0")
        if self.crop is not None and not (
            isinstance(self.crop, tuple)
            and len(self.crop) == 2
            and all(isinstance(side, int) and side >= MINIMUM_SIZE for side in self.crop)
        ):
            raise InspectionError(
                f"crop is {self.crop!r}: give width and height of at least {MINIMUM_SIZE} pixels"
            )
        if self.precision not in PRECISIONS:
            raise InspectionError(
                f"precision is {self.precision!r}: give one of {', '.join(PRECISIONS)}"
            )
        if self.schedule not in SCHEDULES:
            raise InspectionError(
                f"schedule is {self.schedule!r}: give one of {', '.join(SCHEDULES)}"
            )
        if not self.data:
            raise InspectionError("no training data: give --data FOLDER (see make_dataset)")

    def to_dict(self) -> dict[str, Any]:
        """Returns the numbers as plain values, for YAML and JSON."""
        values = asdict(self)
        lists = {name: list(values[name]) for name in LISTS}
        return values | lists | {"crop": None if self.crop is None else list(self.crop)}


def as_written_now(written: dict[str, Any]) -> dict[str, Any]:
    """Returns the numbers in a run's or a model's file as `TrainingConfig.to_dict` gives them now.

    Args:
        written: As a file has them, perhaps of a version in which `start_from` was one path or "".
    """
    path = written.get("start_from")
    return written | {"start_from": [path] if path else []} if isinstance(path, str) else written


def read_training_config(path: Path | None, overrides: dict[str, Any]) -> TrainingConfig:
    """Makes the config of a training.

    Args:
        path: YAML file of TrainingConfig's fields, or None.
        overrides: Values that win over the file's.

    Raises:
        InspectionError: The file cannot be read, or a name or value is not allowed.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InspectionError(f"cannot read training config {path}: {error}") from error
        if not isinstance(values, dict):
            raise InspectionError(f"training config {path} is not a list of `name: value` lines")
    values |= overrides
    known = {item.name for item in fields(TrainingConfig)}
    unknown = sorted(map(str, set(values) - known))
    if unknown:
        raise InspectionError(f"unknown training options {unknown}: known are {sorted(known)}")
    for name in LISTS:
        if name in values:
            given = () if values[name] in (None, "") else values[name]
            values[name] = tuple(given) if isinstance(given, (list, tuple)) else (given,)
    if isinstance(values.get("crop"), list):
        values["crop"] = tuple(values["crop"])
    for name in ("learning_rate", "imbalance"):
        if isinstance(values.get(name), str):  # YAML takes 1e-3, without a point, for a text
            with suppress(ValueError):
                values[name] = float(values[name])
    if values.get("network_options", {}) is None:  # the name alone, with nothing below it
        values["network_options"] = {}
    return TrainingConfig(**values)
