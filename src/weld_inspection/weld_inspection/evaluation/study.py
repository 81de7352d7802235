"""Trains what the paper compares, each network alike, and reports on it."""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from weld_inspection.errors import InspectionError
from weld_inspection.evaluation.report import told_duration, write_report
from weld_inspection.evaluation.scores import Progress, ReportedSet
from weld_inspection.evaluation.variants import DEFAULTS, Variant
from weld_inspection.inspection.engine import choose_device, choose_precision
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.registry import build_network
from weld_inspection.networks.weights import load_model
from weld_inspection.training.clips import open_clips
from weld_inspection.training.config import TrainingConfig, as_written_now
from weld_inspection.training.data_set import set_digest
from weld_inspection.training.fit import CHECKPOINT, METRICS, MODEL, check_imbalance, fit
from weld_inspection.training.windows import WindowDataset
from weld_inspection.whole_files import write_whole

# Folders of a preset: what is trained on, and, set by set in the same order, what is reported with
# what its threshold is tuned on.
TRAINING_FOLDERS = ("train", "photos_train")
REPORTED_FOLDERS = (
    ("simulated weld, automatic rig", "validation", "tune"),
    ("photographs", "photos_validation", "photos_tune"),
)
TIMED_WINDOWS = 2
# What the study itself says of each training.
GIVEN = ("network", "imbalance", "out", "seed")
# What may differ between a run and its continuation; of data, the place alone.
FREE = ("out", "data", "validation", "device", "precision", "workers")


@dataclass(frozen=True, slots=True)
class Run:
    """One training of a study.

    Attributes:
        variant: What is trained.
        seed: Of the training.
        config: All its numbers.
    """

    variant: Variant
    seed: int
    config: TrainingConfig

    @property
    def folder(self) -> Path:
        """Of its checkpoints and its model."""
        return Path(self.config.out)

    @property
    def model(self) -> Path:
        """The file that it leaves."""
        return self.folder / MODEL

    @property
    def record(self) -> Path:
        """The file that tells its data; beside its folder, which a new training needs empty."""
        return self.folder.with_name(f"{self.folder.name}.data.json")

    @property
    def title(self) -> str:
        """For messages."""
        return f"{self.variant.title}, seed {self.seed}"

    def data(self) -> dict[str, str]:
        """The digests of the sets that it trains on, by their names."""
        return {Path(folder).name: set_digest(Path(folder)) for folder in self.config.data}

    def done(self) -> float:
        """Which part of its epochs was run, 0 to 1."""
        file = self.folder / METRICS
        if not (self.folder / CHECKPOINT).is_file() or not file.is_file():
            return 0.0
        return min(1.0, len(file.read_text(encoding="utf-8").splitlines()) / self.config.epochs)

    def finished(self) -> bool:
        """Whether it was run to its end."""
        return (
            self.model.is_file() and load_model(self.model).training["epochs"] == self.config.epochs
        )


def plan_runs(
    data: Path, folder: Path, variants: Sequence[Variant], seeds: int, numbers: TrainingConfig
) -> list[Run]:
    """Plans a study's trainings: all variants with the first seed, then all with the next.

    Args:
        data: Folder of a preset's sets, see `training.presets`.
        folder: Of the runs.
        variants: What is compared.
        seeds: How many trainings each.
        numbers: Of every training; network, imbalance, data, folder and seed are filled in.

    Raises:
        InspectionError: The preset's folder lacks its training clips, or the numbers say what is
            filled in.
    """
    values = numbers.to_dict()
    if wrong := [name for name in GIVEN if values[name] != DEFAULTS[name]]:
        raise InspectionError(
            f"a study gives each training its {', '.join(wrong)}: leave that out of --config"
        )
    options = {name for variant in variants for name in variant.options}
    if twice := sorted(options.intersection(numbers.network_options)):
        raise InspectionError(
            f"the study compares networks by {', '.join(twice)}: leave that out of the config's "
            "network_options, or part readings out of --parts"
        )
    sets = [data / name for name in TRAINING_FOLDERS if (data / name).is_dir()]
    if not sets or sets[0].name != TRAINING_FOLDERS[0]:
        raise InspectionError(
            f"there is no folder {data / TRAINING_FOLDERS[0]}: make the clips with "
            f"`make_dataset preset small --out {data}`"
        )
    return [
        Run(
            variant,
            seed,
            replace(
                numbers,
                network=variant.network,
                network_options=numbers.network_options | variant.options,
                imbalance=variant.imbalance,
                # Only the simulated clips have as much sound metal as Table 3 asks for.
                data=tuple(str(item) for item in (sets[:1] if variant.imbalance else sets)),
                out=str(folder / f"{variant.name}_{seed}"),
                seed=seed,
            ),
        )
        for seed in range(seeds)
        for variant in variants
    ]


def run_study(
    runs: Sequence[Run],
    data: Path,
    out: Path,
    *,
    tell: Callable[[str], None],
    progress: Callable[[str], Progress] = lambda title: iter,
) -> Path:
    """Trains what is not trained yet, goes on where a training was broken off, and reports.

    Args:
        runs: See `plan_runs`.
        data: Folder of a preset's sets.
        out: Folder of the report.
        tell: Takes lines for the user: what is done, and how long the rest will take.
        progress: As `write_report`'s.

    Returns:
        Path of the report's README.md.

    Raises:
        InspectionError: Clips, a run's folder or the report's cannot be used, or a run that is
            there was begun with other numbers or other data.
    """
    waiting = []
    for run in runs:
        _check_same(run)
        if run.finished():
            tell(f"{run.title}: trained already")
        else:
            waiting.append(run)
    sets = _reported_sets(data)
    if waiting:
        _check_imbalances(waiting)
        _train(waiting, tell)
    tell(f"scores {len(runs)} models on {len(sets)} sets")
    return write_report(out, [run.model for run in runs], sets, progress=progress, tell=tell)


def estimate(run: Run) -> float:
    """Returns about how many seconds a whole training takes here, by trying one step.

    Raises:
        InspectionError: The clips or the network's options cannot be used.
    """
    config = run.config
    options = NetworkConfig.from_dict({"architecture": config.network} | config.network_options)
    device = choose_device(config.device)
    network = build_network(options).channels_last().to(device)
    width, height = config.crop or (options.width, options.height)
    window = config.window or options.window
    shape = (TIMED_WINDOWS, window, height, width)
    frames = torch.rand(*shape[:2], options.in_channels, *shape[2:], device=device) * 2 - 1
    masks = torch.zeros(shape, dtype=torch.uint8, device=device)
    masks[..., : shape[2] // 8, : shape[3] // 4] = 1
    native = choose_precision(config.precision, device) == "bf16"
    seconds = 0.0
    for _ in range(2):  # the first one allocates
        began = time.perf_counter()
        with torch.autocast(device, torch.bfloat16) if native else nullcontext():
            loss = network.loss(frames, masks)
        loss.backward()
        loss.item()
        seconds = time.perf_counter() - began
    stride = config.stride or window
    counts = [
        (clip.metadata.frame_count - window) // stride + 1
        for folder in config.data
        for clip in open_clips(folder)
    ]
    windows = sum(max(count, 0) for count in counts)
    return seconds / TIMED_WINDOWS * windows * config.epochs


def _reported_sets(data: Path) -> list[ReportedSet]:
    """The sets to report on; raises where one is missing, which hours later would be too late."""
    sets = []
    for (title, *names), training in zip(REPORTED_FOLDERS, TRAINING_FOLDERS, strict=True):
        clips, aside = (data / name for name in names)
        there = [folder for folder in (data / training, clips, aside) if folder.is_dir()]
        if not there:
            continue
        for folder in (clips, aside):
            if folder not in there:
                raise InspectionError(
                    f"there is no folder {folder}, which belongs to {there[0]}: make the set "
                    "again with the `make_dataset preset` that made that one"
                )
        sets.append(ReportedSet(title, clips, aside))
    return sets


def _check_imbalances(runs: Sequence[Run]) -> None:
    """Raises where a run asks for more sound metal than its data have."""
    configs = [run.config for run in runs if run.config.imbalance]
    if not configs:
        return
    most = max(configs, key=lambda config: config.imbalance)
    size = NetworkConfig.from_dict({"architecture": most.network} | most.network_options)
    check_imbalance(
        most,
        [
            WindowDataset(
                Path(folder),
                window=most.window or size.window,
                width=size.width,
                height=size.height,
            )
            for folder in most.data
        ],
    )


def _train(runs: Sequence[Run], tell: Callable[[str], None]) -> None:
    by_variant = {run.variant.name: run for run in runs}
    whole = {name: estimate(run) for name, run in by_variant.items()}
    seconds = [whole[run.variant.name] * (1 - run.done()) for run in runs]
    left = sum(seconds)
    tell(f"{len(runs)} trainings, about {told_duration(left)} on this machine")
    for number, (run, expected) in enumerate(zip(runs, seconds, strict=True), 1):
        resume = (run.folder / CHECKPOINT).is_file()
        tell(
            f"training {number} of {len(runs)}: {run.title}"
            f"{', goes on where it was' if resume else ''}, about {told_duration(expected)}; "
            f"all that is left about {told_duration(left)}"
        )
        _write_record(run)
        fit(run.config, resume=resume)
        left -= expected


def _check_same(run: Run) -> None:
    """Raises where the run's folder holds one of other numbers or other data."""
    file = run.folder / "training.json"
    if not file.is_file():
        return
    try:
        begun = as_written_now(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        text = f"{file} cannot be read: remove {run.folder} to train anew"
        raise InspectionError(text) from error
    wanted = run.config.to_dict()
    differing = [
        name
        for name, value in wanted.items()
        # A run of a version that did not know the option took its default.
        if name not in FREE and begun.get(name, DEFAULTS[name]) != value
    ]
    if differing:
        raise InspectionError(
            f"{run.folder} was begun with another {', '.join(differing)}: give the same numbers, "
            "or another --runs"
        )
    if not run.record.is_file():
        raise InspectionError(
            f"{run.folder} was begun with unknown data, for there is no {run.record}: remove the "
            "folder to train anew, or give another --runs"
        )
    try:
        known = json.loads(run.record.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        text = f"{run.record} cannot be read: remove {run.folder} to train anew"
        raise InspectionError(text) from error
    data = run.data()
    differing = [name for name in known | data if known.get(name) != data.get(name)]
    if differing:
        raise InspectionError(
            f"{run.folder} was begun with another {', '.join(differing)} in --data: give the same "
            "data, or another --runs"
        )


def _write_record(run: Run) -> None:
    """Writes which data a run is begun with, whole or not at all."""
    try:
        run.record.parent.mkdir(parents=True, exist_ok=True)
        write_whole(run.record, json.dumps(run.data(), indent=1) + "\n")
    except OSError as error:
        raise InspectionError(f"cannot write {run.record}: {error.strerror}") from error
