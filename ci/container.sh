#!/usr/bin/env bash
# Builds the image with podman, for tests/deploy/test_container.py: `make container`.
# Installs what is missing from the distribution's packages (as root, Debian or Ubuntu). Where
# the base image cannot be pulled, a base image made from Debian's own packages stands in for it.
set -euo pipefail
cd "$(dirname "$0")/.."
pip=${1:?the pip of the development environment}
base=$(sed -n 's/^FROM //p' Dockerfile)
mkdir -p build

missing=()
for program in podman runc debootstrap; do
  command -v "$program" >/dev/null || missing+=("$program")
done
if ((${#missing[@]})); then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}"
fi
"$pip" install --quiet podman-compose

# runc works with either version of control groups; the limits are below those of most machines.
cat >build/containers.conf <<'CONF'
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
CONF
export CONTAINERS_CONF=$PWD/build/containers.conf

if ! podman image exists "$base" && ! timeout 60 podman pull --quiet "$base"; then
  root=$(mktemp -d)
  trap 'rm -rf "$root"' EXIT
  debootstrap --variant=minbase --include=python3,python3-pip,python-is-python3,ca-certificates \
    trixie "$root"
  rm -f "$root"/usr/lib/python3*/EXTERNALLY-MANAGED
  tar -C "$root" -c . | podman import - "$base"
fi

# The build installs from where this machine's pip does; nothing of that stays in the image.
mounts=(--volume "$PWD/build/pip.conf:/etc/pip.conf:ro")
{
  echo "[global]"
  "$pip" config list | sed -nE "s/^[^=]*\.([a-z-]+)='(.*)'$/\1 = \2/p" | sort -u -t= -k1,1
} >build/pip.conf
while read -r path; do
  [ -e "$path" ] && mounts+=(--volume "$path:$path:ro")
done < <(grep -oE '(file://| |=)/[^ ]+' build/pip.conf |
  sed -E 's,^(file://| |=),,; s,/simple/?$,,' | sort -u) # an index names files beside it
podman build --quiet --format docker --pull=never --network host "${mounts[@]}" --tag cml-iam:1.0.0rc1 .
