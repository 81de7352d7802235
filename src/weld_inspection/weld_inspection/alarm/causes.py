"""What an operator can be warned of, in order of priority, and the states of the alarm.

The priority follows ISA-18.2: what is lost, and how soon, if nobody reacts.

1. `FAULT`: the detector itself says that it does not inspect. Every millimetre welded from now on
   is uninspected, and the cause is known, so the operator can act on it.
2. `BLIND`: no report comes and nobody says why (camera, cable, detector). The consequence is the
   same. It is not raised on top of a fault, of which it would only be the echo.
3. `DEFECT`: the inspection works and has found something. The place is known and recorded and the
   alarm is latched, so it can wait behind the two above.

Without the two upper causes, silence would mean "no defect" when it means "nobody looks"; hence
they outrank a defect; but what persists comes before what has passed and is only latched. None
hides another for good: the lower ones stay latched and are named in the reason.
"""

from __future__ import annotations

from enum import IntEnum


class Cause(IntEnum):
    """A cause of alarm; a greater number is more urgent."""

    DEFECT = 1
    BLIND = 2
    FAULT = 3


class State(IntEnum):
    """State of the alarm, with the names and numbers of AlarmState.msg.

    ACTIVE, SILENCED and ACKNOWLEDGED tell how far the operator is with an alarm. BLIND and FAULT
    tell the truth about the inspection and stay for as long as it is so, acknowledged or not (the
    reason says which); afterwards such an alarm is ACTIVE until it is acknowledged.
    """

    IDLE = 0
    ACTIVE = 1
    ACKNOWLEDGED = 2
    SILENCED = 3
    BLIND = 4
    FAULT = 5
