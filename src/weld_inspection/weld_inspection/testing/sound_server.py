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
from collections.abc import Callable
from pathlib import Path

import numpy as np

RATE = 48000
SINK = "weld"
CHUNK = 480  # samples read at a time: 10 ms


class Ear:
    """Records what the speaker of a sound server plays.

    `since(t)` returns samples with their time on `time.monotonic()`. A sample's time is reckoned
    from the chunk that came with the least delay, so it is late by what the recording itself
    takes (a few ms), never early.
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
        self._chunks: list[bytes] = []
        self._origin = float("inf")
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        if not self.wait(lambda: len(self._chunks) > 10, 20):
            raise RuntimeError("parec hears nothing of the sound server, not even silence")

    def _listen(self) -> None:
        count = 0
        while chunk := self._process.stdout.read(2 * CHUNK):
            now = time.monotonic()
            count += len(chunk) // 2
            with self._changed:
                self._chunks.append(chunk)
                self._origin = min(self._origin, now - count / RATE)
                self._changed.notify_all()

    def wait(self, predicate: Callable[[], object], timeout: float) -> bool:
        """Wait up to `timeout` (s), looking at each chunk, until the predicate is true."""
        with self._changed:
            return self._changed.wait_for(predicate, timeout)

    def since(self, moment: float) -> tuple[np.ndarray, np.ndarray]:
        """Return times (s, monotonic) and samples (int16) heard since `moment`."""
        with self._changed:
            samples = np.frombuffer(b"".join(self._chunks), np.int16)
            first = max(0, round((moment - self._origin) * RATE))
            times = self._origin + np.arange(first, len(samples)) / RATE
        return times, samples[first:]

    def onset(self, moment: float, timeout: float = 20.0) -> float | None:
        """Wait for a sound after `moment`; returns when it began, None if none came."""
        found: list[float] = []

        def heard() -> bool:
            times, samples = self.since(moment)
            loud = np.flatnonzero(np.abs(samples) > 200)
            found.extend(times[loud[:1]])
            return bool(len(loud))

        return found[0] if self.wait(heard, timeout) else None

    def hear(self, moment: float, seconds: float, timeout: float = 20.0) -> np.ndarray:
        """Wait until `seconds` of sound since `moment` are there and return them."""
        wanted = round(seconds * RATE)
        if not self.wait(lambda: len(self.since(moment)[1]) >= wanted, timeout):
            raise AssertionError("the recording has stopped")
        return self.since(moment)[1][:wanted]

    def silent(self, moment: float, seconds: float) -> bool:
        """Tell whether nothing is heard in the `seconds` after `moment`."""
        return not np.any(np.abs(self.hear(moment, seconds).astype(int)) > 2)

    def close(self) -> None:
        """End the recording."""
        self._process.terminate()
        self._process.wait()
        self._thread.join(5)


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
        deadline = time.monotonic() + 20
        while self.control("info").returncode:
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError("pulseaudio does not start")
            time.sleep(0.05)

    def control(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Give pactl a command."""
        return subprocess.run(
            ["pactl", *words], env=self.environment, capture_output=True, text=True
        )

    def streams(self) -> int:
        """Return how many streams play."""
        return len(self.control("list", "short", "sink-inputs").stdout.splitlines())

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


def loudest_frequency(samples: np.ndarray) -> float:
    """Return the frequency (Hz) of the strongest component."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * RATE / len(samples))


def frequencies_over_time(samples: np.ndarray, step: float = 0.05) -> list[float]:
    """Return the strongest frequency of each `step` seconds, 0 for silence."""
    size = round(step * RATE)
    parts = [samples[i : i + size] for i in range(0, len(samples) - size + 1, size)]
    return [loudest_frequency(p) if np.abs(p.astype(int)).max() > 200 else 0.0 for p in parts]
