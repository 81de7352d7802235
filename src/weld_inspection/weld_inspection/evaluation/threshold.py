"""The decision threshold of a model, tuned on clips held aside from its training."""

from collections.abc import Sequence

from weld_inspection.errors import InspectionError
from weld_inspection.evaluation.evaluate import Evaluation

THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9)
MOST_FALSE_EVENTS = 1.0  # a minute of video; more, and nobody heeds the alarm


def best_threshold(scores: Sequence[Evaluation]) -> Evaluation:
    """Returns the one that serves best.

    Of those with at most MOST_FALSE_EVENTS a minute, where clips know their defects, it is the one
    with the largest sum of the F1 over windows, the F1 over pixels and the share of the defects
    that are found. Windows alone hardly change over a wide range, at whose lower end masks spread
    over sound metal; pixels alone miss the windows with little to see; and of a hundred defects
    any threshold finds one more or less by chance.

    Raises:
        InspectionError: No threshold finds a defective window.
    """

    def worth(score: Evaluation) -> tuple[float, float]:
        surplus = max(0.0, score.false_events - MOST_FALSE_EVENTS * score.minutes)
        found = score.found / max(1, score.planted)
        return -surplus, score.window["f1"] + score.pixel["f1"] + found

    best = max((score for score in scores if score.window["f1"] > 0), key=worth, default=None)
    if best is None:
        raise InspectionError(
            "no threshold finds a defective window: train longer, or give clips with windows of "
            "more defect pixels than --pixel-threshold"
        )
    return best
