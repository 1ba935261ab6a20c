#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Any image is a Runtime: unchanged busybox, python, node, one without a shell; and the same Runs under Image and Injected."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from cluster import *

s = Suite()
install()
ns = Space('servers')
have = kubectl('get', 'node', '-o', 'jsonpath={.items[*].status.images[*].names}')
FOREIGN = {'busybox': ([], ['echo $((6 * 7)); [ -x /bin/bash ] || echo no bash'], '42\nno bash\n'),
           'python': (['python3'], ['import sys; print(sys.version_info[0], 6 * 7)'], '3 42\n'),
           'node': (['node'], None, '42\n'),
           'noshell': ([], ['/bin/args', 'six', 'times', 'seven'], 'six times seven\n')}
for name, (interpreter, _, _) in FOREIGN.items():
    if 'localhost/%s:1' % name in have:
        ns.runtime(name, image='localhost/%s:1' % name, **({'interpreter': interpreter} if interpreter else {}))
ns.runtime('bash')
ns.runtime('bash-image', server='Image')


def logs(name):
    done = cli('run', 'logs', name, '-n', ns.name)
    return done.stdout if done.returncode == 0 else 'exit %d: %s' % (done.returncode, done.stderr)


# the thread
s.check('a Runtime gets Ready', ns.wait_ready('bash'), json.dumps(ns.runtime_status('bash')))
ns.submit('first', ['echo hello; echo answer=42 >>$KRUNTIME_OUTPUTS'])
end = ns.finished('first')
s.equal('a Run succeeds', (end.get('phase'), end.get('exitCode'), end.get('outputs')), ('Succeeded', 0, {'answer': '42'}))
s.equal('its output by port-forward', logs('first'), 'hello\n')

# other people's images, as they are
for name, (_, args, out) in FOREIGN.items():
    if 'localhost/%s:1' % name not in have:
        s.skip(name, 'there is no image of it')
        continue
    if s.check(name + ' gets Ready', ns.wait_ready(name), json.dumps(ns.runtime_status(name))):
        ns.submit('in-' + name, args, runtime=name, **({} if args else {'source': {'inline': 'const a = 6; console.log(a * 7)'}}))
        s.equal(name + ' executes', (ns.finished('in-' + name).get('phase'), logs('in-' + name)), ('Succeeded', out))

# the same under both servers
SAME = {
    'true': dict(args=['true']),
    'argv': dict(args=['printf', '%s|', 'a b', '', '$HOME']),
    'script': dict(args=['echo out; echo err >&2; exit 7']),
    'file': dict(source={'inline': 'echo "$# $1"; pwd | grep -c workspace\n'}, args=['one', 'two words']),
    'shebang': dict(source={'inline': '#!/bin/cat\nas it is\n'}),
    'files': dict(source={'files': [{'path': 'a/b.txt', 'content': 'deep\n'}, {'path': 'main.sh', 'content': 'cat a/b.txt'}]}, entrypoint='main.sh'),
    'env': dict(args=['echo $COLOUR; env | grep -c ^KRUNTIME_'], env=[{'name': 'COLOUR', 'value': 'green'}]),
    'outputs': dict(args=['printf "k=v\\nlong<<EOF\\na\\nb\\nEOF\\n" >>$KRUNTIME_OUTPUTS']),
    'bad-outputs': dict(args=['echo nonsense >>$KRUNTIME_OUTPUTS']),
    'timeout': dict(args=['trap "" TERM; while :; do sleep 0.1; done'], timeoutSeconds=1),
    'signal': dict(args=['kill -9 $$']),
    'retry': dict(args=['echo $KRUNTIME_ATTEMPT; [ $KRUNTIME_ATTEMPT = 3 ]'], retryPolicy={'maxAttempts': 3, 'backoff': '10ms'}),
    'missing': dict(args=['/no/such/program', 'x']),
    'nothing': dict(),
    'user': dict(args=['id -u; id -g; echo $HOME | grep -c workspace; touch $HOME/x $TMPDIR/y && echo writable']),
    'background': dict(args=['sleep 100 & echo started']),
    'bytes': dict(args=['printf "\\377\\0x"; head -c 70000 /dev/zero | tr "\\0" z | wc -c']),
    'token': dict(args=['ls /var/run/secrets/kubernetes.io 2>&1 | grep -c serviceaccount; grep -rlE "^ey[A-Za-z0-9_-]+\\." /var/run /run /kruntimes 2>/dev/null | wc -l']),
}
s.check('the image with a server of its own gets Ready', ns.wait_ready('bash-image'), json.dumps(ns.runtime_status('bash-image')))
for name, spec in SAME.items():
    for server, runtime in (('injected', 'bash'), ('image', 'bash-image')):
        code, answer = ns.submit('%s-%s' % (name, server), runtime=runtime, **dict(spec))
        s.check('%s under %s is accepted' % (name, server), code == 201, str(answer)[:300])
for name in SAME:
    results = []
    for server in ('injected', 'image'):
        end = ns.finished('%s-%s' % (name, server))
        told = {k: end.get(k) for k in ('phase', 'reason', 'message', 'exitCode', 'attempt', 'outputs')}
        results.append(json.dumps([told, logs('%s-%s' % (name, server))], sort_keys=True).replace('-' + server, '').replace('bash-image', 'bash'))
    s.equal(name + ' is the same under both', results[0], results[1])
ends = {n: ns.run_status(n + '-image') for n in SAME}
s.equal('what they say', {n: (e.get('phase'), e.get('reason'), e.get('exitCode')) for n, e in ends.items() if e.get('phase') != 'Succeeded'},
        {'script': ('Failed', 'ExitCode', 7), 'bad-outputs': ('Failed', 'OutputsInvalid', 0), 'timeout': ('Timeout', 'Timeout', None),
         'signal': ('Failed', 'Signalled', 137), 'missing': ('Failed', 'ExitCode', 127), 'nothing': ('Failed', 'RuntimeExecute', None)})
s.equal('executed code has the pod\'s user', logs('user-injected'), '65532\n65532\n1\nwritable\n')
s.equal('executed code finds no token', logs('token-injected'), '0\n0\n')
if s.failed:
    print(ns.why())
ns.delete()
s.end()
