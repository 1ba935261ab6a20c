#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Archives that somebody has put into a store (rows 47 and 48): brought into a workspace by the helper that runtimed starts, which
must refuse them, leave nothing behind, and touch nothing outside."""
import gzip, hashlib, io, json, os, resource, subprocess, sys, tarfile, tempfile, time, zlib
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

s = Suite()
top = tempfile.mkdtemp(prefix='kr-archives-')
store, work, outside = (os.path.join(top, n) for n in ('store', 'work', 'outside'))
KEY, MEMORY = 'ns/uid/1-pod/a', 16 << 20
SANITIZED = b'__asan_init' in open(BINARY, 'rb').read()
os.makedirs(os.path.join(store, os.path.dirname(KEY)))
os.mkdir(outside)


def place(data, kind='archive', path='in', size=None, digest=None, limit=1 << 20):
    """What the helper says ('' when it went well), after `data` was stored."""
    shutil.rmtree(work, ignore_errors=True)
    os.mkdir(work)
    os.symlink(outside, work + '/way-out')
    with open(os.path.join(store, KEY), 'wb') as f:
        f.write(data)
    order = {'store': {'driver': 'filesystem', 'filesystem': {'volumeClaimName': 'x'}}, 'place': store, 'spool': top, 'key': KEY, 'path': path, 'type': kind,
             'sizeBytes': len(data) if size is None else size, 'digest': digest or hashlib.sha256(data).hexdigest(), 'maxBytes': limit}
    fd = os.open(work, os.O_RDONLY | os.O_DIRECTORY)

    def setup():
        os.dup2(fd, 3)
        if not SANITIZED:
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    done = subprocess.run([BINARY, 'artifact-helper', 'place'], input=json.dumps(order).encode(), capture_output=True, pass_fds=(3,), preexec_fn=setup, timeout=60)
    os.close(fd)
    return json.loads(done.stdout).get('message', '') if done.returncode == 0 else 'exit code %d: %s' % (done.returncode, done.stderr.decode())


def tree():
    return sorted(os.path.relpath(os.path.join(d, f), work) for d, ds, fs in os.walk(work) for f in fs + ds if f != 'way-out')


def tar(*members, format=tarfile.PAX_FORMAT, **more):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', format=format, **more) as t:
        for m in members:
            t.addfile(m[0], io.BytesIO(m[1]) if len(m) > 1 else None)
    return out.getvalue()


def member(name, content=None, **more):
    m = tarfile.TarInfo(name)
    for k, v in more.items():
        setattr(m, k, v)
    if content is not None:
        m.size = len(content)
        return (m, content)
    return (m,)


def patched(data, at, new):
    """A header changed by hand, with its sum set right."""
    b = bytearray(data)
    b[at:at + len(new)] = new
    b[148:156] = b' ' * 8
    b[148:156] = b'%06o\0 ' % sum(b[:512])
    return bytes(b)


def refused(row, name, data, want, **more):
    said = place(data, **more)
    s.check('row %d, %s' % (row, name), want in said and tree() == [] and os.listdir(outside) == [], '%r, left %s, outside %s' % (said, tree(), os.listdir(outside)))


z = lambda data: gzip.compress(data, 1, mtime=0)
one = member('x', b'content')

# ---- what is fine -------------------------------------------------------------------------------------------------------
good = tar(member('d', type=tarfile.DIRTYPE), member('d/f', b'text', mode=0o6755), member('n' * 150, b'long'), member('\u00e9' * 100, b''))
s.equal('a good archive', (place(z(good)), tree()), ('', sorted(['in', 'in/d', 'in/d/f', 'in/' + 'n' * 150, 'in/' + '\u00e9' * 100])))
s.equal('row 47, setuid is not kept', (oct(os.stat(work + '/in/d/f').st_mode), open(work + '/in/d/f').read()), ('0o100755', 'text'))
s.equal('deeper, and what was there goes', (place(z(good), path='a/b/c'), os.path.isfile(work + '/a/b/c/d/f')), ('', True))
s.equal('a file', (place(b'bytes', 'file', 'a/f'), tree(), open(work + '/a/f').read() if tree() else ''), ('', ['a', 'a/f'], 'bytes'))
s.equal('an empty file', (place(b'', 'file', 'f'), tree()), ('', ['f']))

# ---- row 47 -------------------------------------------------------------------------------------------------------------
for name in ('../x', '/x', 'a/../../x', './x', 'a//x', '..', '.', 'a/..'):
    refused(47, 'the path ' + name, z(patched(tar(one, format=tarfile.USTAR_FORMAT), 0, name.encode().ljust(100, b'\0'))), 'no plain relative path')
    refused(47, 'the pax path ' + name, z(tar((lambda m: (setattr(m[0], 'pax_headers', {'path': name}), m)[1])(member('x', b'y')))), 'no plain relative path')
for kind, want in ((tarfile.SYMTYPE, 'symbolic link'), (tarfile.LNKTYPE, 'hard link'), (tarfile.CHRTYPE, 'device'), (tarfile.BLKTYPE, 'device'), (tarfile.FIFOTYPE, 'FIFO'),
                   (tarfile.GNUTYPE_SPARSE, 'sparse'), (tarfile.GNUTYPE_LONGNAME, 'unknown kind'), (b'Z', 'unknown kind'), (b'g', 'unknown kind')):
    target = outside + '/passwd' if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ''
    refused(47, 'an entry of type %r' % kind, z(patched(tar(member('l', linkname=target), format=tarfile.USTAR_FORMAT), 156, kind)), want)
refused(47, 'a link, and a file through it', z(tar(member('l', type=tarfile.SYMTYPE, linkname=outside), member('l/x', b'y'))), 'symbolic link')
refused(47, 'a file in a file', z(tar(one, member('x/y', b'z'))), "doesn't have")
refused(47, 'a file in a folder that is not there', z(tar(member('d/y', b'z'))), "doesn't have")
refused(47, 'a file twice', z(tar(one, one)), 'twice')
refused(47, 'a folder and a file of one name', z(tar(member('x', type=tarfile.DIRTYPE), one)), 'twice')
refused(47, 'sparse by pax', z(tar((lambda m: (setattr(m[0], 'pax_headers', {'GNU.sparse.major': '1'}), m)[1])(member('x', b'y')))), 'sparse')
refused(47, 'a size below zero', z(patched(tar(one), 124, b'\xff' * 12)), 'damaged')
refused(47, 'a size of 8 GB', z(patched(tar(one), 124, b'77777777777\0')), 'bytes of content')
refused(47, 'a pax size below zero', z(tar((lambda m: (setattr(m[0], 'pax_headers', {'size': '-5'}), m)[1])(member('x', b'y')))), 'damaged')
refused(47, 'a pax size beyond all', z(tar((lambda m: (setattr(m[0], 'pax_headers', {'size': '9' * 30}), m)[1])(member('x', b'y')))), 'damaged')
refused(47, 'a bad checksum', z(tar(one)[:148] + b'0000000\0' + tar(one)[156:]), 'damaged')
refused(47, 'no tar', z(os.urandom(4096)), 'damaged')
refused(47, 'a name that is no text', z(patched(tar(one, format=tarfile.USTAR_FORMAT), 0, b'\xff\xfe'.ljust(100, b'\0'))), 'no plain relative path')
refused(47, 'nested without end', z(tar(*(member('/'.join('d' * n), type=tarfile.DIRTYPE) for n in range(1, 200)))), 'nested')
refused(47, 'too many files', z(tar(*(member('f%d' % n) for n in range(100001)), format=tarfile.USTAR_FORMAT)), 'more than 100000')
refused(47, 'a cut', z(tar(one)[:700]), 'in the middle')
refused(47, 'no end', z(tar(one)[:1024]), 'in the middle')
refused(47, 'more behind the end', z(tar(one) + tar(one)), 'behind its end')
for path, want in (('../x', 'no path'), ('a/../../x', 'no'), ('way-out/x', 'no folder'), ('/x', 'no'), ('', 'no path'), ('a/', 'no path')):
    said = place(z(tar(one)), path=path)
    s.check('row 47, into "%s"' % path, said != '' and os.listdir(outside) == [] and not os.path.exists(top + '/x'), said)

# ---- row 48 -------------------------------------------------------------------------------------------------------------
bomb = z(tar(member('x', bytes(300 << 20))))
begin = time.monotonic()
refused(48, 'a bomb of 300 MiB in %d bytes' % len(bomb), bomb, 'bytes of content')
refused(48, 'zeros without end behind the end', z(tar(one) + bytes(100 << 20)), 'behind its end')
whole = z(tar(one))
refused(48, 'garbage behind it', whole + b'garbage', 'behind its end')
refused(48, 'two members', whole + whole, 'behind its end')
refused(48, 'a wrong CRC', whole[:-8] + bytes(4) + whole[-4:], 'damaged')
refused(48, 'a wrong length', whole[:-4] + bytes(4), 'damaged')
refused(48, 'a header that lies', b'\x1f\x8b\x09' + whole[3:], 'damaged')
refused(48, 'no gzip', tar(one), 'damaged')
refused(48, 'zlib, not gzip', zlib.compress(tar(one)), 'damaged')
refused(48, 'nothing', b'', 'in the middle')
for cut in (1, 5, 17, len(whole) // 2, len(whole) - 1):
    refused(48, 'cut at %d' % cut, whole[:cut], 'in the middle')
refused(48, 'another digest', whole, 'not what was stored', digest='0' * 64)
refused(48, 'shorter than it was', whole, 'not what was stored', size=len(whole) + 1)
refused(48, 'longer than it was', whole, 'arge', size=10)

# every byte of a small archive, spoiled: refused or harmless, and never outside
for at in range(0, len(whole), 3):
    place(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1:])
    if not s.check('row 48, byte %d spoiled' % at, all(p == 'in' or p.startswith('in/') for p in tree()) and os.listdir(outside) == [], str(tree())):
        break
shutil.rmtree(top, ignore_errors=True)
s.end()
