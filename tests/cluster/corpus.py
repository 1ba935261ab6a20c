#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What tests/corpus recorded a real API server with our CRDs say, this one says too (tests/interop/corpus.py: the embedded one)."""
import os, sys, tempfile
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from cluster import *

CORPUS = os.path.join(TOP, 'tests', 'corpus')
kubectl('apply', '-k', os.path.join(TOP, 'crds'))
kubectl('wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s')
with nobody_acts(), tempfile.NamedTemporaryFile('w', suffix='.json') as kubeconfig:
    kubeconfig.write(kubectl('config', 'view', '--raw', '-o', 'json'))      # JSON: no YAML library is needed
    kubeconfig.flush()
    Space('corpus')
    code = subprocess.call([sys.executable, os.path.join(CORPUS, 'replay.py'), os.path.join(CORPUS, 'cases.jsonl'), '--kubeconfig', kubeconfig.name])
sys.exit(code)
