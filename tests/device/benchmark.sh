#!/usr/bin/env bash
# usage: started by launch/gpu_check.sh
# Whole training steps beside PyTorch's on the same device (tests/benchmark/training_step.py). Where there is no PyTorch, mpibert's alone.
set -euo pipefail
# shellcheck source=tests/device/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if ! command -v python3 >/dev/null; then
  result SKIPPED benchmark "no python3 here"
  exit 0
fi
options=(--program "$CHECK_PROGRAM" --device "$CHECK_DEVICE" --json "$CHECK_OUTPUT/benchmark.json")
if tiny; then
  peers=eager
  options+=(--cases toy-bf16 --repeats 1 --steps 1)
else
  peers=eager,compile
  options+=(--cases "large-s128-bf16,large-mix512-bf16,base-mrpc-bf16" --repeats 1 --steps 20 --threads "$(($(nproc) < 8 ? $(nproc) : 8))" --peer-seconds 60)
fi
if ! python3 -c 'import torch, transformers' 2>/dev/null; then
  peers=none
  result SKIPPED peers "python3 has no torch and transformers"
fi
# Each case is a result as soon as it is measured.
status=0
python3 "$root/tests/benchmark/training_step.py" "${options[@]}" --peers "$peers" | while read -r case rest; do result PASS "$case" "$rest"; done || status=$?
if [[ $status -ne 0 ]]; then result FAIL benchmark "training_step.py ended with $status"; fi
