"""Finds the seam in a still photograph: a smooth line along which a camera can travel."""

import cv2
import numpy as np

WORK_WIDTH = 160
"""Width at which the seam is searched, px: ripples are gone, the bead is still there."""

MASK_PRIOR = 0.12
"""How far from the defect's upper end the seam is expected, standard deviation in heights."""

MAX_STEP = 1
"""Steepest seam, rows a column: 45 degrees."""


def find_seam(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Finds the height of a mostly horizontal seam for each column.

    A seam is where brightness changes most from row to row: bead, ripple and toes against smooth
    plate. Defects lie on it or run down from it, so the mask says roughly where to look. The best
    continuous path through the edge strength is found by dynamic programming and smoothed by a
    robust parabola, which a streak or a scratch does not bend.

    Args:
        image: (H, W, 3) uint8, BGR.
        mask: (H, W) uint8, 0 or 255.

    Returns:
        (W,) float64, row of the seam's centre in each column, px.
    """
    height, width = image.shape[:2]
    rows = max(round(height * WORK_WIDTH / width), 2)
    grey = cv2.resize(image, (WORK_WIDTH, rows), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(grey, cv2.COLOR_BGR2GRAY).astype(np.float32)
    strength = np.abs(cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    strength = cv2.GaussianBlur(strength, (0, 0), sigmaX=4.0, sigmaY=rows * 0.02)
    strength /= strength.max(axis=0, keepdims=True) + 1e-6
    strength *= _prior(mask, rows)[:, None]
    path = _best_path(strength)
    columns = (np.arange(width) + 0.5) * WORK_WIDTH / width - 0.5
    line = _robust_parabola(path, columns)
    return np.clip((line + 0.5) * height / rows - 0.5, 0, height - 1)


def _prior(mask: np.ndarray, rows: int) -> np.ndarray:
    """Returns a weight for each row: near the upper end of the larger defect regions."""
    height = mask.shape[0]
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
    regions = stats[1:]
    if len(regions) == 0:
        centre, spread = 0.5, 0.25
    else:
        areas = regions[:, cv2.CC_STAT_AREA]
        tops = regions[areas >= 0.2 * areas.max(), cv2.CC_STAT_TOP]
        centre, spread = float(tops.min()) / height, MASK_PRIOR
    offset = (np.arange(rows) + 0.5) / rows - centre
    return 0.05 + np.exp(-0.5 * (offset / spread) ** 2)


def _best_path(strength: np.ndarray) -> np.ndarray:
    """Returns the row in each column of the strongest path that climbs at most MAX_STEP."""
    rows, columns = strength.shape
    score = strength[:, 0].copy()
    back = np.zeros((columns, rows), np.int64)
    steps = np.arange(-MAX_STEP, MAX_STEP + 1)
    for column in range(1, columns):
        padded = np.pad(score, MAX_STEP, constant_values=-np.inf)
        options = np.stack(
            [padded[MAX_STEP + s : MAX_STEP + s + rows] - 0.1 * abs(s) for s in steps]
        )
        choice = options.argmax(axis=0)
        back[column] = np.arange(rows) + steps[choice]
        score = options.max(axis=0) + strength[:, column]
    path = np.empty(columns)
    row = int(score.argmax())
    for column in range(columns - 1, -1, -1):
        path[column] = row
        row = back[column, row]
    return path


def _robust_parabola(path: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Fits a parabola by least absolute values (reweighted least squares) and evaluates it."""
    x = np.arange(len(path))
    weights = np.ones(len(path))
    for _ in range(10):
        fit = np.polynomial.Polynomial.fit(x, path, 2, w=np.sqrt(weights))
        weights = 1.0 / np.maximum(np.abs(path - fit(x)), 1.0)
    return fit(columns)
