"""The inference engine: a window of frames in, defect probabilities out."""

import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from weld_inspection.errors import InspectionError
from weld_inspection.networks.segmentation_network import DEFECT_LOGIT
from weld_inspection.networks.weights import load_model

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "fp32", "bf16")


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine runs, as DetectorInfo publishes it.

    Attributes:
        model_id: File name and first 12 digits of its SHA-256.
        architecture: Name in the networks' registry.
        backend: Library that computes.
        device: "cpu" or "cuda".
        precision: "fp32" or "bf16".
        width: Width of a frame in pixels.
        height: Height of a frame in pixels.
        window: T, frames in a window.
        threshold: Probability above which a pixel is defect, as the model file says.
    """

    model_id: str
    architecture: str
    backend: str
    device: str
    precision: str
    width: int
    height: int
    window: int
    threshold: float


class InferenceEngine:
    """A loaded network, ready for windows; live, offline and evaluation all use this one."""

    def __init__(self, model: Path | str, device: str = "auto", precision: str = "auto") -> None:
        """Loads a model and warms it up with one window.

        Args:
            model: A .safetensors file of `networks.weights.save_model`.
            device: "cpu", "cuda", or "auto": CUDA where there is one.
            precision: "fp32", "bf16", or "auto": bf16 where the processor computes it natively.

        Raises:
            ModelError: The file is absent, damaged or of an unknown network.
            InspectionError: The device or the precision cannot be had here.
        """
        device = choose_device(device)
        precision = choose_precision(precision, device)
        loaded = load_model(Path(model))
        config = loaded.config
        self.info = EngineInfo(
            loaded.model_id,
            config.architecture,
            "torch",
            device,
            precision,
            config.width,
            config.height,
            config.window,
            loaded.threshold,
        )
        self._dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self._network = loaded.network.to(device=device, dtype=self._dtype).channels_last()
        self._lock = threading.Lock()
        # The first window allocates and compiles kernels: not at the cost of the first weld.
        self.infer(np.zeros((config.window, config.height, config.width, 3), np.uint8))

    def infer(self, window: np.ndarray) -> np.ndarray:
        """Returns the defect probability of every pixel.

        Args:
            window: (T, H, W, 3) uint8, RGB, at the network's size.

        Returns:
            (T, H, W) float32 in [0, 1].

        Raises:
            InspectionError: The window is of another shape or type.
        """
        info = self.info
        wanted = (info.window, info.height, info.width, 3)
        if window.shape != wanted or window.dtype != np.uint8:
            raise InspectionError(
                f"a window of {info.architecture} is uint8 {wanted}, "
                f"this one is {window.dtype} {window.shape}: resize the frames first"
            )
        with self._lock, torch.inference_mode():
            frames = torch.from_numpy(window).to(info.device).permute(0, 3, 1, 2)
            logits = self._network(normalise(frames).to(self._dtype).unsqueeze(0))
            return torch.sigmoid(logits[0, :, DEFECT_LOGIT].float()).cpu().numpy()


def normalise(frames: torch.Tensor) -> torch.Tensor:
    """Maps uint8 pixels [0, 255] to float32 [-1, 1], in training as in use."""
    return frames.float() / 127.5 - 1.0


def choose_device(name: str) -> str:
    """Returns "cpu" or "cuda" for a device's name.

    Raises:
        InspectionError: There is no such device, or not here.
    """
    if name not in DEVICES:
        raise InspectionError(f"there is no device {name!r}: give one of {', '.join(DEVICES)}")
    if name == "cuda" and not torch.cuda.is_available():
        raise InspectionError(
            "device 'cuda' was asked for, but torch sees none: use 'cpu' or 'auto'"
        )
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def choose_precision(name: str, device: str) -> str:
    """Returns "fp32" or "bf16" for a precision's name; "auto" is bf16 where it is native.

    Raises:
        InspectionError: There is no such precision.
    """
    if name not in PRECISIONS:
        raise InspectionError(f"no precision {name!r}: give one of {', '.join(PRECISIONS)}")
    if name != "auto":
        return name
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if torch.cpu._is_avx512_bf16_supported() else "fp32"
