#!/usr/bin/env bash
# Install cml-iam from the checkout that this script is in, with the dependencies that were tested:
# pinned, and checked by their hashes.
#
#   install.sh PYTHON FOLDER     makes the virtual environment FOLDER and FOLDER/bin/cml-iam
set -euo pipefail

python=$1
folder=$2
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

"$python" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
  --no-deps --require-hashes --requirement "$checkout/requirements/run.txt"
printf '#!/bin/sh\nPYTHONPATH=%q exec %q -P -m cml_iam "$@"\n' \
  "$checkout" "$folder/bin/python" >"$folder/bin/cml-iam"
chmod 755 "$folder/bin/cml-iam"
