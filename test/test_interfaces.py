"""The messages and the service are as the design says, from Python and from C++."""

import re
import subprocess
from pathlib import Path

import pytest

from weld_inspection.nodes import qos
from weld_interfaces.msg import (
    AlarmState,
    CarriageState,
    DefectRegion,
    DefectReport,
    DetectorInfo,
    RecordingState,
)
from weld_interfaces.srv import SilenceAlarm

DOMAIN_ID = 47
LISTENER = Path(__file__).with_name("report_listener")
SOURCES = Path(__file__).parents[1] / "src" / "weld_interfaces"
BUILD_S = 300.0  # a hang of the compiler, not slowness

FIELDS = {
    DefectReport: {
        "header": "std_msgs/Header",
        "window_start": "builtin_interfaces/Time",
        "window_end": "builtin_interfaces/Time",
        "sequence": "uint64",
        "defective": "boolean",
        "defect_pixels": "uint32",
        "pixel_threshold": "uint32",
        "frame_defect_pixels": "sequence<uint32>",
        "confidence": "float",
        "regions": "sequence<weld_interfaces/DefectRegion>",
        "frames_dropped": "uint32",
        "latency": "builtin_interfaces/Duration",
        "weld_id": "string",
        "model_id": "string",
    },
    DefectRegion: {
        "roi": "sensor_msgs/RegionOfInterest",
        "area": "uint32",
        "confidence": "float",
        "track_id": "uint32",
        "seam_position": "double",
    },
    DetectorInfo: {
        "model_id": "string",
        "architecture": "string",
        "backend": "string",
        "backend_reason": "string",
        "device": "string",
        "precision": "string",
        "width": "uint32",
        "height": "uint32",
        "window": "uint32",
        "stride": "uint32",
        "threshold": "float",
        "pixel_threshold": "uint32",
        "active": "boolean",
    },
    AlarmState: {
        "header": "std_msgs/Header",
        "state": "uint8",
        "reason": "string",
        "since": "builtin_interfaces/Time",
        "cause": "weld_interfaces/DefectReport",
        "speaker_ok": "boolean",
        "speaker": "string",
    },
    RecordingState: {
        "header": "std_msgs/Header",
        "recording": "boolean",
        "bag": "string",
        "bytes_free": "uint64",
        "bytes_used": "uint64",
        "bags": "uint64",
        "frames": "uint64",
        "frames_dropped": "uint64",
        "reason": "string",
    },
    CarriageState: {
        "header": "std_msgs/Header",
        "position": "double",
        "speed": "double",
        "arc_on": "boolean",
        "weld_id": "string",
        "pass_number": "uint32",
    },
    SilenceAlarm.Request: {"seconds": "double"},
    SilenceAlarm.Response: {"success": "boolean", "message": "string"},
}


@pytest.mark.parametrize("message_type", FIELDS, ids=lambda message_type: message_type.__name__)
def test_fields_are_those_of_the_design(message_type):
    assert message_type.get_fields_and_field_types() == FIELDS[message_type]


def test_states_of_the_alarm():
    names = ("IDLE", "ACTIVE", "ACKNOWLEDGED", "SILENCED", "BLIND", "FAULT")
    assert [getattr(AlarmState, name) for name in names] == list(range(6))


@pytest.mark.parametrize(
    "path", sorted([*SOURCES.glob("msg/*.msg"), *SOURCES.glob("srv/*.srv")]), ids=lambda p: p.name
)
def test_every_field_has_a_comment(path):
    commented = False
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            commented = True
        elif not line or line == "---":
            commented = False
        else:
            assert re.match(r"[\w/\[\]]+ \w+(=\d+)?$", line), line
            assert commented, f"{path.name}: {line}"


@pytest.fixture(scope="module")
def listener(tmp_path_factory):
    """The C++ subscriber, compiled against the workspace."""
    build = tmp_path_factory.mktemp("report_listener")
    for command in (["cmake", "-S", str(LISTENER), "-B", str(build)], ["cmake", "--build", build]):
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=BUILD_S, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
    return build / "report_listener"


def test_cpp_hears_a_report_of_python(graph, listener):
    process = graph.start([str(listener)])
    publisher = graph.publisher(DefectReport, "/weld/defects", qos.REPORT, subscribers=1)
    report = DefectReport(
        sequence=7,
        defective=True,
        defect_pixels=1234,
        frame_defect_pixels=[100, 234, 900],
        confidence=0.875,
        weld_id="hull 3, seam 12",
    )
    report.window_end.sec, report.window_end.nanosec = 12, 50_000_000
    region = DefectRegion(track_id=5, area=6400, seam_position=0.1234)
    region.roi.x_offset, region.roi.width = 600, 80
    report.regions = [region]
    publisher.publish(report)
    assert process.wait() == 0, process.output
    assert process.output.splitlines() == [
        "sequence=7 defective=1 pixels=1234 frames=3 confidence=0.875 end=12.050000000 "
        "weld=hull 3, seam 12",
        "track=5 area=6400 x=600 width=80 seam=0.1234",
    ]
