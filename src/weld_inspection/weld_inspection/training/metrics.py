"""The paper's metrics of eq. (8), from counts summed over a whole set."""

from torchmetrics import MetricCollection
from torchmetrics.classification import (
    BinaryAccuracy,
    BinaryF1Score,
    BinaryFBetaScore,
    BinaryPrecision,
    BinaryRecall,
)


def binary_metrics(prefix: str, threshold: float = 0.5) -> MetricCollection:
    """Returns accuracy, precision, recall and F_beta of a yes-or-no decision.

    F_beta is there for beta 0.5, 1 and 2 as `f05`, `f1` and `f2`.

    Args:
        prefix: Put before each metric's name.
        threshold: A probability above it is a yes.
    """
    return MetricCollection(
        {
            "accuracy": BinaryAccuracy(threshold),
            "precision": BinaryPrecision(threshold),
            "recall": BinaryRecall(threshold),
            "f05": BinaryFBetaScore(0.5, threshold),
            "f1": BinaryF1Score(threshold),
            "f2": BinaryFBetaScore(2.0, threshold),
        },
        prefix=prefix,
    )
