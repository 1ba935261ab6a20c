#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Figures of artifacts and Git sources: each beside the same bytes moved by another program, taking turns. make bench-artifacts prints
them. Ours is the helper process that runtimed starts, from its start to its end, with 16 MB of memory at most (RLIMIT_DATA)."""
import json, os, resource, shutil, socket, statistics, subprocess, sys, tempfile, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
import gitserver

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get('KR_BINARY', os.path.join(TOP, 'build', 'kruntimes'))
SIZE, TURNS, MEMORY = int(os.environ.get('SIZE_MB', '256')) << 20, int(os.environ.get('TURNS', '5')), 16 << 20
KEY, SECRET = 'AKTESTTESTTEST', 'secret-of-the-test'
CLIENT = """
import boto3, sys, time
from botocore.config import Config
c = boto3.client('s3', endpoint_url=sys.argv[1], aws_access_key_id=sys.argv[2], aws_secret_access_key=sys.argv[3], region_name='us-east-1',
                 config=Config(s3={'addressing_style': 'path'}))
for line in sys.stdin:
    verb, path, key = line.split()
    begin = time.monotonic()
    c.upload_file(path, 'arts', key) if verb == 'put' else c.download_file('arts', key, path)
    print(time.monotonic() - begin, flush=True)
"""


def timed(what, *args):
    begin = time.monotonic()
    what(*args)
    return time.monotonic() - begin


def turns(*ways):
    """Median seconds of each, one after the other so that what else the machine does falls on all."""
    took = [[w() for w in ways] for _ in range(TURNS)]
    return [statistics.median(t[k] for t in took) for k in range(len(ways))]


def helper(verb, order, folder=None, out=subprocess.PIPE):
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY) if folder else -1

    def setup():
        if folder:
            os.dup2(fd, 3)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    done = subprocess.run([BINARY, 'artifact-helper', verb], input=json.dumps(order).encode(), stdout=out, stderr=subprocess.PIPE, env={}, preexec_fn=setup,
                          pass_fds=(3,) if folder else ())
    if folder:
        os.close(fd)
    assert done.returncode == 0 and b'"reason"' not in (done.stdout or b''), (done.stdout, done.stderr)


def collect(where, folder):
    helper('collect', dict(where, prefix='n/uid/1-pod', maxBytes=1 << 40, again=1, folder=1), folder)


def fetch(where, to):
    with open(to, 'wb') as out:
        helper('get', dict(where, key='n/uid/1-pod/big'), out=out)


def piped(program):
    """Seconds until all of what it prints has come through a pipe, as runtimed gets it from its helper."""
    begin = time.monotonic()
    with program() as p:
        while p.stdout.read(1 << 16):
            pass
    assert p.returncode == 0
    return time.monotonic() - begin


def line(what, ours, *others):
    print('%-32s %6.0f MB/s; %s' % (what, SIZE / ours / 1e6, '; '.join('%s %.0f MB/s, ratio %.2f' % (n, SIZE / t / 1e6, t / ours) for n, t in others)), flush=True)


def disk(top, name):
    folder, store = top + '/in', top + '/store'
    for d in (folder, store):
        os.mkdir(d)
    subprocess.run(['dd', 'if=/dev/urandom', 'of=' + folder + '/big', 'bs=1M', 'count=%d' % (SIZE >> 20)], check=True, capture_output=True)
    where = {'store': {'driver': 'filesystem', 'filesystem': {'volumeClaimName': 'x'}}, 'place': store, 'spool': top}

    def copy(*commands):
        """A copy of our own name, gone before it is timed."""
        if os.path.exists(top + '/copy'):
            os.unlink(top + '/copy')
        os.sync()
        return timed(lambda: [subprocess.run(c, check=True, stdout=subprocess.DEVNULL) for c in commands])

    def ours(what, *args):
        shutil.rmtree(store + '/n', ignore_errors=True) if what is collect else None
        os.sync()
        return timed(what, *args)
    cp, sync = ['cp', '--reflink=never', folder + '/big', top + '/copy'], ['sync', top + '/copy']
    put, bare, durable, sums = turns(lambda: ours(collect, where, folder), lambda: copy(cp), lambda: copy(cp, sync), lambda: copy(cp, sync, ['sha256sum', '-b', top + '/copy']))
    line('store, ' + name, put, ('cp', bare), ('cp, sync', durable), ('cp, sync, sha256sum', sums))
    with tempfile.TemporaryFile(dir=top) as order:
        order.write(json.dumps(dict(where, key='n/uid/1-pod/big')).encode())
        order.flush()
        stored = store + '/n/uid/1-pod/big'
        start = lambda *argv: lambda: (order.seek(0), subprocess.Popen(argv, stdin=order, stdout=subprocess.PIPE, bufsize=0, env={}))[1]
        get, bare = turns(lambda: piped(start(BINARY, 'artifact-helper', 'get')), lambda: piped(start('/bin/cat', stored)))
    line('fetch through a pipe, ' + name, get, ('cat', bare))


def port_of():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def s3(top):
    tool = lambda *a: subprocess.run([os.path.join(TOP, 'tests', 'tools', a[0]), *a[1:]], capture_output=True, text=True).stdout.strip()
    port, secret = port_of(), top + '/secret'
    os.makedirs(top + '/gw/arts')
    os.mkdir(secret)
    for name, value in (('AWS_ACCESS_KEY_ID', KEY), ('AWS_SECRET_ACCESS_KEY', SECRET)):
        with open(os.path.join(secret, name), 'w') as f:
            f.write(value)
    server = subprocess.Popen([tool('get', 'versitygw'), '--port', '127.0.0.1:%d' % port, '--access', KEY, '--secret', SECRET, '--quiet', 'posix', top + '/gw'], cwd=top,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = 'http://127.0.0.1:%d' % port
    client = subprocess.Popen([tool('venv'), '-c', CLIENT, url, KEY, SECRET], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def boto(verb, path):
        client.stdin.write('%s %s theirs\n' % (verb, path))
        client.stdin.flush()
        return float(client.stdout.readline())
    where = {'store': {'driver': 's3', 's3': {'bucket': 'arts', 'region': 'us-east-1', 'endpoint': url, 'forcePathStyle': True}}, 'place': secret, 'spool': top}
    try:
        while socket.socket().connect_ex(('127.0.0.1', port)):
            time.sleep(0.05)      # nothing tells when it listens but trying
        boto('put', BINARY)       # what it loads on first use
        put, theirs = turns(lambda: timed(collect, where, top + '/in'), lambda: boto('put', top + '/in/big'))
        line('store, S3 (versitygw)', put, ('boto3', theirs))
        get, theirs = turns(lambda: timed(fetch, where, top + '/back'), lambda: boto('get', top + '/copy'))
        line('fetch, S3 (versitygw)', get, ('boto3', theirs))
    finally:
        for p in (client, server):
            p.terminate()
            p.wait()


def git(top):
    """A repository of 2,000 files over HTTP: the process that fetches and lays out, beside `git clone --depth 1`."""
    root, work, mirrors = top + '/repos', top + '/work', top + '/mirrors'
    os.makedirs(work)
    for k in range(2000):
        os.makedirs('%s/d%d' % (work, k % 40), exist_ok=True)
        with open('%s/d%d/f%d' % (work, k % 40, k), 'wb') as f:
            f.write(os.urandom(512).hex().encode() * 8)
    for args in (('init', '-q'), ('add', '.'), ('commit', '-qm', 'x')):
        gitserver.git(*args, cwd=work)
    os.mkdir(root)
    gitserver.git('clone', '-q', '--bare', work, root + '/r.git')
    gitserver.git('repack', '-adq', cwd=root + '/r.git')
    commit = gitserver.git('rev-parse', 'HEAD', cwd=work)
    server = gitserver.Server(root)
    url = server.url('r.git')

    def ours(ref):
        shutil.rmtree(top + '/out', ignore_errors=True)
        os.mkdir(top + '/out')
        fd = os.open(top + '/out', os.O_RDONLY | os.O_DIRECTORY)
        begin = time.monotonic()
        done = subprocess.run([BINARY, 'git-fetch', '--url=' + url, '--ref=' + ref, '--mirrors=' + mirrors, '--allow-private'], capture_output=True, env={},
                              preexec_fn=lambda: os.dup2(fd, 3), pass_fds=(3,))
        took = time.monotonic() - begin
        os.close(fd)
        assert done.stdout.decode() == 'begun\nok %s\n' % commit and len(os.listdir(top + '/out')) == 40, done
        return took

    def first():
        shutil.rmtree(mirrors, ignore_errors=True)
        return ours('main')

    def theirs():
        shutil.rmtree(top + '/clone', ignore_errors=True)
        return timed(gitserver.git, 'clone', '-q', '--depth', '1', url, top + '/clone')
    try:
        one, clone = turns(first, theirs)
        again, known = turns(lambda: ours('main'), lambda: ours(commit))
    finally:
        server.stop()
    for what, took in (('first fetch', one), ('second, by branch', again), ('second, by commit', known)):
        print('Git, %-27s %6.1f ms; git clone --depth 1 %.1f ms, ours / theirs %.2f' % (what, took * 1e3, clone * 1e3, took / clone), flush=True)


for name, place in (('in memory', '/dev/shm'), ('on disk', tempfile.gettempdir())):
    top = tempfile.mkdtemp(prefix='kr-bench-', dir=place)
    try:
        disk(top, name)
        if place == '/dev/shm':
            s3(top)
            git(top)
    finally:
        shutil.rmtree(top)
