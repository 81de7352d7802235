"""Windows of clips as training takes them."""

import logging
import tempfile

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from weld_inspection.inspection.preprocessing import resize_frame, resize_mask
from weld_inspection.testing.small_disk import small_disk
from weld_inspection.training.clips import ClipError, ClipWriter
from weld_inspection.training.crops import Crop
from weld_inspection.training.windows import WindowDataset

WIDTH, HEIGHT = 32, 18
SIZE = {"width": WIDTH, "height": HEIGHT}


def write(folder, level, count, width=WIDTH, height=HEIGHT):
    """Writes a clip whose frame k has the grey level 40 * level + k."""
    with ClipWriter(
        folder, width=width, height=height, frame_rate=20, source={"kind": "recording"}
    ) as writer:
        for k in range(count):
            mask = np.zeros((height, width), np.uint8)
            mask[: height // 3, : width // 4] = 255
            writer.add(np.full((height, width, 3), 40 * level + k, np.uint8), mask)


@pytest.fixture
def clips(tmp_path):
    for level, (name, count) in enumerate([("a", 25), ("b", 9), ("c", 10), ("d", 31)]):
        write(tmp_path / name, level, count)
    return tmp_path


def test_windows_do_not_overlap_and_do_not_cross_clips(clips):
    dataset = WindowDataset(clips, window=10, **SIZE)
    starts = [("a", 0), ("a", 10), ("c", 0), ("d", 0), ("d", 10), ("d", 20)]
    assert len(dataset) == len(starts)
    for index, (name, start) in enumerate(starts):
        item = dataset[index]
        assert item["frames"].shape == (10, HEIGHT, WIDTH, 3)
        assert item["frames"].dtype == item["masks"].dtype == torch.uint8
        levels = item["frames"][:, 0, 0, 0].tolist()
        assert levels == [40 * "abcd".index(name) + start + k for k in range(10)]
        assert set(item["masks"].unique().tolist()) == {0, 1}


def test_short_clips_are_skipped_and_told(clips, caplog):
    with caplog.at_level(logging.WARNING):
        dataset = WindowDataset(clips, window=10, **SIZE)
    assert dataset.skipped == ["b"]
    assert "1 of 4 clips are shorter than 10 frames" in caplog.text


def test_stride_makes_windows_overlap(clips):
    dataset = WindowDataset(clips, window=10, stride=5, **SIZE)
    # Four of a, one of c, five of d, by the grey level of their first frame.
    levels = [int(dataset[index]["frames"][0, 0, 0, 0]) for index in range(len(dataset))]
    assert levels == [0, 5, 10, 15, 80, 120, 125, 130, 135, 140]


def test_clips_of_another_size_are_resized_as_live(tmp_path):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (5, 72, 128, 3), dtype=np.uint8)
    masks = np.where(rng.random((5, 9, 16)) < 0.3, 255, 0).astype(np.uint8)
    masks = masks.repeat(8, 1).repeat(8, 2)
    with ClipWriter(
        tmp_path / "a", width=128, height=72, frame_rate=20, source={"kind": "recording"}
    ) as writer:
        for frame, mask in zip(frames, masks, strict=True):
            writer.add(frame, mask)
    item = WindowDataset(tmp_path, window=5, **SIZE)[0]
    for k in range(5):
        expected = resize_frame(frames[k], WIDTH, HEIGHT)
        np.testing.assert_array_equal(item["frames"][k].numpy(), expected)
        expected_mask = resize_mask(masks[k], WIDTH, HEIGHT) // 255
        np.testing.assert_array_equal(item["masks"][k].numpy(), expected_mask)


def test_defect_ratio(clips):
    dataset = WindowDataset(clips, window=10, **SIZE)
    assert dataset.defect_pixel_ratio == pytest.approx(6 * 8 / (WIDTH * HEIGHT))


def test_a_set_beyond_memory_reads_the_same(clips):
    small = WindowDataset(clips, window=10, **SIZE, memory_limit=100)
    large = WindowDataset(clips, window=10, **SIZE)
    assert isinstance(small._frames, np.memmap) and not isinstance(large._frames, np.memmap)
    for index in range(len(large)):
        assert torch.equal(small[index]["frames"], large[index]["frames"])


def test_a_set_beyond_memory_and_disk(clips, tmp_path_factory, monkeypatch):
    with small_disk(tmp_path_factory.mktemp("full") / "disk", megabytes=1) as disk:
        (disk / "taken").write_bytes(bytes(1_020_000))
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        with pytest.raises(ClipError, match="do not fit into .*disk .*TMPDIR"):
            WindowDataset(clips, window=10, **SIZE, memory_limit=100)


def items_equal(first, second):
    return all(torch.equal(first[name], second[name]) for name in ("frames", "masks"))


def test_augmentation_repeats_by_seed_and_differs_by_epoch(clips):
    first, again, other = (
        WindowDataset(clips, window=10, augment=True, seed=seed, **SIZE) for seed in (1, 1, 2)
    )
    epochs = [[dataset[0] for _ in range(4)] for dataset in (first, again, other)]
    assert all(map(items_equal, epochs[0], epochs[1]))
    assert not all(map(items_equal, epochs[0], epochs[2]))
    assert not items_equal(epochs[0][0], epochs[0][1])
    first.set_epoch(0)
    assert items_equal(first[0], epochs[0][0])


def test_sets_of_other_numbers_draw_otherwise(clips):
    one, other = (
        WindowDataset(clips, window=10, augment=True, seed=1, number=number, **SIZE)
        for number in (0, 1)
    )
    assert not all(items_equal(one[index], other[index]) for index in range(len(one)))


def test_workers_count_epochs_together(clips):
    alone = WindowDataset(clips, window=10, augment=True, seed=1, **SIZE)
    shared = WindowDataset(clips, window=10, augment=True, seed=1, **SIZE)
    loader = DataLoader(shared, batch_size=2, num_workers=2, persistent_workers=True)
    for _ in range(2):
        batches = list(loader)
        expected = [alone[index] for index in range(len(alone))]
        got = torch.cat([batch["frames"] for batch in batches])
        assert torch.equal(got, torch.stack([item["frames"] for item in expected]))


def centre(masks):
    """Mean row and column."""
    return np.argwhere(masks).mean(axis=0)[1:]


def test_augmentation_keeps_the_mask_on_its_defect(tmp_path):
    size = {"width": 96, "height": 54}
    image = np.full((54, 96, 3), 60, np.uint8)
    mask = np.zeros((54, 96), np.uint8)
    cv2.circle(mask, (30, 24), 15, 255, -1)  # round: what its edge is rounded by evens out
    image[mask > 0] = 190
    with ClipWriter(tmp_path / "a", **size, frame_rate=20, source={"kind": "recording"}) as writer:
        for _ in range(3):
            writer.add(image, mask)
    dataset = WindowDataset(tmp_path, window=3, augment=True, **size)
    off, changed = [], 0
    for _ in range(60):
        item = dataset[0]
        frames, masks = item["frames"].numpy().mean(-1), item["masks"].numpy() > 0
        assert set(np.unique(item["masks"])) <= {0, 1}
        middle = (frames[~masks].min() + frames[masks].max()) / 2
        assert ((frames > middle) == masks).mean() > 0.99
        off.append(centre(frames > middle) - centre(masks))
        changed += not np.array_equal(masks[0], mask > 0)
    assert np.abs(off).max() < 0.25
    assert np.abs(np.mean(off, axis=0)).max() < 0.05
    assert changed > 40


def test_time_is_reversed_for_some(clips):
    dataset = WindowDataset(clips, window=10, augment=True, **SIZE)
    directions = set()
    for _ in range(20):
        levels = dataset[0]["frames"].numpy().astype(float).mean((1, 2, 3))
        directions.add(bool(levels[-1] > levels[0]))
    assert directions == {True, False}


def test_items_can_be_changed_without_changing_the_set(clips):
    dataset = WindowDataset(clips, window=10, **SIZE)
    dataset[0]["frames"].zero_()
    assert dataset[0]["frames"][1].any()


def test_a_crop_is_the_same_part_of_frames_and_masks(tmp_path):
    rng = np.random.default_rng(3)
    frames = rng.integers(0, 256, (4, HEIGHT, WIDTH, 3), np.uint8)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[4:7, 20:26] = 255
    with ClipWriter(tmp_path / "a", **SIZE, frame_rate=20, source={"kind": "recording"}) as writer:
        for frame in frames:
            writer.add(frame, mask)
    whole = WindowDataset(tmp_path, window=4, **SIZE)[0]
    dataset = WindowDataset(tmp_path, window=4, crop=Crop(16, 9), **SIZE)
    # Pixels are random, so a part tells where it was cut.
    parts = [
        {name: whole[name][:, top : top + 9, left : left + 16] for name in whole}
        for top in range(HEIGHT - 8)
        for left in range(WIDTH - 15)
    ]
    with_defect = 0
    places = set()
    for _ in range(40):
        item = dataset[0]
        found = [number for number, part in enumerate(parts) if items_equal(part, item)]
        assert len(found) == 1
        places.add(found[0])
        with_defect += bool(item["masks"].any())
    assert with_defect >= 0.7 * 40 and len(places) > 10


@pytest.mark.parametrize("crop", [Crop(WIDTH + 1, 9), Crop(16, HEIGHT + 1), Crop(0, 9)])
def test_a_crop_that_does_not_fit(clips, crop):
    with pytest.raises(ClipError, match="does not fit frames of 32x18"):
        WindowDataset(clips, crop=crop, **SIZE)


@pytest.mark.parametrize("options", [{"window": 0}, {"stride": 0}, {"window": 32}])
def test_bad_numbers(clips, options):
    with pytest.raises(ClipError, match="1 frame or more|shorter than"):
        WindowDataset(clips, **(SIZE | options))


def test_empty_folder(tmp_path):
    with pytest.raises(ClipError, match="holds no clips"):
        WindowDataset(tmp_path, **SIZE)
