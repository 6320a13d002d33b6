#!/usr/bin/env bash
# usage: launch/install.sh [--check] [--cuda]
# Installs what mpibert is built from and run with, as Debian packages. Only what is missing is installed; nothing is printed when nothing is.
#   --check   report only; exit 69 when something is missing
#   --cuda    also the headers of cuDNN's front end, which are no Debian package, from the Python package index to /usr/local/include
# MPIBERT_SKIP_INSTALL=1 makes it do nothing: for machines where the libraries come another way.
set -euo pipefail

packages=(
  g++ cmake ninja-build pkg-config                      # building
  libopenmpi-dev openmpi-bin                            # ranks and their messages
  libdnnl-dev                                           # matrix products on the CPU
  libhdf5-dev libssl-dev                                # shards, SHA-256
  zlib1g-dev libbz2-dev libzstd-dev liblzma-dev         # compressed input
  libexpat1-dev libicu-dev                              # dumps of Wikipedia, sentences by language
  libutf8proc-dev                                       # Unicode tables of the tokenizer
  libcli11-dev libtomlplusplus-dev nlohmann-json3-dev libspdlog-dev
  libgtest-dev libgmock-dev libbenchmark-dev            # tests and benchmarks
  libboost-context-dev                                  # threads of the emulated CUDA device, for tests
  curl ca-certificates unzip xz-utils                   # bundles, datasets/*/prepare.sh
)

usage() { sed -n '2,6s/^# \{0,1\}//p' "$0"; }

missing_packages() {
  local package
  for package in "${packages[@]}"; do
    if [[ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)" != installed ]]; then
      echo "$package"
    fi
  done
}

as_root() {
  if [[ $EUID -eq 0 ]]; then "$@"; else sudo "$@"; fi
}
apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@"; }

# Package lists of a fresh container are empty, those of an old one name files that are gone: fetch them when the first try fails.
install() {
  apt install -y --no-install-recommends "$@" >/dev/null 2>&1 && return
  echo "install: fetching package lists" >&2
  apt update >&2
  apt install -y --no-install-recommends "$@" >&2
}

# The Toolkit, cuDNN and NCCL themselves come from NVIDIA's packages.
cudnn_frontend=nvidia-cudnn-frontend==1.32.0

install_cudnn_frontend() {
  local folder
  folder=$(mktemp -d)
  python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$folder" "$cudnn_frontend" >&2 &&
    unzip -q "$folder"/*.whl 'include/*' -d "$folder" &&
    as_root cp -r "$folder"/include/. /usr/local/include/
  local status=$?
  rm -rf "$folder"
  return $status
}

check=false cuda=false
for argument in "$@"; do
  case $argument in
    --check) check=true ;;
    --cuda) cuda=true ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done
$cuda && packages+=(python3-pip)

[[ "${MPIBERT_SKIP_INSTALL:-0}" == 1 ]] && exit 0

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  {
    echo "install: this script knows Debian 12 and its relatives only. Please install what these Debian packages hold, then set"
    echo "MPIBERT_SKIP_INSTALL=1:"
    printf '  %s\n' "${packages[@]}"
  } >&2
  exit 69
fi

mapfile -t missing < <(missing_packages)
frontend_is_missing=false
if $cuda && [[ ! -f /usr/local/include/cudnn_frontend.h ]]; then frontend_is_missing=true; fi
[[ ${#missing[@]} -eq 0 ]] && ! $frontend_is_missing && exit 0

if $check; then
  $frontend_is_missing && missing+=("$cudnn_frontend")
  echo "install: missing: ${missing[*]}" >&2
  exit 69
fi
if [[ $EUID -ne 0 ]] && ! command -v sudo >/dev/null; then
  echo "install: neither root nor sudo. As root: apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 69
fi
if [[ ${#missing[@]} -gt 0 ]]; then
  echo "install: ${missing[*]}" >&2
  if ! install "${missing[@]}"; then
    echo "install: apt-get failed; see its message above" >&2
    exit 69
  fi
fi
if $frontend_is_missing; then
  echo "install: $cudnn_frontend" >&2
  if ! install_cudnn_frontend; then
    echo "install: the Python package $cudnn_frontend could not be had; without it the CUDA build has no --attention cudnn" >&2
    exit 69
  fi
fi
