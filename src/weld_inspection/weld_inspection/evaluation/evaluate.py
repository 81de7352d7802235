"""Runs a model over clips through the live system's own path, and scores it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median

import numpy as np
import torch

from weld_inspection.errors import InspectionError
from weld_inspection.evaluation.curves import PIXEL_THRESHOLD, Curves
from weld_inspection.evaluation.events import (
    EventScore,
    WindowFinding,
    find_events,
    score_events,
    visible,
)
from weld_inspection.evaluation.kinds import Kinds, Patches, find_patches
from weld_inspection.evaluation.obstructions import Obstructions, obstructions_of
from weld_inspection.inspection.decision import DecisionSettings
from weld_inspection.inspection.engine import EngineInfo, InferenceEngine
from weld_inspection.inspection.inspector import (
    Engine,
    Inspector,
    WindowResult,
    WindowsAtOnce,
)
from weld_inspection.inspection.preprocessing import resize_mask
from weld_inspection.inspection.seam import CarriagePositions, SeamGeometry
from weld_inspection.simulation.rigs import RIGS
from weld_inspection.stamps import NANOSECONDS
from weld_inspection.training.clip_metadata import ClipDefect, ClipMetadata
from weld_inspection.training.clip_plans import FRAME_RATE
from weld_inspection.training.clips import Clip, open_clips
from weld_inspection.training.metrics import binary_metrics

CAMERA_WIDTH = 1280  # pixels across the view of which metres_per_pixel speaks


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model scored on a set of clips.

    Attributes:
        pixel: accuracy, precision, recall and F_beta over all pixels, eq. (8).
        window: The same over windows, eq. (9) on the masks found against eq. (9) on the true ones.
        threshold: Probability above which a pixel was taken for a defect.
        pixel_threshold: theta of eq. (9).
        windows: Windows inspected.
        minutes: Time that the clips show whose events are judged.
        planted: Defects that lie in view somewhere in their clip; 0 where clips know none.
        found: Those at which an event has a region.
        false_events: Events at no planted defect, in clips that know their defects.
        offset_mm: How far off along the seam the found ones were reported: from the middle of the
            defect to the middle one of its regions' places, in millimetres, in the median.
        kinds: For each kind of defect its `pixels` and their `recall`, and how many were `planted`
            and `found`; none where clips know no defects.
        clips_left_out: Clips shorter than a window, which count nowhere.
        obstructions: By what is in the way in a frame, the number of such `frames` and the `f1`
            of their pixels; none where clips are not of the simulated weld as it is now.
    """

    pixel: dict[str, float]
    window: dict[str, float]
    threshold: float
    pixel_threshold: int
    windows: int
    minutes: float
    planted: int
    found: int
    false_events: int
    offset_mm: float | None = None
    kinds: dict[str, dict[str, float | None]] = field(default_factory=dict)
    clips_left_out: int = 0
    obstructions: dict[str, dict[str, float | None]] = field(default_factory=dict)

    def to_dict(self) -> dict:
        """Returns plain values, for JSON."""
        return asdict(self)


class Tally:
    """Adds up what a model scores with one threshold, clip by clip.

    Attributes:
        clips_left_out: Clips that are not added, for the result.
    """

    def __init__(self, settings: DecisionSettings) -> None:
        """Starts with nothing.

        Args:
            settings: Thresholds that the results are made with.
        """
        self._settings = settings
        self.clips_left_out = 0
        self._pixel, self._window = binary_metrics(""), binary_metrics("")
        self._windows = self._planted = self._found = self._false_events = 0
        self._minutes = 0.0
        self._offsets: list[float] = []
        self._kinds = Kinds()
        self._obstructions = Obstructions()

    def add(
        self,
        clip: Clip,
        truth: list[np.ndarray],
        patches: list[Patches],
        hidden_by: list[str],
        results: list[WindowResult],
    ) -> None:
        """Adds a clip.

        Args:
            clip: The clip.
            truth: Its masks at the network's size, (H, W) bool each.
            patches: Of each mask; none where the clip does not know its defects.
            hidden_by: Of each frame, as `obstructions_of` gives it.
            results: Of all its windows, as `inspect_clip` gives them.
        """
        metadata = clip.metadata
        first = 0
        for result in results:
            length = len(result.frames)
            real = np.stack(truth[first : first + length])
            seen = np.stack([frame.mask for frame in result.frames]) > 0
            self._pixel.update(torch.from_numpy(seen).flatten(), torch.from_numpy(real).flatten())
            self._window.update(
                torch.tensor([result.defective]),
                torch.tensor([int(real.sum()) > self._settings.pixel_threshold]),
            )
            if patches:
                for of_frame, found in zip(patches[first : first + length], seen, strict=True):
                    self._kinds.add_mask(of_frame, found)
            if hidden_by:
                for name, *masks in zip(hidden_by[first : first + length], real, seen, strict=True):
                    self._obstructions.add(name, *masks)
            first += length
        self._windows += len(results)
        # Of a sound weld all events are false; where defects are labelled but not listed, nothing
        # is known of them. What comes after the last whole window is not judged.
        if metadata.positions and (
            metadata.defects or not any(mask.any() for mask in truth[:first])
        ):
            self._minutes += first / metadata.frame_rate / 60
            planted, score = score_clip(clip, results)
            self._planted += len(planted)
            self._found += len(score.found)
            self._false_events += len(score.false)
            self._offsets += score.offsets
            self._kinds.add_defects(planted, score.found)

    def result(self) -> Evaluation:
        """Returns what was added up."""
        return Evaluation(
            _values(self._pixel),
            _values(self._window),
            self._settings.threshold,
            self._settings.pixel_threshold,
            self._windows,
            self._minutes,
            self._planted,
            self._found,
            self._false_events,
            round(1000 * median(self._offsets), 2) if self._offsets else None,
            self._kinds.result(),
            self.clips_left_out,
            self._obstructions.result(),
        )


def evaluate(
    engine: InferenceEngine,
    folders: Sequence[Path],
    thresholds: Sequence[float] = (),
    *,
    pixel_threshold: int = PIXEL_THRESHOLD,
    curves: Curves | None = None,
    progress: Callable[[list[Clip]], Iterable[Clip]] = iter,
) -> list[Evaluation]:
    """Scores a model on clips with some thresholds; the network sees each window once.

    Args:
        engine: Runs the model.
        folders: Clips, see `training.clips`; they count as one set.
        thresholds: Probabilities above which a pixel is defect; the model's own by default.
        pixel_threshold: theta of eq. (9), for the windows found and for what is truly defective.
        curves: Takes all probabilities, for what is swept over every threshold.
        progress: Wraps the list of clips to show progress, such as `tqdm.tqdm`.

    Returns:
        The scores with each threshold.

    Raises:
        InspectionError: The clips cannot be used, none is as long as a window, or a threshold is no
            probability.
    """
    settings = [
        DecisionSettings(threshold, pixel_threshold)
        for threshold in thresholds or (engine.info.threshold,)
    ]
    tallies = [Tally(setting) for setting in settings]
    clips = [clip for folder in folders for clip in open_clips(folder)]
    long = [clip for clip in clips if clip.metadata.frame_count >= engine.info.window]
    if not long:
        raise InspectionError(
            f"no clip of {', '.join(map(str, folders))} is as long as a window of "
            f"{engine.info.window} frames"
        )
    for tally in tallies:
        tally.clips_left_out = len(clips) - len(long)
    for clip in progress(long):
        remembering = RememberingEngine(engine)
        truth = [
            resize_mask(mask, engine.info.width, engine.info.height) > 0 for mask in clip.masks()
        ]
        patches, hidden_by = _patches(clip, truth), obstructions_of(clip.metadata)
        for setting, tally in zip(settings, tallies, strict=True):
            remembering.rewind()
            results = inspect_clip(remembering, clip, setting)
            tally.add(clip, truth, patches, hidden_by, results)
        if curves is not None:
            curves.add(truth, remembering.answers)
    return [tally.result() for tally in tallies]


class RememberingEngine(WindowsAtOnce):
    """An engine that answers the same windows again without the network.

    Attributes:
        answers: To the windows so far, (T, H, W) float32 defect probabilities each.
    """

    def __init__(self, engine: InferenceEngine) -> None:
        """Wraps an engine; windows come in the same order after each `rewind`."""
        self._engine = engine
        self.answers: list[np.ndarray] = []
        self._next = 0

    @property
    def info(self) -> EngineInfo:
        """Of the engine."""
        return self._engine.info

    def rewind(self) -> None:
        """Begins with the first window again."""
        self._next = 0

    def judge(self, frames: tuple[np.ndarray, ...]) -> np.ndarray:
        """See InferenceEngine."""
        if self._next == len(self.answers):
            progress = None
            for frame in frames:
                progress = self._engine.advance(progress, self._engine.look(frame))
            self.answers.append(self._engine.judge(progress))
        self._next += 1
        return self.answers[self._next - 1]


def inspect_clip(engine: Engine, clip: Clip, settings: DecisionSettings) -> list[WindowResult]:
    """Runs a clip through the inspector, with the clip's positions as the carriage's.

    Its frames are inspected as if they came at the camera's rate: what one of another rate shows
    is no reason to take the time between its frames for a gap.

    Raises:
        InspectionError: Not every window was inspected.
    """
    metadata = clip.metadata
    scale = CAMERA_WIDTH / metadata.width
    # A smallest region in camera pixels is meant for camera-size frames.
    settings = DecisionSettings(
        settings.threshold, settings.pixel_threshold, round(settings.min_region_area / scale**2)
    )
    carriage = CarriagePositions()
    geometry = _geometry(metadata, metadata.width)
    inspector = Inspector(engine, settings=settings, geometry=geometry, carriage=carriage)
    results = []
    for index, frame in enumerate(clip.frames()):
        stamp_ns = round(index / FRAME_RATE * NANOSECONDS)
        if metadata.positions is not None:
            carriage.add(stamp_ns, metadata.positions[index])
        results += inspector.add(frame, stamp_ns)
    if len(results) != (wanted := metadata.frame_count // engine.info.window):
        raise InspectionError(f"{clip.folder}: {len(results)} of {wanted} windows were inspected")
    return results


def score_clip(clip: Clip, results: list[WindowResult]) -> tuple[list[ClipDefect], EventScore]:
    """Scores the events of a clip's windows against the defects that they show whole.

    Returns:
        Those defects, and the score.
    """
    metadata = clip.metadata
    inspected = sum(len(result.frames) for result in results)
    defects, positions = metadata.defects, metadata.positions[:inspected]
    events = find_events(
        WindowFinding(
            result.defective,
            result.confidence,
            tuple(region.seam_position for region in result.regions),
        )
        for result in results
    )
    view = metadata.width * _geometry(metadata, metadata.width).metres_per_pixel
    planted = visible(defects, min(positions), max(positions), view)
    return planted, score_events(events, planted, defects)


def _patches(clip: Clip, truth: list[np.ndarray]) -> list[Patches]:
    """The patches of a clip's masks; none where it does not know its defects."""
    defects, positions = clip.metadata.defects, clip.metadata.positions
    if not (defects and positions):
        return []
    geometry = _geometry(clip.metadata, truth[0].shape[1])
    return [
        find_patches(mask, defects, center, geometry)
        for mask, center in zip(truth, positions, strict=True)
    ]


def _geometry(metadata: ClipMetadata, width: int) -> SeamGeometry:
    """Of an image so many pixels wide that shows what the camera's does.

    The rig of a simulated clip says how much that is; other clips have the live system's default.
    """
    usual = SeamGeometry()
    rig = RIGS.get(str(metadata.source.get("rig")))
    scale = usual.metres_per_pixel if rig is None else rig.metres_per_pixel
    return replace(usual, metres_per_pixel=scale * CAMERA_WIDTH / width)


def _values(metrics) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in metrics.compute().items()}
