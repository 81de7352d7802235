"""The simulated weld as a recording."""

from weld_inspection.camera.recording import RecordedImage, Recording
from weld_inspection.camera.source import CameraError
from weld_inspection.errors import InspectionError
from weld_inspection.simulation.weld import SimulatedWeld


class SimulatedRecording(Recording):
    """A simulated weld from its begin to its end.

    Its seam is rendered from when this is made, its frames as they are read: a camera that waits
    for its listeners then takes less from them later.
    """

    def __init__(self, seed: int, rig: str, duration: float, frame_rate: float) -> None:
        """Makes the weld.

        Args:
            seed: The same seed gives the same weld.
            rig: A name in RIGS.
            duration: In seconds.
            frame_rate: In Hz.

        Raises:
            CameraError: There is no such rig, or a number is out of its range.
        """
        self.name = f"simulated weld {seed} ({rig})"
        try:
            self._weld = SimulatedWeld(seed, rig, duration, frame_rate)
        except InspectionError as error:
            raise CameraError(str(error)) from error
        self.frame_rate = self._weld.frame_rate
        self.frame_count = self._weld.frame_count
        self._next = 0
        self.height, self.width = self._weld.image(0).shape[:2]
        self._weld.render_ahead()

    def read(self) -> RecordedImage | None:
        """See Recording."""
        if self._next == self._weld.frame_count:
            return None
        self._next += 1
        return RecordedImage(self._weld.image(self._next - 1))

    def rewind(self) -> None:
        """See Recording."""
        self._next = 0

    def close(self) -> None:
        """See Recording."""
        self._weld.close()
