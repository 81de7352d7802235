"""What every network of the registry is: a window of frames in, logits for each pixel out."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from weld_inspection.networks.config import NetworkConfig

SOUND_AND_DEFECT = 2  # logits for each pixel; the paper's two output channels
DEFECT_LOGIT = 1  # channel of the logits; 0 is sound


# What a network knows of a window's frames: T tensors (B, ...), for frame t = 1..T. A state is a
# track, too, of as many tensors as it has.
Track = Sequence[Tensor]


class Part(NamedTuple):
    """A part of `judge` that can be done beside the others of its stage.

    Attributes:
        work: From the tracks that it reads to the tracks that it adds, one at least.
        reads: Numbers of those tracks, one at least: the looks' come first, then those of Causal,
            then what the stages before have added, in the order of their parts.
    """

    work: Callable[..., Sequence[Track]]
    reads: tuple[int, ...]


class Causal(NamedTuple):
    """What runs forwards in time, and so can be done as the frames come.

    Attributes:
        whole: All frames at once: from the looks' tracks that it reads to the tracks that it adds,
            of which the last one is the state after the last frame.
        step: The same frame by frame: from a frame's tensors of those tracks and the state before
            it, None before the first, to its tensors of the tracks added and the state after it.
        reads: Numbers of the looks' tracks that it reads.
    """

    whole: Callable[..., list[Track]]
    step: Callable[..., tuple[list[Tensor], list[Tensor]]]
    reads: tuple[int, ...]


class SegmentationNetwork(nn.Module, ABC):
    """A network that the registry can name, the trainer train and the detector run.

    Attributes:
        learns_by_pixels: Whether `loss` adds up pixels, so that some can be left out of it.
        works_alike: Whether it does the same for every window, whatever is to be seen there.
        takes_exact_frames: Whether it reads frames in fp32 where its weights are in bf16, which
            would shift grey values.
    """

    learns_by_pixels = True
    works_alike = True
    takes_exact_frames = False

    def __init__(self, config: NetworkConfig) -> None:
        """Keeps the options.

        Args:
            config: Saved with the weights.
        """
        super().__init__()
        self.config = config

    @abstractmethod
    def forward(self, frames: Tensor) -> Tensor:
        """Returns logits of sound and defect for every pixel.

        Args:
            frames: (B, T, in_channels, H, W) in [-1, 1]; any T >= 1, H and W >= 16.

        Returns:
            (B, T, 2, H, W). The probability of a defect is the sigmoid of channel 1.
        """

    def look(self, frames: Tensor) -> list[Tensor]:
        """Does what can be done of each frame alone, once where windows overlap.

        Args:
            frames: (N, in_channels, H, W), of any windows.

        Returns:
            Tensors (N, ...) for `advance` and `judge`; here the frames themselves.
        """
        return [frames]

    def advance(
        self, look: Sequence[Tensor], state: Sequence[Tensor] | None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Does what can be done of a window's next frame before the later ones are there.

        Args:
            look: What `look` gave for frame t of B windows, tensors (B, ...).
            state: After the frame before; None at the window's first one.

        Returns:
            What `judge` reads of the frame, and the state after it; nothing where no part of the
            network runs forwards in time alone.
        """
        causal = self.causal()
        if causal is None:
            return [], []
        return causal.step(*(look[n] for n in causal.reads), state)

    def judge(
        self,
        looks: Sequence[Sequence[Tensor]],
        given: Sequence[Sequence[Tensor]],
        state: Sequence[Tensor],
        size: tuple[int, int],
    ) -> Tensor:
        """Does the rest: `look`, `advance` and `judge` together are `forward`.

        Args:
            looks: What `look` gave for frame t = 1..T of B windows, tensors (B, ...).
            given: What `advance` gave for them.
            state: The state after the last one.
            size: H and W of the frames, pixels.

        Returns:
            As of `forward`.
        """
        tracks: list[Track] = list(zip(*looks, strict=True))
        if self.causal() is not None:
            tracks += [*zip(*given, strict=True), state]
        return self.finish(self.run_stages(tracks), size)

    def run_stages(self, tracks: list[Track]) -> list[Track]:
        """Does what `judge` does before `finish`, one part after the other.

        Args:
            tracks: The looks' and those of `causal`.

        Returns:
            What `finish` reads.
        """
        for stage in self.stages():
            tracks = tracks + [
                track for part in stage for track in part.work(*(tracks[n] for n in part.reads))
            ]
        return self.finish_reads(tracks)

    def causal(self) -> Causal | None:
        """Tells what of the network runs forwards in time and reads nothing but looks.

        It obeys what is said of `stages`.
        """
        return None

    def stages(self) -> list[tuple[Part, ...]]:
        """Tells what of `judge` can be done side by side.

        Returns:
            The stages before `finish`. A part gives tensors that it has made: OpenVINO's files
            cannot hand on what a part has read.
        """
        return []

    def finish_reads(self, tracks: list) -> list:
        """Picks what `finish` reads.

        Args:
            tracks: All, or what stands for each: the looks', those of `causal` and of `stages`.
        """
        return tracks

    def finish(self, tracks: Sequence[Track], size: tuple[int, int]) -> Tensor:
        """Does the last of `judge`.

        Args:
            tracks: Those of `finish_reads`.
            size: H and W of the frames, pixels.

        Returns:
            As of `forward`.
        """
        (frames,) = tracks
        return self(torch.stack(frames, 1))

    def loss(self, frames: Tensor, masks: Tensor, counted: Tensor | None = None) -> Tensor:
        """Returns what training makes small.

        Args:
            frames: As of `forward`.
            masks: (B, T, H, W), 1 where there is a defect.
            counted: (B, T, H, W) bool, the pixels that count; all by default.
        """
        return segmentation_loss(self(frames), masks, counted)

    def channels_last(self) -> Self:
        """Lays the 2-D convolutions' weights out as processors like them; returns itself."""
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                module.to(memory_format=torch.channels_last)
        return self


def segmentation_loss(logits: Tensor, masks: Tensor, counted: Tensor | None = None) -> Tensor:
    """Pixel-wise binary cross entropy over both logits against the one-hot mask.

    Args:
        logits: (B, T, 2, H, W), sound and defect.
        masks: (B, T, H, W), 1 where there is a defect.
        counted: (B, T, H, W) bool, the pixels that count; all by default.

    Returns:
        The mean over everything that counts, a scalar.
    """
    defect = masks.float()
    truth = torch.stack((1 - defect, defect), 2)
    if counted is None:
        return nn.functional.binary_cross_entropy_with_logits(logits.float(), truth)
    pixel_loss = nn.functional.binary_cross_entropy_with_logits(
        logits.float(), truth, reduction="none"
    )
    return (pixel_loss.mean(2) * counted).sum() / counted.sum().clamp(min=1)
