"""The detector: camera images in, defect masks and reports out."""

import sys
import time
from collections.abc import Callable
from dataclasses import fields

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_updater import DiagnosticStatusWrapper
from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import Image

from weld_inspection.defect_detector_parameters import defect_detector_parameters
from weld_inspection.errors import InspectionError
from weld_inspection.inspection.decision import DecisionSettings
from weld_inspection.inspection.engine import InferenceEngine
from weld_inspection.inspection.health import InspectionHealth, Level
from weld_inspection.inspection.inspector import InspectedFrame, Inspector, WindowResult
from weld_inspection.inspection.model_choice import choose_engine, find_model
from weld_inspection.inspection.overlay_player import OverlayPlayer
from weld_inspection.inspection.pipeline import InspectionPipeline, Trouble
from weld_inspection.inspection.seam import CarriagePositions, SeamGeometry
from weld_inspection.inspection.statistics import InspectionStatistics
from weld_inspection.inspection.windows import FrameWindows, Restart
from weld_inspection.nodes import qos
from weld_inspection.nodes.defect_messages import (
    to_camera_image,
    to_image,
    to_info,
    to_report,
)
from weld_inspection.nodes.inspection_node import InspectionNode, run_node
from weld_inspection.nodes.shipped_models import shipped_models
from weld_inspection.stamps import NANOSECONDS, to_nanoseconds
from weld_interfaces.msg import CarriageState, DefectReport, DetectorInfo

DESCRIPTION = """\
Inspects the frames of a welding camera: finds defects, follows them and tells where on the seam
they are.

topics:
  image_raw        in   frames of the camera
  carriage_state   in   where the welding carriage is; may be missing
  defect_mask      out  a mask for each frame
  defects          out  a report for each window of frames
  detector_info    out  with what it inspects; latched
  overlay          out  frames with the findings drawn on them, while somebody subscribes"""
# The same trouble is logged once in so many seconds; the counters are in diagnostics.
LOG_INTERVAL = 5.0
# Parameters that may change while inspecting.
RUN_TIME = [field.name for field in fields(DecisionSettings)]
LEVELS = {
    Level.OK: DiagnosticStatus.OK,
    Level.WARN: DiagnosticStatus.WARN,
    Level.ERROR: DiagnosticStatus.ERROR,
}


class DefectDetector(InspectionNode):
    """Inspects image_raw: defect_mask for each frame, defects for each window.

    Configuring loads the model, activating subscribes and starts the inspection's threads.
    """

    def __init__(self, **kwargs) -> None:
        """Declares the parameters."""
        super().__init__("defect_detector", **kwargs)
        self._listener = defect_detector_parameters.ParamListener(self)
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._apply_parameters)
        self._engine: InferenceEngine | None = None
        self._shortfall = ""
        self._inspector: Inspector | None = None
        self._pipeline: InspectionPipeline[bytes] | None = None
        self._player: OverlayPlayer | None = None
        self._statistics = InspectionStatistics()
        self._carriage = CarriagePositions()
        self._inputs: list = []
        self._sequence = 0
        self._told: dict[Restart | Trouble, float] = {}

    # Lifecycle

    def open(self) -> None:
        """Loads the model and creates the publishers."""
        # Before the model, which takes seconds: by the first report those who listen are matched.
        self._mask_publisher = self._publish_on(Image, "defect_mask", qos.MASK)
        self._report_publisher = self._publish_on(DefectReport, "defects", qos.REPORT)
        self._overlay_publisher = self._publish_on(Image, "overlay", qos.OVERLAY)
        self._info_publisher = self._publish_on(DetectorInfo, "detector_info", qos.LATCHED)
        parameters = self._listener.get_params()
        folder = shipped_models()
        if parameters.model:
            path = find_model(parameters.model, folder)
            self._engine = InferenceEngine(
                path,
                parameters.device,
                parameters.precision,
                parameters.backend,
                parameters.views,
            )
            self._shortfall = self._engine.info.shortfall
            self.get_logger().info(f"{path} chosen by parameter 'model'")
        else:
            self._engine, why, self._shortfall = choose_engine(
                folder,
                device=parameters.device,
                precision=parameters.precision,
                backend=parameters.backend,
                views=parameters.views,
                frame_rate=parameters.frame_rate,
                stride=parameters.stride or None,
            )
            self.get_logger().info(why)
        self.get_logger().info(f"backend {self._engine.info.reason}")
        if self._shortfall:
            self.get_logger().warning(f"inspection may be slower than need be: {self._shortfall}")

    def start(self) -> None:
        """Starts the inspection."""
        parameters = self._listener.get_params()
        seam = parameters.seam
        self._statistics = InspectionStatistics()
        self._carriage = CarriagePositions(seam.max_age)
        self._sequence = 0
        self._inspector = Inspector(
            self._engine,
            settings=self._settings(),
            windows=FrameWindows(
                self._engine.info.window,
                stride=parameters.stride or None,
                max_frame_gap=parameters.max_frame_gap,
                on_restart=self._tell,
            ),
            geometry=SeamGeometry(seam.metres_per_pixel, seam.camera_offset, seam.direction),
            carriage=self._carriage,
        )
        self._player = OverlayPlayer(
            self._show_overlay,
            on_trouble=self._overlay_failed,
            caption=self._engine.info.model_id,
        )
        self._pipeline = InspectionPipeline(
            self._inspector,
            unpack=to_camera_image,
            on_result=self._publish_result,
            on_trouble=self._tell,
            statistics=self._statistics,
            queue_size=parameters.queue_size,
            keep_images=self._overlay_wanted,
        )
        self._health = InspectionHealth(self._statistics, self._inspector.windows)
        self._pipeline.start()
        take = self._take_carriage_state
        self._inputs = [self._subscribe(CarriageState, "carriage_state", take, qos.CARRIAGE)]
        self._publish_info()
        # A recording waits for this node, and this node for its listeners: they miss no report.
        awaited = {
            self._report_publisher: parameters.start.report_subscribers,
            self._mask_publisher: parameters.start.mask_subscribers,
        }
        self.when_heard(awaited, parameters.start.timeout, self._take_images)

    def _take_images(self) -> None:
        submit = self._pipeline.submit
        self._inputs.append(self._subscribe(Image, "image_raw", submit, qos.IMAGE, raw=True))

    def stop(self) -> None:
        """Ends the inspection; windows in waiting are thrown away."""
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        self._inputs = []
        if self._pipeline is None:
            return
        self._pipeline.stop()
        self._player.stop()
        self._pipeline = self._player = None
        self._publish_info()

    def close(self) -> None:
        """Lets the model go."""
        self.stop()
        self._engine = None
        self._inspector = None

    def _publish_on(self, message_type: type, topic: str, profile: QoSProfile) -> Publisher:
        return self.create_lifecycle_publisher(
            message_type,
            topic,
            profile,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    def _subscribe(
        self, message_type: type, topic: str, callback: Callable, profile: QoSProfile, **options
    ) -> Subscription:
        return self.create_subscription(
            message_type,
            topic,
            callback,
            profile,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            **options,
        )

    # Parameters

    def _settings(self) -> DecisionSettings:
        """The decision's thresholds as the parameters, or else the model, say."""
        parameters = self._listener.get_params()
        return DecisionSettings(
            parameters.threshold or self._engine.info.threshold,
            parameters.pixel_threshold,
            parameters.min_region_area,
        )

    def _check_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        """Refuses thresholds that the bounds let through, such as not-a-number."""
        changes = {p.name: p.value for p in parameters if p.name in RUN_TIME}
        try:
            DecisionSettings(**changes)
        except (InspectionError, TypeError) as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _apply_parameters(self, _: list[Parameter]) -> None:
        """Takes over what may change while inspecting."""
        if self._inspector and self._inspector.settings != self._settings():
            self._inspector.settings = self._settings()
            self._publish_info()

    # Messages in

    def _take_carriage_state(self, message: CarriageState) -> None:
        """Remembers where the carriage is."""
        stamp_ns = to_nanoseconds(message.header.stamp)
        self._carriage.add(
            stamp_ns, message.position, message.speed, message.weld_id, message.pass_number
        )

    # Results out, from the pipeline's threads

    def _publish_result(self, result: WindowResult) -> None:
        """Publishes a window's masks and report."""
        sequence = self._sequence
        self._sequence += 1  # also where the report cannot be published: the gap tells
        for frame in result.frames:
            self._mask_publisher.publish(to_image(frame.mask, "mono8", frame.tag))
        latency_ns = self.get_clock().now().nanoseconds - result.end_ns
        report = to_report(
            result,
            sequence=sequence,
            weld_id=self._carriage.weld_id(result.end_ns),
            model_id=self._engine.info.model_id,
            latency_ns=latency_ns,
        )
        self._report_publisher.publish(report)
        self._statistics.window_done(result.inference_time, latency_ns / NANOSECONDS)
        if self._overlay_wanted():
            self._player.put(result)

    def _overlay_wanted(self) -> bool:
        """Whether anybody looks at the overlay."""
        return self._overlay_publisher.get_subscription_count() > 0

    def _show_overlay(self, picture: np.ndarray, frame: InspectedFrame) -> None:
        """Publishes an overlay."""
        self._overlay_publisher.publish(to_image(picture, "bgr8", frame.tag))

    def _overlay_failed(self, reason: str) -> None:
        """Notes that the rest of a window's overlays cannot be shown."""
        self._statistics.overlays_failed += 1
        self._statistics.last_overlay_failure = reason
        self._tell(Trouble.OVERLAY, f"overlay failed: {reason}")

    def _publish_info(self) -> None:
        """Publishes what inspects, and by which thresholds."""
        self._info_publisher.publish(
            to_info(
                self._engine.info,
                self._inspector.settings,
                stride=self._inspector.windows.stride,
                active=self._pipeline is not None,
            )
        )

    def _tell(self, kind: Restart | Trouble, sentence: str) -> None:
        """Logs a trouble, each kind of it at most once in LOG_INTERVAL."""
        now = time.monotonic()
        if now - self._told.get(kind, -LOG_INTERVAL) >= LOG_INTERVAL:
            self._told[kind] = now
            self.get_logger().warning(sentence)

    # Diagnostics

    def diagnose(self, status: DiagnosticStatusWrapper) -> None:
        """Tells how the inspection fares."""
        if self._engine is None or self._inspector is None:
            return
        counts, windows = self._statistics, self._inspector.windows
        status.add("model", self._engine.info.model_id)
        status.add("backend", self._engine.info.reason)
        status.add("shortfall", self._shortfall)
        status.add("frames received", str(counts.frames_received))
        status.add("frames not read in time", str(counts.frames_overrun))
        status.add("frames refused", str(counts.frames_refused))
        status.add("frames repeated", str(windows.frames_repeated))
        status.add("frames lost", str(windows.frames_lost))
        status.add("frames discarded with broken windows", str(windows.frames_discarded))
        status.add("frames inspected", str(counts.frames_inspected))
        for cause in Restart:
            status.add(f"windows broken off by {cause.value}", str(windows.restarts[cause]))
        status.add("windows inspected", str(counts.windows_inspected))
        status.add("windows dropped", str(counts.windows_dropped))
        status.add("windows failed", str(counts.windows_failed))
        status.add("overlays failed", str(counts.overlays_failed))
        for name, percentiles in (
            ("inference time", counts.inference_percentiles()),
            ("latency", counts.latency_percentiles()),
        ):
            if percentiles:
                status.add(f"{name} p50 (s)", f"{percentiles[0]:.3f}")
                status.add(f"{name} p99 (s)", f"{percentiles[1]:.3f}")
        silence = counts.since_last_frame()
        if silence is not None:
            status.add("time since last frame (s)", f"{silence:.2f}")
        if self._pipeline is not None:
            for finding in self._health.look():
                status.mergeSummary(LEVELS[finding.level], finding.sentence)


def main() -> int:
    """Runs the node."""
    return run_node(DefectDetector, DESCRIPTION)


if __name__ == "__main__":
    sys.exit(main())
