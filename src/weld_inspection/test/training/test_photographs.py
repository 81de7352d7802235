"""A folder of photographs is checked before anything is made from it."""

import cv2
import numpy as np
import pytest

from weld_inspection.training.clips import ClipError
from weld_inspection.training.photographs import find_photographs


@pytest.fixture
def folder(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for number in (2, 1):
        cv2.imwrite(str(tmp_path / f"images/{number}.jpg"), np.full((240, 320, 3), 90, np.uint8))
        mask = np.zeros((240, 320), np.uint8)
        mask[100:120, 50:70] = 255
        cv2.imwrite(str(tmp_path / f"masks/{number}.png"), mask)
    return tmp_path


def test_finds_and_loads(folder):
    photographs = find_photographs(folder)
    assert [photograph.name for photograph in photographs] == ["1.jpg", "2.jpg"]
    image, mask = photographs[0].load()
    assert image.shape == (240, 320, 3)
    assert mask.shape == (240, 320)
    assert np.count_nonzero(mask == 255) == 400 and np.count_nonzero(mask) == 400


def test_missing_folders(folder, tmp_path):
    with pytest.raises(ClipError, match="no such folder"):
        find_photographs(tmp_path / "nowhere")
    for name in ("1", "2"):
        (folder / f"images/{name}.jpg").unlink()
    with pytest.raises(ClipError, match="no photographs"):
        find_photographs(folder)


def test_missing_mask(folder):
    (folder / "masks/2.png").unlink()
    with pytest.raises(ClipError, match=r"2\.jpg has no mask"):
        find_photographs(folder)


@pytest.mark.parametrize("name", ["images/1.jpg", "masks/1.png"])
def test_damaged_image(folder, name):
    (folder / name).write_bytes(b"no image")
    with pytest.raises(ClipError, match=f"{name} cannot be read"):
        find_photographs(folder)[0].load()


def test_cut_image(folder):
    """OpenCV would make the rest of it grey and say nothing."""
    file = folder / "images/1.jpg"
    whole = file.read_bytes()
    thumbnail = b"\xff\xe1\x00\x08Exif\xff\xd9"  # with an end of its own
    file.write_bytes(whole[:2] + thumbnail + whole[2:])
    find_photographs(folder)[0].load()
    file.write_bytes(whole[:2] + thumbnail + whole[2 : len(whole) * 3 // 4])
    with pytest.raises(ClipError, match=r"1\.jpg cannot be read: it is cut off"):
        find_photographs(folder)[0].load()


def test_mask_of_another_size(folder):
    cv2.imwrite(str(folder / "masks/1.png"), np.zeros((240, 322), np.uint8))
    with pytest.raises(ClipError, match="322x240"):
        find_photographs(folder)[0].load()


@pytest.mark.parametrize(("paint", "told"), [(1, "no value above 1"), ((0, 0, 128), "in colours")])
def test_masks_in_class_numbers_or_colours(folder, paint, told):
    mask = np.zeros((240, 320, 3) if isinstance(paint, tuple) else (240, 320), np.uint8)
    mask[100:120, 50:70] = paint
    cv2.imwrite(str(folder / "masks/1.png"), mask)
    with pytest.raises(ClipError, match=f"masks/1.png .*{told}.* 255 where there is a defect"):
        find_photographs(folder)[0].load()


@pytest.mark.parametrize("value", [1, 255, 65535])
def test_masks_of_16_bits(folder, value):
    """OpenCV would divide them by 256, and leave 255 as 0."""
    mask = np.zeros((240, 320), np.uint16)
    mask[100:120, 50:70] = value
    cv2.imwrite(str(folder / "masks/1.png"), mask)
    with pytest.raises(ClipError, match=r"1\.png is not of 8 bits: .*convert it"):
        find_photographs(folder)[0].load()


def test_a_file_that_is_gone(folder):
    photograph = find_photographs(folder)[0]
    photograph.path.unlink()
    with pytest.raises(ClipError, match=r"cannot read .*1\.jpg: No such file"):
        photograph.digest()


def test_photographs_of_one_name(folder):
    cv2.imwrite(str(folder / "images/1.png"), np.full((240, 320, 3), 90, np.uint8))
    with pytest.raises(ClipError, match=r"1\.jpg and .*1\.png would share"):
        find_photographs(folder)


def test_photograph_too_small(folder):
    for name in ("images/1.jpg", "masks/1.png"):
        cv2.imwrite(str(folder / name), np.zeros((100, 320), np.uint8))
    with pytest.raises(ClipError, match="at least 320x180"):
        find_photographs(folder)[0].load()
