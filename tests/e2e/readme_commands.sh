#!/usr/bin/env bash
# usage: tests/e2e/readme_commands.sh SOURCE_FOLDER PROGRAM [README...]
# Runs every block fenced as ```sh test in the READMEs given (default: the main one), in order, in a copy of the folders they name, so that what
# people are told to type works. A line that fails ends the test; a README without such a block fails it too.
set -euo pipefail
if [[ $# -lt 2 ]]; then
  sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
source_folder=$(cd "$1" && pwd)
program=$(realpath "$2")
shift 2
readmes=("$@")
[[ ${#readmes[@]} -gt 0 ]] || readmes=("$source_folder/README.md")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for name in datasets launch; do cp -r "$source_folder/$name" .; done
mkdir -p build/release
ln -s "$program" build/release/mpibert

# Commands start `mpibert` and `mpirun` by name, as they stand in the text. Blocks start no installation.
mkdir bin
ln -s "$program" bin/mpibert
export PATH="$work/bin:$PATH" TMPDIR="$work/tmp"
mkdir -p "$TMPDIR"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1
export OMPI_MCA_hwloc_base_binding_policy=none OMP_NUM_THREADS=1 MPIBERT_BIND=none
for name in $(compgen -e MPIBERT_ || true); do
  [[ $name == MPIBERT_BIND ]] || unset "$name"
done

for readme in "${readmes[@]}"; do
  awk '/^```sh test$/ {inside = 1; print "# line " FNR; next} /^```/ {inside = 0} inside' "$readme" >commands.sh
  if ! grep -qv '^#\|^$' commands.sh; then
    echo "readme_commands: $readme has no block fenced as \`\`\`sh test" >&2
    exit 1
  fi
  echo "== $readme"
  bash -euxo pipefail commands.sh
done
