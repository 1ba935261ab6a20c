#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Git sources on a local instance: Runs whose workspace is a commit of a repository behind HTTPS."""
import fcntl, hashlib, os, shutil, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *
import gitserver
from gitserver import git

s = Suite()
if not gitserver.BACKEND or not shutil.which('git') or not shutil.which('openssl'):
    s.skip('git', 'git with its http-backend and openssl are needed')
    s.end()
work = tempfile.mkdtemp(prefix='kr-git-')
root = os.path.join(work, 'root')
gitserver.make_certificates(work)
os.makedirs(root)


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    open(path, 'w').write(text)
    os.chmod(path, mode)


# A repository with history, a branch, tags; and its twins: one that gives any commit, one that gives none but its tips.
tree = os.path.join(work, 'tree')
git('init', '-q', tree)
write(tree + '/tool', '#!/bin/sh\necho tool "$@"; cat data/file; ls -a; cat link\n', 0o755)
write(tree + '/data/file', 'first\n')
os.symlink('data/file', tree + '/link')
write(tree + '/.gitattributes', '*.up filter=upper\n')
write(tree + '/x.up', 'not filtered\n')
commits = []
for n in ('first', 'second', 'third'):
    write(tree + '/data/file', n + '\n')
    git('add', '-A', cwd=tree)
    git('commit', '-q', '-m', n, cwd=tree)
    commits.append(git('rev-parse', 'HEAD', cwd=tree))
git('branch', 'side/way', commits[1], cwd=tree)
git('tag', '-a', '-m', 'one', 'v1', commits[0], cwd=tree)
for name, allow in (('any.git', 'true'), ('tips.git', 'false')):
    git('clone', '-q', '--bare', tree, os.path.join(root, name))
    for key in ('uploadpack.allowReachableSHA1InWant', 'uploadpack.allowTipSHA1InWant'):
        git('config', key, allow, cwd=os.path.join(root, name))

good = gitserver.Server(root, certificate=(work + '/server.crt', work + '/server.key'))
plain = gitserver.Server(root)
bad = gitserver.Server(root, certificate=(work + '/bad.crt', work + '/server.key'))


def fetching(state):
    """Is a git-fetch of this instance there?"""
    found = False
    for pid in filter(str.isdigit, os.listdir('/proc')):
        with contextlib.suppress(OSError):
            words = open('/proc/%s/cmdline' % pid).read()
            found |= 'git-fetch' in words and state in words
    return found


def runtime(name, git=None):
    return {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Runtime', 'metadata': {'name': name},
            'spec': {'server': 'Injected', 'capacity': {'resources': {'runs': 4}}, 'template': {'spec': {'containers': [{'name': 'runtime', 'image': 'none'}]}},
                     **({'git': git} if git else {})}}


def secret(name, **keys):
    return {'apiVersion': 'v1', 'kind': 'Secret', 'metadata': {'name': name}, 'data': {k.replace('_', '.'): base64.b64encode(v.encode()).decode() for k, v in keys.items()}}


SECRETS = '/api/v1/namespaces/default/secrets'
ca = open(work + '/ca.crt').read()
PASSWORD = 'pass word'
with instance() as i:
    i.api.call('POST', RUNTIMES, runtime('git', {'allowPrivateAddresses': True, 'credentialsSecretName': 'git-keys', 'timeoutSeconds': 120}))
    i.api.call('POST', SECRETS, secret('git-keys', host='127.0.0.1:%d' % good.port, username='user', password=PASSWORD, ca_crt=ca))
    i.api.call('POST', RUNTIMES, runtime('closed'))
    i.api.call('POST', RUNTIMES, runtime('hasty', {'allowPrivateAddresses': True, 'timeoutSeconds': 1}))
    i.api.call('POST', RUNTIMES, runtime('patient', {'allowPrivateAddresses': True, 'timeoutSeconds': 3}))
    number = [0]

    def run(url, ref=None, args=('./tool a; cat x.up',), on='git', **spec):
        number[0] += 1
        name = 'r%d' % number[0]
        source = {'repoURL': url, **({'commitSHA': ref} if ref else {})}
        status, answer = i.api.call('POST', RUNS, run_object(name, list(args), runtime=on, source=source, **spec))
        if status != 201:
            return {'phase': 'refused', 'message': answer['message'], 'name': name}
        return dict(i.wait({name}).get(name, {}).get('status', {}), name=name)

    def out(r):
        return i.cli('run', 'logs', r['name']).stdout

    def told(name, r, words, reason='PrepareSource'):
        s.check(name, r.get('phase') == 'Failed' and r.get('reason') == reason and words in r.get('message', ''), '%s %s: %s' % (r.get('phase'), r.get('reason'), r.get('message')))

    # ---- what is fetched: by commit, branch, tag, the beginning of a number, HEAD; both kinds of servers
    for repo in ('any.git', 'tips.git'):
        for ref, want in ((commits[0], 0), ('main', 2), ('side/way', 1), ('v1', 0), (commits[1][:9], 1), (None, 2), ('refs/heads/side/way', 1)):
            r = run(good.url(repo), ref)
            s.equal('%s at %s' % (repo, ref), (r.get('phase'), r.get('source')), ('Succeeded', {'commit': commits[want]}))
            word = ('first', 'second', 'third')[want]
            s.equal('%s at %s: files' % (repo, ref), out(r), 'tool a\n%s\n.\n..\n.gitattributes\ndata\nlink\ntool\nx.up\n%s\nnot filtered\n' % (word, word))
    r = run(good.url('any.git'), 'main', args=['x', 'y'], entrypoint='tool')
    s.check('entrypoint in a repository', out(r).startswith('tool x y\n'), out(r))
    r = run(plain.url('any.git'), 'main')
    s.equal('plain http', (r.get('phase'), r.get('source')), ('Succeeded', {'commit': commits[2]}))

    r = i.cli('run', 'submit', '--runtime', 'git', '--git', good.url('any.git') + '@' + commits[1], '--entrypoint', 'tool', '--follow', '--', 'x')
    s.check('by the command line', r.returncode == 0 and r.stdout.startswith('tool x\nsecond\n'), '%d %s%s' % (r.returncode, r.stdout, r.stderr))

    # ---- the mirror: a commit that was fetched needs no request, a branch one
    good.requests.clear()
    r = run(good.url('any.git'), commits[0])
    s.equal('a commit a second time', (r.get('phase'), good.requests), ('Succeeded', []))
    r = run(good.url('any.git'), 'main')
    s.equal('a branch a second time', (r.get('phase'), [q[0] for q in good.requests]), ('Succeeded', ['GET']))
    write(tree + '/data/file', 'fourth\n')
    git('commit', '-q', '-am', 'fourth', cwd=tree)
    git('push', '-q', os.path.join(root, 'any.git'), 'main', cwd=tree)
    r = run(good.url('any.git'), 'main')
    s.equal('a branch that moved', (r.get('source'), out(r).split('\n')[1]), ({'commit': git('rev-parse', 'HEAD', cwd=tree)}, 'fourth'))
    r = run(good.url('any.git'), 'main', args=['[ $KRUNTIME_ATTEMPT = 2 ] && ! [ -e left ] && ls | wc -l || { touch left; exit 3; }'],
            retryPolicy={'maxAttempts': 2, 'backoff': '10ms'})
    s.equal('a retry has a clean workspace', (r.get('phase'), r.get('attempt'), out(r)), ('Succeeded', 2, '4\n'))
    mirrors = [os.path.join(b, n) for b, d, f in os.walk(i.state) for n in f if n.endswith('.pack') and '/git/' in b]
    for path in mirrors:
        os.chmod(path, 0o600)
        with open(path, 'r+b') as f:
            f.seek(20)
            f.write(b'\0' * 40)
    r = run(good.url('tips.git'), commits[0])
    s.equal('a damaged mirror is fetched anew', (r.get('phase'), r.get('message')), ('Succeeded', None))

    # ---- another fetch from there is waited for, and its time is its own; what is there needs no wait. We hold what a fetch holds.
    s.equal('on another pod', run(plain.url('any.git'), commits[0], on='patient').get('phase'), 'Succeeded')
    used = [os.path.join(b, n) for b, _, f in os.walk(i.state) for n in f if n == hashlib.sha256(plain.url('any.git').encode()).hexdigest()[:32] + '.lock']
    with open(max(used, key=os.path.getmtime), 'r+b') as f:
        fcntl.lockf(f, fcntl.LOCK_EX, 1, 1)
        i.api.call('POST', RUNS, run_object('waits', ['true'], runtime='patient', source={'repoURL': plain.url('any.git'), 'commitSHA': 'main'}))
        until = time.monotonic() + DEADLINE
        while not fetching(i.state) and time.monotonic() < until:
            time.sleep(0.01)      # nothing tells when a process begins
        until = time.monotonic() + 6      # timeoutSeconds, and what runtimed allows beyond them
        while time.monotonic() < until:
            told('a fetch that takes too long', run(plain.url('trickle/x.git'), on='hasty'), 'timeoutSeconds')
        s.equal('what is there is laid out meanwhile', run(plain.url('any.git'), commits[0], on='patient').get('phase'), 'Succeeded')
        s.check('a fetch waits for another', fetching(i.state))
    s.equal('and has all of its time', i.wait({'waits'})['waits']['status'].get('phase'), 'Succeeded')

    # ---- the password: for its host, over https
    r = run(good.url('auth/any.git'), 'main')
    s.equal('a password', r.get('phase'), 'Succeeded')
    plain.requests.clear()
    told('no password over http', run(plain.url('auth/any.git')), 'https only')
    s.check('it was not sent', all(q[2] is None for q in plain.requests) and plain.requests, plain.requests)
    good.redirect['away'] = plain.url('auth')
    told('no redirect from https to http', run(good.url('to/away/any.git')), 'from https to http')
    other = gitserver.Server(root, certificate=(work + '/server.crt', work + '/server.key'))
    good.redirect['other'] = other.url('auth')
    told('no password for another port', run(good.url('to/other/any.git')), 'another host')
    s.check('it was not sent there', all(q[2] is None for q in other.requests) and other.requests, other.requests)
    good.redirect['self'] = good.url('auth')
    s.equal('a redirect on the same host', run(good.url('to/self/any.git'), 'main').get('phase'), 'Succeeded')
    good.redirect['loop'] = good.url('to/loop')
    told('a redirect without end', run(good.url('to/loop/any.git')), 'again and again')
    good.redirect['out'] = 'file:///etc'
    told('a redirect to a file', run(good.url('to/out/any.git')), 'source.repoURL')

    # ---- what goes wrong
    told('a bad certificate', run(bad.url('any.git')), 'certificate')
    told('404', run(good.url('none.git')), '404')
    told('500', run(good.url('status/500/x.git')), '500')
    told('a page', run(good.url('html/x.git')), 'no Git repository')
    told('nonsense', run(good.url('garbage/x.git')), 'source.repoURL')
    told('a branch that is not there', run(good.url('any.git'), 'nowhere'), 'no branch, tag or commit "nowhere"')
    told('a commit that is not there', run(good.url('any.git'), 'f' * 40), 'f' * 40)
    told('an address that is not public', run(plain.url('any.git'), on='closed'), 'allowPrivateAddresses')
    r = run(plain.url('trickle/x.git'), on='hasty')
    told('a trickle', r, 'timeoutSeconds')
    r = run(good.url('any.git'), args=['true'], on='hasty')
    told('an unknown authority', r, 'certificate')
    for url in ('ext::sh -c id', 'file:///etc', 'ssh://-oProxyCommand=id/x', 'git://127.0.0.1/x', '-u./x', 'https://user:pw@127.0.0.1/x', 'https://a b/c', 'https://a/\n'):
        s.equal('URL %r' % url, run(url)['phase'], 'refused')
    for ref in ('--upload-pack=id', '-', 'a\nb', 'a..b', 'x y', '@{u}', '.', '/a'):
        s.check('ref %r' % ref, run(good.url('any.git'), ref).get('phase') in ('refused', 'Failed'))

    # ---- cancelled while it is fetched: the process is gone
    i.api.call('POST', RUNS, run_object('stop', ['true'], runtime='git', source={'repoURL': plain.url('trickle/x.git')}))
    until = time.monotonic() + DEADLINE
    while not fetching(i.state) and time.monotonic() < until:
        time.sleep(0.01)      # nothing tells when a process begins
    s.equal('others of the pod do not wait for it', (run(good.url('any.git'), commits[0]).get('phase'), fetching(i.state)), ('Succeeded', True))
    i.api.call('PATCH', RUNS + '/stop', {'spec': {'cancelRequested': True}}, type='application/merge-patch+json')
    r = i.wait({'stop'})['stop']['status']
    s.equal('cancelled while it is fetched', (r['phase'], r['reason']), ('Cancelled', 'Cancelled'))
    s.check('nothing of it is left', not fetching(i.state))

    # ---- a Secret that changes, one that is refused; nothing secret is ever told
    i.api.call('PUT', SECRETS + '/git-keys', secret('git-keys', host='example.com', username='user', password=PASSWORD, ca_crt=ca))
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        r = run(good.url('auth/any.git'), 'v1')
        if r['phase'] == 'Failed':
            break
    told('the Secret of another host', r, 'another host')
    odd = secret('git-keys', host='example.com', username='user', ca_crt=ca, **{'.hidden': 'a', '..more': 'c'})
    i.api.call('PUT', SECRETS + '/git-keys', odd)
    folders = lambda: [sorted(fs) for d, _, fs in os.walk(i.state + '/pods') if d.endswith('/secrets/kruntimes-git')]
    until = time.monotonic() + DEADLINE
    while folders() != [['.hidden', 'ca.crt', 'host', 'username']] and time.monotonic() < until:
        time.sleep(0.02)      # polling on purpose: files
    s.equal('its files: what is a file name, and what went is gone', folders(), [['.hidden', 'ca.crt', 'host', 'username']])
    texts = json.dumps(i.api.call('GET', RUNS)[1]) + json.dumps(i.api.call('GET', '/api/v1/namespaces/default/events')[1]) + i.logs()
    s.check('the password is nowhere', PASSWORD not in texts and base64.b64encode(('user:' + PASSWORD).encode()).decode() not in texts)
for server in (good, plain, bad, other):
    server.stop()
shutil.rmtree(work, ignore_errors=True)
s.end()
