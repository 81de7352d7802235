import time

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from weld_inspection.alarm.tone_player import TonePlayer
from weld_inspection.alarm.tones import SAMPLE_RATE, Tone, render_tone


def play(player, samples, block=480):
    return np.concatenate([player.render(block) for _ in range(samples // block)])


def test_silent_until_told():
    assert not play(TonePlayer(), 4800).any()


def test_tone_begins_in_the_next_block_and_loops():
    player = TonePlayer(volume=1.0)
    player.render(480)
    player.play(Tone.DEFECT)
    heard = play(player, SAMPLE_RATE)
    once = render_tone(Tone.DEFECT)
    wanted = np.tile(once, 3)[:SAMPLE_RATE]
    assert np.abs(heard / 32767 - wanted).max() < 1e-3
    assert player.onset_delay is not None and player.onset_delay >= 0


def test_asking_again_does_not_restart():
    player = TonePlayer()
    player.play(Tone.BLIND)
    first = play(player, 9600)
    player.play(Tone.BLIND)
    assert not np.array_equal(play(player, 9600), first)


def test_delay_counts_from_the_first_asking():
    player = TonePlayer()
    for _ in range(2):
        player.play(Tone.BLIND)
        time.sleep(0.02)
    player.render(480)
    assert player.onset_delay >= 0.04


def test_test_tone_sounds_once():
    player = TonePlayer()
    player.play(Tone.TEST)
    heard = play(player, 2 * SAMPLE_RATE)
    length = len(render_tone(Tone.TEST))
    assert heard[:length].any() and not heard[length + 480 :].any()


def test_volume_scales():
    loud, low = TonePlayer(1.0), TonePlayer(0.25)
    for player in (loud, low):
        player.play(Tone.FAULT)
    assert np.abs(4 * play(low, 4800).astype(int) - play(loud, 4800)).max() <= 4


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([None, *Tone]), st.integers(1, 5000)), max_size=20),
)
def test_no_click_whatever_is_asked_when(changes):
    player = TonePlayer(volume=0.5)
    blocks = [np.zeros(1, np.int16)]
    for tone, count in changes:
        player.play(tone)
        block = player.render(count)
        assert block.dtype == np.int16 and block.shape == (count,)
        blocks.append(block)
        # A block shorter than the ramp shortens the fade: the sound system asks for 480 and more.
        blocks.append(player.render(480))
    jumps = np.abs(np.diff(np.concatenate(blocks).astype(int)))
    assert jumps.max(initial=0) < 0.6 * 32767
    long_enough = all(count >= 480 for _, count in changes)
    if long_enough:
        steepest = 0.5 * 32767 * (2 * np.pi * 2400 / SAMPLE_RATE) * 2  # two tones crossing
        assert jumps.max(initial=0) < steepest
