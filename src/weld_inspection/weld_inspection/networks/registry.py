"""The networks by name."""

from collections.abc import Callable
from functools import partial

from weld_inspection.errors import InspectionError
from weld_inspection.networks.bi_crrn_e import BiCrrnE
from weld_inspection.networks.bi_crrn_ed import BiCrrnEd
from weld_inspection.networks.cnn_3d import Cnn3d
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.crrn import Crrn
from weld_inspection.networks.deeplab_v3 import DeepLabV3
from weld_inspection.networks.mask_rcnn import MaskRCNN
from weld_inspection.networks.segmentation_network import SegmentationNetwork
from weld_inspection.networks.unet import UNet
from weld_inspection.networks.window_network import WindowNetwork

NETWORKS: dict[str, Callable[[NetworkConfig], SegmentationNetwork]] = {
    "bi_crrn_e": BiCrrnE,
    "bi_crrn_e_attn": partial(BiCrrnE, attention=True),
    "bi_crrn_ed": BiCrrnEd,
    "bi_crrn_ed_attn": partial(BiCrrnEd, attention=True),
    "crrn": Crrn,
    "crrn_attn": partial(Crrn, attention=True),
    "conv_lstm": partial(Crrn, lower_cells=False),
    "cnn_3d": Cnn3d,
    "unet": UNet,
    "deeplab_v3": DeepLabV3,
    "mask_rcnn": MaskRCNN,
}


def build_network(config: NetworkConfig) -> SegmentationNetwork:
    """Makes the network that a config names, with fresh weights.

    Args:
        config: Its `architecture` is a name in NETWORKS.

    Returns:
        A module from frames to logits, see SegmentationNetwork.

    Raises:
        InspectionError: There is no network of that name, or it has no use for an option.
    """
    if config.architecture not in NETWORKS:
        raise InspectionError(
            f"there is no network {config.architecture!r}: give one of {', '.join(NETWORKS)}"
        )
    network = NETWORKS[config.architecture](config)
    if not isinstance(network, WindowNetwork):
        for name in ("skip", "unet_channels"):
            if getattr(config, name):
                raise InspectionError(
                    f"{config.architecture} has no S-Encoder and S-Decoder to lead anything past "
                    f"what is between them: leave network option {name} out"
                )
    return network
