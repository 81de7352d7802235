"""What can go wrong with a recording."""

from weld_inspection.errors import InspectionError


class RecordingError(InspectionError):
    """A bag cannot be opened, written or closed."""


class NameTakenError(RecordingError):
    """There is a bag of that name already, or another recorder is writing one."""


class StorageFullError(RecordingError):
    """The disk takes no more; what was written before stays readable."""
