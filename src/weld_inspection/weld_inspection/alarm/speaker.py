"""The speaker: keeps an output open, notices when it is gone, opens it again."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from weld_inspection.alarm.audio_output import AudioOutput, SpeakerError, open_output
from weld_inspection.alarm.tone_player import TonePlayer
from weld_inspection.alarm.tones import Tone

CHECK_INTERVAL = 2.0
"""Time (s) between questions to the sound system whether the output is still there."""

BACK_OFF = (0.5, 10.0)
"""First and longest wait (s) before a missing speaker is tried again; doubled each time."""

OPENING = "the speaker is being opened"


@dataclass(frozen=True, slots=True)
class SpeakerStatus:
    """How the speaker does.

    Attributes:
        ok: A tone asked for now would be heard, as far as software can know.
        description: Name of the output, or what is wrong.
        starting: Not ok only because it is still being opened.
    """

    ok: bool
    description: str
    starting: bool = False


class Speaker:
    """Plays tones on the machine's speaker without ever making the caller wait.

    The stream stays open and plays silence between tones, so that a tone starts within the
    stream's buffer. All calls into the sound system are made by a thread of this class's own: a
    sound server that hangs stops that thread, not the caller. The tone asked for is kept over a
    loss and sounds again when the speaker is back.
    """

    def __init__(self, backend: str = "auto", speaker: str = "", volume: float = 0.8) -> None:
        """Start looking for the speaker.

        Args:
            backend: "auto", "pulseaudio" or "alsa".
            speaker: Part of the output's name; empty is the default output.
            volume: Peak relative to full scale, 0 to 1.
        """
        self.player = TonePlayer(volume)
        self._backend = backend
        self._wanted_speaker = speaker
        self._output: AudioOutput | None = None
        self._trouble = OPENING
        self.losses = 0
        """How often an open speaker was lost."""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep_open, name="speaker", daemon=True)
        self._thread.start()

    def play(self, tone: Tone | None) -> None:
        """Sound this tone from now on, or nothing; returns at once."""
        self.player.play(tone)

    @property
    def status(self) -> SpeakerStatus:
        """Tell how the speaker does now; true even while the sound system hangs."""
        output = self._output
        if output is None:
            return SpeakerStatus(False, self._trouble, starting=self._trouble == OPENING)
        if output.stalled:
            return SpeakerStatus(False, _stalled(output))
        if not output.flowing:
            return SpeakerStatus(False, f"{output.name} is being started", starting=True)
        return SpeakerStatus(True, output.name)

    def close(self, timeout: float = 1.0) -> None:
        """Stop the sound and let go of the speaker.

        Args:
            timeout: How long to wait for the sound system, s; a hung one is left behind.
        """
        self.player.play(None)
        self._closing.set()
        self._thread.join(timeout)

    def _keep_open(self) -> None:
        wait = BACK_OFF[0]
        while not self._closing.is_set():
            try:
                self._sound_until_lost()
            except _Lost as error:
                self.losses += 1
                self._trouble = f"speaker lost: {error}"
                wait = BACK_OFF[0]
            except SpeakerError as error:
                self._trouble = f"no speaker: {error}"
                wait = min(2 * wait, BACK_OFF[1])
            self._closing.wait(wait)

    def _sound_until_lost(self) -> None:
        """Return when closing; raise _Lost if an output sounded, else SpeakerError."""
        output = open_output(self.player.render, self._backend, self._wanted_speaker)
        self._output = output
        flowed = False
        next_check = time.monotonic() + CHECK_INTERVAL
        try:
            while not self._closing.wait(0.1):
                flowed = flowed or output.flowing
                if output.stalled:
                    raise SpeakerError(_stalled(output))
                if time.monotonic() >= next_check:
                    output.check()
                    next_check = time.monotonic() + CHECK_INTERVAL
        except SpeakerError as error:
            self._trouble = str(error)
            if flowed:
                raise _Lost(str(error)) from error
            raise
        finally:
            self._output = None
            output.close()  # may hang with the sound system: all is said by now


class _Lost(SpeakerError):
    """An output that sounded is gone."""


def _stalled(output: AudioOutput) -> str:
    return f"{output.name} takes no more samples"
