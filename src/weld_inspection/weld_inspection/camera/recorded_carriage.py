"""The carriage of a recorded weld, as its bag has it."""

from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path

from rosbags.rosbag2 import Reader

from weld_inspection.camera.bag import DAMAGE
from weld_inspection.camera.source import CameraError
from weld_inspection.recording.message import header_stamp_ns

CARRIAGE_TYPE = "weld_interfaces/msg/CarriageState"
# Positions are interpolated, so the state after a frame is wanted with it.
AHEAD_NS = 100_000_000


class RecordedCarriage:
    """Gives out a bag's carriage states as the camera's frames come.

    Attributes:
        count: States in the bag.
    """

    def __init__(self, path: Path, *, on_damage: Callable[[str], None] | None = None) -> None:
        """Reads the states of a bag; it may hold none.

        Args:
            path: A rosbag2 folder or .mcap file.
            on_damage: Told where and why the states break off, where those before are to be used
                all the same.

        Raises:
            CameraError: The bag cannot be opened, or is damaged and nobody is to be told.
        """
        found: list[tuple[int, bytes]] = []
        opened = False
        try:
            with Reader(path) as reader:
                opened = True
                chosen = [item for item in reader.connections if item.msgtype == CARRIAGE_TYPE]
                for _, _, data in reader.messages(connections=chosen) if chosen else ():
                    found.append((header_stamp_ns(bytes(data)), bytes(data)))
        except DAMAGE as error:
            if not opened or on_damage is None:
                raise CameraError(f"bag {path} cannot be read: {error}") from error
            count = len(found)
            on_damage(f"bag {path}: the carriage's states break off after {count}: {error}")
        found.sort(key=lambda item: item[0])
        self._stamps = [stamp for stamp, _ in found]
        self._states = [data for _, data in found]
        self.count = len(found)
        self._next = 0

    def restart(self) -> None:
        """Goes back to the begin of the recording."""
        self._next = 0

    def follow(self, stamp_ns: int) -> list[bytes]:
        """Takes the stamp of the camera's next frame.

        Args:
            stamp_ns: In nanoseconds.

        Returns:
            The states up to shortly after it that were not given out yet, in CDR.
        """
        end = bisect_right(self._stamps, stamp_ns + AHEAD_NS)
        states = self._states[self._next : end]
        self._next = max(self._next, end)
        return states
