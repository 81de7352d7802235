"""The camera: frames of a device or a recording to image_raw and camera_info."""

import sys
from functools import partial

from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_updater import DiagnosticStatusWrapper
from rclpy.lifecycle import LifecyclePublisher
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image

from weld_inspection.camera.calibration import Calibration, load_calibration
from weld_inspection.camera.capture import Capture, CaptureState
from weld_inspection.camera.clock import Clock
from weld_inspection.camera.frame import Frame
from weld_inspection.camera.source import CameraError, FrameSource
from weld_inspection.camera.sources import open_source
from weld_inspection.camera_driver_parameters import camera_driver_parameters
from weld_inspection.nodes import qos
from weld_inspection.nodes.camera_messages import ImageMessages, to_camera_info, to_header
from weld_inspection.nodes.inspection_node import InspectionNode, run_node

DESCRIPTION = """Publishes the frames of a camera, a video, images, a bag or a simulated weld.

publishes:
  image_raw (sensor_msgs/Image, bgr8)     each frame, stamped with its time of capture
  camera_info (sensor_msgs/CameraInfo)    with each frame
  /diagnostics"""

LOWEST_RATE = 0.9  # of the expected rate, below which diagnostics warn
RATE_FRAMES = 20  # frames before the measured rate means anything
SILENCE_S = 1.0  # without a frame, and five periods, after which diagnostics call it an error
SILENCE_PERIODS = 5


class CameraDriver(InspectionNode):
    """Publishes image_raw and camera_info, one of each for every frame.

    Configuring opens the source, activating reads it.
    """

    def __init__(self, **kwargs) -> None:
        """Declares the parameters."""
        super().__init__("camera_driver", **kwargs)
        self._listener = camera_driver_parameters.ParamListener(self)
        self._capture: Capture | None = None
        self._calibration: Calibration | None = None
        self._uncalibrated_frames = 0
        self._told_uncalibrated = self._told_damaged = 0
        self._images = ImageMessages()

    def open(self) -> None:
        """Opens calibration and source and creates the publishers."""
        parameters = self._listener.get_params()
        self._kind, self._path = parameters.source, parameters.path
        self._frame_id = parameters.frame_id
        self._open_uncalibrated = partial(
            open_source,
            parameters.source,
            parameters.path,
            frame_rate=parameters.frame_rate,
            width=parameters.width,
            height=parameters.height,
            loop=parameters.loop,
            clock=Clock(lambda: self.get_clock().now().nanoseconds),
            topic=parameters.bag_topic,
            seed=parameters.simulated.seed,
            rig=parameters.simulated.rig,
            duration=parameters.simulated.duration,
        )
        self._calibration = None
        if parameters.calibration_file:
            self._calibration = load_calibration(parameters.calibration_file)
        self._capture = Capture(
            self._open_source,
            self._publish,
            log=self.get_logger(),
            ready=self._is_awaited,
            ready_timeout=parameters.start.timeout,
        )
        source = self._capture.open()
        self._image_publisher = self._publish_on(Image, "image_raw")
        self._info_publisher = self._publish_on(CameraInfo, "camera_info")
        self.get_logger().info(
            f"{source.name}: {source.width}x{source.height} pixels at {source.frame_rate:g} Hz"
        )

    def start(self) -> None:
        """Starts to read the source."""
        start = self._listener.get_params().start
        self._awaited = {
            self._image_publisher: start.image_subscribers,
            self._info_publisher: start.camera_info_subscribers,
        }
        self._capture.start()

    def stop(self) -> None:
        """Stops reading; a recording goes on where it was when started again."""
        if self._capture is not None:
            self._capture.stop()

    def close(self) -> None:
        """Closes the source."""
        if self._capture is not None:
            self._capture.close()
            self._capture = None

    def _publish_on(self, message_type: type, topic: str) -> LifecyclePublisher:
        return self.create_lifecycle_publisher(
            message_type,
            topic,
            qos.IMAGE,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    # In the capture's thread

    def _open_source(self) -> FrameSource:
        source = self._open_uncalibrated()
        if self._calibration is not None:
            try:
                self._calibration.check_size(source.width, source.height, source.name)
            except CameraError:
                source.close()
                raise
        return source

    def _is_awaited(self) -> bool:
        """Whether all the subscribers are there that a recording waits for."""
        return all(
            publisher.get_subscription_count() >= count
            for publisher, count in self._awaited.items()
        )

    def _publish(self, frame: Frame) -> None:
        header = to_header(frame.stamp_ns, self._frame_id)
        height, width = frame.image.shape[:2]
        calibration = self._calibration
        if calibration is None or (calibration.width, calibration.height) != (width, height):
            # Frames of a folder may differ in size: none is given a calibration made for another.
            self._uncalibrated_frames += calibration is not None
            calibration = Calibration(width, height)
        self._info_publisher.publish(to_camera_info(calibration, header))
        self._image_publisher.publish(self._images.of(frame, header))

    # Diagnostics

    def diagnose(self, status: DiagnosticStatusWrapper) -> None:
        """Tells how capture fares: measured against expected rate, losses, time since a frame."""
        capture = self._capture
        if capture is None:
            return
        source, counts = capture.source, capture.counts
        rate, silence = capture.meter.rate, capture.meter.silence
        expected = source.frame_rate if source is not None else 0.0
        status.add("source", self._kind)
        status.add("name", source.name if source is not None else self._path)
        if source is not None:
            status.add("size (pixels)", f"{source.width}x{source.height}")
            status.add("frames that could not be decoded", str(source.damaged))
            status.add("frames late", str(source.late))
            status.add("times begun anew after falling behind", str(source.reanchored))
        status.add("expected rate (Hz)", f"{expected:.2f}" if expected else "unknown")
        status.add("measured rate (Hz)", f"{rate:.2f}")
        status.add("frames published", str(counts.frames))
        status.add("frames without their calibration", str(self._uncalibrated_frames))
        status.add("losses", str(counts.losses))
        status.add("re-opened", str(counts.reopened))
        status.add("time since last frame (s)", f"{silence:.2f}" if counts.frames else "none yet")
        if capture.state in (CaptureState.LOST, CaptureState.FAILED):
            status.mergeSummary(DiagnosticStatus.ERROR, f"{capture.state.value}: {capture.reason}")
        elif capture.state is CaptureState.ENDED:
            status.mergeSummary(DiagnosticStatus.WARN, capture.reason)
        elif capture.state is CaptureState.WAITING:
            status.mergeSummary(DiagnosticStatus.WARN, capture.state.value)
        elif capture.state is CaptureState.CAPTURING:
            if silence > max(SILENCE_S, SILENCE_PERIODS / expected if expected else 0.0):
                status.mergeSummary(DiagnosticStatus.ERROR, "no frames come")
            elif expected and counts.frames > RATE_FRAMES and rate < LOWEST_RATE * expected:
                status.mergeSummary(
                    DiagnosticStatus.WARN, f"only {rate:.1f} of {expected:.1f} frames a second"
                )
        damaged = source.damaged if source is not None else 0
        if damaged > self._told_damaged:
            text = f"{damaged - self._told_damaged} frames could not be decoded"
            status.mergeSummary(DiagnosticStatus.WARN, text)
        self._told_damaged = damaged
        if self._uncalibrated_frames > self._told_uncalibrated:
            status.mergeSummary(
                DiagnosticStatus.WARN, "frames of another size than the calibration's"
            )
        self._told_uncalibrated = self._uncalibrated_frames


def main() -> int:
    """Runs the node."""
    return run_node(CameraDriver, DESCRIPTION)


if __name__ == "__main__":
    sys.exit(main())
