"""Errors that a user can act on."""


class InspectionError(Exception):
    """A mistake of the user's or a fault of the surroundings, told in one line."""
