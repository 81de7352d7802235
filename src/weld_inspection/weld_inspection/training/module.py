"""Algorithm 1 of the paper as a Lightning module: BCE over sound and defect, Adam."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor

from weld_inspection.errors import InspectionError
from weld_inspection.inspection.torch_backend import normalise
from weld_inspection.networks.fused import fuse_steps
from weld_inspection.networks.segmentation_network import (
    DEFECT_LOGIT,
    SegmentationNetwork,
    segmentation_loss,
)
from weld_inspection.networks.weights import load_model
from weld_inspection.networks.window_network import WindowNetwork
from weld_inspection.training.config import TrainingConfig
from weld_inspection.training.graphed_loss import GraphedLoss, can_be_graphed
from weld_inspection.training.metrics import binary_metrics
from weld_inspection.training.start import keep_statistics

# What a teacher's features weigh beside the masks. Both are learned at once: the features, of which
# there are many at every place, show the way, and the masks where the teacher errs.
TEACHING = 0.2
LEAST_VARIANCE = 1e-3
REMEDIES = {
    "constant": "lower learning_rate; what was saved last is kept",
    "one_cycle": "begin anew with a lower learning_rate; what was saved last is kept",
}
TAKEN_OVER, COURSE = "taken_over", "course"  # in a checkpoint

_logger = logging.getLogger(__name__)


class WindowSegmentation(lightning.LightningModule):
    """Trains a network on windows of uint8 frames and 0/1 masks.

    Attributes:
        network: Is trained.
        config: The numbers.
        course: What the steps depend on beside the config; kept in checkpoints.
        graphed_loss: Computes the network's loss, where it is that of the masks and all pixels
            count; None for the network itself.
    """

    def __init__(
        self,
        network: SegmentationNetwork,
        config: TrainingConfig,
        taken_over: Iterable[str] = (),
    ) -> None:
        """Wraps a network made by `build_network`.

        Args:
            network: Is trained.
            config: The numbers.
            taken_over: Names of the tensors that the network has of another model.

        Raises:
            InspectionError: The config's teacher cannot be loaded, or cannot teach this network;
                or the network has no part of a name in `only`.
        """
        super().__init__()
        self.network = network
        self.config = config
        self.course: dict[str, Any] = {}
        if config.only:
            _hold_others(network, config.only)
        self._remedy = REMEDIES[config.schedule]
        self._taken_over = set(taken_over)
        # In a tuple: it is no part of what is trained and saved.
        self._teacher = (load_teacher(Path(config.teacher), network),) if config.teacher else ()
        self.pixel_metrics = binary_metrics("validation_")
        self.graphed_loss: GraphedLoss | None = None

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """Returns the loss of a batch: frames (B, T, H, W, 3) uint8, masks (B, T, H, W) 0/1."""
        self._seed_draws()
        masks = batch["masks"]
        counted = self._draw_counted(masks, index) if self.config.imbalance else None
        if self._teacher:
            loss = self._taught(*self._teacher, self._frames(batch), masks, counted)
        elif self.graphed_loss is not None and counted is None:
            loss = self.graphed_loss(batch["frames"], masks)
        else:
            loss = self.network.loss(self._frames(batch), masks, counted)
        if not torch.isfinite(loss):
            raise InspectionError(
                f"the loss is {loss.item()} in epoch {self.current_epoch + 1}, batch {index}: "
                f"{self._remedy}"
            )
        return loss

    def _seed_draws(self) -> None:
        """Lets what a network draws follow from the step, also in a run that goes on."""
        numbers = [self.config.seed, self.global_step, self.global_rank]
        torch.manual_seed(int(np.random.default_rng(numbers).integers(2**63)))

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        """Adds a batch to the epoch's metrics."""
        logits = self.network(self._frames(batch))
        loss = segmentation_loss(logits, batch["masks"])
        if not torch.isfinite(loss):
            raise InspectionError(
                f"the validation loss is {loss.item()} after epoch {self.current_epoch + 1}, "
                f"batch {index}: {self._remedy}"
            )
        self.log("validation_loss", loss, prog_bar=True, batch_size=len(logits), sync_dist=True)
        probabilities = torch.sigmoid(logits[:, :, DEFECT_LOGIT].float())
        self.pixel_metrics.update(probabilities.flatten(), batch["masks"].flatten())

    def on_validation_epoch_end(self) -> None:
        """Logs the epoch's pixel metrics."""
        self.log_dict(self.pixel_metrics.compute(), prog_bar=False)
        self.pixel_metrics.reset()

    def check_weights(self) -> None:
        """Looks at the weights before they replace those of the last checkpoint.

        Raises:
            InspectionError: They are not finite.
        """
        if not all(torch.isfinite(value).all() for value in self.network.state_dict().values()):
            raise InspectionError(
                f"the weights are not finite in epoch {self.current_epoch + 1}, after step "
                f"{self.global_step}: {self._remedy}"
            )

    def configure_optimizers(self) -> Any:
        """Adam, with a one-cycle schedule if the config says so."""
        rate = self.config.learning_rate
        learning = (weight for weight in self.network.parameters() if weight.requires_grad)
        optimizer = torch.optim.Adam(learning, lr=rate)
        if self.config.schedule == "constant":
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def on_fit_start(self) -> None:
        """Lets a CUDA card do many kernels as one; the process has chosen its card by now."""
        if self.device.type != "cuda":
            return
        if note := fuse_steps(self.network, training=True):
            _logger.warning(note)
        # The gradients of several processes meet in hooks, which no graph holds.
        if self.trainer.world_size == 1 and can_be_graphed(self.network):
            self.graphed_loss = GraphedLoss(self.network)

    def on_train_start(self) -> None:
        """Keeps the statistics that were taken over; validation brings the modes back as set."""
        keep_statistics(self.network, self._taken_over)
        if self.config.schedule == "constant":  # a run that goes on has the old rate back
            for group in self.optimizers().param_groups:
                group["lr"] = self.config.learning_rate

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Writes down what was taken over, and `course`, for the run that goes on."""
        checkpoint[TAKEN_OVER] = sorted(self._taken_over)
        checkpoint[COURSE] = self.course

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Reads it back; runs of earlier versions kept no statistics."""
        self._taken_over = set(checkpoint.get(TAKEN_OVER, ()))

    def _taught(
        self, teacher: WindowNetwork, frames: Tensor, masks: Tensor, counted: Tensor | None
    ) -> Tensor:
        """The loss with a teacher: of the masks, and how far the features are from the teacher's.

        This is knowledge distillation by features (Romero et al., "FitNets", 2015).
        """
        with torch.no_grad():
            wanted = torch.cat(tuple(teacher.to(frames.device).features(frames)[0])).float()
        features = self.network.features(frames)
        logits = self.network.decode(features, (frames.shape[-2], frames.shape[-1]))
        variance = wanted.var((0, 2, 3), keepdim=True) + LEAST_VARIANCE  # of each channel
        distance = ((torch.cat(tuple(features[0])).float() - wanted).square() / variance).mean()
        return segmentation_loss(logits, masks, counted) + TEACHING * distance

    def _draw_counted(self, masks: Tensor, index: int) -> Tensor:
        """As many sound pixels to a defect one as the config says, by seed, epoch and batch.

        All defect pixels count, or all sound ones where these are too few. A batch without a defect
        counts as many sound pixels as with one defect pixel, one at least.
        """
        rng = np.random.default_rng([self.config.seed, self.current_epoch, index])
        drawn = torch.from_numpy(rng.random(masks.shape, np.float32)).to(masks.device)
        defect = masks > 0
        defects = int(defect.sum())
        wanted, sound = self.config.imbalance * max(defects, 1), max(masks.numel() - defects, 1)
        counted = drawn < torch.where(defect, sound / wanted, wanted / sound)
        return counted | (drawn == drawn.min())

    @staticmethod
    def _frames(batch: dict[str, Tensor]) -> Tensor:
        return normalise(batch["frames"].permute(0, 1, 4, 2, 3))


def _hold_others(network: SegmentationNetwork, parts: Iterable[str]) -> None:
    """Lets nothing of a network learn but some of its parts, see TrainingConfig.only."""
    network.requires_grad_(False)
    weights = dict(network.named_parameters())
    for part in parts:
        own = [weight for name, weight in weights.items() if name.startswith(f"{part}.")]
        if not own:
            names = dict.fromkeys(name.partition(".")[0] for name in weights)
            raise InspectionError(
                f"{network.config.architecture} has no part {part!r} that learns: give some of "
                f"{', '.join(names)}, or parts of these"
            )
        for weight in own:
            weight.requires_grad_(True)


def load_teacher(path: Path, network: SegmentationNetwork) -> WindowNetwork:
    """Loads the model whose features a network is to learn.

    Args:
        path: Model file.
        network: The one that learns.

    Raises:
        InspectionError: The file cannot be loaded, or one of the two has no such features, or they
            are of another shape.
    """
    teacher = load_model(path).network
    if not all(_has_features(member) for member in (teacher, network)):
        raise InspectionError(
            f"{teacher.config.architecture} cannot teach {network.config.architecture}: both must "
            "have an S-Decoder and the pixels' loss"
        )
    own, others = (
        (member.config.channels, member.config.in_channels) for member in (network, teacher)
    )
    if own != others:
        raise InspectionError(
            f"teacher {path} has channels and in_channels {others}, the network {own}: they must "
            "be the same"
        )
    return teacher.channels_last().requires_grad_(False)


def _has_features(network: SegmentationNetwork) -> bool:
    """Whether a network's features can be taught or learned beside the masks."""
    return isinstance(network, WindowNetwork) and (type(network).loss is SegmentationNetwork.loss)
