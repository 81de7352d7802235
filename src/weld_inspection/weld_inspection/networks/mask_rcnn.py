"""Mask R-CNN (He et al., 2017) in a size that trains on small frames.

As in the paper on bi-CRRN, its instances are merged to one mask. No published implementation that
this project can install imports beside a CPU build of torch; this one has the parts of the original
(region proposals, RoIAlign, a box head and a mask head) on one level of features.
"""

from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, smooth_l1_loss

from weld_inspection.networks.boxes import (
    align,
    clipped,
    corrected,
    corrections,
    intersection_over_union,
    paste,
    suppress,
)
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.frame_network import FrameNetwork
from weld_inspection.networks.residual import Residual, convolution

STRIDE = 4  # of the features
ANCHOR_SIDES = (6.0, 12.0, 24.0, 48.0)  # pixels; square root of the area
ANCHOR_RATIOS = (0.4, 1.0, 2.5)  # width to height
BOX_SIDE = 7  # cells of a box for the box head
MASK_SIDE = 28  # pixels of an instance's mask
# Region proposals: how many are looked at, how alike two may be, how many go on.
CANDIDATES = 300
PROPOSAL_OVERLAP = 0.7
PROPOSALS = 50
# Instances of a frame.
LEAST_SCORE = 0.05
INSTANCE_OVERLAP = 0.5
INSTANCES = 20
# Training, as in Faster R-CNN (Ren et al., 2015) but for smaller samples.
ANCHOR_HIT, ANCHOR_MISS = 0.6, 0.3
PROPOSAL_HIT = 0.5
ANCHOR_SAMPLE = 128
PROPOSAL_SAMPLE = 32
LEAST_INSTANCE = 4  # pixels; smaller ones have no box worth learning
LEAST_PROBABILITY = 1e-4  # of a pixel in no instance


class Frame(NamedTuple):
    """What the region proposals say of one frame.

    Attributes:
        features: (C, h, w).
        scores: (N,) logits, one an anchor.
        corrections: (N, 4) of the anchors.
    """

    features: Tensor
    scores: Tensor
    corrections: Tensor


class MaskRCNN(FrameNetwork):
    """Finds boxes that hold a defect, and a mask in each."""

    learns_by_pixels = False
    works_alike = False  # proposals differ in number

    def __init__(self, config: NetworkConfig) -> None:
        """Makes the network."""
        super().__init__(config)
        channels = config.channels
        wide = 2 * channels
        self.backbone = nn.Sequential(
            convolution(config.in_channels, channels, 5, stride=2),
            nn.ReLU(),
            Residual(channels, channels, stride=2),
            Residual(channels, wide),
            Residual(wide, wide, dilation=2),
            Residual(wide, wide, dilation=4),
        )
        anchors = len(ANCHOR_SIDES) * len(ANCHOR_RATIOS)
        self.proposer = nn.Sequential(nn.Conv2d(wide, wide, 3, padding=1), nn.ReLU())
        self.proposal_score = nn.Conv2d(wide, anchors, 1)
        self.proposal_correction = nn.Conv2d(wide, 4 * anchors, 1)
        self.box_head = nn.Sequential(
            nn.Flatten(), nn.Linear(wide * BOX_SIDE**2, 4 * channels), nn.ReLU(),
            nn.Linear(4 * channels, 4 * channels), nn.ReLU(),
        )  # fmt: skip
        self.instance_class = nn.Linear(4 * channels, 2)  # sound, defect
        self.instance_correction = nn.Linear(4 * channels, 4)
        self.mask_head = nn.Sequential(
            nn.Conv2d(wide, channels, 3, padding=1), nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(),
            nn.ConvTranspose2d(channels, channels, 2, 2), nn.ReLU(),
            nn.Conv2d(channels, 1, 1),
        )  # fmt: skip

    # Use

    def segment(self, frames: Tensor) -> Tensor:
        """See FrameNetwork; a pixel has the highest of score times mask of its instances."""
        size = tuple(frames.shape[-2:])
        anchors = _anchors(frames)
        maps = [self._probabilities(frame, anchors, size) for frame in self._propose(frames)]
        logits = torch.logit(torch.stack(maps).clamp(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY))
        return torch.stack((-logits, logits), 1)

    def _probabilities(self, frame: Frame, anchors: Tensor, size: tuple[int, int]) -> Tensor:
        """Returns the defect probability of each pixel of a frame, (H, W)."""
        boxes = self._proposals(frame, anchors, size)
        logits, shifts = self._classify(frame.features, boxes)
        scores = torch.softmax(logits.float(), 1)[:, 1]
        boxes = clipped(corrected(boxes, shifts.float()), *size)
        likely = scores > LEAST_SCORE
        boxes, scores = boxes[likely], scores[likely]
        if not len(boxes):
            return boxes.new_zeros(size)
        kept = suppress(boxes, scores, INSTANCE_OVERLAP, INSTANCES)
        boxes, scores = boxes[kept], scores[kept]
        masks = torch.sigmoid(self._mask(frame.features, boxes).float())
        return (paste(masks, boxes, *size) * scores[:, None, None]).amax(0)

    # Training

    def loss(self, frames: Tensor, masks: Tensor, counted: Tensor | None = None) -> Tensor:
        """The sum of the five losses of Mask R-CNN, mean over frames; all pixels count."""
        frames, masks = frames.flatten(0, 1), masks.flatten(0, 1)
        anchors = _anchors(frames)
        losses = []
        for frame, mask in zip(self._propose(frames), masks, strict=True):
            boxes, instances = _instances(mask)
            losses.append(self._proposal_loss(frame, anchors, boxes))
            losses.append(self._instance_loss(frame, anchors, boxes, instances))
        return torch.stack(losses).sum() / len(frames)

    def _proposal_loss(self, frame: Frame, anchors: Tensor, boxes: Tensor) -> Tensor:
        """Loss of the region proposals of one frame."""
        wanted = torch.zeros_like(frame.scores)
        overlap = _overlap(anchors, boxes)
        best, match = overlap.max(1)
        hit = best >= ANCHOR_HIT
        hit[overlap.argmax(0)[overlap.amax(0) > 0]] = True  # each instance's best anchor
        wanted[hit] = 1
        hits, misses = _sample(hit, (best < ANCHOR_MISS) & ~hit, ANCHOR_SAMPLE)
        chosen = torch.cat((hits, misses))
        loss = binary_cross_entropy_with_logits(frame.scores[chosen].float(), wanted[chosen])
        return loss + _correction_loss(
            frame.corrections[hits], anchors[hits], boxes[match[hits]], len(chosen)
        )

    def _instance_loss(
        self, frame: Frame, anchors: Tensor, boxes: Tensor, instances: Tensor
    ) -> Tensor:
        """Loss of the heads on proposals and true boxes of one frame."""
        size = tuple(instances.shape[1:])
        with torch.no_grad():
            rooms = torch.cat((self._proposals(frame, anchors, size), boxes))
        best, match = _overlap(rooms, boxes).max(1)
        hits, misses = _sample(best >= PROPOSAL_HIT, best < PROPOSAL_HIT, PROPOSAL_SAMPLE)
        chosen = torch.cat((hits, misses))
        logits, shifts = self._classify(frame.features, rooms[chosen])
        wanted = (torch.arange(len(chosen), device=chosen.device) < len(hits)).long()
        loss = cross_entropy(logits.float(), wanted)
        loss = loss + _correction_loss(
            shifts[: len(hits)], rooms[hits], boxes[match[hits]], len(chosen)
        )
        if not len(hits):
            return loss
        with torch.no_grad():
            truth = torch.cat(
                [
                    align(instances[number][None], rooms[hit][None], MASK_SIDE)[:, 0]
                    for hit, number in zip(hits.tolist(), match[hits].tolist(), strict=True)
                ]
            )
        drawn = self._mask(frame.features, rooms[hits])
        return loss + binary_cross_entropy_with_logits(drawn.float(), (truth > 0.5).float())

    # Parts

    def _propose(self, frames: Tensor) -> list[Frame]:
        """Runs backbone and region proposals on frames (N, in_channels, H, W)."""
        features = self.backbone(frames)
        hidden = self.proposer(features)
        scores = self.proposal_score(hidden).permute(0, 2, 3, 1).flatten(1)
        shifts = (
            self.proposal_correction(hidden).permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, 4))
        )
        return [Frame(*parts) for parts in zip(features, scores, shifts, strict=True)]

    def _proposals(self, frame: Frame, anchors: Tensor, size: tuple[int, int]) -> Tensor:
        """Returns the boxes (N, 4) that are worth a closer look; no gradient goes through them."""
        scores = frame.scores.detach().float()
        scores, best = scores.topk(min(CANDIDATES, len(scores)))
        boxes = clipped(corrected(anchors[best], frame.corrections.detach()[best].float()), *size)
        return boxes[suppress(boxes, scores, PROPOSAL_OVERLAP, PROPOSALS)]

    def _classify(self, features: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Returns class logits (N, 2) and corrections (N, 4) of boxes in pixels of the frame."""
        hidden = self.box_head(align(features, boxes / STRIDE, BOX_SIDE))
        return self.instance_class(hidden), self.instance_correction(hidden)

    def _mask(self, features: Tensor, boxes: Tensor) -> Tensor:
        """Returns logits (N, MASK_SIDE, MASK_SIDE) of boxes in pixels of the frame."""
        return self.mask_head(align(features, boxes / STRIDE, MASK_SIDE // 2))[:, 0]


def _anchors(frames: Tensor) -> Tensor:
    """Returns the anchors (N, 4) of frames (.., H, W), in the order of the scores."""
    height, width = (-(-side // STRIDE) for side in frames.shape[-2:])
    sides = torch.tensor(
        [
            (side * ratio**0.5, side / ratio**0.5)
            for side in ANCHOR_SIDES
            for ratio in ANCHOR_RATIOS
        ],
        device=frames.device,
    )
    y, x = torch.meshgrid(
        torch.arange(height, device=frames.device),
        torch.arange(width, device=frames.device),
        indexing="ij",
    )
    centers = ((torch.stack((x, y), 2) + 0.5) * STRIDE)[:, :, None]  # (h, w, 1, 2)
    return torch.cat((centers - sides / 2, centers + sides / 2), 3).flatten(0, 2)


def _instances(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the boxes (K, 4) and masks (K, H, W) of the connected regions of a mask (H, W)."""
    pixels = mask.cpu().numpy().astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(pixels, connectivity=8)
    large = [n for n in range(1, count) if stats[n, cv2.CC_STAT_AREA] >= LEAST_INSTANCE]
    boxes = [
        (left, top, left + width, top + height) for left, top, width, height, _ in stats[large]
    ]
    masks = np.stack([labels == n for n in large]) if large else np.zeros((0, *pixels.shape))
    return (
        torch.tensor(np.array(boxes), dtype=torch.float32, device=mask.device).reshape(-1, 4),
        torch.tensor(masks, dtype=torch.float32, device=mask.device),
    )


def _overlap(boxes: Tensor, instances: Tensor) -> Tensor:
    """IoU (N, K), with a column of zeros where a frame has no instance."""
    if len(instances):
        return intersection_over_union(boxes, instances)
    return boxes.new_zeros(len(boxes), 1)


def _sample(hit: Tensor, miss: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Returns indices of some of the hits, at most half the sample, and of misses to fill it."""
    hits, misses = hit.nonzero()[:, 0], miss.nonzero()[:, 0]
    hits = hits[torch.randperm(len(hits), device=hits.device)[: size // 2]]
    order = torch.randperm(len(misses), device=misses.device)
    return hits, misses[order[: size - len(hits)]]


def _correction_loss(found: Tensor, boxes: Tensor, wanted: Tensor, count: int) -> Tensor:
    """Smooth L1 between corrections found and needed, over the size of the sample."""
    if not len(found):
        return found.sum().float()
    return smooth_l1_loss(found.float(), corrections(boxes, wanted), reduction="sum") / count
