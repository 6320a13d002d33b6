#!/usr/bin/env bash
# usage: started by launch/gpu_check.sh
# Every operation of the device beside the reference in double precision, with the tolerances that the CPU has: tests/ops.
set -euo pipefail
# shellcheck source=tests/device/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if tiny; then
  google_test operations ops_test "*LayerNorm*/cpu_fp32"
  google_test attention attention_test "*Formula/cpu_fp32"
else
  google_test operations ops_test "*/${CHECK_DEVICE}_*"
  google_test attention attention_test "*/${CHECK_DEVICE}_*"
  MPIBERT_TEST_ATTENTION=cudnn google_test attention-cudnn attention_test "*/${CHECK_DEVICE}_*"
fi
