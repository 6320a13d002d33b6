#!/usr/bin/env bash
# usage: datasets/mrpc/prepare.sh (--vocab FILE | --model DIR) [--from DIR] [--raw DIR] [--output DIR] [--ranks N] [-- OPTION of mpibert prepare...]
# Microsoft Research Paraphrase Corpus, split as in GLUE (3,668 / 408 / 1,725 pairs) -> shards in --output (default runs/data/mrpc/shards).
#   --from DIR   no download: a folder with glue/MRPC/{train,dev,test}.tsv, or with these files themselves; default: MPIBERT_DATA if set
#   --raw DIR    where downloads go; default runs/data/mrpc/raw
set -euo pipefail
# shellcheck source=datasets/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
usage() { sed -n '2,5s/^# \{0,1\}//p' "$0"; }
read_options mrpc "$@"

# GLUE's own rule: rows of the training file whose pair of ids is listed are dev, the others train; test keeps no label, but a running index.
split_as_glue() {
  local header=$'\xef\xbb\xbfQuality\t#1 ID\t#2 ID\t#1 String\t#2 String'
  echo "$header" >"$raw/train.tsv"
  echo "$header" >"$raw/dev.tsv"
  awk -F '\t' -v OFS='\t' -v train="$raw/train.tsv" -v dev="$raw/dev.tsv" '
    { sub(/\r$/, "") }
    FILENAME == ARGV[1] { is_dev[$1, $2] = 1; next }
    FNR > 1 { print >> ((($2, $3) in is_dev) ? dev : train) }' "$raw/dev_ids.tsv" "$raw/msr_paraphrase_train.txt"
  awk -F '\t' -v OFS='\t' '{ sub(/\r$/, "") } FNR == 1 { print "index", "#1 ID", "#2 ID", "#1 String", "#2 String"; next }
    { print FNR - 2, $2, $3, $4, $5 }' "$raw/msr_paraphrase_test.txt" >"$raw/test.tsv"
}

if [[ -n $from ]]; then
  folder=$(first_folder train.tsv "$from/glue/MRPC" "$from") || not_in_mirror glue/MRPC
else
  folder=$raw
  base=https://dl.fbaipublicfiles.com/senteval/senteval_data
  fetch $base/msr_paraphrase_train.txt "$raw/msr_paraphrase_train.txt" 60a9b09084528f0673eedee2b69cb941920f0b8cd0eeccefc464a98768457f89
  fetch $base/msr_paraphrase_test.txt "$raw/msr_paraphrase_test.txt" a04e271090879aaba6423d65b94950c089298587d9c084bf9cd7439bd785f784
  fetch https://raw.githubusercontent.com/MegEngine/Models/master/official/nlp/bert/glue_data/MRPC/dev_ids.tsv "$raw/dev_ids.tsv" \
    971d7767d81b997fd9060ade0ec23c4fc31cbb226a55d1bd4a1bac474eb81dc7
  split_as_glue
  check_sha256 "$raw/train.tsv" 69abcedee3cf738c6ce58d772e43e1b7cdf5b4edee4aceda459c0d9f4e5599f3
  check_sha256 "$raw/dev.tsv" 9e8f284788040f7c9ecde2e1b3c07237c756f926bd9ef8548ef5d34b56f69f17
  check_sha256 "$raw/test.tsv" aee460ceda833926b8ab2ad952d399f5cf8bc9335cff19afcac03dc449558622
fi
prepare_shards mrpc "$folder"
