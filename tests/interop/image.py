#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The container image: make's folder and manifests/image.py's archive, looked at byte by byte and by skopeo.

That a node's containerd imports and runs it is tests/cluster's; the aarch64 binary is tried by tests/long/arm64.sh.
"""
import hashlib, io, json, os, shutil, subprocess, sys, tarfile, tempfile
HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(HERE, '..', 'kit'))
from local import BINARY, Suite

s = Suite()
NAME = 'localhost/kruntimes:7.8.9'


def write(out, *folders):
    return subprocess.run([os.path.join(TOP, 'manifests/image.py'), out, NAME, *folders], capture_output=True, text=True)


def tree(folder, binary, bundle):
    os.makedirs(os.path.join(folder, 'etc/ssl/certs'))
    shutil.copy(binary, os.path.join(folder, 'kruntimes'))
    os.chmod(os.path.join(folder, 'kruntimes'), 0o755)
    with open(os.path.join(folder, 'etc/ssl/certs/ca-certificates.crt'), 'wb') as f:
        f.write(bundle)
    return folder


def blob(tar, descriptor):
    data = tar.extractfile('blobs/sha256/' + descriptor['digest'].removeprefix('sha256:')).read()
    s.check('a blob is what its descriptor says', 'sha256:' + hashlib.sha256(data).hexdigest() == descriptor['digest'] and len(data) == descriptor['size'], descriptor)
    return data


def one_image(tar, manifest, binary, bundle):
    m = json.loads(blob(tar, manifest))
    config = json.loads(blob(tar, m['config']))
    s.equal('user and entrypoint', (config['config']['User'], config['config']['Entrypoint']), ('65532:65532', ['/kruntimes']))
    s.equal('version and licence', [config['config']['Labels']['org.opencontainers.image.' + n] for n in ('version', 'licenses')], ['7.8.9', 'Apache-2.0'])
    s.equal('platform', config['architecture'], manifest['platform']['architecture'])
    s.equal('one layer', (len(m['layers']), config['rootfs']['diff_ids']), (1, [m['layers'][0]['digest']]))
    layer = tarfile.open(fileobj=io.BytesIO(blob(tar, m['layers'][0])))
    found = {i.name: (oct(i.mode), i.uid, i.mtime, i.isdir()) for i in layer}
    s.equal('nothing but the binary and the bundle', found, {
        'etc': ('0o755', 0, 0, True), 'etc/ssl': ('0o755', 0, 0, True), 'etc/ssl/certs': ('0o755', 0, 0, True),
        'etc/ssl/certs/ca-certificates.crt': ('0o444', 0, 0, False), 'kruntimes': ('0o755', 0, 0, False)})
    s.equal('they are what went in', (layer.extractfile('kruntimes').read(), layer.extractfile('etc/ssl/certs/ca-certificates.crt').read()), (binary, bundle))


with tempfile.TemporaryDirectory() as d:
    binary, bundle = open(BINARY, 'rb').read(), b'-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n'
    folders = ['%s=%s' % (a, tree(os.path.join(d, a), BINARY, bundle)) for a in ('amd64', 'arm64')]
    out = os.path.join(d, 'image.tar')
    s.equal('it is written', (write(out, *folders).returncode, os.path.exists(out)), (0, True))
    first = open(out, 'rb').read()
    os.utime(os.path.join(d, 'amd64', 'kruntimes'), (1, 1))
    write(out, *folders)
    s.check('the same input gives the same bytes', open(out, 'rb').read() == first)
    with tarfile.open(out) as tar:
        s.equal('layout', json.loads(tar.extractfile('oci-layout').read()), {'imageLayoutVersion': '1.0.0'})
        top = json.loads(tar.extractfile('index.json').read())
        s.equal('one image, by name', [m['annotations'] for m in top['manifests']],
                [{'io.containerd.image.name': NAME, 'org.opencontainers.image.ref.name': '7.8.9'}])
        index = json.loads(blob(tar, top['manifests'][0]))
        s.equal('for two architectures', [m['platform']['architecture'] for m in index['manifests']], ['amd64', 'arm64'])
        for m in index['manifests']:
            one_image(tar, m, binary, bundle)
        legacy = json.loads(tar.extractfile('manifest.json').read())
        s.equal('docker finds it too', (legacy[0]['RepoTags'], legacy[0]['Config'] in tar.getnames(), legacy[0]['Layers'][0] in tar.getnames()), ([NAME], True, True))
    s.check('a name without a tag is refused', subprocess.run([os.path.join(TOP, 'manifests/image.py'), out, 'kruntimes', *folders], capture_output=True).returncode != 0)
    if shutil.which('skopeo'):
        for arch in ('amd64', 'arm64'):
            seen = subprocess.run(['skopeo', 'inspect', '--override-arch', arch, '--config', 'oci-archive:' + out], capture_output=True, text=True)
            s.check('skopeo reads it for ' + arch, seen.returncode == 0 and json.loads(seen.stdout)['architecture'] == arch, seen.stderr)
    else:
        s.skip('skopeo', 'not installed')
dockerfile = [l.split() for l in open(os.path.join(TOP, 'Dockerfile.scratch')) if l.strip() and not l.startswith('#')]
s.equal('Dockerfile.scratch copies one folder and runs nothing', sorted({l[0] for l in dockerfile}), ['ARG', 'COPY', 'ENTRYPOINT', 'FROM', 'LABEL', 'USER'])
s.equal('the one that make fills', [l[1:] for l in dockerfile if l[0] == 'COPY'], [['build/image/${TARGETARCH}/', '/']])
s.end()
