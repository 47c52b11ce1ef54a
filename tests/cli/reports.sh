#!/usr/bin/env bash
# Public reports of faults in tools of this kind, rebuilt small beside the project, where they are: each with its right
# value. One line a case.
#   tests/cli/reports.sh SNUG
set -uo pipefail
snug=$(readlink -f "$1")
shared=$(readlink -f "$(dirname "$0")/../../../shared" || true)
cases="$shared/cases/reports"
[ -d "$cases" ] || { echo "no cases beside the project"; exit 77; }
work=$(mktemp -d)
export SNUG_HOME="$work/measurements"  # not among a person's own
trap 'rm -rf "$work"' EXIT
failed=0

run() { "$snug" "$@" >out 2>err; code=$?; }
exits() { [ "$code" -eq "$1" ] || wrong "exit code $code, not $1: $(tail -1 err)"; }
says() { grep -q -- "$1" err || wrong "does not say '$1': $(head -2 err | tr '\n' ' ')"; }
no_file() { for file in "$@"; do [ ! -e "$file" ] || wrong "$file was made"; done; }
wrong() { found="$found  $*"$'\n'; }
types() { "$snug" quantize "$1" --preset "$2" --dry-run --json 2>err | python3 -c "
import json, sys
for t in json.load(sys.stdin)['tensors']: print(t['name'], t['format'].lower())"; }

export_without_imatrix() {
  run plan "$at/model.gguf" --no-probe --bpw 3.2 -o r.json; exits 0
  run export r.json --to llama.cpp
  if [ "$code" -eq 0 ]; then grep -qE 'iq1_[sm]|iq2_(xxs|xs|s)|iq3_xxs' out && wrong "exported what is refused there"
  else says importance; fi
  run plan "$at/model.gguf" --imatrix "$at/usual.imatrix.gguf" --no-probe --bpw 2.6 -o s.json; exits 0
  run export s.json --to llama.cpp
  if [ "$code" -eq 0 ]; then grep -qE '(token_embd|output).*(iq1_s|iq2_xxs|iq2_xs)' out && wrong "exported what aborts there"
  else says importance; fi
}
falcon_presets() {
  for preset in $(cut -d, -f1 "$at/expected.csv" | sed 1d | sort -u); do
    types "$at/falcon.gguf" "$preset" >types
    grep "^$preset," "$at/expected.csv" | while IFS=, read -r _ tensor type; do
      grep -qx "$tensor $type" types || echo "$preset: $tensor is not $type"
    done >differs
    [ ! -s differs ] || wrong "$(head -1 differs)"
  done
}
imatrix_of_another_model() {
  run fit "$at/model.gguf" --imatrix "$at/other.imatrix.gguf" --bpw 5 -o out.gguf -q --state s
  exits 1; says 'of another model'; no_file out.gguf s
}
late_refusal() {
  echo '{}' >r.json
  run fit "$cases/overwritten-inputs/model.gguf" --bpw 5 -o out.gguf --recipe r.json --state s; exits 5; no_file s out.gguf
}
lfs_pointer() {
  echo text >t.txt
  for what in pointer:LFS page:'web page'; do
    file="$at/${what%%:*}.gguf"
    for command in "fit $file --bpw 4 -o out.gguf" "quantize $file --format q8_0 -o out.gguf" "eval $file -f t.txt" \
                   "run $file -p a" "imatrix $file -f t.txt -o i.gguf" "tokenize $file t.txt"; do
      run $command; exits 1; says "${what#*:}"
    done
  done
}
many_shards() {
  (ulimit -n 32; "$snug" fit "$at/many.gguf" --no-probe --bpw 9 --split-size 1 -o o.gguf --state s) >out 2>err; code=$?
  [ "$code" -eq 0 ] || { exits 5; says 'ulimit -n'; no_file s; }
}
mtp_fit() {
  run fit "$at/mtp.gguf" --bpw 6 -o out.gguf; exits 0; says 'not used by the model'
  run measure "$at/mtp.gguf" --check 3; exits 0
}
nan_late() {
  for rest in "measure nan.gguf --no-probe" "fit nan.gguf --no-probe --bpw 5 -o out.gguf" \
              "fit nan.gguf --bpw 5 --calib $shared/text/eval-stories.txt -o out.gguf"; do
    cp "$at/nan.gguf" .; run $rest; exits 1; says 'nan.gguf'; says 'row 700, column 5'
  done
}
no_last_padding() {
  run inspect "$at/nopad.gguf"; exits 0
  run quantize "$at/nopad.gguf" --format q8_0 -o out.gguf; exits 0
}
output_symlink() {
  mkdir disk; ln -s disk/out.gguf out.gguf
  run quantize "$cases/overwritten-inputs/model.gguf" --format q8_0 -o out.gguf; exits 0
  [ -L out.gguf ] && [ -f disk/out.gguf ] || wrong "not written where the link points"
  run quantize "$cases/overwritten-inputs/model.gguf" --format q8_0 -o out.gguf --force; exits 0
  [ -L out.gguf ] || wrong "the link was replaced"
  ln -s nowhere/out.gguf dangling
  run fit "$cases/overwritten-inputs/model.gguf" --bpw 5 -o dangling --state s; exits 5; no_file s
}
overwritten_inputs() {
  cp "$at/model.gguf" model.gguf; echo mine >notes.json; echo text >t.txt
  run measure model.gguf --no-probe --profile model.gguf; exits 2
  run measure model.gguf --no-probe --profile notes.json; exits 5
  run imatrix "$cases/export-without-imatrix/model.gguf" -f t.txt -o t.txt --force; exits 2
  cp "$cases/export-without-imatrix/usual.imatrix.gguf" a.gguf; cp a.gguf b.gguf; cp a.gguf before
  run imatrix --merge a.gguf b.gguf -o a.gguf --force; exits 2
  cmp -s model.gguf "$at/model.gguf" && cmp -s a.gguf before || wrong "an input changed"
}
per_layer_embd_preset() {
  sed 1d "$at/expected.csv" | while IFS=, read -r preset type; do
    types "$at/tied.gguf" "$preset" >types
    grep -qx "per_layer_token_embd.weight $type" types || echo "$preset: not $type"
  done >differs
  [ ! -s differs ] || wrong "$(head -1 differs)"
}
progress_width() {
  for columns in 20 80; do
    said=$(timeout 120 python3 "$at/pty_lines.py" $columns "$snug" measure "$shared/models/moe-f16.gguf" --no-probe \
      --formats q4_K,q6_K --state s$columns)
    [[ "$said" == *"lines left behind 0" ]] || wrong "$said"
  done
}
unknown_pre_tokenizer() {
  run fit "$at/new-pre.gguf" --bpw 6 -o out.gguf --recipe r.json; exits 0
  grep -q left_out r.json || wrong "the recipe does not say what was left out"
  echo text >t.txt; rm -f out.gguf r.json
  run fit "$at/new-pre.gguf" --bpw 6 --calib t.txt -o out.gguf; exits 0
  run fit "$at/new-pre.gguf" --bpw 6 -o strict.gguf --strict --state fresh; exits 1; no_file fresh strict.gguf
}

for at in "$cases"/*/; do
  at=${at%/} name=$(basename "$at") found=""
  if ! declare -F "${name//-/_}" >/dev/null; then
    echo "$name: no test knows it"; failed=1; continue
  fi
  rm -rf "${work:?}/case"; mkdir "$work/case"; cd "$work/case" || exit 2
  "${name//-/_}"
  if [ -n "$found" ]; then printf '%s: WRONG\n%s' "$name" "$found"; failed=1; else echo "$name: right"; fi
done
exit $failed
