"""Whether a model has seen clips in its training."""

from pathlib import Path

from weld_inspection.errors import InspectionError
from weld_inspection.evaluation.variants import trainings
from weld_inspection.networks.weights import Model
from weld_inspection.training.data_set import set_digest


def was_trained_on(model: Model, folder: Path) -> bool:
    """Whether a model was trained on a set of clips, as far as its file tells.

    Args:
        model: The model; files of earlier versions do not tell what they were trained on.
        folder: The set, as a whole: of single clips of it nothing is known.
    """
    seen = {
        entry.split()[-1]
        for training in trainings(model.training)
        for entry in training.get("data", ())
    }
    return set_digest(folder) in seen


def check_unseen(model: Model, folder: Path) -> None:
    """Makes sure that a model was not trained on a set of clips; see `was_trained_on`.

    Raises:
        InspectionError: It was.
    """
    if was_trained_on(model, folder):
        raise InspectionError(
            f"{model.model_id} was trained on {folder}, which tells nothing of what it can do: "
            "give clips that were held aside"
        )
