#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A Runtime of a local instance whose store is a bucket of versitygw: from the Run to its clean-up, with the keys in a Secret."""
import os, socket, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

s = Suite()
got = subprocess.run([os.path.join(TOP, 'tests', 'tools', 'get'), 'versitygw'], capture_output=True, text=True)
if got.returncode == 77:
    s.skip('versitygw', got.stdout.strip())
    s.end()


until = within(30)


with instance() as i:
    root = os.path.join(i.dir, 'gw')
    os.makedirs(root + '/arts')
    with socket.socket() as x:
        x.bind(('127.0.0.1', 0))
        port = x.getsockname()[1]
    gateway = subprocess.Popen([got.stdout.strip(), '--port', '127.0.0.1:%d' % port, '--access', 'AKLOCAL', '--secret', 'the/secret', '--quiet', 'posix', root],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=i.dir)
    objects = lambda: sorted(os.path.relpath(os.path.join(d, f), root + '/arts') for d, _, fs in os.walk(root + '/arts') for f in fs if '.sgwtmp' not in d)
    try:
        def connected():
            with socket.socket() as x:
                return x.connect_ex(('127.0.0.1', port)) == 0
        s.check('versitygw starts', until(connected))
        runtime = {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Runtime', 'metadata': {'name': 's3'}, 'spec': {
            'replicas': 1, 'server': 'Injected', 'template': {'spec': {'containers': [{'name': 'runtime', 'image': 'local'}]}},
            'artifactStore': {'driver': 's3', 's3': {'bucket': 'arts', 'prefix': 'team/a', 'region': 'us-east-1', 'endpoint': 'http://127.0.0.1:%d' % port,
                                                     'forcePathStyle': True, 'credentialsSecretName': 'keys', 'uploadPartSize': 5 << 20}}}}
        s.equal('the Runtime', i.api.call('POST', RUNTIMES, runtime)[0], 201)
        ready = lambda: i.api.call('GET', RUNTIMES + '/s3')[1].get('status', {}).get('readyReplicas') == 1
        secret = {'apiVersion': 'v1', 'kind': 'Secret', 'metadata': {'name': 'keys'},
                  'data': {k: base64.b64encode(v).decode() for k, v in (('AWS_ACCESS_KEY_ID', b'AKLOCAL'), ('AWS_SECRET_ACCESS_KEY', b'the/secret'))}}
        s.equal('the Secret, later', i.api.call('POST', '/api/v1/namespaces/default/secrets', secret)[0], 201)
        s.check('its pod waits for it', until(ready), str(i.api.call('GET', RUNTIMES + '/s3')[1].get('status')))
        i.api.call('POST', RUNS, run_object('made', ['cd $KRUNTIME_ARTIFACTS_DIR; head -c 12000000 /dev/zero > zeros; mkdir d; echo 1 > d/1'], runtime='s3'))
        run = i.wait({'made'})['made']
        refs = {r['name']: r for r in run['status'].get('artifactRefs', [])}
        key = 'team/a/default/%s/1-%s/zeros' % (run['metadata']['uid'], run['status']['assignedPodUID'][:8])
        s.equal('stored', (run['status']['phase'], sorted(refs), refs.get('zeros', {}).get('location')), ('Succeeded', ['d', 'zeros'], {'s3': {'bucket': 'arts', 'key': key}}))
        s.check('no secret in the status', 'the/secret' not in json.dumps(run))
        r = i.cli('artifact', 'download', 'made', '--dir', i.dir)
        s.equal('downloaded', (r.returncode, os.path.getsize(i.dir + '/zeros') if r.returncode == 0 else r.stderr), (0, 12000000))
        i.api.call('PATCH', RUNTIMES + '/s3', {'spec': {'replicas': 0}}, 'application/merge-patch+json')
        i.cli('run', 'delete', 'made')
        s.check('the Run goes, without a pod of its Runtime', until(lambda: i.api.call('GET', RUNS + '/made')[0] == 404))
        s.equal('the bucket is empty', objects(), [])
        s.check('no keys stay on the disk', until(lambda: not [d for d, _, fs in os.walk(i.state) if 'AWS_SECRET_ACCESS_KEY' in fs]))
    finally:
        gateway.terminate()
        gateway.wait()
    if s.failed:
        print(i.logs())
s.end()
