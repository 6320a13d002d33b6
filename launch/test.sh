#!/usr/bin/env bash
# usage: launch/test.sh [CTEST_OPTION...]
# Installs what is missing, builds the preset `ci` and runs every test; options go to ctest, e.g. -L unit or -R tokenizer.
# Fails when a test fails, and also when no test ran.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case "${1:-}" in
  -h | --help) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac

started=$SECONDS
./launch/install.sh
./launch/build.sh ci
built=$SECONDS

report=build/ci/tests.xml
log=build/ci/tests.log
rm -f "$report"
status=0
ctest --test-dir build/ci --output-on-failure --no-tests=error --parallel "$(nproc)" --output-junit "$PWD/$report" "$@" 2>&1 | tee "$log" || status=$?

# attribute NAME: a count in the <testsuite> element of the report
attribute() { sed -n "s/^[[:space:]]*$1=\"\([0-9]*\)\".*/\1/p; s/.*<testsuite .*[[:space:]]$1=\"\([0-9]*\)\".*/\1/p" "$report" 2>/dev/null | head -n 1; }
total=$(attribute tests)
failed=$(attribute failures)
skipped=$(attribute skipped)
disabled=$(attribute disabled)

echo
echo "tests    ${total:-0}"
echo "failed   ${failed:-unknown}"
echo "not run  $((${skipped:-0} + ${disabled:-0}))"
echo "build    $((built - started)) s"
echo "testing  $((SECONDS - built)) s"
echo "log      $log"
if [[ $status -eq 0 && ${total:-0} -eq 0 ]]; then
  echo "test: no test ran" >&2
  status=1
fi
if [[ $status -eq 0 && $((${skipped:-0} + ${disabled:-0})) -ne 0 ]]; then
  echo "test: some tests did not run" >&2
  status=1
fi
if [[ $status -eq 0 ]]; then echo "result   passed"; else echo "result   FAILED"; fi
exit "$status"
