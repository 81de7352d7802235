"""A network as OpenVINO graphs: what there is of each model, and how one feeds the next.

`look` takes a single frame. The parts of each stage of the network's `judge` (see
SegmentationNetwork.stages) are graphs of their own, so that they run side by side, each with its
share of the threads: a part then never waits for a thread that another process has displaced, but
in the end. `finish` gives the probabilities. What a graph reads and gives is told by its ports'
names.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino

LOOK, FINISH = "look", "finish"
GRAPHS = ("weld_inspection", "graphs")  # where LOOK tells which graphs there are
LOOK_PORT = re.compile(rf"{LOOK}/(\d+)/(\d+)")


def part_name(stage: int, part: int) -> str:
    """Returns the name of a stage's part's graph, both counted from 1."""
    return f"stage_{stage}_{part}"


def look_port(tensor: int, frame: int) -> str:
    """Returns the name of a port that reads one of the tensors that LOOK gave for a frame."""
    return f"{LOOK}/{tensor}/{frame}"


def part_port(graph: str, track: int, frame: int) -> str:
    """Returns the name of a port by which a part gives a frame of a track, or another reads it."""
    return f"{graph}/{track}/{frame}"


def write_graphs(folder: Path, graphs: dict[str, openvino.Model]) -> None:
    """Writes the graphs of a network, in their order, into a folder.

    Raises:
        RuntimeError: OpenVINO cannot write there.
    """
    graphs[LOOK].set_rt_info(" ".join(graphs), list(GRAPHS))
    for name, graph in graphs.items():
        openvino.save_model(graph, str(folder / f"{name}.xml"), compress_to_fp16=False)


def read_graphs(folder: Path) -> dict[str, openvino.Model]:
    """Reads them back.

    Raises:
        RuntimeError: They are not there, damaged or of another format.
    """
    core = openvino.Core()
    look = core.read_model(str(folder / f"{LOOK}.xml"))
    names = look.get_rt_info(list(GRAPHS)).astype(str).split()
    return {LOOK: look} | {
        name: core.read_model(str(folder / f"{name}.xml")) for name in names if name != LOOK
    }


class GraphRunner:
    """The graphs of a network, compiled for the processor."""

    def __init__(self, graphs: dict[str, openvino.Model], hint: str) -> None:
        """Compiles the graphs.

        Args:
            graphs: By name, in the order in which they are computed.
            hint: OpenVINO's inference precision of what is not in int8, "f32" or "bf16".

        Raises:
            RuntimeError: OpenVINO cannot compile one of them.
        """
        core = openvino.Core()
        options = {
            "INFERENCE_PRECISION_HINT": hint,
            "PERFORMANCE_HINT": "LATENCY",
            # The other nodes of the system share the cores.
            "ENABLE_CPU_PINNING": False,
        }
        look = core.compile_model(graphs[LOOK], "CPU", options)
        threads = look.get_property("INFERENCE_NUM_THREADS")
        self._look = look.create_infer_request()
        self._shapes = [port.shape for port in self._look.model_outputs]
        # A stage's parts differ in the last number of their names; FINISH is the last stage.
        stages: dict[str, list[str]] = {}
        for name in graphs:
            if name != LOOK:
                stages.setdefault(name.rpartition("_")[0], []).append(name)
        self._requests: dict[str, openvino.InferRequest] = {}
        self._stages: list[list[openvino.InferRequest]] = []
        for names in stages.values():
            share = options | {"INFERENCE_NUM_THREADS": max(1, threads // len(names))}
            for name in names:
                compiled = core.compile_model(graphs[name], "CPU", share)
                self._requests[name] = compiled.create_infer_request()
            self._stages.append([self._requests[name] for name in names])
        self._connect()

    def infer(self, window: np.ndarray) -> np.ndarray:
        """(T, H, W, 3) uint8 to (T, H, W) float32: `judge` of the looks at all frames."""
        return self.judge([self.look(frame) for frame in window])

    def look(self, frame: np.ndarray) -> list[openvino.Tensor]:
        """(H, W, 3) uint8 to what `judge` reads of a frame."""
        # Written into tensors of their own, which outlive the next look.
        parts = [openvino.Tensor(openvino.Type.f32, shape) for shape in self._shapes]
        for number, part in enumerate(parts):
            self._look.set_output_tensor(number, part)
        self._look.set_input_tensor(openvino.Tensor(np.ascontiguousarray(frame)))
        self._look.infer()
        return parts

    def judge(self, looks: Sequence[list[openvino.Tensor]]) -> np.ndarray:
        """The looks at T frames to (T, H, W) float32."""
        for request, number, tensor, frame in self._reads:
            request.set_input_tensor(number, looks[frame][tensor])
        for requests in self._stages:
            for request in requests:
                request.start_async()
            for request in requests:
                request.wait()
        return self._requests[FINISH].get_output_tensor().data.copy()

    def inputs(self) -> dict[str, list[np.ndarray]]:
        """Copies of what each graph but LOOK read in the last `judge`."""
        return {
            name: [
                request.get_input_tensor(number).data.copy()
                for number in range(len(request.model_inputs))
            ]
            for name, request in self._requests.items()
        }

    def _connect(self) -> None:
        """Lets each graph read where the ones before it write."""
        given: dict[str, openvino.Tensor] = {}
        # Input `number` of a request is tensor `tensor` of the look at frame `frame`.
        self._reads: list[tuple[openvino.InferRequest, int, int, int]] = []
        for request in self._requests.values():
            for number, port in enumerate(request.model_inputs):
                name = port.get_any_name()
                if of_look := LOOK_PORT.fullmatch(name):
                    self._reads.append((request, number, int(of_look[1]), int(of_look[2])))
                else:
                    request.set_input_tensor(number, given[name])
            for number, port in enumerate(request.model_outputs):
                tensor = openvino.Tensor(openvino.Type.f32, port.shape)
                request.set_output_tensor(number, tensor)
                given[port.get_any_name()] = tensor
