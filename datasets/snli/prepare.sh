#!/usr/bin/env bash
# usage: datasets/snli/prepare.sh (--vocab FILE | --model DIR) [--from DIR] [--raw DIR] [--output DIR] [--ranks N] [-- OPTION of mpibert prepare...]
# Stanford Natural Language Inference 1.0 (550,152 / 10,000 / 10,000 pairs; those without a gold label are left out) -> shards in --output
# (default runs/data/snli/shards).
#   --from DIR   no download: a folder with snli/snli_1.0_{train,dev,test}.jsonl[.gz], or with these files themselves; default: MPIBERT_DATA if set
#   --raw DIR    where downloads go; default runs/data/snli/raw
set -euo pipefail
# shellcheck source=datasets/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
usage() { sed -n '2,6s/^# \{0,1\}//p' "$0"; }
read_options snli "$@"

if [[ -n $from ]]; then
  folder=$(first_folder "snli_1.0_dev.jsonl|snli_1.0_dev.jsonl.gz" "$from/snli" "$from") || not_in_mirror snli
else
  folder=$raw/snli_1.0
  fetch https://nlp.stanford.edu/projects/snli/snli_1.0.zip "$raw/snli_1.0.zip"
  unzip -q -o "$raw/snli_1.0.zip" 'snli_1.0/snli_1.0_*.jsonl' -d "$raw"
fi
prepare_shards snli "$folder"
