"""What networks with a spatio-temporal part share: frames to features, features to logits."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.cstm import CSTM, AttentionMap
from weld_inspection.networks.segmentation_network import SegmentationNetwork, Track
from weld_inspection.networks.spatial import SkipConnection, SpatialDecoder, SpatialEncoder
from weld_inspection.networks.unet import basic_unet


class WindowNetwork(SegmentationNetwork):
    """S-Encoder, a part that knows of time, S-Decoder.

    Attributes:
        drive_count: How many tracks `drive` gives. The looks have one more with a skip connection,
            and one more with a U-Net.
        temporal_reads: Which of all tracks `temporal` reads.
    """

    takes_exact_frames = True  # FrameConvolution
    drive_count = 1
    temporal_reads = slice(0, 1)

    def __init__(self, config: NetworkConfig) -> None:
        """Makes the spatial parts."""
        super().__init__(config)
        self.spatial_encoder = SpatialEncoder(
            config.in_channels, config.channels, config.kernel_size
        )
        self.skip = SkipConnection(config.channels) if config.skip else None
        width = config.unet_channels
        self.unet = basic_unet(config.in_channels, width, width) if width else None
        self.spatial_decoder = SpatialDecoder(config.channels, config.kernel_size, width)

    def forward(self, frames: Tensor) -> Tensor:
        """See SegmentationNetwork."""
        return self.decode(self.features(frames), (frames.shape[-2], frames.shape[-1]))

    @property
    def look_count(self) -> int:
        """How many tracks `look` gives."""
        return self.drive_count + (self.skip is not None) + (self.unet is not None)

    def features(self, frames: Tensor) -> list[Track]:
        """Returns what the S-Decoder reads.

        Args:
            frames: As of `forward`.

        Returns:
            Features (B, C, h, w) for t = 1..T; and what SkipConnection and U-Net give, where there
            are any.
        """
        parts = self.look(frames.transpose(0, 1).flatten(0, 1))
        tracks: list[Track] = [part.chunk(frames.shape[1]) for part in parts]
        if (causal := self.causal()) is not None:
            tracks += causal.whole(*(tracks[n] for n in causal.reads))
        return self._features(self.run_stages(tracks))

    def _features(self, tracks: Sequence[Track]) -> list[Track]:
        """What the S-Decoder reads, of what `finish` reads."""
        past = self.look_count - self.drive_count
        read = len(tracks) - past
        return [self.temporal(*tracks[:read]), *tracks[read:]]

    def decode(self, features: Sequence[Track], size: tuple[int, int]) -> Tensor:
        """Returns the logits of what `features` gave, for frames of H x W pixels."""
        frames, *past = (torch.cat(tuple(track)) for track in features)
        skipped = None if self.skip is None else past.pop(0)
        logits = self.spatial_decoder(frames, size, skipped, *past)
        return torch.stack(logits.chunk(len(features[0])), 1)

    def look(self, frames: Tensor) -> list[Tensor]:
        """See SegmentationNetwork."""
        details, features = self.spatial_encoder(frames)
        past = [] if self.skip is None else [self.skip(details)]
        if self.unet is not None:
            past.append(self.unet(frames).permute(0, 2, 3, 1))  # as of SkipConnection
        return [*self.drive(features), *past]

    def finish_reads(self, tracks: list) -> list:
        """See SegmentationNetwork."""
        return [*tracks[self.temporal_reads], *tracks[self.drive_count : self.look_count]]

    def finish(self, tracks: Sequence[Track], size: tuple[int, int]) -> Tensor:
        """See SegmentationNetwork."""
        return self.decode(self._features(tracks), size)

    def drive(self, features: Tensor) -> list[Tensor]:
        """Returns what the lowest layers make of single frames' features (N, C, h, w)."""
        return [features]

    @abstractmethod
    def temporal(self, *tracks: Track) -> Track:
        """Returns what the S-Decoder reads, (B, C, h, w) for t = 1..T.

        Args:
            tracks: Those of `temporal_reads`; without stages, what `drive` gave, (B, K, h, w) each.
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
