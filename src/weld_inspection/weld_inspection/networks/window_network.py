"""What networks with a spatio-temporal part share: frames to features, features to logits."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.cstm import CSTM, AttentionMap
from weld_inspection.networks.spatial import SpatialDecoder, SpatialEncoder


class WindowNetwork(nn.Module, ABC):
    """S-Encoder, a part that knows of time, S-Decoder."""

    def __init__(self, config: NetworkConfig) -> None:
        """Makes the spatial parts."""
        super().__init__()
        self.config = config
        self.spatial_encoder = SpatialEncoder(
            config.in_channels, config.channels, config.kernel_size
        )
        self.spatial_decoder = SpatialDecoder(config.channels, config.kernel_size)

    def forward(self, frames: Tensor) -> Tensor:
        """Returns logits of sound and defect for every pixel.

        Args:
            frames: (B, T, in_channels, H, W) in [-1, 1]; any T >= 1, H and W >= 16.

        Returns:
            (B, T, 2, H, W). The probability of a defect is the sigmoid of channel 1.
        """
        steps = frames.shape[:2]
        features = self.spatial_encoder(frames.flatten(0, 1)).unflatten(0, steps)
        decoded = self.temporal(features).flatten(0, 1)  # (B T, C, h, w)
        return self.spatial_decoder(decoded, tuple(frames.shape[-2:])).unflatten(0, steps)

    @abstractmethod
    def temporal(self, features: Tensor) -> Tensor:
        """Returns what the S-Decoder reads, (B, T, C, h, w), of features of that shape."""

    def _stack(self, *, lower_cells: bool = True) -> nn.ModuleList:
        """CSTM layers of one direction; the lowest one has no cell below it."""
        config = self.config
        return nn.ModuleList(
            CSTM(
                config.channels,
                config.kernel_size,
                lower_cell=lower_cells and layer > 0,
                peephole=config.peephole,
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
