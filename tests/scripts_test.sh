#!/usr/bin/env bash
# usage: tests/scripts_test.sh SOURCE_FOLDER
# Laws of every script of the project: it parses, is strict, says how it is used, and answers wrong use with 2; then what single scripts promise,
# with stand-ins for the programs they call.
set -euo pipefail
if [[ $# -ne 1 ]]; then
  echo "usage: tests/scripts_test.sh SOURCE_FOLDER" >&2
  exit 2
fi
cd "$1"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
checks=0

# expect WHAT WANTED FOUND
expect() {
  checks=$((checks + 1))
  if [[ "$2" != "$3" ]]; then
    failures=$((failures + 1))
    echo "FAILED: $1: expected '$2', found '$3'" >&2
  fi
}
# code COMMAND...: its exit code; its words are in $work/out and $work/err
code() {
  local result=0
  "$@" >"$work/out" 2>"$work/err" </dev/null || result=$?
  echo "$result"
}
stand_in() { # NAME BODY: a program in $work/bin
  mkdir -p "$work/bin"
  printf '#!/usr/bin/env bash\n%s\n' "$2" >"$work/bin/$1"
  chmod +x "$work/bin/$1"
}

mapfile -t scripts < <(find launch slurm datasets tests .ci -type f \( -name '*.sh' -o -name '*.sbatch' -o -path '.ci/run' \) | sort)
expect "number of scripts is plausible" yes "$([[ ${#scripts[@]} -ge 15 ]] && echo yes || echo "${#scripts[@]}")"
for script in "${scripts[@]}"; do
  expect "$script parses" 0 "$(code bash -n "$script")"
  [[ $script == */common.sh ]] && continue
  expect "$script says how it is used" yes "$(sed -n '2,3p' "$script" | grep -q '^# usage: ' && echo yes)"
  expect "$script is strict" yes "$(grep -q '^set -euo pipefail$' "$script" && echo yes)"
  expect "$script can be run" yes "$([[ -x $script ]] && echo yes)"
done
if command -v shellcheck >/dev/null; then
  expect "shellcheck" 0 "$(code shellcheck -x "${scripts[@]}")"
  cat "$work/out" >&2
fi

for script in launch/*.sh datasets/*/prepare.sh datasets/models/minilm.sh; do
  expect "$script --help" 0 "$(code "$script" --help)"
  expect "$script --help says usage" yes "$(grep -q "^usage: $script" "$work/out" && echo yes)"
done
for script in launch/install.sh launch/build.sh launch/local.sh launch/hosts.sh launch/quickstart.sh launch/bundle.sh launch/gpu_check.sh datasets/mrpc/prepare.sh datasets/models/minilm.sh; do
  expect "$script refuses an unknown option" 2 "$(code "$script" --no-such-option)"
done

# local.sh: exit code, threads, and flags for more ranks than cores.
# shellcheck disable=SC2016  # expanded by the stand-in
stand_in mpirun 'if [[ $1 == --version ]]; then echo "mpirun (Open MPI) 4.1.4"; exit; fi; echo "threads $OMP_NUM_THREADS yield ${OMPI_MCA_mpi_yield_when_idle:-0} $*"; exit 75'
expect "local.sh forwards the exit code" 75 "$(code env PATH="$work/bin:$PATH" launch/local.sh 2 true)"
expect "local.sh starts that many ranks" yes "$(grep -q -- '-n 2 .*true$' "$work/out" && echo yes)"
code env -u OMP_NUM_THREADS PATH="$work/bin:$PATH" launch/local.sh 9999 true >/dev/null
expect "local.sh shares cores" yes "$(grep -q '^threads 1 yield 1 .*--oversubscribe --bind-to none' "$work/out" && echo yes)"
expect "local.sh keeps OMP_NUM_THREADS" yes "$(code env OMP_NUM_THREADS=3 PATH="$work/bin:$PATH" launch/local.sh 1 true >/dev/null; grep -q '^threads 3 ' "$work/out" && echo yes)"
expect "local.sh wants a number of ranks" 2 "$(code launch/local.sh two true)"
expect "local.sh names a missing launcher" 69 "$(code env MPIBERT_MPIRUN=no-such-launcher launch/local.sh 2 true)"

# hosts.sh
printf '# two hosts\nn1 slots=4\nn2  # the other\n\n' >"$work/hosts"
expect "hosts.sh forwards the exit code" 75 "$(code env PATH="$work/bin:$PATH" OMP_NUM_THREADS=1 MPIBERT_INTERFACE=eth7 launch/hosts.sh "$work/hosts" 4 true)"
expect "hosts.sh names the hosts" yes "$(grep -q -- '-n 8 --host n1:4,n2:4 .*btl_tcp_if_include eth7.*-x OMP_NUM_THREADS.* true$' "$work/out" && echo yes)"
expect "hosts.sh misses its file" 66 "$(code launch/hosts.sh "$work/none" 4 true)"
: >"$work/empty"
expect "hosts.sh refuses an empty file" 65 "$(code launch/hosts.sh "$work/empty" 4 true)"

# test.sh fails when nothing is tested, though ctest be content.
mkdir -p "$work/tree/launch"
cp launch/test.sh "$work/tree/launch/"
printf '#!/bin/sh\n' | tee "$work/tree/launch/install.sh" >"$work/tree/launch/build.sh"
chmod +x "$work/tree/launch"/*.sh
mkdir -p "$work/tree/build/ci"
report() { # TESTS FAILURES SKIPPED: a ctest that writes such a report
  stand_in ctest "while [[ \$1 != --output-junit ]]; do shift; done
printf '<?xml version=\"1.0\"?>\n<testsuite name=\"a\"\n\ttests=\"$1\"\n\tfailures=\"$2\"\n\tdisabled=\"0\"\n\tskipped=\"$3\"\n>\n' >\"\$2\"; exit \$(($2 > 0))"
  code env PATH="$work/bin:$PATH" "$work/tree/launch/test.sh"
}
expect "test.sh passes" 0 "$(report 5 0 0)"
expect "test.sh says how many" yes "$(grep -q '^tests    5$' "$work/out" && echo yes)"
expect "test.sh fails without tests" 1 "$(report 0 0 0)"
expect "test.sh fails with a failure" 1 "$(report 5 1 0)"
expect "test.sh fails when tests did not run" 1 "$(report 5 0 1)"

# gpu_check.sh: what becomes of what the steps say, with steps that do as they are told.
check=$work/check
mkdir -p "$check"/{launch,tests/device,built}
cp launch/gpu_check.sh "$check/launch/"
step() { # NAME BODY
  printf '#!/usr/bin/env bash\n%s\n' "$2" >"$check/tests/device/$1.sh"
  chmod +x "$check/tests/device/$1.sh"
}
card() { # PROBLEM: an mpibert that finds a card
  stand_in mpibert "if [[ \$1 == doctor ]]; then echo '{\"cuda:0\":{\"value\":\"a card\",\"problem\":\"$1\",\"remedy\":\"\"}}'; else echo '{}'; fi"
  mv "$work/bin/mpibert" "$check/built/mpibert"
}
run_check() { code "$check/launch/gpu_check.sh" --build "$check/built" --output "$work/checked" "$@"; }
card ""
# shellcheck disable=SC2016
step parity 'echo "PASS adds on $CHECK_DEVICE"'
step golden 'echo "PASS good"; echo "FAIL bad \"quoted\" words"'
step training 'echo "PASS begun"; echo "its last words" >&2; exit 3'
step exactness ':'
step sanitizer 'echo "SKIPPED tool none here"'
step benchmark 'echo "PASS fast"'
expect "gpu_check.sh passes" 0 "$(run_check --steps parity,sanitizer)"
expect "gpu_check.sh computes on the card" yes "$(grep -q 'PASS *adds *on cuda$' "$work/out" && echo yes)"
expect "gpu_check.sh counts" yes "$(grep -q '^1 passed, 0 failed, 1 skipped' "$work/out" && echo yes)"
expect "gpu_check.sh fails" 1 "$(run_check)"
expect "gpu_check.sh goes on" yes "$(grep -q 'PASS *fast' "$work/out" && echo yes)"
expect "gpu_check.sh says what a step died of" yes "$(grep -q '^training *FAIL.*ended with 3.*its last words' "$work/out" && echo yes)"
expect "gpu_check.sh wants results" yes "$(grep -q '^exactness *FAIL.*checked nothing' "$work/out" && echo yes)"
expect "gpu_check.sh counts failures" yes "$(grep -q '"passed": 4, "failed": 3, "skipped": 1' "$work/checked/results.json" && echo yes)"
if command -v python3 >/dev/null; then expect "results.json" 0 "$(code python3 -m json.tool "$work/checked/results.json")"; fi
expect "only skipped is not passed" 1 "$(run_check --steps sanitizer)"
expect "gpu_check.sh knows its steps" 2 "$(run_check --steps parity,speed)"
card "taken"
expect "gpu_check.sh wants a card" 69 "$(run_check)"
# shellcheck disable=SC2016
step parity 'echo "PASS adds on $CHECK_DEVICE"'
expect "gpu_check.sh --dry-run wants none" 0 "$(run_check --dry-run --steps parity)"
expect "gpu_check.sh --dry-run computes on the CPU" yes "$(grep -q 'on cpu$' "$work/out" && echo yes)"
expect "gpu_check.sh misses its program" 66 "$(code launch/gpu_check.sh --build "$work/none")"

# slurm: which codes put the job back.
# shellcheck disable=SC2016
stand_in scontrol 'echo "$*" >>"$REQUEUED"'
for result in 0 1 65 75 76 79 80; do
  stand_in srun "exit $result"
  rm -f "$work/requeued"
  expect "finetune.sbatch returns $result" "$result" \
    "$(code env PATH="$work/bin:$PATH" REQUEUED="$work/requeued" SLURM_JOB_ID=17 TASK=mrpc DATA=d MODEL=m RUN=r slurm/finetune.sbatch)"
  wanted=$(case $result in 75 | 76 | 80) echo "requeue 17" ;; esac)
  expect "requeue after $result" "$wanted" "$(cat "$work/requeued" 2>/dev/null || true)"
done
stand_in srun 'exit 75'
rm -f "$work/requeued"
code env PATH="$work/bin:$PATH" REQUEUED="$work/requeued" SLURM_JOB_ID=17 SLURM_RESTART_COUNT=100 TASK=mrpc DATA=d MODEL=m RUN=r slurm/finetune.sbatch >/dev/null
expect "not for ever" no "$([[ -e $work/requeued ]] && echo yes || echo no)"
expect "pretrain.sbatch wants its settings" 2 "$(code env -u DATA slurm/pretrain.sbatch)"

# datasets: a mirror is found in both layouts, its lack is no reason to go to the network.
# shellcheck disable=SC2016
stand_in mpibert 'echo "$*"'
stand_in curl 'echo "the network was used" >&2; exit 1'
# shellcheck disable=SC2016
stand_in mpirun 'if [[ $1 == --version ]]; then echo other; exit; fi; shift 2; exec "$@"'
prepare() { # TASK OPTION...
  local script=datasets/$1/prepare.sh
  shift
  code env -u MPIBERT_DATA PATH="$work/bin:$PATH" MPIBERT_PROGRAM="$work/bin/mpibert" "$script" --model datasets/sample/model "$@"
}
mkdir -p "$work/mirror/glue" "$work/mirror/wiki"
cp -r datasets/sample/mrpc "$work/mirror/glue/MRPC"
cp -r datasets/sample/sst2 "$work/mirror/glue/SST-2"
cp -r datasets/sample/snli "$work/mirror/snli"
cp -r datasets/sample/squad "$work/mirror/squad"
cp -r datasets/sample/swag "$work/mirror/swag"
cp -r datasets/sample/wiki "$work/mirror/wiki/enwiki_extracted"
for row in "mrpc mrpc glue/MRPC mrpc" "sst2 sst2 glue/SST-2 sst2" "snli snli snli snli" "squad squad squad squad" "swag swag swag swag" "wikipedia pretraining wiki/enwiki_extracted wiki"; do
  read -r name task inside sample <<<"$row"
  expect "$name from a mirror" 0 "$(prepare "$name" --from "$work/mirror" --output "$work/shards")"
  expect "$name input" "prepare --task $task --input $work/mirror/$inside --model datasets/sample/model --output $work/shards" "$(cat "$work/out")"
  expect "$name from its own files" 0 "$(prepare "$name" --from "datasets/sample/$sample" --output "$work/shards" -- --seed 7)"
  expect "$name passes options on" yes "$(grep -q -- "--input datasets/sample/$sample .*--seed 7$" "$work/out" && echo yes)"
  expect "$name not in the mirror" 66 "$(prepare "$name" --from "$work/bin")"
done
expect "mrpc without network" 74 "$(prepare mrpc --raw "$work/raw")"
expect "mrpc names the way out" yes "$(grep -q -- '--from DIR' "$work/err" && echo yes)"

# The sample is what its generator writes.
if command -v python3 >/dev/null; then
  expect "generate.py" 0 "$(code python3 datasets/sample/generate.py "$work/sample")"
  expect "the sample is what its generator writes" "" "$(diff -rq "$work/sample" datasets/sample | grep -v 'generate.py\|README.md\|__pycache__' || true)"
fi
expect "the sample is small" yes "$([[ $(du -sk --apparent-size datasets/sample | cut -f 1) -lt 900 ]] && echo yes)"

echo "$checks checks, $failures failed"
[[ $failures -eq 0 && $checks -gt 100 ]]
