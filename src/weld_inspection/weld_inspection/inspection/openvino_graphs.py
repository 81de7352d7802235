"""A network as OpenVINO graphs: what there is of each model, and how one feeds the next.

`look` takes a single frame, and `step` what it gave, with the state that `step` left at the frame
before; a network that does not run forwards in time has no `step`. The parts of each stage of the
network's `judge` (see SegmentationNetwork.stages) are graphs of their own, so that they run side by
side, each with its share of the threads: a part then never waits for a thread that another process
has displaced, but in the end. `finish` gives the probabilities. What a graph reads and gives is
told by its ports' names.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import openvino
from openvino.preprocess import PrePostProcessor

LOOK, STEP, FINISH = "look", "step", "finish"
GRAPHS = ("weld_inspection", "graphs")  # where LOOK tells which graphs there are
PORT = re.compile(r"(\w+)/(\d+)/(\d+)")
STATE = "state"  # what STEP reads of the frame before

# The one Core of this process, there to its end. The processor's plugin of each gives the thread
# that loads it a signal stack large enough for AMX (openvinotoolkit/openvino pull request 11894)
# and, as it goes, puts back the one it found. Of two that go in the order in which they came, the
# second puts back the first's, which is freed: the next signal then ends the process.
CORE = openvino.Core()


def part_name(stage: int, part: int) -> str:
    """Returns the name of a stage's part's graph, both counted from 1."""
    return f"stage_{stage}_{part}"


def port_name(graph: str, track: int, frame: int) -> str:
    """Returns the name of a port by which a graph gives a frame of a track, or another reads it.

    LOOK gives but one frame, and so does STEP, whose last track is the state. In STEP's names for
    what it reads, every frame is 0.
    """
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
    look = CORE.read_model(str(folder / f"{LOOK}.xml"))
    names = look.get_rt_info(list(GRAPHS)).astype(str).split()
    return {LOOK: look} | {
        name: CORE.read_model(str(folder / f"{name}.xml")) for name in names if name != LOOK
    }


class Types(NamedTuple):
    """What graphs compute in.

    Attributes:
        hint: OpenVINO's inference precision of what is not in int8, "f32" or "bf16".
        handed_over: Type of what one graph reads of another, "f32" or "bf16".
    """

    hint: str
    handed_over: str


FP32 = Types("f32", "f32")


def types_of(precision: str) -> Types:
    """Returns what a precision computes in on this processor.

    bf16 hands over in fp32: with hidden states and cells in bf16, masks of bi-CRRN-ED agree with
    fp32's in less than 99.5 % of defect pixels. Where the processor has no bf16, int8 has fp32
    beside it.

    Args:
        precision: "fp32", "bf16" or "int8".
    """
    if precision == "bf16":
        return Types("bf16", "f32")
    if precision == "int8" and "BF16" in CORE.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return Types("bf16", "bf16")
    return FP32


class GraphRunner:
    """The graphs of a network, compiled for the processor."""

    def __init__(self, graphs: dict[str, openvino.Model], types: Types) -> None:
        """Compiles the graphs.

        Args:
            graphs: By name, in the order in which they are computed.
            types: What they compute in.

        Raises:
            RuntimeError: OpenVINO cannot compile one of them.
        """
        options = {
            "INFERENCE_PRECISION_HINT": types.hint,
            "PERFORMANCE_HINT": "LATENCY",
            # The other nodes of the system share the cores.
            "ENABLE_CPU_PINNING": False,
        }
        if types.handed_over == "bf16":
            graphs = {name: _with_bf16_ports(graph, name) for name, graph in graphs.items()}
        look = CORE.compile_model(graphs[LOOK], "CPU", options)
        threads = look.get_property("INFERENCE_NUM_THREADS")
        self._look = look.create_infer_request()
        # A stage's parts differ in the last number of their names; FINISH is the last stage.
        stages: dict[str, list[str]] = {}
        self._step: Step | None = None
        for name in graphs:
            if name == STEP:
                self._step = Step(CORE.compile_model(graphs[STEP], "CPU", options))
            elif name != LOOK:
                stages.setdefault(name.rpartition("_")[0], []).append(name)
        self._requests: dict[str, openvino.InferRequest] = {}
        self._stages: list[list[openvino.InferRequest]] = []
        for names in stages.values():
            share = options | {"INFERENCE_NUM_THREADS": max(1, threads // len(names))}
            for name in names:
                compiled = CORE.compile_model(graphs[name], "CPU", share)
                self._requests[name] = compiled.create_infer_request()
            self._stages.append([self._requests[name] for name in names])
        self._connect()

    def infer(self, window: np.ndarray) -> np.ndarray:
        """(T, H, W, 3) uint8 to (T, H, W) float32: all of what follows."""
        looks = [self.look(frame) for frame in window]
        given, state = [], None
        for look in looks:
            added, state = self.advance(look, state)
            given.append(added)
        return self.judge(looks, given, state)

    def look(self, frame: np.ndarray) -> list[openvino.Tensor]:
        """(H, W, 3) uint8 to what `advance` and `judge` read of a frame."""
        parts = _own_outputs(self._look)
        self._look.set_input_tensor(openvino.Tensor(np.ascontiguousarray(frame)))
        self._look.infer()
        return parts

    def advance(
        self, look: Sequence[openvino.Tensor], state: Sequence[openvino.Tensor] | None
    ) -> tuple[list[openvino.Tensor], list[openvino.Tensor]]:
        """A frame's look and the state before it, None at first, to what it adds and the next."""
        return ([], []) if self._step is None else self._step.run(look, state)

    def judge(
        self,
        looks: Sequence[Sequence[openvino.Tensor]],
        given: Sequence[Sequence[openvino.Tensor]],
        state: Sequence[openvino.Tensor],
    ) -> np.ndarray:
        """What T frames came to, and the state after the last, to (T, H, W) float32."""
        for request, number, graph, track, frame in self._reads:
            if graph == LOOK:
                tensor = looks[frame][track]
            elif track < len(given[0]):
                tensor = given[frame][track]
            else:
                tensor = state[frame]
            request.set_input_tensor(number, tensor)
        for requests in self._stages:
            for request in requests:
                request.start_async()
            for request in requests:
                request.wait()
        return self._requests[FINISH].get_output_tensor().data.copy()

    def read_by(self, name: str) -> list[np.ndarray]:
        """Copies of what a graph read when it ran last."""
        if name == LOOK:
            request = self._look
        else:
            request = self._step.request if name == STEP else self._requests[name]
        numbers = range(len(request.model_inputs))
        return [request.get_input_tensor(number).data.copy() for number in numbers]

    def _connect(self) -> None:
        """Lets each graph read where the ones before it write."""
        given: dict[str, openvino.Tensor] = {}
        # Input `number` of a request is a frame of a track of LOOK or STEP.
        self._reads: list[tuple[openvino.InferRequest, int, str, int, int]] = []
        for request in self._requests.values():
            for number, port in enumerate(request.model_inputs):
                name = port.get_any_name()
                graph, track, frame = _parse(name)
                if graph in (LOOK, STEP):
                    self._reads.append((request, number, graph, track, frame))
                else:
                    request.set_input_tensor(number, given[name])
            for port, tensor in zip(request.model_outputs, _own_outputs(request), strict=True):
                given |= dict.fromkeys(port.get_names(), tensor)


class Step:
    """The graph STEP, ready to run.

    Attributes:
        request: That runs it.
    """

    def __init__(self, compiled: openvino.CompiledModel) -> None:
        """Finds out what its ports are."""
        self.request = compiled.create_infer_request()
        self._reads = [_parse(port.get_any_name()) for port in self.request.model_inputs]
        self._zeros = {
            frame: _tensor_of_zeros(port)
            for port, (graph, _, frame) in zip(self.request.model_inputs, self._reads, strict=True)
            if graph == STATE
        }
        gives = {
            _parse(name)[1:]: number
            for number, port in enumerate(self.request.model_outputs)
            for name in port.get_names()
        }
        last = max(track for track, _ in gives)
        self._given = [gives[track, 0] for track in range(last)]
        self._state = [gives[last, frame] for frame in range(len(self._zeros))]

    def run(
        self, look: Sequence[openvino.Tensor], state: Sequence[openvino.Tensor] | None
    ) -> tuple[list[openvino.Tensor], list[openvino.Tensor]]:
        """See GraphRunner.advance."""
        state = self._zeros if state is None else state
        for number, (graph, track, frame) in enumerate(self._reads):
            tensor = state[frame] if graph == STATE else look[track]
            self.request.set_input_tensor(number, tensor)
        outputs = _own_outputs(self.request)
        self.request.infer()
        return [outputs[n] for n in self._given], [outputs[n] for n in self._state]


def _with_bf16_ports(graph: openvino.Model, name: str) -> openvino.Model:
    """A graph that reads and gives in bf16 what it would in fp32, but FINISH's probabilities.

    OpenVINO computes what lies between the last convolution and an output in that output's type; in
    a recurrence that is nearly all but the convolutions.
    """
    graph = graph.clone()
    ports = PrePostProcessor(graph)
    for number, port in enumerate(graph.inputs):
        if port.get_element_type() == openvino.Type.f32:
            ports.input(number).tensor().set_element_type(openvino.Type.bf16)
    if name != FINISH:
        for number in range(len(graph.outputs)):
            ports.output(number).tensor().set_element_type(openvino.Type.bf16)
    return ports.build()


def _tensor_of_zeros(port: openvino.ConstOutput) -> openvino.Tensor:
    """A tensor of zeros for a port."""
    tensor = openvino.Tensor(port.get_element_type(), port.shape)
    tensor.data[...] = 0
    return tensor


def _own_outputs(request: openvino.InferRequest) -> list[openvino.Tensor]:
    """Lets a request write into tensors of their own, which outlive its next run."""
    outputs = request.model_outputs
    tensors = [openvino.Tensor(port.get_element_type(), port.shape) for port in outputs]
    for number, tensor in enumerate(tensors):
        request.set_output_tensor(number, tensor)
    return tensors


def _parse(name: str) -> tuple[str, int, int]:
    """Graph, track and frame of a port's name."""
    graph, track, frame = PORT.fullmatch(name).groups()
    return graph, int(track), int(frame)
