#!/usr/bin/env bash
# Measures speed into benchmarks/results/, in a shell that has sourced setup.bash.
# The argument is how many seconds of the live system are measured with the largest network.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

results=benchmarks/results
clips="$(mktemp -d)"
trap 'rm -rf "${clips}"' EXIT
mkdir -p "${results}"

benchmark() {
  ros2 run weld_inspection benchmark "$@" --json "${results}/$1.json"
}

live() {
  python tools/measure_live.py --json "${results}/$1.json" "${@:2}"
}

ros2 run weld_inspection make_dataset preset tiny --out "${clips}/tiny"
benchmark train --rounds 3 --batch-size 2 --data "${clips}/tiny/train"
benchmark engine
benchmark growth --windows 5
benchmark offline
live live_bi_crrn_ed_attn --seconds "$1" --model bi_crrn_ed_attn
live live --seconds 110 --model bi_crrn_e
live live_sound_weld --seconds 110 --model bi_crrn_e --sound
live live_overload --seconds 110 --model bi_crrn_ed_attn --stride 1
live live_slow_engine --seconds 110 --model bi_crrn_ed_attn --image-size 280 158
