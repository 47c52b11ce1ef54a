#!/usr/bin/env bash
# A fit whose solver the clock has stopped, killed behind the plan and started again on a machine that is fast, comes to the
# same recipe and the same model: what was found in time is a record of the state. Another budget is planned anew.
#   tests/cli/solver_clock.sh SNUG FAULT_AT CLOCK_LEAPS MODEL      the libraries of fault_at.cpp and clock_leaps.cpp
set -uo pipefail
snug=$(readlink -f "$1") fault_at=$(readlink -f "$2") leaps=$(readlink -f "$3") model=$(readlink -f "$4")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export SNUG_HOME="$work/measurements"
cd "$work" || exit 2
failed=0
wrong() { echo "$*"; failed=1; }

fit() { "$snug" fit "$model" --no-probe --bpw "${bpw:-3}" --solve-seconds 5 -q --state "$1/s" -o "$1/o.gguf" \
  --recipe "$1/r.json" >out 2>err; }

mkdir late patient
fit patient || { cat err; exit 1; }
FAULT_COUNT=$work/count LD_PRELOAD="$leaps $fault_at" fit late || { cat err; exit 1; }
count=$(cat count)
cmp -s late/r.json patient/r.json && wrong "the clock made no difference: nothing is tested"

for ((at = count - 9; at <= count; ++at)); do
  mkdir killed
  { FAULT=killed-before FAULT_AT=$at LD_PRELOAD="$leaps $fault_at" fit killed; } 2>/dev/null
  fit killed || wrong "killed at call $at of $count, again: $(head -3 err | tr '\n' ' ')"
  cmp -s late/r.json killed/r.json || wrong "killed at call $at of $count: another recipe"
  cmp -s late/o.gguf killed/o.gguf || wrong "killed at call $at of $count: another model"
  rm -r killed
done

mkdir other another
mv late/s other/s
bpw=3.5 fit other || wrong "another budget: $(head -3 err | tr '\n' ' ')"
bpw=3.5 fit another || wrong "another budget: $(head -3 err | tr '\n' ' ')"
cmp -s other/o.gguf another/o.gguf || wrong "the plan of one budget was taken for another's"
[ "$failed" -eq 0 ] && echo "10 kills behind a plan that the clock had cut off: same recipe, same model"
exit $failed
