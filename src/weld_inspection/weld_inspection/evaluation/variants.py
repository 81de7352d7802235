"""What is compared: networks, with their options and the share of sound pixels they learned by."""

from dataclasses import dataclass, field
from typing import Any

from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.weights import Model

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
BEST = "bi_crrn_ed_attn"  # the network that Table 3 and the alternatives are shown with
# The readings of the paper's equations that were not taken, see NetworkConfig.
ALTERNATIVES = ({"decoder_input": "zeros"}, {"peephole": "none"})


@dataclass(frozen=True)
class Variant:
    """One row of a table.

    Attributes:
        network: Name in the registry.
        options: Readings of the equations, as in ALTERNATIVES; empty for the ones taken.
        imbalance: As TrainingConfig's.
    """

    network: str
    options: dict[str, Any] = field(default_factory=dict)
    imbalance: float = 0.0

    @property
    def name(self) -> str:
        """For files: the network's name, and what is not as usual."""
        parts = [self.network, *(f"{key}_{value}" for key, value in sorted(self.options.items()))]
        if self.imbalance:
            parts.append(f"{self.imbalance:g}_to_1")
        return "-".join(parts)

    @property
    def title(self) -> str:
        """For tables."""
        notes = [f"{key} {value}" for key, value in sorted(self.options.items())]
        if self.imbalance:
            notes.append(f"{self.imbalance:g}:1")
        title = PAPER_NETWORKS.get(self.network, self.network)
        return f"{title} ({', '.join(notes)})" if notes else title


def describe(model: Model) -> tuple[Variant, int]:
    """Tells what a model file is: its variant, and the seed of its training."""
    usual, own = NetworkConfig(model.config.architecture).to_dict(), model.config.to_dict()
    readings = {name for options in ALTERNATIVES for name in options}
    options = {name: own[name] for name in sorted(readings) if own[name] != usual[name]}
    training = model.training.get("config", {})
    imbalance = float(training.get("imbalance", 0.0))
    return Variant(model.config.architecture, options, imbalance), int(training.get("seed", 0))


def paper_variants() -> list[Variant]:
    """The ten networks of Tables 1, 2 and 4, best first: what matters most is there soonest."""
    return [Variant(name) for name in reversed(PAPER_NETWORKS)]


def imbalance_variants() -> list[Variant]:
    """The rows of Table 3."""
    return [Variant(BEST, imbalance=imbalance) for imbalance in IMBALANCES]


def alternative_variants() -> list[Variant]:
    """The readings of the equations that were not taken."""
    return [Variant(BEST, options) for options in ALTERNATIVES]
