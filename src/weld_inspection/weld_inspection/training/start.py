"""How a training starts from the weights of a model, of the same or a related network."""

import logging
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from weld_inspection.errors import InspectionError
from weld_inspection.networks.bi_crrn_e import BiCrrnE
from weld_inspection.networks.bi_crrn_ed import BiCrrnEd
from weld_inspection.networks.cstm import CSTM
from weld_inspection.networks.unet import UNet
from weld_inspection.networks.weights import PAPER_THRESHOLD, load_model
from weld_inspection.networks.window_network import WindowNetwork

_logger = logging.getLogger(__name__)

# A new ST-Decoder hands on what it reads: its input and output gates are open, the middle of its
# candidate's kernel undoes what they still hold back, its forget gate is shut, and its other
# weights are small.
OPEN, SHUT = 2.0, -3.0  # added to the gates' biases
HANDED_ON = (1 + math.exp(-OPEN)) ** 2
SMALL = 0.3


def data_behind(training: dict[str, Any]) -> set[str]:
    """Tells which sets of clips a model has learned from, as far as its file tells.

    Args:
        training: What its training wrote about itself.

    Returns:
        Names with digests: of its training, of those of the models that it started from or was
        taught by, and, of a mean, of all its members'.
    """
    if "mean_of" in training:
        return set().union(*(data_behind(member) for member in training["mean_of"]))
    return {*training.get("data", ()), *training.get("data_before", ())}


def clips_behind(training: dict[str, Any]) -> set[str]:
    """Tells which clips a model has learned from, as `data_behind` tells the sets.

    Args:
        training: What its training wrote about itself; files of earlier versions tell sets alone.

    Returns:
        The first digits of their digests, see `data_set.short_clip_digests`.
    """
    if "mean_of" in training:
        return set().union(*(clips_behind(member) for member in training["mean_of"]))
    return set(training.get("clips", ()))


def take_over(network: nn.Module, path: Path, held: Collection[str] = ()) -> set[str]:
    """Copies the weights of a model file into a network where names and shapes agree.

    Of a U-Net it takes what a recurrent network's own U-Net can have of it.

    A bi-CRRN-ED also takes over the ST-Encoder of a bi-CRRN-E. Each of its encoders then reads what
    the E's layer read of that direction alone, and its attention maps are zero. Where its decoders
    read what the encoders give, they hand it on, so that the features resemble the E's.

    Args:
        network: Receives the weights.
        path: Model file, of the same or a related network.
        held: Names of tensors that stay as they are: another model's.

    Returns:
        Names of the tensors that are now the file's or made of them.

    Raises:
        InspectionError: The file cannot be loaded or nothing in it fits.
    """
    model = load_model(path)
    source = model.network
    own, given = network.state_dict(), source.state_dict()
    if isinstance(source, UNet) and isinstance(network, WindowNetwork):
        given = {f"unet.{name.removeprefix('network.')}": given[name] for name in given}
    fitting = {
        name: value
        for name, value in given.items()
        if name in own and name not in held and own[name].shape == value.shape
    }
    network.load_state_dict(own | fitting)
    taken = set(fitting)
    stacks = any("_stack." in name for name in held)
    if isinstance(network, BiCrrnEd) and isinstance(source, BiCrrnE) and not stacks:
        taken |= _take_over_encoders(network, source)
    if not any(own[name].ndim > 1 for name in taken):  # biases alone are no start
        raise InspectionError(f"no weights of {path} fit this network: start from a related one")
    if model.threshold != PAPER_THRESHOLD:
        _logger.warning(
            f"{path} has threshold {model.threshold:g}, tuned for its weights; the trained model "
            f"gets the paper's {PAPER_THRESHOLD:g}: tune it with `evaluate --tune`"
        )
    for name, what in (("skip", "a skip connection"), ("unet_channels", "a U-Net beside it")):
        value = getattr(source.config, name)
        if value and getattr(network.config, name) != value:
            _logger.warning(
                f"{path} has {what}, and this network has none like it: its S-Decoder begins worse "
                f"than it was. To keep it, give network_options: {{{name}: {str(value).lower()}}} "
                "in --config"
            )
    return taken


def keep_statistics(network: nn.Module, taken: set[str]) -> None:
    """Lets the batch normalisation whose statistics were taken over go on using them.

    Those of short trainings, on few windows in a step and perhaps on parts of frames around
    defects, are worse.

    Args:
        network: In training mode.
        taken: Names of the tensors that were taken over.
    """
    for name, module in network.named_modules():
        if isinstance(module, _BatchNorm) and f"{name}.running_mean" in taken:
            module.eval()


@torch.no_grad()
def _take_over_encoders(network: BiCrrnEd, source: BiCrrnE) -> set[str]:
    """Lets a bi-CRRN-ED begin with the ST-Encoder of a bi-CRRN-E, if it is of its size."""
    own_size, size = (
        (n.config.channels, n.config.layers, n.config.kernel_size) for n in (network, source)
    )
    if own_size != size:
        return set()
    channels = source.config.channels
    taken = set()
    for half, (name, stack, layers) in enumerate(
        (
            ("forward_stack", network.forward_stack, source.forward_layers),
            ("backward_stack", network.backward_stack, source.backward_layers),
        )
    ):
        columns = slice(half * channels, (half + 1) * channels)
        for number, (own, layer) in enumerate(zip(stack.encoder, layers, strict=True)):
            state = layer.state_dict()
            if number:  # W and W_1x1 as they act on this direction's half of what E merges
                hidden = source.merge_hidden[number - 1].weight[:, columns]
                cell = source.merge_cell[number - 1].weight[:, columns]
                state["from_input.weight"] = _after(layer.from_input.weight, hidden)
                state["mix_lower.weight"] = _after(layer.mix_lower.weight, cell)
            fitting = {key: state[key] for key in own.state_dict() if key in state}
            own.load_state_dict(own.state_dict() | fitting)
            taken |= {f"{name}.encoder.{number}.{key}" for key in fitting}
        for attention in stack.attention:
            if attention is not None:
                attention.convolution.weight.zero_()
                attention.convolution.bias.zero_()
        if stack.decoder_input == "encoder":
            for layer in stack.decoder:
                _hand_on(layer)
    return taken


def _after(kernel: Tensor, merge: Tensor) -> Tensor:
    """The kernel of a convolution (K, C, y, x) after a 1x1 convolution (C, D, 1, 1)."""
    return torch.einsum("kcyx,cd->kdyx", kernel, merge[:, :, 0, 0])


def _hand_on(layer: CSTM) -> None:
    """Makes a layer hand on what it reads, squeezed by two tanh."""
    channels = layer.from_input.in_channels
    middle = layer.from_input.kernel_size[0] // 2
    layer.from_input.weight.mul_(SMALL)
    layer.from_hidden.weight.mul_(SMALL)
    every = torch.arange(channels)
    layer.from_input.weight[every, every, middle, middle] += HANDED_ON  # g, the first of the gates
    for gate, bias in ((1, OPEN), (2, SHUT), (3, OPEN)):
        layer.from_input.bias[gate * channels : (gate + 1) * channels] += bias
