"""How fast a network trains, against eq. (1) written out, and how fast its windows come."""

import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

from weld_inspection.benchmarks.gate_by_gate import written_out
from weld_inspection.errors import InspectionError
from weld_inspection.inspection.engine import choose_device, choose_precision
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.fused import fuse_steps
from weld_inspection.networks.registry import build_network
from weld_inspection.networks.segmentation_network import SegmentationNetwork
from weld_inspection.provenance import provenance
from weld_inspection.training.graphed_loss import BatchLoss, GraphedLoss, can_be_graphed
from weld_inspection.training.windows import WindowDataset

LOADED_WINDOWS = 200

_logger = logging.getLogger(__name__)


def measure_training(
    network: str,
    *,
    batch_size: int = 4,
    rounds: int = 5,
    channels: int = 64,
    device: str = "auto",
    precision: str = "auto",
    data: Path | None = None,
) -> dict[str, Any]:
    """Times training steps of a network as it is trained and of its peer, in turn.

    The peer is eq. (1) gate by gate, eager, in fp32. A step is forward, loss, backward and Adam.

    Args:
        network: Name in the registry.
        batch_size: Windows in a step.
        rounds: Steps of each, after one that is not counted.
        channels: Of the network.
        device: As InferenceEngine's.
        precision: Of the network as it is trained.
        data: Clips; if given, the loader is timed on them too.

    Returns:
        Plain values: windows a second of both, their ratio, frames a second that are decoded and
        windows a second that the loader makes of them, `made_with`.

    Raises:
        InspectionError: The network is unknown, has nothing of eq. (1), or the clips cannot be
            used.
    """
    device = choose_device(device)
    precision = choose_precision(precision, device)
    if precision == "int8":
        raise InspectionError("nothing is trained in int8: give fp32 or bf16")
    config = NetworkConfig(network, channels=channels)
    torch.backends.cudnn.benchmark = device == "cuda"  # as `fit` trains
    torch.manual_seed(0)
    trained = build_network(config)
    steps = {
        "as printed": _step(written_out(trained), batch_size, device, "fp32"),
        "as trained": _step(trained.channels_last(), batch_size, device, precision, graphed=True),
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for count in range(rounds + 1):
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            if count:  # the first one allocates
                times[name].append(time.perf_counter() - began)
    rates = {name: batch_size / median(values) for name, values in times.items()}
    result = {
        "network": network,
        "channels": channels,
        "batch_size": batch_size,
        "device": device,
        "precision": precision,
        "threads": torch.get_num_threads(),
        "windows_a_second": rates,
        "ratio": rates["as trained"] / rates["as printed"],
    }
    if data is not None:
        decoded, loaded = _load(data, config)
        result |= {"decoded_frames_a_second": decoded, "loader_windows_a_second": loaded}
    return result | {"made_with": provenance()}


def _step(
    network: SegmentationNetwork,
    batch_size: int,
    device: str,
    precision: str,
    *,
    graphed: bool = False,
) -> Callable[[], None]:
    """A training step on one batch, which is the same every time; `graphed` as `fit` does it."""
    network = network.to(device).train()
    loss_of = BatchLoss(network)
    if graphed and device == "cuda":
        if note := fuse_steps(network, training=True):
            _logger.warning(note)
        if can_be_graphed(network):
            loss_of = GraphedLoss(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    config = network.config
    shape = (batch_size, config.window, config.height, config.width)
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (*shape, 3), dtype=torch.uint8, generator=generator).to(device)
    masks = torch.zeros(shape, dtype=torch.uint8, device=device)
    masks[..., : config.height // 4, : config.width // 8] = 1

    # As Lightning does it.
    autocast = partial(torch.autocast, device, torch.bfloat16, cache_enabled=False)

    def step() -> None:
        with autocast() if precision == "bf16" else nullcontext():
            loss = loss_of(frames, masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()  # waits for the device

    return step


def _load(data: Path, config: NetworkConfig) -> tuple[float, float]:
    """Frames a second that are decoded, and windows that one process then cuts out and augments."""
    began = time.perf_counter()
    windows = WindowDataset(
        data, window=config.window, width=config.width, height=config.height, augment=True
    )
    decoded = time.perf_counter()
    for number in range(LOADED_WINDOWS):
        windows[number % len(windows)]
    frames = sum(clip.metadata.frame_count for clip in windows.clips)
    return frames / (decoded - began), LOADED_WINDOWS / (time.perf_counter() - decoded)
