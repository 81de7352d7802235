"""U-Net (Ronneberger et al., 2015), as MONAI implements it."""

from monai.networks.nets.basic_unet import BasicUNet
from torch import Tensor

from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.frame_convolution import FrameConvolution
from weld_inspection.networks.frame_network import FrameNetwork
from weld_inspection.networks.segmentation_network import SOUND_AND_DEFECT


class UNet(FrameNetwork):
    """A U-Net of `channels`."""

    takes_exact_frames = True  # FrameConvolution

    def __init__(self, config: NetworkConfig) -> None:
        """Makes the network."""
        super().__init__(config)
        self.network = basic_unet(config.in_channels, config.channels, SOUND_AND_DEFECT)

    def segment(self, frames: Tensor) -> Tensor:
        """See FrameNetwork."""
        return self.network(frames)


def basic_unet(in_channels: int, channels: int, out_channels: int) -> BasicUNet:
    """Makes a U-Net of four levels down and up, of frames in [-1, 1].

    Args:
        in_channels: Of the frames, (N, in_channels, H, W).
        channels: At the frame's size and at half of it; doubled at each level below.
        out_channels: Channels of what it gives, of the size of what it reads.
    """
    unet = BasicUNet(
        spatial_dims=2,
        in_channels=in_channels,
        out_channels=out_channels,
        features=(channels, channels, 2 * channels, 4 * channels, 8 * channels, channels),
        norm="batch",
        act="relu",
    )
    first = unet.conv_0.conv_0
    first.conv = FrameConvolution.of(first.conv)
    return unet
