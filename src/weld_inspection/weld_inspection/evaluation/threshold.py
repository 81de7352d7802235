"""The decision threshold of a model, tuned on clips held aside from its training."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torchmetrics import MetricCollection

from weld_inspection.errors import InspectionError
from weld_inspection.inspection.decision import DecisionSettings, decide
from weld_inspection.inspection.engine import InferenceEngine
from weld_inspection.networks.weights import load_model, save_model
from weld_inspection.training.metrics import binary_metrics
from weld_inspection.training.windows import WindowDataset

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))


@dataclass(frozen=True, slots=True)
class ThresholdScore:
    """What a model scores with one threshold.

    Attributes:
        threshold: Probability above which a pixel is defect.
        pixel: accuracy, precision, recall and F1 over all pixels, eq. (8).
        window: The same over windows, eq. (9).
    """

    threshold: float
    pixel: dict[str, float]
    window: dict[str, float]


def score_thresholds(
    model: Path,
    folders: Sequence[Path],
    *,
    device: str = "auto",
    precision: str = "auto",
    progress: Iterable | None = None,
) -> list[ThresholdScore]:
    """Scores a model on clips with each of THRESHOLDS; the network runs once.

    Args:
        model: Weights, see `networks.weights`.
        folders: Clips, see `training.clips`.
        device: As for InferenceEngine.
        precision: As for InferenceEngine.
        progress: Wraps the windows' numbers to show progress, such as `tqdm.tqdm`.

    Raises:
        InspectionError: The model or the clips cannot be used.
    """
    engine = InferenceEngine(model, device, precision)
    info = engine.info
    sets = [
        WindowDataset(folder, window=info.window, width=info.width, height=info.height)
        for folder in folders
    ]
    windows = torch.utils.data.ConcatDataset(sets)
    scores = {value: (binary_metrics(""), binary_metrics("")) for value in THRESHOLDS}
    pixel_threshold = DecisionSettings().pixel_threshold
    for index in progress(range(len(windows))) if progress else range(len(windows)):
        window = windows[index]
        truth = window["masks"].flatten()
        defective = torch.tensor([int(truth.sum()) > pixel_threshold])
        probabilities = engine.infer(window["frames"].numpy())
        for value, (pixel, frame_level) in scores.items():
            decision = decide(probabilities, DecisionSettings(value, pixel_threshold))
            pixel.update(torch.from_numpy(decision.masks).flatten() > 0, truth)
            frame_level.update(torch.tensor([decision.defective]), defective)
    return [
        ThresholdScore(value, _values(pixel), _values(window))
        for value, (pixel, window) in scores.items()
    ]


def best_threshold(scores: Sequence[ThresholdScore]) -> ThresholdScore:
    """Returns the one with the best mean of the F1 over windows and the F1 over pixels.

    Windows alone hardly change over a wide range, and at its lower end masks spread over sound
    metal; pixels alone miss the windows with little to see.

    Raises:
        InspectionError: No threshold finds a defective window.
    """
    best = max(scores, key=lambda score: score.window["f1"] + score.pixel["f1"])
    if best.window["f1"] == 0:
        raise InspectionError(
            "no threshold finds a defective window: give clips with defects, or train longer"
        )
    return best


def store_threshold(model: Path, threshold: float) -> str:
    """Writes a threshold into a model file and returns the file's new model_id.

    Args:
        model: Weights, see `networks.weights`.
        threshold: Probability above which a pixel is defect.

    Raises:
        ModelError: The file cannot be used.
    """
    loaded = load_model(model)
    save_model(model, loaded.network, loaded.training, threshold)
    return load_model(model).model_id


def _values(metrics: MetricCollection) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in metrics.compute().items()}
