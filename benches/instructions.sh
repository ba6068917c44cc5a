#!/bin/sh
# Instructions per estimate: two runs under valgrind, divided by the estimates between them.
set -eu
program=${1:-${CARGO_TARGET_DIR:-target}/release/examples/instructions}
count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" 2>&1 |
        sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}
few=$(count 1000)
many=$(count 11000)
echo "$(((many - few) / 10000)) instructions per estimate"
