#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What every verb prints, and how it leaves: in a pipe, in a terminal of 80 columns, and there with NO_COLOR.

Each way has an instance of its own and goes through the same commands. tests/golden/cli/VERB.txt holds them; `make golden` (or
KR_GOLDEN=write) writes what differs, and the diff is the review. Times, UIDs, generated names and the like are replaced by words
of the same width. A verb without a command here is a failure."""
import fcntl, os, pty, selectors, shlex, struct, sys, termios
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

GOLDEN = os.path.join(TOP, 'tests', 'golden', 'cli')
LINES = 14          # of a long answer, whose end other tests look at
WAYS = ('pipe', 'terminal', 'NO_COLOR')
FILES = {
    'hello.yaml': 'apiVersion: kruntimes.io/v1alpha1\nkind: Run\nmetadata: {name: hello, labels: {team: a}}\nspec: {runtime: bash, args: [echo hello]}\n',
    'typo.yaml': 'apiVersion: kruntimes.io/v1alpha1\nkind: Run\nmetadata: {name: typo}\nspec: {runtime: bash, arg: [echo hello]}\n',
    'flow.yaml': 'apiVersion: kruntimes.io/v1alpha1\nkind: Workflow\nmetadata: {name: flow}\nspec:\n  jobs:\n    build: {runs-on: bash, steps: [{name: one, run: echo one}]}\n'
                 '    test: {runs-on: bash, needs: [build], steps: [{name: two, run: "exit 3"}]}\n',
    'surprise.yaml': 'apiVersion: kruntimes.io/v1alpha1\nkind: Workflow\nmetadata: {name: flow}\nspec:\n  jobs:\n    a: {runs-on: bash, strategy: {matrix: {x: ["1"]}}, '
                     'steps: [{name: s, run: "echo ${{ matrix.x }}"}]}\n',
    'cycle.yaml': 'apiVersion: kruntimes.io/v1alpha1\nkind: Workflow\nmetadata: {name: cycle}\nspec: {jobs: {a: {runs-on: bash, needs: [b], steps: [{name: s, run: x}]}, '
                  'b: {runs-on: bash, needs: [a], steps: [{name: s, run: x}]}}}\n',
    'src/main.sh': 'cat data.txt\n', 'src/data.txt': 'from a file\n', 'src/.gitignore': '*.log\n', 'src/x.log': 'no\n',
}
# One scenario, in this order; the verb is the first words up to the first that isn't one.
COMMANDS = r'''
local status
local up --port 0
local up --port 0
local status
doctor
doctor --kubeconfig none
run list
run submit -f hello.yaml --wait
run submit -f hello.yaml
run submit -f typo.yaml
run submit --runtime bash --name exits --wait -- 'echo out; echo err >&2; exit 7'
run submit --runtime bash --name shown --follow -- 'printf "\033[32mgreen\033[0m \033[2Jplain\n"; echo err >&2; exit 3'
run submit --runtime bash --upload src --entrypoint main.sh --follow
run submit --runtime bash --dry-run=client -o yaml --git https://example.com/x.git@v1 --retries 2 -- make test
run submit --runtime bash --dry-run=server --generate-name again- -- true
run submit --runtime bash --git git@example.com:x.git -- true
run submit
run submit --runtim bash -- true
run submit --runtime bash --name left --wait -- 'echo hello >$KRUNTIME_ARTIFACTS_DIR/x.txt; echo answer=42 >$KRUNTIME_OUTPUTS'
run submit --runtime nowhere --name waits -- true
run get hello
run get hello exits -o wide
run get nobody
run get hello -o json
run get hello -o 'custom-columns=NAME:.metadata.name,PHASE:.status.phase,WHY:.status.reason'
run list -l team=a
run list --sort-by .metadata.name -o name --field-selector spec.runtime=bash,status.phase!=Pending,metadata.name!=left
run list -l team=b
run list -o nonsense
run list -o go-template={{.}}
run list -L team -l team
run list --phase Failed,Timeout -o name --field-selector metadata.name!=waits
run list --phase failed
run list --status Failed
run describe exits
run describe nobody
run explain waits
run explain nobody
run logs exits
run logs exits --tail 1 --timestamps
run logs waits
run logs nobody
run logs exits hello
run logs exits hello --grep '^(h|err)'
run logs -l team=a --prefix
run logs exits --previous
run wait exits
run wait nobody
run submit --from exits --name like --dry-run=client -o yaml -- echo other
run submit --from nobody
run submit --param a=b
run retry exits --wait
run retry waits
run cancel waits --dry-run=client
run cancel waits
run cancel
run wait waits
run delete waits --dry-run=server
run delete waits
run delete nobody
run delete --older 24h
artifact list left
artifact list
artifact list hello
artifact list nobody
artifact download left
artifact download left
artifact download left y.txt
runtime get bash
runtime get nobody
runtime list -o wide
runtime describe bash
runtime describe nobody
runtime scale bash --replicas 3 --dry-run=client
runtime scale bash
runtime scale nobody --replicas 1
runtime delete bash --dry-run=server
runtime delete nobody other
top
top pods
top nodes
events run/hello
events pod/x
explain run.spec.retryPolicy
explain run.spec.timout
explain runn
lint hello.yaml typo.yaml surprise.yaml
lint
workflow lint flow.yaml
workflow lint surprise.yaml
workflow lint cycle.yaml
workflow graph flow.yaml
workflow graph hello.yaml
workflow submit -f flow.yaml --wait
workflow submit -f cycle.yaml
workflow submit
workflow get flow
workflow get nobody
workflow list
workflow describe flow
workflow logs flow
workflow logs nobody
workflow wait flow
workflow wait nobody
workflow wait
workflow watch flow
workflow rerun flow --failed --dry-run=client
workflow rerun nobody
workflow cancel flow
workflow cancel nobody
workflow delete flow
workflow delete nobody
local user add ann --role view
local user add ann
local user list
local user delete ann
local user delete ann
local backup backup.mdb
local backup backup.mdb
local down
local restore backup.mdb
local restore none
local run hello.yaml
local run typo.yaml
apiserver --port 99999
controller --kubeconfig none
scheduler --kubeconfig none
node --kubeconfig none
runtimed --kubeconfig none
runtime-server --nonsense
completion bash
completion nonsense
crd-gen run
crd-gen nonsense
install inst
install
limits
manifests --part namespace
manifests --part nonsense
version
version --server --kubeconfig none
version nonsense
'''
DRAWN_OVER = re.compile(r'\x1b\[\?7l(?:.*\n){2}\x1b\[\?7h\x1b\[2A\x1b\[J')       # a drawing of two lines that another takes the place of


def time_cell(m):
    """A time that columns stand behind keeps its width."""
    return 'T'.ljust(len(m.group(0))) if m.group(0).endswith('  ') else 'T' + ' ' * m.group(0).endswith(' ')


def normal(text, i):
    """Without what differs from run to run."""
    version = subprocess.run([BINARY, 'version'], capture_output=True, text=True).stdout.strip()
    text = text.replace('\r\n', '\n').replace(i.dir, '/DIR').replace(version, 'VERSION')
    for pattern, word in ((r'\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b', 'UID'), (r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z', 'TIME'), (r'\b[0-9a-f]{32}\b', 'KEY'),
                          (r'(?<=runtime-bash-)[0-9a-f]{6}-[0-9a-f]{5}\b', 'xxxxxx-xxxxx'), (r'(?<=-)[0-9a-f]{10}\b', 'xxxxxxxxxx'), (r'(?<=(?<!runtime-)bash-)[a-z0-9]{5}\b', 'xxxxx'),
                          (r'(?<=exits-)[a-z0-9]{5}\b', 'xxxxx'), (r'(?<=again-)[a-z0-9]{5}\b', 'xxxxx'), (r'in \d+ ms', 'in N ms'),
                          (r'\d+ objects at revision \d+', 'N objects at revision N'), (r'(?<=PID )\d+', 'N'), (r'(?<=127\.0\.0\.1:)\d+', 'PORT'), (r'"resourceVersion": "\d+"', '"resourceVersion": "N"'),
                          (r'\d+(\.\d+)? MB/s', 'N MB/s')):
        text = re.sub(pattern, word, text)
    text = re.sub(r'(?<![\w.[-])\d+(\.\d+)?(ms|s|m)(?![\w.]) *', time_cell, text)
    text = re.sub(r'^run/\S+ (Pending|Scheduled|Running)\n', '', text, flags=re.M)      # how many of them are seen is chance
    while re.search(DRAWN_OVER, text):
        text = re.sub(DRAWN_OVER, '', text, count=1)
    return '\n'.join(line.rstrip() for line in text.split('\n'))


def in_terminal(words, env, cwd):
    """stdout, stderr and exit status, each stream a terminal of its own."""
    ends = [pty.openpty() for _ in range(2)]
    for master, slave in ends:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))
    p = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=ends[0][1], stderr=ends[1][1], env=env, cwd=cwd)
    got, wait = {}, selectors.DefaultSelector()
    for master, slave in ends:
        os.close(slave)
        got[master] = b''
        wait.register(master, selectors.EVENT_READ)
    while wait.get_map():
        for key, _ in wait.select():
            try:
                more = os.read(key.fd, 65536)
            except OSError:       # the last who had it open has gone
                more = b''
            got[key.fd] += more
            if not more:
                wait.unregister(key.fd)
                os.close(key.fd)
    return [text.decode(errors='replace') for text in got.values()] + [p.wait()]


def execute(i, way, words):
    env = dict(i.env, TERM='xterm', LANG='C.UTF-8')
    env.pop('NO_COLOR', None)
    if way == 'pipe':
        r = subprocess.run([BINARY, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, cwd=i.dir, timeout=DEADLINE)
        return r.stdout, r.stderr, r.returncode
    return in_terminal([BINARY, *words], dict(env, **({'NO_COLOR': '1'} if way == 'NO_COLOR' else {})), i.dir)


def block(i, got):
    out, err, status = got
    lines = normal(out, i).replace('\x1b', '\\e').replace('\r', '\\r').split('\n')[:-1] if out.endswith('\n') else (normal(out, i).replace('\x1b', '\\e').split('\n') if out else [])
    if len(lines) > LINES:
        lines = lines[:LINES] + ['…']
    errors = [('2> ' + line).rstrip() for line in normal(err, i).replace('\x1b', '\\e').replace('\r', '\\r').rstrip('\n').split('\n')] if err else []
    return '\n'.join(lines + errors + ['exit %d' % status]) + '\n'


def until_ready(i):
    """doctor tells how many pods are ready: both."""
    api, end = Api(os.path.join(i.state, 'kubeconfig')), time.monotonic() + DEADLINE
    while api.call('GET', RUNTIMES + '/bash')[1].get('status', {}).get('readyReplicas') != 2 and time.monotonic() < end:
        time.sleep(0.02)      # polling on purpose: it is there within moments


def scenario(way):
    """Each command's block, in order."""
    i = Instance()
    for name, text in FILES.items():
        os.makedirs(os.path.dirname(os.path.join(i.dir, name)), exist_ok=True)
        with open(os.path.join(i.dir, name), 'w') as f:
            f.write(text)
    os.mkdir(os.path.join(i.dir, 'inst'))
    i.env['KUBECONFIG'] = os.path.join(i.state, 'kubeconfig')
    try:
        blocks = []
        for line in COMMANDS.strip().split('\n'):
            if line == 'doctor':
                until_ready(i)
            blocks.append(block(i, execute(i, way, shlex.split(line))))
        return blocks
    finally:
        i.down()


def leaves():
    """Verbs that do something themselves."""
    page = subprocess.run([BINARY, 'docs', 'applets'], capture_output=True, text=True).stdout
    names = re.findall(r'^\| `([^`]+)`', page, re.M)
    return [n for n in names if not any(m.startswith(n + ' ') for m in names)]


def verb_of(line, verbs):
    return max((v for v in verbs if (line + ' ').startswith(v + ' ')), key=len, default=None)


def pages(verbs):
    """The text of each verb's file."""
    blocks, text = [scenario(way) for way in WAYS], {}
    for line, piped, shown, plain in zip(COMMANDS.strip().split('\n'), *blocks):
        page = '$ kruntimes %s\n%s' % (line, piped)
        page += '-- terminal: the same\n' if shown == piped else '-- terminal:\n' + shown
        page += '-- NO_COLOR: the same\n' if plain == shown else '-- NO_COLOR:\n' + plain
        text[verb_of(line, verbs)] = text.get(verb_of(line, verbs), '') + page + '\n'
    return text


def main():
    s, verbs = Suite(), leaves()
    write = os.environ.get('KR_GOLDEN') == 'write'
    os.makedirs(GOLDEN, exist_ok=True)
    for line in COMMANDS.strip().split('\n'):
        s.check('"%s" begins with a verb' % line, verb_of(line, verbs))
    if s.failed:
        s.end()
    text = pages(verbs)
    for verb in verbs:
        path = os.path.join(GOLDEN, verb.replace(' ', '-') + '.txt')
        if not s.check('%s has a transcript' % verb, verb in text, '(give it a command in tests/local/transcripts.py)'):
            continue
        old = open(path).read() if os.path.exists(path) else ''
        if write and old != text[verb]:
            with open(path, 'w') as f:
                f.write(text[verb])
            print('wrote', os.path.relpath(path, TOP))
        elif not s.check(verb, old == text[verb], 'prints something else (make golden writes it):'):
            import difflib
            print('\n'.join(list(difflib.unified_diff(old.split('\n'), text[verb].split('\n'), 'golden', 'now', lineterm='', n=1))[:60]))
    stray = set(os.listdir(GOLDEN)) - {v.replace(' ', '-') + '.txt' for v in verbs}
    s.equal('every transcript is of a verb', sorted(stray), [])
    s.end()


main()
