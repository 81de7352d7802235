"""Algorithm 1 of the paper as a Lightning module: BCE over sound and defect, Adam."""

from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn

from weld_inspection.errors import InspectionError
from weld_inspection.inspection.torch_backend import normalise
from weld_inspection.networks.segmentation_network import (
    DEFECT_LOGIT,
    SegmentationNetwork,
    segmentation_loss,
)
from weld_inspection.networks.weights import load_model
from weld_inspection.training.config import TrainingConfig
from weld_inspection.training.metrics import binary_metrics

# The ST-Encoder of bi-CRRN-E has the layers of bi-CRRN-ED's: one can start from the other.
ENCODERS = {
    "forward_layers.": "forward_stack.encoder.",
    "backward_layers.": "backward_stack.encoder.",
}


class WindowSegmentation(lightning.LightningModule):
    """Trains a network on windows of uint8 frames and 0/1 masks."""

    def __init__(
        self, network: SegmentationNetwork, config: TrainingConfig, sound_counted: float = 1.0
    ) -> None:
        """Wraps a network made by `build_network`.

        Args:
            network: Is trained.
            config: The numbers.
            sound_counted: Share of the sound pixels that the loss counts.
        """
        super().__init__()
        self.network = network
        self.config = config
        self.sound_counted = sound_counted
        self.pixel_metrics = binary_metrics("validation_")

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """Returns the loss of a batch: frames (B, T, H, W, 3) uint8, masks (B, T, H, W) 0/1."""
        masks = batch["masks"]
        if self.sound_counted < 1:
            loss = self.network.loss(self._frames(batch), masks, self._draw_counted(masks, index))
        else:
            loss = self.network.loss(self._frames(batch), masks)
        if not torch.isfinite(loss):
            raise InspectionError(
                f"the loss is {loss.item()} in epoch {self.current_epoch}, batch {index}: "
                "lower learning_rate; the last checkpoint is kept"
            )
        self.log(
            "loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=1, sync_dist=True
        )
        return loss

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        """Adds a batch to the epoch's metrics."""
        logits = self.network(self._frames(batch))
        self.log(
            "validation_loss", segmentation_loss(logits, batch["masks"]), prog_bar=True,
            batch_size=len(logits), sync_dist=True,
        )  # fmt: skip
        probabilities = torch.sigmoid(logits[:, :, DEFECT_LOGIT].float())
        self.pixel_metrics.update(probabilities.flatten(), batch["masks"].flatten())

    def on_validation_epoch_end(self) -> None:
        """Logs the epoch's pixel metrics."""
        self.log_dict(self.pixel_metrics.compute(), prog_bar=False)
        self.pixel_metrics.reset()

    def configure_optimizers(self) -> Any:
        """Adam, with a one-cycle schedule if the config says so."""
        rate = self.config.learning_rate
        optimizer = torch.optim.Adam(self.network.parameters(), lr=rate)
        if self.config.schedule == "constant":
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def _draw_counted(self, masks: Tensor, index: int) -> Tensor:
        """All defect pixels and some sound ones, which follow from seed, epoch and batch."""
        rng = np.random.default_rng([self.config.seed, self.current_epoch, index])
        drawn = rng.random(masks.shape, np.float32) < self.sound_counted
        return torch.from_numpy(drawn).to(masks.device) | (masks > 0)

    @staticmethod
    def _frames(batch: dict[str, Tensor]) -> Tensor:
        return normalise(batch["frames"].permute(0, 1, 4, 2, 3))


def take_over(network: nn.Module, path: Any) -> int:
    """Copies the weights of a model file into a network where names and shapes agree.

    Args:
        network: Receives the weights.
        path: Model file, of the same or a related network.

    Returns:
        How many tensors were copied.

    Raises:
        InspectionError: The file cannot be loaded or nothing in it fits.
    """
    own = network.state_dict()
    fitting = {}
    for name, value in load_model(path).network.state_dict().items():
        for light, full in ENCODERS.items():
            if name.startswith(light) and name not in own:
                name = name.replace(light, full, 1)
        if name in own and own[name].shape == value.shape:
            fitting[name] = value
    if not any(value.ndim > 1 for value in fitting.values()):  # biases alone are no start
        raise InspectionError(f"no weights of {path} fit this network: start from a related one")
    network.load_state_dict(own | fitting)
    return len(fitting)
