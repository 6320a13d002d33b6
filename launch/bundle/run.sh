#!/usr/bin/env bash
# usage: bin/PROGRAM [ARGUMENT...]    in an unpacked bundle; bin/mpibert, bin/mpirun and all others are this script
# Starts libexec/PROGRAM with the bundle's own libraries and Open MPI, and with this machine's CUDA, taken from where it is found first: LD_LIBRARY_PATH,
# /usr/local/cuda*/lib64, the system's libraries (ldconfig), the nvidia packages of python3.
#   MPIBERT_BUNDLE_LIBC=own   the bundle's C library also where the system's is not older; for tests
# The libraries are handed to the loader, not to the environment: ssh, python and others that the programs start keep those of the system.
set -euo pipefail

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
name=${0##*/}
program=$root/libexec/$name
if [[ ! -e $program ]]; then
  echo "bundle: there is no $program; programs are called by their names in $root/bin" >&2
  exit 66
fi
fact() { sed -n "s/^$1 //p" "$root/BUNDLE"; }

# Open MPI and PMIx know their files by the paths they were built with, unless they are told.
export OPAL_PREFIX=$root OPAL_BINDIR=$root/bin OPAL_LIBDIR=$root/lib OPAL_PKGLIBDIR=$root/lib/openmpi
export OPAL_DATADIR=$root/share OPAL_PKGDATADIR=$root/share/openmpi OPAL_SYSCONFDIR=$root/etc
export PMIX_PREFIX=$root PMIX_LIBDIR=$root/lib PMIX_PKGLIBDIR=$root/lib/pmix PMIX_DATADIR=$root/share PMIX_PKGDATADIR=$root/share/pmix PMIX_SYSCONFDIR=$root/etc
# mpirun wants a way to other machines even when all ranks are here.
command -v ssh >/dev/null || command -v rsh >/dev/null || export OMPI_MCA_plm_rsh_agent=${OMPI_MCA_plm_rsh_agent:-false}

# folder_of SONAME: where this machine has it
folder_of() {
  local folder given listed
  IFS=: read -ra given <<<"${LD_LIBRARY_PATH:-}"
  # What ldconfig lists need not be there any more.
  mapfile -t listed < <(PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null | awk -v name="$1" '$1 == name && /x86-64/ {sub("/[^/]*$", "", $NF); print $NF}')
  for folder in "${given[@]}" /usr/local/cuda/lib64 /usr/local/cuda*/lib64 /usr/local/cuda*/targets/x86_64-linux/lib "${listed[@]}"; do
    if [[ -n $folder && -e $folder/$1 ]]; then
      echo "$folder"
      return
    fi
  done
  python3 - "$1" 2>/dev/null <<'PYTHON'
import glob, nvidia, os, sys
found = [path for base in nvidia.__path__ for path in sorted(glob.glob(f"{base}/*/lib/{sys.argv[1]}"))]
print(os.path.dirname(found[0]))
PYTHON
}
if [[ -z ${MPIBERT_BUNDLE_CUDA+set} ]]; then
  cuda=""
  for library in $(fact needs); do
    if ! folder=$(folder_of "$library"); then
      echo "bundle: this machine lacks $library: neither LD_LIBRARY_PATH, /usr/local/cuda*/lib64, ldconfig nor python3's nvidia packages have it." >&2
      echo "bundle: install what brings it (CUDA, cuDNN, NCCL, or pip's nvidia packages), or add its folder to LD_LIBRARY_PATH." >&2
      exit 69
    fi
    [[ :$cuda: == *":$folder:"* ]] || cuda+=${cuda:+:}$folder
  done
  export MPIBERT_BUNDLE_CUDA=$cuda  # the ranks that mpirun starts need not look again
fi
path=$root/lib${MPIBERT_BUNDLE_CUDA:+:$MPIBERT_BUNDLE_CUDA}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

# The system's C library if it is as new as the one that the bundle was made with, else the bundle's.
loader=/lib64/ld-linux-x86-64.so.2
own=$(fact glibc)
systems=$(getconf GNU_LIBC_VERSION 2>/dev/null | awk '{print $2}') || true
if [[ ${MPIBERT_BUNDLE_LIBC:-} == own || $(printf '%s\n' "$own" "${systems:-0}" | sort -V | head -n 1) != "$own" ]]; then
  loader=$root/lib/glibc/ld-linux-x86-64.so.2 path=$root/lib/glibc:$path
fi
# mpirun starts its helpers on other machines from the folder in its own name.
exec "$loader" --library-path "$path" --argv0 "$root/bin/$name" "$program" "$@"
