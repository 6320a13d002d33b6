#!/usr/bin/env bash
# usage: datasets/swag/prepare.sh (--vocab FILE | --model DIR) [--from DIR] [--raw DIR] [--output DIR] [--ranks N] [-- OPTION of mpibert prepare...]
# Situations With Adversarial Generations (73,546 / 20,006 / 20,005 rows of four endings) -> shards in --output (default runs/data/swag/shards).
#   --from DIR   no download: a folder with swag/{train,val,test}.csv, or with these files themselves; default: MPIBERT_DATA if set
#   --raw DIR    where downloads go; default runs/data/swag/raw
set -euo pipefail
# shellcheck source=datasets/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
usage() { sed -n '2,5s/^# \{0,1\}//p' "$0"; }
read_options swag "$@"

if [[ -n $from ]]; then
  folder=$(first_folder "val.csv|val.csv.gz" "$from/swag" "$from") || not_in_mirror swag
else
  folder=$raw
  for split in train val test; do
    fetch "https://raw.githubusercontent.com/rowanz/swagaf/master/data/$split.csv" "$raw/$split.csv"
  done
fi
prepare_shards swag "$folder"
