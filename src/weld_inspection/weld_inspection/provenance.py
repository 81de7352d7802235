"""With what a figure was made: commit, machine, versions."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

LIBRARIES = (
    *("torch", "lightning", "torchmetrics", "monai"),
    *("openvino", "nncf"),
    *("numpy", "opencv-python-headless", "safetensors"),
)
RESULTS = ("benchmarks/results", "results")  # of the run that asks, perhaps
GIT_PATIENCE_S = 10


def provenance() -> dict:
    """Returns plain values, for JSON.

    The commit is that of the folder that this package lies in; "unknown" where it is no checkout,
    and with "-dirty" where tracked files other than results differ from it.
    """
    return {
        "commit": _commit(),
        "machine": {
            "processor": _processor(),
            "cores": len(os.sched_getaffinity(0)),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
        "versions": {"python": platform.python_version()}
        | {library: _version(library) for library in LIBRARIES},
    }


def _commit() -> str:
    # Through the link of a symlink-install, back to the sources.
    folder = Path(__file__).resolve().parent
    changes = ["status", "--porcelain", "--untracked-files=no", "--", ":(top)"]
    changes += [f":(top,exclude){folder}" for folder in RESULTS]
    try:
        commit, changed = (
            subprocess.run(
                ["git", "-C", str(folder), *command],
                capture_output=True, text=True, timeout=GIT_PATIENCE_S, check=True,
            ).stdout.strip()
            for command in (["rev-parse", "--short=12", "HEAD"], changes)
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return f"{commit}-dirty" if changed else commit


def _version(library: str) -> str | None:
    """None where it is not installed: no training needs all of them."""
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """The name, and what tells generations apart that go by one name ("AMD EPYC")."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    first = text.partition("\n\n")[0].splitlines()
    fields = {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in first)}
    name = fields.get("model name", platform.machine())
    marks = [f"{key} {fields[key]}" for key in ("cpu family", "model", "stepping") if key in fields]
    return f"{name} ({', '.join(marks)})" if marks else name
