#!/usr/bin/env bash
# usage: tests/e2e/bundle_test.sh SOURCE_FOLDER BUILD_FOLDER PRESET
# A bundle on a machine that has nothing else: unpacked into a root of its own with this system's C library, bash and coreutils, where neither Open MPI
# nor any other library of ours can be found, it trains on two ranks and checks itself. Needs the right to change the root (root, or user namespaces);
# without it the bundle is only started with an empty environment.
set -euo pipefail
if [[ $# -ne 3 ]]; then
  sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
source=$1 build=$2 preset=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

"$source/launch/bundle.sh" --built "$build" --output "$work/bundle.tar.xz" "$preset"
mkdir -p "$root"/{bin,usr/bin,lib64,proc,sys,dev/shm,tmp}
tar -C "$root" -xf "$work/bundle.tar.xz"
mv "$root"/mpibert-* "$root/bundle"
(cd "$root/bundle" && sha256sum --quiet -c SHA256SUMS)

# The other machine: tools that every Linux has, with the libraries of theirs.
copy() {
  mkdir -p "$root$(dirname "$1")"
  cp -L "$1" "$root$1"
}
for tool in bash sh env awk sed grep getconf timeout mktemp readlink dirname basename date cat cut head tail sort tr wc ls mkdir rm rmdir mv cp ln sleep nproc stat tee sha256sum uname seq true false; do
  path=$(readlink -f "$(type -P "$tool")")
  cp -L "$path" "$root/usr/bin/$tool"
  for library in $(ldd "$path" | awk '$3 ~ /^\// {print $3} $1 ~ /^\// {print $1}'); do [[ -e $root$library ]] || copy "$library"; done
done
cp "$root/usr/bin/sh" "$root/usr/bin/bash" "$root/bin/"
for library in $(ldconfig -p | awk -v names="$(ls "$root/bundle/lib/glibc")" 'BEGIN { split(names, n); for (i in n) wanted[n[i]] = 1 } wanted[$1] && /x86-64/ {print $NF}'); do copy "$library"; done
if find "$root" -path "$root/bundle" -prune -o \( -name 'libmpi*' -o -name 'mpirun*' -o -name 'libstdc++*' \) -print | grep .; then
  echo "bundle_test: the clean machine is not clean" >&2
  exit 1
fi

# shellcheck disable=SC2016  # expanded in the other shell
enter='for folder in proc sys dev; do mount --rbind "/$folder" "$0/$folder" || exit 1; done; exec chroot "$0" /usr/bin/env -i PATH=/usr/bin:/bin HOME=/tmp "$@"'
folder=/bundle
if unshare --mount true 2>/dev/null; then
  inside() { unshare --mount bash -c "$enter" "$root" "$@"; }
elif unshare --map-root-user --mount true 2>/dev/null; then
  inside() { unshare --map-root-user --mount bash -c "$enter" "$root" "$@"; }
elif chroot "$root" /usr/bin/env true 2>/dev/null; then
  mknod -m 666 "$root/dev/null" c 1 3 2>/dev/null || : >"$root/dev/null"
  inside() { chroot "$root" /usr/bin/env -i PATH=/usr/bin:/bin HOME=/tmp "$@"; }
else
  echo "bundle_test: no right to change the root: this system's libraries are in reach, so that one missing in the bundle is not noticed" >&2
  folder=$root/bundle
  inside() { env -i PATH=/usr/bin:/bin HOME=/tmp "$@"; }
fi

for libc in system own; do
  inside MPIBERT_BUNDLE_LIBC=$libc bash -euc "
    cd '$folder'
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_NUM_THREADS=1 OMPI_MCA_mpi_yield_when_idle=1
    bin/mpibert --version
    bin/mpibert doctor | grep '^ok .*mpi: Open MPI'
    bin/mpirun -n 2 --oversubscribe bin/mpibert prepare --task pretraining --input datasets/sample/corpus.txt --model datasets/sample/model --output /tmp/shards-$libc --max-seq-length 64
    bin/mpirun -n 2 --oversubscribe bin/mpibert pretrain --data /tmp/shards-$libc --model datasets/sample/model/config.json --output-dir /tmp/run-$libc --max-steps 2 --global-batch-size 8
    bin/mpibert checkpoint verify /tmp/run-$libc"
done
inside bash -euc "cd '$folder' && launch/gpu_check.sh --dry-run --steps parity,golden,exactness --output /tmp/check"
if [[ $(inside bash -c "cd '$folder' && launch/gpu_check.sh --output /tmp/none >/dev/null 2>&1; echo \$?") != 69 ]]; then
  echo "bundle_test: gpu_check.sh without a card did not end with 69" >&2
  exit 1
fi
# That the test sees what is missing.
if [[ $folder == /bundle ]]; then
  rm "$root"/bundle/lib/libhdf5*
  if inside /bundle/bin/mpibert --version >/dev/null 2>&1; then
    echo "bundle_test: without libhdf5 in the bundle mpibert runs all the same: the root is not clean" >&2
    exit 1
  fi
fi
echo "bundle_test: passed"
