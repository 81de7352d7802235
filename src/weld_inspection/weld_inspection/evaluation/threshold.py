"""The decision threshold of a model, tuned on clips held aside from its training."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from weld_inspection.errors import InspectionError
from weld_inspection.evaluation.evaluate import Evaluation, Tally, inspect_clip
from weld_inspection.inspection.decision import DecisionSettings
from weld_inspection.inspection.engine import EngineInfo, InferenceEngine
from weld_inspection.networks.weights import load_model, save_model
from weld_inspection.training.clips import open_clips

THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9)
MOST_FALSE_EVENTS = 1.0  # a minute of video; more, and nobody heeds the alarm


def score_thresholds(
    model: Path,
    folders: Sequence[Path],
    *,
    device: str = "auto",
    precision: str = "auto",
    progress: Iterable | None = None,
) -> list[Evaluation]:
    """Scores a model on clips with each of THRESHOLDS; the network sees each window once.

    Args:
        model: Weights, see `networks.weights`.
        folders: Clips, see `training.clips`.
        device: As for InferenceEngine.
        precision: As for InferenceEngine.
        progress: Wraps the list of clips to show progress, such as `tqdm.tqdm`.

    Raises:
        InspectionError: The model or the clips cannot be used.
    """
    engine = InferenceEngine(model, device, precision)
    settings = [DecisionSettings(threshold) for threshold in THRESHOLDS]
    tallies = [Tally(setting) for setting in settings]
    clips = [clip for folder in folders for clip in open_clips(folder)]
    for clip in progress(clips) if progress else clips:
        remembering = _Remembering(engine)
        for setting, tally in zip(settings, tallies, strict=True):
            remembering.rewind()
            tally.add(clip, inspect_clip(remembering, clip, setting))
    return [tally.result() for tally in tallies]


def best_threshold(scores: Sequence[Evaluation]) -> Evaluation:
    """Returns the one that serves best.

    Where clips know their defects it is the one that finds most of them with at most
    MOST_FALSE_EVENTS a minute. Among equals, and for clips that know none, it is the best mean of
    the F1 over windows and the F1 over pixels: windows alone hardly change over a wide range, at
    whose lower end masks spread over sound metal, and pixels alone miss the windows with little to
    see.

    Raises:
        InspectionError: No threshold finds a defective window.
    """

    def worth(score: Evaluation) -> tuple[float, float, float]:
        surplus = max(0.0, score.false_events - MOST_FALSE_EVENTS * score.minutes)
        return -surplus, score.found, score.window["f1"] + score.pixel["f1"]

    best = max((score for score in scores if score.window["f1"] > 0), key=worth, default=None)
    if best is None:
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


class _Remembering:
    """An engine that answers the same windows again without the network."""

    def __init__(self, engine: InferenceEngine) -> None:
        """Wraps an engine; windows come in the same order after each `rewind`."""
        self._engine = engine
        self._answers: list[np.ndarray] = []
        self._next = 0

    @property
    def info(self) -> EngineInfo:
        """Of the engine."""
        return self._engine.info

    def rewind(self) -> None:
        """Begins with the first window again."""
        self._next = 0

    def infer(self, window: np.ndarray) -> np.ndarray:
        """See InferenceEngine."""
        if self._next == len(self._answers):
            self._answers.append(self._engine.infer(window))
        self._next += 1
        return self._answers[self._next - 1]
