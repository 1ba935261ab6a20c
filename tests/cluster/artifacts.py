#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Artifacts on a cluster: a claim and a bucket as stores, read back, cleaned up after a deleted Run; namespaces that hold some go."""
import os, shutil, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from cluster import *

s = Suite()
install()
MAKE = ['cd $KRUNTIME_ARTIFACTS_DIR; head -c 3000000 /dev/zero >zeros; mkdir d; echo 1 >d/1']
KEY, SECRET = 'AKCLUSTER', 'a/secret+of=the-cluster'
VOLUME, BUCKETS = (os.path.join(CLUSTER, d) for d in ('volume-claim', 'buckets'))


def files(top):
    return sorted(os.path.relpath(os.path.join(d, f), top) for d, _, fs in os.walk(top) for f in fs if '.sgwtmp' not in d)


def bucket(ns):
    code, answer = ns.api.call('POST', ns.core + '/secrets', {'apiVersion': 'v1', 'kind': 'Secret', 'metadata': {'name': 'keys'},
                                                              'stringData': {'AWS_ACCESS_KEY_ID': KEY, 'AWS_SECRET_ACCESS_KEY': SECRET}})
    s.equal('%s: the Secret' % ns.name, code, 201)
    return {'driver': 's3', 's3': {'bucket': 'arts', 'prefix': 'team/a', 'region': 'us-east-1', 'endpoint': 'http://%s:7070' % ns.api.host,
                                   'forcePathStyle': True, 'credentialsSecretName': 'keys'}}


def life(ns, store, top):
    """Stored, read back, removed with the Run; and the namespace goes although a Run in it has artifacts and another one executes."""
    ns.runtime('bash', artifactStore=store)
    if not s.check('%s: the Runtime gets Ready' % ns.name, ns.wait_ready('bash'), ns.why()):
        return
    for name in ('made', 'kept'):
        ns.submit(name, MAKE)
    end = ns.finished('made')
    s.equal('%s: stored' % ns.name, (end.get('phase'), end.get('reason'), sorted(r['name'] for r in end.get('artifactRefs', []))), ('Succeeded', None, ['d', 'zeros']))
    ns.finished('kept')
    uid = lambda name: ns.get(ns.runs + '/' + name)['metadata']['uid']
    made, kept = uid('made'), uid('kept')
    below = lambda u: [f for f in files(top) if u in f]
    s.check('%s: below the uid of each' % ns.name, below(made) and below(kept), str(files(top)))
    folder = os.path.join(CLUSTER, 'read-' + ns.name)
    os.makedirs(folder, exist_ok=True)
    done = cli('artifact', 'download', 'made', '--dir', folder, '-n', ns.name)
    s.equal('%s: read back' % ns.name, (done.returncode, os.path.getsize(folder + '/zeros') if done.returncode == 0 else done.stderr), (0, 3000000))
    ns.api.call('DELETE', ns.runs + '/made')
    s.check('%s: the deleted Run goes' % ns.name, until(lambda: not ns.get(ns.runs + '/made'), 60), json.dumps(ns.get(ns.runs + '/made')) + ns.why())
    s.equal('%s: and what it stored' % ns.name, below(made), [])
    s.check('%s: so does the Job' % ns.name, until(lambda: not ns.items('/apis/batch/v1/namespaces/%s/jobs' % ns.name), 20))
    s.equal('%s: the other Run keeps its own' % ns.name, len(below(kept)) > 0, True)
    ns.submit('running', ['sleep 300'])
    until(lambda: ns.run_status('running').get('phase') == 'Running', 20)
    s.check('%s: the finalizer is there' % ns.name, 'kruntimes.io/artifact-cleanup' in ns.get(ns.runs + '/kept')['metadata'].get('finalizers', []))
    ns.delete()
    gone = lambda: ns.api.call('GET', '/api/v1/namespaces/' + ns.name)[0] == 404
    s.check('%s: the namespace goes with all of it' % ns.name, until(gone, 120), kubectl('get', 'ns', ns.name, '-o', 'yaml', check=False).stdout + system_logs())
    told = kubectl('logs', '-n', SYSTEM, '-l', 'app.kubernetes.io/component=controller', '--tail=-1', '--prefix')
    s.check('%s: what is left is told' % ns.name, not below(kept) or 'artifacts may be left in' in told and kept in told, told[-2000:])


ns = Space('claim')
life(ns, ns.claim(), VOLUME)
ns.api.call('DELETE', '/api/v1/persistentvolumes/claim')
got = subprocess.run([os.path.join(TOP, 'tests', 'tools', 'get'), 'versitygw'], capture_output=True, text=True)
if got.returncode:
    s.skip('a bucket', got.stdout.strip())
    s.end()
os.makedirs(BUCKETS + '/arts', exist_ok=True)
ns = Space('bucket')
gateway = subprocess.Popen([got.stdout.strip(), '--port', ns.api.host + ':7070', '--access', KEY, '--secret', SECRET, '--quiet', 'posix', BUCKETS],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=CLUSTER)
try:
    life(ns, bucket(ns), BUCKETS)
finally:
    gateway.terminate()
    gateway.wait()
for d in (VOLUME, BUCKETS):
    shutil.rmtree(d, ignore_errors=True)
s.end()
