"""Bags of evidence as pictures: what was seen, where, and how sure the detector was."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.highlevel import AnyReader, AnyReaderError

from weld_inspection.errors import InspectionError
from weld_inspection.inspection.camera_image import CameraImage
from weld_inspection.inspection.overlay import draw_overlay
from weld_inspection.inspection.regions import Region
from weld_inspection.stamps import to_nanoseconds

FRAME_RATE = 20.0  # Hz of the overlay video, the paper's camera
CODEC = "mp4v"
SHEET_COLUMNS = 3
SHEET_CELL_WIDTH = 640  # pixels


@dataclass(frozen=True, slots=True)
class EvidenceFrame:
    """A recorded frame with what was found in it.

    Attributes:
        image: (H, W, 3) uint8, BGR.
        mask: (h, w) uint8, 0 or 255; all 0 where the frame was not inspected.
        report: The DefectReport of the frame's window, or None.
        stamp_ns: Capture time in nanoseconds.
    """

    image: np.ndarray
    mask: np.ndarray
    report: Any
    stamp_ns: int

    @property
    def defective(self) -> bool:
        """Whether the frame's window is defective by eq. (9)."""
        return self.report is not None and self.report.defective

    def draw(self, caption: str = "") -> np.ndarray:
        """Returns the frame with its findings drawn on it, (H, W, 3) uint8 BGR.

        Regions are labelled on the window's last frame alone, to which their places belong.
        """
        regions = []
        if self.report is not None and self.stamp_ns == to_nanoseconds(self.report.window_end):
            regions = [_region(region) for region in self.report.regions]
        return draw_overlay(
            self.image, self.mask, regions, defective=self.defective, caption=caption
        )


def read_evidence(bag: Path) -> Iterator[EvidenceFrame]:
    """Yields the inspected frames of a bag, in order of capture.

    Args:
        bag: Folder that the recorder wrote.

    Raises:
        InspectionError: The bag cannot be read.
    """
    masks: dict[int, np.ndarray] = {}
    reports: list[Any] = []
    try:
        with AnyReader([bag]) as reader:
            for connection, _, data in reader.messages(_ending(reader, "/defect_mask", "/defects")):
                message = reader.deserialize(data, connection.msgtype)
                if connection.topic.endswith("/defects"):
                    reports.append(message)
                else:
                    masks[to_nanoseconds(message.header.stamp)] = _pixels(message)
            nothing = np.zeros((1, 1), np.uint8)
            for connection, _, data in reader.messages(_ending(reader, "/image_raw")):
                message = reader.deserialize(data, connection.msgtype)
                stamp_ns = to_nanoseconds(message.header.stamp)
                yield EvidenceFrame(
                    _camera_image(message).to_bgr(),
                    masks.get(stamp_ns, nothing),
                    _covering(reports, stamp_ns),
                    stamp_ns,
                )
    except (AnyReaderError, OSError) as error:
        raise InspectionError(f"bag {bag} cannot be read: {error}") from error


def make_overlay_video(bags: Sequence[Path], path: Path) -> Path:
    """Writes the frames of bags, one bag after the other, with their findings drawn.

    Args:
        bags: Folders that the recorder wrote.
        path: The video, .mp4.

    Returns:
        `path`.
    """
    writer: cv2.VideoWriter | None = None
    for bag in bags:
        for frame in read_evidence(bag):
            picture = frame.draw(bag.name)
            if writer is None:
                height, width = picture.shape[:2]
                code = cv2.VideoWriter_fourcc(*CODEC)
                writer = cv2.VideoWriter(str(path), code, FRAME_RATE, (width, height))
                if not writer.isOpened():
                    raise InspectionError(f"cannot write video {path}")
            writer.write(picture)
    if writer is None:
        raise InspectionError(f"no frames in {len(bags)} bags: no video was made")
    writer.release()
    return path


def make_contact_sheet(bags: Sequence[Path], path: Path) -> Path:
    """Writes one picture of the events: the most telling frame of each run of defective windows.

    Args:
        bags: Folders that the recorder wrote.
        path: The picture, .png.

    Returns:
        `path`.
    """
    cells = []
    for bag in bags:
        for frame in _strongest(read_evidence(bag)):
            picture = frame.draw(bag.name)
            height, width = picture.shape[:2]
            size = (SHEET_CELL_WIDTH, round(SHEET_CELL_WIDTH * height / width))
            cells.append(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
    if not cells:
        raise InspectionError(f"no defective window in {len(bags)} bags: no sheet was made")
    columns = min(SHEET_COLUMNS, len(cells))
    height = max(cell.shape[0] for cell in cells)
    rows = math.ceil(len(cells) / columns)
    sheet = np.full((rows * height, columns * SHEET_CELL_WIDTH, 3), 24, np.uint8)
    for index, cell in enumerate(cells):
        row, column = divmod(index, columns)
        top, left = row * height, column * SHEET_CELL_WIDTH
        sheet[top : top + cell.shape[0], left : left + SHEET_CELL_WIDTH] = cell
    if not cv2.imwrite(str(path), sheet):
        raise InspectionError(f"cannot write picture {path}")
    return path


def _strongest(frames: Iterator[EvidenceFrame]) -> Iterator[EvidenceFrame]:
    """Of each run of defective frames the last frame of the window with most defect pixels."""
    best: EvidenceFrame | None = None
    for frame in frames:
        if not frame.defective:
            if best is not None and frame.report is not None:
                yield best
                best = None
        elif frame.stamp_ns == to_nanoseconds(frame.report.window_end) and (
            best is None or frame.report.defect_pixels > best.report.defect_pixels
        ):
            best = frame
    if best is not None:
        yield best


def _ending(reader: AnyReader, *endings: str) -> list:
    return [item for item in reader.connections if item.topic.endswith(endings)]


def _covering(reports: list[Any], stamp_ns: int) -> Any:
    """The first report whose window holds the stamp, or None."""
    for report in reports:
        if to_nanoseconds(report.window_start) <= stamp_ns <= to_nanoseconds(report.window_end):
            return report
    return None


def _camera_image(message: Any) -> CameraImage:
    return CameraImage(
        data=message.data,
        width=message.width,
        height=message.height,
        step=message.step,
        encoding=message.encoding,
        stamp_ns=to_nanoseconds(message.header.stamp),
        is_bigendian=bool(message.is_bigendian),
    )


def _pixels(message: Any) -> np.ndarray:
    """The pixels of a mono8 mask."""
    return np.asarray(message.data, np.uint8).reshape(message.height, message.step)[
        :, : message.width
    ]


def _region(message: Any) -> Region:
    roi = message.roi
    return Region(
        x=roi.x_offset,
        y=roi.y_offset,
        width=roi.width,
        height=roi.height,
        area=message.area,
        confidence=message.confidence,
        center_x=roi.x_offset + (roi.width - 1) / 2,
        center_y=roi.y_offset + (roi.height - 1) / 2,
        track_id=message.track_id,
        seam_position=message.seam_position,
    )
