#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gRPC's own interop cases against grpc-go, whose client and server come from its module: ours serves, then ours calls.

Left out are the cases that need a cloud's credentials, and ORCA; compression has none in grpc-go and is answered with
UNIMPLEMENTED (tests/unit/grpc/grpc.c).
"""
import os, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *
import socket

CASES = ('empty_unary large_unary client_streaming server_streaming ping_pong empty_stream timeout_on_sleeping_server cancel_after_begin '
         'cancel_after_first_response status_code_and_message special_status_message custom_metadata unimplemented_method '
         'unimplemented_service rpc_soak channel_soak').split()
OURS = os.environ.get('KR_INTEROP', os.path.join(TOP, 'build', 'dev', 'interop'))

s = Suite()
theirs = {}
for name in ('client', 'server'):
    got = subprocess.run([os.path.join(TOP, 'tests', 'tools', 'get'), 'interop/' + name], capture_output=True, text=True)
    if got.returncode == 77:
        s.skip('grpc-go', got.stdout.strip())
        s.end()
    theirs[name] = got.stdout.strip()

# ---- their client, our server
server = subprocess.Popen([OURS, 'serve'], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
port = server.stdout.readline().split()[1]
for case in CASES + ['pick_first_unary']:
    soak = ['--soak_iterations=50', '--soak_per_iteration_max_acceptable_latency_ms=20000', '--soak_overall_timeout_seconds=60'] if case.endswith('soak') else []
    done = subprocess.run([theirs['client'], '--server_host=127.0.0.1', '--server_port=' + port, '--test_case=' + case, *soak], capture_output=True, text=True, timeout=2 * DEADLINE)
    s.check('grpc-go calls: ' + case, done.returncode == 0, done.stderr[-600:])
server.terminate()
_, errors = server.communicate(timeout=DEADLINE)
s.check('our server ends clean', server.returncode == 0 and not errors, errors[-2000:])

# ---- our client, their server
with socket.socket() as free:                # it takes a number and doesn't tell which it got
    free.bind(('127.0.0.1', 0))
    port = str(free.getsockname()[1])
server = subprocess.Popen([theirs['server'], '--port=' + port], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
end = time.monotonic() + DEADLINE
while server.poll() is None and time.monotonic() < end:
    with socket.socket() as probe:
        if probe.connect_ex(('127.0.0.1', int(port))) == 0:
            break
    time.sleep(0.02)      # it tells by listening
done = subprocess.run([OURS, 'call', port, *CASES], capture_output=True, text=True, timeout=4 * DEADLINE)
for case in CASES:
    s.check('grpc-go answers: ' + case, '\nok %s\n' % case in '\n' + done.stdout, done.stdout[-1500:] + done.stderr[-1500:])
s.check('our client ends clean', done.returncode == 0 and not done.stderr, done.stderr[-2000:])
server.kill()
server.wait()
s.end()
