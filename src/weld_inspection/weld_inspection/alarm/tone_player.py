"""Mixes what the speaker plays, block by block, without clicks."""

from __future__ import annotations

import time

import numpy as np

from weld_inspection.alarm.tones import LOOPED, RAMP, SAMPLE_RATE, Tone, render_tone


class TonePlayer:
    """Source of the samples of an output stream.

    `play` may be called from any thread; `render` is called by the one thread that feeds the sound
    device, and never blocks, allocates little and does not raise.
    """

    def __init__(self, volume: float = 1.0, sample_rate: int = SAMPLE_RATE) -> None:
        """Render the tones once.

        Args:
            volume: Peak relative to full scale, 0 to 1.
            sample_rate: Samples a second.
        """
        self.volume = volume
        self._rounds = {tone: render_tone(tone, sample_rate) for tone in Tone}
        self._ramp = round(RAMP * sample_rate)
        self._wanted: tuple[Tone | None, float] = (None, 0.0)
        self._playing: Tone | None = None
        self._position = 0
        self.onset_delay: float | None = None
        """From `play` to the first sample handed to the sound device, s, of the last tone."""

    @property
    def wanted(self) -> Tone | None:
        """The tone last asked for."""
        return self._wanted[0]

    def play(self, tone: Tone | None) -> None:
        """Sound this tone from now on, or nothing; a tone that sounds already goes on."""
        if tone != self._wanted[0]:
            self._wanted = (tone, time.monotonic())

    def render(self, count: int) -> np.ndarray:
        """Return the next samples.

        Args:
            count: How many.

        Returns:
            int16, shape (count,).
        """
        wanted, asked = self._wanted
        if wanted is None and self._playing is None:
            return np.zeros(count, np.int16)
        block = np.zeros(count, np.float32)
        if wanted is not self._playing:
            fading = min(count, self._ramp)
            block[:fading] = self._take(fading) * np.linspace(1, 0, fading, dtype=np.float32)
            self._playing, self._position = wanted, 0
            if wanted is not None:
                self.onset_delay = time.monotonic() - asked
        block += self._take(count)
        return (np.clip(block * self.volume, -1, 1) * 32767).astype(np.int16)

    def _take(self, count: int) -> np.ndarray:
        """Return the next samples of the tone that plays, float32 (count,), zeros for none."""
        if self._playing is None:
            return np.zeros(count, np.float32)
        samples = self._rounds[self._playing]
        places = self._position + np.arange(count)
        self._position += count
        if LOOPED[self._playing]:
            return samples[places % len(samples)]
        taken = np.zeros(count, np.float32)
        left = samples[places[0] : places[0] + count] if count else samples[:0]
        taken[: len(left)] = left
        return taken
