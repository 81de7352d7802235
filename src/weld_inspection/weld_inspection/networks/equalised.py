"""A network whose S-Encoder gives channels of alike ranges: the form of it that int8 rounds least.

A tensor in int8 has one scale. Of features whose channels reach from less than 1 to more than 50
that leaves the small ones a few steps. Where a ReLU lies between a batch normalisation and the
convolutions that read it, a channel can be made smaller before and its weights larger after by the
same factor, and nothing else changes (Nagel et al., "Data-Free Quantization Through Weight
Equalization and Bias Correction", 2019).
"""

import copy
from itertools import pairwise

import torch
from torch import Tensor, nn

from weld_inspection.networks.segmentation_network import SegmentationNetwork
from weld_inspection.networks.spatial import SpatialEncoder

SMALLEST_RANGE = 1e-4  # of a channel that shows nothing


def equalised(network: SegmentationNetwork, frames: Tensor) -> SegmentationNetwork:
    """Returns a network that computes the same, with its S-Encoder's channels scaled.

    Each channel is divided by sqrt(r / w), where r is the largest value that it shows and w the
    largest weight that reads it: both ranges then are sqrt(r w).

    Args:
        network: In evaluation mode.
        frames: (N, in_channels, H, W) in [-1, 1], which show what is usual.

    Returns:
        A copy; the network itself where it has no S-Encoder, or one whose features are read by
        something else than convolutions.
    """
    if not isinstance(getattr(network, "spatial_encoder", None), SpatialEncoder):
        return network
    scaled = copy.deepcopy(network)
    with torch.no_grad():
        for norm, relu in pairwise(scaled.spatial_encoder.layers):
            if not isinstance(norm, nn.BatchNorm2d):
                continue
            largest, readers = _reading(scaled, relu, frames)
            if not readers:
                continue
            ranges = torch.stack(largest).amax(0).clamp(SMALLEST_RANGE)
            weights = torch.stack([reader.weight.abs().amax((0, 2, 3)) for reader in readers])
            factors = (ranges / weights.amax(0).clamp(SMALLEST_RANGE)).sqrt()
            norm.weight /= factors
            norm.bias /= factors
            for reader in readers:
                reader.weight *= factors[:, None, None]
        window = frames[: network.config.window].unsqueeze(0)
        same = torch.allclose(scaled(window), network(window), rtol=1e-3, atol=1e-3)
    return scaled if same else network


def _reading(
    network: SegmentationNetwork, layer: nn.Module, frames: Tensor
) -> tuple[list[Tensor], list[nn.Conv2d]]:
    """What a layer gives at most of each frame, by channel, and the convolutions that read it."""
    given: list[Tensor] = []
    largest: list[Tensor] = []
    readers: dict[nn.Conv2d, None] = {}

    def keep(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
        given[:] = [output]
        largest.append(output.amax((0, 2, 3)))

    def ask(reader: nn.Conv2d, inputs: tuple[Tensor, ...]) -> None:
        if given and inputs[0] is given[0]:
            readers[reader] = None

    hooks = [layer.register_forward_hook(keep)]
    hooks += [
        module.register_forward_pre_hook(ask)
        for module in network.modules()
        if isinstance(module, nn.Conv2d)
    ]
    try:
        for frame in frames.split(1):
            network.look(frame)
    finally:
        for hook in hooks:
            hook.remove()
    return largest, list(readers)
