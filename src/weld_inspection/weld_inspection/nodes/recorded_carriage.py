"""A recorded carriage: says again where the carriage was when a bag's frames were taken."""

import sys
from pathlib import Path

from diagnostic_updater import DiagnosticStatusWrapper
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo

from weld_inspection.camera.recorded_carriage import RecordedCarriage
from weld_inspection.nodes import qos
from weld_inspection.nodes.inspection_node import InspectionNode, run_node
from weld_inspection.recorded_carriage_parameters import recorded_carriage_parameters
from weld_inspection.stamps import to_nanoseconds
from weld_interfaces.msg import CarriageState

DESCRIPTION = """Publishes the carriage_state of a bag while camera_driver plays the bag's images.

subscribes:
  camera_info (sensor_msgs/CameraInfo)             tells which frame is being played
publishes:
  carriage_state (weld_interfaces/CarriageState)   as recorded
  /diagnostics"""


class RecordedCarriageNode(InspectionNode):
    """Publishes the recorded carriage_state that belongs to every camera_info."""

    def __init__(self, **kwargs) -> None:
        """Declares the parameters."""
        super().__init__("recorded_carriage", **kwargs)
        self._listener = recorded_carriage_parameters.ParamListener(self)
        self._carriage: RecordedCarriage | None = None
        self._published = 0

    def open(self) -> None:
        """Reads the bag and makes the publisher."""
        path = Path(self._listener.get_params().path).expanduser()
        self._carriage = RecordedCarriage(path)
        self.get_logger().info(f"{path}: {self._carriage.count} carriage states")
        self._publisher = self.create_lifecycle_publisher(
            CarriageState,
            "carriage_state",
            qos.CARRIAGE,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    def start(self) -> None:
        """Starts to follow the camera."""
        self._carriage.restart()
        self._published = 0
        self._subscription = self.create_subscription(
            CameraInfo,
            "camera_info",
            self._follow,
            qos.IMAGE,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    def stop(self) -> None:
        """Stops following."""
        self.destroy_subscription(self._subscription)

    def close(self) -> None:
        """Lets the recording go."""
        self._carriage = None

    def _follow(self, message: CameraInfo) -> None:
        for state in self._carriage.follow(to_nanoseconds(message.header.stamp)):
            self._publisher.publish(state)
            self._published += 1

    def diagnose(self, status: DiagnosticStatusWrapper) -> None:
        """Tells how much of the recording has been played."""
        if self._carriage is not None:
            status.add("states", f"{self._published} of {self._carriage.count}")


def main() -> int:
    """Runs the node."""
    return run_node(RecordedCarriageNode, DESCRIPTION)


if __name__ == "__main__":
    sys.exit(main())
