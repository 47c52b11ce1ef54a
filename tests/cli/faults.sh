#!/usr/bin/env bash
# Runs cases of hostile files and faults of the machine that lie beside the project, where they do.
#   tests/cli/faults.sh SNUG
# Each case is a folder with run.sh SNUG [MODEL], which ends with 0 if the program behaves.
set -uo pipefail
snug=$(readlink -f "$1")
shared=$(readlink -f "$(dirname "$0")/../../../shared" || true)
cases="$shared/cases/attack"
[ -d "$cases" ] || { echo "no cases beside the project"; exit 77; }

# case: the model it takes, if any
known() {
  case $1 in
    model_truncated_while_read) echo "$shared/models/dense-f16.gguf" ;;
    optimum_not_monotone) echo "$shared/models/stories260K-f32.gguf" ;;
    resume_changes_bytes) echo "$shared/models/tiny-f16.gguf" ;;
    *) echo "" ;;
  esac
}

failed=0
for name in file_modes fit_recipe_resume gap_called_optimal late_refusal model_truncated_while_read \
            optimum_not_monotone output_is_the_state profile_overwrites_input resume_changes_bytes \
            resume_sums_not_checked run_terminal_escape sanitizer_only state_part_symlink state_unknown_format \
            stderr_closed tensor_name_not_utf8 zstd_bomb; do
  [ -d "$cases/$name" ] || continue
  model=$(known "$name")
  if ! said=$("$cases/$name/run.sh" "$snug" ${model:+"$model"} 2>&1); then
    echo "$name: $said"
    failed=1
  fi
done
exit $failed
