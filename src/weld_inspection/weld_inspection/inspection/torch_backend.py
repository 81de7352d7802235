"""The reference backend: PyTorch on a processor or a CUDA card."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from weld_inspection.networks.segmentation_network import DEFECT_LOGIT, SegmentationNetwork

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class TorchBackend:
    """Runs a network as it was trained."""

    name = "torch"

    def __init__(self, network: SegmentationNetwork, device: str, precision: str) -> None:
        """Takes a network over.

        Args:
            network: In evaluation mode.
            device: "cpu" or "cuda".
            precision: A name in DTYPES.
        """
        self._device = device
        self._network = network.to(device=device, dtype=DTYPES[precision]).channels_last()
        self._frames_dtype = torch.float32 if network.takes_exact_frames else DTYPES[precision]
        self._size = (network.config.height, network.config.width)

    def infer(self, window: np.ndarray) -> np.ndarray:
        """See Backend."""
        with torch.inference_mode():
            logits = self._network(self._frames(window).unsqueeze(0))
            return self._probabilities(logits)

    def look(self, frame: np.ndarray) -> list[Tensor]:
        """See Backend."""
        with torch.inference_mode():
            return self._network.look(self._frames(frame[None]))

    def advance(
        self, look: list[Tensor], state: list[Tensor] | None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """See Backend."""
        with torch.inference_mode():
            return self._network.advance(look, state)

    def judge(
        self,
        looks: Sequence[list[Tensor]],
        given: Sequence[list[Tensor]],
        state: list[Tensor],
    ) -> np.ndarray:
        """See Backend."""
        with torch.inference_mode():
            return self._probabilities(self._network.judge(looks, given, state, self._size))

    def _frames(self, frames: np.ndarray) -> Tensor:
        pixels = torch.from_numpy(frames).to(self._device).permute(0, 3, 1, 2)
        return normalise(pixels).to(self._frames_dtype)

    @staticmethod
    def _probabilities(logits: Tensor) -> np.ndarray:
        return torch.sigmoid(logits[0, :, DEFECT_LOGIT].float()).cpu().numpy()


def normalise(frames: Tensor) -> Tensor:
    """Maps uint8 pixels [0, 255] to float32 [-1, 1], in training as in use."""
    return frames.float() / 127.5 - 1.0
