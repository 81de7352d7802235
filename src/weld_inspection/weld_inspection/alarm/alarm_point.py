"""One alarm of one cause, with the life of an ISA-18.2 alarm."""

from __future__ import annotations

import math
from dataclasses import dataclass

from weld_inspection.alarm.causes import Cause


@dataclass(slots=True)
class AlarmPoint:
    """The alarm of one cause.

    The states of ISA-18.2 are two facts: is the cause `present`, and does the operator still have
    to acknowledge it. Normal is neither; "returned to normal, unacknowledged" is the latched alarm.

    Attributes:
        cause: What it warns of.
        present: The cause persists now.
        unacknowledged: The operator has yet to acknowledge it.
        description: What happened, for the operator.
        evidence: Whatever belongs to it, handed through untouched (the node keeps a message here).
        silenced_until: Time (s) up to which it makes no sound.
        acknowledged_at: Time (s) of the last acknowledgement while it was present.
    """

    cause: Cause
    present: bool = False
    unacknowledged: bool = False
    description: str = ""
    evidence: object | None = None
    silenced_until: float = -math.inf
    acknowledged_at: float = -math.inf

    @property
    def outstanding(self) -> bool:
        """There is something to say about this cause."""
        return self.present or self.unacknowledged

    def silenced(self, now: float) -> bool:
        """Tell whether it is unacknowledged but silenced at the time `now` (s)."""
        return self.unacknowledged and now < self.silenced_until

    def audible(self, now: float) -> bool:
        """Tell whether it asks for sound at the time `now` (s)."""
        return self.unacknowledged and now >= self.silenced_until

    def raise_alarm(self, description: str, evidence: object | None) -> None:
        """The cause has appeared; a silence asked for this same cause goes on."""
        self.present = True
        self.unacknowledged = True
        self.description = description
        self.evidence = evidence

    def clear(self, latch: bool, description: str | None = None) -> None:
        """The cause has passed.

        Args:
            latch: Keep the alarm until it is acknowledged.
            description: What to say of it from now on; None leaves it as it is.
        """
        self.present = False
        if description is not None:
            self.description = description
        if not latch:
            self.unacknowledged = False
        if not self.unacknowledged:
            self._forget()

    def acknowledge(self, now: float) -> None:
        """The operator has taken note at the time `now` (s)."""
        self.unacknowledged = False
        self.acknowledged_at = now
        self.silenced_until = -math.inf
        if not self.present:
            self._forget()

    def remind(self) -> None:
        """Ask for an acknowledgement again, since the cause persists."""
        self.unacknowledged = True

    def _forget(self) -> None:
        """Nothing is left of this alarm: its silence must not cover the next one."""
        self.description = ""
        self.evidence = None
        self.silenced_until = -math.inf
        self.acknowledged_at = -math.inf
