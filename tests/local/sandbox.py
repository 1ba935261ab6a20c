#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Isolation Sandbox, with namespaces where this machine lets us make them and without: a Run tries to read or harm its neighbour,
runtimed, the instance, the machine; and the same Runs work."""
import ctypes, os, select, shutil, struct, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

s = Suite()
tempfile.tempdir = os.path.join(TOP, 'build', 'test')      # not in /tmp: then a Run has a /tmp of its own
os.makedirs(tempfile.tempdir, exist_ok=True)
abi = ctypes.CDLL(None, use_errno=True).syscall(444, None, 0, 1)
NEEDS, KEEPS_SOCKETS = 6, abi >= 9      # from then on the kernel's rules tell one named socket from another
SHM = "import ctypes, sys; l = ctypes.CDLL(None)"
python = shutil.which('python3', path='/usr/bin:/usr/local/bin:/bin') or 'python3'
shared = {w: '%s/kr-sandbox-%d' % (w, os.getpid()) for w in ('/tmp', '/dev/shm')}      # of somebody else on this machine
for w in shared.values():
    with open(w, 'w') as f:
        f.write('secret')
libc = ctypes.CDLL(None)
segment = libc.shmget(0, 4096, 0o1666)
abstract = __import__('socket').socket(1, 1)
abstract.bind('\0kr-sandbox-test-%d' % os.getpid())
abstract.listen(1)
others = {}      # named sockets of somebody else, where a Run may look
for kind, name in ((1, 'stream'), (2, 'datagram')):
    others[name] = __import__('socket').socket(1, kind)
    others[name].bind(os.path.join(tempfile.tempdir, 'kr-%s-%d' % (name, os.getpid())))
others['stream'].listen(1)


def runtime(name, isolation, server='Injected', **env):
    return {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Runtime', 'metadata': {'name': name},
            'spec': {'server': server, 'isolation': isolation, 'capacity': {'resources': {'runs': 8, 'memory': 1 << 32}},
                     'template': {'spec': {'containers': [{'name': 'runtime', 'image': 'none', 'env': [{'name': k, 'value': v} for k, v in env.items()]}]}}}}


def degraded(i, name):
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        for c in i.api.call('GET', RUNTIMES + '/' + name)[1].get('status', {}).get('conditions', []):
            if c['type'] == 'Degraded' and c['status'] == 'True':
                return c['reason']
        time.sleep(0.05)      # polling on purpose: the watch is what other tests try


def waits_with(i, name, reason):
    """Its condition says so."""
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        for c in i.api.call('GET', RUNS + '/' + name)[1].get('status', {}).get('conditions', []):
            if c['type'] == 'Scheduled' and c['status'] == 'False' and c['reason'] == reason:
                return True
        time.sleep(0.05)      # polling on purpose: the watch is what other tests try


def stands_in(pid, place):
    try:
        return os.readlink('/proc/%s/cwd' % pid) == place
    except OSError:
        return False


def try_all(i, box):
    """In this Runtime. A neighbour with a secret in its workspace, its environment and its memory goes on until it is told to stop."""
    listens = python + ' -c "import socket, time; s = socket.socket(1); s.bind(\'s\'); s.listen(); time.sleep(3600)" & until [ -S s ]; do sleep 0.02; done; '
    i.api.call('POST', RUNS, run_object(box + '-victim', [(listens if KEEPS_SOCKETS else '') + 'echo k=secret-of-victim > $KRUNTIME_OUTPUTS; echo secret-of-victim > own.txt; mkfifo f; read x < f'], runtime=box,
                                        env=[{'name': 'TOKEN', 'value': 'secret-in-env'}]))
    until = time.monotonic() + DEADLINE
    place = None
    while not place and time.monotonic() < until:
        for base, dirs, files in os.walk(i.state):
            if 'own.txt' in files and 'f' in files and not os.path.exists(base + '/over'):
                place = base
        time.sleep(0.02)      # nothing tells when a file is there
    victim = next(pid for pid in os.listdir('/proc') if pid.isdigit() and stands_in(pid, place))
    pod = place[:place.index('/workspace/')]
    namespaces = 'Sandbox: rules, a filter and namespaces' in open(pod + '/runtime-server.log').read()
    daemon = i.pids('runtimed')[0]
    looks = [os.stat(p)[:6] + (os.stat(p).st_mtime_ns,) for p in (place + '/own.txt', place, os.path.dirname(place))]
    modes = oct(os.stat(pod + '/workspace').st_mode)
    server = os.getppid() and int(re.search(r'^PPid:\s*(\d+)', open('/proc/%s/status' % victim).read(), re.M).group(1))
    control = next((os.path.join(b, 'control') for b, d, f in os.walk(i.state) if 'control' in f), '/none')
    calls = {'x86_64': dict(ptrace=101, process_vm_readv=310, keyctl=250, bpf=321, perf_event_open=298, mount=165, unshare=272, setns=308, io_uring_setup=425, mq_open=240),
             'aarch64': dict(ptrace=117, process_vm_readv=270, keyctl=219, bpf=280, perf_event_open=241, mount=40, unshare=97, setns=268, io_uring_setup=425, mq_open=180)}[os.uname().machine]
    attempts = {
        'read the neighbour': 'cat %s/own.txt' % place, 'list the neighbour': 'ls %s' % place, 'write into the neighbour': 'echo x > %s/new.txt' % place,
        'write over the neighbour': 'echo x > %s/own.txt' % place, 'remove from the neighbour': 'rm -f %s/own.txt && ! [ -e %s/own.txt ]' % (place, place),
        'link to the neighbour and write through it': 'ln -s %s/own.txt l && echo x >> l' % place, 'a hard link': 'ln %s/own.txt hard' % place,
        'move the neighbour away': 'mv %s/own.txt .' % place, 'truncate': 'truncate -s 0 %s/own.txt' % place,
        'list all workspaces': 'ls %s' % os.path.dirname(os.path.dirname(place)),
        'the kubeconfig': 'cat %s/kubeconfig' % i.state, 'the state of the instance': 'ls %s' % i.state, 'the store': 'find %s -type f | grep .' % i.state,
        'its environment': 'tr "\\0" "\\n" < /proc/%s/environ' % victim, 'its memory': 'head -c 1 /proc/%s/mem' % victim, 'its descriptors': 'ls /proc/%s/fd' % victim,
        'its root': 'cat /proc/%s/root/etc/hostname' % victim, 'its folder': 'ls /proc/%s/cwd/' % victim, 'its map': 'cat /proc/%s/maps | grep .' % victim,
        'kill it': 'kill -9 %s' % victim, 'stop it': 'kill -STOP %s' % victim, 'kill its shim': 'kill -9 %d' % server, 'kill runtimed': 'kill -9 %d' % daemon,
        'kill all': 'kill -9 -1; kill -0 %s' % victim, 'the environment of runtimed': 'tr "\\0" "\\n" < /proc/%d/environ' % daemon,
        'the control socket of runtimed': python + ' -c "import socket; socket.socket(1).connect(%r)"' % control,
        'an abstract socket': python + ' -c "import socket; socket.socket(1).connect(%r)"' % ('\\\\0kr-sandbox-test-%d' % os.getpid()),
        'a packet socket': python + ' -c "import socket; socket.socket(17, 3)"',
        'a named socket of somebody else': python + ' -c "import socket; socket.socket(1).connect(%r)"' % others['stream'].getsockname(),
        'a datagram to somebody else': python + ' -c "import socket; socket.socket(1, 2).sendto(b\'x\', %r)"' % others['datagram'].getsockname(),
        'the same from half a pair': python + ' -c "import socket; socket.socketpair(1, 2)[0].sendto(b\'x\', %r)"' % others['datagram'].getsockname(),
        'shared temporary files': 'cat ' + shared['/tmp'], 'shared memory': 'cat ' + shared['/dev/shm'], 'memory by its number': python + ' -c "%s; sys.exit(l.shmat(%d, 0, 0) == -1)"' % (SHM, segment),
        'rights over the machine': python + ' -c "import re, sys; e = int(re.search(\'CapEff:\\\\s*(\\\\w+)\', open(\'/proc/self/status\').read())[1], 16); sys.exit(not e & (1 << 12 | 1 << 13 | 1 << 16 | 1 << 19 | 1 << 21))"',
        'write to the system': 'echo x > /etc/kr-sandbox', 'write to the kernel': 'echo x > /proc/sys/kernel/hostname',
        'symbols of the kernel': 'head -c 1 /proc/kallsyms | grep .', 'its keys': 'cat /proc/keys | grep .', 'a device': 'mknod dev b 8 0', 'the shadow file': 'cat /etc/shadow', 'another home': 'HOME=/ && echo x > /kr-sandbox', 'mount': 'mount -t tmpfs x .',
        'a user name space': 'unshare -r true', 'become somebody': 'su -c id nobody < /dev/null && ls %s' % place,
    }
    folder, watch = os.path.dirname(place), 'import ctypes, sys; l = ctypes.CDLL(None); sys.exit(l.inotify_add_watch(l.inotify_init(), sys.argv[1].encode(), 0xfff) < 0)'
    attempts.update({
        'change the mode of its file': 'chmod 0644 %s/own.txt' % place, 'change its times': 'touch -c -d 2001-01-01 %s/own.txt' % place,
        'change its owner': 'chown $(id -u) %s/own.txt' % place, 'give it attributes': python + ' -c "import os; os.setxattr(\'%s/own.txt\', \'user.x\', b\'x\')"' % place,
        'lock its folder': 'chmod 0 %s' % folder, 'lock where it works': 'chmod 0 $HOME/../../%s/work' % os.path.basename(folder), 'lock the folder of all': 'chmod 0500 $HOME/../..',
        'all of it through a link': 'ln -s %s/own.txt m && { chmod 0644 m || touch -c -d 2001-01-01 m || chown $(id -u) m; }' % place,
        'watch the folder of all': '%s -c "%s" $HOME/../..' % (python, watch), 'watch its folder': '%s -c "%s" %s' % (python, watch, place), 'watch its file': '%s -c "%s" %s/own.txt' % (python, watch, place),
    })
    if KEEPS_SOCKETS:
        attempts['the socket of the neighbour'] = python + ' -c "import os, socket; os.chdir(%r); socket.socket(1).connect(\'s\')"' % place
    else:
        attempts['a named socket'] = python + ' -c "import socket; socket.socket(1)"'
    if not namespaces:
        attempts.update({'write temporary files': 'echo x > /tmp/kr-%s-%d' % (box, os.getpid()), 'write shared memory': 'echo x > /dev/shm/kr-%s-%d' % (box, os.getpid()),
                         'System V memory': python + ' -c "%s; sys.exit(l.shmget(0, 4096, 0o1600) == -1)"' % SHM})
    for name, nr in calls.items():
        args = {'unshare': '0x10000000', 'ptrace': '16, %s' % victim, 'process_vm_readv': '%s, 0, 0, 0, 0, 0' % victim}.get(name, '0, 0, 0, 0, 0')
        attempts['the call ' + name] = python + ' -c "import ctypes,sys; l = ctypes.CDLL(None, use_errno=True); r = l.syscall(%d, %s); sys.exit(r == -1 and ctypes.get_errno() == 1)"' % (nr, args)
    names = {}
    for n, (what, script) in enumerate(attempts.items()):
        names['%s-a%d' % (box, n)] = what
        i.api.call('POST', RUNS, run_object('%s-a%d' % (box, n), ['( %s ) && echo BROKE-OUT' % script], runtime=box))
    runs = i.wait(set(names), timeout=DEADLINE * 3)
    for n, what in names.items():
        out = i.cli('run', 'logs', n).stdout
        s.check('%s: it may not: %s' % (box, what), n in runs and runs[n]['status']['phase'] == 'Failed' and runs[n]['status'].get('exitCode') and 'BROKE-OUT' not in out and 'secret' not in out,
                '%s %s' % (runs.get(n, {}).get('status', {}).get('message'), out[:300]))
    # What it may not read itself it may not have read for it either.
    i.api.call('POST', RUNS, run_object(box + '-outputs', ['cd .. && mv out mine && ln -s %s/out out' % os.path.dirname(place)], runtime=box))
    st = i.wait({box + '-outputs'})[box + '-outputs']['status']
    s.equal(box + ': the outputs of the neighbour are not its own', (st['phase'], st.get('reason'), st.get('outputs')), ('Failed', 'OutputsInvalid', None))
    s.equal(box + ': the neighbour is as it was', (open(place + '/own.txt').read(), sorted(os.listdir(place)), i.api.call('GET', RUNS + '/%s-victim' % box)[1]['status']['phase']),
            ('secret-of-victim\n', ['f', 'own.txt'] + ['s'] * KEEPS_SOCKETS, 'Running'))
    s.equal(box + ': so are modes, owners and times', [os.stat(p)[:6] + (os.stat(p).st_mtime_ns,) for p in (place + '/own.txt', place, os.path.dirname(place))], looks)
    s.equal(box + ': and the mode of the folder of all', oct(os.stat(pod + '/workspace').st_mode), modes)
    s.equal(box + ': nobody has come to a socket of somebody else', select.select(list(others.values()), [], [], 0)[0], [])
    s.equal(box + ': shared files are as they were', {w: open(f).read() for w, f in shared.items()}, {w: 'secret' for w in shared})
    s.equal(box + ': runtimed is as it was', i.pids('runtimed')[0], daemon)
    with open(place + '/f', 'w') as f:
        f.write('x\n')
    s.equal(box + ': it ends as it should', i.wait({box + '-victim'})[box + '-victim']['status']['phase'], 'Succeeded')
    do_work(i, box, namespaces)


def do_work(i, box, namespaces):
    """The same Runs do their work."""
    def execute(name, script, **spec):
        i.api.call('POST', RUNS, run_object('%s-%s' % (box, name), [script], runtime=box, **spec))
        status = i.wait({'%s-%s' % (box, name)})['%s-%s' % (box, name)]['status']
        return status['phase'], i.cli('run', 'logs', '%s-%s' % (box, name)).stdout

    work = {
        'bash': 'cat <<EOF\nhere\nEOF\ndiff <(echo a) <(echo a) && echo x > "$TMPDIR/t" && cat "$TMPDIR/t" && echo y > "$HOME/h" && mkfifo p && (echo z > p &) && read a < p && kill -0 $$',
        'outputs': 'echo k=v >> $KRUNTIME_OUTPUTS; [ -r /etc/passwd ] && [ -w /dev/null ] && head -c 1 /dev/urandom > /dev/null',
        'pipes': 'yes | head -n 100000 | sort -u | wc -l', 'children': 'sleep 60 & kill $!; wait $! ; [ $? = 143 ]',
        'python': python + ' -c "import subprocess, tempfile, threading, json, ssl, os; subprocess.run([\'true\'], check=True); tempfile.TemporaryFile(); t = threading.Thread(target=print); t.start(); t.join(); os.fork() or os._exit(0)"',
        'a server on loopback': python + ' -c "import socket; a = socket.create_server((\'127.0.0.1\', 0)); b = socket.create_connection(a.getsockname()); c = a.accept()[0]; b.send(b\'x\'); assert c.recv(1) == b\'x\'; socket.socketpair()"',
        'modes, owners and times': 'cd "$TMPDIR" && mkdir -m 700 d && echo x > d/f && chmod 640 d/f && chown $(id -u):$(id -g) d/f && touch -d @1000000000 d/f && ln -s d/f l && touch -h -d @1 l && chmod u+x l '
            '&& cp -a d e && tar -c e | (mkdir u && tar -x -C u) && [ "$(stat -c %a.%Y u/e/f)" = 740.1000000000 ] && chmod -R go= d && chmod 700 $HOME/.. && chmod a+w /dev/stdout',
        'a watch of its own folder': python + ' -c "import ctypes, os; l = ctypes.CDLL(None); n = l.inotify_init(); assert l.inotify_add_watch(n, b\'.\', 0x100) == 1; open(\'new\', \'w\'); assert b\'new\' in os.read(n, 999)"',
        'own processes': 'cat /proc/cpuinfo /proc/meminfo /proc/stat > /dev/null && ls /proc/$$/fd && tr "\\0" "\\n" < /proc/$$/environ | grep -q KRUNTIME',
    }
    if KEEPS_SOCKETS:
        work['sockets of its own'] = python + ' -c "import socket; a = socket.socket(1); a.bind(\'a\'); a.listen(); b = socket.socket(1); b.connect(\'a\'); b.send(b\'x\'); ' \
            'assert a.accept()[0].recv(1) == b\'x\'; c = socket.socket(1, 2); c.bind(\'c\'); socket.socket(1, 2).sendto(b\'y\', \'c\'); assert c.recv(1) == b\'y\'"'
    work['terminals'] = python + ' -c "import os; a, b = os.openpty(); os.write(b, b\'x\'); assert os.read(a, 1) == b\'x\'"'
    if namespaces:
        work['its children in /proc'] = '[ "$(cat /proc/self/comm)" = cat ] && [ $(ls -d /proc/[0-9]* | wc -l) -le 6 ] && [ $PPID = 1 ] && ls /proc/sys > /dev/null'
        work['processes of Python'] = python + ' -c "import multiprocessing as m; m.Lock(); assert m.Pool(2).map(abs, [-1]) == [1]"'
        work['a /tmp of its own'] = '[ -z "$(ls /tmp /dev/shm | grep -v :)" ] && echo x > /tmp/a && mkdir /tmp/b && mv /tmp/a /tmp/b && cat /tmp/b/a && echo x > /dev/shm/x'
        work['a file too large for /tmp'] = '! head -c 300000000 /dev/zero > /tmp/big 2> err && grep -q "No space left" err && rm /tmp/big && echo x > /tmp/small'
        work['too many files for /tmp'] = python + ' -c "import errno, sys\nfor n in range(1 << 17):\n  try: open(\'/dev/shm/%d\' % n, \'w\').close()\n  except OSError as e: sys.exit(e.errno != errno.ENOSPC)\nsys.exit(1)"'
        work['System V memory'] = python + ' -c "%s; sys.exit(l.shmget(0, 4096, 0o1600) == -1)"' % SHM
    if shutil.which('gcc'):
        work['a compiler'] = 'echo "int main(void) { return 0; }" > a.c && gcc a.c -o a && ./a'
    if shutil.which('git'):
        work['git'] = 'git init -q r && cd r && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x && git clone -q . ../c && git log | grep -q x'
    if shutil.which('node'):
        work['node'] = 'node -e "require(\'child_process\').execSync(\'true\'); new (require(\'worker_threads\').Worker)(\'1\', {eval: true})"'
    names = {'%s-w%d' % (box, n): w for n, w in enumerate(work)}
    for n, w in names.items():
        i.api.call('POST', RUNS, run_object(n, [work[w]], runtime=box))
    runs = i.wait(set(names), timeout=DEADLINE * 2)
    for n, w in names.items():
        s.equal('%s: it works: %s' % (box, w), (runs[n]['status']['phase'], runs[n]['status'].get('message'), '' if runs[n]['status']['phase'] == 'Succeeded' else i.cli('run', 'logs', n).stderr[-300:]),
                ('Succeeded', None, ''))
    s.equal(box + ': outputs', next(runs[n]['status'].get('outputs') for n, w in names.items() if w == 'outputs'), {'k': 'v'})
    s.equal(box + ': a timeout ends it', execute('slow', 'sleep 60', timeoutSeconds=1)[0], 'Timeout')
    grow = python + ' -c "x = bytearray(%d << 20)" 2> err; grep -o MemoryError err; echo $KRUNTIME_MEMORY'
    s.equal(box + ': no more memory than it asks for', execute('hungry', grow % 200, resources={'requests': {'memory': 128 << 20}}), ('Succeeded', 'MemoryError\n%d\n' % (128 << 20)))
    s.equal(box + ': as much as it asks for', execute('fed', grow % 200, resources={'requests': {'memory': str(1 << 30)}}), ('Succeeded', '%d\n' % (1 << 30)))
    s.equal(box + ': what is no number of bytes limits nothing', execute('other', grow % 200, resources={'requests': {'memory': 2}}), ('Succeeded', '\n'))
    if namespaces:
        for n, left in enumerate(['echo secret > /tmp/left', 'mkdir /dev/shm/left', python + ' -c "%s; l.shmget(77, 4096, 0o1600)"' % SHM, 'chmod 700 /tmp', 'sleep 60 & disown']):
            seen = 'ls /tmp/left /dev/shm/left 2> /dev/null; stat -c %a /tmp; tail -n +2 /proc/sysvipc/shm; pgrep sleep'
            execute('leaves%d' % n, left)
            s.equal('%s: the next one sees nothing of it: %s' % (box, left), execute('sees%d' % n, seen)[1], '1777\n')
    else:
        s.check(box + ': without namespaces', box == 'floor' or s.skip('namespaces', 'this machine lets us make none') is None)


def listen():
    """As a container engine may: a filter around all that follows, which allows everything and has the one listener that there can be."""
    allow = ctypes.create_string_buffer(struct.pack('=HBBI', 6, 0, 0, 0x7fff0000))
    program = ctypes.create_string_buffer(struct.pack('=H6xQ', 1, ctypes.addressof(allow)))
    libc.prctl(38, 1, 0, 0, 0)
    os.set_inheritable(libc.syscall({'x86_64': 317, 'aarch64': 277}[os.uname().machine], 1, 8, program), True)


if abi >= NEEDS:
    with tempfile.TemporaryDirectory() as d:
        log = subprocess.run([BINARY, 'runtime-server', '--isolation', 'Sandbox', '--workspaces', d + '/w', '--secret-file', d + '/none', '--secret-wait', '1ms'],
                             capture_output=True, text=True, close_fds=False, preexec_fn=listen).stderr
        s.check('where calls can\'t be answered the log says so', 'Sandbox: Runs may change modes' in log and 'busy' in log, log)
with instance() as i:
    i.api.call('POST', RUNTIMES, runtime('foreign', 'Sandbox', 'Image'))
    s.equal('not with another Runtime Server', degraded(i, 'foreign'), 'SandboxUnavailable')
    i.api.call('POST', RUNS, run_object('unsandboxed', ['true'], runtime='foreign'))
    s.check('its Runs say so', waits_with(i, 'unsandboxed', 'SandboxUnavailable') and 'Injected' in i.cli('run', 'explain', 'unsandboxed').stdout, i.cli('run', 'explain', 'unsandboxed').stdout)
    built_in = i.api.call('GET', RUNTIMES + '/bash')[1]['spec']['isolation']
    s.equal('the built-in Runtime', built_in, 'Sandbox' if abi >= NEEDS else 'Process')
    i.api.call('POST', RUNTIMES, runtime('box', 'Sandbox'))
    i.api.call('POST', RUNTIMES, runtime('floor', 'Sandbox', KRUNTIMES_SANDBOX_NAMESPACES='false'))
    if abi < NEEDS:
        s.equal('below the floor', degraded(i, 'box'), 'SandboxUnavailable')
        i.api.call('POST', RUNS, run_object('waits', ['true'], runtime='box'))
        s.equal('its Runs wait', i.api.call('GET', RUNS + '/waits')[1].get('status', {}).get('phase', 'Pending'), 'Pending')
        s.skip('the sandbox', 'this kernel has Landlock ABI %d, 6 is needed' % abi)
        i.down()
        s.end()
    for box in ('box', 'floor'):
        try_all(i, box)
abstract.close()
for other in others.values():
    os.remove(other.getsockname())
libc.shmctl(segment, 0, None)
for w in shared.values():
    os.remove(w)
s.end()
