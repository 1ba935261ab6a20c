#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random inputs for every parser: run.py [--seconds N] [TARGET…]

What a target begins with: inputs.py. Tests take the same seed each time, so that a change is judged by what it changed;
`make fuzz` takes the day's. One line a target; the last line is "N passed, N failed"."""
import argparse
import concurrent.futures
import os
import subprocess
import sys
import time

import inputs


def run(target, seconds, seed):
    command = inputs.driver(target, seconds, seed)
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors='replace', env=inputs.environment(), timeout=seconds * 4 + 300)
        said, code = (done.stdout + done.stderr).strip(), done.returncode
    except subprocess.TimeoutExpired:
        said, code = 'it did not end', 1
    if code:
        return False, 'FAIL %s (%s)\n%s' % (target, ' '.join(command[:6]), said[-4000:])
    return True, said.split('\n')[-1]


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--seconds', type=int, default=int(os.environ.get('KR_FUZZ_SECONDS', '10')))
    p.add_argument('--seed', type=int, default=1, help='0: the day\'s')
    p.add_argument('targets', nargs='*')
    o = p.parse_args()
    seed = o.seed or int(time.time()) // 86400
    targets = inputs.targets(o.targets)
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for ok, said in pool.map(lambda t: run(t, o.seconds, seed), targets):
            print(said, flush=True)
            passed, failed = passed + ok, failed + (not ok)
    print('%d passed, %d failed' % (passed, failed))
    sys.exit(1 if failed else 0)


main()
