#!/usr/bin/env bash
# Every fault of the machine at every stage of a fit in every form of output: the disk is full, read-only or broken, there is
# no more memory, no more descriptors, nobody reads what it says any more, one of 0 to 2 is closed from the start, the model's
# file gets shorter, the temporary folder is gone, the clock goes back, the process is killed. It sets in with the first, the middle and the last call of the stage that
# changes what a disk holds. The fit must end with an exit code of 0 to 5 and, where that is not 0, a message with a remedy;
# its state must be whole; then, without the fault, the same command must end with the bytes of a fit that nothing disturbed
# and leave nothing else behind.
#   tests/cli/fault_matrix.sh SNUG FAULT_AT MODEL [MULTIMODAL]     FAULT_AT: the library of fault_at.cpp; MULTIMODAL: a checkpoint
# SAMPLE=40 takes every fortieth cell, OFFSET=1 to 39 others of them. FORMS, FAULTS: only those. GGUF, MLX and PROJECTOR: budgets of the forms, for MODEL.
set -uo pipefail
snug=$(readlink -f "$1") library=$(readlink -f "$2") source=$(readlink -f "$3") multimodal=${4:+$(readlink -f "$4")}
gguf=${GGUF:-"--bpw 5 --formats q4_K,q6_K"} mlx=${MLX:-"--bpw 5"} projector=${PROJECTOR:-"--size 400KB"}
ladder=${LADDER:-"--bpw 5,6 --formats q4_K,q6_K"} split=${SPLIT:-400KB}
forms=${FORMS:-gguf recipe split ladder mlx ${multimodal:+mmproj}}
faults=${FAULTS:-full read-only broken no-memory no-descriptors gone-1 gone-2 closed-0 closed-1 closed-2 shrunk no-temporary clock-back killed-before killed-behind}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export SNUG_HOME="$work/measurements" TMPDIR="$work/temporary"
failed=0 cells=0 runs=0 killed=0 said=0 silent=0
summary() {
  echo "$cells cells, $runs disturbed: $killed killed, $said ended by the fault and said so, $silent not touched by it; $failed wrong"
}
exec 3>&1  # for a word at the end, whatever was being run
trap 'summary >&3; exit 1' TERM
wrong() { echo "$form, $stage, $fault at call $at: $*"; failed=$((failed + 1)); }

options_of() {
  case $1 in
    gguf) echo "$gguf -o o.gguf" ;;
    recipe) echo "$gguf -o o.gguf --recipe r.json" ;;
    split) echo "$gguf -o o.gguf --split-size $split --recipe r.json" ;;
    ladder) echo "$ladder -o o-{bpw}.gguf --recipe r-{bpw}.json" ;;
    mlx) echo "$mlx --runtime mlx -o o" ;;
    mmproj) echo "$projector --mmproj p.gguf --mmproj-in-size -o o.gguf" ;;
  esac
}
model_of() { if [ "$1" = mmproj ]; then echo "$multimodal"; else echo "$source"; fi; }

# A folder with a copy of the model, which may be damaged.
lay_out() {
  mkdir -p "$1" "$TMPDIR"
  if [ -d "$TMPDIR.gone" ]; then rm -rf "$TMPDIR.gone"; fi
  rm -rf "$1/model" "$1/model.gguf"
  if [ -d "$original" ]; then cp -rp "$original" "$1/model"; else cp -p "$original" "$1/model.gguf"; fi
}
fit() {  # FOLDER COMMAND...
  local folder=$1 name=model.gguf
  [ -d "$original" ] && name=model
  (cd "$folder" && shift && "$@" "$snug" fit $name --calib-chunks 2 --calib-ctx 32 --state s $(options_of "$form") ${anew:-})
}
weights_in() { if [ -d "$1/model" ]; then echo "$1/model/model.safetensors"; else echo "$1/model.gguf"; fi; }
files_of() {
  (cd "$1" && find . -type f ! -path './model*' ! -name s ! -name s.status ! -name '*.imatrix*' | sort | xargs sha256sum)
}

# "STAGE CALL" lines, of the first, the middle and the last call of each stage: what a stage did it says at its end.
points() {
  awk '/^call/ { call[++n] = $2; next }
       /^stages: / { end_stage("checking") }
       / done in | stopped in |: known$/ { name = $0; sub(/^[0-9:]* /, "", name); sub(/(, round.*)?( done in .*|: known)$/, "", name); end_stage(name) }
       END { end_stage("ending") }
       function end_stage(name,   first, last) {
         if (n == 0 || seen[name]++ > 1) { n = 0; return }
         gsub(/ /, "_", name)
         print name, call[1]
         if (n > 2) print name, call[int((n + 1) / 2)]
         if (n > 1) print name, call[n]
         n = 0
       }' "$1"
}

said_well() {  # of a run that ended with this code
  if [ "$1" -eq 0 ]; then silent=$((silent + 1)); return; fi
  said=$((said + 1))
  [ "$1" -le 5 ] || wrong "exit code $1: $(tail -1 "$work/err")"
  case $fault in closed-2 | gone-2) return ;; esac  # there is nowhere to say it
  grep -q '^snug: ' "$work/err" && grep -q 'try: ' "$work/err" || wrong "exit code $1, no message with a remedy: $(tail -3 "$work/err" | tr '\n' ' ')"
}

disturb() {
  local folder=$work/run code
  lay_out "$folder"
  fit "$folder" env FAULT="$fault" FAULT_AT="$at" FAULT_FILE="$(weights_in "$folder")" LD_PRELOAD="$library" >"$work/out" 2>"$work/err"
  code=$?
  case $fault in
    killed-*)
      if [ "$code" -eq 137 ]; then killed=$((killed + 1)); elif [ "$code" -ne 0 ]; then wrong "exit code $code"; fi ;;
    *) said_well "$code" ;;
  esac
  # Where little memory was free at the start less is done, which is said and stays so unless it is to be decided anew.
  local anew=
  if [ "$fault" = no-memory ] && grep -q '^left out: .*memory' "$work/err"; then anew="--decide-anew --force"; fi
  if [ -s "$folder/s" ]; then "$snug" state verify "$folder/s" >"$work/verify" 2>&1 || wrong "$(head -1 "$work/verify")"; fi
  lay_out "$folder"
  fit "$folder" env >"$work/out" 2>"$work/err" || wrong "again: $(grep -A2 '^snug: ' "$work/err" | tr '\n' ' ')"
  files_of "$folder" | diff "$expected" - >"$work/diff" || wrong "other files: $(grep -c . "$work/diff") of $(cd "$folder" && ls | tr '\n' ' ')"
  [ -z "$(find "$folder" "$SNUG_HOME" "$TMPDIR" -name '*.snug-part-*' -o -name 'snug-*' 2>/dev/null)" ] || wrong "left behind: $(cd "$folder" && ls | tr '\n' ' ')"
  rm -rf "$folder" "$SNUG_HOME"
  runs=$((runs + 1))
}

for form in $forms; do
  original=$(model_of "$form") expected=$work/expected-$form stage=whole fault=none at=0
  rm -rf "$work/whole" "$work/log" "$SNUG_HOME"
  lay_out "$work/whole"
  fit "$work/whole" env FAULT_LOG="$work/log" LD_PRELOAD="$library" >"$work/out" 2>"$work/err" || { cat "$work/err"; exit 1; }
  files_of "$work/whole" >"$expected"
  rm -rf "$SNUG_HOME"
  first_of_form=0
  while read -r stage at; do
    for fault in $faults; do
      case $fault in closed-*) [ "$((first_of_form++))" -lt 3 ] || continue ;; esac
      cells=$((cells + 1))
      [ $((cells % ${SAMPLE:-1})) -eq "${OFFSET:-0}" ] && disturb
    done
  done < <(points "$work/log")
done
[ "$runs" -gt 0 ] || wrong "nothing was disturbed"
[ $((killed + said)) -gt 0 ] || wrong "no run met a fault"
summary
[ "$failed" -eq 0 ]
