#!/usr/bin/env bash
# usage: started by launch/gpu_check.sh
# Logits, losses, every gradient and ten steps of training of tiny BERTs as PyTorch computed them in double precision: tests/golden.
set -euo pipefail
# shellcheck source=tests/device/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

google_test golden golden_test "*${CHECK_DEVICE}*"
