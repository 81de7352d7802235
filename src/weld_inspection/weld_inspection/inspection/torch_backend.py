"""The reference backend: PyTorch on a processor or a CUDA card, where a window is one graph."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from weld_inspection.networks.segmentation_network import DEFECT_LOGIT, SegmentationNetwork

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
WARM_UPS = 3  # runs before a capture, in which libraries allocate and choose their algorithms


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
            return self._whole(torch.from_numpy(window).to(self._device)).cpu().numpy()

    def look(self, frame: np.ndarray) -> list[Tensor]:
        """See Backend."""
        with torch.inference_mode():
            pixels = torch.from_numpy(frame[None]).to(self._device)
            return self._network.look(self._prepared(pixels))

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
            logits = self._network.judge(looks, given, state, self._size)
            return self._probabilities(logits).cpu().numpy()

    def _whole(self, pixels: Tensor) -> Tensor:
        """(T, H, W, 3) uint8 to (T, H, W) float32."""
        return self._probabilities(self._network(self._prepared(pixels).unsqueeze(0)))

    def _prepared(self, pixels: Tensor) -> Tensor:
        return normalise(pixels.permute(0, 3, 1, 2)).to(self._frames_dtype)

    @staticmethod
    def _probabilities(logits: Tensor) -> Tensor:
        return torch.sigmoid(logits[0, :, DEFECT_LOGIT].float())


class CudaGraphBackend(TorchBackend):
    """Runs a network on a CUDA card, each window as one CUDA graph.

    A window is a thousand small kernels and more, which take longer to be launched one by one than
    to run. A frame is uploaded as it comes; nothing else is done ahead, for there is no need.
    """

    def __init__(self, network: SegmentationNetwork, precision: str) -> None:
        """Takes a network over and records what it does with a window.

        Args:
            network: In evaluation mode; one that `works_alike` for all windows.
            precision: A name in DTYPES.
        """
        super().__init__(network, "cuda", precision)
        self._pixels = torch.zeros(
            (network.config.window, *self._size, 3), dtype=torch.uint8, device="cuda"
        )
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        self._graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.backends.cudnn.flags(benchmark=True):
            with torch.cuda.stream(stream):
                for _ in range(WARM_UPS):
                    self._whole(self._pixels)
            torch.cuda.current_stream().wait_stream(stream)
            with torch.cuda.graph(self._graph):
                self._found = self._whole(self._pixels)

    def infer(self, window: np.ndarray) -> np.ndarray:
        """See Backend."""
        return self.judge([torch.from_numpy(window)], (), None)

    def look(self, frame: np.ndarray) -> Tensor:
        """See Backend; the frame on the card, (1, H, W, 3)."""
        return torch.from_numpy(frame[None]).to("cuda")

    def advance(self, look: Tensor, state: None) -> tuple[None, None]:
        """See Backend."""
        return None, None

    def judge(self, looks: Sequence[Tensor], given: Sequence[None], state: None) -> np.ndarray:
        """See Backend."""
        self._pixels.copy_(torch.cat(tuple(looks)))
        self._graph.replay()
        return self._found.cpu().numpy()


def normalise(frames: Tensor) -> Tensor:
    """Maps uint8 pixels [0, 255] to float32 [-1, 1], in training as in use."""
    return frames.float() / 127.5 - 1.0
