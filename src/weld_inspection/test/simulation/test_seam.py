import numpy as np
import pytest

from weld_inspection.simulation.lattice import Lattice
from weld_inspection.simulation.lighting import light
from weld_inspection.simulation.look import STEELS, draw_look
from weld_inspection.simulation.marks import marks
from weld_inspection.simulation.patch import Patch, at_least, closed
from weld_inspection.simulation.seam import Seam
from weld_inspection.simulation.surface import METRES_PER_PIXEL, STRIP_HEIGHT


@pytest.mark.parametrize("scales", [(1, 1), (7, 3), (160, 1), (640, 320)])
def test_windows_of_the_noise_agree_where_they_overlap(scales):
    lattice = Lattice(3)
    left = lattice.field(4, -300, 700, 200, *scales)
    right = lattice.field(4, 100, 700, 200, *scales)
    assert left.dtype == np.float32
    np.testing.assert_allclose(left[:, 400:], right[:, :300], atol=1e-5)
    assert not np.allclose(left, lattice.field(5, -300, 700, 200, *scales))


def test_line_noise_is_smooth_and_the_same_from_anywhere():
    lattice = Lattice(3)
    whole = lattice.line(1, np.arange(-500, 500), 40)
    np.testing.assert_allclose(whole[700:720], lattice.line(1, np.arange(200, 220), 40), atol=1e-6)
    assert 0.3 < whole.std() < 1.5 and np.abs(np.diff(whole)).max() < 0.3


def test_looks_cover_the_range_of_welds():
    looks = [draw_look(seed) for seed in range(60)]
    assert {look.steel for look in looks} == set(STEELS)
    widths = np.array([2 * look.half_width * METRES_PER_PIXEL for look in looks])
    assert widths.min() >= 0.005 and widths.max() <= 0.011 and np.ptp(widths) > 0.004
    pitches = np.array([look.pitch * METRES_PER_PIXEL for look in looks])
    assert pitches.min() >= 0.0008 and pitches.max() <= 0.0025


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_bead_stands_out_of_the_plate(seed):
    seam = Seam(draw_look(seed), seed)
    surface = seam.surface(0, 600)
    bead = seam.bead_line(np.arange(600))
    y = np.arange(STRIP_HEIGHT)[:, None]
    middle = np.abs(y - bead.centre) < 0.5 * bead.half
    plate = (y < bead.upper - 30) | (y > bead.lower + 30)
    beside = plate & (y > bead.upper - 70) & (y < bead.lower + 70)
    rise = surface.height[middle].mean() - surface.height[beside].mean()
    assert 0.5 * bead.rise.mean() < rise < 1.5 * bead.rise.mean()
    assert not surface.mask.any()
    image = light(surface, seam.look)
    assert image.shape == (STRIP_HEIGHT, 600, 3) and image.dtype == np.uint8
    # The comb of ripples: the bead's middle is livelier along the seam than the plate is.
    steps = np.abs(np.diff(image.astype(int).sum(axis=2), axis=1))
    assert steps[middle[:, 1:]].mean() > 1.3 * steps[plate[:, 1:]].mean()


def test_ripples_repeat_at_about_their_pitch():
    seed = next(s for s in range(50) if draw_look(s).ragged < 0.08 and draw_look(s).lumps < 1)
    seam = Seam(draw_look(seed), seed)
    bead = seam.bead_line(np.arange(4000))
    surface = seam.surface(0, 4000)
    rows = np.rint(bead.centre).astype(int)
    crown = surface.height[rows, np.arange(4000)]
    window = int(1.5 * seam.look.pitch)
    crown = np.convolve(crown, np.ones(5) / 5, "same") - np.convolve(
        crown, np.ones(window) / window, "same"
    )
    risen = np.count_nonzero((crown[200:3799] < 0) & (crown[201:3800] >= 0))
    assert 0.6 < 3600 / risen / seam.look.pitch < 1.5


def test_marks_are_no_defects_and_agree_between_windows():
    seam = Seam(draw_look(7), 7)
    patches = list(marks(seam, 7, 0, 6000))
    assert len(patches) > 10
    assert not any(patch.mask.any() for patch in patches)
    whole = {(patch.x0, patch.y0, patch.mask.shape) for patch in patches if 900 < patch.x0 < 1400}
    part = {(patch.x0, patch.y0, patch.mask.shape) for patch in marks(seam, 7, 900, 500)}
    assert whole and whole <= part


def test_a_patch_covers_colour_and_keeps_the_rest():
    seam = Seam(draw_look(1), 1)
    surface = seam.surface(100, 80)
    before = surface.colour.copy()
    patch = Patch(90, 10, 130, 40)
    part = patch.part(110, 20, 5)
    part.put(np.ones(part.mask.shape), (0.2, 0.4, 0.6))
    part.mask[:] = 255
    patch.paint(surface)
    inside = surface.mask > 0
    assert inside.sum() == part.mask.size
    assert np.allclose(surface.colour[:, inside].T, (0.2, 0.4, 0.6), atol=1e-5)
    assert np.array_equal(surface.colour[:, ~inside], before[:, ~inside])


def test_masks_are_joined_and_painted_wide_enough():
    spots = np.zeros((200, 200), bool)
    spots[90:110, 80:94] = spots[90:110, 98:112] = True
    assert closed(spots, 6)[100, 95] == 255
    assert closed(spots, 1)[100, 95] == 0
    assert np.count_nonzero(at_least(spots, 3)) >= 8500
    assert np.count_nonzero(at_least(np.ones((20, 20), bool), 3)) == 400
