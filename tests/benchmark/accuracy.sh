#!/usr/bin/env bash
# usage: accuracy.sh PROGRAM TASK DATA MODEL OUTPUT [--seeds "1 2 3"] [--ranks 2] [--precision fp32] [--device cpu] [more options of mpibert finetune]
# Fine-tunes a pretrained model on mrpc or sst2 with several seeds and prints the scores of each and their mean; `evaluate` and `predict` with each
# saved model must give the same scores.
set -euo pipefail

if (($# < 5)); then
  sed -n '2,4p' "$0"
  exit 2
fi
program=$1 task=$2 data=$3 model=$4 output=$5
shift 5
seeds="42 43 44" ranks=2 precision=fp32 device=cpu options=()
while (($#)); do
  case $1 in
    --seeds) seeds=$2; shift 2 ;;
    --ranks) ranks=$2; shift 2 ;;
    --precision) precision=$2; shift 2 ;;
    --device) device=$2; shift 2 ;;
    *) options+=("$1"); shift ;;
  esac
done

here=$(cd "$(dirname "$0")/../.." && pwd)
case $task in  # the columns of the texts and of the label
  mrpc) columns=4,5 label=1 ;;
  sst2) columns=1 label=2 ;;
  *) echo "accuracy.sh: knows the tasks mrpc and sst2, not $task" >&2; exit 64 ;;
esac
mkdir -p "$output"
tail -n +2 "$data/dev.tsv" | tr -d '\r' | cut -f "$columns" >"$output/texts"
tail -n +2 "$data/dev.tsv" | tr -d '\r' | cut -f "$label" >"$output/labels"
for seed in $seeds; do
  run=$output/seed-$seed
  "$here/launch/local.sh" "$ranks" "$program" finetune --task "$task" --data "$data" --model "$model" --output-dir "$run" \
    --seed "$seed" --max-seq-length 128 --report-steps 50 --precision "$precision" --device "$device" "${options[@]}" >"$run.json"
  "$here/launch/local.sh" "$ranks" "$program" evaluate --task "$task" --data "$data" --model "$run" --precision "$precision" --device "$device" >"$run.evaluate.json"
  "$program" predict --task "$task" --model "$run" --input "$output/texts" --precision "$precision" --device "$device" >"$run.predict.jsonl"
  cat "$run.json"
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
labels = [int(line) for line in open(f"{sys.argv[1]}/labels")]
for row, seed in zip(rows, sys.argv[2:]):
    predicted = [json.loads(line)["probabilities"] for line in open(f"{sys.argv[1]}/seed-{seed}.predict.jsonl")]
    best = [max(range(len(p)), key=lambda i: list(p.values())[i]) for p in predicted]
    accuracy = sum(a == b for a, b in zip(best, labels, strict=True)) / len(labels)
    if abs(row["eval_accuracy"] - accuracy) > 1e-9:
        sys.exit(f"finetune says accuracy {row['eval_accuracy']}, predict {accuracy}")
for name in scores:
    values = [row[name] for row in rows]
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    print(f"{name[5:]:10} mean {statistics.mean(values):.4f}  deviation {spread:.4f}  " + " ".join(f"{v:.4f}" for v in values))
EOF
