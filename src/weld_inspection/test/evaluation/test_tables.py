"""Tables of the report, on scores made by hand."""

import pytest

from weld_inspection.evaluation.tables import FRAME_COLUMNS, make_table


def score(**values):
    window = dict.fromkeys(("accuracy", "precision", "recall", "f1"), 0.5)
    return {
        "title": "net",
        "evaluations": [{"window": window}],
        "window_curve": {"precision": [], "average_precision": 0.5},
        "parameters": 10**6,
        "operations": 10**9,
    } | values


def cells(given):
    table = make_table("table_4", "windows", [given], FRAME_COLUMNS)
    return dict(zip(table.head, table.rows[0], strict=True))


def test_the_f1_of_calling_every_window_defective_stands_beside_the_networks():
    # 9 of 10 windows are defective: precision 0.9, recall 1.
    curve = {"precision": [0.9, 0.95, 1.0], "average_precision": 0.99}
    shown = cells(score(window_curve=curve))
    assert shown["windows defective"] == "0.900"
    assert float(shown["F1 if all were called so"]) == pytest.approx(1.8 / 1.9, abs=5e-4)


def test_a_set_without_windows_has_no_share_of_defective_ones():
    shown = cells(score())
    assert shown["windows defective"] == shown["F1 if all were called so"] == ""
