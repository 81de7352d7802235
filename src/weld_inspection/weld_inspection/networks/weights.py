"""Weights on disk: safetensors with the network's config in the file's metadata."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from weld_inspection.errors import InspectionError
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.registry import build_network
from weld_inspection.networks.segmentation_network import SegmentationNetwork
from weld_inspection.whole_files import write_whole

FORMAT = "weld_inspection.network.1"
HASH_DIGITS = 12
PAPER_THRESHOLD = 0.5


class ModelError(InspectionError):
    """A model file that cannot be used."""


@dataclass(frozen=True, slots=True)
class Model:
    """A network with its weights, as loaded from a file.

    Attributes:
        network: The module, in evaluation mode.
        config: Its options.
        model_id: File name and the first 12 digits of the file's SHA-256.
        training: What the training wrote about itself (data, seed, epochs, metrics).
        threshold: Probability above which a pixel is defect: the paper's, or the one that
            `evaluate --tune` found for these weights.
        tuned_on: Digests of the sets of clips that it was found on; none where it is the paper's,
            and in files of versions that did not keep them.
    """

    network: SegmentationNetwork
    config: NetworkConfig
    model_id: str
    training: dict[str, Any]
    threshold: float
    tuned_on: tuple[str, ...] = ()


def save_model(
    path: Path,
    network: SegmentationNetwork,
    training: dict[str, Any] | None = None,
    threshold: float = PAPER_THRESHOLD,
    dtype: torch.dtype | None = None,
    tuned_on: Sequence[str] = (),
) -> None:
    """Writes a network's weights and config; the file appears whole or not at all.

    Args:
        path: Ends in .safetensors.
        network: Made by `build_network`.
        training: Plain values about the training, kept in the file.
        threshold: Probability above which a pixel is defect.
        dtype: What floating point values are stored as; as they are where it is None.
        tuned_on: Digests of the sets of clips that the threshold was found on.

    Raises:
        ModelError: The file cannot be written.
    """
    metadata = {
        "format": FORMAT,
        "config": json.dumps(network.config.to_dict()),
        "training": json.dumps(training or {}),
        "threshold": json.dumps(threshold),
        "tuned_on": json.dumps(list(tuned_on)),
    }
    # Copies: a file holds no tensor twice, and a network may use one in two places.
    tensors = {
        name: value.to(dtype if dtype and value.is_floating_point() else value.dtype).clone(
            memory_format=torch.contiguous_format
        )
        for name, value in network.state_dict().items()
    }
    _write(path, tensors, metadata)


def store_threshold(path: Path, threshold: float, tuned_on: Sequence[str] = ()) -> str:
    """Writes another threshold into a model file and returns the file's new model_id.

    Args:
        path: A file that `save_model` wrote.
        threshold: Probability above which a pixel is defect.
        tuned_on: Digests of the sets of clips that it was found on.

    Raises:
        ModelError: The file cannot be used or written.
    """
    load_model(path)  # what cannot be used is left as it is
    metadata, tensors = _read(path)
    found = {"threshold": json.dumps(threshold), "tuned_on": json.dumps(list(tuned_on))}
    _write(path, tensors, metadata | found)
    return model_id_of(path)


def load_model(path: Path) -> Model:
    """Reads a network back.

    Args:
        path: A file that `save_model` wrote.

    Raises:
        ModelError: The file is absent, damaged, or not of a network that this version knows.
    """
    metadata, tensors = _read(path)
    if metadata.get("format") != FORMAT:
        raise ModelError(
            f"{path} is a safetensors file but holds no network of this project "
            f"(format {metadata.get('format')!r}, wanted {FORMAT!r})"
        )
    try:
        config = NetworkConfig.from_dict(json.loads(metadata["config"]))
        training = json.loads(metadata["training"])
        threshold = _read_threshold(metadata)
        tuned_on = tuple(json.loads(metadata.get("tuned_on", "[]")))
        network = build_network(config)
    except (InspectionError, KeyError, ValueError, TypeError) as error:
        raise ModelError(f"model file {path} has an unusable config: {error}") from error
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ModelError(
            f"the weights in {path} do not fit its architecture {config.architecture}: {reason}"
        ) from error
    return Model(network.eval(), config, model_id_of(path), training, threshold, tuned_on)


def _read(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Metadata and tensors of a file."""
    if not path.is_file():
        raise ModelError(f"no model file {path}: give the path of a .safetensors file")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return file.metadata() or {}, tensors
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"model file {path} is damaged ({error}): copy or export it again"
        ) from error


def _write(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, save(tensors, metadata))
    except OSError as error:
        raise ModelError(f"cannot write model file {path}: {error.strerror}") from error


def _read_threshold(metadata: dict[str, str]) -> float:
    """The threshold of a file; those written before files had one mean the paper's."""
    text = metadata.get("threshold", str(PAPER_THRESHOLD))
    try:
        threshold = float(text)
    except ValueError:
        threshold = math.nan
    if not 0 < threshold < 1:
        raise InspectionError(f"threshold {text!r} is not between 0 and 1")
    return threshold


def model_id_of(path: Path) -> str:
    """Returns what a model file is called in messages: its name and `file_hash`."""
    return f"{path.name}-{file_hash(path)}"


def file_hash(path: Path) -> str:
    """Returns the first 12 hexadecimal digits of a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:HASH_DIGITS]
