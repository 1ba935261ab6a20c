#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""git-fetch alone against repositories and servers that mean harm: nothing outside of the folder, no other scheme, no inner
address, no limit passed. Repositories are written object by object: git itself would refuse to make most of them."""
import hashlib, os, resource, shutil, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *
import gitserver
from gitserver import Raw

NESTED = 'KR_GIT_NESTED'
s = Suite()
if not gitserver.BACKEND or not shutil.which('git'):
    s.skip('git', 'git with its http-backend is needed')
    s.end()
work = tempfile.mkdtemp(prefix='kr-git-')
root, HOME = os.path.join(work, 'root'), os.path.join(work, 'home')
os.makedirs(root)
count, peak = [0], [0]
SANITIZED = b'__asan_init' in open(BINARY, 'rb').read()


def fetch(url, ref='main', private=True, timeout=100, secret=None, mirrors=None, limits=False):
    """The answer's line, the folder, how the process ended. limits: those of applets/runtimed/source.c."""
    count[0] += 1
    into = os.path.join(work, 'into%d' % count[0], 'work')
    os.makedirs(into)
    fd = os.open(into, os.O_RDONLY | os.O_DIRECTORY)
    args = [BINARY, 'git-fetch', '--url=' + url, '--ref=' + ref, '--mirrors=' + (mirrors or os.path.join(work, 'mirrors%d' % count[0])),
            '--timeout=%ds' % timeout] + (['--allow-private'] if private else []) + (['--secret=' + secret] if secret else [])

    def place():
        os.dup2(fd, 3)
        os.set_inheritable(3, True)
        if limits and not SANITIZED:
            resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))
            resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 30, 2 << 30))
            resource.setrlimit(resource.RLIMIT_CPU, (timeout + 5, timeout + 5))
    done = subprocess.run(args, capture_output=True, text=True, pass_fds=[3] if fd == 3 else [], close_fds=False, preexec_fn=place, timeout=DEADLINE * 2,
                          env={'HOME': HOME, 'XDG_CONFIG_HOME': HOME, 'GIT_CONFIG_GLOBAL': os.path.join(HOME, '.gitconfig')})
    os.close(fd)
    peak[0] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10      # of all until now
    return done.stdout.removeprefix('begun\n').strip() + done.stderr.strip(), into, done.returncode


def listing(into):
    found = []
    for base, dirs, files in os.walk(os.path.dirname(into)):
        found += [os.path.relpath(os.path.join(base, n), into) for n in dirs + files]
    return sorted(found)


if not os.environ.get(NESTED):
    server = gitserver.Server(root)
    # ---- names and links that are refused; what is around the folder stays as it was
    hostile = {}

    def repo(name, build, want):
        raw = Raw(os.path.join(root, name + '.git'))
        raw.commit(build(raw))
        hostile[name] = want

    file = lambda r, text='x\n': r.blob(text)
    spelled = ['.git', '.GIT', '.GiT', 'git~1', 'GIT~1', '.git.', '.git ', '.git::$INDEX_ALLOCATION', '.g\u200cit', '.gi\u200dt', '\ufeff.git', '.git\u202e']
    for n, name in enumerate(spelled):
        repo('spelled%d' % n, lambda r, name=name: r.tree([('40000', name, r.tree([('100644', 'config', file(r, '[core]\nfsmonitor = id\n'))]))]), '.git')
        repo('deep%d' % n, lambda r, name=name: r.tree([('40000', 'a', r.tree([('100755', name, file(r))]))]), '.git')
    repo('dots', lambda r: r.tree([('40000', '..', r.tree([('100644', 'x', file(r))]))]), 'folder itself')
    repo('dot', lambda r: r.tree([('40000', '.', r.tree([('100644', 'x', file(r))]))]), 'folder itself')
    repo('slash', lambda r: r.tree([('100644', '../x', file(r))]), 'separator')
    repo('absolute', lambda r: r.tree([('100644', '/tmp/kr-x', file(r))]), 'separator')
    repo('backslash', lambda r: r.tree([('100644', '..\\x', file(r))]), 'separator')
    repo('cr', lambda r: r.tree([('40000', 'sub\r', r.tree([('100644', 'x', file(r))]))]), 'control')
    repo('newline', lambda r: r.tree([('100644', 'a\nb', file(r))]), 'control')
    repo('long', lambda r: r.tree([('100644', 'a' * 256, file(r))]), '255')
    repo('twice', lambda r: r.tree([('120000', 'a', r.blob('/etc')), ('40000', 'a', r.tree([('100644', 'x', file(r))]))], sort=False), 'leads out')
    repo('twice2', lambda r: r.tree([('120000', 'a', r.blob('b')), ('100644', 'a.b', file(r)), ('40000', 'a', r.tree([('100644', 'x', file(r))]))], sort=False), 'one name')
    repo('twice3', lambda r: r.tree([('100644', 'a', file(r)), ('100644', 'a', file(r))], sort=False), 'twice')
    repo('order', lambda r: r.tree([('100644', 'b', file(r)), ('100644', 'a', file(r))], sort=False), 'order')
    repo('mode', lambda r: r.tree([('060644', 'dev', file(r))]), '')
    for n, target in enumerate(['/etc/passwd', '..', '../x', 'a/../../x', './../..', '', 'x' * 5000]):
        repo('link%d' % n, lambda r, target=target: r.tree([('120000', 'l', r.blob(target))]), '')
    repo('chain', lambda r: r.tree([('40000', 'd', r.tree([('120000', 'up', r.blob('..'))])), ('120000', 'out', r.blob('d/up/../work'))]), 'leads out')
    repo('chain2', lambda r: r.tree([('40000', 'd', r.tree([('40000', 'e', r.tree([('120000', 'up', r.blob('../..'))]))])), ('120000', 'a', r.blob('d/e/up')),
                                     ('120000', 'b', r.blob('a/d/../..'))]), 'leads out')

    def onion(r):
        t = r.tree([('100644', 'x', file(r))])
        for _ in range(200):
            t = r.tree([('40000', 'd', t)])
        return t
    repo('onion', onion, 'without end')

    def bush(r):      # 16^6 files of four objects each: what a "git bomb" is
        t = r.tree([('100644', 'f%d' % i, file(r)) for i in range(16)])
        for _ in range(5):
            t = r.tree([('40000', 'd%d' % i, t) for i in range(16)])
        return t
    repo('bush', bush, 'too many files')
    repo('weight', lambda r: r.tree([('100644', 'f%d' % i, b) for b in [r.blob(b'\0' * (200 << 20))] for i in range(25)]), 'too large')
    repo('giant', lambda r: r.tree([('100644', 'f', r.blob(b'\0' * (300 << 20)))]), 'too large')
    repo('liar', lambda r: r.tree([('100644', 'f', r.tree([]))]), '')
    for name, want in hostile.items():
        said, into, code = fetch(server.url(name + '.git'))
        s.check(name, said.startswith('error ') and want in said and code == 0, '%d %s' % (code, said[:300]))
        s.check(name + ': nothing outside', [p for p in listing(into) if p.startswith('..')] == [] or listing(into)[0] == '.', str(listing(into))[:200])
        shutil.rmtree(os.path.dirname(into))

    # ---- harmless after all: made, and nothing more than that
    def harmless(r):
        return r.tree([('160000', 'module', '1' * 40), ('120000', 'moduled', r.blob('module')), ('120000', 'loop', r.blob('loop')), ('120000', 'gone', r.blob('none')),
                       ('100644', '.gitmodules', r.blob('[submodule "m"]\n\tpath = module\n\turl = ext::sh -c id\n\tupdate = !id\n')),
                       ('100644', '.gitattributes', r.blob('* filter=evil ident text eol=crlf\n')), ('40000', 'hooks', r.tree([('100755', 'post-checkout', r.blob('#!/bin/sh\nid >/tmp/x\n'))])),
                       ('100644', '-rf', file(r)), ('100644', 'config', r.blob('[core]\n\tsshCommand = id\n[alias]\n\tx = !id\n')), ('100664', 'old-mode', file(r)),
                       ('40000', 'sub', r.tree([('120000', 'top', r.blob('../config'))])), ('100644', 'line', r.blob('$Id$\n'))])
    raw = Raw(os.path.join(root, 'harmless.git'))
    raw.commit(harmless(raw))
    os.makedirs(os.path.join(HOME, 'git'))
    for path in ('.gitconfig', 'git/config'):
        open(os.path.join(HOME, path), 'w').write('[url "ext::sh -c id"]\n\tinsteadOf = http\n[filter "evil"]\n\tsmudge = id\n[core]\n\tfsmonitor = id\n\thooksPath = /tmp\n')
    said, into, code = fetch(server.url('harmless.git'))
    s.check('harmless', said.startswith('ok '), said)
    s.equal('harmless: files', sorted(os.listdir(into)), sorted(['.gitattributes', '.gitmodules', '-rf', 'config', 'gone', 'hooks', 'line', 'loop', 'moduled', 'old-mode', 'sub']))
    s.equal('harmless: no filters', open(into + '/line', 'rb').read(), b'$Id$\n')
    s.equal('harmless: modes', oct(os.stat(into + '/old-mode').st_mode & 0o7777), '0o644')

    # ---- row 45: packs that unpack to more than anybody has, with the limits that runtimed gives the process
    whole = lambda kind, body: hashlib.sha1(b'%s %d\0' % (kind.encode(), len(body)) + body).hexdigest()

    def with_pack(name, *more, file=None):
        blob = b'x\n' if file is None else file
        tree = b'100644 f\0' + bytes.fromhex(whole('blob', blob))
        commit = ('tree %s\nauthor a <a@b> 1700000000 +0000\ncommitter a <a@b> 1700000000 +0000\n\nx\n' % whole('tree', tree)).encode()
        server.packs[name] = (whole('commit', commit), gitserver.pack([('commit', commit), ('tree', tree), ('blob', blob), *more]))
        return server.url('pack/%s/x.git' % name)
    meg, delta = bytes(1 << 20), gitserver.delta
    said, into, code = fetch(with_pack('plain', ('delta', 1, delta(2, 3))))
    s.check('row 45, a pack by hand is fine', said.startswith('ok ') and open(into + '/f').read() == 'x\n', said)
    bombs = {'64 GiB of one delta': [('blob', meg), ('delta', 1, delta(1 << 20, 255)), ('delta', 1, delta(255 << 20, 4096))],
             'a chain that doubles': [('blob', meg)] + [('delta', 1, delta(min(1 << 20 << n, 0xffff00 * (2 if n > 4 else 1)), 2)) for n in range(3)] + [('delta', 1, delta(8 << 20, 255))],
             'a thousand of 255 MiB': [('blob', meg)] + [('delta', n + 1, delta(1 << 20, 255)) for n in range(1000)],
             'a size that lies': [('blob', meg), ('delta', 1, delta(1 << 20, 1, size=1 << 60))],
             'a base that lies': [('blob', meg), ('delta', 1, delta(1 << 40, 1))]}
    for name, objects in bombs.items():
        url = with_pack(name.replace(' ', '-'), *objects)
        said, into, code = fetch(url, timeout=5, limits=True)
        s.check('row 45, ' + name, not said.startswith('ok ') or os.listdir(into) == ['f'], '%d %s' % (code, said[:200]))
        # RLIMIT_DATA holds the anonymous pages; text, stack and the mapped packs come on top of it
        s.check('row 45, %s: bounded' % name, peak[0] < (1 << 30) + (64 << 20) and said.startswith(('ok ', 'error ')), '%d MiB, %d, %s' % (peak[0] >> 20, code, said[:200]))

    # ---- what is refused by what it says of itself
    server.packs['crowd'] = ('1' * 40, b'PACK' + (2).to_bytes(4, 'big') + (4000001).to_bytes(4, 'big') + bytes(1000))
    said, into, code = fetch(server.url('pack/crowd/x.git'))
    s.check('a pack of 4,000,001 objects', 'too many objects' in said and os.listdir(into) == [], said)
    said, into, code = fetch(server.url('promise/%d/x.git' % ((2 << 30) + 1)))
    s.check('an answer of 2 GiB and a byte', 'too large: its answers have more than 2147483648 bytes' in said, said)

    # ---- mirrors: by the packs in one, by their number, and by their bytes
    packed = os.path.join(work, 'packed')
    url = with_pack('packed', file=b'x\n')
    packs = lambda: [os.path.join(d, n) for d, _, names in os.walk(packed) for n in names if n.endswith('.pack')]
    fetch(url, mirrors=packed)
    first = packs()
    for n in range(50 - len(first)):
        open(os.path.join(os.path.dirname(first[0]), 'pack-%040x.pack' % n), 'w').close()
    s.equal('a mirror of fifty packs', len(packs()), 50)
    said, into, code = fetch(url, mirrors=packed)
    s.check('is begun anew', said.startswith('ok ') and len(packs()) == len(first), '%s %s' % (said, packs()))
    kept = os.path.join(work, 'kept')
    for n in range(3):
        fetch(with_pack('kept%d' % n, file=b'%d\n' % n), mirrors=kept)
    mirrors = lambda: sorted(n for n in os.listdir(kept) if not n.endswith('.lock'))
    before = mirrors()
    s.equal('three mirrors', len(before), 3)
    oldest = min(before, key=lambda n: os.stat(os.path.join(kept, n + '.lock')).st_mtime_ns)
    with open(os.path.join(kept, oldest, 'objects-of-another-time'), 'wb') as f:
        f.truncate(5 << 30)
    fetch(with_pack('kept3', file=b'3\n'), mirrors=kept)
    s.equal('the one not used for longest goes when they have too many bytes', (len(mirrors()), oldest in mirrors()), (3, False))
    for n in range(40):
        open(os.path.join(kept, '%032d.lock' % n), 'w').close()
        os.utime(os.path.join(kept, '%032d.lock' % n), (n, n))
    fetch(with_pack('kept4', file=b'4\n'), mirrors=kept)
    s.equal('and when there are too many', len([n for n in os.listdir(kept) if n.endswith('.lock')]), 32)

    # ---- a server without end, a slow one
    said, into, code = fetch(server.url('flood/x.git'), timeout=20)
    s.check('refs without end', said.startswith('error ') or code != 0, said)
    said, into, code = fetch(server.url('trickle/x.git'), timeout=1)
    s.check('a trickle', 'timeoutSeconds' in said, said)

    # ---- addresses: every spelling of an inner one, before a connection is made
    server.requests.clear()
    for host in ('127.0.0.1', 'localhost', '[::1]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '2130706433', '0177.0.0.1', '0x7f.1', '0x7f000001', '127.1', '0', '[::]',
                 '169.254.169.254', '10.1.2.3', '172.16.0.1', '192.168.0.1', '100.64.0.1', '[fe80::1]', '[fd00::1]', '[64:ff9b::7f00:1]', '[2002:7f00:1::]', '0.0.0.0'):
        said = fetch('http://%s:%d/harmless.git' % (host, server.port), private=False, timeout=5)[0]
        s.check('inner address ' + host, said.startswith('error ') and ('allowPrivateAddresses' in said or "can't be resolved" in said), said)
    s.equal('no request came', server.requests, [])
    for url in ('ext::sh -c id', 'file:///etc', 'ssh://-oProxyCommand=id/x', 'git://127.0.0.1/x', '/etc', '-u./x', 'http://user:pw@127.0.0.1/x', 'http://127.0.0.1/a b',
                'http://127.0.0.1/x?y=z', 'http://127.0.0.1/x#y', 'http://-x/y', 'HTTP:/x', 'httpx://a/b'):
        said = fetch(url, timeout=5)[0]
        s.check('URL %r' % url, said.startswith('error ') and 'pw' not in said, said)
    for ref in ('--upload-pack=id', '-', 'a\nb', 'a..b', '@{u}', '../x', 'a b', 'x~1', 'HEAD^'):
        s.check('ref %r' % ref, fetch(server.url('harmless.git'), ref)[0].startswith('error '), ref)

    # ---- two at once into one mirror; a fetch that is killed leaves a mirror that serves
    mirrors = os.path.join(work, 'shared')
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(fetch(server.url('harmless.git'), mirrors=mirrors)[0])) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    s.check('six at once', len(answers) == 6 and all(a.startswith('ok ') for a in answers), str(answers))
    server.stop()

    # ---- names that change, and redirects inwards, on a network of its own
    probe = subprocess.run(['unshare', '-rnm', 'sh', '-c', 'ip link set lo up && ip addr add 203.1.113.7/32 dev lo && mount --bind /dev/null /etc/resolv.conf'],
                           capture_output=True, text=True) if shutil.which('unshare') and shutil.which('ip') else None
    if probe is None or probe.returncode:
        s.skip('names that change', 'no network namespace can be made here')
    else:
        conf = os.path.join(work, 'resolv.conf')
        open(conf, 'w').write('nameserver 127.0.0.1\noptions timeout:1 attempts:1\n')
        done = subprocess.run(['unshare', '-rnm', 'sh', '-c', 'ip link set lo up && ip addr add 203.1.113.7/32 dev lo && mount --bind "$1" /etc/resolv.conf && exec "$2" "$3"',
                               'x', conf, sys.executable, os.path.abspath(__file__)], env=dict(os.environ, **{NESTED: '1'}), capture_output=True, text=True, timeout=120)
        tail = re.search(r'(\d+) passed, (\d+) failed', done.stdout)
        print('\n'.join(l for l in done.stdout.split('\n') if l.startswith('FAIL')))
        if s.check('names that change', tail and done.returncode == 0, done.stdout[-500:] + done.stderr[-500:]):
            s.passed += int(tail.group(1))
else:
    import socket, struct
    PUBLIC = '203.1.113.7'
    raw = Raw(os.path.join(root, 'r.git'))
    raw.commit(raw.tree([('100644', 'f', raw.blob('x'))]))
    outer, inner = gitserver.Server(root, (PUBLIC, 80)), gitserver.Server(root, ('127.0.0.1', 80))
    asked = {}

    def names():
        """first.test: public at first, loopback from then on. both.test: one of each. inner.test: loopback."""
        d = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        d.bind(('127.0.0.1', 53))
        while True:
            q, peer = d.recvfrom(512)
            name, at = [], 12
            while q[at]:
                name.append(q[at + 1:at + 1 + q[at]].decode())
                at += q[at] + 1
            name, kind = '.'.join(name), struct.unpack('>H', q[at + 1:at + 3])[0]
            asked[name, kind] = n = asked.get((name, kind), 0) + 1
            found = {'outer.test': [PUBLIC], 'inner.test': ['127.0.0.1'], 'both.test': [PUBLIC, '127.0.0.1'], 'first.test': [PUBLIC] if n == 1 else ['127.0.0.1']}
            found = found.get(name, []) if kind == 1 else []
            d.sendto(q[:2] + b'\x85\x80\0\1' + struct.pack('>H', len(found)) + b'\0\0\0\0' + q[12:at + 5] +
                     b''.join(b'\xc0\x0c\0\1\0\1\0\0\0\0\0\4' + socket.inet_aton(a) for a in found), peer)
    threading.Thread(target=names, daemon=True).start()
    get = lambda url: fetch(url, private=False, timeout=20)[0]
    s.check('a public name', get('http://outer.test/r.git').startswith('ok '), get('http://outer.test/r.git'))
    s.check('a name that changes leads where it led first', get('http://first.test/r.git').startswith('ok '), str(asked))
    s.check('and from then on nowhere', 'loopback' in get('http://first.test/r.git'))
    s.check('a name with both kinds', 'loopback' in get('http://both.test/r.git'))
    s.check('an inner name', 'loopback' in get('http://inner.test/r.git'))
    for n, to in enumerate(('http://127.0.0.1', 'http://inner.test', 'http://[::1]', 'http://2130706433', 'http://169.254.169.254', 'http://both.test', 'http://first.test')):
        outer.redirect['t%d' % n] = to
        said = get('http://outer.test/to/t%d/r.git' % n)
        s.check('a redirect to ' + to, said.startswith('error ') and 'allowPrivateAddresses' in said, said)
    outer.redirect['ok'] = 'http://%s' % PUBLIC
    s.check('a redirect to a public address', get('http://outer.test/to/ok/r.git').startswith('ok '))
    s.equal('no request came to the inner server', inner.requests, [])
shutil.rmtree(work, ignore_errors=True)
s.end()
