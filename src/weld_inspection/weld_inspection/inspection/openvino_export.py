"""OpenVINO's files of a model: made of the weights, beside them, again when they change."""

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import openvino
import torch
from torch import Tensor, nn

from weld_inspection.errors import InspectionError, first_line
from weld_inspection.inspection.openvino_graphs import (
    FINISH,
    FIRST_STEP,
    FP32,
    LOOK,
    STATE,
    STEP,
    GraphRunner,
    part_name,
    port_name,
    read_graphs,
    types_of,
    write_graphs,
)
from weld_inspection.inspection.preprocessing import resize_frame
from weld_inspection.inspection.torch_backend import TorchBackend, normalise
from weld_inspection.networks.cstm import AttentionMap
from weld_inspection.networks.equalised import equalised
from weld_inspection.networks.gatewise import gatewise, replace_layers
from weld_inspection.networks.segmentation_network import SegmentationNetwork, Track
from weld_inspection.networks.spatial import SkipConnection, SpatialDecoder
from weld_inspection.networks.subpixel import (
    SubpixelAttention,
    SubpixelDecoder,
    SubpixelLast,
    SubpixelSkip,
)
from weld_inspection.networks.weights import Model, file_hash, load_model
from weld_inspection.simulation.weld import SimulatedWeld

Graphs = dict[str, openvino.Model]

TRIED_WINDOWS = 2
LARGEST_DIFFERENCE = 1e-3  # of a probability, in fp32
# One more whenever the files' layout changes, or what they compute of the same weights.
FORMAT = "15"
KINDS = ("float", "int8")
MADE_OF = ("weld_inspection", "weights")  # where a file says which weights it was made of
AGREEMENT = ("weld_inspection", "agreement")  # and how its int8 masks agree with fp32's
# The convolutions that are computed in int8, by their modules: the gates', which are nearly all of
# the work, and the large ones around them. The others are small, or decide how much is left of a
# pixel's 8 bits (the first of S-Encoder and U-Net) or what the mask is (the last of all).
GATE_MODULES = ("from_input", "from_hidden")
UNET_LEVELS = ("down_1", "down_2", "down_3", "down_4", "upcat_4", "upcat_3", "upcat_2", "upcat_1")
INT8_MODULES = (
    *GATE_MODULES,
    "spatial_encoder.layers.3",
    "network.skip",
    "spatial_decoder.first",
    "spatial_decoder.third",
    "unet.conv_0.conv_1",
    *(f"unet.{level}" for level in UNET_LEVELS),
)
CONVOLUTIONS = ("Convolution", "ConvolutionBackpropData")  # the latter is a transposed one
# What int8 ranges are taken from: welds that nothing is trained on or judged by.
CALIBRATION_WINDOWS = 12
CALIBRATION_SEED = 900_000
# What int8 masks are then held against fp32's by.
AGREEMENT_WINDOWS = 6
AGREEMENT_SEED = 901_000
SAMPLE_RIGS = ("automatic", "manual")
SAMPLE_FRAME_RATE = 20.0  # Hz
SAMPLE_DENSITY = 40.0  # defects to a metre
SAMPLE_DURATION = 16.0  # s


class NoGatesError(InspectionError):
    """A network has no gates, which are nearly all that is computed in int8."""


def exported(path: Path, kind: str = "float") -> Path:
    """Returns the folder of a model's OpenVINO files, made if they are not there or are of others.

    They are made anew by other versions of the libraries, and those in int8 on a processor whose
    int8 masks may be others.

    The folder stands beside the weights, or, where nothing can be written there, in the user's
    cache. It appears whole or not at all.

    Args:
        path: Model file.
        kind: "float" for fp32 and bf16, or "int8".

    Returns:
        Folder for `openvino_graphs.read_graphs`.

    Raises:
        ModelError: The model file cannot be used.
        NoGatesError: The network has nothing to compute in int8.
        InspectionError: OpenVINO cannot take the network over, or the files cannot be written.
    """
    if kind not in KINDS:
        raise InspectionError(f"there is no export {kind!r}: give one of {', '.join(KINDS)}")
    places = _places(path, kind)
    for folder, mark in places:
        if mark and _read(folder, mark):
            return folder
    model = load_model(path)
    for folder, mark in places:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        except OSError as error:
            reason = error
            continue
        try:
            _write(model, kind, unfinished, mark)
            unfinished.chmod(0o755)  # mkdtemp's folder is its maker's alone
            if _read(folder, mark):
                return folder  # another process was faster, and may be reading it
            if folder.exists():
                shutil.rmtree(folder)
            unfinished.replace(folder)
        except OSError as error:  # another process may have put its own there in between
            if not _read(folder, mark):
                raise InspectionError(f"cannot write {folder}: {error.strerror}") from error
        except RuntimeError as error:  # of OpenVINO or NNCF, about whatever the network does
            raise InspectionError(
                f"OpenVINO cannot export {path} as {kind} ({first_line(error)}): use backend torch"
            ) from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return folder
    raise InspectionError(f"cannot write {folder}: {reason.strerror}")


def _places(path: Path, kind: str) -> list[tuple[Path, str]]:
    """Where the files of a model may lie, and what they then say that they were made of."""
    path = path.resolve()  # beside the weights, not beside a link to them
    mark = ""
    if path.is_file():
        mark = f"{file_hash(path)} {FORMAT}, openvino {version('openvino')}"
        if kind == "int8":
            mark += f", nncf {version('nncf')}, {_processor()}"
    name = f"{path.stem}.openvino_{kind}"
    # In the cache models of any folder meet, and many are called model.safetensors.
    cached = _cache() / f"{name}_{mark.partition(' ')[0]}"
    return [(folder, mark) for folder in (path.parent / name, cached)]


def _processor() -> str:
    """What int8 masks depend on in a processor, and with them what was found of their agreement.

    Without VNNI sums of products may saturate; without bf16 fp32 stands beside int8.
    """
    vnni = "vnni" if torch.cpu._is_vnni_supported() else "no vnni"
    return f"{vnni}, {types_of('int8').hint} beside"


class Look(nn.Module):
    """A frame as the camera gives it, (H, W, 3) uint8 RGB, to what `judge` takes of it."""

    def __init__(self, network: SegmentationNetwork) -> None:
        """Wraps a network."""
        super().__init__()
        self.network = network

    def forward(self, frame: Tensor) -> tuple[Tensor, ...]:
        """Returns the network's look at one frame, (1, ...) each."""
        return tuple(self.network.look(normalise(frame.permute(2, 0, 1).unsqueeze(0))))


class PartOfNetwork(nn.Module):
    """A part of a network's work on a window, with its tracks' tensors one by one."""

    def __init__(
        self, network: SegmentationNetwork, work: Callable[..., Sequence[Track]], tracks: list
    ) -> None:
        """Wraps a part.

        Args:
            network: Whose part it is.
            work: What it does.
            tracks: Examples of the tracks that it reads.
        """
        super().__init__()
        self.network, self.work = network, work
        self.lengths = [len(track) for track in tracks]

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Returns what the part gives, track by track, each tensor once."""
        left = iter(tensors)
        tracks = [list(islice(left, length)) for length in self.lengths]
        given = chain.from_iterable(self.work(*tracks))
        return tuple({id(tensor): tensor for tensor in given}.values())


def _write(model: Model, kind: str, folder: Path, mark: str) -> None:
    config, network = model.config, model.network
    size = (config.window, config.width, config.height)
    if kind == "int8":
        windows = list(sample_windows(CALIBRATION_SEED, CALIBRATION_WINDOWS, *size))
        frames = normalise(torch.from_numpy(np.concatenate(windows))).permute(0, 3, 1, 2)
        network = equalised(network, frames)
    network = replace_layers(gatewise(network), SpatialDecoder, SubpixelDecoder)
    network = replace_layers(network, SkipConnection, SubpixelSkip)
    network = replace_layers(network, AttentionMap, SubpixelAttention)
    if config.unet_channels:
        network.unet.final_conv = SubpixelLast(network.unet.final_conv)
    network.eval().requires_grad_(False)
    graphs = _graphs(network)
    runner = GraphRunner(graphs, FP32)
    _check(model, runner)
    if kind == "int8":
        nodes = chain.from_iterable(graph.get_ops() for graph in graphs.values())
        if not any(_is_convolution_of(GATE_MODULES, node) for node in nodes):
            raise NoGatesError(
                f"{config.architecture} has no gates to compute in int8: use bf16 or fp32"
            )
        for name, samples in _samples(graphs, runner, windows).items():
            graphs[name] = _quantise(graphs[name], samples)
        windows = list(sample_windows(AGREEMENT_SEED, AGREEMENT_WINDOWS, *size))
        agreement = _agreement(model, graphs, windows)
        graphs[LOOK].set_rt_info(f"{agreement:.4f}", list(AGREEMENT))
    for graph in graphs.values():
        graph.set_rt_info(mark, list(MADE_OF))
    try:
        write_graphs(folder, graphs)
    except RuntimeError as error:
        raise InspectionError(f"OpenVINO cannot write into {folder}") from error


class NamedTrack(NamedTuple):
    """An example of a track, and how its tensors are called in graphs that read it."""

    track: Track
    names: list[str]

    @classmethod
    def numbered(cls, graph: str, number: int, track: Track) -> "NamedTrack":
        """Names a track that a graph gives.

        Args:
            graph: Its name.
            number: Of the track, from 0.
            track: An example.
        """
        return cls(track, [port_name(graph, number, frame) for frame in range(len(track))])


def _graphs(network: SegmentationNetwork) -> Graphs:
    """Converts a network's `look`, its `advance` and the parts of its `judge`."""
    config = network.config
    size = (config.height, config.width)
    look = Look(network)
    frame = torch.zeros(*size, 3, dtype=torch.uint8)
    graphs = {LOOK: _convert(look, (frame,))}
    seen = look(frame)
    tracks = [
        NamedTrack.numbered(LOOK, number, [example] * config.window)
        for number, example in enumerate(seen)
    ]
    if (causal := network.causal()) is not None:
        read = [NamedTrack.numbered(LOOK, n, [seen[n]]) for n in causal.reads]

        def first_step(*frame: Track) -> list[Track]:
            return step(*frame, None)

        def step(*tracks: Track | None) -> list[Track]:
            *frame, state = tracks
            given, state = causal.step(*(tensor for (tensor,) in frame), state)
            return [*([tensor] for tensor in given), state]

        graphs[FIRST_STEP], (*_, (state, _)) = _convert_part(network, FIRST_STEP, first_step, read)
        read.append(NamedTrack(state, [port_name(STATE, 0, n) for n in range(len(state))]))
        graphs[STEP], (*given, state) = _convert_part(network, STEP, step, read)
        for number, ((example,), _) in enumerate(given):
            tracks.append(NamedTrack.numbered(STEP, number, [example] * config.window))
        tracks.append(state)

    def finish(*tracks: Track) -> list[Track]:
        logits = network.finish(tracks, size)  # SubpixelDecoder gives the defect's alone
        return [[torch.sigmoid(logits[0, :, -1])]]

    for stage, members in enumerate(network.stages(), 1):
        added = []
        for number, part in enumerate(members, 1):
            name = part_name(stage, number)
            read = [tracks[n] for n in part.reads]
            graphs[name], given = _convert_part(network, name, part.work, read)
            added += given
        tracks = tracks + added
    graphs[FINISH], _ = _convert_part(network, FINISH, finish, network.finish_reads(tracks))
    return graphs


def _convert_part(
    network: SegmentationNetwork,
    name: str,
    work: Callable[..., Sequence[Track]],
    read: Sequence[NamedTrack],
) -> tuple[openvino.Model, list[NamedTrack]]:
    """Converts a part of a network's work.

    Args:
        network: Whose part it is.
        name: Of the graph.
        work: What the part does.
        read: The tracks that it reads.

    Returns:
        The graph, and the tracks that it gives.
    """
    tracks = [named.track for named in read]
    part = PartOfNetwork(network, work, tracks)
    graph = _convert(part, tuple(chain.from_iterable(tracks)))
    given = [NamedTrack.numbered(name, n, track) for n, track in enumerate(work(*tracks))]
    wanted = [{port} for named in read for port in named.names]
    outputs: dict[int, set[str]] = {}  # the names of each tensor, which may be in several tracks
    for track, names in given:
        for tensor, port in zip(track, names, strict=True):
            outputs.setdefault(id(tensor), set()).add(port)
    wanted += outputs.values()
    ports = [*graph.inputs, *graph.outputs]
    for port, names in zip(ports, wanted, strict=False):
        port.get_tensor().set_names(names)
    if [port.get_names() for port in ports] != wanted:
        raise InspectionError(
            f"OpenVINO cannot take {network.config.architecture} over ({name} gives what it has "
            "read): use backend torch"
        )
    return graph, given


def _convert(module: nn.Module, example: tuple[Tensor, ...]) -> openvino.Model:
    """Converts a module; its inputs get the example's shapes."""
    from openvino import PartialShape
    from openvino.frontend import FrontEndManager, OpConversionFailure
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    # By the front end itself: openvino.convert_model would report its use over the network.
    frontend = FrontEndManager().load_by_framework("pytorch")
    try:
        with warnings.catch_warnings():  # of what tracing does to sizes, which are fixed here
            warnings.simplefilter("ignore")
            decoder = TorchScriptPythonDecoder(module.eval(), example_input=example)
        graph = frontend.convert(frontend.load(decoder))  # needs the decoder until it is done
    except (RuntimeError, TypeError, ValueError, OpConversionFailure) as error:
        name = module.network.config.architecture
        raise InspectionError(
            f"OpenVINO cannot take {name} over ({first_line(error)}): use backend torch"
        ) from error
    shapes = zip(graph.inputs, example, strict=True)
    graph.reshape({port: PartialShape(list(value.shape)) for port, value in shapes})
    return graph


def _check(model: Model, runner: GraphRunner) -> None:
    """Raises where the converted network answers otherwise than the network itself.

    A conversion follows what one window makes a network do. One that does different things for
    different windows would be converted without a word.
    """
    config = model.config
    shape = (TRIED_WINDOWS, config.window, config.height, config.width, 3)
    windows = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    reference = TorchBackend(model.network, "cpu", "fp32")
    for window in windows:
        difference = float(np.abs(runner.infer(window) - reference.infer(window)).max())
        if not difference < LARGEST_DIFFERENCE:
            raise InspectionError(
                f"OpenVINO cannot take {config.architecture} over (its answers differ by "
                f"{difference:.2g}): use backend torch"
            )


def _samples(graphs: Graphs, runner: GraphRunner, windows: Sequence[np.ndarray]) -> dict[str, list]:
    """What each graph that has convolutions for int8 reads of some windows."""
    samples: dict[str, list] = {
        name: []
        for name, graph in graphs.items()
        if any(_is_convolution_of(INT8_MODULES, node) for node in graph.get_ops())
    }

    def keep(names: Iterable[str]) -> None:
        for name in names:
            samples[name].append(runner.read_by(name))

    of_frames = {LOOK, FIRST_STEP, STEP}
    for window in windows:
        looks, given = [], []
        for frame in window:
            looks.append(runner.look(frame))
            step = STEP if given else FIRST_STEP
            given.append(runner.advance(looks[-1], given[-1] if given else None))
            keep(samples.keys() & {LOOK, step})
        runner.judge(looks, given)
        keep(samples.keys() - of_frames)
    return samples


def _quantise(graph: openvino.Model, samples: list) -> openvino.Model:
    """Puts INT8_MODULES' convolutions into int8, with ranges as the samples show them."""
    os.environ.setdefault("NNCF_CI", "1")  # no report of its use over the network
    import logging

    import nncf
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    nncf.set_log_level(logging.ERROR)
    names = [
        node.get_friendly_name()
        for node in graph.get_ops()
        if node.get_type_name() != "Constant" and not _is_convolution_of(INT8_MODULES, node)
    ]
    return nncf.quantize(
        graph,
        nncf.Dataset(samples),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(samples),
        ignored_scope=nncf.IgnoredScope(names=names, validate=False),
        advanced_parameters=AdvancedQuantizationParameters(
            # The whole range that the samples show. NNCF's own choice is the mean of their ranges,
            # and cuts off what is strong, which is what defects are.
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
            # A bit of the first weights would be given up for processors without VNNI.
            overflow_fix=OverflowFix.DISABLE,
            # There is no shift to correct, as measured.
            disable_bias_correction=True,
        ),
    )


def _is_convolution_of(modules: Sequence[str], node: openvino.Node) -> bool:
    """Whether a node is a convolution of one of `modules`."""
    module = node.get_friendly_name().partition("/")[0] + "."
    return node.get_type_name() in CONVOLUTIONS and any(f".{m}." in module for m in modules)


def _agreement(model: Model, graphs: Graphs, windows: Sequence[np.ndarray]) -> float:
    """How int8 masks agree with fp32's: intersection over union of their defect pixels."""
    runner = GraphRunner(graphs, types_of("int8"))
    reference = TorchBackend(model.network, "cpu", "fp32")
    both = either = 0
    for window in windows:
        found = runner.infer(window) > model.threshold
        wanted = reference.infer(window) > model.threshold
        both += np.count_nonzero(found & wanted)
        either += np.count_nonzero(found | wanted)
    return both / either if either else 0.0


def agreement(path: Path) -> float | None:
    """Returns how a model's int8 files agree with fp32.

    Args:
        path: Model file.

    Returns:
        Intersection over union of defect pixels, of simulated welds at the model's threshold; None
        where the files are not there, or are of other weights or another kind of processor.
    """
    for folder, mark in _places(path, "int8"):
        if mark and (graphs := _read(folder, mark)):
            return float(graphs[LOOK].get_rt_info(list(AGREEMENT)).astype(str))
    return None


def sample_windows(
    seed: int, count: int, length: int, width: int, height: int
) -> Iterator[np.ndarray]:
    """Renders windows (T, H, W, 3) uint8 RGB along two simulated welds full of defects.

    Args:
        seed: Of the first weld; the other has the next one.
        count: How many, half of them of each.
        length: T, frames.
        width: W, pixels.
        height: H, pixels.
    """
    for number, rig in enumerate(SAMPLE_RIGS):
        share = (count + number) // len(SAMPLE_RIGS)
        duration = max(SAMPLE_DURATION, 2 * share * length / SAMPLE_FRAME_RATE)
        weld = SimulatedWeld(seed + number, rig, duration, SAMPLE_FRAME_RATE, SAMPLE_DENSITY)
        for part in range(share):
            # The middles of equal parts: at the weld's ends there are no defects.
            first = round((part + 0.5) / share * weld.frame_count - length / 2)
            frames = (weld.image(first + k) for k in range(length))
            yield np.stack([resize_frame(frame, width, height) for frame in frames])


def _read(folder: Path, mark: str) -> Graphs | None:
    """The graphs of an export; None where there is none, or none of these weights."""
    try:
        graphs = read_graphs(folder)
        marks = {graph.get_rt_info(list(MADE_OF)).astype(str) for graph in graphs.values()}
    except (RuntimeError, OSError):  # cut off, of another format, or not to be read
        return None
    return graphs if marks == {mark} else None


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "weld_inspection"
