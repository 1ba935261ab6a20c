#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What Runs do to a pod, and pods to Runs, by the number of the row: objects that their users fill (50), hostile processes (54), races of cancel, clock and end (55),
environments (56), commands and workspaces that fail (57), paths that lead out (58), memory that is used up (68); a pod replaced by one of its name (61), two
schedulers at once (62), a pod cut off its API server (63). Rows 60 and 62: failpoints.py, handover.py; 69: thousand.py, history.py."""
import os, socket, sys, traceback
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *
import handmade

MERGE = 'application/merge-patch+json'
SLEEP = 'sleep %d' % (70000000 + os.getpid())      # a command line that nobody else has
s = Suite()


until = within(30)


def sleeping():
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        with contextlib.suppress(OSError):
            line = open('/proc/%s/cmdline' % pid).read().replace('\0', ' ')
            if SLEEP in line and int(pid) != os.getpid():
                found.append(line)
    return found


def submit(i, name, script, **spec):
    args = script if isinstance(script, list) else [script] if script else None
    return i.api.call('POST', RUNS, run_object(name, args, **spec))


def status(i, name):
    return i.api.call('GET', RUNS + '/' + name)[1].get('status', {})


def cancel(i, name):
    return i.api.call('PATCH', RUNS + '/' + name, {'spec': {'cancelRequested': True}}, MERGE)[0]


def ends(i, want):
    """want: name → (phase, reason or None, exit code or None)."""
    runs = i.wait(set(want), 60)
    for name, end in want.items():
        st = runs.get(name, {}).get('status', {})
        s.equal(name, (st.get('phase'), st.get('reason'), st.get('exitCode')), end)
    return runs


def row_50(i, top):
    """Runs whose objects have no room for what is to be told of them: each is told to be over, with what fits."""
    limit, place, port = 1572864, os.path.join(top, 'filled'), handmade.free_port()
    store = place + '/store'
    os.makedirs(store)
    env = [{'name': 'E%d' % k, 'value': 'x' * 32000} for k in range(48)]
    told, filled = Gate(place + '/told'), Gate(place + '/filled')
    artifacts = 'cd $KRUNTIME_ARTIFACTS_DIR; for k in {1..32}; do : > $k; done'
    cases = {      # script, bytes that are left, phase and reason, words of the message; without: nothing but the phase fits
        'outputs': ('for k in {1..7}; do printf "k$k=%08000d\\n" 0; done >> $KRUNTIME_OUTPUTS', 4096, ('Failed', 'OutputsTooLarge'), 'no room for its outputs'),
        'outputs-full': (told.at + '; echo k=v >> $KRUNTIME_OUTPUTS', 1, ('Failed', 'OutputsTooLarge'), None),
        'success-full': (told.at, 1, ('Succeeded', None), None),
        'artifacts': (artifacts, 4096, ('Failed', 'ArtifactInvalid'), 'no room for references to artifacts'),
        'artifacts-failed': (artifacts + '; exit 3', 4096, ('Failed', 'ExitCode'), 'its artifacts are not stored: the Run\'s object has no room'),
        'artifacts-unsnapped': (artifacts, 100, ('Failed', 'ArtifactInvalid'), None),
        'artifacts-full': (artifacts, 1, ('Failed', 'ArtifactInvalid'), None),
        'retry-full': ('exit 3', 1, ('Failed', 'ExitCode'), None)}

    def fill(name, room):
        """An annotation that leaves the object so many bytes."""
        note = lambda n: i.api.call('PATCH', RUNS + '/' + name, {'metadata': {'annotations': {'fill': 'x' * n}}}, MERGE)
        used = len(json.dumps(note(10000)[1], separators=(',', ':'))) - 10000
        s.equal('row 50: %s: %d bytes are left' % (name, room), (note(limit - used - room)[0], note(limit - used + 1)[0]), (200, 413))
    handmade.make_runtime(i, 'filled')
    server = handmade.our_server(place, port)
    pod = handmade.Pod(i, 'filled', 'filled', port, place, more=('--artifacts', store, '--artifact-store', '{"driver":"filesystem","filesystem":{"volumeClaimName":"c"}}'))
    pod.daemon.send_signal(signal.SIGSTOP)      # so that they are filled before anything is told of them
    for name, (script, room, _, _) in cases.items():
        name = 'row-50-' + name
        s.equal(name + ' is accepted', submit(i, name, script, runtime='filled', env=env,
                                              **({'retryPolicy': {'maxAttempts': 2, 'backoff': '10ms'}} if 'retry' in name else {}))[0], 201)
        s.check(name + ' is scheduled', until(lambda: status(i, name).get('phase') == 'Scheduled'), json.dumps(status(i, name)))
        fill(name, room)
    pod.daemon.send_signal(signal.SIGCONT)
    for name in ('outputs-full', 'success-full'):      # that it runs is refused before it ends
        s.check('row-50-%s is refused a first time' % name, until(lambda: re.search('does not fit .* run=row-50-%s ' % name, open(pod.log).read())), open(pod.log).read())
    told.open()
    s.equal('row-50-second is accepted', submit(i, 'row-50-second', '[ $KRUNTIME_ATTEMPT = 2 ] || exit 3; ' + filled.at, runtime='filled', env=env,
                                                retryPolicy={'maxAttempts': 2, 'backoff': '10ms'})[0], 201)
    s.check('row-50-second runs again', until(lambda: status(i, 'row-50-second').get('attempt') == 2 and status(i, 'row-50-second').get('phase') == 'Running'), json.dumps(status(i, 'row-50-second')))
    fill('row-50-second', 1)
    filled.open()
    st = i.wait({'row-50-second'}, 30).get('row-50-second', {}).get('status', {})
    s.equal('row-50-second: no code of the attempt before', (st.get('phase'), st.get('attempt'), st.get('exitCode'), st.get('message')), ('Succeeded', 2, None, None))
    runs = i.wait({'row-50-' + name for name in cases}, 30)
    for name, (_, _, end, words) in cases.items():
        name, st = 'row-50-' + name, runs.get('row-50-' + name, {}).get('status', {})
        s.equal(name, (st.get('phase'), st.get('reason'), st.get('attempt'), st.get('outputs'), st.get('artifactRefs')), (*end, 1, None, None))
        s.check(name + ': the message', words in st.get('message', '') if words else 'message' not in st, json.dumps(st))
        s.check(name + ': when it was over', 'completionTime' in st, json.dumps(st))
    left = lambda: [os.path.join(d, f) for d, _, files in os.walk(store) for f in files]
    s.check('row 50: nothing stays in the store', until(lambda: not left()), str(left()))
    s.equal('row 50: nothing of them is left on the pod, which ends', pod.stop(), 0)
    server.terminate()
    server.wait(20)


def row_54(i):
    want = {}
    parts = lambda: {a: i.pids(a) for a in ('apiserver', 'controller', 'scheduler', 'node', 'runtimed', 'runtime-server')}
    before = parts()
    for name, script, end, spec in (
            ('ignores-term', "trap '' TERM; while :; do SLEEP & wait; done", ('Timeout', 'Timeout', None), {'timeoutSeconds': 1}),
            ('double-forks', "(SLEEP &); (setsid env -i /bin/sh -c 'SLEEP & SLEEP' >/dev/null 2>&1 </dev/null &); setsid SLEEP & echo done", ('Succeeded', None, 0), {}),
            ('holds-stdout', 'SLEEP & SLEEP & echo done', ('Succeeded', None, 0), {}),
            ('zombies', 'for k in {1..500}; do (true &); done; echo done', ('Succeeded', None, 0), {}),
            ('many', 'for k in {1..400}; do SLEEP & done; wait', ('Timeout', 'Timeout', None), {'timeoutSeconds': 2})):
        name = 'row-54-' + name
        s.equal(name + ' is accepted', submit(i, name, script.replace('SLEEP', SLEEP), **spec)[0], 201)
        want[name] = end
    ends(i, want)
    s.check('row 54: nothing of them is left', until(lambda: not sleeping(), 10), str(sleeping()[:5]))
    zombies = [pid for a in ('runtimed', 'runtime-server') for pid in i.pids(a)
               if any(' Z ' in open('/proc/%s/stat' % c).read() for c in open('/proc/%d/task/%d/children' % (pid, pid)).read().split())]
    s.equal('row 54: all are reaped', zombies, [])
    s.equal('row 54: nobody else was ended with them', parts(), before)


def row_55(i):
    phases, n = Phases(os.path.join(i.state, 'kubeconfig')), 40
    names = ['row-55-%02d' % k for k in range(n)]
    for name in names:
        submit(i, name, 'sleep 1; exit 0', timeoutSeconds=1)
    asked = [(cancel(i, name), cancel(i, name)) for name in names]      # some wait, some begin, some run, some are at their end
    s.equal('row 55: to cancel twice is as once', set(asked), {(200, 200)})
    runs = i.wait(set(names), 60)
    phases.settle(names)
    for name in names:
        st = runs[name]['status']
        s.check('row 55: %s has one end' % name, phases.one_end(name), str(phases.of[name]))
        s.check('row 55: %s says why' % name, (st['phase'], st.get('reason')) in (('Succeeded', None), ('Timeout', 'Timeout'), ('Cancelled', 'Cancelled')), json.dumps(st))
        s.equal('row 55: %s, cancelled after its end' % name, (cancel(i, name), status(i, name)['phase']), (200, st['phase']))


def row_56(i):
    env = lambda **e: [{'name': k, 'value': v} for k, v in e.items()]
    refused = lambda env: (lambda code, a: (code, a.get('reason'), 'spec.env' in a.get('message', '')))(*submit(i, 'row-56-refused', 'true', env=env))
    s.equal('row 56: 10,000 variables', refused([{'name': 'V%d' % k, 'value': ''} for k in range(10000)]), (422, 'Invalid', True))
    s.equal('row 56: = in a name', refused([{'name': 'A=B', 'value': ''}]), (422, 'Invalid', True))
    code, answer = submit(i, 'row-56-refused', 'true', env=[{'name': 'V%d' % k, 'value': 'x' * 32768} for k in range(64)])
    s.check('row 56: 2 MB', code in (413, 422) and 'large' in answer['message'], '%s %s' % (code, answer.get('message')))
    submit(i, 'row-56-large', '[ ${#V0}${#V24} = 3276832768 ]', env=[{'name': 'V%d' % k, 'value': 'x' * 32768} for k in range(25)])
    submit(i, 'row-56-nul', 'true', env=env(A='a\0b'))
    submit(i, 'row-56-preload', 'echo alive', env=env(LD_PRELOAD='/nowhere.so', LD_LIBRARY_PATH='/nowhere'))
    submit(i, 'row-56-spoof', '[ "$KRUNTIME_RUN_UID" != x ] && [ "$KUBERNETES_SERVICE_HOST" = 10.9.9.9 ]', env=env(KRUNTIME_RUN_UID='x', KUBERNETES_SERVICE_HOST='10.9.9.9'))
    runs = ends(i, {'row-56-large': ('Succeeded', None, 0), 'row-56-preload': ('Succeeded', None, 0), 'row-56-spoof': ('Succeeded', None, 0)})
    st = i.wait({'row-56-nul'})['row-56-nul']['status']
    s.check('row 56: a NUL is told', st['phase'] == 'Failed' and 'NUL' in st['message'], json.dumps(st))
    return runs


def row_57(i):
    submit(i, 'row-57-missing', ['no-such-command', 'x'])
    submit(i, 'row-57-not-executable', ['/etc/passwd', 'x'])
    submit(i, 'row-57-bad-elf', None, source={'inline': '\x7fELF nothing that this kernel takes\n'})
    submit(i, 'row-57-cwd', 'rm -rf "$PWD"; exit 0', workspace={'name': 'row-57'})
    runs = ends(i, {'row-57-missing': ('Failed', 'ExitCode', 127), 'row-57-not-executable': ('Failed', 'ExitCode', 126), 'row-57-cwd': ('Succeeded', None, 0)})
    bad = i.wait({'row-57-bad-elf'})['row-57-bad-elf']['status']
    s.check('row 57: a file the kernel takes for none of its own', bad['phase'] == 'Failed' and bad.get('exitCode') in (126, 127), json.dumps(bad))
    for name, word in (('missing', 'was not found'), ('not-executable', "can't be executed")):
        s.check('row 57: %s is told' % name, word in runs['row-57-' + name]['status']['message'], runs['row-57-' + name]['status']['message'])
    submit(i, 'row-57-cwd-again', 'echo x > f', workspace={'name': 'row-57'})
    again = i.wait({'row-57-cwd-again'})['row-57-cwd-again']['status']
    s.check('row 57: the next Run in a workspace that was removed ends', again.get('phase') in ('Succeeded', 'Failed'), json.dumps(again))


def row_57_large(i):
    """Workspaces that take long to remove, or are nested beyond what a path can say: the next attempt has a clean one, and nothing is left."""
    left = lambda: [os.path.join(base, f) for base, folders, _ in os.walk(i.state) if os.path.basename(base) in ('workspace', '.shared') for f in folders if f.startswith('.gone-')]
    clean, want = '[ $KRUNTIME_ATTEMPT = 1 ] || { [ -z "$(ls -A)" ]; exit; }; ', {}
    for name, script in (('many', 'for k in {1..3000}; do : > f$k; done'), ('deep', 'for k in {1..600}; do mkdir d; cd d; done; echo x > f')):
        submit(i, 'row-57-' + name, clean + script + '; exit 3', retryPolicy={'maxAttempts': 2, 'backoff': '1ms'})
        want['row-57-' + name] = ('Succeeded', None, 0)
    submit(i, 'row-57-shared', 'for k in {1..3000}; do : > f$k; done', workspace={'name': 'row-57-large'})
    ends(i, {**want, 'row-57-shared': ('Succeeded', None, 0)})
    i.api.call('DELETE', RUNS + '/row-57-shared')
    s.check('row 57: a shared one goes', until(lambda: not any('row-57-large' in folders for _, folders, _ in os.walk(i.state))))
    s.check('row 57: nothing of them is left', until(lambda: not left() and not i.workspaces()), str(left() + i.workspaces()))


def row_57_full(i, top):
    place, port = os.path.join(top, 'full'), handmade.free_port()
    os.makedirs(place + '/ws')
    if os.geteuid() or subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=400k', 'none', place + '/ws'], capture_output=True).returncode:
        s.skip('row 57: a full workspace', 'a small file system can be mounted by root only')
        return
    stuck = place + '/ws/.gone-7/in/use'           # of a runtimed before, and not to be removed yet
    os.makedirs(stuck)
    subprocess.run(['mount', '-t', 'tmpfs', 'none', stuck])
    handmade.make_runtime(i, 'full')
    server, pod = handmade.our_server(place, port), handmade.Pod(i, 'full', 'full', port, place)
    try:
        s.check('row 57: what cannot be removed is told', until(lambda: re.search('be removed  error=.*gone-7.*esource busy', open(pod.log).read())), open(pod.log).read())
        subprocess.run(['umount', '-l', stuck])
        submit(i, 'row-57-fills', 'head -c 2000000 /dev/zero > f', runtime='full')
        fills = i.wait({'row-57-fills'})['row-57-fills']['status']
        s.check('row 57: a workspace that gets full', (fills['phase'], fills.get('reason'), fills.get('exitCode')) == ('Failed', 'ExitCode', 1), json.dumps(fills))
        s.check('row 57: its folder goes', until(lambda: not [d for d in os.listdir(place + '/ws') if d[0] != '.']))
        submit(i, 'row-57-no-room', None, runtime='full', source={'files': [{'path': 'f%d' % k, 'content': 'x' * 60000} for k in range(4)], 'inline': 'sleep 60'}, timeoutSeconds=60)
        s.check('row 57: one whose source fits', until(lambda: status(i, 'row-57-no-room').get('phase') == 'Running'), json.dumps(status(i, 'row-57-no-room')))
        submit(i, 'row-57-no-more', None, runtime='full', source={'files': [{'path': 'f%d' % k, 'content': 'x' * 60000} for k in range(4)], 'inline': 'x' * 20000})
        st = i.wait({'row-57-no-more'}, 30)['row-57-no-more']['status']
        s.check('row 57: a source without room is told', st.get('reason') == 'PrepareSource' and 'No space left' in st.get('message', ''), json.dumps(st))
        cancel(i, 'row-57-no-room')
        i.wait({'row-57-no-room'})
        submit(i, 'row-57-room', 'echo x > f', runtime='full')
        ends(i, {'row-57-room': ('Succeeded', None, 0)})
        s.equal('row 57: it ends when told', pod.stop(), 0)
        pod.start()
        s.check('row 57: what a runtimed before has left goes', until(lambda: not os.path.exists(place + '/ws/.gone-7')))
    finally:
        s.equal('row 57: runtimed ends', pod.stop(), 0)
        server.terminate()
        server.wait(20)
        subprocess.run(['umount', '-l', place + '/ws'])


def row_58(i):
    for path in ('../x', '/etc/passwd', 'a/../../b', './x', 'a//b', '', 'a/..'):
        code, answer = submit(i, 'row-58-refused', None, entrypoint=path, source={'inline': 'true'})
        s.check('row 58: entrypoint "%s"' % path, code == 422 and 'entrypoint' in answer['message'], '%s %s' % (code, answer.get('message')))
        code, answer = submit(i, 'row-58-refused', 'true', source={'files': [{'path': path, 'content': 'x'}]})
        s.check('row 58: file "%s"' % path, code == 422 and 'spec.source.files' in answer['message'], '%s %s' % (code, answer.get('message')))
    for name in ('../x', 'a/b', '.', '-x', 'A'):
        code, answer = submit(i, 'row-58-refused', 'true', workspace={'name': name})
        s.check('row 58: workspace "%s"' % name, code == 422 and 'spec.workspace.name' in answer['message'], '%s %s' % (code, answer.get('message')))
    shared = {'name': 'row-58'}
    submit(i, 'row-58-links', 'ln -s /bin/true out; ln -s /bin d', workspace=shared)
    ends(i, {'row-58-links': ('Succeeded', None, 0)})
    submit(i, 'row-58-out', None, entrypoint='out', workspace=shared)
    submit(i, 'row-58-d', None, entrypoint='d/true', workspace=shared)
    submit(i, 'row-58-file', 'true', source={'files': [{'path': 'd/new', 'content': 'x'}]}, workspace=shared)
    runs = i.wait({'row-58-out', 'row-58-d', 'row-58-file'})
    for name, run in runs.items():
        s.check('%s is refused' % name, run['status']['phase'] == 'Failed' and run['status']['reason'] in ('RuntimeExecute', 'PrepareSource'), json.dumps(run['status']))
    s.check('row 58: nothing was written there', not os.path.exists('/bin/new'))


def memory_cgroup(bytes):
    """A folder below the memory controller with this limit, without a kill of the whole group; None: it can't be had."""
    for base, limit in (('/sys/fs/cgroup/memory', 'memory.limit_in_bytes'), ('/sys/fs/cgroup', 'memory.max')):
        path = os.path.join(base, 'kr-test-%d' % os.getpid())
        with contextlib.suppress(OSError):
            os.mkdir(path)
            with open(os.path.join(path, limit), 'w') as f:
                f.write(str(bytes))
            return path
        with contextlib.suppress(OSError):
            os.rmdir(path)
    return None


def row_68(i, top):
    group = memory_cgroup(100 << 20)
    if not group:
        s.skip('row 68', 'no memory cgroup can be made here')
        return
    place, port = os.path.join(top, 'memory'), handmade.free_port()
    handmade.make_runtime(i, 'memory')
    server = handmade.our_server(place, port)      # before it has the secret it does nothing: in time for the group
    with open(os.path.join(group, 'cgroup.procs'), 'w') as f:
        f.write(str(server.pid))
    pod = handmade.Pod(i, 'memory', 'memory', port, place)
    go = os.path.join(top, 'go-68')
    hungry = 'x=$(head -c 200000000 /dev/zero | tr "\\0" x); echo ${#x}'
    submit(i, 'row-68-beside', 'until [ -e %s ]; do sleep 0.02; done' % go, runtime='memory')
    submit(i, 'row-68-hungry', hungry, runtime='memory')
    submit(i, 'row-68-again', '[ $KRUNTIME_ATTEMPT = 2 ] || { %s; }' % hungry, runtime='memory', retryPolicy={'maxAttempts': 2, 'backoff': '10ms', 'retryableReasons': ['OOMKilled']})
    i.wait({'row-68-hungry', 'row-68-again'})
    open(go, 'w').close()
    runs = ends(i, {'row-68-hungry': ('Failed', 'OOMKilled', 137), 'row-68-again': ('Succeeded', None, 0), 'row-68-beside': ('Succeeded', None, 0)})
    s.check('row 68: the message tells', 'memory' in runs['row-68-hungry']['status']['message'], runs['row-68-hungry']['status']['message'])
    submit(i, 'row-68-killed-alone', 'kill -9 $$', runtime='memory')
    ends(i, {'row-68-killed-alone': ('Failed', 'Signalled', 137)})
    server = row_68_whole(i, place, port, group, server, pod)
    s.equal('row 68: runtimed lives, and ends when told', pod.stop(), 0)
    server.terminate()
    server.wait(20)
    until(lambda: not open(os.path.join(group, 'cgroup.procs')).read())
    os.rmdir(group)


def row_68_whole(i, place, port, group, server, pod):
    """The container as a whole, as the kernel does with memory.oom.group: each process of it at once. Gives the server that comes after."""
    waits = 'until [ -e %s/go-on ]; do sleep 0.02; done' % place
    lost = ['row-68-lost', 'row-68-lost-too']
    for name in lost:
        submit(i, name, waits, runtime='memory')
    submit(i, 'row-68-lost-again', '[ $KRUNTIME_ATTEMPT = 2 ] || { %s; }' % waits, runtime='memory', retryPolicy={'maxAttempts': 2, 'backoff': '10ms', 'retryableReasons': ['ExecutionLost']})
    s.check('row 68: they run', until(lambda: all(status(i, name).get('phase') == 'Running' for name in [*lost, 'row-68-lost-again']), 60))
    while pids := open(os.path.join(group, 'cgroup.procs')).read().split():
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        server.poll()
    server.wait(20)
    at = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())
    server = handmade.our_server(place, port)
    runs = ends(i, {**{name: ('Failed', 'ExecutionLost', None) for name in lost}, 'row-68-lost-again': ('Succeeded', None, 0)})
    for name in lost:
        s.check('row 68: %s: the message names what it may have been' % name, 'OOMKilled' in runs[name]['status']['message'], runs[name]['status']['message'])
    s.equal('row 68: by policy it is tried again', runs['row-68-lost-again']['status']['attempt'], 2)
    s.equal('row 68: runtimed lives', pod.daemon.poll(), None)
    told = lambda state: (i.api.call('PATCH', handmade.PODS + '/memory/status', {'status': {'containerStatuses': [{'name': 'runtime', **state}]}}, MERGE),
                          i.cli('run', 'describe', lost[0]).stdout)[1]
    killed = lambda reason, when: {'lastState': {'terminated': {'reason': reason, 'exitCode': 137, 'finishedAt': when}}}
    s.check('row 68: describe names it, by what the kubelet says', 'OOMKilled, %s' % at in told(killed('OOMKilled', at)), told({}))
    s.check('row 68: not for a kill before it began', 'Cause:' not in told(killed('OOMKilled', '2020-01-01T00:00:00Z')))
    s.check('row 68: not for another end', 'Cause:' not in told(killed('Error', at)))
    return server


def row_61(i, top):
    """The first pod is frozen when it is deleted; it wakes up when its Run runs on the second one."""
    journal, go = os.path.join(top, 'journal'), os.path.join(top, 'go')
    handmade.make_runtime(i, 'same')
    place = [os.path.join(top, 'same-%d' % k) for k in range(2)]
    port = [handmade.free_port() for _ in place]
    servers = [handmade.our_server(*x) for x in zip(place, port)]
    pods = [handmade.Pod(i, 'same', 'same', port[0], place[0])]
    submit(i, 'row-61', 'echo "begin $KRUNTIME_ATTEMPT" >> %s; if [ $KRUNTIME_ATTEMPT = 1 ]; then sleep 0.3; else until [ -e %s ]; do sleep 0.02; done; fi; '
           'echo who=$KRUNTIME_ATTEMPT >> $KRUNTIME_OUTPUTS; echo "end $KRUNTIME_ATTEMPT" >> %s' % (journal, go, journal), runtime='same', retryPolicy={'maxAttempts': 3, 'backoff': '10ms'})
    s.check('row 61: it runs on the first', until(lambda: status(i, 'row-61').get('phase') == 'Running'), json.dumps(status(i, 'row-61')))
    pods[0].daemon.send_signal(signal.SIGSTOP)
    s.check('row 61: it ends there, which nobody is told', until(lambda: 'end 1' in open(journal).read()))
    i.api.call('DELETE', handmade.PODS + '/same?gracePeriodSeconds=0')
    pods.append(handmade.Pod(i, 'same', 'same', port[1], place[1]))
    s.check('row 61: it runs on the second', until(lambda: status(i, 'row-61').get('attempt') == 2 and status(i, 'row-61').get('phase') == 'Running'), json.dumps(status(i, 'row-61')))
    before = i.api.call('GET', RUNS + '/row-61')[1]
    s.equal('row 61: of the same name, another', (before['status']['assignedPod'], before['status']['assignedPodUID']), ('same', pods[1].uid))
    pods[0].daemon.send_signal(signal.SIGCONT)
    s.check('row 61: the first gives up what it had', until(lambda: not [d for d in os.listdir(place[0] + '/ws') if d[0] != '.']), str(os.listdir(place[0] + '/ws')))
    s.equal('row 61: and has written nothing', i.api.call('GET', RUNS + '/row-61')[1]['metadata']['resourceVersion'], before['metadata']['resourceVersion'])
    open(go, 'w').close()
    run = i.wait({'row-61'})['row-61']['status']
    s.equal('row 61: it ends on the second', (run['phase'], run['attempt'], run['outputs'], run['assignedPodUID']), ('Succeeded', 2, {'who': '2'}, pods[1].uid))
    s.equal('row 61: each attempt once', open(journal).read().split('\n')[:-1], ['begin 1', 'end 1', 'begin 2', 'end 2'])
    for p in pods:
        s.equal('row 61: runtimed ends', p.stop(), 0)
    for p in servers:
        p.terminate()
        p.wait(20)


def row_62(i):
    """Both believe that they lead."""
    pods = lambda: [p['metadata'] for p in i.api.call('GET', handmade.PODS + '?labelSelector=kruntimes.io%2Fruntime%3Dbash')[1]['items']]
    before = {p['uid'] for p in pods()}
    i.api.call('PATCH', RUNTIMES + '/bash', {'spec': {'isolation': 'Process'}}, MERGE)      # so that all write to one journal
    s.check('row 62: fresh pods', until(lambda: len(pods()) == 2 and not before & {p['uid'] for p in pods()} and
                                        i.api.call('GET', RUNTIMES + '/bash')[1]['status'].get('readyReplicas') == 2), str(pods()))
    second = subprocess.Popen([BINARY, 'scheduler', '--kubeconfig', os.path.join(i.state, 'kubeconfig'), '--no-leader-elect', '--metrics-bind', 'unix:' + i.dir + '/second.metrics', '--probes-bind', 'off'],
                              stderr=open(os.path.join(i.dir, 'second.log'), 'w'))
    journal, names = os.path.join(i.dir, 'journal-62'), ['row-62-%03d' % k for k in range(200)]
    assigned, seen = collections.defaultdict(set), threading.Event()
    version = i.api.call('GET', RUNS)[1]['metadata']['resourceVersion']

    def watch():
        for event in Api(os.path.join(i.state, 'kubeconfig')).watch(RUNS + '?watch=true&timeoutSeconds=120&resourceVersion=' + version):
            st, name = event['object'].get('status', {}), event['object']['metadata'].get('name', '')
            if st.get('assignedPodUID'):
                assigned[name].add(st['assignedPodUID'])
            if seen.is_set():
                return
    threading.Thread(target=watch, daemon=True).start()
    for name in names:
        submit(i, name, 'echo $KRUNTIME_RUN_NAME >> %s; sleep 0.02' % journal)
    runs = i.wait(set(names), 120)
    seen.set()
    s.equal('row 62: all succeed, at the first attempt', collections.Counter((r['status'].get('phase'), r['status'].get('attempt')) for r in runs.values()), {('Succeeded', 1): len(names)})
    s.equal('row 62: each was assigned once', {n: p for n, p in assigned.items() if n.startswith('row-62') and len(p) != 1}, {})
    s.equal('row 62: each was executed once', set(collections.Counter(open(journal).read().split()).values()), {1})
    c = http.client.HTTPConnection('localhost', timeout=DEADLINE)
    c.sock = socket.socket(socket.AF_UNIX)
    c.sock.connect(i.dir + '/second.metrics')
    c.request('GET', '/metrics')
    page = c.getresponse().read().decode()
    decided = sum(float(n) for n in re.findall(r'^kruntimes_scheduler_decisions_total\S* (\S+)', page, re.M))
    s.check('row 62: the second was at it, too', decided > 0, page[:3000])
    second.terminate()
    s.equal('row 62: the second ends', second.wait(20), 0)


def row_63(i, top):
    place, port, pages, go = os.path.join(top, 'cut'), handmade.free_port(), handmade.free_port(), os.path.join(top, 'go-63')
    proxy, phases = handmade.Proxy(i), Phases(os.path.join(i.state, 'kubeconfig'))
    handmade.make_runtime(i, 'cut')
    server = handmade.our_server(place, port)
    pod = handmade.Pod(i, 'cut', 'cut', port, place, kubeconfig=proxy.kubeconfig, pages='127.0.0.1:%d' % pages)

    def ready():
        c = http.client.HTTPConnection('127.0.0.1', pages, timeout=DEADLINE)
        c.request('GET', '/readyz')
        return c.getresponse().status
    submit(i, 'row-63', '%s & until [ -e %s ]; do sleep 0.02; done; echo k=v >> $KRUNTIME_OUTPUTS' % (SLEEP, go), runtime='cut')
    s.check('row 63: it runs', until(lambda: status(i, 'row-63').get('phase') == 'Running'), json.dumps(status(i, 'row-63')))
    s.check('row 63: the pod is ready', until(lambda: ready() == 200))
    proxy.cut()
    s.check('row 63: cut off, it is not', until(lambda: ready() == 503))
    open(go, 'w').close()
    s.check('row 63: it ends locally', until(lambda: not sleeping()), str(sleeping()))
    before = i.api.call('GET', RUNS + '/row-63')[1]
    s.equal('row 63: which the API does not know, and nobody takes it away', (before['status']['phase'], before['status']['assignedPodUID']), ('Running', pod.uid))
    i.api.call('PATCH', RUNS + '/row-63', {'metadata': {'labels': {'meanwhile': 'changed'}}}, MERGE)
    proxy.cut(False)
    run = i.wait({'row-63'})['row-63']
    s.equal('row 63: healed, it is told', (run['status']['phase'], run['status']['attempt'], run['status'].get('outputs')), ('Succeeded', 1, {'k': 'v'}))
    phases.settle({'row-63'})
    s.equal('row 63: once', (phases.of['row-63'].count('Succeeded'), i.api.call('GET', RUNS + '/row-63')[1]['metadata']['resourceVersion']), (1, run['metadata']['resourceVersion']))
    s.check('row 63: the pod is ready again', until(lambda: ready() == 200))
    s.equal('row 63: runtimed ends', pod.stop(), 0)
    server.terminate()
    server.wait(20)


def large_and_deleted(i):
    """Of one user: 80 Runs of 1.2 MB each, deleted, and with our finalizer on them. Another one's Run goes, and so do they."""
    held = lambda name, args: {**run_object(name, args, runtime='none'), 'metadata': {'name': name, 'finalizers': ['kruntimes.io/artifact-cleanup']}}
    controllers = i.pids('controller')
    for pid in controllers:      # so that it sees them together
        os.kill(pid, signal.SIGSTOP)
    for k in range(80):
        i.api.call('POST', RUNS, held('large-%d' % k, ['\n' + 'x' * 8000] * 150))
        i.api.call('DELETE', RUNS + '/large-%d' % k)
    i.api.call('POST', RUNS, held('small', ['true']))
    i.api.call('DELETE', RUNS + '/small')
    s.check('it waits for its clean-up', 'deletionTimestamp' in i.api.call('GET', RUNS + '/small')[1]['metadata'])
    for pid in controllers:
        os.kill(pid, signal.SIGCONT)
    s.check('who waits beside large Runs goes', until(lambda: i.api.call('GET', RUNS + '/small')[0] == 404, 60))
    s.check('and the large ones', until(lambda: i.api.call('GET', RUNS + '/large-0')[0] == 404 and i.api.call('GET', RUNS + '/large-79')[0] == 404, 60))


def server_gone_while_cancelled(i, top):
    """Cancel and Watch break off together: Cancel is asked for again, and the slot comes free."""
    place, port = os.path.join(top, 'cancelled'), handmade.free_port()
    handmade.make_runtime(i, 'cancelled')
    server, pod = handmade.our_server(place, port), handmade.Pod(i, 'cancelled', 'cancelled', port, place)
    submit(i, 'traps', "trap 'echo termed' TERM; while :; do %s & wait; done" % SLEEP, runtime='cancelled')
    s.check('traps: it runs', until(lambda: status(i, 'traps').get('phase') == 'Running'))
    cancel(i, 'traps')
    s.check('traps: it is told to end', until(lambda: any(b'termed' in open(os.path.join(base, f), 'rb').read() for base, _, files in os.walk(place + '/st/logs') for f in files)))
    server.kill()
    server.wait()
    server = handmade.our_server(place, port)
    s.check('traps: it is cancelled though the Runtime Server went away meanwhile', until(lambda: status(i, 'traps').get('phase') == 'Cancelled'), json.dumps(status(i, 'traps'))[:600])
    s.equal('traps: runtimed ends when told', pod.stop(), 0)
    server.terminate()
    server.wait(20)


with instance() as i, tempfile.TemporaryDirectory(prefix='kr-rows-') as top:
    try:
        i.api.call('PATCH', RUNTIMES + '/bash', {'spec': {'capacity': {'resources': {'runs': 8}}}}, MERGE)
        until(lambda: i.api.call('GET', RUNTIMES + '/bash')[1].get('status', {}).get('capacity') == {'runs': 16})
        large_and_deleted(i)
        for row in (row_54, row_55, row_56, row_57, row_58):
            row(i)
        row_50(i, top)
        row_57_large(i)
        row_57_full(i, top)
        row_68(i, top)
        row_61(i, top)
        row_63(i, top)
        row_62(i)
        server_gone_while_cancelled(i, top)
    except Exception as e:      # the logs say more than where it was
        s.check('all rows were gone through', False, ''.join(traceback.format_exception(e)))
    if s.failed:
        print(i.logs())
s.end()
