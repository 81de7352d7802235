import itertools

import numpy as np
import pytest

from weld_inspection.alarm.causes import Cause
from weld_inspection.alarm.tones import (
    LOOPED,
    PATTERNS,
    SAMPLE_RATE,
    TONE_OF_CAUSE,
    Tone,
    render_tone,
    tone_duration,
)


def loudest_frequency(samples, rate=SAMPLE_RATE):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return np.argmax(spectrum) * rate / len(samples)


@pytest.mark.parametrize("tone", Tone)
def test_pattern_sounds_as_written(tone):
    samples, start = render_tone(tone), 0
    assert len(samples) == round(tone_duration(tone) * SAMPLE_RATE)
    assert samples.dtype == np.float32 and np.abs(samples).max() <= 1.0
    for frequency, duration in PATTERNS[tone]:
        part = samples[start : start + round(duration * SAMPLE_RATE)]
        start += len(part)
        if frequency:
            assert loudest_frequency(part) == pytest.approx(frequency, abs=1 / duration)
            assert np.sqrt(np.mean(part**2)) > 0.3
        else:
            assert not part.any()


@pytest.mark.parametrize("tone", Tone)
def test_nothing_clicks(tone):
    samples = render_tone(tone)
    twice = np.concatenate([samples, samples, np.zeros(10)])
    # The steepest a sine of the highest component (the octave) can be from sample to sample.
    steepest = 2 * np.pi * 2 * 1200 / SAMPLE_RATE
    edge = SAMPLE_RATE // 2000  # 0.5 ms: half a period of 1 kHz
    assert np.abs(samples[:edge]).max() < 0.1 and np.abs(samples[-edge:]).max() < 0.1
    assert abs(twice[0]) < 1e-6 and np.abs(np.diff(twice)).max() < steepest


def test_frequencies_are_those_of_danger_signals():
    """ISO 7731: components within 500 Hz to 2500 Hz, strong ones below 1500 Hz."""
    for pattern in PATTERNS.values():
        for frequency, _ in pattern:
            assert frequency == 0 or 500 <= frequency <= 1500 and 2 * frequency <= 2500


def test_no_two_tones_share_a_pitch():
    pitches = [{f for f, _ in PATTERNS[tone] if f} for tone in Tone]
    for one, other in itertools.combinations(pitches, 2):
        assert min(abs(a - b) for a in one for b in other) >= 50


def test_every_cause_has_a_looped_tone_of_its_own():
    assert set(TONE_OF_CAUSE) == set(Cause)
    assert len(set(TONE_OF_CAUSE.values())) == len(Cause)
    assert all(LOOPED[tone] for tone in TONE_OF_CAUSE.values()) and not LOOPED[Tone.TEST]
