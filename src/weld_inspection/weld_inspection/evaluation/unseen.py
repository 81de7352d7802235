"""Whether a model has seen clips in its training, or its threshold was found on them."""

from pathlib import Path

from weld_inspection.errors import InspectionError
from weld_inspection.networks.weights import Model
from weld_inspection.training.data_set import set_digest, short_clip_digests
from weld_inspection.training.start import clips_behind, data_behind


def was_trained_on(model: Model, folder: Path) -> bool:
    """Whether a model, or one that it started from, was trained on a set of clips or some of them.

    Args:
        model: The model; files of earlier versions do not tell all that they were trained on, or
            the sets as a whole alone.
        folder: The set, or a clip.
    """
    sets = {entry.split()[-1] for entry in data_behind(model.training)}
    return set_digest(folder) in sets or bool(
        short_clip_digests(folder) & clips_behind(model.training)
    )


def was_tuned_on(model: Model, folder: Path) -> bool:
    """Whether a model's threshold was found on a set of clips, see `was_trained_on`."""
    return set_digest(folder) in model.tuned_on


def check_unseen(model: Model, folder: Path) -> None:
    """Makes sure that a model was not trained on a set of clips; see `was_trained_on`.

    Raises:
        InspectionError: It was.
    """
    if was_trained_on(model, folder):
        raise InspectionError(
            f"{model.model_id} was trained on {folder}, or some of its clips, which tells nothing "
            "of what it can do: give clips that were held aside"
        )


def check_untuned(model: Model, folder: Path) -> None:
    """Makes sure that a model's threshold was not found on a set of clips; see `was_tuned_on`.

    Raises:
        InspectionError: It was.
    """
    if was_tuned_on(model, folder):
        raise InspectionError(
            f"the threshold of {model.model_id} was found on {folder}, and nothing is reported "
            "that was tuned on: give other clips"
        )
