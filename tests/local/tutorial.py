#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# May take 1800 s.
"""Pages that a reader types from: docs/tutorial.md, docs/custom-runtime.md and docs/howto/*.md, block by block, each page in a shell
and an instance of its own.

    tests/local/tutorial.py [PAGE…]          those pages
    tests/local/tutorial.py --show PAGE      prints what each command printed, to write the page from

A block ```console has commands behind "$ " (going on behind "> ") and below each what it prints: every line must be there, in order and
nothing else; "…" stands for what differs from time to time, on a line of its own for any lines; blanks count as one. A command
must succeed, unless the page goes on with "$ echo $?". A block that begins "# name.yaml" is written to that file. A block
```console cluster needs a real cluster, where tests/cluster/tutorial.py types it: here only files it names are looked at.
"""
import os, socket, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *
import gitserver

s = Suite()
SHOW = '--show' in sys.argv
MARK = 'kr-end-of-command'
FENCE = re.compile(r'^( *)```(\w+)([^\n]*)\n(.*?)^ *```$', re.M | re.S)        # also one that belongs to a point of a list


def blocks(text):
    """(language, words behind it, content, line) of each fenced block."""
    for m in FENCE.finditer(text):
        yield m.group(2), m.group(3).split(), re.sub('^' + m.group(1), '', m.group(4), flags=re.M), text.count('\n', 0, m.start()) + 1


def commands(content):
    """(command, lines it prints) of a console block."""
    found = []
    for line in content.rstrip('\n').split('\n'):
        if line.startswith('$ '):
            found.append([line[2:], []])
        elif line.startswith('> ') and not found[-1][1]:
            found[-1][0] += '\n' + line[2:]
        else:
            found[-1][1].append(line)
    return found


def matches(want, got):
    """Lines of the page against lines that came."""
    plain = lambda line: ' '.join(line.split())
    pattern = lambda line: '.*?'.join(re.escape(p.strip()) for p in re.split(r'\s*…\s*', plain(line)))
    want, got = [w for w in want if w.strip()], [plain(g) for g in got if g.strip()]
    at = 0
    for n, line in enumerate(want):
        if line.strip() == '…':
            following = want[n + 1] if n + 1 < len(want) else None
            while at < len(got) and not (following and re.fullmatch(pattern(following), got[at])):
                at += 1
            continue
        if at >= len(got) or not re.fullmatch(pattern(line), got[at]):
            return 'wanted "%s", got "%s"' % (line, got[at] if at < len(got) else 'nothing more')
        at += 1
    return None if at == len(got) else 'not on the page: "%s"' % got[at]


class Shell:
    """One bash that lives as long as its page is read, or until a command of it doesn't end: some compile, on a machine that has compiled nothing yet."""
    LONGEST = 600

    def __init__(self, place, env):
        self.dead = False
        self.p = subprocess.Popen(['bash', '--norc', '--noprofile'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=place, env=env)

    def run(self, command):
        """Output lines and exit status."""
        timer = threading.Timer(self.LONGEST, self.p.kill)
        timer.start()
        self.p.stdin.write('%s\n{ kr_status=$?; printf "\\n%s %%d\\n" $kr_status; (exit $kr_status); } 2>&1\n' % (command, MARK))
        self.p.stdin.flush()
        out = []
        for line in self.p.stdout:
            if line.startswith(MARK):
                break
            out.append(line.rstrip('\n'))
        else:
            line, self.dead = MARK + ' -1', True
            out += ['the shell ended, or was ended after %d s' % self.LONGEST, '']
        timer.cancel()
        return (out[:-1] if out and not out[-1] else out), int(line.split()[1])

    def end(self):
        if not self.dead:
            self.p.stdin.close()
        self.p.wait(DEADLINE)


def tool(name):
    got = subprocess.run([os.path.join(TOP, 'tests', 'tools', 'get'), name], capture_output=True, text=True)
    return (got.stdout.strip(), None) if got.returncode == 0 else (None, (got.stdout or got.stderr).strip())


class Reader:
    def __init__(self, page):
        self.page, self.i = page, Instance()
        self.place, self.programs = os.path.join(self.i.dir, 'kruntimes'), os.path.join(self.i.dir, 'bin')
        os.makedirs(self.place)
        for name in ('manifests', 'docs', 'crds', 'grpc'):
            os.symlink(os.path.join(TOP, name), os.path.join(self.place, name))
        os.makedirs(self.programs)
        for name in ('kruntimes', 'krt', 'kubectl-kruntimes'):
            os.symlink(BINARY, os.path.join(self.programs, name))
        self.kubectl, self.why = tool('kubectl')
        if self.kubectl:
            os.symlink(self.kubectl, os.path.join(self.programs, 'kubectl'))
        env = self.env = dict(self.i.env, PATH=self.programs + ':' + os.environ['PATH'], LC_ALL='C.UTF-8')
        env.pop('KRUNTIMES_STATE_DIR')      # the page has none: $HOME is ours
        self.i.env, self.state = env, os.path.join(self.i.dir, '.local', 'state', 'kruntimes')
        self.swap, self.ends = {'kruntimes local up': 'kruntimes local up --port 0'}, []      # what stands on the page → what it is here; what to stop
        self.shell = None

    def say(self, text):
        for there, here in self.swap.items():
            text = text.replace(there, here)
        return text

    def block(self, language, words, content, line):
        name = re.match(r'# (\S+\.\w+)\n', content)
        if language == 'console' and 'cluster' in words:
            for path in re.findall(r'(?<![\w/.-])(?:manifests|docs|crds|tests)/[\w/.-]*\w', content):
                s.check('%s:%d: %s is there' % (self.page, line, path), os.path.exists(os.path.join(TOP, path)))
        elif language == 'console':
            for command, wanted in commands(content):
                self.command(command, wanted, line)
        elif name:
            with open(os.path.join(self.place, name.group(1)), 'w') as f:
                f.write(self.say(content))

    def command(self, command, wanted, line):
        if self.shell.dead:
            return
        got, status = self.shell.run(self.say(command))
        if SHOW:
            print('$ ' + command, *got, *(['[%d]' % status] if status else []), sep='\n')
            return
        wrong = matches([self.say(w) for w in wanted], got)
        self.failed = status if status else 0
        s.check('%s:%d: $ %s' % (self.page, line, command), not wrong, '%s; all of it:\n%s' % (wrong, '\n'.join(got)))
        if status:
            self.bad.append((command, status))
        if command == 'echo $?' and self.bad:
            self.bad.pop()      # the page says what it was, and that was compared

    def read(self):
        self.bad = []
        PREPARE.get(os.path.basename(self.page), lambda r: None)(self)
        self.shell = Shell(self.place, self.env)
        for block in blocks(open(os.path.join(TOP, self.page)).read()):
            self.block(*block)
        if not SHOW:
            s.equal('%s: nothing failed that the page doesn\'t show' % self.page, self.bad, [])
        s.equal('%s: it leaves nothing that runs' % self.page, self.i.pids('apiserver'), [])

    def close(self):
        if self.shell:
            self.shell.end()
        for end in self.ends:
            end()
        self.i.cli('local', 'down')
        shutil.rmtree(self.i.dir, ignore_errors=True)


def port():
    with socket.socket() as x:
        x.bind(('127.0.0.1', 0))
        return x.getsockname()[1]


class Missing(Exception):
    pass


def prepare_s3(r):
    """A service like S3: versitygw, with a bucket."""
    gateway, why = tool('versitygw')
    if not gateway:
        raise Missing(why)
    at, root = port(), os.path.join(r.i.dir, 'gw')
    os.makedirs(root + '/artifacts')
    p = subprocess.Popen([gateway, '--port', '127.0.0.1:%d' % at, '--access', 'AKEXAMPLE', '--secret', 'examplesecret', '--quiet', 'posix', root], cwd=r.i.dir,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    r.ends += [p.terminate, p.wait]
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        with socket.socket() as x:
            if x.connect_ex(('127.0.0.1', at)) == 0:
                break
        time.sleep(0.02)      # nothing tells when it listens but trying
    r.swap['https://s3.example.com'] = 'http://127.0.0.1:%d' % at


def prepare_git(r):
    """A server with a private repository, over TLS with an authority of its own."""
    if not gitserver.BACKEND or not shutil.which('openssl'):
        raise Missing('git-http-backend or openssl is missing')
    folder = os.path.join(r.i.dir, 'git')
    os.makedirs(folder)
    gitserver.make_certificates(folder)
    work, bare = folder + '/work', folder + '/tools.git'
    gitserver.git('init', '-q', work)
    with open(work + '/hello.sh', 'w') as f:
        f.write('echo "hello from the repository"\n')
    gitserver.git('add', '.', cwd=work)
    gitserver.git('commit', '-qm', 'a script', cwd=work)
    gitserver.git('tag', 'v1', cwd=work)
    gitserver.git('clone', '-q', '--bare', work, bare)
    server = gitserver.Server(folder, certificate=(folder + '/server.crt', folder + '/server.key'))
    server.secret = 'ci:s3cret'
    r.swap['git.example.com'] = '127.0.0.1:%d' % server.port
    shutil.copy(folder + '/ca.crt', r.place)
    r.ends.append(server.stop)


def prepare_servers(r):
    """Python with grpcio, protoc, and Go; ports that are free."""
    venv = subprocess.run([os.path.join(TOP, 'tests', 'tools', 'venv')], capture_output=True, text=True)
    go = shutil.which('go') or '/usr/local/go/bin/go'
    if venv.returncode or not os.path.exists(go):
        raise Missing(venv.stdout.strip() if venv.returncode else 'no Go on this machine')
    for name, words in (('python3', ''), ('protoc', '-m grpc_tools.protoc ')):
        path = os.path.join(r.programs, name)
        with open(path, 'w') as f:
            f.write('#!/bin/sh\nexec %s %s"$@"\n' % (venv.stdout.strip(), words))
        os.chmod(path, 0o755)
    os.symlink(go, os.path.join(r.programs, 'go'))
    asked = subprocess.run([go, 'env', 'GOMODCACHE', 'GOCACHE'], capture_output=True, text=True).stdout.split()
    modules = subprocess.run([go, 'mod', 'download'], cwd=os.path.join(TOP, 'docs', 'examples', 'runtime-go'), capture_output=True, text=True)
    if modules.returncode:
        raise Missing('Go modules can not be had here: ' + modules.stderr.strip()[-200:])
    r.env.update(GOMODCACHE=asked[0], GOCACHE=asked[1], GOFLAGS='-mod=mod -buildvcs=false')
    r.swap.update({'9191': str(port()), '9192': str(port())})


PREPARE = {'custom-runtime.md': prepare_servers, 's3.md': prepare_s3, 'private-git.md': prepare_git}


def main():
    pages = [a for a in sys.argv[1:] if not a.startswith('-')]
    howto = os.path.join(TOP, 'docs', 'howto')
    pages = pages or ['docs/tutorial.md', 'docs/custom-runtime.md'] + ['docs/howto/' + n for n in sorted(os.listdir(howto))]
    for page in pages:
        r = Reader(page)
        try:
            if not r.kubectl:
                s.skip(page, r.why)
                continue
            r.read()
        except Missing as e:
            s.skip(page, e)
        finally:
            r.close()
    s.end()


if __name__ == '__main__':
    main()
