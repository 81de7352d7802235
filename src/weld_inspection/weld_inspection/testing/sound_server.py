"""A sound server with a speaker that nobody hears, and an ear on it.

Needs PulseAudio's programs (Debian: pulseaudio, pulseaudio-utils) and no sound card.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

RATE = 48000
SINK = "weld"
CHUNK = 480  # samples read at a time: 10 ms
QUIET = 50  # of 32767; a tone is some thousands
PATIENCE = 30.0  # s; a hang, not slowness


class Ear:
    """Records what the speaker of a sound server plays.

    Times are those of `time.monotonic()` at which a chunk of 10 ms had arrived here: never early,
    late by the chunk and what the recording takes.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        """Start to record.

        Args:
            environment: That of the sound server's clients.

        Raises:
            RuntimeError: The server sends nothing.
        """
        self._process = subprocess.Popen(
            [
                *("parec", "-d", f"{SINK}.monitor", "--format=s16le", "--latency-msec=5"),
                *(f"--rate={RATE}", "--channels=1"),
            ],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._chunks: list[tuple[float, np.ndarray]] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        if not self._wait(lambda: len(self._chunks) > 10):
            raise RuntimeError("parec hears nothing of the sound server, not even silence")

    def onset(self, moment: float) -> float | None:
        """Wait for a sound after `moment` (s); returns when it was heard, None if none came."""

        def loud() -> list[float]:
            return [t for t, chunk in self._since(moment) if np.abs(chunk).max() > QUIET]

        return loud()[0] if self._wait(loud) else None

    def hear(self, moment: float, seconds: float) -> np.ndarray:
        """Wait until `seconds` of sound heard since `moment` (s) are there and return them.

        Returns:
            int16, shape (samples,).

        Raises:
            AssertionError: The recording has stopped.
        """
        count = round(seconds * RATE / CHUNK)
        assert self._wait(lambda: len(self._since(moment)) >= count), "nothing is recorded"
        return np.concatenate([chunk for _, chunk in self._since(moment)[:count]])

    def is_silent(self, moment: float, seconds: float) -> bool:
        """Tell whether nothing is heard in the `seconds` from `moment` (s) on."""
        return np.abs(self.hear(moment, seconds)).max() <= QUIET

    def wait_for_silence(self, seconds: float) -> bool:
        """Wait until nothing has been heard for so long; false if that does not come."""
        count = round(seconds * RATE / CHUNK)
        return self._wait(
            lambda: all(np.abs(chunk).max() <= QUIET for _, chunk in self._chunks[-count:])
        )

    def chunks(self) -> list[tuple[float, np.ndarray]]:
        """Return all that was heard: times (s) and int16 chunks, oldest first."""
        return list(self._chunks)

    def close(self) -> None:
        """End the recording."""
        self._process.terminate()
        self._process.wait()
        self._thread.join()

    def _since(self, moment: float) -> list[tuple[float, np.ndarray]]:
        return [(t, chunk) for t, chunk in self._chunks if t > moment]

    def _wait(self, predicate: Callable[[], object]) -> bool:
        """Wait, looking at each chunk, until the predicate is true."""
        with self._changed:
            return bool(self._changed.wait_for(predicate, PATIENCE))

    def _listen(self) -> None:
        while chunk := self._process.stdout.read(2 * CHUNK):
            with self._changed:
                self._chunks.append((time.monotonic(), np.frombuffer(chunk, np.int16)))
                self._changed.notify_all()


class SoundServer:
    """A PulseAudio of the test's own with one null sink."""

    def __init__(self) -> None:
        """Make a place for it; `start` starts it."""
        self.folder = Path(tempfile.mkdtemp(prefix="sound"))
        self.environment = os.environ | {
            "XDG_RUNTIME_DIR": str(self.folder),
            "PULSE_RUNTIME_PATH": str(self.folder / "pulse"),
            "PULSE_STATE_PATH": str(self.folder / "state"),
            "PULSE_SERVER": f"unix:{self.folder}/pulse/native",
            "PULSE_COOKIE": str(self.folder / "cookie"),
        }
        self._process: subprocess.Popen | None = None
        self._ears: list[Ear] = []

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._process = subprocess.Popen(
            [
                *("pulseaudio", "--daemonize=no", "--exit-idle-time=-1", "-n"),
                *("--realtime=no", "--high-priority=no", "--use-pid-file=no"),
                "--load=module-native-protocol-unix auth-anonymous=1",
                f"--load=module-null-sink sink_name={SINK} rate={RATE}",
            ],
            env=self.environment,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + PATIENCE
        while self.control("info").returncode:
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError("pulseaudio does not start")
            time.sleep(0.05)

    def control(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Give pactl a command."""
        return subprocess.run(
            ["pactl", *words], env=self.environment, capture_output=True, text=True
        )

    def listen(self) -> Ear:
        """Put an ear on the speaker, from now on."""
        ear = Ear(self.environment)
        self._ears.append(ear)
        return ear

    def freeze(self) -> None:
        """Stop the server without ending it: its clients wait for it."""
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """End the server at once, as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """End the server, frozen or not, and all that listens."""
        for ear in self._ears:
            ear.close()
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def power_share(samples: np.ndarray, frequencies: Iterable[float], width: float = 20.0) -> float:
    """Return how much of a sound lies near some frequencies.

    Args:
        samples: int16, shape (samples,).
        frequencies: Hz.
        width: How far from one of them still counts, Hz.

    Returns:
        Part of the sound's power, 0 to 1.
    """
    power = np.abs(np.fft.rfft(samples.astype(float))) ** 2
    bins = np.fft.rfftfreq(len(samples), 1 / RATE)
    near = np.any([np.abs(bins - f) <= width for f in frequencies], axis=0)
    return float(power[near].sum() / power.sum())
