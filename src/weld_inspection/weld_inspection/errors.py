"""Errors that a user can act on."""


class InspectionError(Exception):
    """A mistake of the user's or a fault of the surroundings, told in one line."""


def first_line(error: BaseException) -> str:
    """Returns what a library's error says in its first line; its kind where it says nothing."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
