"""The split is by photograph and does not depend on the company a photograph is in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weld_inspection.training.clips import ClipError
from weld_inspection.training.photo_split import split_names

NAMES = [f"{number}.jpg" for number in range(1, 401)]


def test_sides_are_disjoint_and_complete():
    train, held_aside = split_names(NAMES, 0.2)
    assert not set(train) & set(held_aside)
    assert sorted(train + held_aside) == sorted(NAMES)
    assert 0.14 < len(held_aside) / len(NAMES) < 0.26


@given(st.sets(st.sampled_from(NAMES), min_size=60), st.randoms())
def test_a_photograph_keeps_its_side(names, random):
    shuffled = list(names)
    random.shuffle(shuffled)
    _, held_aside = split_names(shuffled, 0.2)
    assert held_aside == sorted(set(split_names(NAMES, 0.2)[1]) & names)


def test_folder_and_ending_do_not_matter():
    _, held_aside = split_names(NAMES, 0.2)
    _, masks = split_names([f"masks/{name[:-4]}.png" for name in NAMES], 0.2)
    assert [name[:-4] for name in held_aside] == [name[6:-4] for name in masks]


def test_views_of_one_seam_stay_together():
    for number in range(1, 100):
        names = [f"{number}.jpg", f"{number}b.jpg", *NAMES[200:]]
        for side in split_names(names, 0.3):
            assert (names[0] in side) == (names[1] in side)


def test_a_larger_fraction_holds_more_aside():
    small, large = (set(split_names(NAMES, fraction)[1]) for fraction in (0.1, 0.4))
    assert small < large


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_fraction_out_of_bounds(fraction):
    with pytest.raises(ClipError, match="split"):
        split_names(NAMES, fraction)


@pytest.mark.parametrize("names", [[], ["1.jpg"]])
def test_an_empty_side_is_refused(names):
    with pytest.raises(ClipError, match="empty"):
        split_names(names, 0.5)


def test_nothing_is_held_aside_at_zero():
    assert split_names(NAMES, 0.0) == (sorted(NAMES), [])
