#!/bin/sh
# All tests, the quick ones first: npm test, or npm test -- PART ... with check, unit, outside, faults, conformance or cluster.
# Ends with one line: N passed, N failed, N skipped. Exit code 1 when anything failed or was left behind.
set -eu
. "$(dirname "$0")/lib.sh"
cd "$HERE"
if [ -z "$dim" ]; then export NO_COLOR=1; fi
for part in "$@"; do
  case $part in check | unit | outside | faults | conformance | cluster) ;; *) fail "no such part of the tests: $part (check, unit, outside, faults, conformance, cluster)" ;; esac
done
parts=${*:-check unit outside faults conformance cluster}
need_root
need_packages
need_driver_tools
case $parts in *outside* | *faults* | *conformance* | *cluster*) need_tools losetup:mount setpriv:util-linux ;; esac
case $parts in *faults*) need_tools strace:strace gcc:gcc ;; esac
case $parts in *conformance*) need_sanity ;; esac
case $parts in *cluster*)
  need_kubernetes
  need_sidecars
  need_helm
  need_image
  ;;
esac

# Everything that the tests make lies in here, so that what is left can be told from what others do on this machine.
# Open to all, so that what keeps an unprivileged user out is the driver's own doing.
run=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-run-XXXXXX")
chmod 755 "$run"
export TMPDIR="$run"
results=$(mktemp -d "$CACHE/results-XXXXXX")
trap 'rm -rf "$results"; rmdir "$run" 2>/dev/null || true' EXIT

passed=0 failed=0 skipped=0 summary=''
# Told again at the end, where whoever looks at a long log looks first.
failures="$results/failures"

# add PART PASSED FAILED SKIPPED SECONDS
add() {
  passed=$((passed + $2)) failed=$((failed + $3)) skipped=$((skipped + $4))
  summary="$summary$(printf '%-12s %6d passed %4d failed %4d skipped %5d s' "$1" "$2" "$3" "$4" "$5")
"
}

# node_tests PART FILES PATTERN ...: runs the tests, FILES files at once, and adds what the runner counted.
node_tests() {
  part=$1 files=$2 began=$(date +%s) again=''
  shift 2
  run_tests "$part" "$files" "$@"
  # Real clusters have moments of their own, and so have faults struck by the clock. What fails twice has failed; what fails
  # once is told, with what repeats it, and never silently.
  case $part in cluster | faults) retried=yes ;; *) retried=no ;; esac
  if [ "$retried" = yes ] && [ "$bad" != 0 ]; then
    again=$(failed_files)
    if [ -n "$again" ]; then
      say "failed, and tried once more: $(printf '%s' "$again" | tr '\n' ' ')"
      all=$((good + bad)) once=$bad
      # shellcheck disable=SC2086
      run_tests "$part-again" 1 $again
      good=$((all - bad))
      summary="$summary$part: $once failed at the first try, $bad at the second: $(printf '%s' "$again" | tr '\n' ' ')
"
    fi
  fi
  add "$part" "$good" "$bad" "$missed" $(($(date +%s) - began))
}

# Sets good, bad and missed.
run_tests() {
  tap="$results/$1.tap" at_once=$2 code=0
  shift 2
  bin/holdfast-node --test --test-concurrency="$at_once" --test-timeout=300000 \
    --test-reporter=spec --test-reporter-destination=stdout \
    --test-reporter=tap --test-reporter-destination="$tap" "$@" || code=1
  counted() { sed -n "s/^# $1 \([0-9]*\)\$/\1/p" "$tap" | tail -1; }
  good=$(counted pass) bad=$(counted fail) cancelled=$(counted cancelled) missed=$(counted skipped)
  good=${good:-0} missed=${missed:-0} bad=$((${bad:-0} + ${cancelled:-0}))
  if [ "$((good + bad))" = 0 ]; then say "$part: no test was found" && bad=1; fi
  if [ "$code" != 0 ] && [ "$bad" = 0 ]; then bad=1; fi
  # Each failed test with its error, from TAP; a test that failed because one within it did says nothing of its own.
  sed -n "/^ *not ok/,/^ *\.\.\.\$/p" "$tap" | sed "s/^/$part: /" >>"$failures"
}

# The files whose tests failed, from the last run's TAP: only what stands at the margin is a test of a file.
failed_files() {
  sed -n "/^not ok/,/^  \.\.\./s/^  location: '\(.*\):[0-9]*:[0-9]*'\$/\1/p" "$tap" | sort -u
}

for part in $parts; do
  say "$part"
  case $part in
    check)
      began=$(date +%s)
      if sh scripts/check.sh; then add check 1 0 0 $(($(date +%s) - began)); else add check 0 1 0 $(($(date +%s) - began)); fi
      ;;
    unit) node_tests unit 4 'src/**/*.test.ts' 'scripts/**/*.test.ts' 'examples/**/*.test.ts' ;;
    outside) node_tests outside 1 'test/!(cluster|faults)/**/*.test.ts' ;;
    # A sample: npm run test:faults is the whole suite.
    faults) node_tests faults 1 'test/faults/**/*.test.ts' ;;
    # Each file has a cluster of its own, and waits most of the time.
    cluster) node_tests cluster 2 'test/cluster/**/*.test.ts' ;;
    conformance)
      began=$(date +%s) code=0
      bin/holdfast-node test/conformance/run.ts "$SANITY" "$results/conformance" || code=1
      read -r good bad missed <"$results/conformance" 2>/dev/null || { good=0 bad=1 missed=0; }
      if [ "$code" != 0 ] && [ "$bad" = 0 ]; then bad=1; fi
      add conformance "$good" "$bad" "$missed" $(($(date +%s) - began))
      ;;
  esac
done

say "leftovers"
if bin/holdfast-node test/support/check-leftovers.ts "$run"; then add leftovers 1 0 0 0; else add leftovers 0 1 0 0; fi

if [ -s "$failures" ]; then printf '\nwhat failed:\n' && tail -n 200 "$failures"; fi
printf '\n%s\n%d passed, %d failed, %d skipped\n' "$summary" "$passed" "$failed" "$skipped"
[ "$failed" = 0 ]
