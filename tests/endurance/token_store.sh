#!/usr/bin/env bash
# usage: tests/endurance/token_store.sh PROGRAM DATA MODEL OUTPUT [--megabytes 2000] [--kills 10] [--ranks "1 2 3 5"] [--seed 1]
# Text into a token store at scale: repeats the English text of DATA to so many megabytes, prepares it on every number of ranks and compares the files; kills a rank at a random moment, starts
# again on other ranks, as often as --kills says, and compares; fills the disk (by a limit on the size of files) and damages an input file: each must end with one clear error and lose nothing.
# Prints seconds, MB/s of text a core and peak memory of a rank. Ends with 1 when something differs.
#   DATA    a folder with wiki/enwiki_extracted and books      MODEL   a folder with the vocabulary
set -euo pipefail

if (($# < 4)); then
  sed -n '2,6s/^# \{0,1\}//p' "$0"
  exit 2
fi
program=$(realpath "$1") data=$2 model=$3 output=$4
shift 4
megabytes=2000 kills=10 ranks="1 2 3 5" RANDOM=1
while (($#)); do
  case $1 in
    --megabytes) megabytes=$2 ;;
    --kills) kills=$2 ;;
    --ranks) ranks=$2 ;;
    --seed) RANDOM=$2 ;;
    *) echo "token_store: unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done
here=$(cd "$(dirname "$0")/../.." && pwd)
export OMP_NUM_THREADS=1 MPIBERT_BIND=none OMPI_MCA_odls_base_sigkill_timeout=1
mkdir -p "$output"
corpus=$output/corpus failed=0
[[ -d $corpus ]] || python3 "$here/tests/endurance/repeat_corpus.py" "$data" "$corpus" "$megabytes"

# What each rank runs: the program, and behind it how much memory it took at most. FILE_LIMIT in the environment: bytes that a file may have.
measured='import os, resource, signal, subprocess, sys
if "FILE_LIMIT" in os.environ:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, [int(os.environ["FILE_LIMIT"])] * 2)
code = subprocess.call(sys.argv[2:], restore_signals=False)
open(sys.argv[1] + "." + os.environ.get("OMPI_COMM_WORLD_RANK", "0"), "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)'

# prepare RANKS FOLDER
prepare() {
  exec "$here/launch/local.sh" "$1" python3 -c "$measured" "$2.memory" "$program" prepare --task pretraining --input "$corpus" --model "$model" \
    --output "$2" --max-seq-length 128 >"$2.out" 2>"$2.err"
}
digests() { (cd "$1" && sha256sum -- *); }
fail() {
  echo "token_store: $*" >&2
  failed=1
}
# compare FOLDER WHEN
compare() {
  if [[ $(digests "$1") != "$expected" ]]; then fail "the files differ $2"; fi
}
# ended_with CODE FOLDER NAME: a preparation that had to fail did, with one error that names the cause
ended_with() {
  echo "exit code $1: $(grep -m 1 "error: " "$2.err" | cut -c10-)"
  if [[ -e $2/manifest.json ]] || ! grep -q "error: .*$3" "$2.err"; then fail "no error that names $3"; fi
}

expected=
for n in $ranks; do
  store=$output/store-$n
  rm -rf "$store" "$store".memory.*
  start=$(date +%s%3N)
  (prepare "$n" "$store")
  milliseconds=$(($(date +%s%3N) - start))
  bytes=$(grep -o '"bytes":[0-9]*' "$store/summary.json" | cut -d: -f2)
  memory=$(sort -n "$store".memory.* | tail -n 1)
  cores=$((n < $(nproc --all) ? n : $(nproc --all)))
  awk -v n="$n" -v ms="$milliseconds" -v bytes="$bytes" -v kib="$memory" -v cores="$cores" \
    'BEGIN { printf "%d ranks: %.1f s, %.0f MB of text, %.1f MB/s a core, at most %.0f MiB a rank\n", n, ms / 1e3, bytes / 1e6, bytes / ms / cores / 1e3, kib / 1024 }'
  expected=${expected:-$(digests "$store")}
  compare "$store" "on $n ranks"
  if ((n > 1)); then rm -rf "$store"; fi
done

store=$output/killed finished=0
rm -rf "$store"
for ((kill_number = 1; kill_number <= kills; ++kill_number)); do
  n=$((2 + RANDOM % 3)) delay=$((RANDOM * milliseconds / 32768 + 300))
  (prepare "$n" "$store") &
  job=$!
  sleep "$((delay / 1000)).$(printf %03d $((delay % 1000)))"
  mapfile -t pids < <(pgrep -f "^$program prepare .*--output $store " || true)
  if ((${#pids[@]} > 0)); then kill -KILL "${pids[RANDOM % ${#pids[@]}]}" || true; fi
  wait "$job" || true
  echo "kill $kill_number: $n ranks after $delay ms, $(find "$store/units" -type f ! -name '*.claim' 2>/dev/null | wc -l) units done"
  if ((kill_number == kills)); then (prepare 2 "$store"); fi
  if [[ -e $store/manifest.json ]]; then
    compare "$store" "after kill $kill_number"
    finished=$((finished + 1))
    rm -rf "$store"
  fi
done
if ((kills > 0)); then echo "$kills kills, $finished data sets finished and compared"; fi

# A limit on the size of files, less than a shard of tokens has, stands for a full disk: both let a write end short.
store=$output/full code=0
rm -rf "$store"
(FILE_LIMIT=$((16 << 20)) prepare 2 "$store") || code=$?
ended_with "$code" "$store" "$store"
if ((code != 74)); then fail "expected exit code 74 of a full disk"; fi
(prepare 2 "$store")
compare "$store" "after a full disk"

store=$output/damaged code=0
rm -rf "$store"
victim=$(find "$corpus" -name '*.gz' | sort | tail -n 1)
cp -p "$victim" "$output/kept.gz"
printf 'damage' | dd of="$victim" bs=1 seek=$(($(stat -c %s "$victim") / 2)) conv=notrunc status=none
touch -r "$output/kept.gz" "$victim"
(prepare 2 "$store") || code=$?
cp -p "$output/kept.gz" "$victim"
ended_with "$code" "$store" "$(basename "$victim")"
if ((code != 65)); then fail "expected exit code 65 of damaged input"; fi
units=$(find "$store/units" -type f ! -name '*.claim' | wc -l)
(prepare 2 "$store")
if ((units > 0)) && ! grep -q "$units of [0-9]* units were made before" "$store.err"; then fail "what was done before the damage was made again"; fi
compare "$store" "after damage was mended"
exit "$failed"
