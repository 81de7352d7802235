"""What is stored with a figure: where it was made, and of what."""

from pathlib import Path

from weld_inspection.provenance import provenance


def cpu_info() -> dict[str, str]:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    fields = (line.partition(":") for line in reversed(lines))  # the first core's come last
    return {key.strip(): value.strip() for key, _, value in fields}


def test_the_generation_of_a_processor_is_told_beside_its_name():
    fields = cpu_info()
    processor = provenance()["machine"]["processor"]
    assert processor.startswith(fields.get("model name", ""))
    for key in ("cpu family", "model", "stepping"):
        if key in fields:
            assert f"{key} {fields[key]}" in processor


def test_the_commit_and_the_libraries_are_told():
    made_with = provenance()
    assert made_with["commit"]
    assert made_with["versions"]["torch"]
