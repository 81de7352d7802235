"""Precision-recall curves over pixels and over windows (Fig. 7 and 9 of the paper)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torchmetrics.classification import BinaryPrecisionRecallCurve

PIXEL_STEPS = 201  # thresholds from 0 to 1 at which pixels are counted
DECISION_THRESHOLD = 0.5  # of a pixel, where theta of eq. (9) is swept
PIXEL_THRESHOLD = 1000  # theta of eq. (9) for what is truly defective


@dataclass(frozen=True, slots=True)
class Curve:
    """Precision and recall while a threshold is swept upwards.

    Attributes:
        thresholds: Probability of a pixel, or share of a window's pixels that are defect.
        precision: At each threshold.
        recall: At each threshold.
        average_precision: Area under the curve, as the sum of precision times step of recall; 0
            where nothing is truly defective.
    """

    thresholds: list[float]
    precision: list[float]
    recall: list[float]
    average_precision: float

    def to_dict(self) -> dict:
        """Returns plain values, for JSON."""
        return asdict(self)

    def best_f1(self) -> tuple[float, float]:
        """Returns the threshold below 1, above which nothing is, with the best F1, and that F1."""
        precision, recall = np.array(self.precision), np.array(self.recall)
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        best = int(np.where(np.array(self.thresholds) < 1, f1, -1.0).argmax())
        return self.thresholds[best], float(f1[best])


class Curves:
    """Collects what a model says of every pixel and window of a set."""

    def __init__(self) -> None:
        """Starts with nothing."""
        self._pixels = BinaryPrecisionRecallCurve(torch.linspace(0, 1, PIXEL_STEPS))
        self._windows = BinaryPrecisionRecallCurve()

    def add(self, truth: Sequence[np.ndarray], answers: Sequence[np.ndarray]) -> None:
        """Adds a clip.

        Args:
            truth: Masks of the clip's frames, (H, W) bool.
            answers: Defect probabilities of the clip's windows, which follow each other without
                gap or overlap, (T, H, W) float32 in [0, 1].
        """
        first = 0
        for probabilities in answers:
            real = np.stack(truth[first : first + len(probabilities)])
            first += len(probabilities)
            self._pixels.update(
                torch.from_numpy(probabilities).flatten(), torch.from_numpy(real).flatten().long()
            )
            share = float(np.mean(probabilities > DECISION_THRESHOLD))
            defective = int(np.count_nonzero(real) > PIXEL_THRESHOLD)
            self._windows.update(torch.tensor([share]), torch.tensor([defective]))

    def pixels(self) -> Curve:
        """Returns the curve over pixels, swept over the decision threshold."""
        return _curve(self._pixels)

    def windows(self) -> Curve:
        """Returns the curve over windows, swept over theta of eq. (9) as a share of the pixels."""
        return _curve(self._windows)


def _curve(metric: BinaryPrecisionRecallCurve) -> Curve:
    precision, recall, thresholds = (
        values.double().nan_to_num(0.0).flatten().numpy() for values in metric.compute()
    )
    # The last point, precision 1 at recall 0, belongs to no threshold.
    average = float(-np.sum(np.diff(recall) * precision[:-1]))
    return Curve(
        [round(value, 6) for value in thresholds.tolist()],
        [round(value, 6) for value in precision[:-1].tolist()],
        [round(value, 6) for value in recall[:-1].tolist()],
        round(average, 4),
    )
