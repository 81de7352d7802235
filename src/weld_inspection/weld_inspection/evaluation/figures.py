"""The paper's figures, from scores and models."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from weld_inspection.evaluation.tables import mean_and_spread
from weld_inspection.inspection.engine import EngineInfo, InferenceEngine
from weld_inspection.training.windows import WindowDataset

matplotlib.use("Agg")  # files only: no display is asked for

from matplotlib import pyplot  # noqa: E402

SHOWN_FRAMES = 5  # of the window in Fig. 8
COLOURS = pyplot.colormaps["tab10"].colors


def draw_curves(path: Path, title: str, scores: Sequence[dict[str, Any]], curve: str) -> None:
    """Draws the precision-recall curves of all networks into one figure (Fig. 7 and 9).

    Args:
        path: A .png file.
        title: Above the figure.
        scores: Of one set; a network's seeds have its colour and its line in the legend, which
            gives the mean and the standard deviation of their average precision.
        curve: "pixel_curve" or "window_curve".
    """
    figure, axes = pyplot.subplots(figsize=(7.2, 6.0), layout="constrained")
    seeds: dict[str, list[dict[str, Any]]] = {}
    for score in scores:
        seeds.setdefault(score["title"], []).append(score[curve])
    worth = {
        name: [values["average_precision"] for values in group] for name, group in seeds.items()
    }
    for number, name in enumerate(sorted(seeds, key=lambda name: -np.mean(worth[name]))):
        label = f"{name}  {mean_and_spread(worth[name], 3)}"
        for values in seeds[name]:
            # A threshold that no defect passes has no point: most often nothing passes it at all.
            points = zip(values["recall"], values["precision"], strict=True)
            shown = [point for point in points if point[0] > 0]
            recall, precision = zip(*shown, (0, 1), strict=True)
            axes.plot(
                recall,
                precision,
                color=COLOURS[number % len(COLOURS)],
                linestyle="-" if number < len(COLOURS) // 2 else "--",
                linewidth=1.6 if len(seeds[name]) == 1 else 1.0,
                label=label,
            )
            label = None
    axes.set(
        xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.01), title=title, aspect="auto"
    )
    axes.grid(alpha=0.3)
    figure.legend(title="average precision", loc="outside lower center", ncols=2, fontsize=9)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def typical_window(clips: Path, info: EngineInfo) -> tuple[np.ndarray, np.ndarray]:
    """Finds the middle one of a set's windows by the number of defect pixels, of those with some.

    Args:
        clips: Folder of clips.
        info: Of an engine, for the window's length and size.

    Returns:
        Its frames, (T, H, W, 3) uint8 RGB, and true masks, (T, H, W) uint8, 0 or 1.
    """
    return _typical_window(clips, info.window, info.width, info.height)


@functools.cache  # all of a report's models ask for it
def _typical_window(
    clips: Path, length: int, width: int, height: int
) -> tuple[np.ndarray, np.ndarray]:
    windows = WindowDataset(clips, window=length, width=width, height=height)
    areas = np.array([int(windows[number]["masks"].sum()) for number in range(len(windows))])
    order = np.argsort(areas)
    sound = np.count_nonzero(areas == 0)
    window = windows[int(order[(sound + len(order)) // 2 if sound < len(order) else 0])]
    return window["frames"].numpy(), window["masks"].numpy()


def draw_masks(
    path: Path,
    title: str,
    engines: Sequence[tuple[str, InferenceEngine]],
    frames: np.ndarray,
    truth: np.ndarray,
) -> None:
    """Draws frames of a window with their masks at 0.5, network by network (Fig. 8).

    Args:
        path: A .png file.
        title: Above the figure.
        engines: With their titles, of the window's size and length.
        frames: (T, H, W, 3) uint8 RGB.
        truth: (T, H, W) uint8, 0 or 1.
    """
    rows = [("input", frames), ("truth", truth)]
    rows += [(name, engine.infer(frames) > 0.5) for name, engine in engines]
    numbers = np.linspace(0, len(frames) - 1, min(SHOWN_FRAMES, len(frames))).round().astype(int)
    figure, axes = pyplot.subplots(
        len(rows),
        len(numbers),
        figsize=(2.0 * len(numbers) + 1.4, 1.2 * len(rows) + 0.5),
        layout="constrained",
        squeeze=False,
    )
    for line, (name, pictures) in zip(axes, rows, strict=True):
        for place, number in zip(line, numbers, strict=True):
            place.imshow(pictures[number], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            place.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for place, number in zip(axes[0], numbers, strict=True):
        place.set_title(f"frame {number + 1}", fontsize=9)
    figure.suptitle(title)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
