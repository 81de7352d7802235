#!/usr/bin/env bash
# ruff, the unit tests and the launch tests, in a shell that has sourced setup.bash.
# Arguments go to pytest, such as a file to run alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

ruff check .
ruff format --check .
if [ $# -gt 0 ]; then
  exec python -m pytest "$@"
fi
# The launch tests in a process of their own, in which rclpy does not meet the inference libraries.
# Two files of unit tests beside each other, a thread each for torch, whose threads spin as they wait.
OMP_NUM_THREADS=1 python -m pytest -n 2 --dist loadfile --durations=10 src/weld_inspection/test
exec python -m pytest --durations=10 test
