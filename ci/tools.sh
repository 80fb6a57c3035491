#!/usr/bin/env bash
# Installs the programs that some tests run, where they are missing: `make test-tools`.
# From the distribution's packages (as root, Debian or Ubuntu), pip's and npm's.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${1:?the bin folder of the development environment}

packages=()
for pair in chromium:chromium systemd-analyze:systemd kubectl:kubernetes-client zsh:zsh fish:fish; do
  command -v "${pair%%:*}" >/dev/null || packages+=("${pair##*:}")
done
if ((${#packages[@]})); then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${packages[@]}"
fi

programs=()
for pair in cfn-lint:cfn-lint pre-commit:pre-commit aws:awscli; do
  command -v "${pair%%:*}" >/dev/null || [ -x "$bin/${pair%%:*}" ] || programs+=("${pair##*:}")
done
# A folder of their own: what they need must not change what the tests run with.
if ((${#programs[@]})); then
  python3 -m venv build/tools
  build/tools/bin/pip install --quiet --disable-pip-version-check "${programs[@]}"
fi

# Terraform is in no distribution: without it its tests are left out, and that is said.
if command -v terraform >/dev/null && ! compgen -G '/*/tf-plugins' >/dev/null; then
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  echo 'terraform { required_providers { aws = { source = "hashicorp/aws" } } }' >"$folder/main.tf"
  terraform -chdir="$folder" providers mirror "$PWD/build/tf-plugins" >/dev/null
fi
