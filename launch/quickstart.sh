#!/usr/bin/env bash
# usage: launch/quickstart.sh [RANKS]
# From a bare machine to a fine-tuned model in a few minutes: installs, builds, then with RANKS ranks (default 2) on datasets/sample prepares
# shards, pre-trains a tiny BERT, fine-tunes it on sentence pairs and evaluates it. All it makes lies in runs/quickstart, made anew each time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case "${1:-}" in
  -h | --help) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
ranks=${1:-2}
if [[ $# -gt 1 || ! $ranks =~ ^[1-9][0-9]*$ ]]; then
  sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi

sample=datasets/sample
run=runs/quickstart
mpibert=build/release/mpibert
started=$SECONDS

# step NAME COMMAND...: its words go to NAME.log, so that one screen holds the whole story; a failure shows them.
step() {
  local name=$1 began=$SECONDS
  shift
  printf '%-12s ' "$name"
  if ! "$@" >"$run/$name.out" 2>"$run/$name.log"; then
    echo "FAILED"
    tail -n 30 "$run/$name.log" >&2
    echo "quickstart: $name failed: $*" >&2
    exit 1
  fi
  echo "$((SECONDS - began)) s"
}

# numbers NAME FILE: the first value of a field in every line that is no event; one JSON object a line
numbers() {
  awk -v name="$1" '!/"event"/ && match($0, "\"" name "\": *[-0-9.e+]+") { text = substr($0, RSTART, RLENGTH); sub(/.*: */, "", text); print text }' "$2"
}
first_and_last() { numbers "$1" "$2" | awk 'NR == 1 {first = $1} {last = $1} END {printf "%.3f -> %.3f", first, last}'; }

rounded() { numbers "$1" "$run/evaluate.out" | awk '{printf "%.3f", $1}'; }

./launch/install.sh
rm -rf "$run"
mkdir -p "$run"
step build ./launch/build.sh release
# Settings of other runs must not leak into this one.
for name in $(compgen -e MPIBERT_ || true); do
  [[ $name == MPIBERT_MPIRUN || $name == MPIBERT_BIND ]] || unset "$name"
done

step prepare ./launch/local.sh "$ranks" "$mpibert" prepare --task pretraining --input "$sample/corpus.txt" --model "$sample/model" \
  --output "$run/shards" --max-seq-length 64
step pretrain ./launch/local.sh "$ranks" "$mpibert" pretrain --data "$run/shards" --model "$sample/model" --output-dir "$run/pretrained" \
  --max-steps 200 --global-batch-size 32 --learning-rate 1e-3 --warmup-steps 20 --save-steps 100
step finetune ./launch/local.sh "$ranks" "$mpibert" finetune --task mrpc --data "$sample/mrpc" --model "$run/pretrained" --output-dir "$run/finetuned" \
  --num-epochs 3 --global-batch-size 16 --learning-rate 5e-4 --warmup-ratio 0.1 --max-seq-length 64
step evaluate ./launch/local.sh "$ranks" "$mpibert" evaluate --task mrpc --data "$sample/mrpc" --model "$run/finetuned"
printf 'the baker sliced the bread .\tthe bread was cut by the baker .\nthe sailor painted the boat .\tno sailor painted the boat .\n' >"$run/pairs.tsv"
step predict "$mpibert" predict --task mrpc --model "$run/finetuned" --input "$run/pairs.tsv"

checkpoint=$("$mpibert" checkpoint ls "$run/finetuned" | awk '{last = $1} END {print last}')
cat <<END

pre-training    loss $(first_and_last loss "$run/pretrained/metrics.jsonl") in $(numbers step "$run/pretrained/metrics.jsonl" | tail -n 1) steps, $ranks ranks
fine-tuning     loss $(first_and_last loss "$run/finetuned/metrics.jsonl") in $(numbers step "$run/finetuned/metrics.jsonl" | tail -n 1) steps
dev pairs       accuracy $(rounded accuracy), F1 $(rounded f1) of $(numbers count "$run/evaluate.out") pairs
in all          $((SECONDS - started)) s

program         $mpibert          $mpibert --help
shards          $run/shards
pre-trained     $run/pretrained
fine-tuned      $run/finetuned
model folder    $checkpoint   (also a Hugging Face model folder)
logs            $run/*.log
two pairs       $run/pairs.tsv, labelled:
$(sed 's/^/                /' "$run/predict.out")

next            README.md, "Your own data"
END
