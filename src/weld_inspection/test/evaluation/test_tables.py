"""Tables of the report, on scores made by hand."""

import pytest

from weld_inspection.evaluation.tables import FRAME_COLUMNS, make_table, paper_tables


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


def evaluation(first):
    """Every number of it is another one."""
    metrics = ("accuracy", "precision", "recall", "f05", "f1", "f2")
    return {
        "pixel": {name: first + number / 1000 for number, name in enumerate(metrics)},
        "window": {name: first + number / 100 for number, name in enumerate(metrics)},
        "threshold": first,
        "planted": 70,
        "found": round(100 * first),
        "false_events": 3,
        "minutes": 2.0,
        "offset_mm": 10 * first,
        "kinds": {"spatter": {"recall": first}},
        "obstructions": {"a flash": {"frames": 40, "f1": first}},
    }


def whole_score(own, **values):
    values = {"options": {}, "imbalance": None} | values
    return score(
        network="unet",
        evaluations=[evaluation(0.5), evaluation(0.62)],
        own=evaluation(own),
        pixel_curve={"average_precision": 0.77},
        window_curve={"precision": [0.9, 1.0], "average_precision": 0.88},
        **values,
    )


def report(own, **values):
    tables = paper_tables([whole_score(own, **values)], ["unet"])
    return {table.name: dict(zip(table.head, table.rows[0], strict=True)) for table in tables}


def test_each_column_shows_its_own_number():
    shown = report(own=0.5)
    assert shown["table_1"] == {
        "network": "net",
        "accuracy": "0.500",
        "precision": "0.501",
        "recall": "0.502",
        "F1": "0.504",
        "average precision": "0.770",
        "tuned threshold": "0.620",
        "F1 there": "0.624",
    }
    assert shown["table_2"] == {"network": "net", "F0.5": "0.503", "F1": "0.504", "F2": "0.505"}
    frames = shown["table_4"]
    names = ("accuracy", "precision", "recall", "F1", "average precision")
    assert [frames[name] for name in names] == ["0.500", "0.510", "0.520", "0.540", "0.880"]
    assert frames["F1 at the tuned threshold"] == "0.660"
    assert frames["million parameters"] == "1.00" and frames["GFLOP a window"] == "1"
    assert shown["table_events"] == {
        "network": "net",
        "threshold": "0.620",
        "planted": "70",
        "found": "62",
        "false a minute": "1.50",
        "mm off along the seam": "6.2",
    }
    assert shown["table_kinds"] == {"network": "net", "spatter": "0.50"}
    assert shown["table_obstructions"] == {"network": "net", "a flash (40 frames)": "0.620"}


def test_another_reading_has_a_table_of_its_own_and_another_network_stands_beside_the_others():
    assert report(0.5, options={"skip": True}) == report(0.5)
    assert set(report(0.5, options={"skip": True}, imbalance=3.0)) == {"table_3"}
    usual = whole_score(0.5)
    for options in ({"peephole": "none"}, {"peephole": "none", "skip": True}):
        other = whole_score(0.5, options=options, title="other")
        tables = {table.name: table for table in paper_tables([usual, other], ["unet"])}
        assert [row[0] for row in tables["table_1"].rows] == ["net"]
        assert [row[0] for row in tables["table_readings"].rows] == ["net", "other"]


def test_where_all_read_the_equations_otherwise_they_are_the_rows():
    assert report(0.5, options={"peephole": "none"}) == report(0.5)


def test_a_threshold_of_the_model_s_own_is_shown_with_what_it_comes_to():
    shown = report(own=0.35)
    names = ("own threshold", "precision at own", "recall at own", "F1 at own")
    assert [shown["table_1"][name] for name in names] == ["0.350", "0.351", "0.352", "0.354"]
    assert shown["table_4"]["F1 at the model's own threshold"] == "0.390"
    assert shown["table_events"]["found at own"] == "35"
    assert shown["table_events"]["false a minute at own"] == "1.50"
