"""Videos, folders and bags: what is in them comes out, and what is wrong with them is said."""

import http.server
import threading
from contextlib import closing

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin
from rosbags.typesys import Stores, get_typestore

from weld_inspection.camera.bag import Bag
from weld_inspection.camera.images import natural_key
from weld_inspection.camera.simulated import SimulatedRecording
from weld_inspection.camera.source import CameraError
from weld_inspection.camera.sources import open_recording, open_source
from weld_inspection.camera.video import Video, open_capture


def read_all(source):
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    return frames


def read_to_error(source):
    frames = []
    with pytest.raises(CameraError) as error:
        while (frame := source.read()) is not None:
            frames.append(frame)
    return frames, str(error.value)


# video


@pytest.mark.parametrize("name", ["weld.avi", "weld.mp4"])
def test_video_gives_every_frame_in_order_at_its_own_rate(make_video, clock, number, t0, name):
    source = open_source("video", str(make_video(25, 25.0, name)), clock=clock)
    assert (source.width, source.height, source.frame_rate) == (96, 64, 25.0)
    frames = read_all(source)
    assert [number(frame.image) for frame in frames] == list(range(25))
    assert [frame.stamp_ns for frame in frames] == [t0 + k * 40_000_000 for k in range(25)]
    assert frames[0].image.dtype == np.uint8 and frames[0].image.shape == (64, 96, 3)


def test_video_loops(make_video, clock, number):
    source = open_source("video", str(make_video(5)), loop=True, clock=clock)
    assert [number(source.read().image) for _ in range(12)] == [0, 1, 2, 3, 4] * 2 + [0, 1]
    source.close()


def test_video_as_file_url(make_video, clock):
    assert len(read_all(open_source("video", f"file://{make_video(3)}", clock=clock))) == 3


def test_cut_video_gives_the_frames_before_the_cut_and_one_error(make_video, clock):
    path = make_video(40, noise=True)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    frames, error = read_to_error(open_source("video", str(path), clock=clock))
    assert 15 < len(frames) < 25
    assert f"ends after {len(frames)} of 40 frames" in error and "cut" in error


def test_video_cut_before_its_index_is_an_error(make_video):
    path = make_video(40, name="weld.mp4")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(CameraError, match="cut before its index"):
        open_source("video", str(path))


def test_video_with_rubbish_in_the_middle_goes_on_behind_it(make_video, clock, t0):
    path = make_video(60, name="weld.mp4", noise=True)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = np.random.default_rng(5).bytes(20_000)
    path.write_bytes(content)
    source = open_source("video", str(path), clock=clock)
    frames = read_all(source)
    numbers = [(frame.stamp_ns - t0) / 50_000_000 for frame in frames]
    assert numbers == sorted(set(numbers)) and numbers[-1] == 59
    assert 0 < source.damaged == 60 - len(frames) < 30  # the damaged ones leave a gap in time


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "does not exist"), (b"", "is empty"), (b"x" * 999, "no video")]
)
def test_what_is_no_video_is_an_error(tmp_path, content, reason):
    path = tmp_path / "weld.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CameraError, match=reason):
        open_source("video", str(path))


def test_a_folder_is_no_video(tmp_path):
    with pytest.raises(CameraError, match="source 'images'"):
        open_source("video", str(tmp_path))


@pytest.fixture
def serve():
    """Serves bytes over HTTP, at most `limit` of them a request."""
    servers = []

    def start(content: bytes, limit: int | None = None) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                try:
                    self.wfile.write(content[:limit])
                except OSError:
                    pass

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/weld.avi"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_video_from_a_url(make_video, clock, serve, number):
    url = serve(make_video(10).read_bytes())
    source = open_source("video", url, clock=clock)
    assert source.recoverable and not source.live
    assert [number(frame.image) for frame in read_all(source)] == list(range(10))


def test_a_connection_that_breaks_is_an_error_worth_trying_again(make_video, clock, serve):
    content = make_video(40, noise=True).read_bytes()
    source = open_source("video", serve(content, len(content) // 2), clock=clock)
    frames, error = read_to_error(source)
    assert source.recoverable and 10 < len(frames) < 25 and "of 40 frames" in error


def test_a_url_nobody_serves_is_an_error():
    with pytest.raises(CameraError, match="cannot be opened"):
        open_source("video", "http://127.0.0.1:9/weld.avi")


# images


def test_images_come_in_natural_order(make_images, clock, number, t0):
    folder = make_images(12)
    (folder / "notes.txt").write_text("not an image")
    source = open_source("images", str(folder), clock=clock)
    assert source.frame_rate == 20.0
    frames = read_all(source)
    assert [number(frame.image) for frame in frames] == list(range(12))
    assert [frame.stamp_ns for frame in frames] == [t0 + k * 50_000_000 for k in range(12)]


def test_natural_order():
    names = ["b1", "a10", "a9", "A2", "10", "9", "a"]
    assert sorted(names, key=natural_key) == ["9", "10", "a", "A2", "a9", "a10", "b1"]


def test_images_of_other_sizes_and_depths_are_delivered_as_they_are(tmp_path, clock):
    cv2.imwrite(str(tmp_path / "1.png"), np.full((40, 60, 3), 9, np.uint8))
    cv2.imwrite(str(tmp_path / "2.png"), np.full((30, 50), 9, np.uint8))
    cv2.imwrite(str(tmp_path / "3.png"), np.full((20, 70), 0x0901, np.uint16))
    frames = read_all(open_source("images", str(tmp_path), clock=clock))
    assert [frame.image.shape for frame in frames] == [(40, 60, 3), (30, 50, 3), (20, 70, 3)]
    assert all((frame.image == 9).all() for frame in frames)


def test_unreadable_image_is_named_after_the_ones_before_it(make_images, clock):
    folder = make_images(5)
    (folder / "frame_3.png").write_bytes(b"no image")
    frames, error = read_to_error(open_source("images", str(folder), clock=clock))
    assert len(frames) == 3 and "frame_3.png cannot be read" in error


def test_folders_without_images(tmp_path, make_video):
    with pytest.raises(CameraError, match="holds no images"):
        open_source("images", str(tmp_path))
    with pytest.raises(CameraError, match="does not exist"):
        open_source("images", str(tmp_path / "absent"))
    with pytest.raises(CameraError, match="is not a folder"):
        open_source("images", str(make_video(1)))


# bag


@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_bag_gives_recorded_stamps_and_equal_pixels(make_bag, numbered, clock, t0, storage):
    source = open_source("bag", str(make_bag(storage=storage)), clock=clock)
    assert (source.width, source.height, source.frame_rate) == (96, 64, 20.0)
    frames = read_all(source)
    assert [frame.stamp_ns for frame in frames] == [t0 + k * 50_000_000 for k in range(12)]
    assert all((frame.image == numbered(k)).all() for k, frame in enumerate(frames))


def test_bag_as_mcap_file(make_bag, clock):
    (file,) = make_bag().glob("*.mcap")
    assert len(read_all(open_source("bag", str(file), clock=clock))) == 12


def test_bag_loops_without_going_back(make_bag, clock, number, t0):
    source = open_source("bag", str(make_bag()), loop=True, clock=clock)
    frames = [source.read() for _ in range(30)]
    source.close()
    assert [frame.stamp_ns for frame in frames] == [t0 + k * 50_000_000 for k in range(30)]
    assert number(frames[12].image) == 0
    with closing(Bag(make_bag(name="again"))) as bag:
        assert bag.span_ns() == (t0, frames[12].stamp_ns - t0)


COLOUR = np.array([[[10, 20, 30], [40, 50, 60]]] * 3, np.uint8)
GREY = np.array([[[10], [200]]] * 3, np.uint8)


@pytest.mark.parametrize(
    ("encoding", "pixels", "expected"),
    [
        ("bgr8", COLOUR, COLOUR),
        ("rgb8", COLOUR[..., ::-1], COLOUR),
        ("bgra8", np.dstack([COLOUR, GREY]), COLOUR),
        ("mono8", GREY, np.repeat(GREY, 3, 2)),
        ("mono16", GREY.astype(np.uint16) * 257, np.repeat(GREY, 3, 2)),
        ("rgb16", COLOUR[..., ::-1].astype(np.uint16) * 257, COLOUR),
    ],
)
@pytest.mark.parametrize("padding", [0, 10])
def test_bag_encodings(make_bag, make_message, clock, encoding, pixels, expected, padding):
    messages = [("/image_raw", make_message(pixels, encoding, k, padding)) for k in (1, 2)]
    frames = read_all(open_source("bag", str(make_bag(messages)), frame_rate=20.0, clock=clock))
    assert len(frames) == 2
    assert np.array_equal(frames[0].image, expected)


def test_bag_with_an_encoding_that_cannot_be_read(make_bag, make_message):
    messages = [("/image_raw", make_message(COLOUR, "yuv422_exotic", 1))]
    with pytest.raises(CameraError, match="yuv422_exotic"):
        open_source("bag", str(make_bag(messages)))


def test_bag_with_an_image_shorter_than_it_says(make_bag, make_message, clock):
    messages = [
        ("/image_raw", make_message(COLOUR, "bgr8", k * 50_000_000, cut=3 if k == 3 else 0))
        for k in range(6)
    ]
    source = open_source("bag", str(make_bag(messages)), clock=clock)
    stamps = [frame.stamp_ns // 50_000_000 for frame in read_all(source)]
    assert stamps == [0, 1, 2, 4, 5] and source.damaged == 1
    frames, error = read_to_error(
        open_source("bag", str(make_bag(messages[:4], name="ends")), clock=clock)
    )
    assert len(frames) == 3 and "bytes" in error


def test_bag_topic_is_chosen(make_bag, make_message, numbered, clock, number):
    def message(k):
        return make_message(numbered(k), "bgr8", k * 50_000_000)

    several = [("/weld/defect_mask", message(1)), ("/weld/image_raw", message(2))]
    path = str(make_bag(several, "several"))
    assert number(open_source("bag", path, frame_rate=1, clock=clock).read().image) == 2
    mask = open_source("bag", path, topic="/weld/defect_mask", frame_rate=1, clock=clock)
    assert number(mask.read().image) == 1
    with pytest.raises(CameraError, match="on /absent: give one of /weld/defect_mask, /weld/image"):
        open_source("bag", path, topic="/absent")

    only = str(make_bag([("/picture", message(3))], "only"))
    assert number(open_source("bag", only, frame_rate=1, clock=clock).read().image) == 3

    many = str(make_bag([("/a/image_raw", message(1)), ("/b/image_raw", message(2))], "many"))
    with pytest.raises(CameraError, match="several topics: give one of"):
        open_source("bag", many)


def test_bag_without_images(make_bag):
    types = get_typestore(Stores.ROS2_JAZZY).types
    path = make_bag([("/said", types["std_msgs/msg/String"](data="no image"))])
    with pytest.raises(CameraError, match="holds no images"):
        open_source("bag", str(path))


def test_bag_without_messages(make_bag):
    with pytest.raises(CameraError, match="holds no images"):
        open_source("bag", str(make_bag([])))


def test_bags_that_are_none(make_bag, tmp_path):
    with pytest.raises(CameraError, match="does not exist"):
        open_source("bag", str(tmp_path / "absent"))
    with pytest.raises(CameraError, match=r"no metadata\.yaml"):
        open_source("bag", str(tmp_path))
    (tmp_path / "weld.mcap").write_bytes(b"no bag at all")
    with pytest.raises(CameraError, match="cannot be opened"):
        open_source("bag", str(tmp_path / "weld.mcap"))
    (tmp_path / "weld.txt").write_bytes(b"no bag at all")
    with pytest.raises(CameraError, match="cannot be opened"):
        open_source("bag", str(tmp_path / "weld.txt"))


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_cut_bag_is_one_error(make_bag, clock, storage, fraction):
    path = make_bag(storage=storage)
    (file,) = [item for item in path.iterdir() if item.suffix in (".mcap", ".db3")]
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * fraction)])
    with pytest.raises(CameraError) as error:
        read_all(open_source("bag", str(path), clock=clock))
    assert str(path) in str(error.value)


def test_bag_with_damage_in_the_middle_gives_the_frames_before_it(make_bag, make_message, clock):
    pixels = np.zeros((240, 320, 3), np.uint8)
    messages = [("/image_raw", make_message(pixels, "bgr8", k * 50_000_000)) for k in range(20)]
    path = make_bag(messages)
    (file,) = path.glob("*.mcap")
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 300_000] = b"\xff" * 300_000
    file.write_bytes(content)
    source = open_source("bag", str(path), clock=clock)
    assert source.frame_rate == 20.0
    frames, error = read_to_error(source)
    assert 4 < len(frames) <= 10 and "is damaged" in error


def test_bag_with_damaged_metadata(make_bag):
    path = make_bag()
    (path / "metadata.yaml").write_text("rosbag2_bagfile_information: [")
    with pytest.raises(CameraError, match="cannot be opened"):
        open_source("bag", str(path))


# any


def test_the_number_of_pictures_is_known_beforehand(make_video, make_images, make_bag):
    assert open_recording("video", str(make_video(25, name="weld.mp4"))).frame_count == 25
    assert open_recording("images", str(make_images(7))).frame_count == 7
    bag = make_bag()
    (file,) = bag.glob("*.mcap")
    for path in (bag, file):
        assert open_recording("bag", str(path)).frame_count == 12
    simulated = SimulatedRecording(1, "automatic", 2.0, 20.0)
    assert simulated.frame_count == 40
    simulated.close()


def test_a_number_that_a_video_does_not_tell(make_video):
    class Uncounted:
        def __init__(self, path):
            self.capture = open_capture(path)

        def get(self, key):
            return -1.0 if key == cv2.CAP_PROP_FRAME_COUNT else self.capture.get(key)

        def read(self):
            return self.capture.read()

    path = str(make_video(3))
    assert Video(path, Uncounted(path)).frame_count is None


@pytest.mark.parametrize("rate", [-1.0, float("nan"), float("inf")])
def test_a_rate_that_is_none(make_video, rate):
    with pytest.raises(CameraError, match="frame_rate is"):
        open_source("video", str(make_video(1)), frame_rate=rate)


def test_unknown_kind_and_missing_path():
    with pytest.raises(CameraError, match="give one of device, video, images, bag, simulated"):
        open_source("film")
    for kind in ("video", "images", "bag"):
        with pytest.raises(CameraError, match="needs a path"):
            open_source(kind)
