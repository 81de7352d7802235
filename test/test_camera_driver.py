"""The camera driver and the simulated carriage for real, in processes of their own."""

import http.server
import signal
import threading
from array import array

import cv2
import numpy as np
import pytest
import yaml
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from weld_inspection.nodes import qos
from weld_inspection.simulation.weld import SimulatedWeld
from weld_interfaces.msg import CarriageState

DOMAIN_ID = 41
NODE = "weld/camera_driver"
WIDTH, HEIGHT = 96, 64
PERIOD_NS = 50_000_000
IMAGE_TYPE = "sensor_msgs/msg/Image"
T0 = 1_700_000_000_000_000_000
# A recording waits for the test's two subscribers, so that the test sees its first frame.
AWAITED = {"start.image_subscribers": 1, "start.camera_info_subscribers": 1}
CALIBRATION = {
    "image_width": WIDTH,
    "image_height": HEIGHT,
    "camera_name": "weld_camera",
    "camera_matrix": {"rows": 3, "cols": 3, "data": [90.0, 0, 48.0, 0, 91.0, 32.0, 0, 0, 1.0]},
    "distortion_model": "plumb_bob",
    "distortion_coefficients": {"rows": 1, "cols": 5, "data": [0.1, -0.2, 0.01, 0.02, 0.0]},
    "rectification_matrix": {"rows": 3, "cols": 3, "data": [1.0, 0, 0, 0, 1, 0, 0, 0, 1]},
    "projection_matrix": {"rows": 3, "cols": 4, "data": [89.0, 0, 47, 0, 0, 90, 31, 0, 0, 0, 1, 0]},
}


def stamp_ns(message) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def write_video(path, frames, width=WIDTH, height=HEIGHT, rate=20.0, noise=False):
    """A video of frames whose grey value tells their number, or of noise."""

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, (width, height))
    random = np.random.default_rng(1)
    for k in range(frames):
        image = np.full((height, width, 3), 4 * (k % 60) + 4, np.uint8)
        writer.write(random.integers(0, 255, image.shape, np.uint8) if noise else image)
    writer.release()
    return path


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


class Camera:
    """A camera driver, and what it says."""

    def __init__(self, graph, **parameters):
        self.graph = graph
        self.stamps, self.numbers, self.images = [], [], []
        graph.node.create_subscription(Image, "/weld/image_raw", self._on_image, qos.IMAGE)
        self.infos = graph.collect(CameraInfo, "/weld/camera_info", qos.IMAGE)
        self.process = graph.run("camera_driver", parameters=AWAITED | parameters)

    def _on_image(self, message):
        """Keeps a large image's number only."""
        self.numbers.append(round((np.mean(message.data[::997]) - 4) / 4))
        self.images.append(message if len(message.data) < 100_000 else None)
        self.stamps.append(stamp_ns(message))

    def wait_for_frames(self, count):
        self.graph.wait_for(
            lambda: len(self.stamps) >= count and len(self.infos) >= count, what=f"{count} frames"
        )

    def wait_for_diagnostics(self, level, text):
        return self.graph.wait_for(
            lambda: (
                (status := self.graph.diagnostics(NODE))
                and status.level == level
                and text in status.message
                and {pair.key: pair.value for pair in status.values}
            ),
            what=f"diagnostics '{text}'; last {self.graph.diagnostics(NODE)}",
        )

    def change(self, transition):
        return self.graph.change_state(NODE, transition)


@pytest.fixture
def start(graph):
    return lambda **parameters: Camera(graph, **parameters)


def test_video_arrives_whole_in_order_and_its_end_is_told_once(graph, start, tmp_path):
    path = write_video(tmp_path / "weld.avi", 50, 1280, 720)
    camera = start(source="video", path=str(path), frame_id="cam_7")
    values = camera.wait_for_diagnostics(DiagnosticStatus.WARN, "source ended after 50 frames")
    camera.wait_for_frames(50)
    assert camera.numbers == list(range(50))
    assert np.diff(camera.stamps).tolist() == [PERIOD_NS] * 49
    assert [stamp_ns(info) for info in camera.infos] == camera.stamps
    assert {info.header.frame_id for info in camera.infos} == {"cam_7"}
    assert {(info.width, info.height, sum(info.k), len(info.d)) for info in camera.infos} == {
        (1280, 720, 0.0, 0)
    }
    assert (values["size (pixels)"], values["frames published"]) == ("1280x720", "50")
    assert values["name"] == str(path)
    assert camera.process.output.count("source ended after 50 frames") == 1
    assert graph.state(NODE) == "active"


def test_pixels_are_those_of_the_images(start, tmp_path):
    picture = np.random.default_rng(4).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "1.png"), picture)
    camera = start(source="images", path=str(tmp_path))
    camera.wait_for_frames(1)
    message = camera.images[0]
    assert (message.width, message.height, message.step) == (WIDTH, HEIGHT, 3 * WIDTH)
    assert (message.encoding, message.header.frame_id) == ("bgr8", "weld_camera")
    assert message.data == array("B", picture.tobytes())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ends_cleanly_in_the_middle_of_decoding(start, tmp_path, number):
    path = write_video(tmp_path / "weld.avi", 20, 1280, 720)
    camera = start(source="video", path=str(path), loop=True, frame_rate=240.0)
    camera.wait_for_frames(30)
    camera.process.signal(number)
    assert camera.process.wait() == 0


def test_a_missing_file_is_told_and_found_when_it_comes(graph, start, tmp_path):
    path = tmp_path / "weld.avi"
    camera = start(source="video", path=str(path))
    camera.wait_for_diagnostics(DiagnosticStatus.ERROR, f"video {path} does not exist")
    write_video(tmp_path / "unfinished.avi", 10).rename(path)
    camera.wait_for_frames(10)
    assert camera.numbers == list(range(10))
    assert camera.process.output.count("does not exist") == 1


def test_a_cut_video_gives_its_frames_then_one_error_and_can_be_played_again(start, tmp_path):
    path = cut(write_video(tmp_path / "weld.avi", 30, noise=True))
    camera = start(source="video", path=str(path), frame_rate=60.0)
    camera.wait_for_diagnostics(DiagnosticStatus.ERROR, "of 30 frames: it is cut or damaged")
    count = len(camera.stamps)
    assert 10 < count < 20 and f"source ended after {count} frames" in camera.process.output
    assert camera.process.output.count("cut or damaged") == 1
    write_video(path, 30)
    assert camera.change(Transition.TRANSITION_DEACTIVATE)
    assert camera.change(Transition.TRANSITION_ACTIVATE)
    camera.wait_for_frames(count + 30)
    assert camera.numbers[count:] == list(range(30))
    camera.wait_for_diagnostics(DiagnosticStatus.WARN, "source ended after 30 frames")


def test_a_paused_recording_goes_on_where_it_was(start, tmp_path):
    path = write_video(tmp_path / "weld.avi", 40)
    camera = start(source="video", path=str(path))
    camera.wait_for_frames(3)
    assert camera.change(Transition.TRANSITION_DEACTIVATE)
    assert camera.change(Transition.TRANSITION_ACTIVATE)
    camera.wait_for_frames(40)
    assert camera.numbers == list(range(40))
    assert min(np.diff(camera.stamps)) > 0
    for transition in (
        Transition.TRANSITION_DEACTIVATE,
        Transition.TRANSITION_CLEANUP,
        Transition.TRANSITION_CONFIGURE,
        Transition.TRANSITION_ACTIVATE,
    ):
        assert camera.change(transition)
    camera.wait_for_frames(80)
    assert camera.numbers[40:] == list(range(40))


def test_a_bag_is_played_with_its_recorded_stamps(start, tmp_path):
    store = get_typestore(Stores.ROS2_JAZZY)
    types = store.types
    random = np.random.default_rng(6)
    steps = [0, 1, 2, 3, 5, 6, 7, 8]  # one frame is missing
    pictures = [random.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8) for _ in steps]
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {
            topic: writer.add_connection(topic, IMAGE_TYPE, typestore=store)
            for topic in ("/weld/image_raw", "/weld/defect_mask")
        }
        for step, picture in zip(steps, pictures, strict=True):
            stamp = T0 + step * PERIOD_NS + 123
            for topic, (encoding, data) in {
                "/weld/image_raw": ("rgb8", picture[..., ::-1]),
                "/weld/defect_mask": ("mono8", picture[..., 0]),
            }.items():
                message = types[IMAGE_TYPE](
                    header=types["std_msgs/msg/Header"](
                        stamp=types["builtin_interfaces/msg/Time"](
                            sec=stamp // 10**9, nanosec=stamp % 10**9
                        ),
                        frame_id="another",
                    ),
                    height=HEIGHT,
                    width=WIDTH,
                    encoding=encoding,
                    is_bigendian=0,
                    step=data[0].size,
                    data=np.frombuffer(data.tobytes(), np.uint8),
                )
                writer.write(
                    connections[topic], stamp + 10**9, store.serialize_cdr(message, IMAGE_TYPE)
                )
    camera = start(source="bag", path=str(tmp_path / "bag"))
    camera.wait_for_frames(len(steps))
    camera.wait_for_diagnostics(DiagnosticStatus.WARN, f"source ended after {len(steps)} frames")
    assert camera.stamps == [T0 + step * PERIOD_NS + 123 for step in steps]
    for message, picture in zip(camera.images, pictures, strict=True):
        assert message.data == array("B", picture.tobytes())


def test_camera_info_is_the_calibration(graph, start, tmp_path):
    calibration = tmp_path / "camera.yaml"
    calibration.write_text(yaml.safe_dump(CALIBRATION))
    images = tmp_path / "images"
    images.mkdir()
    for k, width in enumerate((WIDTH, WIDTH, WIDTH + 2)):
        cv2.imwrite(str(images / f"{k}.png"), np.zeros((HEIGHT, width, 3), np.uint8))
    camera = start(source="images", path=str(images), calibration_file=str(calibration))
    camera.wait_for_frames(3)
    for info in camera.infos[:2]:
        assert (info.width, info.height, info.distortion_model) == (WIDTH, HEIGHT, "plumb_bob")
        assert list(info.d) == CALIBRATION["distortion_coefficients"]["data"]
        assert list(info.k) == CALIBRATION["camera_matrix"]["data"]
        assert list(info.r) == CALIBRATION["rectification_matrix"]["data"]
        assert list(info.p) == CALIBRATION["projection_matrix"]["data"]
    other = camera.infos[2]  # a frame of another size has no calibration
    assert (other.width, sum(other.k), sum(other.p)) == (WIDTH + 2, 0.0, 0.0)
    camera.wait_for_diagnostics(DiagnosticStatus.WARN, "another size than the calibration's")


def test_what_cannot_be_opened_is_one_clear_error_each(graph, start, tmp_path):
    video = write_video(tmp_path / "weld.avi", 3)
    (tmp_path / "empty").mkdir()
    (tmp_path / "rubbish.mp4").write_bytes(b"rubbish" * 99)
    (tmp_path / "rubbish.mcap").write_bytes(b"rubbish" * 99)
    wide = tmp_path / "wide.yaml"
    wide.write_text(yaml.safe_dump(CALIBRATION | {"image_width": 1280}))
    damaged = tmp_path / "damaged.yaml"
    damaged.write_text("image_width: [")
    camera = start(autostart=False)
    for parameters, told in (
        ({"source": "device", "path": "/dev/video97"}, "camera /dev/video97 cannot be found"),
        ({"path": "/dev/null"}, "camera /dev/null cannot be opened: it is no camera"),
        ({"path": str(video)}, "is no device"),
        ({"source": "video", "path": ""}, "needs a path"),
        ({"path": str(tmp_path / "absent.mp4")}, "absent.mp4 does not exist"),
        ({"path": str(tmp_path / "rubbish.mp4")}, "it is no video"),
        ({"source": "images", "path": str(tmp_path / "absent")}, "absent does not exist"),
        ({"path": str(tmp_path / "empty")}, "holds no images"),
        ({"source": "bag", "path": str(tmp_path / "absent")}, "absent does not exist"),
        ({"path": str(tmp_path / "empty")}, "is no bag"),
        ({"path": str(tmp_path / "rubbish.mcap")}, "rubbish.mcap cannot be opened"),
        ({"source": "video", "path": str(video), "calibration_file": "/absent.yaml"}, "/absent"),
        ({"calibration_file": str(damaged)}, "damaged.yaml is no YAML"),
        ({"calibration_file": str(wide)}, "is for 1280x64 pixels but"),
    ):
        for name, value in parameters.items():
            assert graph.set_parameter(NODE, name, value).successful
        assert not camera.change(Transition.TRANSITION_CONFIGURE)
        graph.wait_for_output(camera.process, told)
        assert graph.state(NODE) == "unconfigured"
    assert told in camera.wait_for_diagnostics(DiagnosticStatus.ERROR, told)["last error"]
    assert graph.set_parameter(NODE, "calibration_file", "").successful
    assert camera.change(Transition.TRANSITION_CONFIGURE)
    assert camera.change(Transition.TRANSITION_ACTIVATE)
    camera.wait_for_frames(3)


BOUNDS = [
    ("source", "images", "film"),
    ("frame_rate", 25.0, -1.0),
    ("width", 640, -1),
    ("simulated.rig", "manual", "robot"),
    ("simulated.duration", 60.0, 0.0),
    ("frame_id", "cam", ""),
]


def test_parameters_out_of_bounds_are_refused_at_run_time(graph, start):
    camera = start(autostart=False)
    for name, good, bad in BOUNDS:
        assert not graph.set_parameter(NODE, name, bad).successful, name
        assert graph.set_parameter(NODE, name, good).successful, name
    assert camera.process.returncode is None


def test_parameters_out_of_bounds_are_refused_at_start(graph):
    for executable, name, bad in (
        ("camera_driver", "source", "film"),
        ("camera_driver", "frame_rate", -1.0),
        ("simulated_carriage", "duration", 0.0),
    ):
        process = graph.run(executable, parameters={name: bad})
        assert process.wait() == 1
        assert name in process.output and len(process.output.strip().splitlines()) == 1


class Server:
    """Serves a video over HTTP; while broken, only the first half of it."""

    def __init__(self, content: bytes):
        self.broken = True
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                try:
                    self.wfile.write(content[: len(content) // 2] if outer.broken else content)
                except OSError:
                    pass  # the reader has seen enough

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/weld.avi"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def test_a_source_that_is_lost_is_opened_again(graph, start, tmp_path):
    content = write_video(tmp_path / "weld.avi", 40, noise=True).read_bytes()
    server = Server(content)
    try:
        camera = start(source="video", path=server.url)
        camera.wait_for_diagnostics(DiagnosticStatus.ERROR, "lost, being opened again: video")
        camera.wait_for_frames(10)
        server.broken = False
        values = camera.wait_for_diagnostics(DiagnosticStatus.WARN, "source ended after 40 frames")
        assert int(values["re-opened"]) >= 1 and int(values["losses"]) >= 1
        graph.wait_for(lambda: len(camera.stamps) == int(values["frames published"]))
        assert min(np.diff(camera.stamps)) > 0
        assert "gives frames again" in camera.process.output
    finally:
        server.close()


def test_a_carriage_follows_the_camera_when_its_own_listeners_are_there(graph, start):
    plan = {"seed": 5, "duration": 1.0}
    graph.run("simulated_carriage", parameters=plan | {"start.subscribers": 1})
    graph.wait_for_state("weld/simulated_carriage")
    parameters = {f"simulated.{name}": value for name, value in plan.items()}
    camera = start(**parameters, **{"source": "simulated", "start.camera_info_subscribers": 2})
    camera.wait_for_diagnostics(DiagnosticStatus.WARN, "waiting for subscribers")
    status = graph.diagnostics("weld/simulated_carriage")
    assert status.message == "waiting for subscribers of /weld/carriage_state (0 of 1)"
    states = graph.collect(CarriageState, "/weld/carriage_state", qos.CARRIAGE)
    camera.wait_for_frames(20)
    graph.wait_for(lambda: len(states) >= 21, what="a carriage state for every frame")
    assert [stamp_ns(state) for state in states[:20]] == camera.stamps


def test_a_carriage_does_not_wait_for_ever_for_its_listeners(graph, start):
    parameters = {"duration": 1.0, "start.subscribers": 5, "start.timeout": 1.0}
    carriage = graph.run("simulated_carriage", parameters=parameters)
    states = graph.collect(CarriageState, "/weld/carriage_state", qos.CARRIAGE)
    graph.wait_for_output(carriage, "begins after 1 s without all the subscribers")
    start(**{"source": "simulated", "simulated.duration": 1.0, "start.camera_info_subscribers": 2})
    graph.wait_for(lambda: states, what="a carriage state")


def test_a_recorded_carriage_goes_with_every_pass_of_a_looping_bag(graph, start, tmp_path):
    store, kind = get_typestore(Stores.ROS2_JAZZY), "weld_interfaces/msg/CarriageState"
    store.register(get_types_from_msg("std_msgs/Header header", kind))
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        images = writer.add_connection("/weld/image_raw", IMAGE_TYPE, typestore=store)
        carriage = writer.add_connection("/weld/carriage_state", kind, typestore=store)
        for k in range(20):
            at = T0 + k * PERIOD_NS
            header = Header(stamp=Time(sec=at // 10**9, nanosec=at % 10**9))
            picture = Image(header=header, height=2, width=2, step=6, encoding="bgr8")
            picture.data = array("B", bytes(12))
            state = CarriageState(header=header, position=k / 100, weld_id="W1")
            writer.write(images, at, serialize_message(picture))
            writer.write(carriage, at, serialize_message(state))
    states = graph.collect(CarriageState, "/weld/carriage_state", qos.CARRIAGE)
    plan = {"path": str(tmp_path / "bag"), "loop": True}
    graph.run("recorded_carriage", parameters=plan | {"start.subscribers": 1})
    graph.wait_for_state("weld/recorded_carriage")
    start(**plan, **{"source": "bag", "start.camera_info_subscribers": 2})
    graph.wait_for(lambda: len(states) >= 50, what="the states of three passes")
    assert [stamp_ns(state) for state in states[:50]] == [T0 + k * PERIOD_NS for k in range(50)]
    positions = [state.position for state in states[:50]]
    assert positions == pytest.approx([k % 20 / 100 for k in range(50)])
    assert {state.weld_id for state in states} == {"W1"}


def test_simulated_weld_with_its_carriage(graph, start):
    plan = {"seed": 5, "rig": "manual", "duration": 1.5}
    weld = SimulatedWeld(**plan)
    states = graph.collect(CarriageState, "/weld/carriage_state", qos.CARRIAGE)
    graph.run("simulated_carriage", parameters=plan)
    graph.wait_for_state("weld/simulated_carriage")
    parameters = {f"simulated.{name}": value for name, value in plan.items()}
    parameters |= {"source": "simulated", "start.camera_info_subscribers": 2}
    camera = start(**parameters)
    camera.wait_for_diagnostics(DiagnosticStatus.WARN, "source ended after 30 frames")
    camera.wait_for_frames(30)
    graph.wait_for(lambda: len(states) >= 31, what="31 carriage states")
    assert [stamp_ns(state) for state in states[:30]] == camera.stamps
    for k, state in enumerate(states[:30]):
        assert state.position == pytest.approx(weld.position(k / 20.0), abs=1e-9)
        assert state.speed == pytest.approx(weld.speed(k / 20.0))
        assert (state.arc_on, state.weld_id, state.pass_number) == (True, "simulated-5", 0)
    assert len(states) == 31 and not states[30].arc_on and states[30].speed == 0.0
    # A camera that comes back has its weld, and so the carriage, at the begin.
    assert camera.process.interrupt() == 0
    again = Camera(
        graph,
        **parameters | {"start.image_subscribers": 2, "start.camera_info_subscribers": 3},
    )
    again.wait_for_frames(5)
    graph.wait_for(lambda: len(states) >= 36, what="the second weld")
    assert stamp_ns(states[31]) == again.stamps[0]
    for k, state in enumerate(states[31:36]):
        assert state.position == pytest.approx(weld.position(k / 20.0), abs=1e-9)
