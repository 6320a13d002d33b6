#!/usr/bin/env bash
# usage: tests/endurance/digests.sh PROGRAM DATA MODEL OUTPUT [--steps 20] [--ranks "1 2 3 4 8"] [--threads "1 2"] [--precisions "fp32 bf16"]
# One digest on real data: prepares MRPC and the Wikipedia extract with 1 and 3 ranks and compares the shards; then fine-tunes MODEL on MRPC and
# pre-trains an L4 H256 from scratch, dropout on, with every number of ranks and threads, and compares `checkpoint digest`. Ends with 1 at a difference.
#   DATA    a folder with glue/MRPC and wiki/enwiki_extracted
#   MODEL   a pretrained uncased model, such as datasets/models/minilm.sh brings
set -euo pipefail

if (($# < 4)); then
  sed -n '2,6s/^# \{0,1\}//p' "$0"
  exit 2
fi
program=$1 data=$2 model=$3 output=$4
shift 4
steps=20 ranks="1 2 3 4 8" threads="1 2" precisions="fp32 bf16"
while (($#)); do
  case $1 in
    --steps) steps=$2 ;;
    --ranks) ranks=$2 ;;
    --threads) threads=$2 ;;
    --precisions) precisions=$2 ;;
    *) echo "digests: unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done
here=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$output"
failed=0

# run RANKS THREADS LOG ARGUMENT...
run() {
  local n=$1 t=$2 log=$3
  shift 3
  OMP_NUM_THREADS=$t MPIBERT_BIND=none "$here/launch/local.sh" "$n" "$program" "$@" >"$log.out" 2>"$log.err" || {
    echo "digests: mpibert $1 on $n ranks ended with $?:" >&2
    tail -5 "$log.err" >&2
    exit 1
  }
}

# prepare NAME TASK INPUT
prepare() {
  local n
  for n in 1 3; do
    rm -rf "${output:?}/shards-$1-$n"
    run "$n" 1 "$output/prepare-$1-$n" prepare --task "$2" --input "$3" --model "$model" --output "$output/shards-$1-$n" --max-seq-length 128
  done
  if diff -rq "$output/shards-$1-1" "$output/shards-$1-3"; then
    echo "$1: shards of 1 and of 3 ranks are identical ($(du -sh "$output/shards-$1-1" | cut -f1))"
  else
    failed=1
  fi
}

# compare NAME COMMAND SHARDS ARGUMENT...: one digest for all ranks, threads
compare() {
  local name=$1 command=$2 shards=$3 precision n t folder digest expected
  shift 3
  for precision in $precisions; do
    expected=
    for n in $ranks; do
      for t in $threads; do
        folder=$output/$name-$precision-$n-$t
        rm -rf "$folder"
        run "$n" "$t" "$folder" "$command" --data "$shards" --output-dir "$folder" --precision "$precision" --max-steps "$steps" --slots 8 --seed 42 "$@"
        digest=$("$program" checkpoint digest "$folder" | cut -c1-64)
        expected=${expected:-$digest}
        if [[ $digest == "$expected" ]]; then
          rm -rf "$folder"
        else
          echo "$name $precision: $n ranks x $t threads gave $digest, not $expected" >&2
          failed=1
        fi
      done
    done
    echo "$name $precision, $steps steps: ranks $ranks x threads $threads: $expected"
  done
}

prepare mrpc mrpc "$data/glue/MRPC"
prepare wikipedia pretraining "$data/wiki/enwiki_extracted"
compare mrpc finetune "$output/shards-mrpc-1" --task mrpc --model "$model" --global-batch-size 16 --learning-rate 5e-5
compare wikipedia pretrain "$output/shards-wikipedia-1" --model "$here/launch/configs/models/L4-H256.json" --global-batch-size 64 --learning-rate 1e-4 --warmup-steps 5
exit "$failed"
