# Sourced by the batch scripts of this folder; not run by itself.
# run_ranks COMMAND...: one rank a task under srun; requeues the job when the exit code says that running it again will help; returns the code.
# shellcheck shell=bash

# shellcheck disable=SC2034  # the scripts that source this file use it
mpibert=${MPIBERT_PROGRAM:-build/release/mpibert}

# setting NAME MEANING: stops with a clear message unless the variable is set.
setting() {
  if [[ -z ${!1:-} ]]; then
    echo "slurm: set $1 ($2), e.g. sbatch --export=ALL,$1=... $0" >&2
    exit 2
  fi
}

run_ranks() {
  # Slurm 22.05 to 23.02 do not hand --cpus-per-task of the job on to its steps.
  export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}
  export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$SRUN_CPUS_PER_TASK}
  local code=0
  # One dead rank ends the step: without --kill-on-bad-exit the others would wait for it. `|| code=$?` keeps `set -e` from ending the script here.
  srun --mpi="${MPIBERT_SRUN_MPI:-pmix}" --kill-on-bad-exit=1 --cpu-bind=cores "$@" || code=$?
  case $code in
    75 | 76 | 80) requeue "$code" ;;
  esac
  return "$code"
}

# 75: stopped on request, checkpoint saved. 76: a peer was lost. 80: a hang was found. All three: run me again; with the same command the run goes on
# from its newest checkpoint. A job that comes back more often than MPIBERT_MAX_REQUEUES times is left for a person to look at.
requeue() {
  local id=${SLURM_JOB_ID:-}
  if [[ -n ${SLURM_ARRAY_JOB_ID:-} ]]; then
    id=${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}
  fi
  if [[ ${SLURM_RESTART_COUNT:-0} -ge ${MPIBERT_MAX_REQUEUES:-100} ]]; then
    echo "slurm: exit code $1, but job $id was requeued ${SLURM_RESTART_COUNT} times already; not again" >&2
    return
  fi
  echo "slurm: exit code $1, requeueing job $id (restart ${SLURM_RESTART_COUNT:-0} so far)" >&2
  scontrol requeue "$id" || echo "slurm: scontrol requeue failed; submit the same command again by hand" >&2
}
