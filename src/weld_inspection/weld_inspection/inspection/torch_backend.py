"""The reference backend: PyTorch on a processor, or on a CUDA card, where it replays graphs."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from weld_inspection.networks.fused import fuse_steps
from weld_inspection.networks.segmentation_network import (
    DEFECT_LOGIT,
    Part,
    SegmentationNetwork,
    Track,
)

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
WARM_UPS = 3  # runs before a capture, in which libraries allocate and choose their algorithms


class TorchBackend:
    """Runs a network as it was trained; see Backend."""

    name = "torch"
    shortfall = ""

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
            return self.look_at(torch.from_numpy(frame[None]).to(self._device))

    def look_at(self, frames: Tensor) -> list[Tensor]:
        """`look` at frames (N, H, W, 3) on the device."""
        return self._network.look(self._prepared(frames))

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
    """Runs a network on a CUDA card: a frame's look as one CUDA graph, the rest as another.

    A window is a thousand small kernels and more, which take longer to be launched one by one than
    to run. Looks are kept where windows overlap. Nothing is done ahead of a window's last frame:
    what runs forwards in time runs beside what runs backwards then, and is done as soon.
    """

    def __init__(self, network: SegmentationNetwork, precision: str) -> None:
        """Takes a network over and records what it does.

        Args:
            network: In evaluation mode; one that `works_alike` for all windows.
            precision: A name in DTYPES.
        """
        super().__init__(network, "cuda", precision)
        self.shortfall = fuse_steps(network, training=False)
        length = network.config.window
        self._frame = torch.zeros((1, *self._size, 3), dtype=torch.uint8, device="cuda")
        self._look = Recorded(lambda: self.look_at(self._frame))
        self._looks = [
            torch.cat([part] * length).contiguous(memory_format=_layout(part))
            for part in self._look.results
        ]
        tracks = [part.chunk(length) for part in self._looks]
        self._judge = Recorded(
            lambda: self._probabilities(judge_side_by_side(network, tracks, self._size))
        )

    def infer(self, window: np.ndarray) -> np.ndarray:
        """See Backend."""
        return self.judge([self.look(frame) for frame in window], (), None)

    def look(self, frame: np.ndarray) -> list[Tensor]:
        """See Backend."""
        with torch.inference_mode():
            self._frame.copy_(torch.from_numpy(frame[None]))
            return [part.clone() for part in self._look.replay()]

    def advance(self, look: list[Tensor], state: None) -> tuple[None, None]:
        """See Backend."""
        return None, None

    def judge(
        self, looks: Sequence[list[Tensor]], given: Sequence[None], state: None
    ) -> np.ndarray:
        """See Backend."""
        with torch.inference_mode():
            for kept, parts in zip(self._looks, zip(*looks, strict=True), strict=True):
                torch.cat(parts, out=kept)
            return self._judge.replay().cpu().numpy()


class Recorded:
    """Work on a CUDA card as a CUDA graph.

    Attributes:
        results: What the work gave, and each replay gives anew.
    """

    def __init__(self, work: Callable[[], Any]) -> None:
        """Records it.

        Args:
            work: Reads and gives tensors that stay where they are.
        """
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        self._graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), fastest_convolutions():
            with torch.cuda.stream(stream):
                for _ in range(WARM_UPS):
                    work()
            torch.cuda.current_stream().wait_stream(stream)
            with torch.cuda.graph(self._graph):
                self.results = work()

    def replay(self) -> Any:
        """Does the work again; returns `results`."""
        self._graph.replay()
        return self.results


def fastest_convolutions() -> AbstractContextManager[None]:
    """Lets cuDNN try its algorithms where it meets a convolution first."""
    cudnn = torch.backends.cudnn
    # All are named: what is not is set to a default, which for `enabled` is False.
    return cudnn.flags(
        enabled=True,
        benchmark=True,
        benchmark_limit=cudnn.benchmark_limit,
        deterministic=cudnn.deterministic,
        allow_tf32=cudnn.allow_tf32,
    )


def judge_side_by_side(
    network: SegmentationNetwork, looks: Sequence[Track], size: tuple[int, int]
) -> Tensor:
    """Does what follows the looks, all at once that does not read of another.

    Args:
        network: On a CUDA card.
        looks: What `look` gave of T frames, tensors (B, ...), track by track.
        size: H and W of the frames, pixels.

    Returns:
        As of the network's `forward`.
    """
    main = torch.cuda.current_stream()
    causal = network.causal()
    parts = [] if causal is None else [Part(causal.whole, causal.reads)]
    parts += (part for stage in network.stages() for part in stage)
    # All stay in memory to the end, so that no stream's room is another's.
    tracks = list(looks)
    there = [main.record_event()] * len(tracks)
    for part in parts:
        stream = torch.cuda.Stream()
        for number in part.reads:
            stream.wait_event(there[number])
        with torch.cuda.stream(stream):
            added = part.work(*(tracks[number] for number in part.reads))
        tracks += added
        there += [stream.record_event()] * len(added)
    for event in there:
        main.wait_event(event)
    return network.finish(network.finish_reads(tracks), size)


def _layout(tensor: Tensor) -> torch.memory_format:
    """How a tensor (N, ...) lies in memory."""
    last = tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def normalise(frames: Tensor) -> Tensor:
    """Maps uint8 pixels [0, 255] to float32 [-1, 1], in training as in use."""
    return frames.float() / 127.5 - 1.0
