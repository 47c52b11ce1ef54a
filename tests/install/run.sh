#!/usr/bin/env bash
# Installs into a scratch folder, checks what is there, and builds and runs a consumer of the CMake package.
#   tests/install/run.sh BUILD_FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
export SNUG_HOME="$work/measurements"  # not among a person's own
trap 'rm -rf "$work"' EXIT
cmake --install "$1" --prefix "$work/prefix" >/dev/null
for file in bin/snug include/snug/quantize.hpp include/snug/model.hpp include/snug/fit.hpp include/snug/events.hpp share/man/man1/snug.1 share/bash-completion/completions/snug \
            share/zsh/site-functions/_snug share/fish/vendor_completions.d/snug.fish; do
  [ -s "$work/prefix/$file" ] || { echo "$file is not installed"; exit 1; }
done
"$work/prefix/bin/snug" --version
cmake -S "$here" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_BUILD_TYPE=Release >/dev/null
cmake --build "$work/build" >/dev/null
"$work/build/consumer"
"$work/build/fit_a_model" "$here/../../models/tiny-f16.gguf" 1000000 "$work/fitted.gguf"
bytes=$(stat -c %s "$work/fitted.gguf")
[ "$bytes" -le 1000000 ] && [ "$bytes" -gt 900000 ] || { echo "the example wrote $bytes bytes"; exit 1; }
