#!/usr/bin/env bash
# usage: launch/gpu_check.sh [--steps parity,golden,training,exactness,sanitizer,benchmark] [--output DIR] [--data DIR] [--model DIR] [--build DIR] [--dry-run]
# Everything that can be checked on a card, in one go of less than 10 minutes or in steps. A step that fails or hangs does not stop the others. Works
# in a checkout and in an unpacked bundle (launch/bundle.sh). Ends with 1 when a check failed and with 69 when there is no card.
#   --steps    the steps to run, in any order; default: all
#   --output   folder of results.json, results.md and the logs; default: gpu-check
#   --data     MRPC's files (train.tsv, dev.tsv), or a mirror of raw data with glue/MRPC; default: $MPIBERT_DATA
#   --model    a pretrained uncased model, such as datasets/models/minilm.sh brings; default: runs/models/minilm
#   --build    build folder with the program and its device_tests; default: the bundle, else build/bundle, in a dry run build/ci
#   --dry-run  every command on the CPU with tiny sizes: proves the script, not the card
set -euo pipefail

all_steps=(parity golden training exactness sanitizer benchmark)
declare -A limits=([parity]=45 [golden]=30 [training]=175 [exactness]=55 [sanitizer]=120 [benchmark]=170)  # seconds on a card; together less than 10 minutes

usage() { sed -n '2,10s/^# \{0,1\}//p' "$0"; }
fail() {
  echo "gpu_check: $2" >&2
  exit "$1"
}

steps=${all_steps[*]} output=gpu-check data=${MPIBERT_DATA:-} model="" build="" dry=0
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --dry-run) dry=1; shift; continue ;;
    --steps | --output | --data | --model | --build) (($# >= 2)) || fail 2 "$1 wants a value" ;;
    *) usage >&2; exit 2 ;;
  esac
  case $1 in
    --steps) steps=${2//,/ } ;;
    --output) output=$2 ;;
    --data) data=$2 ;;
    --model) model=$2 ;;
    --build) build=$2 ;;
  esac
  shift 2
done
for step in $steps; do
  [[ -n ${limits[$step]:-} ]] || fail 2 "there is no step $step; the steps are ${all_steps[*]}"
done

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [[ -n $build ]]; then
  CHECK_PROGRAM=$build/mpibert CHECK_TESTS=$build
elif [[ -e $root/BUNDLE ]]; then
  CHECK_PROGRAM=$root/bin/mpibert CHECK_TESTS=$root/bin PATH=$root/bin:$PATH
else
  CHECK_TESTS=$root/build/$( ((dry)) && echo ci || echo bundle)
  CHECK_PROGRAM=$CHECK_TESTS/mpibert
fi
[[ -x $CHECK_PROGRAM ]] || fail 66 "there is no $CHECK_PROGRAM; build it with launch/build.sh bundle mpibert_program device_tests, or say with --build where it is"
if [[ -d $data/glue/MRPC ]]; then data=$data/glue/MRPC; fi
if ((dry)); then data=""; fi
if [[ -n $data && ! -e $data/dev.tsv ]]; then fail 66 "$data has neither dev.tsv nor glue/MRPC"; fi
if [[ -z $model && -d $root/runs/models/minilm ]]; then model=$root/runs/models/minilm; fi
doctor=$("$CHECK_PROGRAM" doctor --json) || fail 69 "$CHECK_PROGRAM does not run here; see its message above"
versions=$("$CHECK_PROGRAM" --version --json)
usable='"cuda:[0-9]+":\{"value":"[^"]*","problem":""'
if ! ((dry)) && [[ ! $doctor =~ $usable ]]; then
  fail 69 "mpibert finds no card that it can use ('$CHECK_PROGRAM doctor' says why); --dry-run tries the script on the CPU"
fi

rm -rf "${output:?}"/{results.json,results.md,results.tsv} "${all_steps[@]/#/$output/}"
mkdir -p "$output"
output=$(cd "$output" && pwd)
export CHECK_PROGRAM CHECK_TESTS CHECK_DATA=$data CHECK_MODEL=$model CHECK_TINY=$dry MPIBERT_SOURCE_DIR=$root PATH
CHECK_DEVICE=$( ((dry)) && echo cpu || echo cuda)
patience=$( ((dry)) && echo 5 || echo 1)  # machines that have no card are slow, and often busy
export CHECK_DEVICE
# Settings of other runs must not leak into this one.
for name in $(compgen -e MPIBERT_ || true); do
  case $name in MPIBERT_MPIRUN | MPIBERT_SOURCE_DIR | MPIBERT_BUNDLE_*) ;; *) unset "$name" ;; esac
done

# record STEP STATE CHECK DETAIL: a row of the results, shown at once
record() {
  printf '%s\t%s\t%s\t%s\n' "${@//$'\t'/ }" >>"$output/results.tsv"
  printf '%-10s %-8s %-18s %s\n' "$@"
}
# run STEP: its results, each as it comes
run() {
  local step=$1 limit=$((limits[$1] * patience)) state check detail status=0 began=$SECONDS
  mkdir -p "$output/$step"
  CHECK_OUTPUT=$output/$step timeout --kill-after=15 "$limit" "$root/tests/device/$step.sh" 2>"$output/$step/log" >"$output/$step/results" || status=$?
  while read -r state check detail; do record "$step" "$state" "$check" "$detail"; done <"$output/$step/results"
  if [[ $status -eq 124 || $status -eq 137 ]]; then
    record "$step" FAIL "$step" "not done after $limit s; see $output/$step"
  elif [[ $status -ne 0 ]]; then
    record "$step" FAIL "$step" "ended with $status; see $output/$step/log: $(tail -n 1 "$output/$step/log")"
  elif [[ ! -s $output/$step/results ]]; then
    record "$step" FAIL "$step" "checked nothing"
  fi
  times+=("\"$step\": $((SECONDS - began))")
}
times=()
for step in $steps; do run "$step"; done

# text STRING: as JSON
text() {
  local escaped=${1//[[:cntrl:]]/ }
  escaped=${escaped//\\/\\\\}
  printf '"%s"' "${escaped//\"/\\\"}"
}
count() { awk -F '\t' -v state="$1" '$2 == state {n++} END {print n + 0}' "$output/results.tsv"; }
passed=$(count PASS) failed=$(count FAIL) skipped=$(count SKIPPED)
if [[ -e $root/BUNDLE ]]; then commit=$(sed -n 's/^commit //p' "$root/BUNDLE"); else commit=$(git -C "$root" describe --always --dirty 2>/dev/null || echo unknown); fi
{
  printf '{"commit": %s, "date": "%s", "dry_run": %s,\n "versions": %s,\n "machine": %s,\n' "$(text "$commit")" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$( ((dry)) && echo true || echo false)" "$versions" "$doctor"
  printf ' "passed": %d, "failed": %d, "skipped": %d,\n "seconds": {%s},\n "checks": [' "$passed" "$failed" "$skipped" "$(IFS=,; echo "${times[*]}")"
  separator=""
  while IFS=$'\t' read -r step state check detail; do
    printf '%s\n  {"step": "%s", "check": "%s", "state": "%s", "detail": %s}' "$separator" "$step" "$check" "$state" "$(text "$detail")"
    separator=,
  done <"$output/results.tsv"
  printf '\n ],\n "benchmark": %s}\n' "$(cat "$output/benchmark/benchmark.json" 2>/dev/null || echo null)"
} >"$output/results.json"
{
  printf '| step | check | result | |\n|---|---|---|---|\n'
  awk -F '\t' '{printf "| %s | %s | %s | %s |\n", $1, $3, $2, $4}' "$output/results.tsv"
} >"$output/results.md"
rm "$output/results.tsv"
echo "$passed passed, $failed failed, $skipped skipped in $SECONDS s; $output/results.json, $output/results.md"
[[ $failed -eq 0 && $passed -gt 0 ]]
