#!/usr/bin/env bash
# usage: started by launch/gpu_check.sh
# One digest: pre-training on datasets/sample, dropout on, gives the same weights to the bit on one rank, on two that share the card, without CUDA graphs,
# and when it is killed and goes on with another number of ranks.
set -euo pipefail
# shellcheck source=tests/device/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

sample=$root/datasets/sample steps=200 precisions="fp32 bf16"
if tiny; then steps=8 precisions=bf16; fi
ranks 1 "$CHECK_PROGRAM" prepare --task pretraining --input "$sample/corpus.txt" --model "$sample/model" --output "$CHECK_OUTPUT/shards" --max-seq-length 64

# command PRECISION RUN: the words of the training
command_of() {
  training=("$CHECK_PROGRAM" pretrain --device "$CHECK_DEVICE" --precision "$1" --data "$CHECK_OUTPUT/shards" --model "$sample/model/config.json" --output-dir "$CHECK_OUTPUT/$2"
    --max-steps "$steps" --save-steps 2 --save-total-limit 3 --global-batch-size 16 --learning-rate 1e-3 --warmup-steps 2 --slots 4)
}
digest() { "$CHECK_PROGRAM" checkpoint digest "$CHECK_OUTPUT/$1" | cut -c1-64; }

# killed RUN: starts the training as one process, sends it SIGKILL once its first checkpoint stands, and says whether that came before its end
killed() {
  local pid status=0
  OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} "${training[@]}" >&2 &
  pid=$!
  while [[ ! -e $CHECK_OUTPUT/$1/checkpoints/LATEST ]] && kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
  kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" || status=$?
  [[ $status -eq 137 ]]
}

for precision in $precisions; do
  command_of "$precision" "$precision-1"
  ranks 1 "${training[@]}"
  expected=$(digest "$precision-1")
  command_of "$precision" "$precision-2"
  ranks 2 "${training[@]}"
  found=$(digest "$precision-2")
  if [[ $found == "$expected" ]]; then
    result PASS "ranks-$precision" "1 and 2 ranks: ${expected:0:16}..."
  else
    result FAIL "ranks-$precision" "1 rank $expected, 2 ranks $found"
  fi

  command_of "$precision" "$precision-no-graphs"
  ranks 1 "${training[@]}" --no-cuda-graphs
  found=$(digest "$precision-no-graphs")
  if [[ $found == "$expected" ]]; then
    result PASS "graphs-$precision" "with and without CUDA graphs: ${expected:0:16}..."
  else
    result FAIL "graphs-$precision" "with CUDA graphs $expected, without $found"
  fi

  command_of "$precision" "$precision-killed"
  if ! killed "$precision-killed"; then
    result FAIL "kill-$precision" "the run ended by itself before it could be killed"
    continue
  fi
  ranks 2 "${training[@]}"
  found=$(digest "$precision-killed")
  if [[ $found == "$expected" ]]; then
    result PASS "kill-$precision" "killed on 1 rank, resumed on 2: ${expected:0:16}..."
  else
    result FAIL "kill-$precision" "not stopped $expected, killed and resumed $found"
  fi
done
