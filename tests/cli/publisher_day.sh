#!/usr/bin/env bash
# A publisher's day: six sizes of a model in one call; the same call killed three times and started again; and each size by
# a call of its own with nothing known. All must give the same bytes. Prints what each took, for an idle machine to judge.
#   tests/cli/publisher_day.sh SNUG MODEL [BPW,BPW,...]
# FIT_OPTIONS="...": more options for each fit, e.g. --calib-chunks 4 for a quick trial.
# KILL_AFTER="S S S": seconds after which the runs are killed (default: a fifth of the first call's time, each).
set -euo pipefail
[ $# -ge 2 ] || { sed -n '4,6s/^# *//p' "$0" >&2; exit 2; }
snug=$(realpath "$1") model=$(realpath "$2") sizes=${3:-2.5,3,3.5,4.25,5,6}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir one killed alone
read -ra more <<<"${FIT_OPTIONS:-}"

ladder() { SNUG_HOME=$work/home-$1 "$snug" fit "$model" --bpw "$sizes" -o "$1/{bpw}.gguf" "${more[@]}"; }
seconds_of() {
  local start
  start=$(date +%s.%N)
  "$@" >"$work/out.txt" 2>"$work/err.txt" || { cat "$work/err.txt" >&2; exit 1; }
  echo "$(date +%s.%N) $start" | awk '{ printf "%.1f", $1 - $2 }'
}

one=$(seconds_of ladder one)
cat "$work/out.txt"
echo "one call: $one s"

read -ra kills <<<"${KILL_AFTER:-$(awk -v t="$one" 'BEGIN { print t / 5, t / 5, t / 5 }')}"
count=0
for after in "${kills[@]}"; do
  SNUG_HOME=$work/home-killed "$snug" fit "$model" --bpw "$sizes" -o "killed/{bpw}.gguf" "${more[@]}" -q >/dev/null 2>&1 &
  child=$!
  sleep "$after"
  kill -KILL "$child" 2>/dev/null && count=$((count + 1))
  wait "$child" 2>/dev/null || true
  echo "killed after $after s: $(SNUG_HOME=$work/home-killed "$snug" status | head -1 | sed 's/.*: //'), $(ls killed | wc -l) files there"
done
last=$(seconds_of ladder killed)
echo "started again after $count kills: $last s"

all=0
for bpw in ${sizes//,/ }; do
  rm -rf "$work/home-alone"
  took=$(SNUG_HOME=$work/home-alone seconds_of "$snug" fit "$model" --bpw "$bpw" -o "alone/$bpw.gguf" "${more[@]}")
  all=$(awk -v a="$all" -v t="$took" 'BEGIN { print a + t }')
done
echo "six calls with nothing known: $all s; one call takes $(awk -v a="$all" -v t="$one" 'BEGIN { printf "%.0f", 100 * t / a }') % of that"

for bpw in ${sizes//,/ }; do
  cmp "one/$bpw.gguf" "killed/$bpw.gguf"
  cmp "one/$bpw.gguf" "alone/$bpw.gguf"
done
[ "$count" -ge 3 ] || { echo "only $count runs were still there to be killed: lower KILL_AFTER" >&2; exit 1; }
echo "same bytes: $(cat one/*.gguf | sha256sum | cut -c1-16)"
