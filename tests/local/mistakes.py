#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mistakes that a new user makes. Each message names the cause and the next step, on stderr, in a line or two; the exit status says
which kind of mistake it was."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *
from fakeapi import *

s = Suite()
RUN = 'apiVersion: kruntimes.io/v1alpha1\nkind: Run\nmetadata: {name: x}\n'
BASH = ('run', 'submit', '--runtime', 'bash')


def mistake(i, name, words, status, cause, step, stdin=None, env=None, out=''):
    """cause and step: words that must stand in what is said."""
    r = i.cli(*words, stdin=stdin, env=env)
    said = r.stderr.replace('no kubeconfig: using the local instance (%s/kubeconfig)\n' % i.state, '')
    s.equal(name + ': exit status', r.returncode, status)
    s.check(name + ': the cause', cause in said, '%r is not in %r' % (cause, said))
    s.check(name + ': the next step', step in said, '%r is not in %r' % (step, said))
    s.check(name + ': in a line or two, and nothing else', 1 <= said.count('\n') <= 3 and r.stdout == out and 'errno' not in said, repr((r.stdout, said)))


def kubeconfigs(i):
    """Kubeconfigs with one thing wrong in each."""
    text = open(os.path.join(i.state, 'kubeconfig')).read()
    bare = '\n'.join(line for line in text.split('\n') if 'client-' not in line)
    s.equal('users', (i.cli('local', 'user', 'add', 'una').returncode, i.cli('local', 'user', 'add', 'vic', '--role', 'viewer').returncode), (0, 0))
    made = {'dead': re.sub(r'server: .*', 'server: https://127.0.0.1:1', text), 'nohost': re.sub(r'server: .*', 'server: https://no-such-host.invalid', text),
            'expired': re.sub(r'token: .*', 'token: ' + 'a' * 64, bare), 'broken': text.replace('clusters:', 'clusters: ['), 'nocontext': re.sub(r'current-context: .*\n', '', text),
            'ca': re.sub(r'certificate-authority-data: .*', 'certificate-authority-data: ' + foreign_ca(), text), 'empty': ''}
    for name, content in made.items():
        with open(os.path.join(i.dir, name), 'w') as f:
            f.write(content)
    return {name: ('--kubeconfig', os.path.join(i.dir, name)) for name in made}


def foreign_ca():
    """The CA of another instance."""
    other = Instance()
    try:
        other.up()
        return re.search(r'certificate-authority-data: (\S+)', open(os.path.join(other.state, 'kubeconfig')).read()).group(1)
    finally:
        other.down()


def without_server(i):
    none = dict(i.env, KRUNTIMES_STATE_DIR=i.dir + '/nothing')
    mistake(i, 'no kubeconfig', ('run', 'list'), 3, 'no kubeconfig', 'kruntimes local up', env=none)
    mistake(i, 'a kubeconfig that is not there', ('run', 'list', '--kubeconfig', '/nobody'), 3, 'open "/nobody": No such file', 'name one that is there')
    mistake(i, '$KUBECONFIG names nothing', ('run', 'list'), 3, 'none of the kubeconfig files', 'name one that is there', env=dict(i.env, KUBECONFIG='/a:/b'))
    mistake(i, 'a misspelt verb', ('run', 'lsit'), 1, 'there is no verb "lsit"', 'did you mean list?')
    mistake(i, 'a verb of another program', ('run', 'rm', 'x'), 1, 'there is no verb "rm"', 'did you mean delete?')
    mistake(i, 'a verb without its applet', ('logs', 'x'), 1, 'there is no applet "logs"', 'did you mean run logs?')
    mistake(i, 'the same in other words', ('ps',), 1, 'there is no applet "ps"', 'did you mean run list?')
    mistake(i, 'a misspelt applet', ('wrokflow', 'list'), 1, 'there is no applet "wrokflow"', 'did you mean workflow?')
    mistake(i, 'a misspelt option', ('run', 'list', '--namspace', 'x'), 1, 'unknown option "--namspace"', 'did you mean --namespace?')
    mistake(i, 'options in front', ('-n', 'x', 'run', 'list'), 1, 'options stand behind the applet and its verb', 'run list -n NAME')
    i.api.call('POST', RUNS, run_object('kept', ['true'], runtime='nobody'))
    for words in (('run', 'delete'), ('run', 'cancel'), ('run', 'get'), ('run', 'describe'), ('run', 'logs'), ('run', 'wait'), ('run', 'explain'), ('run', 'retry'), ('workflow', 'delete'),
                  ('runtime', 'delete'), ('runtime', 'describe'), ('artifact', 'list')):
        mistake(i, 'an empty name for ' + ' '.join(words), (*words, ''), 125 if words == ('run', 'wait') else 1, 'a name is empty', 'is a variable unset?')
    s.equal('nothing is deleted for it', i.api.call('GET', RUNS + '/kept')[0], 200)
    mistake(i, 'an option without its value', ('run', 'list', '-n'), 1, '-n needs a value: NAME', 'kruntimes run list --help')
    mistake(i, 'a number without a unit', BASH + ('--timeout', '30', '--', 'true'), 1, '"30" is no duration', 'like 30s')
    mistake(i, 'a name is missing', ('run', 'logs'), 1, 'say which: names, or --selector', 'kruntimes run logs --help')
    mistake(i, 'a misspelt kind to explain', ('explain', 'runn.spec'), 3, 'there is no kind "runn"', 'did you mean run?')
    mistake(i, 'a misspelt field to explain', ('explain', 'run.spec.timout'), 3, "'timout' does not exist", 'did you mean "timeoutSeconds"?')
    s.check('a field that is right', 'RULES        1…31536000\n' in i.cli('explain', 'run.spec.timeoutSeconds').stdout)


def in_files(i):
    f = ('run', 'submit', '-f', '-')
    mistake(i, 'not YAML', f, 2, 'stdin: line 1, column 5', 'put a text with \': \' in quotes', stdin='a: b: c\n')
    mistake(i, 'tabs', f, 2, 'line 5, column 1', 'YAML is indented with spaces', stdin=RUN + 'spec:\n\truntime: bash\n')
    mistake(i, 'a misspelt field', f, 2, 'unknown field "spec.timeoutSecond"', 'did you mean "timeoutSeconds"?', stdin=RUN + 'spec: {runtime: bash, timeoutSecond: 3}\n')
    mistake(i, 'a misspelt field that is needed', f, 2, 'unknown field "spec.runtme"', 'did you mean "runtime"?', stdin=RUN + 'spec: {runtme: bash}\n')
    mistake(i, 'a field in a list', f, 2, 'unknown field "spec.env[0].vlaue"', 'did you mean "value"?', stdin=RUN + 'spec: {runtime: bash, env: [{name: A, vlaue: b}]}\n')
    mistake(i, 'a kind of Kubernetes', f, 2, 'kind "Pod" of apiVersion "v1" is not taken here', 'must be a Run, a Runtime or a Workflow', stdin='apiVersion: v1\nkind: Pod\n')
    mistake(i, 'a misspelt kind', f, 2, 'kind "Rnu"', 'did you mean Run of kruntimes.io/v1alpha1?', stdin=RUN.replace('kind: Run', 'kind: Rnu'))
    mistake(i, 'a wrong version', f, 2, 'apiVersion "kruntimes.io/v1"', 'did you mean Run of kruntimes.io/v1alpha1?', stdin=RUN.replace('v1alpha1', 'v1'))
    mistake(i, 'no kind', f, 2, 'it has no kind', 'a Run begins with apiVersion', stdin='metadata: {name: x}\n')
    mistake(i, 'an empty file', f, 2, 'there is no object in it', 'stdin', stdin='')
    mistake(i, 'a file that is not there', ('run', 'submit', '-f', '/nobody.yaml'), 3, 'open "/nobody.yaml"', 'No such file')
    bad, good = os.path.join(i.dir, 'bad.yaml'), os.path.join(TOP, 'manifests', 'samples', 'hello.yaml')
    with open(bad, 'w') as o:
        o.write(RUN + 'spec: {runtme: bash}\n---\n' + RUN + 'spec: {runtime: bash}\n---\n' + RUN + 'spec: {runtime: bash, args: ["true"]}\n')
    told = '%s:1: unknown field "spec.runtme": did you mean "runtime"?; spec.runtime: Required value\n' % bad
    told += '%s:6: warning: spec: there is nothing to execute: neither args nor source nor entrypoint\n' % bad
    told += '%s:11: warning: metadata.name: %s:6 has this name already\n' % (bad, bad)
    mistake(i, 'lint tells them all', ('lint', '-f', bad), 2, '1 can\'t be submitted', 'lint', out=told)
    r = i.cli('lint', good, '-f', os.path.join(TOP, 'manifests', 'samples', 'workflow.yaml'))
    s.equal('lint of what is fine', (r.returncode, r.stdout.count(': fine\n')), (0, 2))
    s.equal('lint of nothing', i.cli('lint').returncode, 1)


def with_server(i, config):
    user = lambda name: ('--kubeconfig', os.path.join(i.state, 'users', name + '.kubeconfig'))
    real = ('--kubeconfig', os.path.join(i.state, 'kubeconfig'))
    mistake(i, 'a wrong context', ('run', 'list', '--context', 'prod') + real, 3, 'there is no context "prod"', 'there is "kruntimes-local"')
    mistake(i, 'no context', ('run', 'list') + config['nocontext'], 2, 'it has no current-context', '--context')
    mistake(i, 'a kubeconfig that is no YAML', ('run', 'list') + config['broken'], 2, config['broken'][1], 'line ')
    mistake(i, 'the cluster is away', ('run', 'list') + config['dead'], 7, 'Connection refused', 'is the API server https://127.0.0.1:1 up')
    mistake(i, 'the cluster is away, followed', BASH + ('--wait',) + config['dead'] + ('--', 'true'), 121, 'Connection refused', 'kruntimes doctor')
    mistake(i, 'a name that nobody knows', ('run', 'list') + config['nohost'], 7, "can't be resolved", '--context takes another')
    mistake(i, 'an expired token', ('run', 'list') + config['expired'], 6, 'Unauthorized', 'a token may have expired; log in again')
    mistake(i, 'a wrong CA', ('run', 'list') + config['ca'], 6, "certificate is not accepted", 'get the kubeconfig anew')
    mistake(i, 'no permission to submit', BASH + user('vic') + ('--', 'true'), 6, 'cannot create resource "runs"', 'the role kruntimes-submitter')
    mistake(i, 'no permission to look', ('run', 'list') + user('una'), 6, 'cannot list resource "runs"', 'the role kruntimes-viewer')
    mistake(i, 'no permission to explain', ('run', 'explain', 'x') + user('una'), 6, 'cannot list resource', 'the role kruntimes-viewer')
    mistake(i, 'a Run that is not there', ('run', 'describe', 'nobody'), 3, '"nobody" not found', 'kruntimes run list -A')
    mistake(i, 'a wrong namespace', ('run', 'logs', 'x', '-n', 'prod'), 3, 'not found; looked in namespace "prod"', 'kruntimes run list -A')
    mistake(i, 'a namespace that is not there', BASH + ('-n', 'prod', '--', 'true'), 3, 'namespaces "prod" not found', 'kubectl get namespaces')
    mistake(i, 'a Runtime that is not there', ('runtime', 'describe', 'python'), 3, '"python" not found', 'kruntimes runtime list -A')
    mistake(i, 'nothing to execute', ('run', 'submit', '--', 'true'), 1, 'what is to be executed, and where?', '--runtime NAME -- COMMAND')
    mistake(i, 'a name that is none', BASH + ('--name', 'My_Run', '--', 'true'), 2, 'Invalid value: "My_Run"', 'must consist of lower case')
    mistake(i, 'not a form of output', ('run', 'list', '-o', 'jsn'), 1, '"jsn" is none of', 'json')

    # a missing Runtime isn't refused, as it may come later: the Run waits, and says for what
    i.cli('run', 'submit', '--runtime', 'bsh', '--name', 'waits', '--', 'true')
    told = i.cli('run', 'explain', 'waits').stdout
    s.check('a missing Runtime', 'runtime "bsh" in namespace "default" does not exist' in told and 'did you mean Runtime "bash"?' in told and 'kruntimes runtime list' in told, told)


def with_fakes(i):
    list_runs = lambda fake: ('run', 'list', '--kubeconfig', fake.kubeconfig)
    with Fake(i.dir) as fake:
        mistake(i, 'kruntimes is not installed', list_runs(fake), 3, 'could not find the requested resource', 'kruntimes manifests | kubectl apply')
        mistake(i, 'the same, submitting', BASH + ('--kubeconfig', fake.kubeconfig, '--', 'true'), 3, 'kruntimes is not installed there', 'kruntimes manifests | kubectl apply')
    with Fake(i.dir, {'GET /': (200, '<html>login</html>')}) as fake:
        mistake(i, 'something else answers', ('run', 'describe', 'x', '--kubeconfig', fake.kubeconfig), 2, "the API server's answer", 'is no Kubernetes API')
    page = {'kind': 'RunList', 'metadata': {'resourceVersion': '5', 'continue': 'more'}, 'items': []}
    with Fake(i.dir, {'GET /apis/kruntimes.io/v1alpha1/namespaces/default/': (200, page)}) as fake:
        for words in (('run', 'list'), ('top', 'runtimes')):
            mistake(i, 'a list without an end, %s %s' % words, words + ('--kubeconfig', fake.kubeconfig), 9, 'has no end', 'a page leads to itself')
    degraded = {'metadata': {'name': 'bash', 'namespace': 'default', 'generation': 1, 'creationTimestamp': '2026-01-01T00:00:00Z'}, 'spec': {'replicas': 1, 'template': {}},
                'status': {'observedGeneration': 1, 'conditions': [{'type': 'Degraded', 'status': 'True', 'reason': 'ImagePullBackOff', 'message': 'Back-off pulling image "bsh:5": not found',
                                                                   'lastTransitionTime': '2026-01-01T00:00:00Z'}]}}
    run = {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Run', 'metadata': {'name': 'x', 'namespace': 'default', 'uid': 'u', 'resourceVersion': '5', 'creationTimestamp': '2026-01-01T00:00:00Z'},
           'spec': {'runtime': 'bash', 'args': ['true']}}
    pod = {'metadata': {'name': 'p', 'namespace': 'default', 'uid': 'p', 'resourceVersion': '5', 'labels': {'kruntimes.io/runtime': 'bash'}}, 'spec': {}, 'status': {'phase': 'Pending'}}
    listed = lambda kind, o: (200, {'kind': kind, 'metadata': {'resourceVersion': '5'}, 'items': [o]})
    degraded['metadata']['resourceVersion'] = '5'
    ours = 'GET /apis/kruntimes.io/v1alpha1/namespaces/default/'
    with Fake(i.dir, {ours + 'runs': listed('RunList', run), ours + 'runtimes': listed('RuntimeList', degraded), 'GET /api/v1/namespaces/default/pods': listed('PodList', pod)}) as fake:
        told = i.cli('run', 'explain', 'x', '--kubeconfig', fake.kubeconfig).stdout
        s.check('an image that can\'t be pulled', 'Degraded:      ImagePullBackOff: Back-off pulling image "bsh:5": not found' in told and 'NoReadyPods: 1 pod: 1 not ready' in told
                and 'Next:          look at why' in told, told)


def with_certificates(i):
    """Servers whose certificate is their CA's, and wrong all the same."""
    if not shutil.which('openssl'):
        s.skip('certificates that are wrong', 'openssl, which makes them, is not on this machine')
        return
    at = lambda name: os.path.join(i.dir, name)
    new = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes')
    openssl = lambda *args: subprocess.run(['openssl', *args], check=True, capture_output=True)
    openssl('req', '-x509', *new, '-keyout', at('ca.key'), '-out', at('ca.pem'), '-days', '2', '-subj', '/CN=root')
    openssl('req', *new, '-keyout', at('leaf.key'), '-out', at('leaf.csr'), '-subj', '/CN=127.0.0.1')
    for name, days, host in (('late', -1, 'IP:127.0.0.1'), ('other', 2, 'DNS:api.example')):
        with open(at('names'), 'w') as f:
            f.write('subjectAltName=%s\n' % host)
        openssl('x509', '-req', '-in', at('leaf.csr'), '-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', str(days), '-extfile', at('names'), '-out', at(name))
        cause, step = {'late': ('has expired', "it has to be renewed at the server, or this machine's clock is wrong"),
                       'other': ('does not match', '--tls-server-name takes the one in it')}[name]
        with Fake(i.dir, certificate=(at(name), at('leaf.key'))) as fake:
            mistake(i, 'a certificate that is %s' % name, ('run', 'list', '--kubeconfig', fake.kubeconfig, '--certificate-authority', at('ca.pem')), 6, cause, step)


with instance() as i:
    without_server(i)
    in_files(i)
    with_server(i, kubeconfigs(i))
    with_fakes(i)
    with_certificates(i)
    if s.failed:
        print(i.logs()[-2000:])
s.end()
