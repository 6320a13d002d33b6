#!/usr/bin/env bash
# usage: datasets/wikipedia/prepare.sh (--vocab FILE | --model DIR) [--from DIR] [--raw DIR] [--output DIR] [--ranks N] [-- OPTION of mpibert prepare...]
# English Wikipedia -> pre-training shards in --output (default runs/data/wikipedia/shards).
#   --from DIR   no download: a folder with wiki/enwiki_extracted/AA/wiki_00 (WikiExtractor's output; .gz is fine), or such a folder itself;
#                default: MPIBERT_DATA if set
#   --raw DIR    where the dump (23 GB) goes; default runs/data/wikipedia/raw
#   --ranks N    processes that tokenize; all cores are used with N = cores
set -euo pipefail
# shellcheck source=datasets/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
usage() { sed -n '2,7s/^# \{0,1\}//p' "$0"; }
read_options wikipedia "$@"

if [[ -n $from ]]; then
  input=$(first_folder AA "$from/wiki/enwiki_extracted" "$from/wiki" "$from") || not_in_mirror wiki/enwiki_extracted
else
  input=$raw/enwiki-multistream.xml.bz2
  fetch https://dumps.wikimedia.org/enwiki/latest/enwiki-latest-pages-articles-multistream.xml.bz2 "$input"
fi
prepare_shards pretraining "$input"
