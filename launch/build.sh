#!/usr/bin/env bash
# usage: launch/build.sh [PRESET] [TARGET...]
# Configures and builds one preset of CMakePresets.json: release (default), cuda, ci, dev, tsan. The program is build/PRESET/mpibert.
#   MPIBERT_JOBS   compilers at once; default: cores, but at most one for every 2 GiB of free memory
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() { sed -n '2,4s/^# \{0,1\}//p' "$0"; }
case "${1:-}" in
  -h | --help) usage; exit 0 ;;
  -*) usage >&2; exit 2 ;;
esac
preset=${1:-release}
[[ $# -gt 0 ]] && shift

jobs=${MPIBERT_JOBS:-}
if [[ -z $jobs ]]; then
  jobs=$(nproc)
  free_gib=$(awk '/^MemAvailable/ {print int($2 / 1048576)}' /proc/meminfo 2>/dev/null || echo 4)
  by_memory=$((free_gib / 2 > 1 ? free_gib / 2 : 1))
  jobs=$((jobs < by_memory ? jobs : by_memory))
fi

configure=(cmake --preset "$preset")
command -v ccache >/dev/null && configure+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
# The log of configuring is of interest only when it fails.
mkdir -p build
if ! "${configure[@]}" >"build/configure-$preset.log" 2>&1; then
  cat "build/configure-$preset.log" >&2
  echo "build: configuring failed. launch/install.sh --check tells what is missing." >&2
  exit 1
fi
build=(cmake --build --preset "$preset" --parallel "$jobs")
[[ $# -gt 0 ]] && build+=(--target "$@")
"${build[@]}" >&2
