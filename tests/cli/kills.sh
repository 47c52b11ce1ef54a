#!/usr/bin/env bash
# Kills `snug fit` with SIGKILL at random instants and lets it go on, KILLS times (default 300), and checks that no
# finished measurement is ever lost and that the final recipe and model have the bytes of an uninterrupted run.
#   tests/cli/kills.sh SNUG MODEL IMATRIX
set -euo pipefail
snug=$1 model=$2 imatrix=$3
kills=${KILLS:-300}
RANDOM=${SEED:-1}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# OPTIONS: of all fits, such as --memory 1MB for one that goes through the model layer by layer.
fit=("$snug" fit "$model" --imatrix "$imatrix" --bpw 3.3 --probe-chunks 2 --probe-context 32 --quiet --json --force ${OPTIONS:-})
"${fit[@]}" --state "$work/whole.state" -o "$work/whole.gguf" --recipe "$work/whole.json" >/dev/null

records() { "$snug" state show "$1" --json 2>/dev/null | sed -n 's/.*"records": *\([0-9]*\).*/\1/p' | head -1; }

killed=0 landed=0 finished=0 before=0
while [ "$killed" -lt "$kills" ]; do
  "${fit[@]}" --state "$work/part.state" -o "$work/part.gguf" --recipe "$work/part.json" >/dev/null 2>"$work/log" &
  pid=$!
  sleep "0.$(printf '%03d' $((RANDOM % ${SPREAD_MS:-450})))"
  if kill -9 "$pid" 2>/dev/null; then landed=$((landed + 1)); fi
  status=0
  wait "$pid" 2>/dev/null || status=$?
  killed=$((killed + 1))
  if [ "$status" -ne 0 ] && [ "$status" -ne 137 ]; then
    echo "run $killed ended with $status: $(cat "$work/log")"
    exit 1
  fi
  after=0
  if [ -s "$work/part.state" ]; then after=$(records "$work/part.state"); fi
  if [ "${after:-0}" -lt "$before" ]; then
    echo "kill $killed lost measurements: $before before, $after after"
    exit 1
  fi
  before=${after:-0}
  if [ "$status" -eq 0 ]; then  # it was done before the kill: check it, and start over
    finished=$((finished + 1))
    cmp "$work/whole.json" "$work/part.json"
    cmp "$work/whole.gguf" "$work/part.gguf"
    rm -f "$work"/part.*
    before=0
  fi
done
"${fit[@]}" --state "$work/part.state" -o "$work/part.gguf" --recipe "$work/part.json" >/dev/null
cmp "$work/whole.json" "$work/part.json"
cmp "$work/whole.gguf" "$work/part.gguf"
left=$(find "$work" -name '*.snug-part-*' | wc -l)
if [ "$left" -ne 0 ]; then
  echo "killed runs left files behind: $(ls "$work")"
  exit 1
fi
echo "$killed kills ($landed while running, $finished runs finished between): same recipe, same model"
