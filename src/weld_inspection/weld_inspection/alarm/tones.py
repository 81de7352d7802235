"""The sounds of the alarm as PCM.

What the sources ask for and what is done:

- ISO 7731: components between 500 Hz and 2500 Hz, enough of them below 1500 Hz for people with
  hearing loss or hearing protection (welders wear it), pulsating rather than steady. Hence
  fundamentals of 640 Hz to 1200 Hz with an octave above each, and pulses at 0.5 Hz to 4 Hz.
- Directive 92/58/EEC, annex VII: a varying pitch tells of a greater danger than a constant one.
  Hence a defect pulses on one pitch and the causes that outrank it alternate between two.
- ISO 8201 keeps the pattern of three pulses and a pause for "leave the building": not used here.

Each cause differs from the others in pitch and in rhythm, so that one of the two is enough.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from weld_inspection.alarm.causes import Cause

SAMPLE_RATE = 48000
"""Samples a second; what sound servers run at, so that nothing is resampled."""

RAMP = 0.005
"""Rise and fall of every pulse, s: long enough not to click, short enough to begin at once."""

OCTAVE_LEVEL = 0.5
"""Level of the octave relative to the fundamental (-6 dB)."""


class Tone(StrEnum):
    """A sound of the alarm."""

    DEFECT = "defect"
    BLIND = "blind"
    FAULT = "fault"
    TEST = "test"


TONE_OF_CAUSE = {Cause.DEFECT: Tone.DEFECT, Cause.BLIND: Tone.BLIND, Cause.FAULT: Tone.FAULT}

PATTERNS: dict[Tone, tuple[tuple[float, float], ...]] = {
    Tone.DEFECT: ((1000.0, 0.2), (0.0, 0.2)),
    Tone.BLIND: ((800.0, 0.25), (640.0, 0.25)),
    Tone.FAULT: ((1200.0, 0.5), (950.0, 0.5), (0.0, 0.5)),
    Tone.TEST: ((700.0, 0.2), (880.0, 0.2), (1050.0, 0.3)),
}
"""One round of each tone: (frequency in Hz, 0 for a pause; duration in s)."""

LOOPED = {Tone.DEFECT: True, Tone.BLIND: True, Tone.FAULT: True, Tone.TEST: False}
"""Whether the round repeats until told otherwise."""


def tone_duration(tone: Tone) -> float:
    """Return how long one round of the tone lasts, s."""
    return sum(duration for _, duration in PATTERNS[tone])


def render_tone(tone: Tone, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Return one round of the tone.

    Args:
        tone: Which one.
        sample_rate: Samples a second.

    Returns:
        float32, shape (samples,), peak at most 1; begins and ends at 0, so it can be repeated.
    """
    return np.concatenate(
        [_pulse(frequency, duration, sample_rate) for frequency, duration in PATTERNS[tone]]
    )


def _pulse(frequency: float, duration: float, sample_rate: int) -> np.ndarray:
    count = round(duration * sample_rate)
    if frequency == 0.0:
        return np.zeros(count, np.float32)
    angle = 2 * np.pi * frequency * np.arange(count) / sample_rate
    wave = (np.sin(angle) + OCTAVE_LEVEL * np.sin(2 * angle)) / (1 + OCTAVE_LEVEL)
    ramp = round(RAMP * sample_rate)
    rise = 0.5 - 0.5 * np.cos(np.pi * np.arange(ramp) / ramp)  # raised cosine
    wave[:ramp] *= rise
    wave[count - ramp :] *= rise[::-1]
    return wave.astype(np.float32)
