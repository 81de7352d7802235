import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weld_inspection.evaluation.events import WindowFinding, find_events, score_events, visible


@dataclass
class Defect:
    start: float
    end: float


def windows(pattern, position=1.0):
    """One window a character: "x" defective with a region at `position`, "." sound."""
    return [WindowFinding(c == "x", 0.9, (position,) if c == "x" else ()) for c in pattern]


def test_one_sound_window_does_not_end_an_event_and_two_do():
    events = find_events(windows(".xx.x..x"))
    assert [(event.first, event.last) for event in events] == [(1, 4), (7, 7)]


@given(st.text(alphabet="x.", max_size=40))
def test_events_cover_every_defective_window_and_begin_and_end_with_one(pattern):
    events = find_events(windows(pattern))
    covered = {i for event in events for i in range(event.first, event.last + 1)}
    assert {i for i, c in enumerate(pattern) if c == "x"} <= covered
    assert all(pattern[event.first] == "x" == pattern[event.last] for event in events)


def test_found_missed_and_false():
    events = find_events(
        windows("x", 0.105) + windows("...") + windows("x", 0.5) + windows("...") + windows("x", 2)
    )
    planted = [Defect(0.10, 0.12), Defect(0.30, 0.31), Defect(0.505, 0.52)]
    score = score_events(events, planted)
    assert (score.found, score.missed, score.false) == ((0, 2), (1,), (2,))


def test_one_event_can_find_two_defects():
    events = find_events(windows("x", 0.1) + windows("x", 0.15))
    assert score_events(events, [Defect(0.1, 0.11), Defect(0.15, 0.16)]).found == (0, 1)
    assert (events[0].start, events[0].end) == (0.1, 0.15)


def test_an_event_without_a_known_place_finds_nothing():
    events = find_events(windows("x", math.nan))
    assert math.isnan(events[0].start)
    score = score_events(events, [Defect(0, 1)])
    assert (score.found, score.missed, score.false) == ((), (0,), (0,))


def test_an_event_at_an_excused_defect_is_not_false():
    events = find_events(windows("x", 0.1))
    assert score_events(events, [], [Defect(0.1, 0.11)]).false == ()


def test_only_defects_that_come_into_view_whole_are_asked_for():
    defects = [Defect(-0.03, -0.02), Defect(-0.02, 0), Defect(0.5, 0.51), Defect(1.02, 1.03)]
    assert visible(defects, first=0.0, last=1.0, view=0.05) == defects[1:3]


def test_a_found_defect_tells_how_far_off_it_was_reported():
    windows = [WindowFinding(True, 0.9, (0.101, 0.104, 0.300)), WindowFinding(True, 0.9, (0.109,))]
    score = score_events(find_events(windows), [Defect(0.10, 0.11), Defect(0.5, 0.6)])
    assert score.found == (0,) and score.missed == (1,)
    assert score.offsets == pytest.approx((0.001,))  # 0.104 is the middle one, 0.105 the defect's
