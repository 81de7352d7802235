"""U-Net (Ronneberger et al., 2015), as MONAI implements it."""

from monai.networks.nets.basic_unet import BasicUNet
from torch import Tensor

from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.frame_network import FrameNetwork
from weld_inspection.networks.segmentation_network import SOUND_AND_DEFECT


class UNet(FrameNetwork):
    """Four levels down and up; `channels` at the top, doubled at each level."""

    def __init__(self, config: NetworkConfig) -> None:
        """Makes the network."""
        super().__init__(config)
        channels = config.channels
        self.network = BasicUNet(
            spatial_dims=2,
            in_channels=config.in_channels,
            out_channels=SOUND_AND_DEFECT,
            features=(channels, channels, 2 * channels, 4 * channels, 8 * channels, channels),
            norm="batch",
            act="relu",
        )

    def segment(self, frames: Tensor) -> Tensor:
        """See FrameNetwork."""
        return self.network(frames)
