"""The carriage of a recorded weld, as its bag has it."""

from collections.abc import Callable
from pathlib import Path

from rosbags.rosbag2 import Reader

from weld_inspection.camera.bag import DAMAGE
from weld_inspection.camera.source import CameraError
from weld_inspection.recording.message import header_stamp_ns, with_stamp

CARRIAGE_TYPE = "weld_interfaces/msg/CarriageState"
# Positions are interpolated, so the state after a frame is wanted with it.
AHEAD_NS = 100_000_000


class RecordedCarriage:
    """Gives out a bag's carriage states as the camera's frames come.

    Attributes:
        count: States in the bag.
    """

    def __init__(
        self,
        path: Path,
        *,
        on_damage: Callable[[str], None] | None = None,
        span_ns: tuple[int, int] | None = None,
    ) -> None:
        """Reads the states of a bag; it may hold none.

        Args:
            path: A rosbag2 folder or .mcap file.
            on_damage: Told where and why the states break off, where those before are to be used
                all the same.
            span_ns: Where the images are played again and again, their first stamp and the time
                that a pass takes, as of `Bag.span_ns`: the states then go with each pass.

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
        self._pass_ns = 0
        if span_ns is not None:
            begin, self._pass_ns = span_ns
            found = [item for item in found if begin <= item[0] < begin + self._pass_ns]
        self._states = found
        self.count = len(found)
        self._next = 0  # of the states of all passes

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
        states: list[bytes] = []
        while self.count and (self._pass_ns or self._next < self.count):
            passes, number = divmod(self._next, self.count)
            recorded_ns, data = self._states[number]
            state_ns = recorded_ns + passes * self._pass_ns
            if state_ns > stamp_ns + AHEAD_NS:
                break
            states.append(with_stamp(data, state_ns) if passes else data)
            self._next += 1
        return states
