#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A client-go program (tests/tools/clientgo) against a local instance whose API server is killed under it."""
import os, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

s = Suite()
got = subprocess.run([os.path.join(TOP, 'tests', 'tools', 'get'), 'clientgo'], capture_output=True, text=True)
if got.returncode == 77:
    s.skip('clientgo', got.stdout.strip())
    s.end()

with instance() as i:
    sign = os.path.join(i.dir, 'sign')
    program = subprocess.Popen([got.stdout.strip(), 'restart', sign], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                               env=dict(i.env, KUBECONFIG=os.path.join(i.state, 'kubeconfig')))
    end = time.monotonic() + DEADLINE
    while not os.path.exists(sign) and program.poll() is None and time.monotonic() < end:
        time.sleep(0.02)      # the program tells by a file
    i.kill('apiserver')
    with open(sign, 'w') as f:
        f.write('restarted')
    out, _ = program.communicate(timeout=2 * DEADLINE)
    print(out, end='')
    last = re.search(r'(\d+) passed, (\d+) failed\n$', out)
    s.check('it ends', last, out[-500:])
    if last:
        s.passed, s.failed = s.passed + int(last.group(1)), s.failed + int(last.group(2))
    if s.failed:
        print(i.logs()[-3000:])
s.end()
