#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a Run does, seen through the command line, on a local instance."""
import os, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

s = Suite()
with instance() as i:
    # 1. inline source, entrypoint script: phase, logs, outputs
    yaml = '''
apiVersion: kruntimes.io/v1alpha1
kind: Run
metadata: {name: one}
spec:
  runtime: bash
  entrypoint: script
  source:
    inline: |
      echo hello
      echo greeting=hi >> $KRUNTIME_OUTPUTS
      printf 'text<<END\\nline 1\\nline 2\\nEND\\n' >> $KRUNTIME_OUTPUTS
'''
    r = i.cli('run', 'submit', '-f', '-', '--wait', stdin=yaml)
    s.equal('inline: exit', r.returncode, 0)
    run = i.api.call('GET', RUNS + '/one')[1]
    s.equal('inline: phase', run['status']['phase'], 'Succeeded')
    s.equal('inline: exit code', run['status']['exitCode'], 0)
    s.equal('inline: outputs', run['status'].get('outputs'), {'greeting': 'hi', 'text': 'line 1\nline 2'})
    s.equal('inline: logs', i.cli('run', 'logs', 'one').stdout, 'hello\n')
    s.equal('inline: conditions', {c['type']: c['status'] for c in run['status']['conditions']},
            {'Scheduled': 'True', 'Started': 'True', 'Finished': 'True', 'Succeeded': 'True'})

    # files, args, env, precedence
    i.api.call('POST', RUNS, run_object('files', ['a', 'b c'], entrypoint='bin/tool',
               source={'files': [{'path': 'bin/tool', 'content': '#!/bin/sh\ncat data.txt; echo "$# $2 $X $KRUNTIME_RUN_NAME $PWD"'},
                                 {'path': 'data.txt', 'content': 'data\n'}]},
               env=[{'name': 'X', 'value': 'x y'}, {'name': 'KRUNTIME_RUN_NAME', 'value': 'forged'}]))
    run = i.wait({'files'})['files']
    out = i.cli('run', 'logs', 'files').stdout
    s.check('files: what the code sees', out.startswith('data\n2 b c x y files ') and out.endswith('/work\n'), out)

    # 2. exit codes, missing command, timeout
    r = i.cli('run', 'submit', '--name', 'seven', '--runtime', 'bash', '--wait', '--', 'exit 7')
    run = i.api.call('GET', RUNS + '/seven')[1]['status']
    s.equal('exit 7: CLI', r.returncode, 7)
    s.equal('exit 7: status', (run['phase'], run['reason'], run['exitCode']), ('Failed', 'ExitCode', 7))
    r = i.cli('run', 'submit', '--name', 'none', '--runtime', 'bash', '--wait', '--', 'there-is-no-such', 'command')
    run = i.api.call('GET', RUNS + '/none')[1]['status']
    s.equal('no command: exit', (r.returncode, run['phase'], run['exitCode']), (127, 'Failed', 127))
    s.check('no command: a sentence', 'there-is-no-such' in run['message'] and 'not found' in run['message'], run['message'])
    r = i.cli('run', 'submit', '--name', 'slow', '--runtime', 'bash', '--timeout', '1s', '--wait', '--',
              'echo began; sleep 61 & sleep 62')
    run = i.api.call('GET', RUNS + '/slow')[1]['status']
    s.equal('timeout', (r.returncode, run['phase'], run.get('reason'), run.get('exitCode')), (124, 'Timeout', 'Timeout', None))
    begin, end = (time.mktime(time.strptime(run['timings'][k][:19], '%Y-%m-%dT%H:%M:%S')) + float('0' + run['timings'][k][19:26]) for k in ('executed', 'finished'))
    s.check('timeout: within 1.0 to 1.5 s', 1.0 <= end - begin <= 1.5, str(end - begin))
    s.equal('timeout: its children are dead', i.executed(), [])
    s.equal('timeout: what it had written is kept', i.cli('run', 'logs', 'slow').stdout, 'began\n')

    # retries: a clean workspace each time, logs of all attempts
    script = 'echo attempt $KRUNTIME_ATTEMPT; ls | wc -l; touch left; [ $KRUNTIME_ATTEMPT = 3 ]'
    i.api.call('POST', RUNS, run_object('thrice', [script], retryPolicy={'maxAttempts': 3, 'backoff': '10ms'}))
    run = i.wait({'thrice'})['thrice']['status']
    s.equal('retry', (run['phase'], run['attempt']), ('Succeeded', 3))
    for n in (1, 2, 3):
        s.equal('retry: logs %d' % n, i.cli('run', 'logs', 'thrice', '--attempt', str(n)).stdout, 'attempt %d\n0\n' % n)

    # the exit code of an attempt before goes with one that was ended by the clock
    i.api.call('POST', RUNS, run_object('then-slow', ['[ $KRUNTIME_ATTEMPT = 2 ] || exit 7; sleep 60'], timeoutSeconds=1, retryPolicy={'maxAttempts': 2, 'backoff': '10ms'}))
    run = i.wait({'then-slow'})['then-slow']['status']
    s.equal('exit 7, then a timeout', (run['phase'], run['attempt'], run.get('exitCode')), ('Timeout', 2, None))

    # each attempt has its time from its own beginning
    i.api.call('POST', RUNS, run_object('then-quick', ['echo attempt $KRUNTIME_ATTEMPT; [ $KRUNTIME_ATTEMPT = 2 ] || sleep 60'], timeoutSeconds=4, retryPolicy={'maxAttempts': 2, 'backoff': '10ms'}))
    run = i.wait({'then-quick'})['then-quick']['status']
    s.equal('a timeout, then in time', (run['phase'], run['attempt'], i.cli('run', 'logs', 'then-quick', '--attempt', '1').stdout), ('Succeeded', 2, 'attempt 1\n'))

    # workspaces are used again: whatever a Run leaves, wherever and however fast, the next one doesn't see it
    names = ['clean%02d' % n for n in range(40)]
    script = ('n=$(find .. -mindepth 1 ! -path ../work/script -printf "%%P:%%m " | tr " " "\\n" | sort | tr -d "\\n"); '
              '[ "$n" = home:700out/artifacts:700out:700tmp:700work:700 ] || { echo "$n"; exit 9; }; %s')
    leave = [':', 'touch ~/x', 'mkdir $TMPDIR/.d', 'touch left', 'chmod 755 ..', 'rmdir ../tmp', 'mv ../tmp ~/tmp && mkdir -m 700 ../tmp', 'touch ../out/.x',
             'ln -s / ../y', 'echo a=1 > $KRUNTIME_OUTPUTS']
    for n, name in enumerate(names):
        i.api.call('POST', RUNS, run_object(name, None, source={'inline': script % leave[n % len(leave)]}))
    s.equal('workspaces are clean', {n: (r['status'].get('phase'), i.cli('run', 'logs', n).stdout) for n, r in i.wait(set(names)).items()
                                     if r['status'].get('phase') != 'Succeeded'}, {})

    # cancel in each phase; one terminal phase only
    i.api.call('POST', RUNS, run_object('pending', ['true'], runtime='not-there'))
    i.api.call('POST', RUNS, run_object('running', ['echo began; sleep 60']))
    phases, asked = {}, False
    for event in i.api.watch(RUNS + '?watch=true&timeoutSeconds=60'):
        run = event['object']
        name, phase = run['metadata']['name'], run.get('status', {}).get('phase', 'Pending')
        if name not in ('pending', 'running', 'early'):
            continue
        seen = phases.setdefault(name, [])
        if not seen or seen[-1] != phase:
            seen.append(phase)
        if not asked and phases.get('running', [None])[-1] == 'Running' and len(phases) == 2:
            asked = True
            i.api.call('PATCH', RUNS + '/running', {'spec': {'cancelRequested': True}}, 'application/merge-patch+json')
            i.api.call('PATCH', RUNS + '/pending', {'spec': {'cancelRequested': True}}, 'application/merge-patch+json')
            i.api.call('POST', RUNS, run_object('early', ['sleep 60'], cancelRequested=True))
        if len(phases) == 3 and all(p[-1] == 'Cancelled' for p in phases.values()):
            break
    for name in ('pending', 'running', 'early'):
        s.check('cancel: ' + name, phases.get(name, [None])[-1] == 'Cancelled' and phases[name].count('Cancelled') == 1, str(phases.get(name)))
    s.equal('cancel: what it had written is kept', i.cli('run', 'logs', 'running').stdout, 'began\n')
    s.equal('cancel: exit status', i.cli('run', 'wait', 'running').returncode, 123)

    # output in time, follow, both streams
    r = i.cli('run', 'submit', '--runtime', 'bash', '--follow', '--', 'for i in 1 2 3; do echo out $i; echo err $i >&2; done; exit 3')
    s.equal('follow: exit', r.returncode, 3)
    s.equal('follow: stdout', r.stdout, 'out 1\nout 2\nout 3\n')
    s.check('follow: stderr', 'err 1\nerr 2\nerr 3\n' in r.stderr.replace('no kubeconfig: using the local instance (%s/kubeconfig)\n' % i.state, ''), r.stderr)

    # what is left behind ends with the Run
    i.api.call('POST', RUNS, run_object('daemon', ['setsid sleep 71 >/dev/null 2>&1 &']))
    s.equal('daemon', i.wait({'daemon'})['daemon']['status']['phase'], 'Succeeded')
    s.equal('nothing is left behind', i.executed(), [])

    # ttl, delete
    i.api.call('POST', RUNS, run_object('brief', ['true'], ttlSecondsAfterFinished=0))
    until = time.monotonic() + 20
    while time.monotonic() < until and i.api.call('GET', RUNS + '/brief')[0] != 404:
        time.sleep(0.02)
    s.equal('ttl 0', i.api.call('GET', RUNS + '/brief')[0], 404)
    i.api.call('POST', RUNS, run_object('deleted', ['exec sleep 60']))
    until = time.monotonic() + 20
    while time.monotonic() < until and i.api.call('GET', RUNS + '/deleted')[1].get('status', {}).get('phase') != 'Running':
        time.sleep(0.02)
    s.check('delete: it runs', len(i.executed()) == 1, str(i.executed()))
    s.equal('delete: exit', i.cli('run', 'delete', 'deleted').returncode, 0)
    while time.monotonic() < until and i.executed():
        time.sleep(0.02)
    s.equal('delete: its process is gone', i.executed(), [])

    # forms of output
    s.check('table', i.cli('run', 'list').stdout.split('\n')[0].split() == ['NAME', 'RUNTIME', 'PHASE', 'EXIT', 'DURATION', 'AGE'])
    s.equal('jsonpath', i.cli('run', 'get', 'seven', '-o', 'jsonpath={.status.exitCode}').stdout, '7')
    s.equal('name', i.cli('run', 'get', 'seven', '-o', 'name').stdout, 'run.kruntimes.io/seven\n')
    shown = i.cli('run', 'get', 'seven', '-o', 'yaml').stdout
    s.check('yaml', 'phase: Failed\n' in shown and 'managedFields' not in shown, shown)
    s.check('the managers are there for who asks', 'kruntimes-runtimed' in i.cli('run', 'get', 'seven', '-o', 'jsonpath={.metadata.managedFields}').stdout)
    s.equal('json', json.loads(i.cli('run', 'get', 'seven', '-o', 'json').stdout)['kind'], 'Run')
    s.check('describe', 'look at its output' in i.cli('run', 'describe', 'seven').stdout)
    s.check('runtime', 'bash' in i.cli('runtime', 'get').stdout and '2 wanted' in i.cli('runtime', 'describe', 'bash').stdout)
    s.equal('not found', i.cli('run', 'get', 'nobody').returncode, 3)
    if s.failed:
        print(i.logs())
s.end()
