"""What networks with a spatio-temporal part share: frames to features, features to logits."""

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.cstm import CSTM, AttentionMap, at_once
from weld_inspection.networks.segmentation_network import SegmentationNetwork, Track
from weld_inspection.networks.spatial import SpatialDecoder, SpatialEncoder


class WindowNetwork(SegmentationNetwork):
    """S-Encoder, a part that knows of time, S-Decoder."""

    takes_exact_frames = True  # SpatialEncoder

    def __init__(self, config: NetworkConfig) -> None:
        """Makes the spatial parts."""
        super().__init__(config)
        self.spatial_encoder = SpatialEncoder(
            config.in_channels, config.channels, config.kernel_size
        )
        self.spatial_decoder = SpatialDecoder(config.channels, config.kernel_size)

    def forward(self, frames: Tensor) -> Tensor:
        """See SegmentationNetwork."""
        return self.decode(self.features(frames), (frames.shape[-2], frames.shape[-1]))

    def features(self, frames: Tensor) -> Track:
        """Returns what the S-Decoder reads, (B, C, h, w) for t = 1..T.

        Args:
            frames: As of `forward`.
        """
        parts = self.look(frames.transpose(0, 1).flatten(0, 1))
        tracks: list[Track] = [part.chunk(frames.shape[1]) for part in parts]
        if (causal := self.causal()) is not None:
            tracks += causal.whole(*(tracks[n] for n in causal.reads))
        return self.temporal(*self.run_stages(tracks))

    def decode(self, features: Track, size: tuple[int, int]) -> Tensor:
        """Returns the logits of what `features` gave, for frames of H x W pixels."""
        return torch.stack(at_once(partial(self.spatial_decoder, size=size), features), 1)

    def look(self, frames: Tensor) -> list[Tensor]:
        """See SegmentationNetwork."""
        return self.drive(self.spatial_encoder(frames))

    def finish(self, tracks: Sequence[Track], size: tuple[int, int]) -> Tensor:
        """See SegmentationNetwork."""
        return self.decode(self.temporal(*tracks), size)

    def drive(self, features: Tensor) -> list[Tensor]:
        """Returns what the lowest layers make of single frames' features (N, C, h, w)."""
        return [features]

    @abstractmethod
    def temporal(self, *tracks: Track) -> Track:
        """Returns what the S-Decoder reads, (B, C, h, w) for t = 1..T.

        Args:
            tracks: Those of `finish_reads`; without stages, what `drive` gave, (B, K, h, w) each.
        """

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
