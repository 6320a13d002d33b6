#!/usr/bin/env bash
# usage: launch/local.sh RANKS COMMAND [ARGUMENT...]
# Runs COMMAND as RANKS ranks on this machine and returns its exit code. Cores are divided evenly; more ranks than cores share them.
#   OMP_NUM_THREADS   threads a rank; default: cores / ranks, at least 1
#   MPIBERT_BIND      core (default) or none: none when several such runs share the machine
#   MPIBERT_MPIRUN    the launcher; default: mpirun
# To stop a run and keep its work: kill -USR1 the mpirun process; it saves a checkpoint and ends with 75.
set -euo pipefail

usage() { sed -n '2,7s/^# \{0,1\}//p' "$0"; }
case "${1:-}" in
  -h | --help) usage; exit 0 ;;
esac
if [[ $# -lt 2 || ! $1 =~ ^[1-9][0-9]*$ ]]; then
  usage >&2
  exit 2
fi
ranks=$1
shift
mpirun=${MPIBERT_MPIRUN:-mpirun}
if ! command -v "$mpirun" >/dev/null; then
  echo "local: no $mpirun here; launch/install.sh installs Open MPI" >&2
  exit 69
fi

# Physical cores that this shell may use: two hardware threads of a core do not make two ranks faster.
usable_cores() {
  local allowed
  allowed=$(awk '/^Cpus_allowed_list/ {print $2}' /proc/self/status)
  lscpu --parse=CPU,CORE,SOCKET 2>/dev/null | awk -F, -v allowed="$allowed" '
    BEGIN { n = split(allowed, parts, ","); for (i = 1; i <= n; i++) { split(parts[i], r, "-"); last = r[2] == "" ? r[1] : r[2]
            for (c = r[1] + 0; c <= last + 0; c++) may[c] = 1 } }
    /^[0-9]/ && ($1 in may) && !(($2, $3) in seen) { seen[$2, $3] = 1; count++ }
    END { print count + 0 }'
}
cores=$(usable_cores) || cores=0
[[ $cores -ge 1 ]] || cores=$(nproc)

threads=$((cores / ranks > 1 ? cores / ranks : 1))
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$threads}
# More threads than cores: one that waits must leave its core to those that work.
if [[ $OMP_NUM_THREADS =~ ^[0-9]+$ ]] && ((ranks * OMP_NUM_THREADS > cores)); then
  export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
fi

if ! "$mpirun" --version 2>&1 | grep -q "Open MPI\|OpenRTE"; then
  exec "$mpirun" -n "$ranks" "$@"  # MPICH and its relatives: their defaults are sensible
fi

# Open MPI refuses root unless told twice; in a container root is the ordinary user.
if [[ $EUID -eq 0 ]]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
# Containers forbid process_vm_readv unless they are given the right to trace.
if [[ -e /.dockerenv || -e /run/.containerenv ]]; then
  export OMPI_MCA_btl_vader_single_copy_mechanism=${OMPI_MCA_btl_vader_single_copy_mechanism:-none}
fi
# Time between SIGTERM and SIGKILL; the default of about one second is too short for a checkpoint.
export OMPI_MCA_odls_base_sigkill_timeout=${OMPI_MCA_odls_base_sigkill_timeout:-15}

options=(-n "$ranks")
if [[ $ranks -gt $cores ]]; then
  export OMPI_MCA_mpi_yield_when_idle=${OMPI_MCA_mpi_yield_when_idle:-1}
  options+=(--oversubscribe --bind-to none)
elif [[ ${MPIBERT_BIND:-core} == none ]]; then
  options+=(--bind-to none)
else
  options+=(--map-by "slot:PE=$((cores / ranks))" --bind-to core:overload-allowed:if-supported)
fi
exec "$mpirun" "${options[@]}" "$@"
