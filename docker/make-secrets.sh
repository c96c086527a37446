#!/bin/sh
# Make the secrets that compose.yaml mounts, once, in docker/secrets/. What is there is kept.
# Needs openssl.
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets
cd secrets

# secret NAME COMMAND...: the command's output becomes the file, unless the file is there.
secret() {
  name=$1
  shift
  if [ ! -s "$name" ]; then
    "$@" > "$name.new"
    mv "$name.new" "$name"
    echo "made docker/secrets/$name"
  fi
}

url() {
  printf 'mongodb://fhir:%s@mongodb-1,mongodb-2,mongodb-3/?replicaSet=rs0&authSource=admin' "$(cat mongodb-password)"
}

secret mongodb-keyfile openssl rand -base64 756
secret mongodb-root-password openssl rand -hex 32
secret mongodb-password openssl rand -hex 32
secret server-secret openssl rand -hex 32
secret server-mongodb-url url

# In their containers mongod and the server are users who are nobody on this machine, so these files are
# readable by all; the folder is closed, so on this machine nobody but its owner reaches them.
chmod 0700 .
chmod 0444 mongodb-root-password server-secret server-mongodb-url
