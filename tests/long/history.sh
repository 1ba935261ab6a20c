#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# history: the checker of tests/fault/history.py for ten minutes.
exec tests/fault/history.py --seconds "${HISTORY_SECONDS:-600}"
