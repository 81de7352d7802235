"""What is compared: networks, with their options and the share of sound pixels they learned by."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from weld_inspection.errors import InspectionError
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.weights import Model, load_model
from weld_inspection.training.config import TrainingConfig, as_written_now

# The rows of the paper's tables, in its order, with the names it uses.
PAPER_NETWORKS = {
    "mask_rcnn": "Mask R-CNN",
    "unet": "U-Net",
    "deeplab_v3": "DeepLabv3",
    "cnn_3d": "3D-CNN",
    "conv_lstm": "ConvLSTM",
    "crrn": "CRRN",
    "crrn_attn": "CRRN w/attn",
    "bi_crrn_e": "bi-CRRN-E",
    "bi_crrn_ed": "bi-CRRN-ED",
    "bi_crrn_ed_attn": "bi-CRRN-ED w/attn",
}
IMBALANCES = (3.0, 10.0, 20.0, 30.0)  # Table 3
DEFAULTS = TrainingConfig(data=("",)).to_dict()
NOT_NUMBERS = ("seed", "device", "precision", "workers", "out")  # of a training
BEST = "bi_crrn_ed_attn"  # the network that Table 3 and the readings are shown with
# The readings of the paper's equations that were not taken, see NetworkConfig.
READINGS = ({"decoder_input": "zeros"}, {"peephole": "none"})
# What makes a network another one, which stands beside the paper's.
EXTENSIONS = ("skip", "unet_channels")
READING_NAMES = {name for options in READINGS for name in options}


@dataclass(frozen=True)
class Variant:
    """One row of a table.

    Attributes:
        network: Name in the registry.
        options: Other readings of the equations than those taken, as in READINGS, and EXTENSIONS.
        imbalance: As TrainingConfig's.
        label: Tells it from others of the same kind.
    """

    network: str
    options: dict[str, Any] = field(default_factory=dict)
    imbalance: float = 0.0
    label: str = ""

    @property
    def name(self) -> str:
        """For files: the network's name, and what is not as usual."""
        parts = [self.network, *self._options("_")]
        if self.imbalance:
            parts.append(f"{self.imbalance:g}_to_1")
        parts += [self.label] if self.label else []
        return "-".join(parts)

    @property
    def title(self) -> str:
        """For tables."""
        notes = self._options(" ")
        if self.imbalance:
            notes.append(f"{self.imbalance:g}:1")
        notes += [self.label] if self.label else []
        title = PAPER_NETWORKS.get(self.network, self.network)
        return f"{title} ({', '.join(notes)})" if notes else title

    def _options(self, between: str) -> list[str]:
        """Names and values; of one that is on or off, the name."""
        return [
            key if value is True else f"{key}{between}{value}"
            for key, value in sorted(self.options.items())
        ]


class Described(NamedTuple):
    """What a model file is.

    Attributes:
        variant: Its row in tables.
        seed: Of its training.
        path: The file.
    """

    variant: Variant
    seed: int
    path: Path


def describe(model: Model) -> tuple[Variant, int]:
    """Tells what a model file is: its variant, and the seed of its training."""
    usual, own = NetworkConfig(model.config.architecture).to_dict(), model.config.to_dict()
    names = {*READING_NAMES, *EXTENSIONS}
    options = {name: own[name] for name in sorted(names) if own[name] != usual[name]}
    training = trainings(model.training)[0].get("config", {})
    imbalance = float(training.get("imbalance", 0.0))
    return Variant(model.config.architecture, options, imbalance), int(training.get("seed", 0))


def trainings(written: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns what a model's training wrote about itself; of a mean of models, all of theirs."""
    if "mean_of" not in written:
        return [written]
    return [training for member in written["mean_of"] for training in trainings(member)]


def describe_all(paths: Sequence[Path]) -> list[Described]:
    """Tells which models are a row of a table each, and which share one as seeds of one training.

    Args:
        paths: Model files.

    Returns:
        What each is. Where models of one variant are not trainings
        that differ in the seed alone, each is a variant of its own, labelled with its file's name.

    Raises:
        InspectionError: A model cannot be loaded, or two such have the same name.
    """
    models = {path: load_model(path) for path in paths}
    rows: dict[str, list[Described]] = {}
    for path, model in models.items():
        variant, seed = describe(model)
        rows.setdefault(variant.name, []).append(Described(variant, seed, path))
    described = []
    for members in rows.values():
        files = [member.path for member in members]
        numbers = {json.dumps(_numbers(models[path]), sort_keys=True) for path in files}
        if len(numbers) > 1 or len({member.seed for member in members}) < len(members):
            if len({path.stem for path in files}) < len(members):
                raise InspectionError(
                    f"{', '.join(map(str, files))} are not trainings that differ in the seed "
                    "alone: give their files different names"
                )
            members = [
                member._replace(variant=replace(member.variant, label=member.path.stem))
                for member in members
            ]
        described += members
    return described


def _numbers(model: Model) -> list[Any]:
    """All that must be the same in models that differ in the seed of their training."""
    members = [
        [
            # A training of a version that did not know an option took its default.
            DEFAULTS | as_written_now(training.get("config", {})) | dict.fromkeys(NOT_NUMBERS),
            training.get("data"),
            training.get("data_before"),
            training.get("epochs"),
        ]
        for training in trainings(model.training)
    ]
    return [model.config.to_dict(), members]


def paper_variants() -> list[Variant]:
    """The ten networks of Tables 1, 2 and 4, best first: what matters most is there soonest."""
    return [Variant(name) for name in reversed(PAPER_NETWORKS)]


def imbalance_variants() -> list[Variant]:
    """The rows of Table 3."""
    return [Variant(BEST, imbalance=imbalance) for imbalance in IMBALANCES]


def reading_variants() -> list[Variant]:
    """The readings of the equations that were not taken."""
    return [Variant(BEST, options) for options in READINGS]


def is_other_reading(options: dict[str, Any]) -> bool:
    """Whether a variant's options read the equations otherwise than the networks do by default."""
    return not READING_NAMES.isdisjoint(options)
