"""A network as OpenVINO graphs: what there is of each model, and how one feeds the next.

`look` takes a single frame, and `step` what it gave, with the state that `step` left at the frame
before; at a window's first frame, which has none before it, `first_step` does the same. A network
that does not run forwards in time has neither. A step and the next frame's look run beside each
other, each with half of the threads: with all, their many small layers keep twice the cores busy
for little less time. The parts of each stage of the network's `judge` (see
SegmentationNetwork.stages) are graphs of their own, so that they run side by side, each with its
share of the threads: a part then never waits for a thread that another process has displaced, but
in the end. `finish` gives the probabilities. What a graph reads and gives is told by its ports'
names.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import openvino
from openvino.preprocess import PrePostProcessor

LOOK, FIRST_STEP, STEP, FINISH = "look", "first_step", "step", "finish"
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

    What LOOK and both steps give is of frame 0, and so is the look that these read. Their last
    track is the state; in it, as in the one that STEP reads, a tensor's number stands for the
    frame.
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


class Outputs:
    """What a run of a request gives, for as long as somebody holds it.

    Attributes:
        failure: Why the run gave nothing, if it failed.
    """

    def __init__(self, tensors: list[openvino.Tensor], spare: list[list[openvino.Tensor]]) -> None:
        """Holds tensors, which are spare again when nobody holds this any more."""
        self._tensors, self._spare = tensors, spare
        self.failure: RuntimeError | None = None

    def __getitem__(self, number: int) -> openvino.Tensor:
        """Returns the output of that number.

        Raises:
            RuntimeError: The run failed.
        """
        if self.failure is not None:
            raise RuntimeError(str(self.failure)) from self.failure
        return self._tensors[number]

    def __del__(self) -> None:
        """Leaves the memory to a later run: fresh memory has to be mapped, page by page."""
        self._spare.append(self._tensors)


class OutputPool:
    """Lets a request write into tensors that outlive its next run."""

    def __init__(self, request: openvino.InferRequest) -> None:
        """Begins with none."""
        self._request = request
        self._kinds = [(port.get_element_type(), port.shape) for port in request.model_outputs]
        self._spare: list[list[openvino.Tensor]] = []

    def renew(self) -> Outputs:
        """Returns what the next run will write."""
        spare = self._spare
        tensors = spare.pop() if spare else [openvino.Tensor(*kind) for kind in self._kinds]
        for number, tensor in enumerate(tensors):
            self._request.set_output_tensor(number, tensor)
        return Outputs(tensors, spare)


class Read(NamedTuple):
    """What a graph of `judge` reads of what LOOK or STEP gave.

    Attributes:
        request: That runs the graph.
        number: Of its input.
        graph: LOOK or STEP.
        frame: Index in the window; -1, the last one, for the state.
        output: Number of LOOK's or STEP's output.
    """

    request: openvino.InferRequest
    number: int
    graph: str
    frame: int
    output: int


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
        finish = CORE.compile_model(graphs[FINISH], "CPU", options)
        threads = finish.get_property("INFERENCE_NUM_THREADS")
        half = options | {"INFERENCE_NUM_THREADS": max(1, threads // 2)}
        look = CORE.compile_model(graphs[LOOK], "CPU", half if STEP in graphs else options)
        self._look = look.create_infer_request()
        self._look_outputs = OutputPool(self._look)
        # A stage's parts differ in the last number of their names.
        stages: dict[str, list[str]] = {}
        self._step: Step | None = None
        for name in graphs:
            if name == STEP:
                names = (FIRST_STEP, STEP)
                self._step = Step(*(CORE.compile_model(graphs[n], "CPU", half) for n in names))
            elif name not in (LOOK, FIRST_STEP, FINISH):
                stages.setdefault(name.rpartition("_")[0], []).append(name)
        self._requests: dict[str, openvino.InferRequest] = {}
        self._stages: list[list[openvino.InferRequest]] = []
        for names in stages.values():
            share = options | {"INFERENCE_NUM_THREADS": max(1, threads // len(names))}
            for name in names:
                compiled = CORE.compile_model(graphs[name], "CPU", share)
                self._requests[name] = compiled.create_infer_request()
            self._stages.append([self._requests[name] for name in names])
        self._requests[FINISH] = finish.create_infer_request()
        self._stages.append([self._requests[FINISH]])
        self._connect()

    def infer(self, window: np.ndarray) -> np.ndarray:
        """(T, H, W, 3) uint8 to (T, H, W) float32: all of what follows."""
        looks, given = [], []
        for frame in window:
            looks.append(self.look(frame))
            given.append(self.advance(looks[-1], given[-1] if given else None))
        return self.judge(looks, given)

    def look(self, frame: np.ndarray) -> Outputs:
        """(H, W, 3) uint8 to what `advance` and `judge` read of a frame."""
        outputs = self._look_outputs.renew()
        self._look.set_input_tensor(openvino.Tensor(np.ascontiguousarray(frame)))
        self._look.infer()
        return outputs

    def advance(self, look: Outputs, before: Outputs | None) -> Outputs | None:
        """A frame's look and what this gave at the frame before, None at first.

        What is returned is still being written; whoever reads it waits first.

        Raises:
            RuntimeError: The frame before could not be computed.
        """
        return None if self._step is None else self._step.run(look, before)

    def judge(self, looks: Sequence[Outputs], given: Sequence[Outputs | None]) -> np.ndarray:
        """What T frames came to, to (T, H, W) float32.

        Raises:
            RuntimeError: One of them, or this, could not be computed.
        """
        if self._step is not None:
            self._step.wait()
        outputs = {LOOK: looks, STEP: given}
        for read in self._reads:
            read.request.set_input_tensor(read.number, outputs[read.graph][read.frame][read.output])
        for *others, request in self._stages:
            for other in others:
                other.start_async()
            try:
                request.infer()  # in this thread, instead of waiting in it
            finally:  # what still runs could take no next window
                for other in others:
                    other.wait()
        return self._requests[FINISH].get_output_tensor().data.copy()

    def read_by(self, name: str) -> list[np.ndarray]:
        """Copies of what a graph read when it ran last."""
        if name == LOOK:
            request = self._look
        elif name in (FIRST_STEP, STEP):
            self._step.wait()
            request = self._step.requests[name]
        else:
            request = self._requests[name]
        numbers = range(len(request.model_inputs))
        return [request.get_input_tensor(number).data.copy() for number in numbers]

    def _connect(self) -> None:
        """Lets each graph read where the ones before it write."""
        written: dict[str, openvino.Tensor] = {}
        self._reads: list[Read] = []
        for request in self._requests.values():
            for number, port in enumerate(request.model_inputs):
                name = port.get_any_name()
                graph, track, frame = _parse(name)
                if graph == LOOK:
                    self._reads.append(Read(request, number, LOOK, frame, track))
                elif graph == STEP and (output := self._step.state.get((track, frame))) is not None:
                    self._reads.append(Read(request, number, STEP, -1, output))
                elif graph == STEP:
                    output = self._step.given[track]
                    self._reads.append(Read(request, number, STEP, frame, output))
                else:
                    request.set_input_tensor(number, written[name])
            outputs = OutputPool(request).renew()
            for port, tensor in zip(request.model_outputs, outputs, strict=True):
                written |= dict.fromkeys(port.get_names(), tensor)


class Step:
    """The graphs FIRST_STEP and STEP, ready to run.

    Attributes:
        requests: That run them, by their names.
        given: Numbers of the outputs that are of a frame, by track.
        state: Numbers of those that the next frame reads, by their names' track and frame.
    """

    def __init__(self, first: openvino.CompiledModel, step: openvino.CompiledModel) -> None:
        """Finds out what their ports are; both give the same, in the same order."""
        graphs = {FIRST_STEP: first, STEP: step}
        self.requests = {name: graph.create_infer_request() for name, graph in graphs.items()}
        self._outputs = {name: OutputPool(request) for name, request in self.requests.items()}
        outputs = {
            _parse(name)[1:]: number
            for number, port in enumerate(step.outputs)
            for name in port.get_names()
        }
        last = max(track for track, _ in outputs)
        self.given = {track: number for (track, _), number in outputs.items() if track < last}
        self.state = {at: number for at, number in outputs.items() if at[0] == last}
        # By the inputs' numbers, which output of LOOK or of the step before each one is. The looks
        # come first, and so have the same numbers in both.
        inputs = [_parse(port.get_any_name()) for port in step.inputs]
        self._look = {n: track for n, (graph, track, _) in enumerate(inputs) if graph == LOOK}
        self._state = {
            n: self.state[last, frame]
            for n, (graph, _, frame) in enumerate(inputs)
            if graph == STATE
        }
        # The request that runs, and what it reads and writes, which must not become spare.
        self._running: tuple[openvino.InferRequest, Outputs, tuple] | None = None

    def run(self, look: Outputs, before: Outputs | None) -> Outputs:
        """See GraphRunner.advance; returns when it has begun."""
        self.wait()
        name = FIRST_STEP if before is None else STEP
        request = self.requests[name]
        for number, track in self._look.items():
            request.set_input_tensor(number, look[track])
        if before is not None:
            for number, output in self._state.items():
                request.set_input_tensor(number, before[output])
        outputs = self._outputs[name].renew()
        request.start_async()
        self._running = request, outputs, (look, before)
        return outputs

    def wait(self) -> None:
        """Waits for what runs; if it fails, that is told by what it gave."""
        if self._running is not None:
            request, outputs, _ = self._running
            try:
                request.wait()
            except RuntimeError as error:
                outputs.failure = error
            self._running = None


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


def _parse(name: str) -> tuple[str, int, int]:
    """Graph, track and frame of a port's name."""
    graph, track, frame = PORT.fullmatch(name).groups()
    return graph, int(track), int(frame)
