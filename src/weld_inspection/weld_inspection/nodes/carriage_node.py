"""What the simulated and the recorded carriage have in common: they follow the camera's frames."""

from abc import abstractmethod
from collections.abc import Iterable

from rclpy.event_handler import QoSSubscriptionMatchedInfo, SubscriptionEventCallbacks
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo

from weld_inspection.nodes import qos
from weld_inspection.nodes.inspection_node import InspectionNode
from weld_inspection.stamps import to_nanoseconds
from weld_interfaces.msg import CarriageState


class CarriageNode(InspectionNode):
    """Publishes carriage_state for every camera_info.

    It follows the camera from when its own listeners are there: a recording or simulated weld
    waits for those who listen to camera_info, and so no state of its begin goes unheard.
    """

    def __init__(self, node_name: str, **kwargs) -> None:
        """Follows nothing yet.

        Args:
            node_name: Name where the launch file gives no other.
            kwargs: As of rclpy's LifecycleNode.
        """
        super().__init__(node_name, **kwargs)
        self._subscription = None

    # For subclasses

    @abstractmethod
    def restart(self) -> None:
        """Goes back to the begin of the weld."""

    @abstractmethod
    def states_at(self, stamp_ns: int) -> Iterable[CarriageState | bytes]:
        """Gives what is to be published, as messages or as CDR, when a frame of that stamp came."""

    def advertise(self) -> None:
        """Makes the publisher of carriage_state."""
        self._publisher = self.create_lifecycle_publisher(
            CarriageState,
            "carriage_state",
            qos.CARRIAGE,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    def follow_camera(self, subscribers: int, timeout: float) -> None:
        """Begins to follow the camera, from the begin of the weld.

        Args:
            subscribers: Of carriage_state, that are waited for first.
            timeout: Longest wait for them in seconds.
        """
        self.restart()
        self.when_heard({self._publisher: subscribers}, timeout, self._subscribe)

    def stop(self) -> None:
        """Stops following."""
        if self._subscription is not None:
            self.destroy_subscription(self._subscription)
            self._subscription = None

    # Inside

    def _subscribe(self) -> None:
        self._subscription = self.create_subscription(
            CameraInfo,
            "camera_info",
            self._follow,
            qos.IMAGE,
            event_callbacks=SubscriptionEventCallbacks(matched=self._on_camera),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    def _follow(self, message: CameraInfo) -> None:
        for state in self.states_at(to_nanoseconds(message.header.stamp)):
            self._publisher.publish(state)

    def _on_camera(self, info: QoSSubscriptionMatchedInfo) -> None:
        """A camera that has gone comes back with its weld at the begin."""
        if info.current_count == 0:
            self.restart()
