"""3D-CNN: the spatio-temporal part is an autoencoder of 3-D convolutions."""

import torch
from torch import nn

from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.segmentation_network import Track
from weld_inspection.networks.window_network import WindowNetwork

KERNEL_TIME = 3  # frames; the paper gives none
STRIDE = 2  # of a layer in time, height and width


class Cnn3d(WindowNetwork):
    """As many strided convolutions as an ST-Encoder has layers, and transposed ones back."""

    def __init__(self, config: NetworkConfig) -> None:
        """Makes the network."""
        super().__init__(config)
        side = config.kernel_size
        shape = {
            "kernel_size": (KERNEL_TIME, side, side),
            "stride": STRIDE,
            "padding": (KERNEL_TIME // 2, side // 2, side // 2),
            "bias": False,  # the batch normalisation that follows would cancel it
        }
        channels, layers = config.channels, range(config.layers)
        self.encoder = nn.ModuleList(nn.Conv3d(channels, channels, **shape) for _ in layers)
        self.decoder = nn.ModuleList(
            nn.ConvTranspose3d(channels, channels, **shape) for _ in layers
        )
        self.encoder_norms = nn.ModuleList(nn.BatchNorm3d(channels) for _ in layers)
        self.decoder_norms = nn.ModuleList(nn.BatchNorm3d(channels) for _ in layers)

    def temporal(self, features: Track) -> Track:
        """See WindowNetwork."""
        hidden = torch.stack(features, 2)  # (B, C, T, h, w)
        sizes = []
        for convolution, norm in zip(self.encoder, self.encoder_norms, strict=True):
            sizes.append(list(hidden.shape[2:]))
            hidden = torch.relu(norm(convolution(hidden)))
        for convolution, norm in zip(self.decoder, self.decoder_norms, strict=True):
            hidden = torch.relu(norm(convolution(hidden, output_size=sizes.pop())))
        return hidden.unbind(2)
