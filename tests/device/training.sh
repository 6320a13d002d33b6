#!/usr/bin/env bash
# usage: started by launch/gpu_check.sh
# Fine-tunes a pretrained model on MRPC by the recipe of tests/benchmark/recipes.py, in each reduced precision of the program, with three seeds; the
# mean of the scores must reach what the CPU reaches with the small model of datasets/models/minilm.sh. evaluate and predict must give the same
# scores (tests/benchmark/accuracy.py).
set -euo pipefail
# shellcheck source=tests/device/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

data=$CHECK_DATA model=$CHECK_MODEL seeds="42 43 44" length=() least_accuracy=0.775 least_f1=0.845
if tiny; then
  data=$root/datasets/sample/mrpc model=$root/datasets/sample/model/config.json seeds=42 length=(--max-steps 2) least_accuracy=0 least_f1=0
fi
for precision in bf16 fp16; do
  check=mrpc-$precision
  if ! "$CHECK_PROGRAM" finetune --help | grep -e '--precision ' | grep -qw "$precision"; then
    result SKIPPED "$check" "this build has no $precision"
  elif [[ $precision == fp16 && $CHECK_DEVICE == cpu ]]; then
    result SKIPPED "$check" "fp16 is computed on cards only"
  elif ! command -v python3 >/dev/null; then
    result SKIPPED "$check" "no python3 here"
  elif [[ -z $data || -z $model ]]; then
    result SKIPPED "$check" "no data or no model; give --data (a folder with MRPC's train.tsv and dev.tsv) and --model (a pretrained model folder)"
  elif # shellcheck disable=SC2086  # one word a seed
    ! python3 "$root/tests/benchmark/accuracy.py" mrpc "$CHECK_PROGRAM" "$data" "$model" "$CHECK_OUTPUT/$check" --device "$CHECK_DEVICE" --ranks 1 --precision "$precision" \
      --seeds $seeds -- "${length[@]}" >"$CHECK_OUTPUT/$check.log"; then
    result FAIL "$check" "see $CHECK_OUTPUT/$check.log"
  else
    mean() { awk -v name="$1" '$1 == name && $2 == "mean" {print $3}' "$CHECK_OUTPUT/$check.log"; }
    accuracy=$(mean accuracy) f1=$(mean f1)
    detail="accuracy $accuracy, F1 $f1, mean of seeds $seeds; expected $least_accuracy and $least_f1"
    if awk -v a="$accuracy" -v f="$f1" -v la="$least_accuracy" -v lf="$least_f1" 'BEGIN { exit !(a != "" && f != "" && a >= la && f >= lf) }'; then
      result PASS "$check" "$detail"
    else
      result FAIL "$check" "$detail"
    fi
  fi
done
