#!/usr/bin/env bash
# Tries packages in bare Debians of debootstrap's smallest kind: first the bundle, with no package installed, then the .deb,
# installed by apt. Each fits the small model that comes with the project into 1 MB; all must give the same bytes. Then each
# draws a report as .png, which is refused with a word on what to install before librsvg is there.
#   tests/packages/run.sh DEB BUNDLE FOLDER [SUITE...]    as root; FOLDER keeps the systems (default: bookworm trixie)
set -euo pipefail
[ $# -ge 3 ] || { sed -n '5s/^# *//p' "$0" >&2; exit 2; }
root=$(cd "$(dirname "$0")/../.." && pwd)
deb=$(realpath "$1") bundle=$(realpath "$2") folder=$3
shift 3
suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=(bookworm trixie)
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
mirror=$(sed -n 's/^deb \(http[^ ]*\).*/\1/p; s/^URIs: *//p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -1 || true)

within() { chroot "$system" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C "$@"; }
fit() { within sh -c "cd /try && rm -f out.gguf && SNUG_HOME=/try/home $1 fit tiny.gguf --size 1MB -o out.gguf -q >/dev/null && sha256sum out.gguf" | cut -c1-16; }

draw() { within sh -c "cd /try && rm -f curve.png && SNUG_HOME=/try/home $1 report out.gguf -o curve.png -q"; }

digests=()
for suite in "${suites[@]}"; do
  base=$folder/$suite system=$folder/$suite-tried
  if [ ! -e "$base" ]; then  # under its name only when it is whole
    rm -rf "$base-part"
    debootstrap --variant=minbase "$suite" "$base-part" ${mirror:+"$mirror"} >"$folder/$suite.log"
    mv "$base-part" "$base"
  fi
  rm -rf "$system"
  cp -a "$base" "$system"
  mount -t proc proc "$system/proc"
  trap 'umount "$system/proc"' EXIT
  cp /etc/resolv.conf "$system/etc/"
  mkdir "$system/try"
  cp "$deb" "$root/models/tiny-f16.gguf" "$system/try/"
  mv "$system/try/tiny-f16.gguf" "$system/try/tiny.gguf"
  tar -C "$system/try" -xzf "$bundle"
  echo "Debian $(cat "$system/etc/debian_version"), $(within dpkg-query -W | wc -l) packages"
  digests+=("$(fit "/try/snug-*/bin/snug")")
  echo "  bundle: ${digests[-1]}"
  within sh -c "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends /try/*.deb" >"$folder/$suite-apt.log" 2>&1 ||
    { tail -5 "$folder/$suite-apt.log"; exit 1; }
  digests+=("$(fit snug)")
  echo "  .deb:   ${digests[-1]}, $(within snug --version), $(within dpkg-query -W | wc -l) packages"
  within test -s /usr/share/man/man1/snug.1.gz || within test -s /usr/share/man/man1/snug.1
  for program in snug "/try/snug-*/bin/snug"; do
    code=0 && said=$(draw "$program" 2>&1) || code=$?
    { [ "$code" -ge 1 ] && [ "$code" -le 5 ] && grep -q librsvg2-2 <<<"$said"; } ||
      { echo "$program ends with $code and does not say that librsvg is missing" >&2; exit 1; }
  done
  within sh -c "DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends librsvg2-2 fonts-dejavu-core" \
    >>"$folder/$suite-apt.log" 2>&1 || { tail -5 "$folder/$suite-apt.log"; exit 1; }
  for program in snug "/try/snug-*/bin/snug"; do
    draw "$program" >/dev/null
    [ "$(head -c 4 "$system/try/curve.png" | tail -c 3)" = PNG ] || { echo "$program draws no .png" >&2; exit 1; }
  done
  echo "  .png:   drawn by both, $(stat -c %s "$system/try/curve.png") bytes"
  umount "$system/proc"
  trap - EXIT
  rm -rf "$system"
done
[ "$(printf '%s\n' "${digests[@]}" | sort -u | wc -l)" = 1 ] || { echo "the bytes differ" >&2; exit 1; }
echo "same bytes everywhere"
