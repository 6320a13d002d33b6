# Sourced by datasets/*/prepare.sh; not run by itself.
# shellcheck shell=bash
# shellcheck disable=SC2034  # the variables are for the scripts that source this file
# What the scripts have in common: their options, downloading with a check, and the call of `mpibert prepare`.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# read_options NAME "$@": fills from, output, raw, tokenizer (an array), ranks and more (words after --).
read_options() {
  local name=$1
  shift
  from=${MPIBERT_DATA:-}
  raw=$root/runs/data/$name/raw
  output=$root/runs/data/$name/shards
  tokenizer=()
  ranks=1
  more=()
  while [[ $# -gt 0 ]]; do
    case $1 in
      -h | --help) usage; exit 0 ;;
      --from | --raw | --output | --vocab | --model | --ranks)
        if [[ $# -lt 2 ]]; then
          echo "$name: $1 needs a value" >&2
          exit 2
        fi
        case $1 in
          --from) from=$2 ;;
          --raw) raw=$2 ;;
          --output) output=$2 ;;
          --ranks) ranks=$2 ;;
          *) tokenizer=("$1" "$2") ;;
        esac
        shift 2
        ;;
      --) shift; more=("$@"); break ;;
      *) usage >&2; echo "$name: unknown option $1" >&2; exit 2 ;;
    esac
  done
  if [[ ${#tokenizer[@]} -eq 0 ]]; then
    usage >&2
    echo "$name: give --vocab FILE or --model DIR; datasets/models/minilm.sh fetches a model with the usual vocabulary" >&2
    exit 2
  fi
  if [[ -n $from && ! -d $from ]]; then
    echo "$name: no folder $from" >&2
    exit 66
  fi
}

# has_sha256 FILE DIGEST
has_sha256() { [[ "$(sha256sum "$1" | cut -d ' ' -f 1)" == "$2" ]]; }

# check_sha256 FILE DIGEST
check_sha256() {
  has_sha256 "$1" "$2" && return
  echo "datasets: $1 is not the file it should be: SHA-256 $(sha256sum "$1" | cut -d ' ' -f 1), expected $2. Remove it and try again." >&2
  exit 65
}

# fetch URL FILE [SHA256]: keeps a file that is there and right. The name appears when the file is whole.
fetch() {
  if [[ -f $2 ]] && { [[ -z ${3:-} ]] || has_sha256 "$2" "$3"; }; then return; fi
  mkdir -p "$(dirname "$2")"
  echo "datasets: $1" >&2
  if ! curl --fail --location --silent --show-error --retry 3 --connect-timeout 30 --output "$2.part" "$1"; then
    rm -f "$2.part"
    echo "datasets: cannot download $1. Without internet give --from DIR, a folder that holds the data already." >&2
    exit 74
  fi
  [[ -z ${3:-} ]] || check_sha256 "$2.part" "$3"
  mv "$2.part" "$2"
}

# first_folder FILE FOLDER...: the first of the folders that holds the file; a FILE of several words separated by | is any of them.
first_folder() {
  local names folder name
  IFS='|' read -ra names <<<"$1"
  shift
  for folder in "$@"; do
    for name in "${names[@]}"; do
      if [[ -e $folder/$name ]]; then
        echo "$folder"
        return
      fi
    done
  done
  return 1
}

# The mirror was asked for, so its lack is an error and not a reason to go to the network.
not_in_mirror() {
  echo "datasets: $from holds neither $1 nor these files themselves" >&2
  exit 66
}

# prepare_shards TASK INPUT...
prepare_shards() {
  local task=$1 program=${MPIBERT_PROGRAM:-$root/build/release/mpibert}
  shift
  if [[ ! -x $program ]]; then
    echo "datasets: no $program; run launch/build.sh first" >&2
    exit 69
  fi
  "$root/launch/local.sh" "$ranks" "$program" prepare --task "$task" --input "$@" "${tokenizer[@]}" --output "$output" "${more[@]}"
}
