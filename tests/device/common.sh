# Sourced by the checks of this folder, which launch/gpu_check.sh starts; it sets what they read:
#   CHECK_PROGRAM             mpibert
#   CHECK_TESTS               where the test programs are: a folder of them, or a build folder
#   CHECK_DEVICE              cuda, or cpu in a dry run
#   CHECK_TINY                1 in a dry run: sizes that prove the script, not the device
#   CHECK_OUTPUT              a folder for files
#   CHECK_DATA, CHECK_MODEL   MRPC's files and a pretrained model; empty if there are none
# A result is a line on stdout, "STATE CHECK DETAIL" with STATE one of PASS, FAIL and SKIPPED; all other words go to stderr. FAIL lines make the
# check fail, whatever it returns.
# shellcheck shell=bash

# shellcheck disable=SC2034  # the scripts that source this file use it
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# What one run measures, the next ones use: their bits are compared.
export MPIBERT_MATMUL_CACHE=$CHECK_OUTPUT/matmul-cache

result() { printf '%s\n' "$*"; }
tiny() { [[ $CHECK_TINY == 1 ]]; }
seconds_since() { awk -v start="$1" -v end="$(date +%s.%N)" 'BEGIN { printf "%.1f", end - start }'; }

# ranks N COMMAND...: on the ranks of this machine; ranks may share a card and a core
ranks() { OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} MPIBERT_BIND=none "$root/launch/local.sh" "$@" >&2; }

# test_program NAME: its path
test_program() {
  local path
  for path in "$CHECK_TESTS/$1" "$CHECK_TESTS"/tests/*/"$1"; do
    if [[ -x $path ]]; then
      echo "$path"
      return
    fi
  done
  return 1
}

# google_test CHECK PROGRAM FILTER [PREFIX...]: tests that all must pass; at least one must run
google_test() {
  local check=$1 name=$2 filter=$3 program start passed log status=0
  shift 3
  if ! program=$(test_program "$name"); then
    result FAIL "$check" "$name is not in $CHECK_TESTS; build it: launch/build.sh bundle device_tests"
    return
  fi
  start=$(date +%s.%N)
  log=$CHECK_OUTPUT/$check.log
  "$@" "$program" --gtest_filter="$filter" --gtest_brief=1 >"$log" 2>&1 || status=$?
  passed=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$log")
  if [[ $status -eq 0 && ${passed:-0} -gt 0 ]]; then
    result PASS "$check" "$passed tests in $(seconds_since "$start") s"
  elif [[ $status -eq 0 ]]; then
    result FAIL "$check" "no test of $name is called $filter"
  else
    result FAIL "$check" "$name ended with $status; $(grep -c '^\[  FAILED  \] [^0-9]' "$log" || true) lines of failed tests in $log"
  fi
}
