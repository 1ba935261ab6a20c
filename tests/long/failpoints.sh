#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every failpoint of scheduler, controller and runtimed, not only those that tests/fault takes by seed.
cd "$(dirname "$0")/../.." && KR_POINTS=all exec tests/fault/failpoints.py
