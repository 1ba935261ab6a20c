#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The faults of tests/cluster/faults.py with 1,000 Runs each and at their whole length, and a drain of six minutes, on a cluster of their own.
set -eu
cd "$(dirname "$0")/../.."
export KR_LONG=1 KR_SUITE_SECONDS=7200
exec tests/cluster/run --only cluster/faults --only cluster/drain
