"""Tables and figures of models on sets: the paper's results, as files."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from weld_inspection.errors import InspectionError
from weld_inspection.evaluation.figures import draw_curves, draw_masks, typical_window
from weld_inspection.evaluation.scores import (
    Progress,
    ReportedSet,
    kept_scores,
    score_model,
)
from weld_inspection.evaluation.tables import Score, paper_tables, shown_scores
from weld_inspection.evaluation.variants import (
    PAPER_NETWORKS,
    Described,
    describe_all,
    trainings,
)
from weld_inspection.inspection.engine import InferenceEngine, choose_device, choose_precision
from weld_inspection.networks.weights import load_model
from weld_inspection.provenance import provenance
from weld_inspection.training.clips import open_clips

SCORES_FOLDER = "scores"
# Of a training's config.
SHOWN_NUMBERS = (
    *("start_from", "teacher", "epochs", "batch_size", "learning_rate", "schedule", "window"),
    *("stride", "crop", "augment", "precision", "only"),
)
TIMINGS = "timings.json"
TIMED_ROUNDS = 7


def write_report(
    out: Path,
    models: Sequence[Path],
    sets: Sequence[ReportedSet],
    *,
    progress: Callable[[str], Progress] = lambda title: iter,
    tell: Callable[[str], None] = lambda line: None,
    device: str = "auto",
    precision: str = "auto",
    backend: str = "torch",
    views: int = 1,
) -> Path:
    """Scores models on sets and writes tables and figures of them.

    In `out` stand then README.md with everything in it, a CSV of each table and a PNG of each
    figure for each set, and scores/, a file a model and set, which are not measured again.

    Args:
        out: Folder; made if need be.
        models: Model files: trainings that differ in the seed alone become mean and spread.
        sets: What they are scored on.
        progress: Gives what wraps the lists of clips of a model, by its title.
        tell: Takes lines for the user: what is done, and how long the rest will take.
        device: As InferenceEngine's.
        precision: As InferenceEngine's.
        backend: As InferenceEngine's.
        views: As InferenceEngine's.

    Returns:
        Path of README.md.

    Raises:
        InspectionError: A model or a set cannot be used, the models' windows are not of one shape,
            or the folder cannot be written.
    """
    _check_shapes(models)
    try:
        (out / SCORES_FOLDER).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InspectionError(f"cannot make {out}: {error.strerror}") from error
    order = list(PAPER_NETWORKS)
    described = sorted(
        describe_all(models),
        key=lambda item: (
            order.index(item[0].network) if item[0].network in order else len(order),
            item[0].name,
            item[1],
        ),
    )
    for names in ([shown.clips.name for shown in sets], [shown.title for shown in sets]):
        if len(set(names)) < len(names):
            raise InspectionError(f"two sets have the same name: {', '.join(sorted(names))}")
    for folder in (folder for shown in sets for folder in (shown.clips, shown.held_aside)):
        if folder is not None:
            open_clips(folder)  # not only when the sets before it are scored, hours later
    device = choose_device(device)
    if backend != "auto":  # which measures
        precision = choose_precision(precision, device)
    engine: dict[str, Any] = {"device": device, "precision": precision, "backend": backend}
    if views != 1:  # scores of before there were views are of one
        engine["views"] = views
    scores: dict[str, list[Score]] = {}
    for shown, score in _score(out, described, sets, engine, progress, tell):
        scores.setdefault(shown.title, []).append(score)
    engines = {path: InferenceEngine(path, **engine) for _, _, path in described}
    windows = [typical_window(shown.clips, next(iter(engines.values())).info) for shown in sets]
    milliseconds = time_windows(
        {variant.name: engines[path] for variant, _, path in described}, windows[0][0]
    )
    titled = {
        (variant.name, seed): (variant.title, engines[path]) for variant, seed, path in described
    }
    parts = [_head(scores)]
    readme = out / "README.md"
    times = {"milliseconds": milliseconds, "made_with": provenance()}
    try:
        for shown, window in zip(sets, windows, strict=True):
            for score in scores[shown.title]:
                score["milliseconds"] = milliseconds[score["variant"]]
            parts.append(_write_set(out, shown, scores[shown.title], titled, window))
        readme.write_text("\n".join(parts), encoding="utf-8")
        (out / TIMINGS).write_text(json.dumps(times, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InspectionError(
            f"cannot write the report: {error}; the scores are kept in {out}, the same command "
            "goes on with them"
        ) from error
    return readme


def told_duration(seconds: float) -> str:
    """Returns a time that something will take, for a person."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def time_windows(
    engines: dict[str, InferenceEngine], window: np.ndarray, rounds: int = TIMED_ROUNDS
) -> dict[str, float]:
    """Measures the time of a window, all networks in turn, so that they meet the same machine.

    Args:
        engines: By name.
        window: (T, H, W, 3) uint8 RGB; what Mask R-CNN does depends on what it shows.
        rounds: Windows each.

    Returns:
        The median in milliseconds by name.
    """
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(rounds):
        for name, engine in engines.items():
            began = perf_counter()
            engine.infer(window)
            times[name].append(perf_counter() - began)
    return {name: round(1000 * float(np.median(values)), 1) for name, values in times.items()}


def _score(
    out: Path,
    models: Sequence[Described],
    sets: Sequence[ReportedSet],
    engine: dict[str, Any],
    progress: Callable[[str], Progress],
    tell: Callable[[str], None],
) -> Iterator[tuple[ReportedSet, Score]]:
    """Gives the scores of all models on all sets; tells how long those that are missing take."""
    jobs = []
    for shown in sets:
        for model in models:
            variant, seed, _ = model
            file = out / SCORES_FOLDER / f"{variant.name}_{seed}-{shown.clips.name}.json"
            jobs.append((shown, model, file, kept_scores(model, shown, file, engine)))
    count = sum(score is None for *_, score in jobs)
    began, number, left = perf_counter(), 0, ""
    tuned: dict[tuple[str, str], float] = {}
    for shown, model, file, score in jobs:
        if score is None:
            number += 1
            title = f"{model[0].title}, seed {model[1]}, {shown.title}"
            tell(f"scores {number} of {count}: {title}{left}")
            score = score_model(model, shown, file, engine, tuned, progress(title))
            seconds = (perf_counter() - began) / number * (count - number)
            left = f"; all that is left about {told_duration(seconds)}"
        yield shown, score


def _check_shapes(models: Sequence[Path]) -> None:
    """Raises where models cannot be shown the same window."""
    shapes = {}
    for path in models:
        config = load_model(path).config
        shapes[path] = f"{config.window} frames of {config.width}x{config.height}"
    if len(set(shapes.values())) > 1:
        told = "; ".join(f"{path}: {shape}" for path, shape in shapes.items())
        raise InspectionError(f"one report is of models with windows of one shape, not {told}")


def _write_set(
    out: Path,
    shown: ReportedSet,
    scores: list[Score],
    engines: dict[tuple[str, int], tuple[str, InferenceEngine]],
    window: tuple[np.ndarray, np.ndarray],
) -> str:
    """Writes the tables and figures of one set; returns its part of README.md.

    Args:
        out: Folder of the report.
        shown: The set.
        scores: On it.
        engines: With their titles, by variant and seed.
        window: Frames and truth of the set's typical window.
    """
    suffix = shown.clips.name
    lines = [f"## {shown.title}", ""]
    if left_out := scores[0]["own"]["clips_left_out"]:
        lines += [f"{left_out} clips left out, shorter than a window.", ""]
    for table in paper_tables(scores, list(PAPER_NETWORKS)):
        table.write_csv(out / f"{table.name}_{suffix}.csv")
        lines += [f"### {table.title}", "", table.markdown()]
    usual = shown_scores(scores)
    if not usual:
        return "\n".join(lines)
    pictures = {
        f"figure_7_{suffix}.png": ("Pixels", "pixel_curve"),
        f"figure_9_{suffix}.png": ("Windows", "window_curve"),
    }
    for name, (what, curve) in pictures.items():
        draw_curves(out / name, f"{what}, {shown.title}", usual, curve)
    # Masks of the first seed of each: `scores` come in the order of the seeds.
    first: dict[str, tuple[str, InferenceEngine]] = {}
    for score in usual:
        name = score["variant"]
        first.setdefault(name, engines[name, score["seed"]])
    masks = f"figure_8_{suffix}.png"
    draw_masks(out / masks, f"Masks over time, {shown.title}", list(first.values()), *window)
    lines += [f"![{what}]({name})" for name, (what, _) in pictures.items()]
    lines += [f"![Masks over time]({masks})", ""]
    return "\n".join(lines)


def _head(scores: dict[str, list[Score]]) -> str:
    """What README.md begins with: with what the figures were made."""
    every = [score for of_set in scores.values() for score in of_set]
    made = [score["made_with"] for score in every]
    commits = sorted({item["commit"] for item in made})
    engines = sorted(
        {"{backend} in {precision} on {device}".format(**score["engine"]) for score in every}
    )
    views = sorted({score["engine"].get("views", 1) for score in every} - {1})
    engines += [f"the mean of {number} mirrored views of each window" for number in views]
    machines = sorted({_machine(item["machine"]) for item in made})
    versions = sorted(
        {f"{name} {number}" for item in made for name, number in item["versions"].items()}
    )
    lines = [
        "# Results",
        "",
        "Made by `ros2 run weld_inspection study` or `evaluate --out`; each number's own "
        f"provenance is in its file in [{SCORES_FOLDER}/]({SCORES_FOLDER}), that of the times in "
        f"[{TIMINGS}]({TIMINGS}).",
        "",
        f"- Commit {', '.join(commits)}; {', '.join(versions)}.",
        f"- Machine: {'; '.join(machines)}.",
        f"- Network: {', '.join(engines)}.",
    ]
    lines += [f"- {line}" for line in _training_lines(every)]
    return "\n".join([*lines, ""])


def _machine(machine: dict[str, Any]) -> str:
    return f"{machine['processor']}, {machine['cores']} cores, {machine['gpu'] or 'no GPU'}"


def _training_lines(scores: Sequence[Score]) -> list[str]:
    """Tells how the models were trained: a line for all that were trained alike."""
    alike: dict[str, tuple[dict[str, None], set[int]]] = {}
    for score in scores:
        members = [member.get("config", {}) for member in trainings(score["training"])]
        facts = list(dict.fromkeys(map(_numbers_of, members)))
        if mean_of := score["training"].get("mean_of"):
            means = sum("mean_of" in member for member in mean_of)
            inner = "is a mean itself" if means == 1 else "are means themselves"
            facts.insert(
                0, f"the mean of {len(mean_of)}{f', {means} of which {inner}' * (means > 0)}"
            )
        titles, seeds = alike.setdefault("; ".join(facts), ({}, set()))
        titles[score["title"]] = None
        seeds |= {member["seed"] for member in members if "seed" in member}
    return [
        f"Training of {', '.join(titles)}: {facts}; "
        f"seeds {', '.join(map(str, sorted(seeds))) or 'unknown'}."
        for facts, (titles, seeds) in alike.items()
    ]


def _numbers_of(config: dict[str, Any]) -> str:
    """The numbers of a training as text."""
    facts = [f"data {', '.join(config['data'])}"] if config.get("data") else []
    shown = {name: config[name] for name in SHOWN_NUMBERS if config.get(name)}
    shown |= config.get("network_options", {})
    facts += [
        f"{name} {' '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in shown.items()
    ]
    return ", ".join(facts) or "unknown"
