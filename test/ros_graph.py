"""A ROS graph of a test's own: real nodes in processes, and a node in the test to talk to them."""

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rclpy
import yaml
from ament_index_python.packages import get_package_prefix, get_package_share_directory
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.client import Client
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from ros_process import RosProcess

PATIENCE_S = 60.0  # a hang, not slowness: the machine may be busy
POLL_S = 0.02
REPEAT_S = 3.0
FAST_DDS = ("FASTRTPS_DEFAULT_PROFILES_FILE", "RMW_FASTRTPS_USE_QOS_FROM_XML")  # of the launch file


class Graph:
    """See the fixture `graph` of conftest.py."""

    def __init__(self, domain_id: int, folder: Path) -> None:
        """Joins the domain.

        Args:
            domain_id: ROS domain that no other test uses.
            folder: For parameter files and logs.
        """
        self.domain_id = domain_id
        self.folder = folder
        self.environment = os.environ | {
            "ROS_DOMAIN_ID": str(domain_id),
            "ROS_LOG_DIR": str(folder / "log"),
            "PYTHONUNBUFFERED": "1",
        }
        profile = Path(get_package_share_directory("weld_inspection"), "config/fastdds_profile.xml")
        for name, value in zip(FAST_DDS, (str(profile), "1"), strict=True):
            self.environment.setdefault(name, value)
        self.processes: list[RosProcess] = []
        self.context = rclpy.Context()
        with self._environment_set():
            rclpy.init(context=self.context, domain_id=domain_id)
            self.node = rclpy.create_node("test", context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._diagnostics: dict[str, DiagnosticStatus] = {}
        self._clients: dict[str, Client] = {}
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._keep_diagnostics, 10)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    # Processes

    def run(
        self,
        executable: str,
        *arguments: str,
        parameters: dict[str, Any] | None = None,
        namespace: str = "weld",
        environment: dict[str, str] | None = None,
    ) -> RosProcess:
        """Starts what `ros2 run weld_inspection EXECUTABLE` does; for nodes.

        Args:
            executable: Its name.
            arguments: Further ones, such as ROS's "-r", "a:=b".
            parameters: Of the node, by name; dots or nested.
            namespace: Of the node.
            environment: Variables to add.
        """
        path = Path(get_package_prefix("weld_inspection"), "lib/weld_inspection", executable)
        return self.run_file(
            path,
            *arguments,
            parameters=parameters,
            namespace=namespace,
            environment=environment,
        )

    def run_file(
        self,
        path: Path,
        *arguments: str,
        parameters: dict[str, Any] | None = None,
        namespace: str = "weld",
        environment: dict[str, str] | None = None,
    ) -> RosProcess:
        """Starts a node from a file that can be executed; see `run`."""
        command = [str(path), "--ros-args", "-r", f"__ns:=/{namespace}"]
        if parameters:
            file = self.folder / f"parameters_{len(self.processes)}.yaml"
            file.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}))
            command += ["--params-file", str(file)]
        return self.start([*command, *arguments], environment)

    def launch(self, environment: dict[str, str] | None = None, **arguments: object) -> RosProcess:
        """Starts `ros2 launch weld_inspection weld_inspection.launch.py name:=value ...`."""
        pairs = [f"{name}:={value}" for name, value in arguments.items()]
        command = ["ros2", "launch", "weld_inspection", "weld_inspection.launch.py", *pairs]
        return self.start(command, environment)

    def start(self, command: list[str], environment: dict[str, str] | None = None) -> RosProcess:
        """Starts any command in this domain; it is ended with the test."""
        process = RosProcess(command, self.environment | (environment or {}))
        self.processes.append(process)
        return process

    # Waiting

    def wait_for(
        self, predicate: Callable[[], Any], timeout: float = PATIENCE_S, what: str = ""
    ) -> Any:
        """Waits until something is true; returns what the predicate gave.

        Raises:
            AssertionError: It did not become true; with what the processes have printed.
        """
        deadline = time.monotonic() + timeout
        while not (value := predicate()):
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"waited {timeout:g} s for {what or predicate}\n{self.outputs()}"
                )
            time.sleep(POLL_S)
        return value

    def wait_for_state(self, node: str, label: str = "active", timeout: float = PATIENCE_S) -> None:
        """Waits until a lifecycle node, such as "weld/alarm", is in a state."""
        self.wait_for(lambda: self.state(node) == label, timeout, f"{node} to be {label}")

    def wait_for_output(self, process: RosProcess, text: str, timeout: float = PATIENCE_S) -> None:
        """Waits until a process has printed a text."""
        self.wait_for(lambda: text in process.output, timeout, f"the text '{text}'")

    # Talking

    def collect(self, message_type: type, topic: str, qos: QoSProfile | int = 10) -> list:
        """Subscribes; the list that is returned fills as messages come."""
        messages: list = []
        self.node.create_subscription(message_type, topic, messages.append, qos)
        return messages

    def publisher(
        self,
        message_type: type,
        topic: str,
        qos: QoSProfile | int = 10,
        subscribers: int = 0,
        timeout: float = PATIENCE_S,
    ) -> Publisher:
        """Creates a publisher and waits for so many subscribers."""
        publisher = self.node.create_publisher(message_type, topic, qos)
        self.wait_for(
            lambda: publisher.get_subscription_count() >= subscribers,
            timeout,
            f"{subscribers} subscribers of {topic}",
        )
        return publisher

    def call(
        self,
        service_type: type,
        name: str,
        request: Any = None,
        timeout: float = PATIENCE_S,
        repeat: bool = False,
    ) -> Any:
        """Calls a service and returns its response.

        Args:
            service_type: Type of the service.
            name: Full name of the service.
            request: Default: an empty one.
            timeout: Time for the service to appear, and again for its answer (s).
            repeat: Ask again when no answer comes. A server that has just met this client can lose
                the answer, so this is for what may be asked twice.
        """
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = self.node.create_client(service_type, name)
        self.wait_for(client.service_is_ready, timeout, f"service {name}")
        futures: list = []
        asked = 0.0

        def answered() -> bool:
            nonlocal asked
            if not futures or (repeat and time.monotonic() - asked > REPEAT_S):
                asked = time.monotonic()
                futures.append(client.call_async(request or service_type.Request()))
            return any(future.done() for future in futures)

        self.wait_for(answered, timeout, f"an answer of {name}")
        return next(future.result() for future in futures if future.done())

    def state(self, node: str) -> str:
        """Asks a lifecycle node, such as "weld/alarm", for its state."""
        return self.call(GetState, f"/{node}/get_state", repeat=True).current_state.label

    def change_state(self, node: str, transition_id: int) -> bool:
        """Asks a lifecycle node for a transition (lifecycle_msgs.msg.Transition)."""
        request = ChangeState.Request()
        request.transition.id = transition_id
        return self.call(ChangeState, f"/{node}/change_state", request).success

    def set_parameter(self, node: str, name: str, value: Any) -> SetParametersResult:
        """Sets a parameter of a node; says whether it was taken, and why not."""
        request = SetParametersAtomically.Request()
        request.parameters = [Parameter(name, value=value).to_parameter_msg()]
        return self.call(
            SetParametersAtomically,
            f"/{node}/set_parameters_atomically",
            request,
            repeat=True,
        ).result

    def diagnostics(self, node: str) -> DiagnosticStatus | None:
        """The latest diagnostics of a node, such as "weld/alarm"; None before the first."""
        return self._diagnostics.get(f"/{node}")

    # The end

    def outputs(self) -> str:
        """What the processes have printed, for a failure's message."""
        return "\n".join(f"--- {process}\n{process.output}" for process in self.processes)

    def close(self) -> None:
        """Ends every process and leaves the domain.

        Raises:
            AssertionError: A process printed a traceback, hung, or ended badly on SIGINT.
        """
        wrong = [fault for process in reversed(self.processes) for fault in process.end()]
        self.context.try_shutdown()
        self._thread.join(PATIENCE_S)
        self.node.destroy_node()
        assert not wrong, "\n".join(wrong) + f"\n{self.outputs()}"

    # Inside

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()

    def _keep_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self._diagnostics[status.hardware_id] = status

    @contextlib.contextmanager
    def _environment_set(self):
        """Sets the Fast DDS profile where this process's participant is made."""
        new = [name for name in FAST_DDS if name not in os.environ]
        os.environ.update({name: self.environment[name] for name in FAST_DDS})
        yield
        for name in new:
            del os.environ[name]
