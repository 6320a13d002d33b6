#!/usr/bin/env bash
# usage: launch/hosts.sh HOSTFILE RANKS_PER_HOST COMMAND [ARGUMENT...]
# Runs COMMAND as RANKS_PER_HOST ranks on each host of HOSTFILE (one name a line, # starts a comment) and returns its exit code.
# The program, its data and the output directory must have the same paths on every host; hosts are reached by ssh without a password.
#   OMP_NUM_THREADS      threads a rank; default: cores of this host / RANKS_PER_HOST
#   MPIBERT_INTERFACE    network interface or CIDR the ranks talk over, e.g. eth0 or 10.0.0.0/16; default: Open MPI's choice
#   MPIBERT_MPIRUN       the launcher; default: mpirun
set -euo pipefail

usage() { sed -n '2,7s/^# \{0,1\}//p' "$0"; }
case "${1:-}" in
  -h | --help) usage; exit 0 ;;
esac
if [[ $# -lt 3 || ! $2 =~ ^[1-9][0-9]*$ ]]; then
  usage >&2
  exit 2
fi
hostfile=$1
per_host=$2
shift 2
if [[ ! -r $hostfile ]]; then
  echo "hosts: cannot read host file $hostfile" >&2
  exit 66
fi
mpirun=${MPIBERT_MPIRUN:-mpirun}

mapfile -t hosts < <(sed 's/#.*//' "$hostfile" | awk 'NF {print $1}' | awk '!seen[$0]++')
if [[ ${#hosts[@]} -eq 0 ]]; then
  echo "hosts: $hostfile names no host" >&2
  exit 65
fi
cores=$(nproc)
threads=$((cores / per_host > 1 ? cores / per_host : 1))
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$threads}
if [[ $EUID -eq 0 ]]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
export OMPI_MCA_odls_base_sigkill_timeout=${OMPI_MCA_odls_base_sigkill_timeout:-60}

list=$(printf "%s:$per_host," "${hosts[@]}")
options=(-n $((${#hosts[@]} * per_host)) --host "${list%,}" --map-by "ppr:$per_host:node:PE=$OMP_NUM_THREADS" --bind-to core:overload-allowed:if-supported)
if [[ -n ${MPIBERT_INTERFACE:-} ]]; then
  options+=(--mca btl_tcp_if_include "$MPIBERT_INTERFACE" --mca oob_tcp_if_include "$MPIBERT_INTERFACE")
fi
# Environment variables do not travel by themselves.
while IFS= read -r name; do
  options+=(-x "$name")
done < <(compgen -e | grep -E '^(OMP_|MPIBERT_|PATH$|LD_LIBRARY_PATH$)')
exec "$mpirun" "${options[@]}" "$@"
