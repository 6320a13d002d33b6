#!/usr/bin/env bash
# usage: launch/bundle.sh [--output FILE] [--built DIR] [PRESET]
# Makes one archive for machines without network: program, tests for a card, benchmarks, samples, and all libraries they need, Open MPI among them. Not
# in it: the driver, CUDA, cuDNN, NCCL. It runs on x86-64 processors with AVX2; BUNDLE inside says what it was made from. At most 60 MiB.
#   --output   default: build/mpibert-VERSION-PRESET.tar.xz
#   --built    take what stands in this build folder and build nothing
#   PRESET     bundle (default: with CUDA), or another of CMakePresets.json, such as ci: the CPU alone
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() { sed -n '2,7s/^# \{0,1\}//p' "$0"; }
fail() {
  echo "bundle: $2" >&2
  exit "$1"
}
output="" built="" preset=bundle
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --output | --built) (($# >= 2)) || fail 2 "$1 wants a value" ;;&
    --output) output=$2; shift ;;
    --built) built=$2; shift ;;
    -*) usage >&2; exit 2 ;;
    *) preset=$1 ;;
  esac
  shift
done
if [[ -z $built ]]; then
  launch/build.sh "$preset" mpibert_program device_tests
  built=build/$preset
fi
mpi() { ompi_info --parsable --path "$1" | sed -n "s/^path:$1://p"; }
command -v ompi_info >/dev/null || fail 69 "no ompi_info here; launch/install.sh installs Open MPI, whose files go into the bundle"

version=$(sed -n 's/^project(mpibert VERSION \([0-9.]*\) .*/\1/p' CMakeLists.txt)
name=mpibert-$version
output=${output:-build/$name-$preset.tar.xz}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
stage=$work/$name
mkdir -p "$stage"/{bin,libexec,etc,lib/{openmpi,pmix,glibc},share}

# Programs, without their debug information.
for program in mpibert tests/ops/ops_test tests/ops/attention_test tests/golden/golden_test; do
  [[ -x $built/$program ]] || fail 66 "$built/$program is not built: launch/build.sh $preset mpibert_program device_tests"
  strip -o "$stage/libexec/${program##*/}" "$built/$program"
done
cp "$(readlink -f "$(command -v mpirun)")" "$stage/libexec/mpirun"
cp "$(readlink -f "$(command -v orted)")" "$stage/libexec/orted"
cp launch/bundle/run.sh "$stage/bin/mpibert"
for program in "$stage"/libexec/*; do
  [[ ${program##*/} == mpibert ]] || ln -s mpibert "$stage/bin/${program##*/}"
done

# Open MPI's plugins but those for network hardware whose libraries must fit the site's drivers, and for OpenSHMEM; then PMIx, which one of them brings.
for plugin in "$(mpi pkglibdir)"/mca_*.so; do
  ldd "$plugin" | grep -qE 'libfabric|libibverbs|libuc[mpst]\.so|libpsm|liboshmem' || cp "$plugin" "$stage/lib/openmpi/"
done
cp -r "$(mpi pkgdatadir)" "$stage/share/openmpi"
cp "$(mpi sysconfdir)/openmpi-mca-params.conf" "$stage/etc/"
pmix=$(ldd "$stage"/lib/openmpi/mca_pmix_ext*.so | awk '$1 ~ /^libpmix/ {print $3}')
pmix=$(dirname "$(readlink -f "$pmix")")
cp "$pmix"/pmix/*.so "$stage/lib/pmix/"
cp -r "$pmix/../share/pmix" "$stage/share/pmix"

# Every library that any of these needs (ldd follows them to the end), in three kinds: this machine's C library, what the other machine must have, the rest.
c_library='^(ld-linux-x86-64|lib(c|m|mvec|dl|rt|pthread|resolv|util|anl|nss_[a-z]+|nsl))\.so'
not_ours='^lib(cuda|cudart|cublas|cublasLt|cudnn[a-z_]*|nccl|nvidia-[a-z]+|nvJitLink|nvrtc)\.so'
ldd "$stage"/libexec/* "$stage"/lib/openmpi/*.so "$stage"/lib/pmix/*.so | awk '$2 == "=>" {print $1, $3} $1 ~ /ld-linux/ && $2 != "=>" {print "ld-linux-x86-64.so.2", $1}' | sort -u >"$work/libraries"
: >"$work/needs"
while read -r library path; do
  if [[ $library =~ $not_ours ]]; then echo "needs $library" >>"$work/needs"
  elif [[ $path != /* ]]; then fail 69 "$library is not on this machine, but something in the bundle needs it"
  elif [[ $library =~ $c_library ]]; then cp -L "$path" "$stage/lib/glibc/$library"
  else strip -o "$stage/lib/$library" "$(readlink -f "$path")"
  fi
done <"$work/libraries"

# Whose work the libraries are.
awk '{print $2}' "$work/libraries" | xargs -n 1 readlink -f | while read -r path; do dpkg-query -S "$path" "${path#/usr}" 2>/dev/null || true; done | cut -d : -f 1 | sort -u |
  while read -r package; do
    [[ -e /usr/share/doc/$package/copyright ]] || continue
    mkdir -p "$stage/share/licenses/$package"
    cp -L "/usr/share/doc/$package/copyright" "$stage/share/licenses/$package/"
  done

# What the checks and a first training need of the sources, in the same places.
mkdir -p "$stage"/{launch,tests/golden,datasets}
cp LICENSE README.md "$stage/"
cp -r launch/{local.sh,hosts.sh,gpu_check.sh,README.md,configs} "$stage/launch/"
cp -r slurm "$stage/"
cp -r tests/{device,benchmark,endurance} "$stage/tests/"
rm -f "$stage"/tests/benchmark/{CMakeLists.txt,*.cpp}
cp -r tests/golden/fixtures "$stage/tests/golden/"
cp -r datasets/sample "$stage/datasets/"
find "$stage" -name __pycache__ -prune -exec rm -r {} +

{
  printf 'version %s\ncommit %s\npreset %s\n' "$version" "$(git describe --always --dirty 2>/dev/null || echo unknown)" "$preset"
  printf 'made-on %s\n' "$(. /etc/os-release && echo "$PRETTY_NAME")"
  printf 'glibc %s\n' "$(getconf GNU_LIBC_VERSION | awk '{print $2}')"
  grep -v 'libcuda\.so' "$work/needs" | sort -u || true  # the driver's library lies where the loader finds it
} >"$stage/BUNDLE"
(cd "$stage" && find . -type f | LC_ALL=C sort | xargs -d '\n' sha256sum) >"$work/sums"
mv "$work/sums" "$stage/SHA256SUMS"

mkdir -p "$(dirname "$output")"
tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct 2>/dev/null || echo 0)" -cf - "$name" | xz -6 -T1 >"$output.part"
bytes=$(stat -c %s "$output.part")
if ((bytes > 60 << 20)); then fail 1 "$bytes bytes are more than 60 MiB; $output is not made"; fi
mv "$output.part" "$output"
echo "$output: $((bytes >> 20)) MiB, $(find "$stage" -type f | wc -l) files; BUNDLE says what it was made from"
