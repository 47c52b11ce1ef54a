#!/usr/bin/env bash
# A fit of a model that is larger than --memory gives the bytes of one that is not limited, reads the weights at most three
# times beside its sweeps, and goes on after kill -9 as if nothing had been.
#   tests/cli/by_layers.sh SNUG MODEL IMATRIX
set -euo pipefail
snug=$1 model=$2 imatrix=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fit() {  # NAME OPTIONS...
  local name=$1
  shift
  "$snug" fit "$model" --imatrix "$imatrix" --calib built-in --calib-chunks 3 --calib-ctx 48 --bpw 3.4 --gptq off --quiet --json \
    --formats q2_K,q3_K,q4_K,q6_K,iq3_xxs --state "$work/$name.state" -o "$work/$name.gguf" \
    --recipe "$work/$name.json" "$@" >"$work/$name.out"
}

# What a stage of $1.out has read of the weights, in bytes; 0 where it is not there.
bytes_of() { sed -n "s/.*\"$2\": *\([0-9]*\).*/\1/p" "$work/$1.out" | tail -1 | grep . || echo 0; }

for how in forward reverse; do
  fit "whole-$how" --probe "$how"
  fit "layers-$how" --probe "$how" --memory 1MB
  cmp "$work/whole-$how.gguf" "$work/layers-$how.gguf"
  cmp "$work/whole-$how.json" "$work/layers-$how.json"
  if grep -q '"reads"' "$work/whole-$how.out"; then
    echo "a model that stays in memory is not read again and again"
    exit 1
  fi
  weights=$(bytes_of "layers-$how" weights_bytes)
  besides=0
  for stage in "checking weights" measuring writing; do
    part=$(bytes_of "layers-$how" "$stage")
    [ "$part" -gt 0 ] || { echo "$how: nothing is known of what '$stage' read"; exit 1; }
    besides=$((besides + part))
  done
  judging=$(bytes_of "layers-$how" judging)
  if [ "$weights" -eq 0 ] || [ "$judging" -lt "$weights" ] || [ "$besides" -gt $((3 * weights)) ]; then
    echo "$how: of $weights bytes of weights, judging read $judging and what is no sweep $besides"
    exit 1
  fi
done

export OPTIONS="--memory 1MB --gptq off --calib built-in --formats q3_K,q4_K,iq3_xxs" KILLS=${KILLS:-25}
"$(dirname "$0")/kills.sh" "$snug" "$model" "$imatrix"
