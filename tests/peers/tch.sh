#!/bin/sh
# Builds langevin-peers against libtorch and compares the flex and tch devices on equal weights and inputs.
#
#   tests/peers/tch.sh            venv and build go under target/; PEERS_VENV names another venv
#
# The 2.9.1 wheel holds the libtorch that it is built against and runs with; it is about 1 GB.
set -eu
cd "$(dirname "$0")/../.."
venv=${PEERS_VENV:-target/peers-venv}

[ -x "$venv/bin/python3" ] || python3 -m venv "$venv"
"$venv/bin/python3" -m pip install --quiet --requirement tests/peers/requirements.txt
PATH=$(cd "$venv/bin" && pwd):$PATH
lib=$(python3 -c 'import os, torch; print(os.path.join(os.path.dirname(torch.__file__), "lib"))')

# tch names the one libtorch version that it was made for; burn's operations work with 2.9.1 as well, which `agree` shows.
LIBTORCH_USE_PYTORCH=1 LIBTORCH_BYPASS_VERSION_CHECK=1 LD_LIBRARY_PATH=$lib \
    cargo build --release -p langevin-peers --features tch --target-dir target/tch

LD_LIBRARY_PATH=$lib target/tch/release/langevin-peers agree --devices flex,tch "$@"
