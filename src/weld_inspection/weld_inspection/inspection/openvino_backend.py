"""OpenVINO on a processor: the same network, compiled ahead, in fp32, bf16 or int8."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino

from weld_inspection.errors import InspectionError
from weld_inspection.inspection.openvino_export import JUDGE, LOOK, exported

HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "bf16"}  # of what is not in int8


class OpenVinoBackend:
    """Runs the files that `openvino_export` makes of a model."""

    name = "openvino"

    def __init__(self, path: Path, precision: str) -> None:
        """Loads a model's files, which are made first where they are missing or of other weights.

        Args:
            path: Model file (.safetensors).
            precision: A name in HINTS. Where the processor has no bf16, int8 has fp32 beside it.

        Raises:
            InspectionError: The files cannot be made.
        """
        folder = exported(path, "int8" if precision == "int8" else "float")
        core = openvino.Core()
        hint = HINTS[precision]
        if precision == "int8" and "BF16" not in core.get_property(
            "CPU", "OPTIMIZATION_CAPABILITIES"
        ):
            hint = "f32"
        options = {
            "INFERENCE_PRECISION_HINT": hint,
            "PERFORMANCE_HINT": "LATENCY",
            # The other nodes of the system share the cores.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            self._look, self._judge = (
                core.compile_model(str(folder / name), "CPU", options).create_infer_request()
                for name in (LOOK, JUDGE)
            )
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise InspectionError(
                f"OpenVINO cannot compile {folder} ({reason}): remove it, or use backend torch"
            ) from error
        self._shapes = [port.shape for port in self._look.model_outputs]

    def infer(self, window: np.ndarray) -> np.ndarray:
        """See InferenceEngine."""
        return self.judge([self.look(frame) for frame in window])

    def look(self, frame: np.ndarray) -> list[openvino.Tensor]:
        """See InferenceEngine."""
        # Written into tensors of their own, which outlive the next look.
        parts = [openvino.Tensor(openvino.Type.f32, shape) for shape in self._shapes]
        for number, part in enumerate(parts):
            self._look.set_output_tensor(number, part)
        self._look.set_input_tensor(openvino.Tensor(np.ascontiguousarray(frame)))
        self._look.infer()
        return parts

    def judge(self, looks: Sequence[list[openvino.Tensor]]) -> np.ndarray:
        """See InferenceEngine."""
        tensors = [part for look in looks for part in look]
        for number, tensor in enumerate(tensors):
            self._judge.set_input_tensor(number, tensor)
        self._judge.infer()
        return self._judge.get_output_tensor().data.copy()
