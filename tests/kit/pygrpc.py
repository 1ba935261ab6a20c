# SPDX-License-Identifier: Apache-2.0
"""Python's grpcio, with code it generates from our .proto files: peers that know nothing else of us. Import it first: it starts
the test again with the Python that has grpcio, or skips it."""
import os, subprocess, sys
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if not os.environ.get('KR_VENV'):
    venv = subprocess.run([os.path.join(TOP, 'tests', 'tools', 'venv')], capture_output=True, text=True)
    if venv.returncode:
        print('skip grpcio: %s' % (venv.stdout.strip() or venv.stderr.strip()))
        print('0 passed, 0 failed, 1 skipped')
        sys.exit(0)
    os.execve(venv.stdout.strip(), [venv.stdout.strip(), *sys.argv], dict(os.environ, KR_VENV='1'))
import atexit, shutil, tempfile
import grpc
from grpc_tools import protoc

generated = tempfile.mkdtemp(prefix='kr-grpc-')
atexit.register(shutil.rmtree, generated, True)
protos = os.path.join(TOP, 'grpc', 'proto')
protoc.main(['protoc', '-I' + protos, '--python_out=' + generated, '--grpc_python_out=' + generated] +
            [os.path.join(protos, f) for f in ('executor.proto', 'runtime_watch.proto', 'logs.proto', 'health.proto', 'reflection_v1.proto')])
sys.path.insert(0, generated)
import executor_pb2 as x, executor_pb2_grpc as xg, runtime_watch_pb2 as w, runtime_watch_pb2_grpc as wg
import logs_pb2 as l, logs_pb2_grpc as lg, health_pb2 as h, health_pb2_grpc as hg, reflection_v1_pb2 as r, reflection_v1_pb2_grpc as rg
