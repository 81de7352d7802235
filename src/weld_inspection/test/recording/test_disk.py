"""The disk budget, and names of bags."""

import os
import subprocess
import sys

import pytest

from weld_inspection.recording.bag_file import PARTIAL_FOLDER
from weld_inspection.recording.disk import DiskBudget
from weld_inspection.recording.errors import RecordingError
from weld_inspection.recording.names import bag_name, next_sequence


def test_a_folder_within_its_budget(tmp_path):
    folder = tmp_path / "new" / "bags"
    budget = DiskBudget(folder, 0, 0)
    assert folder.is_dir() and list(folder.iterdir()) == []
    assert budget.refusal() == ""
    assert budget.bytes_free > 0


def test_the_floor_of_free_space_is_kept(tmp_path):
    budget = DiskBudget(tmp_path, 10**18, 0)
    assert "min_free_bytes" in budget.refusal()
    budget.allow(0, 0)
    assert budget.refusal() == ""


def test_the_limit_counts_what_is_there_and_what_is_being_written(tmp_path):
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "a.mcap").write_bytes(bytes(600))
    budget = DiskBudget(tmp_path, 0, 1000)
    assert budget.bytes_used == 600
    assert budget.refusal(399) == ""
    assert "max_total_bytes" in budget.refusal(400)
    (tmp_path / "bag" / "a.mcap").unlink()
    budget.measure()
    assert budget.refusal(400) == ""


def test_bags_being_written_are_measured_by_who_writes_them(tmp_path):
    budget = DiskBudget(tmp_path, 0, 1000)
    for name in ("closed", "open"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.mcap").write_bytes(bytes(600))
    budget.measure([tmp_path / "open"])
    assert budget.bytes_used == 600
    assert "0.0 MB are needed" in budget.refusal(needed_bytes=400)
    assert budget.refusal(needed_bytes=399) == ""


def test_a_folder_that_goes_away_is_said(tmp_path):
    folder = tmp_path / "bags"
    budget = DiskBudget(folder, 0, 0)
    folder.rmdir()
    assert "is gone" in budget.refusal()


@pytest.mark.parametrize("place", ["a_file/bags", "/proc/bags"])
def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path, place):
    (tmp_path / "a_file").touch()
    with pytest.raises(RecordingError, match=r"cannot write to the output folder .*output_dir"):
        DiskBudget(tmp_path / place, 0, 0)


def test_a_folder_without_permission_is_one_clear_error(tmp_path):
    tmp_path.chmod(0o555)
    text = (
        "import os, sys; from pathlib import Path\n"
        "from weld_inspection.recording.disk import DiskBudget\n"
        "if os.geteuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "try: DiskBudget(Path(sys.argv[1]), 0, 0)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    # Root may write everywhere, so somebody else tries; every folder above must let them through.
    folder = tmp_path
    while folder != folder.parent:
        if os.stat(folder).st_uid == os.geteuid():
            folder.chmod(folder.stat().st_mode | 0o555)
        folder = folder.parent
    done = subprocess.run(
        [sys.executable, "-c", text, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("RecordingError cannot write to the output folder")
    assert "Permission denied" in done.stdout


def test_names_tell_time_weld_and_number():
    time = 1_741_944_413_000_000_000
    assert bag_name(time, "W17", 42) == "20250314T092653Z_W17_0042"
    assert bag_name(time, "../a b/ü", 1) == "20250314T092653Z_a-b_0001"
    assert bag_name(time, "", 1) == "20250314T092653Z_no-weld-id_0001"
    assert len(bag_name(time, "x" * 300, 1)) < 80


def test_numbers_go_on_where_the_folder_ends(tmp_path):
    assert next_sequence(tmp_path) == 1
    (tmp_path / bag_name(0, "a", 7)).mkdir()
    assert next_sequence(tmp_path) == 8
    (tmp_path / PARTIAL_FOLDER / bag_name(0, "a", 11)).mkdir(parents=True)
    assert next_sequence(tmp_path) == 12
    (tmp_path / f"{bag_name(0, 'a', 12)}-salvaged").mkdir()
    assert next_sequence(tmp_path) == 13
