"""A recording through the detector's own path, as fast as it goes, into a bag."""

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from weld_inspection.camera.prefetch import Prefetch
from weld_inspection.camera.recorded_carriage import RecordedCarriage
from weld_inspection.camera.recording import RecordedImage, Recording
from weld_inspection.camera.source import CameraError
from weld_inspection.errors import InspectionError
from weld_inspection.inspection.decision import DecisionSettings
from weld_inspection.inspection.engine import InferenceEngine
from weld_inspection.inspection.inspector import Inspector, WindowResult
from weld_inspection.inspection.seam import CarriagePositions, SeamGeometry
from weld_inspection.inspection.windows import FrameWindows
from weld_inspection.nodes import qos
from weld_inspection.nodes.bag_topics import recorded_topic
from weld_inspection.nodes.defect_messages import to_image, to_info, to_report, to_time
from weld_inspection.nodes.parameter_files import read_node_parameters
from weld_inspection.recording.bag_file import PARTIAL_FOLDER, BagFile
from weld_inspection.recording.definitions import DefinitionStore
from weld_inspection.recording.errors import RecordingError
from weld_inspection.recording.topics import RecordedTopic, Role
from weld_inspection.stamps import NANOSECONDS, to_nanoseconds
from weld_interfaces.msg import CarriageState, DefectReport, DetectorInfo

DECODED_AHEAD = 16  # frames; 44 MB of 1280x720
DETECTOR, CAMERA = "defect_detector", "camera_driver"
CAMERA_PARAMETERS = ("frame_id", "frame_rate", "bag_topic")  # the others are the detector's
HIGHEST_FRAME_RATE = 240.0  # Hz, the camera driver's bound
SEAM_DEFAULTS = {**asdict(SeamGeometry()), "max_age": 1.0}


@dataclass(frozen=True, slots=True)
class OfflineParameters:
    """Parameters of the nodes that change what is found; names and defaults are the nodes' own.

    Attributes:
        threshold: Probability above which a pixel is defect; 0 for the model's own.
        pixel_threshold: theta of eq. (9); the rest as the detector's YAML describes it.
        min_region_area: Smallest region that is reported, camera pixels.
        stride: Frames from one window to the next; 0 for T.
        max_frame_gap: Longest time between two frames of a window in seconds; 0 for the usual one.
        seam: metres_per_pixel, camera_offset, direction and max_age.
        frame_id: Of the camera driver.
        frame_rate: Of the camera driver: frames a second of a video or of images; 0 for the
            recording's own. A bag keeps its stamps.
        bag_topic: Of the camera driver: the bag's images; if empty, as Bag chooses.
        model: As the detector's, and so device, precision, backend and views.
    """

    threshold: float = 0.0
    pixel_threshold: int = DecisionSettings().pixel_threshold
    min_region_area: int = DecisionSettings().min_region_area
    stride: int = 0
    max_frame_gap: float = 0.0
    seam: dict[str, Any] = field(default_factory=dict)
    frame_id: str = "weld_camera"
    frame_rate: float = 0.0
    bag_topic: str = ""
    model: str = ""
    device: str = "auto"
    precision: str = "auto"
    backend: str = "auto"
    views: int = 1

    def __post_init__(self) -> None:
        """Checks the types and the rate.

        Raises:
            InspectionError: A value is of another type than the node's parameter, or the rate is
                out of its bounds.
        """
        given = {name: getattr(self, name) for name in self.__dataclass_fields__}
        defaults = {name: item.default for name, item in self.__dataclass_fields__.items()}
        defaults["seam"] = {}
        if isinstance(self.seam, dict):
            given |= {f"seam.{name}": value for name, value in self.seam.items()}
        defaults |= {f"seam.{name}": value for name, value in SEAM_DEFAULTS.items()}
        for name, value in given.items():
            if name not in defaults:
                raise InspectionError(f"there is no parameter {name}")
            wanted = (int, float) if isinstance(defaults[name], float) else type(defaults[name])
            number = isinstance(value, (int, float))
            if not isinstance(value, wanted) or (number and not math.isfinite(value)):
                kind = type(defaults[name]).__name__
                raise InspectionError(f"parameter {name} is {value!r}: give a value of type {kind}")
        if not 0 <= self.frame_rate <= HIGHEST_FRAME_RATE:
            raise InspectionError(
                f"frame_rate is {self.frame_rate} Hz: give 0 to {HIGHEST_FRAME_RATE:g}"
            )


@dataclass(frozen=True, slots=True)
class OfflineSummary:
    """What an offline inspection came to.

    Attributes:
        bag: Folder of the bag.
        frames: Frames of the recording, those that could not be decoded included.
        windows: Windows inspected.
        defective: Of those, how many are defective.
        seconds: Time that the frames show.
        failed: Windows that could not be inspected.
        failure: When the last of them was and why it failed; empty if none did.
        damage: Why reading broke off after these frames; empty if it came to the end.
        undecoded: Frames in the middle that could not be decoded.
        inspected: Frames that got their mask.
        lost: Frames that are missing between the others, by their stamps.
        discarded: Frames of windows that such a gap, or a jump of the stamps, has broken off.
    """

    bag: Path
    frames: int
    windows: int
    defective: int
    seconds: float
    failed: int = 0
    failure: str = ""
    damage: str = ""
    undecoded: int = 0
    inspected: int = 0
    lost: int = 0
    discarded: int = 0


def read_parameters(path: Path, namespace: str = "/weld") -> OfflineParameters:
    """Reads the nodes' parameters from the file that a launch takes.

    Args:
        path: The file.
        namespace: Of the nodes.

    Raises:
        InspectionError: The file cannot be read, or a value cannot be used.
    """
    sections = read_node_parameters(path, DETECTOR, CAMERA, namespace=namespace)
    if not sections:
        raise InspectionError(
            f"{path} has no parameters for the detector: they stand under /**/{DETECTOR}, as in "
            "config/weld_inspection.yaml"
        )
    given: dict[str, Any] = {}
    for name in OfflineParameters.__dataclass_fields__:
        found = sections.get(CAMERA if name in CAMERA_PARAMETERS else DETECTOR, {})
        if name in found:
            given[name] = found[name]
    return OfflineParameters(**given)


def inspect_recording(
    recording: Recording,
    carriage: RecordedCarriage | None,
    engine: InferenceEngine,
    out: Path,
    *,
    parameters: OfflineParameters = OfflineParameters(),
    namespace: str = "/weld",
    advance: Callable[[int], object] = lambda frames: None,
) -> OfflineSummary:
    """Inspects a recording and writes masks and reports as the detector would publish them.

    Recorded stamps are kept; a recording without any gets 0, 1 / rate, 2 / rate ... seconds. What
    lies in the bag differs from a live run of the same engine in nothing but times: messages bear
    the stamps of their frames, and a report's latency is 0. As in a live run, a window that fails
    is left out, and what came before damage is kept.

    Args:
        recording: Is read to its end, or to where it is damaged; the caller closes it.
        carriage: States of the carriage; None where none are known.
        engine: Runs the network.
        out: The bag's folder; must not be there.
        parameters: Those that change what is found.
        namespace: Of the topics.
        advance: Called after each frame with how many have passed, undecodable ones included.

    Raises:
        InspectionError: Not one frame can be read, or the bag cannot be written; no bag is left.
    """
    rate = parameters.frame_rate or recording.frame_rate
    if rate <= 0:
        raise InspectionError(
            f"{recording.name} does not say its frame rate: give the camera driver's frame_rate"
        )
    settings = DecisionSettings(
        parameters.threshold or engine.info.threshold,
        parameters.pixel_threshold,
        parameters.min_region_area,
    )
    seam = SEAM_DEFAULTS | parameters.seam
    positions = CarriagePositions(seam.pop("max_age"))
    windows = FrameWindows(
        engine.info.window,
        stride=parameters.stride or None,
        max_frame_gap=parameters.max_frame_gap,
    )
    geometry = SeamGeometry(**seam)
    inspector = Inspector(
        engine, settings=settings, windows=windows, geometry=geometry, carriage=positions
    )
    info = to_info(engine.info, settings, stride=windows.stride, active=True)
    writer = _ResultWriter(out, namespace, engine.info.model_id, positions)
    frames, first_ns, stamp_ns = 0, 0, 0
    failed, failure, undecoded = 0, "", 0
    images = _Images(recording)
    try:
        for item in images:
            stamp_ns = _stamp(item, frames, rate)
            if not frames:
                first_ns = stamp_ns
                writer.write_info(stamp_ns, info)
            frames += 1 + item.skipped
            undecoded += item.skipped
            for state in carriage.follow(stamp_ns) if carriage else ():
                message = deserialize_message(state, CarriageState)
                positions.add(
                    to_nanoseconds(message.header.stamp),
                    message.position,
                    message.speed,
                    message.weld_id,
                    message.pass_number,
                )
            tag = Header(stamp=to_time(stamp_ns), frame_id=parameters.frame_id)
            window = inspector.collect(item.image, stamp_ns, tag=tag)
            try:
                if window is not None:
                    writer.write(inspector.inspect(window))
            except RecordingError:
                raise
            except Exception as error:  # whatever is raised there costs this window, not the rest
                seconds = (stamp_ns - first_ns) / NANOSECONDS
                failed, failure = failed + 1, f"at {seconds:.2f} s: {type(error).__name__}: {error}"
            advance(1 + item.skipped)
    except BaseException:
        writer.discard()
        raise
    finally:
        images.close()
    bag = writer.close()
    return OfflineSummary(
        bag,
        frames,
        writer.reports,
        writer.defective,
        (stamp_ns - first_ns) / NANOSECONDS,
        failed,
        failure,
        images.damage,
        undecoded,
        writer.masks,
        windows.frames_lost,
        windows.frames_discarded,
    )


class _Images:
    """A recording's images, decoded ahead, up to its end or to where it is damaged."""

    def __init__(self, recording: Recording) -> None:
        self._ahead = Prefetch(iter(recording.read, None), DECODED_AHEAD, lambda: None, "decode")
        self.damage = ""

    def __iter__(self) -> Iterator[RecordedImage]:
        begun = False
        try:
            while (item := self._ahead.get()) is not None:
                begun = True
                yield item
        except CameraError as error:
            if not begun:
                raise
            self.damage = str(error)

    def close(self) -> None:
        self._ahead.close()


class _ResultWriter:
    """Writes results as the detector publishes them."""

    def __init__(
        self, out: Path, namespace: str, model_id: str, positions: CarriagePositions
    ) -> None:
        self._model_id, self._positions = model_id, positions
        self.reports = self.defective = self.masks = 0
        named = {
            "mask": recorded_topic(f"{namespace}/defect_mask", Image, Role.STAMPED, qos.MASK),
            "report": recorded_topic(
                f"{namespace}/defects", DefectReport, Role.STAMPED, qos.REPORT
            ),
            "info": recorded_topic(
                f"{namespace}/detector_info", DetectorInfo, Role.STATE, qos.LATCHED
            ),
        }
        self._topics: dict[str, RecordedTopic] = named
        definitions = DefinitionStore([Path(get_package_share_directory("weld_interfaces"))])
        self._bag = BagFile(out.parent, out.name, named.values(), definitions, {})

    def write_info(self, stamp_ns: int, info: DetectorInfo) -> None:
        self._put("info", stamp_ns, info)

    def write(self, result: WindowResult) -> None:
        masks = [to_image(frame.mask, "mono8", frame.tag) for frame in result.frames]
        report = to_report(
            result,
            sequence=self.reports,
            weld_id=self._positions.weld_id(result.end_ns),
            model_id=self._model_id,
            latency_ns=0,
        )
        for frame, mask in zip(result.frames, masks, strict=True):
            self._put("mask", frame.stamp_ns, mask)
            self.masks += 1
        self._put("report", result.end_ns, report)
        self.reports += 1
        self.defective += result.defective

    def close(self) -> Path:
        path = self._bag.close({"model_id": self._model_id})
        if path is None:
            raise InspectionError("the recording holds no frame: nothing was written")
        self._tidy()
        return path

    def discard(self) -> None:
        self._bag.discard()
        self._tidy()

    def _tidy(self) -> None:
        with suppress(OSError):  # another bag may be in the making there
            (self._bag.path.parent / PARTIAL_FOLDER).rmdir()

    def _put(self, topic: str, stamp_ns: int, message: Any) -> None:
        self._bag.write(self._topics[topic].name, stamp_ns, serialize_message(message))


def _stamp(item: RecordedImage, frames: int, rate: float) -> int:
    if item.stamp_ns is not None:
        return item.stamp_ns
    return round((frames + item.skipped) / rate * NANOSECONDS)
