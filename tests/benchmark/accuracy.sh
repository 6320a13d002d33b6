#!/usr/bin/env bash
# usage: accuracy.sh PROGRAM TASK DATA MODEL OUTPUT [--seeds "1 2 3"] [--ranks 2] [more options of mpibert finetune]
# Fine-tunes a pretrained model on a real task with several seeds and prints the scores of each and their mean; `evaluate` on each saved model
# must give the same scores.
set -euo pipefail

if (($# < 5)); then
  sed -n '2,4p' "$0"
  exit 2
fi
program=$1 task=$2 data=$3 model=$4 output=$5
shift 5
seeds="42 43 44" ranks=2 options=()
while (($#)); do
  case $1 in
    --seeds) seeds=$2; shift 2 ;;
    --ranks) ranks=$2; shift 2 ;;
    *) options+=("$1"); shift ;;
  esac
done

here=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$output"
for seed in $seeds; do
  "$here/launch/local.sh" "$ranks" "$program" finetune --task "$task" --data "$data" --model "$model" --output-dir "$output/seed-$seed" \
    --seed "$seed" --max-seq-length 128 --report-steps 50 "${options[@]}" >"$output/seed-$seed.json"
  "$here/launch/local.sh" "$ranks" "$program" evaluate --task "$task" --data "$data" --model "$output/seed-$seed" >"$output/seed-$seed.evaluate.json"
  cat "$output/seed-$seed.json"
done
# shellcheck disable=SC2086  # one word a seed
python3 - "$output" $seeds <<'EOF'
import json, statistics, sys
rows = [json.load(open(f"{sys.argv[1]}/seed-{seed}.json")) for seed in sys.argv[2:]]
evaluated = [json.load(open(f"{sys.argv[1]}/seed-{seed}.evaluate.json")) for seed in sys.argv[2:]]
scores = [key for key in rows[0] if key.startswith("eval_") and key[5:] in evaluated[0]]
for row, again in zip(rows, evaluated):
    for name in scores:
        if abs(row[name] - again[name[5:]]) > (1e-6 if name == "eval_loss" else 0):
            sys.exit(f"finetune says {name} {row[name]}, evaluate {again[name[5:]]}")
for name in scores:
    values = [row[name] for row in rows]
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    print(f"{name[5:]:10} mean {statistics.mean(values):.4f}  deviation {spread:.4f}  " + " ".join(f"{v:.4f}" for v in values))
EOF
