#!/usr/bin/env bash
# Disturbs a command at every call that changes what a disk holds, one run a call: kills it before and behind the call, or
# has the disk full, read-only or broken from there on. A kill must not end it otherwise; a fault must be said with a
# remedy, or not matter; then the same command, undisturbed, must end with the bytes of one that nothing stopped, and with
# no other files than that but its state and what it collected.
#   tests/cli/fault_points.sh SNUG FAULT_AT MODEL [OPTIONS...]    FAULT_AT: the library of fault_at.cpp
# COMMAND=quantize or convert instead of fit; PLAN="--bpw 5 --split-size 400KB" makes a recipe first and hands it on.
# STEP=50 takes every fiftieth call and with LAST=20 the last twenty, in which outputs get their names; FROM=80 none before
# that; FAULTS="full broken" only those faults.
set -uo pipefail
snug=$(readlink -f "$1") library=$(readlink -f "$2") model=$(readlink -f "$3")
shift 3
options=("$@")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export SNUG_HOME="$work/measurements"
failed=0 runs=0 kills=0 faults=0
wrong() { echo "$fault at call $at of $count: $*"; failed=1; }

case ${COMMAND:-fit} in fit) options+=(--calib-chunks 2 --calib-ctx 32 --state s) ;; esac
if [ -n "${PLAN:-}" ]; then
  "$snug" plan "$model" --no-probe -q $PLAN -o "$work/plan.json" >/dev/null || exit 1
  options+=(--recipe "$work/plan.json")
fi

call() {  # in a folder of its own: the outputs' names are the same everywhere
  (cd "$1" && shift && "$@" "$snug" "${COMMAND:-fit}" "$model" -q "${options[@]}")
}
files_of() { (cd "$1" && find . ! -name s ! -name s.status ! -name '*.imatrix*' -type f | sort | xargs sha256sum); }

said_well() {  # of a run that ended with this code
  [ "$1" -eq 0 ] && return
  faults=$((faults + 1))
  [ "$1" -le 5 ] || wrong "exit code $1: $(tail -1 "$work/err")"
  grep -q '^snug: ' "$work/err" && grep -q 'try: ' "$work/err" || wrong "no message with a remedy: $(head -3 "$work/err" | tr '\n' ' ')"
}

# A command without a state that has done all knows nothing of it and is not called again: one that a fault did not matter
# to, and one that was killed when its note was away already. A note that could not be taken away may stay.
is_done() {
  [ "${COMMAND:-fit}" != fit ] && [ -z "$(find "$work/run" -name '*.snug-begun')" ] || return 1
  [ "$1" -eq 0 ] || files_of "$work/run" | diff -q "$work/expected" - >/dev/null
}

disturb() {
  local folder=$work/run code
  mkdir "$folder"
  call "$folder" env FAULT=$fault FAULT_AT=$at LD_PRELOAD="$library" >"$work/out" 2>"$work/err"
  code=$?
  case $fault in
    killed-*)  # what is written once a second is not written as often each time: the last calls may not be reached
      if [ "$code" -eq 137 ]; then kills=$((kills + 1)); elif [ "$code" -ne 0 ]; then wrong "exit code $code"; fi ;;
    *) said_well "$code" ;;
  esac
  if [ -s "$folder/s" ]; then "$snug" state verify "$folder/s" >"$work/verify" 2>&1 || wrong "$(head -1 "$work/verify")"; fi
  is_done "$code" || call "$folder" env >"$work/out" 2>"$work/err" || wrong "again: $(head -3 "$work/err" | tr '\n' ' ')"
  files_of "$folder" | diff -q "$work/expected" - >/dev/null || wrong "other files: $(cd "$folder" && ls | tr '\n' ' ')"
  # what a kill leaves among the statuses of jobs goes after a week with them
  [ -z "$(find "$folder" "$SNUG_HOME" -path '*/jobs' -prune -o \( -name '*.snug-part-*' -o -name '*.snug-begun' \) -print 2>/dev/null)" ] || wrong "left behind: $(cd "$folder" && ls | tr '\n' ' ')"
  rm -rf "$folder"
  runs=$((runs + 1))
}

mkdir "$work/whole"
call "$work/whole" env FAULT_COUNT="$work/count" LD_PRELOAD="$library" >"$work/out" 2>"$work/err" || { cat "$work/err"; exit 1; }
count=$(cat "$work/count")
files_of "$work/whole" >"$work/expected"
for ((at = ${FROM:-1}; at <= count; ++at)); do
  [ $((at % ${STEP:-1})) -eq 0 ] || [ "$at" -gt $((count - ${LAST:-0})) ] || continue
  for fault in ${FAULTS:-killed-before killed-behind full read-only broken}; do disturb; done
done
case ${FAULTS:-killed} in *killed*) [ "$kills" -gt 0 ] || wrong "no run was killed" ;; esac
case ${FAULTS:-full} in *full* | *read-only* | *broken*) [ "$faults" -gt 0 ] || wrong "no run met a fault" ;; esac
[ "$failed" -eq 0 ] && echo "$runs runs disturbed at some of $count calls, $kills killed, $faults ended by a fault and said so: all went on to the same bytes"
exit $failed
