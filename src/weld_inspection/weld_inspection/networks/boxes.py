"""Boxes of a detector: (left, top, right, bottom) in pixels, edges at whole numbers."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample

MAX_GROWTH = 4.0  # natural logarithm of the largest factor by which a correction widens a box


def intersection_over_union(one: Tensor, other: Tensor) -> Tensor:
    """Returns the IoU (N, M) of boxes (N, 4) and (M, 4)."""
    corner = torch.maximum(one[:, None, :2], other[None, :, :2])
    opposite = torch.minimum(one[:, None, 2:], other[None, :, 2:])
    both = (opposite - corner).clamp(min=0).prod(2)
    area = _size(one).prod(1)[:, None] + _size(other).prod(1)[None] - both
    return both / area.clamp(min=1e-6)


def corrections(boxes: Tensor, wanted: Tensor) -> Tensor:
    """Returns what `corrected` needs to make each box (N, 4) the wanted one, (N, 4)."""
    size, wanted_size = _size(boxes), _size(wanted)
    shift = (_center(wanted) - _center(boxes)) / size
    return torch.cat((shift, torch.log(wanted_size / size)), 1)


def corrected(boxes: Tensor, correction: Tensor) -> Tensor:
    """Moves and scales boxes (N, 4): shifts in box sizes, growths as logarithms, (N, 4)."""
    size = _size(boxes)
    center = _center(boxes) + correction[:, :2] * size
    half = size * correction[:, 2:].clamp(max=MAX_GROWTH).exp() / 2
    return torch.cat((center - half, center + half), 1)


def clipped(boxes: Tensor, height: int, width: int) -> Tensor:
    """Returns boxes (N, 4) cut to an image; each keeps at least a pixel."""
    limit = boxes.new_tensor([width, height])
    low = torch.minimum(boxes[:, :2].clamp(min=0), limit - 1)
    high = torch.minimum(torch.maximum(boxes[:, 2:], low + 1), limit)
    return torch.cat((low, high), 1)


def suppress(boxes: Tensor, scores: Tensor, overlap: float, most: int) -> Tensor:
    """Non-maximum suppression.

    Args:
        boxes: (N, 4).
        scores: (N,).
        overlap: Of two boxes with a greater IoU the one with the lower score goes.
        most: Boxes to keep at most.

    Returns:
        Indices of the boxes that are kept, best first.
    """
    near = intersection_over_union(boxes, boxes) > overlap
    gone = torch.zeros_like(scores, dtype=torch.bool)
    kept: list[int] = []
    for index in scores.argsort(descending=True).tolist():
        if gone[index]:
            continue
        kept.append(index)
        if len(kept) == most:
            break
        gone |= near[index]
    return torch.tensor(kept, dtype=torch.long, device=boxes.device)


def align(features: Tensor, boxes: Tensor, side: int) -> Tensor:
    """RoIAlign (He et al., 2017) with two samples along each side of a cell.

    Args:
        features: (C, h, w).
        boxes: (N, 4) in pixels of the features.
        side: Cells along each side of a box.

    Returns:
        (N, C, side, side), the features in each box.
    """
    channels, height, width = features.shape
    samples = 2 * side
    steps = (torch.arange(samples, device=boxes.device) + 0.5) / samples
    places = boxes[:, None, :2] + _size(boxes)[:, None] * steps[None, :, None]  # (N, samples, 2)
    places = 2 * places / boxes.new_tensor([width, height]) - 1
    grid = torch.stack(
        (
            places[:, None, :, 0].expand(-1, samples, -1),
            places[:, :, None, 1].expand(-1, -1, samples),
        ),
        3,
    )
    # In fp32: bf16 is too coarse for places, and torch's sampling in it gives NaN now and then.
    sampled = grid_sample(
        features[None].float(), grid.reshape(1, -1, samples, 2).float(),
        padding_mode="border", align_corners=False,
    ).to(features.dtype)  # fmt: skip
    sampled = sampled.reshape(channels, len(boxes), samples, samples).transpose(0, 1)
    return avg_pool2d(sampled, 2)


def paste(masks: Tensor, boxes: Tensor, height: int, width: int) -> Tensor:
    """Puts each mask into its box of an image.

    Args:
        masks: (N, side, side).
        boxes: (N, 4).
        height: Of the image, pixels.
        width: Of the image, pixels.

    Returns:
        (N, height, width), 0 outside the boxes.
    """
    size = _size(boxes)
    x = torch.arange(width, device=boxes.device) + 0.5
    y = torch.arange(height, device=boxes.device) + 0.5
    grid_x = 2 * (x[None] - boxes[:, :1]) / size[:, :1] - 1  # (N, width)
    grid_y = 2 * (y[None] - boxes[:, 1:2]) / size[:, 1:] - 1  # (N, height)
    grid = torch.stack(
        (
            grid_x[:, None].expand(-1, height, -1),
            grid_y[:, :, None].expand(-1, -1, width),
        ),
        3,
    )
    pasted = grid_sample(masks[:, None], grid, padding_mode="border", align_corners=False)[:, 0]
    return pasted * ((grid.abs() <= 1).all(3))


def _size(boxes: Tensor) -> Tensor:
    return boxes[:, 2:] - boxes[:, :2]


def _center(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] + boxes[:, :2]) / 2
