"""The least of an InspectionNode: opens when the file of the variable PROBE_FILE is there.

Where that says "fault", it fails; where it says "burst", it needs 100 MB for a moment as it starts.
An input that says HOLD_UP holds it up for as long as the file is there.
"""

import os
import sys
import time
from pathlib import Path

from diagnostic_updater import DiagnosticStatusWrapper
from rclpy.qos_overriding_options import QoSOverridingOptions
from std_msgs.msg import String

from weld_inspection.errors import InspectionError
from weld_inspection.nodes import inspection_node, qos
from weld_inspection.nodes.inspection_node import InspectionNode, run_node
from weld_inspection.testing.memory import need_a_burst, resident_bytes

SOON = 0.2  # s, instead of a minute
HOLD_UP = "hold up"


class LifecycleProbe(InspectionNode):
    """Publishes what it has done, latched, on probe."""

    def __init__(self) -> None:
        """Declares nothing of its own."""
        super().__init__("lifecycle_probe")
        self._starts = 0
        self._inputs = 0
        self._most = 0

    def open(self) -> None:
        """Creates a publisher and a subscription, then looks for the file."""
        options = QoSOverridingOptions.with_default_policies()
        self._publisher = self.create_lifecycle_publisher(
            String, "probe", qos.LATCHED, qos_overriding_options=options
        )
        self.create_subscription(String, "probe_input", self._take_input, qos.IMAGE)
        self._path = Path(os.environ["PROBE_FILE"])
        if not self._path.exists():
            raise InspectionError(f"there is no\n{self._path}")
        self._file_says = self._path.read_text()
        if self._file_says == "fault":
            raise ValueError("a fault of the program's own")

    def start(self) -> None:
        """Says so."""
        self._starts += 1
        if self._file_says == "burst":
            self._most, self._held = need_a_burst()
        self._publisher.publish(String(data=f"started {self._starts}"))

    def stop(self) -> None:
        """Says so."""
        print("stopped", flush=True)

    def close(self) -> None:
        """Says so."""
        print("closed", flush=True)

    def _take_input(self, message: String) -> None:
        self._inputs += 1
        if message.data == HOLD_UP:
            print("held up", flush=True)
            while self._path.exists():
                time.sleep(0.01)

    def diagnose(self, status: DiagnosticStatusWrapper) -> None:
        """Counts the entities, to see that none is left behind."""
        status.add("publishers", str(len(list(self.publishers))))
        status.add("subscriptions", str(len(list(self.subscriptions))))
        status.add("starts", str(self._starts))
        status.add("inputs", str(self._inputs))
        status.add("memory (MB)", f"{resident_bytes() / 1e6:.1f}")
        status.add("most memory (MB)", f"{self._most / 1e6:.1f}")


def main() -> int:
    """Runs the node."""
    inspection_node.MEMORY_PERIOD_S = SOON
    return run_node(LifecycleProbe, "Probes the base class.\n\ntopics: probe (std_msgs/String)")


if __name__ == "__main__":
    sys.exit(main())
