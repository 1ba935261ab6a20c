#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The faults of tests/cluster/faults.py with 1,000 Runs each and at their whole length, on a cluster of its own.
set -eu
cd "$(dirname "$0")/../.."
export KR_LONG=1 KR_SUITE_SECONDS=3600
exec tests/cluster/run --only cluster/faults
