"""The speaker against a real sound server."""

import os
import time

import numpy as np
import pytest

from weld_inspection.alarm.audio_output import SpeakerError, open_output
from weld_inspection.alarm.speaker import Speaker
from weld_inspection.alarm.tones import PATTERNS, Tone
from weld_inspection.testing.sound_server import SoundServer, power_share
from weld_inspection.testing.waiting import wait_for


@pytest.fixture
def server(monkeypatch):
    server = SoundServer()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    yield server
    server.close()


@pytest.fixture(scope="module")
def sounding():
    """A speaker that works, and an ear on it."""
    server = SoundServer()
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        speaker = Speaker(backend="pulseaudio")
        wait_for(lambda: speaker.status.ok)
        yield speaker, server.listen()
        speaker.close()
    server.close()


@pytest.fixture
def speaker():
    made = []

    def make(**how):
        made.append(Speaker(backend="pulseaudio", **how))
        return made[-1]

    yield make
    for one in made:
        one.close()


def pitches(tone):
    return [f for f, _ in PATTERNS[tone] if f]


@pytest.mark.parametrize("tone", Tone)
def test_every_tone_is_heard_as_itself_and_ends(sounding, tone):
    speaker, ear = sounding
    asked = time.monotonic()
    speaker.play(tone)
    onset = ear.onset(asked)
    assert onset is not None
    heard = ear.hear(onset, 1.2)
    own = pitches(tone)
    assert all(power_share(heard, [f]) > 0.1 for f in own)
    assert power_share(heard, [*own, *(2 * f for f in own)]) > 0.8
    for other in set(Tone) - {tone}:
        assert power_share(heard, pitches(other)) < 0.1
    speaker.play(None)
    assert ear.wait_for_silence(0.6)  # longer than the pause of any tone
    assert ear.is_silent(time.monotonic(), 0.3)


def test_no_sound_server_is_said_and_nothing_plays_to_nobody(server, speaker):
    speaker = speaker()
    wait_for(lambda: speaker.status.description.startswith("no speaker"))
    assert not speaker.status.ok
    assert "no sound server answers" in speaker.status.description
    speaker.play(Tone.DEFECT)
    assert speaker.player.onset_delay is None


def test_speaker_that_comes_later_is_found(server, speaker):
    speaker = speaker()
    wait_for(lambda: "no speaker" in speaker.status.description)
    speaker.play(Tone.BLIND)
    server.start()
    wait_for(lambda: speaker.status.ok)
    assert server.listen().onset(time.monotonic()) is not None


def test_server_lost_while_sounding_and_back(server, speaker):
    server.start()
    speaker = speaker()
    wait_for(lambda: speaker.status.ok)
    speaker.play(Tone.DEFECT)
    assert server.listen().onset(time.monotonic()) is not None
    server.kill()
    wait_for(lambda: not speaker.status.ok)
    wait_for(lambda: speaker.losses == 1)
    server.start()
    wait_for(lambda: speaker.status.ok)
    assert server.listen().onset(time.monotonic()) is not None


def test_frozen_server_does_not_freeze_the_caller(server, speaker):
    server.start()
    speaker = speaker()
    wait_for(lambda: speaker.status.ok)
    server.freeze()
    wait_for(lambda: not speaker.status.ok)
    began = time.monotonic()
    speaker.play(Tone.FAULT)
    speaker.close(timeout=0.5)
    assert time.monotonic() - began < 5.0  # it would be for ever


def test_sink_taken_away(server, speaker):
    server.start()
    speaker = speaker()
    wait_for(lambda: speaker.status.ok)
    assert server.control("unload-module", "module-null-sink").returncode == 0
    wait_for(lambda: not speaker.status.ok)
    server.control("load-module", "module-null-sink", "sink_name=weld")
    wait_for(lambda: speaker.status.ok)


def test_dummy_output_is_no_speaker(server, speaker):
    server.start()
    server.control("unload-module", "module-null-sink")
    assert server.control("load-module", "module-always-sink").returncode == 0
    speaker = speaker()
    wait_for(lambda: "no speaker" in speaker.status.description)
    assert "pulseaudio: the sound server has no speaker" in speaker.status.description


def test_speaker_by_name(server, speaker):
    server.start()
    server.control(
        "load-module",
        "module-null-sink",
        "sink_name=horn",
        "sink_properties=device.description=Horn",
    )
    wanted = speaker(speaker="Horn")
    wait_for(lambda: wanted.status.ok)
    assert wanted.status.description == "pulseaudio: Horn"
    with pytest.raises(SpeakerError, match="no output is named 'Siren'.*Horn"):
        open_output(wanted.player.render, "pulseaudio", "Siren")


def test_reopening_leaks_no_files(server):
    server.start()

    def open_and_close():
        output = open_output(lambda count: np.zeros(count, np.int16), "pulseaudio")
        output.close()

    open_and_close()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        open_and_close()
    server.kill()
    for _ in range(5):
        with pytest.raises(SpeakerError):
            open_and_close()
    assert len(os.listdir("/proc/self/fd")) <= before + 1
