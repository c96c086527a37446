#!/bin/sh
# A secret comes as a file: FHIR_SERVER_<NAME>_FILE names it, and FHIR_SERVER_<NAME> is set from it.
# So it stands neither in the compose file, nor in `docker inspect`, nor in a command line.
set -eu

for name in MONGODB_URL SECRET; do
  eval "file=\${FHIR_SERVER_${name}_FILE:-}"
  if [ -n "$file" ]; then
    if [ ! -r "$file" ]; then
      echo "FHIR_SERVER_${name}_FILE names $file, which cannot be read by user $(id -u)" >&2
      exit 1
    fi
    export "FHIR_SERVER_${name}=$(cat "$file")"
    unset "FHIR_SERVER_${name}_FILE"
  fi
done

exec fhir-server "$@"
