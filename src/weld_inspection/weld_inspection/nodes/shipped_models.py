"""Where the shipped models are installed."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory


def shipped_models() -> Path:
    """Returns the folder of the models that come with the package, for `model_choice`."""
    return Path(get_package_share_directory("weld_inspection")) / "models"
