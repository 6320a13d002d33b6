#!/usr/bin/env bash
# usage: tests/format_test.sh CLANG_FORMAT SOURCE_FOLDER
# Every C++ and CUDA file is laid out as .clang-format says; names those that are not. clang-format -i FILE mends one.
set -euo pipefail
if [[ $# -ne 2 ]]; then
  echo "usage: tests/format_test.sh CLANG_FORMAT SOURCE_FOLDER" >&2
  exit 2
fi
cd "$2"
mapfile -t files < <(find include src tests -type f \( -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh' \) | sort)
if ((${#files[@]} < 500)); then
  echo "format_test: found ${#files[@]} files in $2, expected more than 500" >&2
  exit 1
fi
"$1" --dry-run -Werror "${files[@]}"
