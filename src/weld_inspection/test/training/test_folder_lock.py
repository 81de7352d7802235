import os
import time

import pytest

from weld_inspection.errors import InspectionError
from weld_inspection.training.folder_lock import hold_folder

BUSY = InspectionError("busy")


def test_one_holds_a_folder_at_a_time(tmp_path):
    with hold_folder(tmp_path, BUSY):
        with pytest.raises(InspectionError, match="busy"), hold_folder(tmp_path, BUSY):
            pass
    with hold_folder(tmp_path, BUSY):
        pass


def test_a_process_that_is_killed_lets_go_though_its_children_live_on(tmp_path):
    """As a training does whose processes read clips: they notice its death later."""
    reading, writing = os.pipe()
    parent = os.fork()
    if not parent:
        with hold_folder(tmp_path, BUSY):
            child = os.fork()
            if child:
                os.write(writing, str(child).encode())
            time.sleep(60)
        os._exit(0)
    child = int(os.read(reading, 20))
    try:
        with pytest.raises(InspectionError, match="busy"), hold_folder(tmp_path, BUSY):
            pass
        os.kill(parent, 9)
        os.waitpid(parent, 0)
        with hold_folder(tmp_path, BUSY):
            pass
    finally:
        os.kill(child, 9)
        os.close(reading)
        os.close(writing)
