"""Settings of the alarm's state machine."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from weld_inspection.errors import InspectionError


@dataclass(frozen=True, slots=True)
class AlarmSettings:
    """How the alarm reacts; all times in seconds.

    Attributes:
        latch: An alarm whose cause has passed stays until it is acknowledged.
        windows_on: Defective windows in a row that raise the defect alarm.
        windows_off: Sound windows in a row after which the defect has passed.
        blind_after: Time without a report after which the inspection counts as blind.
        startup_grace: The same before the first report, while the detector loads its model.
        fault_after: Time for which the detector must say that it does not inspect.
        tone_duration: How long the tone sounds at a time; 0 is without a pause.
        repeat_interval: Time from one start of the tone to the next while nobody acknowledges.
        reminder_interval: Time after which an acknowledged alarm whose cause persists becomes
            unacknowledged again (re-alarm of ISA-18.2); 0 is never.
        silence_limit: The longest silence that may be asked for.
    """

    latch: bool = True
    windows_on: int = 1
    windows_off: int = 3
    blind_after: float = 2.0
    startup_grace: float = 30.0
    fault_after: float = 1.0
    tone_duration: float = 5.0
    repeat_interval: float = 10.0
    reminder_interval: float = 60.0
    silence_limit: float = 300.0

    def __post_init__(self) -> None:
        """Refuse settings with which the alarm could not work.

        Raises:
            InspectionError: A number is not finite, negative, or zero where it must not be.
        """
        may_be_zero = {"latch", "fault_after", "tone_duration", "reminder_interval"}
        for field in fields(self):
            value = getattr(self, field.name)
            if not math.isfinite(value) or value < 0:
                raise InspectionError(f"alarm: {field.name} must be a number >= 0, not {value}")
            if value == 0 and field.name not in may_be_zero:
                raise InspectionError(f"alarm: {field.name} must be greater than 0")
