#!/usr/bin/env bash
# Faults of the machine at every stage of a fit: a disk that is full after so many bytes, little memory, a folder that
# may only be read, no temporary folder, a clock that runs backwards, closed descriptors. Each must end with an exit
# code of 0 to 5 and, where that is not 0, a message with a remedy; then, without the fault, the same command must end
# with the bytes of a fit that nothing disturbed.
#   tests/cli/machine_faults.sh SNUG MODEL [BACKWARDS]      BACKWARDS: a library to preload that turns the clock back
set -uo pipefail
snug=$(readlink -f "$1") model=$(readlink -f "$2") backwards=${3:-}
work=$(mktemp -d)
export SNUG_HOME="$work/measurements"  # not among a person's own
unmount() { umount "$work/disk" 2>/dev/null; }
trap 'unmount; rm -rf "$work"' EXIT
cd "$work" || exit 2
failed=0
wrong() { echo "$*"; failed=1; }

fit() { "$snug" fit "$model" --formats q4_K,q6_K --bpw 5 --calib-chunks 2 --calib-ctx 32 -q --json \
  --state "$1/s.state" -o "$1/o.gguf" --recipe "$1/r.json" "${@:2}"; }

mkdir whole
fit whole >whole.out 2>whole.err || { cat whole.err; exit 1; }

# name, exit code and folder of a fit that was disturbed: what it said, and that it goes on
check() {
  local name=$1 code=$2 folder=$3
  [ "$code" -le 5 ] || wrong "$name: exit code $code: $(tail -1 err)"
  if [ "$code" -ne 0 ]; then
    grep -q '^snug: ' err || wrong "$name: exit code $code without a message"
    grep -q 'try: ' err || wrong "$name: no remedy: $(head -3 err | tr '\n' ' ')"
  fi
  if [ -s "$folder/s.state" ]; then "$snug" state verify "$folder/s.state" >verify 2>&1 || wrong "$name: $(head -1 verify)"; fi
}
goes_on() {
  local name=$1 folder=$2
  if [ ! -e "$folder/o.gguf" ]; then fit "$folder" >out 2>err || wrong "$name, again: $(head -3 err | tr '\n' ' ')"; fi
  cmp -s whole/o.gguf "$folder/o.gguf" || wrong "$name: another model than without the fault"
  cmp -s whole/r.json "$folder/r.json" || wrong "$name: another recipe than without the fault"
  [ -z "$(find "$folder" -name '*.snug-part-*' -o -name '*.resume-*')" ] || wrong "$name: left behind $(ls "$folder")"
}

for blocks in 2 16 60 200 500 900 2000; do
  mkdir "full$blocks"
  (ulimit -f $blocks; fit "full$blocks" >out) 2>err
  check "a disk of $blocks blocks" $? "full$blocks"
  goes_on "a disk of $blocks blocks" "full$blocks"
done

for descriptor in 0 1 2; do
  mkdir "closed$descriptor"
  case $descriptor in
    0) fit closed0 >out 2>err <&- ;;
    1) fit closed1 2>err >&- ;;
    2) fit closed2 >out 2>&- ; echo "snug:  try: " >err ;;
  esac
  check "descriptor $descriptor closed" $? "closed$descriptor"
  goes_on "descriptor $descriptor closed" "closed$descriptor"
done

mkdir nowhere
TMPDIR=/no/such/folder fit nowhere >out 2>err
check "no temporary folder" $? nowhere
goes_on "no temporary folder" nowhere

if [ -n "$backwards" ]; then
  mkdir back
  LD_PRELOAD=$backwards fit back >out 2>err
  check "a clock that runs backwards" $? back
  goes_on "a clock that runs backwards" back
fi

# With little memory a fit may choose to do less, so its bytes may be others: nothing more than above is asked of it.
for kib in 60000 200000 400000; do
  mkdir "little$kib"
  (ulimit -v $kib; fit "little$kib" --threads 1 >out) 2>err
  check "$kib KiB of memory" $? "little$kib"
done

# Decided once: with more disk than at first, less, and killed in between, the bytes stay the same.
mkdir disk
if mount -t tmpfs -o size=64m tmpfs disk 2>/dev/null; then
  unmount
  mount -t tmpfs -o size=64k tmpfs disk
  fit disk >out 2>err
  check "a disk of 64 KiB" $? disk
  mount -o remount,size=64m disk
  goes_on_little=$(fit disk 2>err >out; echo $?)
  [ "$goes_on_little" -eq 0 ] || wrong "a disk that got larger: $(head -3 err | tr '\n' ' ')"
  unmount
  mount -t tmpfs -o size=64m tmpfs disk
  mount -o remount,ro disk
  fit disk >out 2>err
  code=$?
  [ "$code" -eq 5 ] || wrong "a disk that may only be read: exit code $code"
  check "a disk that may only be read" "$code" disk
fi
[ "$failed" -eq 0 ] && echo "every fault was said, nothing was lost"
exit $failed
