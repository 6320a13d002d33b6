#!/usr/bin/env bash
# usage: datasets/squad/prepare.sh (--vocab FILE | --model DIR) [--from DIR] [--raw DIR] [--output DIR] [--ranks N] [-- OPTION of mpibert prepare...]
# Stanford Question Answering Dataset 1.1 (87,599 / 10,570 questions) -> shards in --output (default runs/data/squad/shards).
#   --from DIR   no download: a folder with squad/{train,dev}-v1.1.json[.gz], or with these files themselves; default: MPIBERT_DATA if set
#   --raw DIR    where downloads go; default runs/data/squad/raw
# Version 2.0 (130,319 / 11,873 questions, of which some have no answer): SQUAD_VERSION=2.0 in the environment; default output runs/data/squad2/shards.
set -euo pipefail
# shellcheck source=datasets/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
usage() { sed -n '2,6s/^# \{0,1\}//p' "$0"; }
version=${SQUAD_VERSION:-1.1}
case $version in
  1.1) task=squad ;;
  2.0) task=squad2 ;;
  *) echo "squad: SQUAD_VERSION is $version, expected 1.1 or 2.0" >&2; exit 2 ;;
esac
read_options "$task" "$@"

if [[ -n $from ]]; then
  folder=$(first_folder "train-v$version.json|train-v$version.json.gz" "$from/squad" "$from") || not_in_mirror "squad/train-v$version.json"
else
  folder=$raw
  base=https://rajpurkar.github.io/SQuAD-explorer/dataset
  for split in train dev; do fetch "$base/$split-v$version.json" "$raw/$split-v$version.json"; done
fi
prepare_shards "$task" "$folder"
