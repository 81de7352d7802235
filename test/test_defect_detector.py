"""The detector node for real: images and carriage over ROS, a model from a file."""

import math
import re
from array import array
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from rclpy.qos import QoSProfile
from ros_graph import Graph
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from weld_inspection.inspection.decision import DecisionSettings
from weld_inspection.inspection.engine import InferenceEngine
from weld_inspection.inspection.inspector import Inspector
from weld_inspection.inspection.seam import CarriagePositions, SeamGeometry
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.registry import NETWORKS, build_network
from weld_inspection.networks.weights import save_model
from weld_inspection.nodes import qos
from weld_interfaces.msg import CarriageState, DefectReport, DetectorInfo

DOMAIN_ID = 42
PERIOD = 50_000_000  # ns
START = 1_700_000_000 * 10**9
SPEED = 0.02  # m/s
WIDTH, HEIGHT = 320, 180
METRES_PER_PIXEL = 1.5e-4
# A test sends its frames as fast as it can: the node must not lose any before they are taken.
EAGER = "qos_overrides./{namespace}/image_raw.subscription.depth"
PARAMETERS = {
    "backend": "torch",
    "precision": "fp32",
    "seam.metres_per_pixel": METRES_PER_PIXEL,
}


def save_bright_model(path: Path) -> None:
    """Writes a bi-CRRN-E whose weights are set by hand: what is bright is a defect."""
    network = build_network(NetworkConfig("bi_crrn_e", channels=1, layers=1))
    values = network.state_dict()
    for name, value in values.items():
        if value.is_floating_point() and "running_var" not in name:
            value.zero_()
    for norm in ("spatial_encoder.layers.1", "spatial_encoder.layers.4", "spatial_decoder.norm"):
        values[f"{norm}.weight"].fill_(1.0)
    values["spatial_encoder.layers.0.weight"].fill_(1 / 75)  # mean of 5x5 pixels and 3 channels
    values["spatial_encoder.layers.3.weight"].fill_(1 / 25)
    for direction in ("forward", "backward"):
        values[f"{direction}_layers.0.from_input.weight"][0, 0, 2, 2] = 4.0
        # Input and output gates open, forget gate shut.
        values[f"{direction}_layers.0.from_input.bias"][:] = torch.tensor([0.0, 20.0, -20.0, 20.0])
    values["top.weight"].fill_(0.5)
    values["spatial_decoder.first.weight"].fill_(4 / 25)
    values["spatial_decoder.second.weight"][0, 1] = 20.0 * 4 / 25
    values["spatial_decoder.second.bias"][:] = torch.tensor([9.0, -9.0])
    network.load_state_dict(values)
    save_model(path, network)


def save_divided_model(path: Path, name: str) -> InferenceEngine:
    """Writes a model with fresh weights that marks half of the pixels; returns its engine."""
    torch.manual_seed(3)
    network = build_network(NetworkConfig(name, channels=4, window=4, width=80, height=45))
    save_model(path, network)
    window = np.stack([cv2.resize(picture(k), (80, 45)) for k in range(4)])
    middle = float(np.median(InferenceEngine(path, "cpu", "fp32").infer(window)))
    save_model(path, network, threshold=middle)
    return InferenceEngine(path, "cpu", "fp32")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "bright.safetensors"
    save_bright_model(path)
    return path


def picture(k: int, *, bright: int = 255) -> np.ndarray:
    """Frame k of a gray plate with a bright spot that travels with the seam."""
    image = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    left = 250 - round(k * SPEED * PERIOD / 1e9 / METRES_PER_PIXEL)
    image[60:120, max(0, left) : max(0, left + 40)] = bright
    return image


def encode(image: np.ndarray, encoding: str) -> np.ndarray:
    """The same picture in another encoding; it is gray, so that none loses anything."""
    gray = image[..., 0]
    wide = gray.astype("<u2") * 257
    pixels = {
        "bgr8": image,
        "rgb8": image[..., ::-1],
        "mono8": gray,
        "bgra8": cv2.cvtColor(image, cv2.COLOR_BGR2BGRA),
        "rgba8": cv2.cvtColor(image, cv2.COLOR_BGR2RGBA),
        "mono16": wide,
        "16UC1": wide,
        "bgr16": cv2.merge([wide] * 3),
    }[encoding]
    return np.ascontiguousarray(pixels)


def stamp(k: int) -> Time:
    seconds, nanoseconds = divmod(START + k * PERIOD, 10**9)
    return Time(sec=seconds, nanosec=nanoseconds)


def message(k: int, image: np.ndarray | None = None, encoding: str = "bgr8", **fields) -> Image:
    """Frame k as a message; `fields` overwrite what would be true."""
    image = picture(k) if image is None else image
    pixels = encode(image, encoding)
    made = Image(header=Header(stamp=stamp(k), frame_id="camera"), encoding=encoding)
    made.height, made.width = image.shape[:2]
    made.step = pixels.nbytes // made.height
    made.data = array("B", pixels.tobytes())
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def key(header: Header) -> tuple:
    return header.stamp.sec, header.stamp.nanosec, header.frame_id


class Bench:
    """A detector, a camera, a carriage, and ears on all the detector says."""

    def __init__(self, graph, namespace: str, parameters: dict) -> None:
        self.graph = graph
        self.name = f"{namespace}/defect_detector"
        self.shown = 0
        self.masks = graph.collect(Image, f"/{namespace}/defect_mask", QoSProfile(depth=200))
        self.reports = graph.collect(DefectReport, f"/{namespace}/defects", QoSProfile(depth=200))
        self.infos = graph.collect(DetectorInfo, f"/{namespace}/detector_info", qos.LATCHED)
        self.diagnostics = graph.collect(DiagnosticArray, "/diagnostics", 10)
        node = graph.node
        self.camera = node.create_publisher(Image, f"/{namespace}/image_raw", QoSProfile(depth=200))
        self.carriage = node.create_publisher(
            CarriageState, f"/{namespace}/carriage_state", qos.CARRIAGE
        )
        parameters = PARAMETERS | {EAGER.format(namespace=namespace): 200} | parameters
        self.process = graph.run("defect_detector", parameters=parameters, namespace=namespace)

    def wait_until_active(self) -> None:
        self.graph.wait_for(lambda: self.infos and self.infos[-1].active, 120)
        self.graph.wait_for(
            lambda: (
                self.camera.get_subscription_count() > 0
                and self.carriage.get_subscription_count() > 0
            ),
            30,
        )

    def begin_anew(self) -> None:
        """Deactivates and activates the node, with the default thresholds."""
        self.deactivate()
        self.set_parameter("pixel_threshold", 1000)
        self.set_parameter("min_region_area", 256)
        for heard in (self.masks, self.reports, self.infos, self.diagnostics):
            heard.clear()
        self.shown = 0
        assert self.graph.change_state(self.name, Transition.TRANSITION_ACTIVATE)
        self.wait_until_active()
        self.wait_until_received()

    def deactivate(self) -> None:
        assert self.graph.change_state(self.name, Transition.TRANSITION_DEACTIVATE)
        self.graph.wait_for(lambda: not self.infos[-1].active)
        self.graph.wait_for(lambda: self.camera.get_subscription_count() == 0)

    def show(self, frames, **options) -> None:
        """Publishes frames, of given numbers; at most 20, which are all that may wait inside."""
        self.show_messages(*(message(k, **options) for k in frames))

    def show_messages(self, *images: Image) -> None:
        for image in images:
            self.camera.publish(image)
            self.shown += 1

    def wait_until_received(self) -> None:
        """Waits until all frames are in the node."""
        self.graph.wait_for(lambda: self.count("frames received") == self.shown)

    def wait_for(self, *, masks: int | None = None, reports: int | None = None) -> None:
        self.graph.wait_for(
            lambda: (
                (masks is None or len(self.masks) >= masks)
                and (reports is None or len(self.reports) >= reports)
            ),
            60,
        )

    def status(self) -> DiagnosticStatus | None:
        """The node's latest diagnostics."""
        return self.graph.diagnostics(self.name)

    def was_told(self, text: str) -> bool:
        """Whether a warning with this text was in diagnostics."""
        return any(
            text in status.message and status.level == DiagnosticStatus.WARN
            for array in list(self.diagnostics)
            for status in array.status
        )

    def count(self, name: str) -> int:
        """A counter of the latest diagnostics, -1 where it is not in them."""
        status = self.status()
        values = {v.key: v.value for v in status.values} if status else {}
        return int(values.get(name, -1))

    def set_parameter(self, name: str, value: float | int):
        return self.graph.set_parameter(self.name, name, value)


@pytest.fixture(scope="module")
def detector(model, tmp_path_factory):
    """One node for most tests: it takes seconds to start."""
    graph = Graph(DOMAIN_ID, tmp_path_factory.mktemp("graph"))
    bench = Bench(graph, "weld", {"model": str(model)})
    bench.wait_until_active()
    yield bench
    graph.close()


@pytest.fixture
def bench(detector):
    """The node, newly activated."""
    detector.begin_anew()
    return detector


def test_live_inspection_is_the_offline_one(bench, model):
    """Twenty frames: each has its mask, both windows their reports, and all is bit for bit what
    the same code makes of the frames without ROS."""
    carriage = CarriagePositions()
    for k in range(-1, 22):
        position = k * PERIOD / 1e9 * SPEED
        carriage.add(START + k * PERIOD, position, SPEED, "W1")
        header = Header(stamp=stamp(k))
        bench.carriage.publish(
            CarriageState(header=header, position=position, speed=SPEED, weld_id="W1")
        )
        if k == 8:  # within the depth of the subscription
            bench.show(range(10))
            bench.wait_for(masks=10, reports=1)
    bench.show(range(10, 20))
    bench.wait_for(masks=20, reports=2)

    inspector = Inspector(
        InferenceEngine(model, precision="fp32"),
        carriage=carriage,
        geometry=SeamGeometry(METRES_PER_PIXEL),
    )
    expected = [r for k in range(20) for r in inspector.add(picture(k), START + k * PERIOD)]
    frames = [frame for result in expected for frame in result.frames]
    assert [key(mask.header) for mask in bench.masks] == [
        key(Header(stamp=stamp(k), frame_id="camera")) for k in range(20)
    ]
    for mask, frame in zip(bench.masks, frames, strict=True):
        assert (mask.encoding, mask.width, mask.height, mask.step) == ("mono8", 160, 90, 160)
        pixels = np.frombuffer(mask.data, np.uint8).reshape(90, 160)
        assert set(np.unique(pixels)) == {0, 255}
        assert np.array_equal(pixels, frame.mask)
    info = bench.infos[-1]
    assert info.model_id.startswith("bright.safetensors")
    assert (info.width, info.height, info.window, info.stride) == (160, 90, 10, 10)
    for number, (report, result) in enumerate(zip(bench.reports, expected, strict=True)):
        assert report.sequence == number
        assert report.header == bench.masks[10 * number + 9].header
        assert (report.window_start, report.window_end) == (
            stamp(10 * number),
            stamp(10 * number + 9),
        )
        assert report.defective and report.defective == result.defective
        assert report.defect_pixels == result.defect_pixels
        assert report.pixel_threshold == 1000
        assert tuple(report.frame_defect_pixels) == result.frame_defect_pixels
        assert report.confidence == pytest.approx(result.confidence)
        assert report.frames_dropped == 0
        assert report.latency.sec > 0  # the frames' stamps are of 2023
        assert report.weld_id == "W1"
        assert report.model_id == info.model_id
        (region,), (wanted,) = report.regions, result.regions
        assert region.track_id == wanted.track_id == 1
        assert region.area == wanted.area
        assert (region.roi.x_offset, region.roi.y_offset) == (wanted.x, wanted.y)
        assert (region.roi.width, region.roi.height) == (wanted.width, wanted.height)
        assert region.confidence == pytest.approx(wanted.confidence)
        assert region.seam_position == pytest.approx(wanted.seam_position)
        # The spot's middle is 110.5 pixels right of the image's at position 0.
        assert region.seam_position == pytest.approx(110.5 * METRES_PER_PIXEL, abs=2e-4)


def test_every_encoding_gives_the_same_masks_and_others_are_refused(bench):
    encodings = ["bgr8", "rgb8", "mono8", "bgra8", "rgba8", "mono16", "16UC1", "bgr16"]
    still = picture(0)
    for number, encoding in enumerate(encodings):
        frames = range(10 * number, 10 * number + 10)
        bench.show(frames, image=still, encoding=encoding)
        bench.wait_for(masks=10 * number + 10, reports=number + 1)
    assert len({bytes(mask.data) for mask in bench.masks}) == 1
    assert np.frombuffer(bench.masks[0].data, np.uint8).any()
    assert math.isnan(bench.reports[0].regions[0].seam_position)  # no carriage was heard
    assert bench.reports[0].weld_id == ""

    k = 10 * len(encodings)
    short, unknown = message(k), message(k)
    short.data = short.data[:-1]
    unknown.encoding = "yuv422"
    bench.show_messages(
        short,
        unknown,
        message(k, encoding="mono8", step=WIDTH - 1),
        message(k, encoding="mono8", width=0),
    )
    bench.graph.wait_for(lambda: bench.count("frames refused") == 4)
    # The trouble is told once a second while it lasts; the node goes on.
    bench.graph.wait_for(lambda: bench.was_told("images refused"))
    bench.show(range(k, k + 10), encoding=encodings[-1])
    bench.wait_for(masks=k + 10)
    bench.wait_until_received()
    assert bench.count("windows broken off by change of format") == len(encodings) - 1


def test_no_window_spans_a_break(bench):
    bench.show(range(0, 13))  # one window, and three frames that a gap discards
    bench.wait_until_received()
    bench.show(range(20, 33))  # one window, and three frames before the stamps go back
    bench.wait_until_received()
    bench.show(range(-100, -87))  # one window, and three frames of the old size
    bench.wait_until_received()
    small = cv2.resize(picture(0), (WIDTH // 2, HEIGHT // 2))
    bench.show(range(-87, -77), image=small)
    bench.wait_for(masks=40, reports=4)
    starts = [0, 20, -100, -87]
    assert [r.window_start for r in bench.reports] == [stamp(k) for k in starts]
    assert [r.window_end for r in bench.reports] == [stamp(k + 9) for k in starts]
    # Discarded and lost; of a clock that goes back nobody knows what was lost meanwhile.
    assert [r.frames_dropped for r in bench.reports] == [0, 3 + 7, 3, 3]
    expected = [k + n for k in starts for n in range(10)]
    assert [mask.header.stamp for mask in bench.masks] == [stamp(k) for k in expected]
    bench.wait_until_received()
    assert bench.count("frames lost") == 7
    assert bench.count("frames discarded with broken windows") == 9
    assert bench.count("windows broken off by gap") == 1
    assert bench.count("windows broken off by stamp went back") == 1
    assert bench.count("windows broken off by change of format") == 1


def test_thresholds_change_at_run_time_within_their_bounds(bench):
    for name, value in (
        ("threshold", 1.5),
        ("threshold", math.nan),
        ("pixel_threshold", -1),
        ("max_frame_gap", math.nan),
        ("seam.camera_offset", math.inf),
    ):
        result = bench.set_parameter(name, value)
        assert not result.successful
        assert name in result.reason
    assert bench.set_parameter("pixel_threshold", 100_000).successful
    bench.graph.wait_for(lambda: bench.infos[-1].pixel_threshold == 100_000)
    own = bench.infos[-1].threshold
    assert bench.infos[-1].active and own == 0.5
    assert bench.set_parameter("threshold", 0.25).successful
    bench.graph.wait_for(lambda: bench.infos[-1].threshold == 0.25)
    assert bench.set_parameter("threshold", 0.0).successful
    bench.graph.wait_for(lambda: bench.infos[-1].threshold == own)
    bench.show(range(10))
    bench.wait_for(reports=1)
    assert bench.reports[0].pixel_threshold == 100_000
    assert not bench.reports[0].defective and bench.reports[0].defect_pixels > 1000
    assert bench.set_parameter("pixel_threshold", 0).successful
    assert bench.set_parameter("min_region_area", 10**6).successful
    bench.graph.wait_for(lambda: bench.infos[-1].pixel_threshold == 0)
    bench.show(range(10, 20))
    bench.wait_for(reports=2)
    assert bench.reports[1].defective
    assert bench.reports[1].regions == []


def test_activation_begins_anew(bench):
    bench.show(range(13))
    bench.wait_for(masks=10, reports=1)
    bench.begin_anew()
    bench.show(range(13, 23))
    bench.wait_for(masks=10, reports=1)
    assert [mask.header.stamp for mask in bench.masks] == [stamp(k) for k in range(13, 23)]
    (report,) = bench.reports
    assert (report.sequence, report.frames_dropped) == (0, 0)
    assert report.regions[0].track_id == 1


def test_overlay_is_drawn_for_who_subscribes(bench):
    overlays = bench.graph.collect(Image, "/weld/overlay", qos.OVERLAY)
    bench.graph.wait_for(lambda: bench.graph.node.count_publishers("/weld/overlay") == 1)
    shown = iter(range(10**6))

    def one_came() -> bool:
        bench.show([next(shown)])
        return bool(overlays)

    bench.graph.wait_for(one_came)
    overlay = overlays[0]
    assert (overlay.encoding, overlay.width, overlay.height) == ("bgr8", WIDTH, HEIGHT)
    assert overlay.header.frame_id == "camera"
    pixels = np.frombuffer(overlay.data, np.uint8).reshape(HEIGHT, WIDTH, 3)
    assert (pixels[..., 2].astype(int) > pixels[..., 0].astype(int) + 40).sum() > 500  # red


def test_slow_network_drops_whole_windows_oldest_first(graph, tmp_path):
    """Ten windows of two frames at once, to a network that takes far longer than they do."""
    torch.manual_seed(1)
    path = tmp_path / "slow.safetensors"
    config = NetworkConfig("bi_crrn_ed_attn", window=2, width=240, height=135)
    save_model(path, build_network(config))
    bench = Bench(graph, "slow", {"model": str(path), "queue_size": 2})
    bench.wait_until_active()
    bench.show(range(20), image=cv2.resize(picture(0), (32, 18)))
    bench.wait_until_received()  # the executor goes on while the network works
    graph.wait_for(lambda: bench.reports and bench.reports[-1].window_end == stamp(19), 120)
    inspected = len(bench.reports)
    graph.wait_for(lambda: bench.count("windows inspected") == inspected)
    assert bench.count("windows dropped") == 10 - inspected
    # Two in waiting, and one in work while the others come, if it was not a first frame's look.
    assert 2 <= inspected < 10
    assert sum(report.frames_dropped for report in bench.reports) == 2 * (10 - inspected)
    assert bench.reports[-2].window_end == stamp(17)
    graph.wait_for(lambda: len(bench.masks) == 2 * inspected)
    assert bench.was_told("inference falls behind")


def test_every_network_runs_live(graph, tmp_path):
    """One node, which is configured with a model of each network in turn."""
    bench = None
    for name in NETWORKS:
        path = tmp_path / f"{name}.safetensors"
        engine = save_divided_model(path, name)
        inspector = Inspector(engine, settings=DecisionSettings(engine.info.threshold))
        frames = [(picture(k), START + k * PERIOD) for k in range(4)]
        (expected,) = [result for frame in frames for result in inspector.add(*frame)]
        wanted = np.stack([frame.mask for frame in expected.frames])
        if bench is None:
            listened = {"start.report_subscribers": 1, "start.mask_subscribers": 1}
            bench = Bench(graph, "each", {"model": str(path), "device": "cpu"} | listened)
        else:
            bench.deactivate()
            assert graph.change_state(bench.name, Transition.TRANSITION_CLEANUP)
            assert bench.set_parameter("model", str(path)).successful
            assert graph.change_state(bench.name, Transition.TRANSITION_CONFIGURE)
            assert graph.change_state(bench.name, Transition.TRANSITION_ACTIVATE)
        bench.wait_until_active()
        assert bench.infos[-1].architecture == name
        bench.masks.clear()
        bench.reports.clear()
        bench.show(range(4))
        bench.wait_for(masks=4, reports=1)
        found = np.stack([np.frombuffer(mask.data, np.uint8) for mask in bench.masks])
        found = found.reshape(wanted.shape)
        assert 0.1 < wanted.mean() / 255 < 0.9, name
        assert (found == wanted).mean() > 0.999, name
        assert bench.reports[0].model_id == engine.info.model_id
        assert sum(bench.reports[0].frame_defect_pixels) == np.count_nonzero(found)


def test_backend_that_is_chosen_is_told_with_the_reason(graph, tmp_path):
    path = tmp_path / "bright.safetensors"
    save_bright_model(path)
    parameters = {"model": str(path), "backend": "auto", "device": "cpu", "views": 2}
    bench = Bench(graph, "auto", parameters)
    bench.wait_until_active()
    info = bench.infos[-1]
    time = r"(torch|openvino) fp32 \d+ ms"
    views = "the mean of 2 mirrored views of each window"
    measured = re.fullmatch(rf"{time} a window, {time}; {views}", info.backend_reason)
    assert measured, info.backend_reason
    assert {measured[1], measured[2]} == {"torch", "openvino"}
    graph.wait_for(lambda: f"backend {info.backend_reason}" in bench.process.output)
    graph.wait_for(
        lambda: (
            (status := bench.status())
            and info.backend_reason in {value.value for value in status.values}
        )
    )


def test_absent_or_damaged_model_is_told_and_taken_once_it_is_right(graph, tmp_path):
    path = tmp_path / "late.safetensors"
    bench = Bench(graph, "late", {"model": str(path)})

    def fails_with(text: str) -> bool:
        status = bench.status()
        wrong = status is not None and status.level == DiagnosticStatus.ERROR
        return wrong and text in status.message and path.name in status.message

    graph.wait_for(lambda: fails_with("no model"), 120)
    path.write_bytes(b"\x20\x00\x00\x00\x00\x00\x00\x00{ not a model }")
    graph.wait_for(lambda: fails_with("damaged"), 120)
    assert not bench.infos
    save_bright_model(path)
    bench.wait_until_active()
    bench.show(range(10))
    bench.wait_for(masks=10, reports=1)


@pytest.mark.parametrize(("name", "value"), [("threshold", 1.5), ("seam.max_age", math.nan)])
def test_parameter_out_of_bounds_is_refused_at_the_start(graph, model, name, value):
    process = graph.run("defect_detector", parameters={"model": str(model), name: value})
    assert process.wait(60) == 1
    assert name in process.output and "Traceback" not in process.output
