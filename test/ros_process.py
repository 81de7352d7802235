"""A real node or launch in a process of its own, for tests."""

import os
import signal
import subprocess
import threading
import time

FAULTS = ("Traceback (most recent call last)", "internal fault", "Segmentation fault")
END_S = 60.0  # for a process that has been asked to end; a hang, whatever the machine's load


class RosProcess:
    """A process, in a group of its own, with all it has printed."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        """Starts it."""
        self.command = command
        self.ended_by_test = False
        self._lines: list[str] = []
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id, which is the group's too."""
        return self._process.pid

    @property
    def output(self) -> str:
        """What it has printed so far, errors too."""
        return "".join(self._lines)

    @property
    def returncode(self) -> int | None:
        """Exit status, None while it runs; negative: the signal that ended it."""
        return self._process.poll()

    def wait(self, timeout: float = END_S) -> int:
        """Waits for its end; returns the exit status, or fails with what it has printed."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self} does not end:\n{self.output}") from None
        self._reader.join(timeout)
        return self._process.returncode

    def signal(self, number: int) -> None:
        """Sends a signal to the process and those it has started."""
        self.ended_by_test = True
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass  # it has ended already

    def interrupt(self, timeout: float = END_S) -> int:
        """Ends it as Ctrl-C does; returns the exit status."""
        self.signal(signal.SIGINT)
        return self.wait(timeout)

    def end(self) -> list[str]:
        """Ends it and whatever is left of its group; returns what was wrong with it."""
        wrong = []
        if self.returncode is None:
            try:
                status = self.interrupt()
                if status != 0:
                    wrong.append(f"{self} ended with status {status} after SIGINT")
            except AssertionError:
                wrong.append(f"{self} does not end on SIGINT")
        if self._group_is_alive():
            os.killpg(self.pid, signal.SIGKILL)
            wrong.append(f"{self} left processes behind")
        self._reader.join(END_S)
        wrong += [f"{self} printed '{fault}'" for fault in FAULTS if fault in self.output]
        return wrong

    def __str__(self) -> str:
        """Its command, shortened."""
        return " ".join(os.path.basename(word) for word in self.command[:4])

    def _group_is_alive(self) -> bool:
        deadline = time.monotonic() + END_S
        while time.monotonic() < deadline:
            try:
                os.killpg(self.pid, 0)
            except ProcessLookupError:
                return False
            if self.returncode is None:
                return True
            time.sleep(0.05)
        return True

    def _read(self) -> None:
        for line in self._process.stdout:
            self._lines.append(line)
