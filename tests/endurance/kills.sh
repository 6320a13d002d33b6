#!/usr/bin/env bash
# usage: tests/endurance/kills.sh PROGRAM OUTPUT [--trials 20] [--steps 200] [--precision fp32|bf16] [--seed 1]
# Pre-trains on datasets/sample and sends SIGKILL to a random rank at a random moment, one to three times a trial; each time the run is started
# again with another number of ranks, until it ends. Every trial must end with the digest of an uninterrupted run. Ends with 1 if one does not.
set -euo pipefail

if (($# < 2)); then
  sed -n '2,4s/^# \{0,1\}//p' "$0"
  exit 2
fi
program=$1 output=$2
shift 2
trials=20 steps=200 precision=fp32 RANDOM=1
while (($#)); do
  case $1 in
    --trials) trials=$2 ;;
    --steps) steps=$2 ;;
    --precision) precision=$2 ;;
    --seed) RANDOM=$2 ;;
    *) echo "kills: unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done
here=$(cd "$(dirname "$0")/../.." && pwd)
sample=$here/datasets/sample
export OMP_NUM_THREADS=1 MPIBERT_BIND=none OMPI_MCA_odls_base_sigkill_timeout=1
mkdir -p "$output"

# train RANKS RUN: in this process, so that its pid is mpirun's
train() {
  exec "$here/launch/local.sh" "$1" "$program" pretrain --data "$output/shards" --model "$sample/model/config.json" --output-dir "$2" --max-steps "$steps" --global-batch-size 32 \
    --learning-rate 1e-3 --warmup-steps 2 --slots 8 --save-steps 7 --precision "$precision" >>"$2.out" 2>>"$2.err"
}
digest() { "$program" checkpoint digest "$1" | cut -c1-64; }
milliseconds() { date +%s%3N; }

rm -rf "$output/shards" "$output"/run-*
"$program" prepare --task pretraining --input "$sample/corpus.txt" --model "$sample/model" --output "$output/shards" --max-seq-length 64 2>"$output/prepare.err"
start=$(milliseconds)
(train 2 "$output/run-whole")
whole=$(($(milliseconds) - start))
expected=$(digest "$output/run-whole")
echo "uninterrupted, $precision, $steps steps, $whole ms: $expected"

equal=0 killed=0
for ((trial = 1; trial <= trials; ++trial)); do
  run=$output/run-$trial story=""
  for ((kill_number = 1 + trial % 3; kill_number > 0; --kill_number)); do
    ranks=$((2 + RANDOM % 3)) victim=$((RANDOM % ranks)) delay=$((RANDOM * whole / 32768 + 50))
    (train "$ranks" "$run") &
    job=$!
    sleep "$((delay / 1000)).$(printf %03d $((delay % 1000)))"
    mapfile -t pids < <(pgrep -P "$job" -x "$(basename "$program")" || true)
    if ((${#pids[@]} > 0)) && kill -KILL "${pids[victim % ${#pids[@]}]}" 2>/dev/null; then
      killed=$((killed + 1))
      story+=" R=$ranks killed at $delay ms,"
    fi
    wait "$job" || true
  done
  ranks=$((1 + RANDOM % 4))
  if ! (train "$ranks" "$run"); then
    echo "trial $trial:$story R=$ranks failed:" >&2
    tail -3 "$run.err" >&2
    continue
  fi
  if [[ $(digest "$run") == "$expected" ]]; then
    equal=$((equal + 1))
    rm -rf "$run" "$run.out" "$run.err"
  fi
  echo "trial $trial:$story ended with R=$ranks: $equal of $trial equal"
done
echo "$equal of $trials trials ended with the weights of the uninterrupted run, after $killed kills"
((equal == trials))
