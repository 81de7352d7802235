"""What `clip.json` holds: the metadata of one clip, checked when it is read."""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from weld_inspection.errors import InspectionError
from weld_inspection.whole_files import write_whole

CLIP_FORMAT_VERSION = 1
"""Raised when a reader of the old version could not read the new one."""

METADATA_NAME = "clip.json"
SOURCE_KINDS = ("simulated", "photo", "recording")
MASK_VALUES = "a mask is 0 where metal is sound and 255 where there is a defect"  # for errors


class ClipError(InspectionError):
    """A clip or a folder of clips that cannot be written or read."""


@dataclass(frozen=True, slots=True)
class ClipDefect:
    """One defect planted along the seam of a simulated clip.

    Attributes:
        code: Class by ISO 6520-1, e.g. "2017" (surface pore).
        name: The class in words.
        start: First place of the defect along the seam, m.
        end: Last place of the defect along the seam, m.
    """

    code: str
    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class ClipMetadata:
    """The contents of `clip.json`.

    Attributes:
        frame_rate: Frames a second.
        width: Width of the stored frames and masks, px.
        height: Height of the stored frames and masks, px.
        frame_count: Number of frames, and of masks.
        frames_file: Name of the frames' video inside the clip's folder.
        masks_file: Name of the masks' video inside the clip's folder.
        source: Where the frames come from: `kind` (one of `SOURCE_KINDS`) and, for a simulated
            weld, `seed`, `rig` and `simulation`, its version; for photographs `simulation`,
            `licence` and `segments`, a list of `{photo, sha256, seed, first_frame, frame_count,
            ...}`, the digest of image and mask.
        defects: The planted defects; empty where only the masks are known.
        positions: Place of each frame's centre along the seam, m; None where it is not known.
        defect_pixel_ratio: Share of defect pixels over all stored masks.
        frames_sha256: Digest of all frames as they were handed to the encoder, (H, W, 3) BGR one
            after another; what comes back is held against it if the codec is lossless. Empty where
            it is not known.
        masks_sha256: The same of all masks, (H, W).
    """

    frame_rate: float
    width: int
    height: int
    frame_count: int
    frames_file: str
    masks_file: str
    source: dict[str, Any]
    defects: list[ClipDefect] = field(default_factory=list)
    positions: list[float] | None = None
    defect_pixel_ratio: float = 0.0
    frames_sha256: str = ""
    masks_sha256: str = ""

    def write(self, folder: Path) -> None:
        """Writes `clip.json` into a clip's folder, all of it or nothing."""
        text = json.dumps({"format_version": CLIP_FORMAT_VERSION, **asdict(self)}, indent=1)
        write_whole(folder / METADATA_NAME, text + "\n")

    @classmethod
    def read(cls, folder: Path) -> "ClipMetadata":
        """Reads and checks the `clip.json` of a clip's folder.

        Raises:
            ClipError: The file is missing, is not JSON, is of another format version, or a
                field is missing or has a value that makes no sense.
        """
        path = folder / METADATA_NAME
        if not path.is_file():
            raise ClipError(
                f"{folder} is not a finished clip: {METADATA_NAME} is missing; write it again"
            )
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ClipError(f"{path} cannot be read as JSON: {error}") from error
        if not isinstance(fields, dict):
            raise ClipError(f"{path} does not hold a JSON object")
        version = fields.pop("format_version", None)
        if version != CLIP_FORMAT_VERSION:
            raise ClipError(
                f"{path}: format_version is {version!r}, this version reads {CLIP_FORMAT_VERSION}"
            )
        try:
            defects = [ClipDefect(**defect) for defect in fields.pop("defects", [])]
            metadata = cls(**fields, defects=defects)
            metadata.check()
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            raise ClipError(f"{path} is damaged: {error}") from error
        return metadata

    def check(self) -> None:
        """Looks at all values.

        Raises:
            ValueError: One makes no sense.
        """
        for name in ("width", "height", "frame_count"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a whole number above 0, not {value!r}")
        if not _is_number(self.frame_rate) or self.frame_rate <= 0:
            raise ValueError(f"frame_rate must be above 0, not {self.frame_rate!r}")
        for name in ("frames_file", "masks_file"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value or Path(value).name != value:
                raise ValueError(f"{name} must be a plain file name, not {value!r}")
        kind = self.source.get("kind")
        if kind not in SOURCE_KINDS:
            raise ValueError(f"source kind {kind!r} is none of {', '.join(SOURCE_KINDS)}")
        for defect in self.defects:
            if not (_is_number(defect.start) and _is_number(defect.end)):
                raise ValueError("a defect's start and end must be numbers")
        if self.positions is not None:
            if len(self.positions) != self.frame_count:
                raise ValueError(f"{len(self.positions)} positions for {self.frame_count} frames")
            if not all(_is_number(position) for position in self.positions):
                raise ValueError("positions must be numbers")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
