#!/usr/bin/env bash
# usage: datasets/wikipedia/prepare.sh (--vocab FILE | --model DIR) [--from DIR] [--raw DIR] [--output DIR] [--ranks N] [-- OPTION of mpibert prepare...]
# English Wikipedia -> pre-training shards in --output (default runs/data/wikipedia/shards).
#   --from DIR   no download: a folder with wiki/enwiki_extracted/AA/wiki_00 (WikiExtractor's output; .gz is fine), or such a folder itself;
#                default: MPIBERT_DATA if set
#   --raw DIR    where the dump (20 GB) and its text (15 GB) go; default runs/data/wikipedia/raw. Needs `pip install wikiextractor`
#   --ranks N    processes that tokenize; all cores are used with N = cores
set -euo pipefail
# shellcheck source=datasets/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
usage() { sed -n '2,7s/^# \{0,1\}//p' "$0"; }
read_options wikipedia "$@"

if [[ -n $from ]]; then
  folder=$(first_folder AA "$from/wiki/enwiki_extracted" "$from/wiki" "$from") || not_in_mirror wiki/enwiki_extracted
else
  if ! python3 -c 'import wikiextractor' 2>/dev/null; then
    echo "wikipedia: the dump is XML; its text is taken out by WikiExtractor: pip install wikiextractor" >&2
    exit 69
  fi
  folder=$raw/extracted
  fetch https://dumps.wikimedia.org/enwiki/latest/enwiki-latest-pages-articles.xml.bz2 "$raw/enwiki.xml.bz2"
  if [[ ! -e $folder/.whole ]]; then
    rm -rf "$folder"
    python3 -m wikiextractor.WikiExtractor "$raw/enwiki.xml.bz2" --output "$folder" --bytes 100M --processes "$(nproc)"
    touch "$folder/.whole"
  fi
fi
prepare_shards pretraining "$folder"
