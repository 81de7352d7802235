"""The paper's tables, from scores of models."""

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from weld_inspection.evaluation.curves import DECISION_THRESHOLD
from weld_inspection.evaluation.variants import is_other_reading

Score = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """A number of a row.

    Attributes:
        title: At the column's head.
        value: Takes it from a score; None where there is none.
        digits: After the decimal point.
    """

    title: str
    value: Callable[[Score], float | None]
    digits: int = 3


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text.

    Attributes:
        name: Of its files.
        title: What it shows.
        head: Titles of the columns.
        rows: One a network.
    """

    name: str
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Returns it as Markdown."""
        lines = [self.head, tuple(["---", *["---:"] * (len(self.head) - 1)]), *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"

    def write_csv(self, path: Path) -> None:
        """Writes it as CSV."""
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([self.head, *self.rows])


def make_table(name: str, title: str, scores: Sequence[Score], columns: Sequence[Column]) -> Table:
    """Makes a table with a row for each variant, in the order in which they come.

    Args:
        name: Of the table's files.
        title: What it shows.
        scores: Of one set; those of a variant with several seeds become mean and spread (standard
            deviation).
        columns: What is shown.
    """
    grouped: dict[str, list[Score]] = {}
    for score in scores:
        grouped.setdefault(score["title"], []).append(score)
    rows = [
        (row, *(_cell([column.value(item) for item in group], column.digits) for column in columns))
        for row, group in grouped.items()
    ]
    return Table(name, title, ("network", *(column.title for column in columns)), tuple(rows))


def _cell(values: Iterable[float | None], digits: int) -> str:
    known = [value for value in values if value is not None]
    return mean_and_spread(known, digits) if known else ""


def mean_and_spread(values: Sequence[float], digits: int) -> str:
    """Returns the mean of one value or more and, where they differ, their standard deviation."""
    text = f"{mean(values):.{digits}f}"
    return f"{text} ± {stdev(values):.{digits}f}" if len(set(values)) > 1 else text


def _metric(level: str, name: str, which: int = 0) -> Callable[[Score], float | None]:
    """A metric of the evaluation at the paper's threshold (0) or at the tuned one (1)."""

    def value(score: Score) -> float | None:
        evaluations = score["evaluations"]
        return evaluations[which][level][name] if which < len(evaluations) else None

    return value


def _last(name: str) -> Callable[[Score], float | None]:
    """Of the evaluation at the tuned threshold, or at the paper's where none was tuned."""
    return lambda score: score["evaluations"][-1][name]


def _tuned_threshold(score: Score) -> float | None:
    return score["evaluations"][1]["threshold"] if len(score["evaluations"]) > 1 else None


def _false_a_minute(evaluation: dict[str, Any]) -> float:
    return evaluation["false_events"] / evaluation["minutes"]


def _own(level: str, name: str) -> Callable[[Score], float | None]:
    """A metric at the model's own threshold."""
    return lambda score: score["own"][level][name]


def _share_defective(score: Score) -> float | None:
    """Of the windows: the precision at the curve's lowest threshold, where all are marked."""
    return next(iter(score["window_curve"]["precision"]), None)


def _f1_of_all(score: Score) -> float | None:
    """F1 over windows if all were called defective."""
    share = _share_defective(score)
    return None if share is None else 2 * share / (1 + share)


PIXEL_COLUMNS = (
    Column("accuracy", _metric("pixel", "accuracy")),
    Column("precision", _metric("pixel", "precision")),
    Column("recall", _metric("pixel", "recall")),
    Column("F1", _metric("pixel", "f1")),
    Column("average precision", lambda score: score["pixel_curve"]["average_precision"]),
    Column("tuned threshold", _tuned_threshold),
    Column("F1 there", _metric("pixel", "f1", 1)),
)
F_BETA_COLUMNS = (
    Column("F0.5", _metric("pixel", "f05")),
    Column("F1", _metric("pixel", "f1")),
    Column("F2", _metric("pixel", "f2")),
)
# Where a model's file has another threshold than the paper's: what the detector comes to with it.
OWN_PIXEL_COLUMNS = (
    Column("own threshold", lambda score: score["own"]["threshold"]),
    Column("precision at own", _own("pixel", "precision")),
    Column("recall at own", _own("pixel", "recall")),
    Column("F1 at own", _own("pixel", "f1")),
)
OWN_FRAME_COLUMNS = (Column("F1 at the model's own threshold", _own("window", "f1")),)
OWN_EVENT_COLUMNS = (
    Column("own threshold", lambda score: score["own"]["threshold"]),
    Column("found at own", lambda score: score["own"]["found"], 0),
    Column("false a minute at own", lambda score: _false_a_minute(score["own"]), 2),
)
FRAME_COLUMNS = (
    Column("accuracy", _metric("window", "accuracy")),
    Column("precision", _metric("window", "precision")),
    Column("recall", _metric("window", "recall")),
    Column("F1", _metric("window", "f1")),
    Column("average precision", lambda score: score["window_curve"]["average_precision"]),
    Column("F1 at the tuned threshold", _metric("window", "f1", 1)),
    Column("windows defective", _share_defective),
    Column("F1 if all were called so", _f1_of_all),
    Column("ms a window", lambda score: score.get("milliseconds"), 0),
    Column("million parameters", lambda score: score["parameters"] / 1e6, 2),
    Column("GFLOP a window", lambda score: score["operations"] / 1e9, 0),
)
EVENT_COLUMNS = (
    Column("threshold", _last("threshold")),
    Column("planted", _last("planted"), 0),
    Column("found", _last("found"), 0),
    Column("false a minute", lambda score: _false_a_minute(score["evaluations"][-1]), 2),
    Column("mm off along the seam", _last("offset_mm"), 1),
)


def _kind_columns(scores: Iterable[Score]) -> list[Column]:
    """A column for each kind of defect: the share of its pixels that is found."""
    names = dict.fromkeys(name for score in scores for name in _kinds(score))
    return [Column(name, partial(_recall_of, name), 2) for name in names]


def _kinds(score: Score) -> dict[str, dict[str, float | None]]:
    """By name, at the paper's threshold; none in scores of an earlier version."""
    return score["evaluations"][0].get("kinds", {})


def _recall_of(name: str, score: Score) -> float | None:
    return _kinds(score).get(name, {}).get("recall")


def _obstruction_columns(scores: Iterable[Score]) -> list[Column]:
    """A column for what is in the way in some frames: the F1 of those frames' pixels."""
    frames = {
        name: item["frames"] for score in scores for name, item in _obstructions(score).items()
    }
    return [
        Column(f"{name} ({number} frames)", partial(_f1_behind, name))
        for name, number in frames.items()
    ]


def _obstructions(score: Score) -> dict[str, dict[str, float | None]]:
    """By name, at the tuned threshold, at the paper's where none was tuned."""
    return score["evaluations"][-1].get("obstructions", {})


def _f1_behind(name: str, score: Score) -> float | None:
    return _obstructions(score).get(name, {}).get("f1")


def shown_scores(scores: Sequence[Score]) -> list[Score]:
    """Returns those of networks that learned by all pixels, their equations read as usual.

    Where all read them otherwise, these.
    """
    by_all_pixels = [score for score in scores if not score["imbalance"]]
    usual = [score for score in by_all_pixels if not is_other_reading(score["options"])]
    return usual or by_all_pixels


def paper_tables(scores: Sequence[Score], names: Sequence[str]) -> list[Table]:
    """Makes Tables 1 to 4 of the paper and four of our own, for one set.

    Args:
        scores: Of that set, every variant and seed, in the order of the rows.
        names: Of the paper's networks; what else there is goes into tables of its own.
    """
    usual = shown_scores(scores)
    shown = [item for item in usual if item["network"] in names] + [
        item for item in usual if item["network"] not in names
    ]
    imbalanced = sorted(
        (item for item in scores if item["imbalance"]), key=lambda item: item["imbalance"]
    )
    other = [item for item in scores if item not in usual and not item["imbalance"]]
    base = {item["network"] for item in other}
    other = [item for item in usual if item["network"] in base] + other
    judged = (each for item in shown for each in (item["evaluations"][-1], item["own"]))
    on_welds = any(each["planted"] or each["false_events"] for each in judged)
    kinds, obstructions = _kind_columns(shown), _obstruction_columns(shown)
    own = any(item["own"]["threshold"] != DECISION_THRESHOLD for item in shown)
    imbalance_title = "Table 3: pixels, by the sound pixels to a defect one in training"
    tables = [
        make_table(
            "table_1",
            "Table 1: pixels, threshold 0.5",
            shown,
            PIXEL_COLUMNS + OWN_PIXEL_COLUMNS * own,
        ),
        make_table("table_2", "Table 2: F_beta over pixels, threshold 0.5", shown, F_BETA_COLUMNS),
        make_table("table_3", imbalance_title, imbalanced, PIXEL_COLUMNS),
        make_table(
            "table_4",
            "Table 4: windows, eq. (9)",
            shown,
            FRAME_COLUMNS + OWN_FRAME_COLUMNS * own,
        ),
        make_table(
            "table_events",
            "Planted defects, found by their events",
            shown if on_welds else (),
            EVENT_COLUMNS + OWN_EVENT_COLUMNS * own,
        ),
        make_table(
            "table_kinds",
            "Share of a kind of defect's pixels that is found, threshold 0.5",
            shown if kinds else (),
            kinds,
        ),
        make_table(
            "table_obstructions",
            "F1 over pixels by what is in the way in a frame, at the tuned threshold, or 0.5",
            shown if obstructions else (),
            obstructions,
        ),
        make_table("table_readings", "Other readings of the equations", other, PIXEL_COLUMNS),
    ]
    return [table for table in tables if table.rows]
