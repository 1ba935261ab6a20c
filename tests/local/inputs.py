#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Artifacts of Runs in the workspaces of others (spec.artifacts) on a local instance: by name, refused where they must be, and
between the jobs of a Workflow."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

s = Suite()
FLOWS = '/apis/kruntimes.io/v1alpha1/namespaces/default/workflows'
LEAVE = 'cd $KRUNTIME_ARTIFACTS_DIR; echo hello > x.txt; mkdir -p d/sub; echo one > d/a; echo two > d/sub/b; chmod +x d/a; printf "#!/bin/sh\\necho tool \\$1" > tool'


with instance() as i:
    store = os.path.join(i.state, 'volumes', 'default', 'artifacts')

    def execute(name, script=None, **spec):
        o = run_object(name)
        o['spec'].update(spec, **({'args': [script]} if script else {}))
        status, answer = i.api.call('POST', RUNS, o)
        if status != 201:
            return {'status': {'phase': 'refused', 'message': answer['message']}}
        return i.wait({name})[name]

    def out(name):
        return i.cli('run', 'logs', name).stdout

    def failed(name, run, *words, reason='PrepareSource'):
        st = run['status']
        s.check(name, (st['phase'], st.get('reason')) == ('Failed', reason) and all(w in st['message'] for w in words), '%s %s: %s' % (st['phase'], st.get('reason'), st.get('message')))

    maker = execute('maker', LEAVE)
    s.equal('the maker', maker['status']['phase'], 'Succeeded')
    take = lambda name, path, run='maker', **more: dict(more, run=run, name=name, path=path)

    # what comes, and how
    run = execute('taker', 'cat in/x in/d/a in/d/sub/b; test -x in/d/a && ! test -x in/d/sub/b && ls in in/d; sh in/tool', artifacts=[take('x.txt', 'in/x'), take('d', 'in/d'), take('tool', 'in/tool')])
    s.equal('files and a folder', (run['status']['phase'], out('taker')), ('Succeeded', 'hello\none\ntwo\nin:\nd\ntool\nx\n\nin/d:\na\nsub\ntool\n'))
    run = execute('entry', None, artifacts=[take('tool', 'bin/tool')], entrypoint='bin/tool', args=['of another Run'])
    s.equal('an artifact is the entrypoint', (run['status']['phase'], out('entry')), ('Succeeded', 'tool of another Run\n'))
    run = execute('beside', 'cat f in/x', source={'files': [{'path': 'f', 'content': 'source\n'}, {'path': 'in/x', 'content': 'old\n'}]}, artifacts=[take('x.txt', 'in/x', uid=maker['metadata']['uid'])])
    s.equal('over the source', (run['status']['phase'], out('beside')), ('Succeeded', 'source\nhello\n'))
    run = execute('again', 'cat x; rm x; test $KRUNTIME_ATTEMPT = 2', artifacts=[take('x.txt', 'x')], retryPolicy={'maxAttempts': 2, 'backoff': '1ms'})
    s.equal('before each attempt', (run['status']['phase'], run['status']['attempt'], i.cli('run', 'logs', 'again', '--attempt', '2').stdout), ('Succeeded', 2, 'hello\n'))
    run = execute('handed', 'cp x $KRUNTIME_ARTIFACTS_DIR/y', artifacts=[take('x.txt', 'x')])
    run = execute('handed-on', 'cat y', artifacts=[take('y', 'y', 'handed')])
    s.equal('and handed on', (run['status']['phase'], out('handed-on')), ('Succeeded', 'hello\n'))

    # what can't
    failed('no such Run', execute('no-run', 'true', artifacts=[take('x.txt', 'x', 'nobody')]), 'artifacts[0]', 'no Run "nobody"')
    failed('no such artifact', execute('no-artifact', 'true', artifacts=[take('x.txt', 'x'), take('y', 'y')]), 'artifacts[1]', 'left no artifact "y"')
    failed('another Run of that name', execute('no-uid', 'true', artifacts=[take('x.txt', 'x', uid='other')]), 'another one')
    failed('one path in another', execute('nested', 'true', artifacts=[take('d', 'a/b'), take('x.txt', 'a')]), 'lies in that of artifacts[1]')
    for name, path in (('up', '../x'), ('root', '/x'), ('dot', 'a/./b'), ('blank', '')):
        run = execute('path-' + name, 'true', artifacts=[take('x.txt', path)])
        s.equal('the path "%s" is refused by the server' % path, (run['status']['phase'], 'spec.artifacts[0].path' in run['status']['message']), ('refused', True))
    i.api.call('POST', RUNTIMES, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Runtime', 'metadata': {'name': 'poor'}, 'spec': {
               'server': 'Injected', 'interpreter': ['bash'], 'template': {'spec': {'containers': [{'name': 'runtime', 'image': 'local'}]}}}})
    failed('a Runtime without a store', execute('poor', 'true', runtime='poor', artifacts=[take('x.txt', 'x')]), 'no artifactStore')
    i.api.call('POST', RUNTIMES, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Runtime', 'metadata': {'name': 'other'}, 'spec': {
               'server': 'Injected', 'interpreter': ['bash'], 'artifactStore': {'driver': 'filesystem', 'filesystem': {'volumeClaimName': 'other'}},
               'template': {'spec': {'containers': [{'name': 'runtime', 'image': 'local'}]}}}})
    failed('another store', execute('other', 'true', runtime='other', artifacts=[take('x.txt', 'x')]), 'not in the store of this Runtime')
    long = execute('link', 'ln -s /tmp way-out; true', workspace={'name': 'shared'})
    failed('no way through a link', execute('through', 'true', workspace={'name': 'shared'}, artifacts=[take('x.txt', 'way-out/kruntimes-inputs')]), 'no folder')
    s.check('nothing outside', not os.path.exists('/tmp/kruntimes-inputs'))
    run = execute('over-link', 'cat way-out; test -f way-out', workspace={'name': 'shared'}, artifacts=[take('x.txt', 'way-out')])
    s.equal('a link itself is replaced', (run['status']['phase'], out('over-link')), ('Succeeded', 'hello\n'))

    # what the store has is not what was stored; what a status says of a place is not trusted
    refs = {r['name']: r for r in maker['status']['artifactRefs']}
    place = os.path.join(store, refs['x.txt']['location']['filesystem']['path'])
    open(place, 'w').write('HELLO\n')
    failed('a changed object', execute('changed', 'true', artifacts=[take('x.txt', 'x')]), 'damaged')
    os.truncate(place, 1 << 30)
    failed('one that has grown', execute('grown', 'true', artifacts=[take('x.txt', 'x')]), 'arge')
    os.unlink(place)
    failed('one that is gone', execute('gone', 'true', artifacts=[take('x.txt', 'x')]), 'No such file')
    i.api.call('PATCH', RUNS + '/handed/status', {'status': {'artifactRefs': [dict(refs['d'], name='d')]}}, 'application/merge-patch+json')
    failed('another Run\'s place', execute('forged', 'true', artifacts=[take('d', 'd', 'handed')]), 'not in the store of this Runtime')

    # one that isn't over, and a stop while it is brought
    i.api.call('POST', RUNS, run_object('slow', ['sleep 60']))
    s.check('it runs', until(lambda: i.api.call('GET', RUNS + '/slow')[1].get('status', {}).get('phase') == 'Running'))
    failed('one that is not over', execute('early', 'true', artifacts=[take('x', 'x', 'slow')]), 'is not over', 'Running')
    i.api.call('DELETE', RUNS + '/slow')
    fifo = os.path.join(store, refs['tool']['location']['filesystem']['path'])
    s.equal('a large one', execute('large', 'head -c 400000000 /dev/zero > $KRUNTIME_ARTIFACTS_DIR/zeros')['status']['phase'], 'Succeeded')
    i.api.call('POST', RUNS, run_object('stopped', ['true'], artifacts=[take('zeros', 'z%d' % n, 'large') for n in range(32)]))
    s.check('it is brought', until(lambda: i.helpers('artifact-helper')))
    i.api.call('PATCH', RUNS + '/stopped', {'spec': {'cancelRequested': True}}, 'application/merge-patch+json')
    run = i.wait({'stopped'})['stopped']
    s.equal('it is cancelled meanwhile', (run['status']['phase'], run['status'].get('startTime')), ('Cancelled', None))
    s.check('and leaves nothing', until(lambda: not [n for _, ds, fs in os.walk(i.state + '/pods') for n in ds + fs if n == run['metadata']['uid'] or (n[0] == 'z' and n[1:].isdigit())]))

    # between jobs
    def flow(name, **jobs):
        for j in jobs.values():
            j['runs-on'] = 'bash'
        status, answer = i.api.call('POST', FLOWS, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Workflow', 'metadata': {'name': name}, 'spec': {'jobs': jobs}})
        s.equal('created ' + name, status, 201)
        over = lambda: i.api.call('GET', FLOWS + '/' + name)[1].get('status', {}).get('phase') in ('Succeeded', 'Failed', 'Cancelled')
        until(over)
        return i.api.call('GET', FLOWS + '/' + name)[1]['status']
    use = lambda *pairs: [{'from': f, 'path': p} for f, p in pairs]
    build = {'steps': [{'name': 'first', 'run': 'echo old > $KRUNTIME_ARTIFACTS_DIR/version; mkdir $KRUNTIME_ARTIFACTS_DIR/dist; echo app > $KRUNTIME_ARTIFACTS_DIR/dist/app'},
                       {'name': 'second', 'run': 'echo $(hostname >/dev/null) 1.2 > $KRUNTIME_ARTIFACTS_DIR/version'}]}
    st = flow('pipe', build=build, test={'needs': ['build'], 'steps': [
              {'name': 's', 'run': 'cat v out/app; echo "got=$(cat v out/app | tr "\\n" +)" > $KRUNTIME_OUTPUTS', 'artifacts': use(('jobs.build.artifacts.version', 'v'), ('jobs.build.artifacts.dist', 'out'))}],
              'outputs': {'got': '${{ steps.s.outputs.got }}'}})
    s.equal('from job to job, the last step\'s', (st['phase'], st['jobs']['test'].get('outputs')), ('Succeeded', {'got': '1.2+app+'}))
    legs = {'strategy': {'matrix': {'k': ['a', 'b', 'c']}}, 'steps': [{'name': 's', 'env': {'K': '${{ matrix.k }}'}, 'run': 'echo $K > $KRUNTIME_ARTIFACTS_DIR/$K; echo $K > $KRUNTIME_ARTIFACTS_DIR/leg'}]}
    st = flow('legs', build=legs, mid={'needs': ['build'], 'steps': [{'name': 's', 'run': 'true'}]}, end={'needs': ['mid'], 'steps': [
              {'name': 's', 'run': 'echo "got=$(cat a b leg | tr -d "\\n")" > $KRUNTIME_OUTPUTS', 'artifacts': use(*(('jobs.build.artifacts.' + n, n) for n in ('a', 'b', 'leg')))}],
              'outputs': {'got': '${{ steps.s.outputs.got }}'}})
    s.equal('of several legs, from a job further up', (st['phase'], st['jobs']['end'].get('outputs')), ('Succeeded', {'got': 'abc'}))
    st = flow('missing', build=build, test={'needs': ['build'], 'steps': [{'name': 's', 'run': 'true', 'artifacts': use(('jobs.build.artifacts.nothing', 'v'))}]})
    s.check('nobody left it', st['phase'] == 'Failed' and st['reason'] == 'ArtifactMissing' and 'jobs.build.artifacts.nothing' in st['message'], str(st))
    st = flow('failed', build={'continueOnError': True, 'steps': [{'name': 's', 'run': 'echo report > $KRUNTIME_ARTIFACTS_DIR/report; false'}]},
              tell={'needs': ['build'], 'steps': [{'name': 's', 'run': 'grep -q report r', 'artifacts': use(('jobs.build.artifacts.report', 'r'))}]})
    s.equal('a report of what failed', (st['phase'], st['jobs']['build']['phase'], st['jobs']['tell']['phase']), ('Succeeded', 'Failed', 'Succeeded'))
    st = flow('not-above', build=build, test={'steps': [{'name': 's', 'run': 'true', 'artifacts': use(('jobs.build.artifacts.version', 'v'))}]})
    s.check('not of a job that it needs', st['reason'] == 'InvalidWorkflow' and 'jobs.test.steps[0].artifacts[0].from' in st['message'] and '"build"' in st['message'], str(st))
    # a rerun of what failed, and a rerun of that: what succeeded keeps its artifacts
    st = flow('mend', build=build, test={'needs': ['build'], 'steps': [{'name': 's', 'run': 'grep -q app out/app && false', 'artifacts': use(('jobs.build.artifacts.dist', 'out'))}]})
    s.equal('it fails first', (st['phase'], st['jobs']['build']['phase']), ('Failed', 'Succeeded'))
    name = 'mend'
    for n in (1, 2):
        name = i.cli('workflow', 'rerun', name, '--failed').stdout.strip().removeprefix('workflow/').removesuffix(' created')
        until(lambda: i.api.call('GET', FLOWS + '/' + name)[1].get('status', {}).get('phase') in ('Succeeded', 'Failed'))
        w = i.api.call('GET', FLOWS + '/' + name)[1]
        runs = i.api.call('GET', RUNS + '?labelSelector=kruntimes.io/workflow-uid%3D' + w['metadata']['uid'])[1]['items']
        s.equal('rerun %d brings it' % n, [(r['status'].get('reason'), r['status'].get('exitCode')) for r in runs], [('ExitCode', 1)])
s.end()
