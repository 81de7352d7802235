"""Runs a training: data, trainer, checkpoints, and the model at its end."""

import json
import logging
import os
import pickle
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from torch.utils.data import ConcatDataset, DataLoader, Sampler

from weld_inspection.errors import InspectionError, first_line
from weld_inspection.inspection.engine import choose_device, choose_precision
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.registry import build_network
from weld_inspection.networks.weights import load_model, save_model
from weld_inspection.provenance import provenance
from weld_inspection.training.config import TrainingConfig, as_written_now
from weld_inspection.training.crops import DEFECT_SHARE, Crop
from weld_inspection.training.data_set import set_digest, short_clip_digests
from weld_inspection.training.folder_lock import hold_folder
from weld_inspection.training.module import COURSE, WindowSegmentation
from weld_inspection.training.start import clips_behind, data_behind, take_over
from weld_inspection.training.windows import WindowDataset
from weld_inspection.whole_files import part_of, write_whole

STEPS_BETWEEN_CHECKPOINTS = 100  # what a kill may cost, in an epoch that is longer
CLIP_CHANNELS = 3
CHECKPOINT = "last.ckpt"
CONFIG = "training.json"
MODEL = "model.safetensors"
METRICS = "metrics.jsonl"
LIGHTNING_LOG = "lightning.pytorch"  # its hints say nothing about this training
LIGHTNING_PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed"}

_logger = logging.getLogger(__name__)


def fit(config: TrainingConfig, *, resume: bool = False) -> Path:
    """Trains a network as Algorithm 1 does.

    In `config.out` stand then model.safetensors (after the last finished epoch), metrics.jsonl
    (a line an epoch), training.json (the config) and last.ckpt (to resume from; written after each
    epoch and every 100 steps; it holds the optimizer as well, and is read back with torch's
    restricted unpickler only).

    Under torchrun each of its processes calls this and takes its share of the windows; a step is
    then of `batch_size` windows a process. The first process alone writes. Where the windows do not
    divide, validation counts a few of them twice. A run that was broken off within an epoch, or has
    one cycle of the learning rate, is resumed by as many processes, with the same data.

    Args:
        config: The numbers.
        resume: Go on from last.ckpt.

    Returns:
        Path of model.safetensors.

    Raises:
        InspectionError: Data, network or folder cannot be used, or loss or weights are not finite.
    """
    logging.getLogger(LIGHTNING_LOG).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    # Said once of GraphedLoss, whose gradient is recorded on a stream of its own.
    warnings.filterwarnings("ignore", message="The AccumulateGrad node's stream")
    out = Path(config.out)
    group = ProcessGroup.of_torchrun()
    checkpoint = _prepare_folder(out, resume, config.epochs, group)
    busy = InspectionError(f"another training is at work in {out}: wait for it")
    # The first process of a group holds the folder for all.
    with nullcontext() if group.rank > 0 else hold_folder(out, busy):
        return _fit(config, out, group, checkpoint)


def _fit(config: TrainingConfig, out: Path, group: "ProcessGroup", checkpoint: Path | None) -> Path:
    lightning.seed_everything(config.seed, verbose=False)
    network = build_network(
        NetworkConfig.from_dict({"architecture": config.network} | config.network_options)
    )
    if network.config.in_channels != CLIP_CHANNELS:
        raise InspectionError(
            f"clips have {CLIP_CHANNELS} channels, red, green and blue, and the network options "
            f"say in_channels {network.config.in_channels}: leave that out"
        )
    if config.imbalance and not network.learns_by_pixels:
        raise InspectionError(
            f"imbalance counts pixels, and {config.network} does not learn by pixels: leave it out"
        )
    taken: set[str] = set()
    if checkpoint is None:
        for path in config.start_from:
            taken |= take_over(network, Path(path), taken)
    training = _loader(config, config.data, network.config, group, training=True)
    validation = None
    if config.validation:
        validation = _loader(config, config.validation, network.config, group, training=False)
    device = choose_device(config.device)
    if device == "cuda" and group.local_size > torch.cuda.device_count():
        raise InspectionError(
            f"{group.local_size} processes share {torch.cuda.device_count()} GPUs: start one a GPU"
        )
    # A bar for a person; a line an epoch everywhere.
    bar = [TQDMProgressBar(leave=True)] if sys.stderr.isatty() and group.rank == 0 else []
    trainer = lightning.Trainer(
        accelerator="gpu" if device == "cuda" else "cpu",
        devices=group.local_size,
        num_nodes=group.size // group.local_size,
        # Mask R-CNN's heads see nothing where a frame has no proposals.
        strategy="ddp_find_unused_parameters_true" if group.size > 1 else "auto",
        use_distributed_sampler=False,  # EpochSampler knows its share
        benchmark=device == "cuda",  # of cuDNN's algorithms: all batches but the last are of a size
        precision=LIGHTNING_PRECISION[choose_precision(config.precision, device)],
        max_epochs=config.epochs,
        callbacks=[EpochReport(out, provenance()), Checkpoints(out), *bar],
        logger=False,
        enable_checkpointing=False,  # Checkpoints does it
        enable_progress_bar=bool(bar),
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    check_imbalance(config, training.dataset.datasets)
    if group.rank == 0:
        _tell_of_versions(training.dataset.datasets)
    module = WindowSegmentation(network.channels_last(), config, taken)
    module.course = {
        "processes": group.size,
        "data": [f"{Path(folder).name} {set_digest(Path(folder))}" for folder in config.data],
    }
    epochs_done = 0
    if checkpoint is None:
        before = _trainings(*config.start_from, config.teacher)
    else:
        place = _read_place(checkpoint, module)
        before = [place.course, *_trainings(config.teacher)]  # which may be another than at first
    sets = set().union(*(data_behind(training) for training in before))
    module.course["data_before"] = sorted(sets - set(module.course["data"] if checkpoint else ()))
    clips = (short_clip_digests(Path(folder)) for folder in config.data)
    module.course["clips"] = sorted(set().union(*clips, *map(clips_behind, before)))
    if checkpoint is not None:
        _check_numbers(out, config, place, module.course)
        training.sampler.go_on_from(place, config.batch_size)
        epochs_done = place.epochs_done
    if group.rank == 0:  # not earlier: what is refused leaves the run as it is
        _write_config(out, config)
        _keep_metrics(out, epochs_done)
    try:
        trainer.fit(module, training, validation, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as ended:
        if trainer.interrupted:  # Lightning's way to end at Ctrl-C
            raise KeyboardInterrupt from ended
        raise
    except (RuntimeError, ValueError) as error:
        if remedy := _remedy(error):
            text = f"{first_line(error)}: {remedy}; what was saved last is kept"
            raise InspectionError(text) from error
        raise
    return out / MODEL


def _remedy(error: RuntimeError | ValueError) -> str:
    """What to do about an error of torch's that numbers of the training bring about, if it is."""
    text = str(error)
    # A processor's memory has no exception of its own.
    if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in text:
        return "give a smaller --batch-size or --crop"
    if "DataLoader worker" in text:
        return "give fewer --workers, or 0; in a container they want more shared memory (/dev/shm)"
    if "more than 1 value per channel" in text:  # of batch normalisation
        return (
            "a batch of one window that is too small to normalise by: give a larger --crop or "
            "--window, or a --batch-size that leaves no window over"
        )
    return ""


def _trainings(*paths: str) -> list[dict[str, Any]]:
    """What the models at these paths, where there is one, tell of their trainings."""
    return [load_model(Path(path)).training for path in paths if path]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a training was broken off.

    Attributes:
        epoch: From 0.
        batches: Of this epoch that were done.
        within: Whether more were to come.
        course: What its steps depend on beside the config: `processes`, `data` with their
            digests, `data_before` and `clips`, see `data_behind` and `clips_behind`. Checkpoints of
            earlier versions do not tell.
    """

    epoch: int
    batches: int
    within: bool
    course: dict[str, Any]

    @property
    def epochs_done(self) -> int:
        """Whole epochs before the break; the number, from 0, of the one to go on with."""
        return self.epoch + (not self.within)


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """The processes that train one network together.

    Attributes:
        rank: Of this one, from 0.
        size: Of all machines.
        local_size: Of this machine.
    """

    rank: int = 0
    size: int = 1
    local_size: int = 1

    @classmethod
    def of_torchrun(cls) -> "ProcessGroup":
        """Reads the environment that torchrun gives its processes; one process without it."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
        if not all(name in os.environ for name in names):
            return cls()
        return cls(*(int(os.environ[name]) for name in names))


class EpochSampler(Sampler[int]):
    """A process's share of all windows, in an order that follows from the seed and the epoch.

    A training that is resumed, also within an epoch, thus goes on with the windows and the
    augmentation that it would have had. Lightning calls `set_epoch` before each epoch.
    """

    def __init__(
        self, datasets: list[WindowDataset], seed: int, group: ProcessGroup = ProcessGroup()
    ) -> None:
        """Starts at epoch 0.

        Args:
            datasets: As they follow each other in the loader.
            seed: Of the training.
            group: Every process takes as many windows, a few of them twice where they do not
                divide: none may wait for the others at the end of an epoch.
        """
        self._datasets = datasets
        self._seed = seed
        self._group = group
        self._epoch = 0
        self._begun = (0, 0)  # an epoch, and how many of its windows were there before the break

    def go_on_from(self, place: Place, batch_size: int) -> None:
        """Leaves out the windows of an epoch that were there before a break.

        Args:
            place: Of the break.
            batch_size: Windows in a step of this process.
        """
        if place.within:
            self._begun = place.epoch, place.batches * batch_size
        # Workers begin to read before Lightning tells the epoch.
        self.set_epoch(place.epochs_done)

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch, of the data sets as well."""
        self._epoch = epoch
        for dataset in self._datasets:
            dataset.set_epoch(epoch)

    def __len__(self) -> int:
        """Number of windows of this process."""
        return -(-self._total() // self._group.size)

    def __iter__(self) -> Iterator[int]:
        """Numbers of the windows in this epoch's order, less those before a break."""
        order = np.random.default_rng([self._seed, self._epoch]).permutation(self._total())
        order = np.resize(order, len(self) * self._group.size)
        epoch, done = self._begun
        share = order[self._group.rank :: self._group.size]
        return iter(share[done if epoch == self._epoch else 0 :].tolist())

    def _total(self) -> int:
        return sum(len(dataset) for dataset in self._datasets)


class Checkpoints(Callback):
    """Writes last.ckpt after each epoch, and every so many steps of a long one."""

    def __init__(self, out: Path) -> None:
        """Writes into the run's folder."""
        self._path = out / CHECKPOINT

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        module: lightning.LightningModule,
        outputs: object,
        batch: object,
        index: int,
    ) -> None:
        """Saves within an epoch."""
        # The last step of an epoch is followed by its validation, which belongs to the epoch.
        if trainer.global_step % STEPS_BETWEEN_CHECKPOINTS == 0 and not trainer.is_last_batch:
            module.check_weights()
            self._save(trainer)

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule
    ) -> None:
        """Saves at the end of an epoch, after EpochReport, which has looked at the weights."""
        self._save(trainer)

    def _save(self, trainer: lightning.Trainer) -> None:
        """Puts a checkpoint in the place of the last one, all of it or nothing."""
        part = part_of(self._path)
        try:
            trainer.save_checkpoint(part)
            if trainer.is_global_zero:
                part.replace(self._path)
        except OSError as error:
            raise InspectionError(
                f"cannot write {self._path}: {error.strerror}; what was saved last is kept"
            ) from error


class EpochReport(Callback):
    """After each epoch: the model file, and a line with the metrics, printed and kept."""

    def __init__(self, out: Path, made_with: dict[str, Any]) -> None:
        """Writes into the run's folder.

        Args:
            out: The folder.
            made_with: With what the training runs, see `provenance`.
        """
        self.out = out
        self.made_with = made_with
        self.began = time.monotonic()
        # Of the epoch, also before a break within it. The sum stays on the device, which a number
        # would have to wait for.
        self._losses: float | torch.Tensor = 0.0
        self._steps = 0

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        seconds = time.monotonic() - self.began
        return {"seconds": seconds, "losses": float(self._losses), "steps": self._steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on counting from what a checkpoint kept; those of before kept no losses."""
        self.began = time.monotonic() - state_dict["seconds"]
        self._losses, self._steps = (state_dict.get(name, 0) for name in ("losses", "steps"))

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        module: lightning.LightningModule,
        outputs: dict[str, torch.Tensor],
        batch: object,
        index: int,
    ) -> None:
        """Adds a step's loss to the epoch's; runs before Checkpoints."""
        self._losses = self._losses + outputs["loss"].double()
        self._steps += 1
        if trainer.is_last_batch:
            mean = float(self._losses) / self._steps
            self._losses, self._steps = 0.0, 0
            module.log("loss", mean, on_step=False, on_epoch=True, prog_bar=True, sync_dist=True)

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule
    ) -> None:
        """Saves and reports; runs after the epoch's validation."""
        module.check_weights()
        # The processes make the metrics together: all have to ask.
        metrics = {name: round(float(value), 4) for name, value in trainer.callback_metrics.items()}
        if not trainer.is_global_zero:
            return
        epoch = trainer.current_epoch + 1
        seconds = time.monotonic() - self.began
        facts = {
            "config": _without_folders(module.config),
            "epochs": epoch,
            "steps": trainer.global_step,
            "seconds": round(seconds),
            "metrics": metrics,
            **module.course,
            "device": module.device.type,
            "precision": trainer.precision,
            "made_with": self.made_with,
        }
        save_model(self.out / MODEL, module.network, facts)
        _append_metrics(self.out, {"epoch": epoch, "seconds": round(seconds)} | metrics)
        shown = " ".join(f"{name}={value}" for name, value in sorted(metrics.items()))
        print(f"epoch {epoch}/{trainer.max_epochs} {seconds:.0f} s {shown}", flush=True)


def _without_folders(config: TrainingConfig) -> dict:
    """The numbers of a training for its model file: names of data, not where they lie."""
    values = config.to_dict()
    del values["out"]
    for name in ("data", "validation"):
        values[name] = [Path(folder).name for folder in values[name]]
    values["start_from"] = [Path(path).name for path in values["start_from"]]
    values["teacher"] = Path(values["teacher"]).name
    return values


def _ends_with_first_epoch(out: Path, epochs: int) -> bool:
    """Whether a run was broken off between the model of the first of its epochs and a checkpoint.

    A run that was finished may have lost its checkpoint later, to make room.
    """
    if epochs == 1 or (out / CHECKPOINT).exists() or not (out / MODEL).is_file():
        return False
    return load_model(out / MODEL).training.get("epochs") == 1


def _prepare_folder(out: Path, resume: bool, epochs: int, group: ProcessGroup) -> Path | None:
    """Returns the checkpoint to resume from, or None."""
    checkpoint = out / CHECKPOINT
    if resume:
        if not checkpoint.is_file():
            raise InspectionError(
                f"nothing to resume: there is no {checkpoint}; give the first command again, "
                "without --resume"
            )
        return checkpoint
    if group.rank > 0:
        return None  # the first process looks at the folder, and all end where it does not suit
    # What a run leaves that was broken off before its first checkpoint.
    begun = {out / CONFIG, *(part_of(out / name) for name in (CONFIG, MODEL, CHECKPOINT))}
    if _ends_with_first_epoch(out, epochs):
        begun |= {out / MODEL, out / METRICS}
    if out.is_dir() and not begun.issuperset(out.iterdir()):
        remedy = "--resume to go on there" if checkpoint.is_file() else "remove it"
        raise InspectionError(f"{out} is not empty: give another --out, or {remedy}")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InspectionError(f"cannot make folder {out}: {error.strerror}") from error
    return None


def _check_numbers(out: Path, config: TrainingConfig, place: Place, course: dict[str, Any]) -> None:
    """Raises where what was begun cannot become what the config says midway."""
    try:
        begun = as_written_now(json.loads((out / CONFIG).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise InspectionError(f"cannot read {out / CONFIG}: {error}") from error
    remedy = "resume with the same, or train on from its model with --start-from"
    if begun.get("schedule", config.schedule) != config.schedule:
        raise InspectionError(f"{out} was begun with schedule {begun['schedule']}: {remedy}")
    if begun.get("only", []) != list(config.only):
        was = " ".join(begun.get("only", [])) or "all"
        raise InspectionError(f"{out} was begun with only {was} learning: {remedy}")
    if config.epochs <= place.epoch:
        done = place.epoch + 1
        raise InspectionError(f"{out} has come to epoch {done}: give --epochs {done} or more")
    now = _without_folders(config)
    was = [Path(path).name for path in begun.get("start_from", [])]
    if was != now["start_from"]:
        begun_from = f"from {' '.join(was)}" if was else "anew"
        raise InspectionError(f"{out} was begun {begun_from}: go on without --start-from")
    begun["data"] = [Path(folder).name for folder in begun["data"]]  # they may have been moved
    cycle = config.schedule == "one_cycle"
    steps = ("data", "batch_size", "window", "stride")  # make the steps what they are
    checked = {
        f"broken off within an epoch of {{}}: {remedy}": (*steps, "seed") if place.within else (),
        f"begun with one cycle of the learning rate over all its steps, of {{}}: {remedy}": (
            (*steps, "epochs", "learning_rate") if cycle else ()
        ),
    }
    for sentence, names in checked.items():
        for name in names:
            was = begun.get(name, 0)  # there were trainings before there was a `window`
            if was != now[name]:
                raise InspectionError(f"{out} was {sentence.format(f'{name} {was}')}")
        if not names or not place.course:
            continue
        if place.course["processes"] != course["processes"]:
            was = f"{place.course['processes']} processes"
            raise InspectionError(f"{out} was {sentence.format(was)}")
        for was, item in zip(place.course["data"], course["data"], strict=True):
            if was != item:
                name = was.partition(" ")[0]
                raise InspectionError(f"{out} was {sentence.format(f'other clips in {name}')}")


def _keep_metrics(out: Path, epochs: int) -> None:
    """Takes out of metrics.jsonl what the checkpoint that a run goes on from does not know."""
    file = out / METRICS
    if not file.is_file():
        return
    try:
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        if lines and not lines[-1].endswith("\n"):
            del lines[-1]  # of an epoch that ended as the power or the disk did
        kept = {json.loads(line)["epoch"]: line for line in lines}
        write_whole(file, "".join(line for epoch, line in kept.items() if epoch <= epochs))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InspectionError(f"cannot go on with {file}: {error}; remove it") from error


def _append_metrics(out: Path, values: dict[str, Any]) -> None:
    """Adds an epoch's line to metrics.jsonl."""
    try:
        with (out / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")
    except OSError as error:
        raise InspectionError(f"cannot write {out / METRICS}: {error.strerror}") from error


def _write_config(out: Path, config: TrainingConfig) -> None:
    """Writes training.json, which other processes may be reading."""
    try:
        write_whole(out / CONFIG, json.dumps(config.to_dict(), indent=2))
    except OSError as error:
        raise InspectionError(f"cannot write {out / CONFIG}: {error.strerror}") from error


def _read_place(checkpoint: Path, module: WindowSegmentation) -> Place:
    """Returns when a checkpoint was written.

    Raises:
        InspectionError: It is damaged, or holds another network than the run's.
    """
    try:
        content = torch.load(checkpoint, "cpu", weights_only=True)
        held, progress = content["state_dict"], content["loops"]["fit_loop"]
        batches = progress["epoch_loop.batch_progress"]
        place = Place(
            int(content["epoch"]),
            int(batches["current"]["ready"]),
            not batches["is_last_batch"],
            dict(content.get(COURSE, {})),
        )
    except OSError as error:
        raise InspectionError(f"cannot read checkpoint {checkpoint}: {error.strerror}") from error
    except (RuntimeError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise InspectionError(
            f"checkpoint {checkpoint} is damaged ({first_line(error)}): begin anew with "
            "another --out"
        ) from error
    wanted = {name: value.shape for name, value in module.state_dict().items()}
    if {name: value.shape for name, value in held.items()} != wanted:
        raise InspectionError(
            f"checkpoint {checkpoint} holds another network than {module.config.network} with the "
            "options given: resume with those that it was begun with"
        )
    return place


def check_imbalance(config: TrainingConfig, datasets: Sequence[WindowDataset]) -> None:
    """Checks that the training data have as much sound metal as the config asks for.

    Raises:
        InspectionError: They have fewer sound pixels to a defect one, or no defects.
    """
    if not config.imbalance:
        return
    if not any(data.defect_pixel_ratio for data in datasets):
        raise InspectionError("imbalance needs training data with defects: there are none")
    frames = [sum(clip.metadata.frame_count for clip in data.clips) for data in datasets]
    pairs = zip(datasets, frames, strict=True)
    defects = sum(data.defect_pixel_ratio * count for data, count in pairs) / sum(frames)
    has = (1 - defects) / defects
    if config.imbalance > has:
        raise InspectionError(
            f"imbalance is {config.imbalance:g}, but the training data have {has:.1f} sound pixels "
            "to a defect one: give less, or 0 for all"
        )


def _tell_of_versions(datasets: Sequence[WindowDataset]) -> None:
    """Warns where clips are of several versions of the simulation, which show other welds."""
    folders: dict[int, set[str]] = {}
    for data in datasets:
        for clip in data.clips:
            source = clip.metadata.source
            if source["kind"] != "recording":  # the first version wrote none
                folders.setdefault(source.get("simulation", 1), set()).add(clip.folder.parent.name)
    if len(folders) > 1:
        told = "; ".join(
            f"version {version} in {', '.join(sorted(names))}"
            for version, names in sorted(folders.items())
        )
        _logger.warning(
            f"the training clips are of several versions of the simulation, {told}: what is in the "
            "way of the camera differs; make those of earlier versions again with `make_dataset`"
        )


def _loader(
    config: TrainingConfig,
    folders: tuple[str, ...],
    network: NetworkConfig,
    group: ProcessGroup,
    *,
    training: bool,
) -> DataLoader:
    crop = None
    if config.crop is not None:
        crop = Crop(*config.crop, defect_share=0.0 if config.imbalance else DEFECT_SHARE)
    window = (config.window if training else 0) or network.window
    datasets = [
        WindowDataset(
            Path(folder),
            window=window,
            width=network.width,
            height=network.height,
            stride=(config.stride if training else 0) or window,
            augment=training and config.augment,
            crop=crop if training else None,
            seed=config.seed,
            number=number,
        )
        for number, folder in enumerate(folders)
    ]
    return DataLoader(
        ConcatDataset(datasets),
        batch_size=config.batch_size,
        sampler=EpochSampler(datasets, config.seed, group) if training or group.size > 1 else None,
        drop_last=False,
        num_workers=config.workers,
        persistent_workers=config.workers > 0,
    )
