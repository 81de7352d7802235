"""An output stream of the sound system, through miniaudio."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Generator

import miniaudio
import numpy as np

from weld_inspection.alarm.tones import SAMPLE_RATE
from weld_inspection.errors import InspectionError

BACKENDS = {
    "pulseaudio": miniaudio.Backend.PULSEAUDIO,  # PipeWire answers here too
    "alsa": miniaudio.Backend.ALSA,
}
"""Sound systems by name, best first. Never miniaudio's null backend: it plays to nobody."""

PERIOD = 0.015
PERIODS = 3
"""Length (s) and number of the stream's periods: at most 60 ms from `play` to the speaker, so that
a tone starts within 100 ms of its report, and three chances to be scheduled on a busy machine."""

STALL = 1.0
START_STALL = 5.0
"""A stream that has asked for no samples for so long (s) is dead; a live one asks each 15 ms. One
just opened may first wait for what the sound server has rendered ahead (2 s of PulseAudio)."""

DUMMY_OUTPUTS = {b"auto_null", b"Dummy Output"}
"""What PulseAudio and PipeWire call the sink they put in place when there is no speaker."""


class SpeakerError(InspectionError):
    """There is no speaker, or not the one asked for."""


class _Device(miniaudio.PlaybackDevice):
    """A playback device that also gives its context back, five file descriptors each."""

    def close(self) -> None:
        super().close()
        context = self.__dict__.pop("_context", None)
        if context is not None:
            miniaudio.lib.ma_context_uninit(context)


class AudioOutput:
    """A stream that is open and playing from construction to `close`."""

    def __init__(
        self, render: Callable[[int], np.ndarray], backend: str, speaker: str = ""
    ) -> None:
        """Open the stream and start it.

        Args:
            render: Called from the sound system's thread with a number of samples; returns that
                many, int16, one channel.
            backend: A key of `BACKENDS`.
            speaker: Part of the output's name; empty is the default output.

        Raises:
            SpeakerError: No such sound system or output, or only a dummy one.
        """
        self._speaker = speaker
        self._backend = backend
        self._requested = 0
        _quiet_alsa()
        try:
            name, device_id = self._find()
            self._device = _Device(
                miniaudio.SampleFormat.SIGNED16,
                nchannels=1,
                sample_rate=SAMPLE_RATE,
                buffersize_msec=round(PERIOD * 1000),
                callback_periods=PERIODS,
                device_id=device_id,
                backends=[BACKENDS[backend]],
                app_name="weld_inspection alarm",
            )
            self._last_request = time.monotonic()
            feed = self._feed(render)
            next(feed)
            self._device.start(feed)
        except miniaudio.MiniaudioError as error:
            raise SpeakerError(f"{backend}: {_explain(error)}") from error
        self.name = f"{backend}: {name}"

    @property
    def flowing(self) -> bool:
        """The stream asks for samples, for more than it took to fill its buffer."""
        return self._filled and not self.stalled

    @property
    def stalled(self) -> bool:
        """The stream has stopped asking for samples."""
        limit = STALL if self._filled else START_STALL
        return time.monotonic() - self._last_request > limit

    @property
    def _filled(self) -> bool:
        return self._requested > 2 * PERIODS * PERIOD * SAMPLE_RATE

    def check(self) -> None:
        """Ask the sound system whether the output is still there.

        Raises:
            SpeakerError: It is not, or the sound server is not.
        """
        try:
            self._find()
        except miniaudio.MiniaudioError as error:
            raise SpeakerError(f"{self._backend}: {_explain(error)}") from error

    def close(self) -> None:
        """Stop and let go of the sound system; may take until a hung sound server lets go."""
        self._device.close()

    def _find(self) -> tuple[str, object | None]:
        """Return name and id (None: the default) of the output; raises SpeakerError."""
        if self._backend == "alsa" and not self._speaker:
            return "default output", None  # opening it tells; a listing probes every plug-in
        outputs = miniaudio.Devices([BACKENDS[self._backend]]).get_playbacks()
        real = [o for o in outputs if not _is_dummy(o)]
        if not real:
            raise SpeakerError(f"{self._backend}: the sound server has no speaker")
        if not self._speaker:
            only = f" ({real[0]['name']})" if len(real) == 1 else ""
            return f"default output{only}", None
        for output in real:
            if self._speaker in output["name"]:
                return output["name"], output["id"]
        names = ", ".join(o["name"] for o in real)
        raise SpeakerError(f"{self._backend}: no output is named '{self._speaker}'; has: {names}")

    def _feed(self, render: Callable[[int], np.ndarray]) -> Generator[bytes, int, None]:
        count = yield b""
        while True:
            self._last_request = time.monotonic()
            self._requested += count
            count = yield render(count).tobytes()


def open_output(
    render: Callable[[int], np.ndarray], backend: str = "auto", speaker: str = ""
) -> AudioOutput:
    """Open the first sound system that has the speaker.

    Args:
        render: As for `AudioOutput`.
        backend: A key of `BACKENDS`, or "auto" for each in turn.
        speaker: Part of the output's name; empty is the default output.

    Returns:
        The open stream.

    Raises:
        SpeakerError: None has it; names what each said.
    """
    refusals = []
    for name in BACKENDS if backend == "auto" else (backend,):
        try:
            return AudioOutput(render, name, speaker)
        except SpeakerError as error:
            refusals.append(str(error))
    raise SpeakerError("; ".join(refusals))


def _is_dummy(output: dict) -> bool:
    identity = bytes(miniaudio.ffi.buffer(output["id"])).split(b"\0")[0]
    return identity in DUMMY_OUTPUTS or output["name"].encode() in DUMMY_OUTPUTS


def _explain(error: miniaudio.MiniaudioError) -> str:
    """Return words for the codes met when a speaker is missing (miniaudio's ma_result)."""
    words = {
        -203: "its library is not installed or no sound server answers",
        -400: "it has no sound device",
        -401: "it has no sound device that can be opened",
    }
    code = error.args[-1]
    return words.get(code, " ".join(str(a) for a in error.args))


_ALSA_HANDLER = ctypes.CFUNCTYPE(
    None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p
)
_ignore_alsa = _ALSA_HANDLER(lambda *_: None)


def _quiet_alsa() -> None:
    """Keep ALSA from writing a page to stderr for a missing card, which is told in one line."""
    try:
        ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(_ignore_alsa)
    except OSError:
        return  # no ALSA on this machine, then nothing of it writes either
