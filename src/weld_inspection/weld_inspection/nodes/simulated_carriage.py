"""A simulated carriage: says where the simulated camera is along the seam."""

import sys
from collections.abc import Iterator

from diagnostic_updater import DiagnosticStatusWrapper

from weld_inspection.camera.carriage import CarriagePoint, SimulatedCarriage
from weld_inspection.nodes.camera_messages import to_header
from weld_inspection.nodes.carriage_node import CarriageNode
from weld_inspection.nodes.inspection_node import run_node
from weld_inspection.simulated_carriage_parameters import simulated_carriage_parameters
from weld_inspection.simulation.weld import SimulatedWeld
from weld_interfaces.msg import CarriageState

DESCRIPTION = """Says where the simulated camera is along its simulated weld.

subscribes:
  camera_info (sensor_msgs/CameraInfo)             tells when the camera took a frame
publishes:
  carriage_state (weld_interfaces/CarriageState)   for each frame
  /diagnostics"""

FRAME_ID = "seam"


class SimulatedCarriageNode(CarriageNode):
    """Publishes carriage_state for every camera_info, by the plan of the simulated weld."""

    def __init__(self, **kwargs) -> None:
        """Declares the parameters."""
        super().__init__("simulated_carriage", **kwargs)
        self._listener = simulated_carriage_parameters.ParamListener(self)
        self._carriage: SimulatedCarriage | None = None
        self._last: CarriagePoint | None = None

    def open(self) -> None:
        """Makes the weld's plan and the publisher."""
        parameters = self._listener.get_params()
        self._weld_id = parameters.weld_id or f"simulated-{parameters.seed}"
        weld = SimulatedWeld(
            parameters.seed, parameters.rig, parameters.duration, parameters.frame_rate
        )
        self._carriage = SimulatedCarriage(weld, loop=parameters.loop)
        self.advertise()

    def start(self) -> None:
        """Starts to follow the camera, from the begin of the weld."""
        start = self._listener.get_params().start
        self.follow_camera(start.subscribers, start.timeout)

    def close(self) -> None:
        """Lets the plan go."""
        self.stop()
        self._carriage = None
        self._last = None

    def restart(self) -> None:
        """Goes back to the begin of the weld."""
        if self._carriage is not None:
            self._carriage.restart()

    def states_at(self, stamp_ns: int) -> Iterator[CarriageState]:
        """Gives where the carriage is by the weld's plan."""
        for point in self._carriage.follow(stamp_ns):
            self._last = point
            yield CarriageState(
                header=to_header(point.stamp_ns, FRAME_ID),
                position=point.position,
                speed=point.speed,
                arc_on=point.arc_on,
                weld_id=self._weld_id,
                pass_number=point.pass_number,
            )

    def diagnose(self, status: DiagnosticStatusWrapper) -> None:
        """Tells where the carriage is."""
        if self._last is None:
            return
        status.add("position (m)", f"{self._last.position:.4f}")
        status.add("speed (m/s)", f"{self._last.speed:.4f}")
        status.add("arc on", str(self._last.arc_on))
        status.add("weld", self._weld_id)


def main() -> int:
    """Runs the node."""
    return run_node(SimulatedCarriageNode, DESCRIPTION)


if __name__ == "__main__":
    sys.exit(main())
