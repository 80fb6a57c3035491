#!/usr/bin/env bash
# What action.yml runs: the audit with the action's inputs, and the report as the job's summary.
set -euo pipefail

command=${AUDIT_COMMAND:-"$RUNNER_TEMP/cml-iam/bin/cml-iam"}
summary=$(mktemp -d "$RUNNER_TEMP/audit.XXXXXX")/summary.md
arguments=(audit --quiet --color never --fail-on "$AUDIT_FAIL_ON" --out "$summary")

# each LINES [OPTION]: every line that is not empty, the option before it.
each() {
  local line
  while IFS= read -r line; do
    [ -z "$line" ] || arguments+=(${2:+"$2"} "$line")
  done <<<"$1"
}

each "$AUDIT_SITE" --site
each "$AUDIT_EARLIER" --earlier
each "$AUDIT_OUT" --out
each "$AUDIT_SKIP" --skip
[ "$AUDIT_LIVE" != true ] || arguments+=(--live)
each "$AUDIT_OPTIONS"
arguments+=(--)
each "$AUDIT_FILES"

code=0
"$command" "${arguments[@]}" || code=$?

if [ -f "$summary" ]; then
  cat "$summary" >>"$GITHUB_STEP_SUMMARY"
fi
case $code in
  0) conclusion=clean ;;
  3) conclusion=findings ;;
  8) conclusion=incomplete ;;
  *) conclusion=error ;;
esac
printf 'conclusion=%s\nexit-code=%s\n' "$conclusion" "$code" >>"$GITHUB_OUTPUT"
exit "$code"
