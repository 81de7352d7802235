"""A video of a simulated weld, as a camera would have filmed it."""

from pathlib import Path

from weld_inspection.training.clip_plans import ClipStore, SimulatedPlan
from weld_inspection.training.clips import Clip
from weld_inspection.training.dataset_builder import build_dataset

WIDTH, HEIGHT = 1280, 720


def render_video(
    folder: Path, seed: int, frames: int, defects_per_metre: float | None = None
) -> Path:
    """Renders an mp4 of 1280x720 pixels at 20 frames a second, automatic rig.

    Args:
        folder: Of the clip that it is part of; is made.
        seed: Of the weld.
        frames: How many.
        defects_per_metre: Planted defects; None for the rig's own.

    Returns:
        Path of the video.
    """
    plans = [SimulatedPlan("weld", seed, "automatic", frames, defects_per_metre)]
    build_dataset(folder, plans, ClipStore(WIDTH, HEIGHT, "mp4"), request={}, workers=1)
    clip = Clip(folder / "weld")
    return clip.folder / clip.metadata.frames_file
