"""What networks with a spatio-temporal part share: frames to features, features to logits."""

from abc import abstractmethod

from torch import Tensor, nn

from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.cstm import CSTM, AttentionMap
from weld_inspection.networks.segmentation_network import SegmentationNetwork
from weld_inspection.networks.spatial import SpatialDecoder, SpatialEncoder


class WindowNetwork(SegmentationNetwork):
    """S-Encoder, a part that knows of time, S-Decoder."""

    def __init__(self, config: NetworkConfig) -> None:
        """Makes the spatial parts."""
        super().__init__(config)
        self.spatial_encoder = SpatialEncoder(
            config.in_channels, config.channels, config.kernel_size
        )
        self.spatial_decoder = SpatialDecoder(config.channels, config.kernel_size)

    def forward(self, frames: Tensor) -> Tensor:
        """See SegmentationNetwork."""
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
