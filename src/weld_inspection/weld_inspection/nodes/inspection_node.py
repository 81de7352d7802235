"""What all nodes have in common: life cycle, start by itself, diagnostics."""

import math
import time
import traceback
from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_updater import DiagnosticStatusWrapper, Updater
from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher

from weld_inspection.errors import InspectionError
from weld_inspection.memory import (
    collect_all_again,
    give_back_memory,
    leave_out_of_collection,
)
from weld_inspection.nodes.node_process import run_node

__all__ = ["InspectionNode", "run_node"]

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 30.0
DIAGNOSTICS_PERIOD_S = 1.0
MEMORY_PERIOD_S = 60.0
LISTENERS_POLL_S = 0.02

SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE

AUTOSTART = ParameterDescriptor(
    description="Configure and activate without a lifecycle manager, and try again on failure.",
    read_only=True,
)


class InspectionNode(LifecycleNode):
    """A lifecycle node whose subclasses say only what open, start, stop, close and diagnose mean.

    A subclass overrides these plain methods:

        open      on configure: open files, models and devices, create publishers. Raises
                  InspectionError where that cannot be done.
        start     on activate: begin to work. May raise InspectionError too.
        stop      on deactivate: end the work. What was opened stays open.
        close     on cleanup and shutdown, and after an open that failed: let everything go. May be
                  called more than once.
        diagnose  about once a second, in every state: adds to the node's diagnostics.

    Publishers, subscriptions, services and timers made in open or start are destroyed after close.
    All of these run in the executor's thread.
    """

    def __init__(self, node_name: str, **kwargs) -> None:
        """Declares what all nodes have.

        Args:
            node_name: Name where the launch file gives no other.
            kwargs: As of rclpy's LifecycleNode.
        """
        super().__init__(node_name, **kwargs)
        # Before any parameter is declared: it judges those given at the start as well.
        self.add_on_set_parameters_callback(_refuse_what_is_no_number)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._state_label = "unconfigured"
        self._last_error = ""
        self._kept: set[object] | None = None  # what is there before the first configuring
        self._autostart = self.declare_parameter("autostart", True, AUTOSTART).value
        self._updater = self._create_updater()
        # Images that had to wait somewhere are gone, but not from the heap.
        self.create_timer(MEMORY_PERIOD_S, give_back_memory, clock=self._steady)
        self._retry_s = FIRST_RETRY_S
        self._retry_timer = None
        self._waiting_for = ""
        self._waiting_timer = None
        if self._autostart:
            self._start_later(0.0)

    # For subclasses

    def open(self) -> None:
        """Opens what the node works with."""

    def start(self) -> None:
        """Begins to work."""

    def stop(self) -> None:
        """Ends the work."""

    def close(self) -> None:
        """Lets go what open opened."""

    def diagnose(self, status: DiagnosticStatusWrapper) -> None:
        """Adds to the diagnostics.

        Args:
            status: Has the summary OK and the state; use mergeSummary for what is worse, and add.
        """

    def when_heard(
        self, awaited: dict[Publisher, int], timeout: float, begin: Callable[[], None]
    ) -> None:
        """Calls `begin` as soon as publishers have their subscribers; stop ends the waiting.

        Args:
            awaited: How many subscribers each publisher waits for.
            timeout: Longest wait in seconds; then `begin` is called with a warning in the log.
            begin: Called in the executor's thread, at once where all are there.
        """
        deadline = time.monotonic() + timeout

        def look() -> None:
            missing = [
                f"{publisher.topic_name} ({found} of {count})"
                for publisher, count in awaited.items()
                if (found := publisher.get_subscription_count()) < count
            ]
            self._waiting_for = ", ".join(missing)
            if missing and time.monotonic() < deadline:
                return
            self._stop_waiting()
            if missing:
                self.get_logger().warning(
                    f"begins after {timeout:g} s without all the subscribers that were expected "
                    f"of {', '.join(missing)}"
                )
            begin()

        # Steady time: with use_sim_time the node's own clock may not run yet.
        self._waiting_timer = self.create_timer(LISTENERS_POLL_S, look, clock=self._steady)
        look()

    @property
    def state_label(self) -> str:
        """Primary lifecycle state: unconfigured, inactive, active or finalized."""
        return self._state_label

    def destroy_publisher(self, publisher) -> bool:
        """Destroys a publisher of either kind."""
        self._managed_entities.discard(publisher)
        return super().destroy_publisher(publisher)

    # Transitions

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Opens; where that fails the node stays unconfigured, with the reason in diagnostics."""
        self._kept = set(self._entities())
        if not self._succeeds(self.open):
            self._release()
            return FAILURE
        leave_out_of_collection()
        self._state_label = "inactive"
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Starts; where that fails the node stays inactive."""
        super().on_activate(state)
        if not self._succeeds(self.start):
            self._stop()
            super().on_deactivate(state)
            return FAILURE
        if self._last_error:
            self.get_logger().info("works now")
        self._last_error = ""
        self._state_label = "active"
        return SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stops."""
        self._stop()
        self._state_label = "inactive"
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Closes."""
        self._release()
        self._state_label = "unconfigured"
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stops and closes, whatever the state was."""
        if self._retry_timer is not None:
            self._retry_timer.cancel()
        if self._state_label == "active":
            self._stop()
        self._release()
        self._state_label = "finalized"
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Goes back to unconfigured after a fault of the program's own, which has been logged."""
        if self._state_label == "active":
            self._stop()
        self._release()
        self._state_label = "unconfigured"
        return SUCCESS

    def end(self) -> None:
        """Shuts down from whatever state, once spinning is over."""
        if self._state_label != "finalized":
            self.trigger_shutdown()

    # Inside

    def _succeeds(self, step) -> bool:
        """Runs open or start; keeps and logs, once, why it could not be done."""
        try:
            step()
        except InspectionError as error:
            text = " ".join(str(error).split())
            if text != self._last_error:
                self.get_logger().error(text)
            self._last_error = text
            return False
        except Exception:
            # rclpy would swallow a fault of the program's own without a word.
            self._last_error = f"internal fault in {step.__name__}"
            self.get_logger().error(f"{self._last_error}:\n{traceback.format_exc()}")
            raise
        return True

    def _stop(self) -> None:
        self._stop_waiting()
        self.stop()

    def _stop_waiting(self) -> None:
        self._waiting_for = ""
        if self._waiting_timer is not None:
            self.destroy_timer(self._waiting_timer)
            self._waiting_timer = None

    def _entities(self) -> list[object]:
        return [*self.publishers, *self.subscriptions, *self.services, *self.timers]

    def _release(self) -> None:
        """Closes and destroys what open and start have created."""
        collect_all_again()
        self.close()
        if self._kept is None:  # nothing was opened; the lifecycle's services go on answering
            return
        for publisher in set(self.publishers) - self._kept:
            self.destroy_publisher(publisher)
        for subscription in set(self.subscriptions) - self._kept:
            self.destroy_subscription(subscription)
        for service in set(self.services) - self._kept:
            self.destroy_service(service)
        for timer in set(self.timers) - self._kept - {self._retry_timer}:
            self.destroy_timer(timer)

    def _start_later(self, delay_s: float) -> None:
        # Steady time: with use_sim_time the node's own clock may not run yet.
        self._retry_timer = self.create_timer(delay_s, self._start_by_itself, clock=self._steady)

    def _start_by_itself(self) -> None:
        """Configures and activates; where that fails, again after 1, 2, 4 ... 30 s."""
        self.destroy_timer(self._retry_timer)
        self._retry_timer = None
        if self._state_label != "unconfigured":
            return  # somebody manages this node after all
        if self.trigger_configure() == SUCCESS:
            if self.trigger_activate() == SUCCESS:
                return
            if self._state_label == "inactive":
                self.trigger_cleanup()
        self.get_logger().debug(f"tries again in {self._retry_s:g} s")
        self._start_later(self._retry_s)
        self._retry_s = min(2.0 * self._retry_s, LAST_RETRY_S)

    def _create_updater(self) -> Updater:
        updater = Updater(self, period=DIAGNOSTICS_PERIOD_S, starting_up_status=None)
        updater.setHardwareID(self.get_fully_qualified_name())
        updater.add("state", self._diagnose)
        # The updater's own timer runs by the node's clock, which use_sim_time may hold still.
        self.destroy_timer(updater.timer)
        updater.timer = self.create_timer(updater.period, updater.update, clock=self._steady)
        return updater

    def _diagnose(self, status: DiagnosticStatusWrapper) -> DiagnosticStatusWrapper:
        status.summary(DiagnosticStatus.OK, self._state_label)
        status.add("state", self._state_label)
        if self._last_error:
            status.mergeSummary(DiagnosticStatus.ERROR, self._last_error)
            status.add("last error", self._last_error)
        if self._waiting_for:
            status.mergeSummary(
                DiagnosticStatus.WARN, f"waiting for subscribers of {self._waiting_for}"
            )
        self.diagnose(status)
        return status


def _refuse_what_is_no_number(parameters: list[Parameter]) -> SetParametersResult:
    """Refuses not-a-number and infinity, which pass any bounds check that is a comparison."""
    for parameter in parameters:
        if isinstance(parameter.value, float) and not math.isfinite(parameter.value):
            reason = f"parameter {parameter.name} is {parameter.value}: give a number"
            return SetParametersResult(successful=False, reason=reason)
    return SetParametersResult(successful=True)
