import pytest

from weld_inspection.whole_files import part_of, write_whole


@pytest.mark.parametrize(("content", "bytes_"), [("größer", "größer".encode()), (b"\0\1", b"\0\1")])
def test_file_is_replaced_whole(tmp_path, content, bytes_):
    path = tmp_path / "file.json"
    path.write_text("what was there before")
    write_whole(path, content)
    assert path.read_bytes() == bytes_
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "file.json"
    path.write_text("what was there before")
    part_of(path).mkdir()  # also where root may write anything
    with pytest.raises(OSError, match="directory"):
        write_whole(path, "new")
    assert path.read_text() == "what was there before"
