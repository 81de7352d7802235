"""What bi-CRRN-E and bi-CRRN-ED share: frames to features, features to logits."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.cstm import CSTM, AttentionMap
from weld_inspection.networks.spatial import SpatialDecoder, SpatialEncoder


class BiCrrn(nn.Module, ABC):
    """S-Encoder, a spatio-temporal part in both directions of time, S-Decoder."""

    def __init__(self, config: NetworkConfig) -> None:
        """Makes the spatial parts and the top 1x1 convolution of eq. (3) and (6)."""
        super().__init__()
        self.config = config
        self.spatial_encoder = SpatialEncoder(
            config.in_channels, config.channels, config.kernel_size
        )
        self.top = self._merge()  # W_1x1, C x 2C
        self.spatial_decoder = SpatialDecoder(config.channels, config.kernel_size)

    def forward(self, frames: Tensor) -> Tensor:
        """Returns logits of sound and defect for every pixel.

        Args:
            frames: (B, T, in_channels, H, W) in [-1, 1]; any T >= 1, H and W >= 16.

        Returns:
            (B, T, 2, H, W). The probability of a defect is the sigmoid of channel 1.
        """
        batch, steps = frames.shape[:2]
        features = self.spatial_encoder(frames.flatten(0, 1))  # (B T, C, h, w)
        forward, backward = self.temporal(features.unflatten(0, (batch, steps)))
        both = torch.cat((forward, backward), 2).flatten(0, 1)  # (B T, 2 C, h, w)
        logits = self.spatial_decoder(self.top(both), tuple(frames.shape[-2:]))
        return logits.unflatten(0, (batch, steps))

    @abstractmethod
    def temporal(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the top hidden states of both directions, each (B, T, C, h, w)."""

    def _merge(self) -> nn.Conv2d:
        return nn.Conv2d(2 * self.config.channels, self.config.channels, 1, bias=False)

    def _stack(self) -> nn.ModuleList:
        """CSTM layers of one direction; the lowest one has no cell below it."""
        config = self.config
        return nn.ModuleList(
            CSTM(
                config.channels, config.kernel_size, lower_cell=layer > 0, peephole=config.peephole
            )
            for layer in range(config.layers)
        )

    def _attention(self, enabled: bool) -> nn.ModuleList:
        """Attention maps of one direction, one a layer; None for each where it is off."""
        config = self.config
        return nn.ModuleList(
            AttentionMap(config.channels, config.kernel_size) if enabled else None
            for _ in range(config.layers)
        )
