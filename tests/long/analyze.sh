#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# May take 7200 s.
# Static analysis finds nothing but what tests/lint/analyze.txt explains (make analyze). Skipped tool by tool where one isn't there.
cd "$(dirname "$0")/../.." && exec tests/lint/analyze
