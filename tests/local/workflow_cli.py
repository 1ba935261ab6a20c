#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The verbs of `kruntimes workflow`, and pipelines by `local run`."""
import fcntl, os, pty, re, struct, subprocess, sys, termios, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

FLOW = '''
apiVersion: kruntimes.io/v1alpha1
kind: Workflow
metadata: {name: %s}
spec:
  jobs:
    a:
      runs-on: bash
      outputs: {v: "${{ steps.one.outputs.v }}"}
      steps:
      - {name: one, run: "echo v=$RANDOM >> $KRUNTIME_OUTPUTS; echo from one; echo error >&2"}
    b:
      runs-on: bash
      needs: [a]
      strategy: {matrix: {os: [linux, bsd]}, failFast: false}
      steps:
      - {name: two, run: "echo $OS; exit %s", env: {OS: "${{ matrix.os }}", V: "${{ jobs.a.outputs.v }}"}}
'''
FLOWS = '/apis/kruntimes.io/v1alpha1/namespaces/default/workflows'

s = Suite()
with instance() as i:
    file = os.path.join(i.dir, 'f.yaml')
    def flow(name, code='0'):
        open(file, 'w').write(FLOW % (name, code))
        return file

    # local run and submit --follow: lines with their step, the exit code
    r = i.cli('local', 'run', '-f', flow('good'))
    s.equal('local run', (r.returncode, sorted(r.stdout.splitlines())), (0, ['a/one | from one', 'b[0]/two | bsd' if 'b[0]/two | bsd' in r.stdout else 'b[0]/two | linux',
            'b[1]/two | bsd' if 'b[1]/two | bsd' in r.stdout else 'b[1]/two | linux']))
    s.check('local run: stderr', 'a/one | error\n' in r.stderr and re.search('workflow/good Succeeded in ', r.stderr), r.stderr)
    r = i.cli('local', 'run', '-f', flow('seven', '7'))
    s.equal('local run: exit code', r.returncode, 7)
    r = i.cli('workflow', 'submit', '-f', flow('nine', '9'), '--follow')
    s.equal('submit --follow', (r.returncode, 'a/one | from one\n' in r.stdout), (9, True))
    r = i.cli('workflow', 'submit', '-f', flow('plain'), '--wait')
    s.equal('submit --wait prints lines', (r.returncode, sorted(r.stdout.splitlines())), (0, ['a/one Succeeded', 'b[bsd]/two Succeeded', 'b[linux]/two Succeeded']))

    # refused before it is sent, with file and place
    for name, text, words in (('cycle', 'needs: [b]', 'jobs.a.needs: goes in a circle: a -> b -> a'), ('ref', 'if: jobs.b.outputs.x == ""', 'jobs.a.if: at 6: undeclared field "b"'),
                              ('fn', 'if: nothing()', 'jobs.a.if: at 1: no such function "nothing"')):
        open(file, 'w').write((FLOW % (name, '0')).replace('    a:\n', '    a:\n      %s\n' % text))
        for verb in (['workflow', 'submit', '-f', file], ['workflow', 'lint', file], ['local', 'run', '-f', file]):
            r = i.cli(*verb)
            s.check('%s: %s' % (name, verb[1]), r.returncode and words in r.stderr, r.stderr)
    s.equal('nothing was sent', [w['metadata']['name'] for w in i.api.call('GET', FLOWS)[1]['items'] if w['metadata']['name'] in ('cycle', 'ref', 'fn')], [])

    # lint, graph: without a server
    open(file, 'w').write((FLOW % ('x', '0')).replace('echo $OS;', 'echo ${{ matrix.os }};'))
    env = dict(i.env, KRUNTIMES_STATE_DIR=i.dir + '/none')
    r = i.cli('workflow', 'lint', file, env=env)
    s.check('lint warns', r.returncode == 0 and 'jobs.b.steps[0].run: the value of an expression becomes part of the script' in r.stdout, r.stdout + r.stderr)
    s.equal('mermaid', i.cli('workflow', 'graph', '-o', 'mermaid', file, env=env).stdout, '%% x\nflowchart LR\n  j0["a"]\n  j1["b (2 legs)"]\n  j0 --> j1\n')
    s.check('dot', 'j0 -> j1;' in i.cli('workflow', 'graph', file, env=env).stdout)

    # get, list, describe, logs
    s.check('list', 'nine' in i.cli('workflow', 'list').stdout)
    s.check('get', 'Failed' in i.cli('wf', 'get', 'nine').stdout)
    out = i.cli('workflow', 'describe', 'nine').stdout
    jobs = {'j%02d' % k: {'runs-on': 'nobody', 'needs': ['j%02d' % b for b in range(k)], 'steps': [{'name': 's', 'run': 'true'}]} for k in range(40)}
    s.equal('a dense one is taken', i.api.call('POST', FLOWS, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Workflow', 'metadata': {'name': 'dense'}, 'spec': {'jobs': jobs}})[0], 201)
    s.check('and described', '%s j39' % (' ' * 78) in i.cli('workflow', 'describe', 'dense').stdout)
    i.cli('workflow', 'delete', 'dense')
    s.check('describe', '✗   b  bsd:' in out.replace('linux', 'bsd') and 'rerun nine --failed' in out and 'StepFailed' in out, out)
    s.equal('logs', sorted(i.cli('workflow', 'logs', 'nine').stdout.splitlines())[0], 'a/one | from one')
    s.equal('logs --only', i.cli('workflow', 'logs', 'nine', '--only', 'a/one').stdout, 'a/one | from one\n')
    i.cli('workflow', 'submit', '-f', flow('typo', '127'), '--wait')
    s.equal('logs exit with 0, whatever the step did', i.cli('workflow', 'logs', 'typo').returncode, 0)
    s.equal('logs -f with what it did', i.cli('workflow', 'logs', '-f', 'typo').returncode, 127)
    s.equal('logs of none', i.cli('workflow', 'logs', 'none').returncode != 0, True)

    # rerun --failed: what succeeded keeps its outputs and isn't executed again
    r = i.cli('workflow', 'rerun', 'nine', '--failed')
    name = r.stdout.split('/')[1].split()[0]
    r = i.cli('workflow', 'watch', name)
    again = i.api.call('GET', FLOWS + '/' + name)[1]
    before = i.api.call('GET', FLOWS + '/nine')[1]
    runs = i.api.call('GET', RUNS + '?labelSelector=kruntimes.io/workflow-uid%3D' + again['metadata']['uid'])[1]['items']
    s.equal('rerun --failed', (r.returncode, again['status']['jobs']['a']['outputs'], sorted(x['metadata']['labels']['kruntimes.io/job'] for x in runs)),
            (9, before['status']['jobs']['a']['outputs'], ['b', 'b']))
    s.equal('it sees them', {e['value'] for x in runs for e in x['spec']['env'] if e['name'] == 'V'}, {before['status']['jobs']['a']['outputs']['v']})
    s.check('rerun of what is well', 'has succeeded' in i.cli('workflow', 'rerun', 'good', '--failed').stderr or i.cli('workflow', 'rerun', 'plain', '--failed').returncode != 0)
    s.check('rerun', i.cli('workflow', 'rerun', 'plain').returncode == 0)

    # watch on a terminal draws in place
    def watched(name, rows):
        gate = Gate(os.path.join(i.dir, name))     # so that there is something to be drawn over
        open(file, 'w').write((FLOW % (name, '0')).replace('echo $OS;', gate.at + ';'))
        i.cli('workflow', 'submit', '-f', file)
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', rows, 8, 0, 0))
        p = subprocess.Popen([BINARY, 'workflow', 'watch', name], stdout=slave, stderr=subprocess.DEVNULL, env=i.env)
        os.close(slave)
        seen = b''
        while True:
            try:
                got = os.read(master, 65536)
            except OSError:
                break
            if not got:
                break
            if not seen:
                gate.open()
            seen += got
        s.equal('watch: %d rows' % rows, p.wait(), 0)
        return seen.decode().replace('\r\n', '\n')
    for rows, drawn in ((24, 2), (2, 1)):
        *pictures, last = watched('tty-%d' % rows, rows).split('\x1b[%dA\x1b[J' % drawn)
        s.check('watch: %d rows: each picture in place of the one before' % rows, pictures and all(re.fullmatch(r'\x1b\[\?7l([^\n]*\n){%d}\x1b\[\?7h' % drawn, p) for p in pictures), pictures)
        s.check('watch: %d rows: the last is whole' % rows, last.count('✓') == 5 and last.count('\n') == 2 and '?7l' not in last, last)

    # cancel, delete
    open(file, 'w').write((FLOW % ('long', '0')).replace('echo from one', 'sleep 60'))
    i.cli('workflow', 'submit', '-f', file)
    i.cli('workflow', 'cancel', 'long')
    s.equal('cancel', i.cli('workflow', 'watch', 'long').returncode, 123)
    s.equal('delete', (i.cli('workflow', 'delete', 'long').stdout, i.api.call('GET', FLOWS + '/long')[0]), ('workflow/long deleted\n', 404))
s.end()
