#!/usr/bin/env bash
# usage: started by launch/gpu_check.sh
# NVIDIA's compute-sanitizer over tests of every operation: accesses out of bounds or misaligned, races in shared memory, wrong barriers.
set -euo pipefail
# shellcheck source=tests/device/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

find_sanitizer() {
  local path
  command -v compute-sanitizer && return
  for path in /usr/local/cuda*/bin/compute-sanitizer /usr/local/cuda*/compute-sanitizer/compute-sanitizer; do
    if [[ -x $path ]]; then
      echo "$path"
      return
    fi
  done
  return 1
}

if tiny; then
  result SKIPPED sanitizer "needs a card"
elif ! sanitizer=$(find_sanitizer); then
  result SKIPPED sanitizer "no compute-sanitizer in PATH or /usr/local/cuda*; it comes with the CUDA Toolkit"
else
  for tool in memcheck racecheck synccheck; do
    options=(--tool "$tool" --error-exitcode 86 --target-processes all)
    # Some tests provoke errors of the runtime's functions; those are no faults of a kernel.
    if [[ $tool == memcheck ]]; then options+=(--report-api-errors no); fi
    google_test "$tool" ops_test "*/cuda_bf16" timeout 38 "$sanitizer" "${options[@]}"
  done
fi
