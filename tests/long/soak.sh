#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The soak of tests/fault for half an hour.
# May take 2700 s.
cd "$(dirname "$0")/../.." && KR_SOAK_SECONDS=1800 exec tests/fault/soak.py
