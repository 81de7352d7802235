"""The paper's metrics of eq. (8), from counts summed over a whole set."""

from torchmetrics import MetricCollection
from torchmetrics.classification import (
    BinaryAccuracy,
    BinaryF1Score,
    BinaryPrecision,
    BinaryRecall,
)


def binary_metrics(prefix: str, threshold: float = 0.5) -> MetricCollection:
    """Returns accuracy, precision, recall and F1 of a yes-or-no decision.

    Args:
        prefix: Put before each metric's name.
        threshold: A probability above it is a yes.
    """
    return MetricCollection(
        {
            "accuracy": BinaryAccuracy(threshold),
            "precision": BinaryPrecision(threshold),
            "recall": BinaryRecall(threshold),
            "f1": BinaryF1Score(threshold),
        },
        prefix=prefix,
    )
