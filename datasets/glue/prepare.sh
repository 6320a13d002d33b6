#!/usr/bin/env bash
# usage: datasets/glue/prepare.sh TASK (--vocab FILE | --model DIR) [--from DIR] [--raw DIR] [--output DIR] [--ranks N] [-- OPTION of mpibert prepare...]
# A task of GLUE as its archive has it: cola, qqp, stsb, mnli, qnli, rte or wnli -> shards in --output (default runs/data/TASK/shards). sst2 and mrpc have folders of
# their own.
#   --from DIR   no download: a folder with glue/{CoLA,QQP,STS-B,MNLI,QNLI,RTE,WNLI}/*.tsv, or with these files themselves; default: MPIBERT_DATA if set
#   --raw DIR    where downloads go; default runs/data/TASK/raw
set -euo pipefail
# shellcheck source=datasets/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
usage() { sed -n '2,6s/^# \{0,1\}//p' "$0"; }
task=${1:-}
case $task in
  cola) folder_name=CoLA archive=CoLA ;;
  qqp) folder_name=QQP archive=QQP-clean ;;
  stsb) folder_name=STS-B archive=STS-B ;;
  mnli) folder_name=MNLI archive=MNLI ;;
  qnli) folder_name=QNLI archive=QNLIv2 ;;
  rte) folder_name=RTE archive=RTE ;;
  wnli) folder_name=WNLI archive=WNLI ;;
  -h | --help) usage; exit 0 ;;
  *) usage >&2; echo "glue: the first word is the task, not '$task'" >&2; exit 2 ;;
esac
shift
read_options "$task" "$@"

if [[ -n $from ]]; then
  folder=$(first_folder train.tsv "$from/glue/$folder_name" "$from") || not_in_mirror "glue/$folder_name"
else
  folder=$raw/$folder_name
  fetch "https://dl.fbaipublicfiles.com/glue/data/$archive.zip" "$raw/$archive.zip"
  unzip -q -o "$raw/$archive.zip" "$folder_name/*.tsv" -d "$raw"
fi
prepare_shards "$task" "$folder"
