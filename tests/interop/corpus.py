#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a real API server (Kubernetes 1.34, with our CRDs) answered to each case of tests/corpus, ours must answer too."""
import os, subprocess, sys, tempfile, time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get('KR_BINARY', os.path.join(TOP, 'build', 'kruntimes'))
CORPUS = os.path.join(TOP, 'tests', 'corpus')

with tempfile.TemporaryDirectory() as state:
    server = subprocess.Popen([BINARY, 'apiserver', '--state-dir', state, '--port', '0'], stderr=subprocess.DEVNULL)
    kubeconfig, end = os.path.join(state, 'kubeconfig'), time.monotonic() + 30
    try:
        while not (os.path.exists(kubeconfig) and os.path.getsize(kubeconfig)) and server.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        code = subprocess.call([sys.executable, os.path.join(CORPUS, 'replay.py'), os.path.join(CORPUS, 'cases.jsonl'), '--kubeconfig', kubeconfig, '--messages'])
    finally:
        server.terminate()
        server.wait()
sys.exit(code)
