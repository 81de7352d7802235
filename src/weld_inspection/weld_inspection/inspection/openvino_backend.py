"""OpenVINO on a processor: the same network, compiled ahead, in fp32, bf16 or int8."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from weld_inspection.errors import InspectionError, first_line
from weld_inspection.inspection.openvino_export import exported
from weld_inspection.inspection.openvino_graphs import (
    GraphRunner,
    Outputs,
    read_graphs,
    types_of,
)


class OpenVinoBackend:
    """Runs the files that `openvino_export` makes of a model."""

    name = "openvino"
    shortfall = ""

    def __init__(self, path: Path, precision: str) -> None:
        """Loads a model's files, which are made first where they are missing or of other weights.

        Args:
            path: Model file (.safetensors).
            precision: "fp32", "bf16" or "int8", see `openvino_graphs.types_of`.

        Raises:
            InspectionError: The files cannot be made.
        """
        folder = exported(path, "int8" if precision == "int8" else "float")
        try:
            self._runner = GraphRunner(read_graphs(folder), types_of(precision))
        except RuntimeError as error:
            raise InspectionError(
                f"OpenVINO cannot compile {folder} ({first_line(error)}): remove it, or use "
                "backend torch"
            ) from error

    def infer(self, window: np.ndarray) -> np.ndarray:
        """See Backend."""
        return self._runner.infer(window)

    def look(self, frame: np.ndarray) -> Outputs:
        """See Backend."""
        return self._runner.look(frame)

    def advance(
        self, look: Outputs, state: Outputs | None
    ) -> tuple[Outputs | None, Outputs | None]:
        """See Backend; what a frame adds holds the state, too."""
        given = self._runner.advance(look, state)
        return given, given

    def judge(
        self,
        looks: Sequence[Outputs],
        given: Sequence[Outputs | None],
        state: Outputs | None,
    ) -> np.ndarray:
        """See Backend."""
        return self._runner.judge(looks, given)
