"""The mean of several networks' weights."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from weld_inspection.networks.weights import PAPER_THRESHOLD, ModelError, load_model, save_model

_logger = logging.getLogger(__name__)


def average_models(paths: Sequence[Path], out: Path, *, bf16: bool = False) -> None:
    """Writes the mean of models' weights as a model of its own.

    Trainings that began at the same weights and differ in their samples end around the same
    minimum; their mean lies nearer to it than each of them (Wortsman et al. 2022, "Model soups").
    Networks that began apart have nothing in common that could be averaged.

    Args:
        paths: Two model files or more, of the same network with the same options; with `bf16` one
            will do, which is then that model in bf16.
        out: The file to write. Its threshold is the paper's, for those of the others are not its
            own; its training lists theirs. Of the only one it has threshold and training.
        bf16: Store the weights in bf16. The network computes with bf16 weights wherever it is
            trained or run in bf16; from such a file it does in fp32, too, so that both then differ
            by what is rounded on the way alone. The file is half as large.

    Raises:
        ModelError: A file cannot be loaded, or their networks differ.
    """
    if len(paths) < 2 and not bf16:
        raise ModelError("a mean needs two models or more; one alone can be stored in bf16")
    models = [load_model(path) for path in paths]
    mean = models[0].network
    for path, model in zip(paths, models, strict=True):
        if model.config != models[0].config:
            raise ModelError(
                f"{path} and {paths[0]} hold different networks, or one with other options: "
                f"average trainings that began at the same model"
            )
    states = [model.network.state_dict() for model in models]
    mean.load_state_dict(
        {
            name: torch.stack([state[name].double() for state in states]).mean(0)
            for name in states[0]
        }
    )
    dtype = torch.bfloat16 if bf16 else None
    if len(models) == 1:
        (only,) = models
        save_model(out, mean, only.training, only.threshold, dtype, only.tuned_on)
        return
    training = {"mean_of": [{"model": model.model_id, **model.training} for model in models]}
    save_model(out, mean, training, dtype=dtype)
    if tuned := {model.threshold for model in models} - {PAPER_THRESHOLD}:
        _logger.warning(
            f"the mean has the paper's threshold {PAPER_THRESHOLD:g}, not the models' "
            f"{', '.join(f'{threshold:g}' for threshold in sorted(tuned))}: tune it with "
            "`evaluate --tune`"
        )
