"""A recorded carriage: says again where the carriage was when a bag's frames were taken."""

import sys
from contextlib import closing
from pathlib import Path

from diagnostic_updater import DiagnosticStatusWrapper

from weld_inspection.camera.bag import Bag
from weld_inspection.camera.recorded_carriage import RecordedCarriage
from weld_inspection.nodes.carriage_node import CarriageNode
from weld_inspection.nodes.inspection_node import run_node
from weld_inspection.recorded_carriage_parameters import recorded_carriage_parameters

DESCRIPTION = """Publishes the carriage_state of a bag while camera_driver plays the bag's images.

subscribes:
  camera_info (sensor_msgs/CameraInfo)             tells which frame is being played
publishes:
  carriage_state (weld_interfaces/CarriageState)   as recorded
  /diagnostics"""


class RecordedCarriageNode(CarriageNode):
    """Publishes the recorded carriage_state that belongs to every camera_info."""

    def __init__(self, **kwargs) -> None:
        """Declares the parameters."""
        super().__init__("recorded_carriage", **kwargs)
        self._listener = recorded_carriage_parameters.ParamListener(self)
        self._carriage: RecordedCarriage | None = None
        self._published = 0

    def open(self) -> None:
        """Reads the bag and makes the publisher."""
        parameters = self._listener.get_params()
        path = Path(parameters.path).expanduser()
        span_ns = None
        if parameters.loop:
            with closing(Bag(path, parameters.bag_topic)) as bag:
                span_ns = bag.span_ns()
        self._carriage = RecordedCarriage(path, span_ns=span_ns)
        self.get_logger().info(f"{path}: {self._carriage.count} carriage states")
        self.advertise()

    def start(self) -> None:
        """Starts to follow the camera."""
        start = self._listener.get_params().start
        self.follow_camera(start.subscribers, start.timeout)

    def close(self) -> None:
        """Lets the recording go."""
        self.stop()
        self._carriage = None

    def restart(self) -> None:
        """Goes back to the begin of the recording."""
        if self._carriage is not None:
            self._carriage.restart()
        self._published = 0

    def states_at(self, stamp_ns: int) -> list[bytes]:
        """Gives the recorded states up to shortly after that frame, in CDR."""
        states = self._carriage.follow(stamp_ns)
        self._published += len(states)
        return states

    def diagnose(self, status: DiagnosticStatusWrapper) -> None:
        """Tells how much of the recording has been played."""
        if self._carriage is not None:
            status.add("states in the bag", str(self._carriage.count))
            status.add("states published", str(self._published))


def main() -> int:
    """Runs the node."""
    return run_node(RecordedCarriageNode, DESCRIPTION)


if __name__ == "__main__":
    sys.exit(main())
