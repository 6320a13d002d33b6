#!/usr/bin/env bash
# usage: datasets/sst2/prepare.sh (--vocab FILE | --model DIR) [--from DIR] [--raw DIR] [--output DIR] [--ranks N] [-- OPTION of mpibert prepare...]
# Stanford Sentiment Treebank, two classes, as in GLUE (67,349 / 872 / 1,821 phrases) -> shards in --output (default runs/data/sst2/shards).
#   --from DIR   no download: a folder with glue/SST-2/{train,dev,test}.tsv, or with these files themselves; default: MPIBERT_DATA if set
#   --raw DIR    where downloads go; default runs/data/sst2/raw
set -euo pipefail
# shellcheck source=datasets/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
usage() { sed -n '2,5s/^# \{0,1\}//p' "$0"; }
read_options sst2 "$@"

if [[ -n $from ]]; then
  folder=$(first_folder train.tsv "$from/glue/SST-2" "$from") || not_in_mirror glue/SST-2
else
  folder=$raw/SST-2
  fetch https://dl.fbaipublicfiles.com/glue/data/SST-2.zip "$raw/SST-2.zip"
  unzip -q -o "$raw/SST-2.zip" 'SST-2/*.tsv' -d "$raw"
  check_sha256 "$folder/train.tsv" 48eac26399f8456935f81dd9e3a745c1430adb6c62e233ccfe22db4a0d15d1d1
  check_sha256 "$folder/dev.tsv" 54a9c12c77e402fc14d6a66a506f24d999f596b0176eb777c972cccc2f9cc4b0
  check_sha256 "$folder/test.tsv" 69a938605609b3e6663b4487918fe1565eb293734e6e520d0366d1d412fd2a13
fi
prepare_shards sst2 "$folder"
