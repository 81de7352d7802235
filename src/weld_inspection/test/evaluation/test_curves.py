"""Precision-recall curves against counts made by hand."""

import numpy as np
import pytest

from weld_inspection.evaluation.curves import Curves

T, H, W = 4, 24, 32  # 3072 pixels a window


def windows():
    """Three windows, truth and answers: one found, one missed, one falsely found."""
    truth, answers = np.zeros((3, T, H, W), bool), np.full((3, T, H, W), 0.1, np.float32)
    truth[:2, :, :12] = True  # 1536 pixels each, more than theta
    answers[0, :, :12] = 0.8
    answers[1, :, :6] = 0.6
    answers[2, :, 18:21] = 0.9  # 384 pixels
    return truth, answers


def curve_of(truth, answers):
    curves = Curves()
    curves.add(list(truth.reshape(-1, H, W)), list(answers))
    return curves


def test_pixels_are_those_counted_by_hand():
    truth, answers = windows()
    curve = curve_of(truth, answers).pixels()
    for threshold in (0.05, 0.3, 0.7, 0.85, 0.95):
        at = int(np.argmin(np.abs(np.array(curve.thresholds) - threshold)))
        seen = answers >= threshold
        hits = np.count_nonzero(seen & truth)
        precision = hits / np.count_nonzero(seen) if seen.any() else 0.0
        assert curve.precision[at] == pytest.approx(precision, abs=1e-5)
        assert curve.recall[at] == pytest.approx(hits / np.count_nonzero(truth), abs=1e-5)
    # By the steps of recall: first the false ones, then those of 0.8, of 0.6, of 0.1.
    false, found, half, rest = 384, 1536, 768, 768
    steps = [
        (found, found + false),
        (found + half, found + half + false),
        (2 * found, 3 * T * H * W),
    ]
    area = sum(
        hits / seen * share / (2 * found)
        for (hits, seen), share in zip(steps, (found, half, rest), strict=True)
    )
    assert curve.average_precision == pytest.approx(area, abs=2e-4)
    threshold, best = curve.best_f1()
    assert 0.1 < threshold <= 0.6
    assert best == pytest.approx(2 * (found + half) / (found + half + false + 2 * found), abs=1e-4)


def test_windows_are_swept_over_theta():
    truth, answers = windows()
    curve = curve_of(truth, answers).windows()
    # Shares of seen pixels: 1536, 768 and 384 of 3072; the first two windows are defective.
    assert curve.thresholds == pytest.approx([0.125, 0.25, 0.5], abs=1e-5)
    assert curve.precision == pytest.approx([2 / 3, 1.0, 1.0], abs=1e-5)
    assert curve.recall == pytest.approx([1.0, 1.0, 0.5], abs=1e-5)
    assert curve.average_precision == pytest.approx(1.0)


def test_a_set_without_defects_has_no_area():
    truth, answers = windows()
    curves = curve_of(np.zeros_like(truth), answers)
    assert curves.pixels().average_precision == 0.0
    assert curves.windows().average_precision == 0.0


def test_the_best_threshold_is_one_that_probabilities_can_be_above():
    truth, answers = windows()
    answers[:] = truth  # certain and right: 1 or 0
    threshold, best = curve_of(truth, answers).pixels().best_f1()
    assert best == 1.0 and threshold < 1
