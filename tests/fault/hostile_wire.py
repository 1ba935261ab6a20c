#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Hostile bytes to what listens: the embedded API server (TLS) and a gRPC port (plain), each row by its number: what must happen,
within which memory and processor time of the process. Rows 16 to 20, of calls and their protobuf, are to the API server requests
whose bodies have Kubernetes' form of protobuf.

  tests/fault/hostile_wire.py [ROW…]
"""
import os, subprocess, sys
HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
if not os.environ.get('KR_VENV'):      # again, with the Python that has hpack
    venv = subprocess.run([os.path.join(TOP, 'tests', 'tools', 'venv')], capture_output=True, text=True)
    if venv.returncode:
        print('skip hpack: %s' % (venv.stdout.strip() or venv.stderr.strip()))
        print('0 passed, 0 failed, 1 skipped')
        sys.exit(0)
    os.execve(venv.stdout.strip(), [venv.stdout.strip(), *sys.argv], dict(os.environ, KR_VENV='1'))
sys.path.insert(0, os.path.join(HERE, '..', 'kit'))
from local import *
from wire import *
import contextlib, hashlib, hpack, resource, threading

s = Suite()
MANY = 100000
SANITIZED = b'__asan_init' in open(BINARY, 'rb').read()


class Target:
    """A process that serves, by its own words on stderr."""
    def __init__(self, name, args, pattern, tls, probe, files=None):
        self.name, self.probe = name, probe
        limit = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))) if files else None
        self.p = subprocess.Popen([BINARY, *args], stderr=subprocess.PIPE, text=True, preexec_fn=limit)
        line = self.p.stderr.readline()
        found = re.search(pattern, line)
        if not found:
            raise SystemExit('%s did not start: %s' % (name, line))
        threading.Thread(target=self.p.stderr.read, daemon=True).start()
        self.port, self.tls = int(found.group(1)), tls() if tls else None

    def open(self, *settings, **k):
        return Wire(self.port, self.tls, (settings,), **k)

    def raw(self, alpn=None):
        """A connection without HTTP/2."""
        sock = socket.create_connection(('127.0.0.1', self.port), DEADLINE)
        if not self.tls:
            return sock
        context = ssl.create_default_context(cafile=CA)
        if alpn:
            context.set_alpn_protocols(alpn)
        return context.wrap_socket(sock, server_hostname='127.0.0.1')

    def answers(self):
        """A request on a connection of its own is answered."""
        w = self.open()
        ok = w.push(frame(HEADERS, END_HEADERS | END_STREAM, 1, self.probe), lambda: 1 in w.ended) and not w.resets
        w.close()
        return ok


class Row:
    """One row against one target: a name for its checks, and bounds on what it may cost. held: it frees more than its bound."""
    def __init__(self, number, target, cpu=None, memory=None, held=False):
        self.number, self.t, self.limits, self.held = number, target, (cpu, memory), held

    def __enter__(self):
        self.before = cpu(self.t.p.pid), memory(self.t.p.pid)
        return self

    def __exit__(self, kind, *rest):
        if kind:
            return
        took, more = cpu(self.t.p.pid) - self.before[0], memory(self.t.p.pid) - self.before[1]
        self.check('it lives, and answers others', self.t.p.poll() is None and self.t.answers())
        if self.limits[0]:
            self.check('processor time', took <= self.limits[0], '%.2f s, at most %.2f' % (took, self.limits[0]))
        if self.limits[1] and SANITIZED and self.held:
            s.skip('row %s, %s: memory' % (self.number, self.t.name), 'AddressSanitizer holds on to what was freed, to find who uses it')
        elif self.limits[1]:
            self.check('memory', more <= self.limits[1], '%.1f MiB more, at most %.1f' % (more, self.limits[1]))

    def check(self, what, ok, detail=''):
        return s.check('row %s, %s: %s' % (self.number, self.t.name, what), ok, detail)

    def equal(self, what, got, want):
        return s.equal('row %s, %s: %s' % (self.number, self.t.name, what), got, want)

    def ends(self, what, w, data, code):
        """The connection ends with GOAWAY and that code."""
        closed = w.until_closed(data)
        self.check(what, closed and w.goaway == code, 'GOAWAY %r, want %d; closed %r' % (w.goaway, code, closed))
        w.close()


def head(stream, *fields, end=True, **k):
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block(*fields, **k))


def streams(n, first=1):
    return range(first, first + 2 * n, 2)


def reset(stream):
    return frame(RST, 0, stream, struct.pack('>I', CANCEL))


def window(stream, by):
    return frame(WINDOW, 0, stream, struct.pack('>I', by))


# ---- HTTP/2 --------------------------------------------------------------------------------------------------------

def row_1(t):
    with Row(1, t, cpu=1, memory=8) as r:
        other = t.open()
        w = t.open()
        r.ends('100,000 streams that are reset at once', w, b''.join(head(n, end=False) + reset(n) for n in streams(MANY)), CALM)
        r.check('another connection goes on', other.push(frame(HEADERS, END_HEADERS | END_STREAM, 1, t.probe), lambda: 1 in other.ended))
        other.close()


def row_2(t):
    for name, size, count in (('full frames', 16384, 1000), ('one byte each', 1, 300000), ('empty ones', 0, MANY)):
        with Row(2, t, cpu=1, memory=1) as r:
            w = t.open()
            r.ends('a header block without end: ' + name, w, frame(HEADERS, 0, 1, block()) + frame(CONTINUATION, 0, 1, b'\0' * size) * count, CALM)


def row_3(t):
    with Row(3, t, cpu=1.5, memory=8) as r:
        for name, by in (('zero', 0), ('beyond 2^31', 0x7fffffff)):
            w = t.open()
            r.ends('windows that grow by %s' % name, w, b''.join(head(n, end=False, method='POST') + window(n, by) for n in streams(MANY)), CALM)
        w = t.open()
        call = (('content-type', 'application/grpc'), ('te', 'trailers')) if t.name == 'grpc' else ()      # what is no call is answered at once
        w.push(head(1, *call, end=False, method='POST', path=STATUS) + window(1, 0), lambda: 1 in w.resets)
        r.equal('one costs its stream', (w.resets.get(1), w.goaway), (PROTOCOL_ERROR, None))
        w.close()


def row_4(t):
    with Row(4, t, cpu=1.5, memory=8) as r:
        after_end = lambda n: head(n, method='POST') + frame(DATA, 0, n, b'x')
        again = lambda n: head(n) + head(n)
        for name, one, code in (('DATA behind the end', after_end, STREAM_CLOSED), ('HEADERS behind the end', again, STREAM_CLOSED)):
            w = t.open()
            w.push(one(1), lambda: w.resets or w.goaway is not None)
            r.check(name, code in (w.resets.get(1), w.goaway), 'reset %r, GOAWAY %r' % (w.resets, w.goaway))
            w.close()
            w = t.open()
            w.until_closed(b''.join(one(n) for n in streams(MANY)))
            r.check(name + ', 100,000 times', w.goaway in (CALM, STREAM_CLOSED), 'GOAWAY %r' % w.goaway)
            w.close()


def row_5(t):
    for name, one in (('PING', frame(PING, 0, 0, b'12345678')), ('SETTINGS', setting((3, 100)))):
        with Row(5, t, cpu=4, memory=16) as r:
            w = t.open()
            w.push(one * 1000000, read=False, seconds=20)
            r.check('a million of %s whose answers are not read' % name, w.until_closed(), 'it is still open; GOAWAY %r' % w.goaway)
            r.check('it says why', w.goaway in (CALM, None), str(w.goaway))
            w.close()


def row_6(t):
    padded = frame(DATA, PADDED, 1, b'\xff' + b'\0' * 255)
    for name, one in (('empty DATA', frame(DATA, 0, 1)), ('DATA of padding alone', padded)):
        with Row(6, t, cpu=1, memory=8) as r:
            w = t.open()
            w.keep = False
            w.until_closed(head(1, end=False, method='POST') + one * MANY)
            # Behind a request that was refused at its head, padding counts against the window that it had.
            r.check(name, w.closed and w.goaway in (CALM, FLOW_CONTROL_ERROR), 'GOAWAY %r' % w.goaway)
            w.close()


def row_7(t):
    with Row(7, t, cpu=2, memory=8) as r:
        w = t.open()
        bomb = literal('x', 'v' * 4000, 0x40) + bytes([0x80 | 62]) * 10000
        parts = [bomb[i:i + 16000] for i in range(0, len(bomb), 16000)]
        blocks = lambda n: b''.join([frame(HEADERS, END_STREAM, n, block())] + [frame(CONTINUATION, 0, n, p) for p in parts] + [frame(CONTINUATION, END_HEADERS, n)])
        r.ends('40 MB of fields out of a table entry', w, blocks(1), COMPRESSION_ERROR)
        w = t.open()
        small = lambda n: frame(HEADERS, END_HEADERS | END_STREAM, n, literal('x', 'v' * 4000, 0x40) + bytes([0x80 | 62]) * 20)
        w.push(small(1), lambda: w.resets or w.closed)
        r.equal('80 KB of them cost a stream', (w.resets.get(1), w.goaway), (CALM, None))
        r.ends('3000 times', w, b''.join(small(n) for n in streams(3000, 3)), CALM)


def row_8(t):
    cases = (('index 0', b'\x80'), ('an index beyond the table', b'\xff\x00'), ('an integer of 2^64', b'\xff' + b'\xff' * 9 + b'\x01'), ('an integer without end', b'\xff' + b'\x80' * 64),
             ('Huffman: wrong padding', b'\x00\x01a\x81\x00'), ('Huffman: too much padding', b'\x00\x01a\x82\x1f\xff'), ('Huffman: end of string', b'\x00\x01a\x84\xff\xff\xff\xff'),
             ('a table size behind a field', b'\x82\x20'), ('a table larger than allowed', b'\x3f\xe2\x1f'), ('a string longer than the block', b'\x00\x7f\xff\xff\x03a'), ('a name without a value', b'\x00\x01a'))
    with Row(8, t, cpu=0.5, memory=2) as r:
        for name, bad in cases:
            r.ends(name, t.open(), frame(HEADERS, END_HEADERS | END_STREAM, 1, (b'' if name.startswith('a table larger') else block()) + bad), COMPRESSION_ERROR)


def row_9(t):
    dead = (('a frame larger than allowed', frame(DATA, 0, 1, b'', 16385), FRAME_SIZE_ERROR), ('SETTINGS of 5 bytes', frame(SETTINGS, 0, 0, b'12345'), FRAME_SIZE_ERROR),
            ('SETTINGS on a stream', frame(SETTINGS, 0, 1), PROTOCOL_ERROR), ('an ACK with a payload', frame(SETTINGS, ACK, 0, b'123456'), FRAME_SIZE_ERROR),
            ('ENABLE_PUSH 2', setting((2, 2)), PROTOCOL_ERROR), ('a window of 2^31', setting((4, 1 << 31)), FLOW_CONTROL_ERROR), ('frames of 1000 bytes', setting((5, 1000)), PROTOCOL_ERROR),
            ('PUSH_PROMISE', frame(PUSH, END_HEADERS, 1, b'\0\0\0\2' + block()), PROTOCOL_ERROR), ('an even stream', head(2), PROTOCOL_ERROR), ('stream 0', head(0), PROTOCOL_ERROR),
            ('DATA on stream 0', frame(DATA, 0, 0, b'x'), PROTOCOL_ERROR), ('DATA on an idle stream', frame(DATA, 0, 5, b'x'), PROTOCOL_ERROR), ('RST_STREAM on an idle stream', reset(5), PROTOCOL_ERROR),
            ('RST_STREAM of 3 bytes', head(1) + frame(RST, 0, 1, b'123'), FRAME_SIZE_ERROR), ('PING of 7 bytes', frame(PING, 0, 0, b'1234567'), FRAME_SIZE_ERROR), ('PING on a stream', frame(PING, 0, 1, b'12345678'), PROTOCOL_ERROR),
            ('GOAWAY on a stream', frame(GOAWAY, 0, 1, b'\0' * 8), PROTOCOL_ERROR), ('WINDOW_UPDATE of 3 bytes', frame(WINDOW, 0, 0, b'123'), FRAME_SIZE_ERROR), ('WINDOW_UPDATE of 0', window(0, 0), PROTOCOL_ERROR),
            ('WINDOW_UPDATE beyond 2^31', window(0, 0x7fffffff), FLOW_CONTROL_ERROR), ('CONTINUATION of nothing', frame(CONTINUATION, END_HEADERS, 1, b''), PROTOCOL_ERROR),
            ('another frame inside a header block', frame(HEADERS, 0, 1, block()) + frame(PING, 0, 0, b'12345678'), PROTOCOL_ERROR), ('padding longer than the frame', frame(DATA, PADDED, 1, b'\xff'), PROTOCOL_ERROR),
            ('a stream whose number went back', head(5) + head(3), STREAM_CLOSED), ('no SETTINGS first', None, PROTOCOL_ERROR))
    with Row(9, t, cpu=0.5, memory=2) as r:
        for name, data, code in dead:
            w = t.open(hello=data is not None)
            w.until_closed(PREFACE + frame(PING, 0, 0, b'12345678') if data is None else (head(1, end=False, method='POST') if name.startswith('padding') else b'') + data)
            r.check(name, w.closed and (w.goaway == code or (code == STREAM_CLOSED and w.goaway == PROTOCOL_ERROR)), 'GOAWAY %r, want %d' % (w.goaway, code))
            w.close()
        w = t.open()
        for n, (name, fields) in enumerate((('an upper-case name', block(('X', 'y'))), ('Connection', block(('connection', 'close'))), ('no :path', literal(':method', 'GET') + literal(':scheme', 'http')),
                                            ('an unknown pseudo-header', block((':x', 'y'))), ('a pseudo-header behind a field', literal('a', 'b') + block()), ('CR LF in a value', block(('a', 'b\r\nc: d'))),
                                            ('NUL in a value', block(('a', '\0'))), ('TE: gzip', block(('te', 'gzip'))), ('content-length that lies', block(('content-length', '5')))), 0):
            n = 1 + 2 * n
            w.push(frame(HEADERS, END_HEADERS | END_STREAM, n, fields), lambda: n in w.resets or n in w.ended or w.closed)
            r.equal(name, w.resets.get(n), PROTOCOL_ERROR)
        w.close()


def row_10(t):
    """Of a target with a large answer: its windows go below nothing, stand still, and go on."""
    with Row(10, t, memory=16) as r:
        w = t.open((4, 30000))
        w.push(window(0, 1 << 30) + t.large(1), lambda: w.data.get(1, 0) >= 30000)
        w.push(setting((4, 0)) + frame(PING, 0, 0, b'12345678'), lambda: any(f[0] == PING for f in w.frames))
        r.equal('it stands still', (w.data[1], 1 in w.ended), (30000, False))
        w.push(window(1, 29999) + frame(PING, 0, 0, b'abcdefgh'), lambda: any(f[3] == b'abcdefgh' for f in w.frames))
        r.equal('below nothing it still does', w.data[1], 30000 + 0 if w.data[1] == 30000 else 30000 + 29999)
        w.push(window(1, 1 << 29), lambda: 1 in w.ended)
        r.check('it ends', 1 in w.ended and w.data[1] == t.large_size, str(w.data))
        w.close()


def row_11(t):
    """256 streams with large answers and a window of one byte: that 60 s without a byte end a stream is tested with a clock of ours."""
    with Row(11, t, cpu=4, memory=96) as r:
        w = t.open((4, 1))
        w.decoder = hpack.Decoder()
        w.push(b''.join(t.large(n) for n in streams(1000)), lambda: len(w.heads) + len(w.resets) >= 1000)
        told = [f for f in w.fields.values() if f[':status'] == '429' and f['retry-after'] == '1']
        r.check('what would not fit in memory is refused', set(w.resets.values()) <= {REFUSED_STREAM, CALM} and len(w.resets) + len(told) >= 900,
                '%d of %r, %d of 429' % (len(w.resets), set(w.resets.values()), len(told)))
        w.close()


def row_11_questions(t):
    """A stream of questions whose answers aren't read, though each is a hundred times as large: the further ones wait with who asks."""
    call = lambda n: head(n, ('content-type', 'application/grpc'), ('te', 'trailers'), end=False, method='POST', path='/grpc.reflection.v1.ServerReflection/ServerReflectionInfo')
    question = message(field(4, 2, b'executor.v1.Runtime'))
    with Row('11, questions', t, memory=16) as r:
        w = t.open((4, 0))
        w.push(call(1) + window(1, 1 << 20) + frame(DATA, END_STREAM, 1, question), lambda: 1 in w.ended)
        size, sent, at_once = w.data[1], 0, 256 * len(question)
        w.push(call(3))
        while sent < 4 << 20:
            # Of a window that doesn't grow before a PING comes back nothing more is read.
            room = lambda: min(262144 + w.room.get(3, 0), w.room[0] - len(question)) - sent
            w.frames.clear()
            if room() < at_once and not (w.push(frame(PING, 0, 0, b'12345678'), lambda: any(f[0] == PING for f in w.frames)) and room() >= at_once):
                break
            w.push(frame(DATA, 0, 3, question * 256))
            sent += at_once
        r.check('it is not read for ever', 0 < sent < 2 << 20, '%d bytes' % sent)
        w.push(frame(DATA, END_STREAM, 3) + window(3, 1 << 30) + window(0, 1 << 30), lambda: 3 in w.ended)
        r.equal('each has its answer once they are read', w.data.get(3), sent // len(question) * size)
        w.close()


def row_11_together(t):
    """What one packet asks for isn't made all at once, nor copied to each of many watches that don't read."""
    asked = lambda path: b''.join(frame(HEADERS, END_HEADERS | END_STREAM, n, block(*t.fields, path=path)) for n in streams(250))
    api = Api(os.path.join(WORK, 'state', 'kubeconfig'))
    large = lambda name, n: {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': name}, 'data': {'k': 'x' * n}}
    for i in range(12):
        api.call('POST', MAPS, large('together-%d' % i, 1400000))
    peak, done = [0], threading.Event()

    def look():
        while not done.wait(0.005):
            peak[0] = max(peak[0], memory(t.p.pid))
    before = memory(t.p.pid)
    looking = threading.Thread(target=look)
    looking.start()
    with Row('11, together', t) as r:
        w = t.open((4, 0))
        w.push(asked(MAPS), lambda: len(w.heads) + len(w.resets) >= 250)
        r.check('250 lists of 17 MB are answered, or refused', len(w.heads) + len(w.resets) >= 250, str(w.resets))
        w.close()
        w = t.open((4, 0))
        version = api.call('GET', MAPS + '?limit=1')[1]['metadata']['resourceVersion']
        w.push(asked(MAPS + '?watch=true&resourceVersion=' + version), lambda: len(w.heads) >= 250)
        for i in range(8):
            r.equal('an update goes through', api.call('PUT', MAPS + '/together-0', large('together-0', 1400000 - i))[0], 200)
        w.push(until=lambda: len(w.resets) > 100)
        r.check('most of 250 watches that read nothing are ended', len(w.resets) > 100 and set(w.resets.values()) == {CALM}, '%d of %r' % (len(w.resets), set(w.resets.values())))
        w.close()
        done.set()
        looking.join()
        if not SANITIZED:
            r.check('memory meanwhile', peak[0] - before < 400, '%.1f MiB more' % (peak[0] - before))
    for i in range(12):
        api.call('DELETE', MAPS + '/together-%d' % i)


def row_12(t):
    """What begins wrong; what begins and goes on no more has ended after 10 s (patience())."""
    with Row(12, t, cpu=0.5, memory=4) as r:
        alpn = ['h2'] if t.tls else None
        for name, data in (('another method in the preface', b'PRX * HTTP/2.0\r\n\r\nSM\r\n\r\n'), ('the preface with a wrong end', b'PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n'), ('the preface as HTTP/1.1', b'PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n'),
                           ('zeros', b'\0' * 64 + b'\r\n\r\n'), ('TLS to a plain port, or within TLS', b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + b'\0' * 64 + b'\r\n\r\n')):
            got = exchange(t, data, alpn)
            r.check(name, got.startswith((b'HTTP/1.1 400', b'HTTP/1.1 505', b'HTTP/1.1 501')) or goaway_of(got) == PROTOCOL_ERROR, repr(got[:80]))
        got = exchange(t, b'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n')
        r.check('an upgrade to h2c is not taken', got.startswith(b'HTTP/1.1 ') and not got.startswith(b'HTTP/1.1 101'), repr(got[:80]))


def exchange(t, data, alpn=None):
    """All that comes back until the end."""
    sock, got = t.raw(alpn), b''
    try:
        sock.sendall(data)
        while more := sock.recv(65536):
            got += more
    except OSError:
        pass
    finally:
        sock.close()
    return got


# ---- HTTP/1.1 ------------------------------------------------------------------------------------------------------

class Answers(Wire):
    """HTTP/1.1: counts what comes."""
    def take(self, more):
        self.input += more
        self.heads[0] = self.heads.get(0, 0) + self.input.count(b'HTTP/1.1 200')
        self.input = self.input[-11:] if b'HTTP/1.1 200' not in self.input[-11:] else b''


def pipelined(r, t):
    """More requests one behind the other than are kept: reading stops meanwhile, and each has its answer."""
    n, one = 8000, b'GET /version HTTP/1.1\r\nHost: x\r\n\r\n'
    w = Answers(t.port, ssl.create_default_context(cafile=CA), hello=False)
    w.until_closed(one * (n - 1) + one.replace(b'Host', b'Connection: close\r\nHost'))
    r.equal('%d requests one behind the other' % n, w.heads.get(0), n)
    w.close()


def row_13(t):
    """Two parsers must not read two things: 400 and the end, and what hides behind is never a request."""
    hidden = b'GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n'
    get, post = b'GET / HTTP/1.1\r\nHost: x\r\n', b'POST / HTTP/1.1\r\nHost: x\r\n'
    cases = (('both lengths', post + b'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'), ('two lengths', post + b'Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde'),
             ('a list of lengths', post + b'Content-Length: 0, 0\r\n\r\n'), ('a length with a sign', post + b'Content-Length: +0\r\n\r\n'), ('a length beyond 2^64', post + b'Content-Length: 18446744073709551616\r\n\r\n'),
             ('a chunk beyond 2^64', post + b'Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n'), ('a chunk of 2^64-1', post + b'Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n'),
             ('a chunk size with a sign', post + b'Transfer-Encoding: chunked\r\n\r\n-1\r\n'), ('a chunk size with a prefix', post + b'Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n'),
             ('no CRLF behind a chunk', post + b'Transfer-Encoding: chunked\r\n\r\n1\r\naX0\r\n\r\n'), ('a bare LF behind a chunk size', post + b'Transfer-Encoding: chunked\r\n\r\n0\n\r\n'),
             ('chunked is not last', post + b'Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n'), ('chunked twice', post + b'Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n'),
             ('another coding', post + b'Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n'), ('chunked behind a vertical tab', post + b'Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n'),
             ('bare LF', get + b'X: a\nY: b\r\n\r\n'), ('a folded line', get + b'X: a\r\n b\r\n\r\n'), ('a space before the colon', post + b'Content-Length : 5\r\n\r\n'), ('NUL', get + b'X: a\0b\r\n\r\n'),
             ('bare CR', get + b'X: a\rb\r\n\r\n'), ('no Host', b'GET / HTTP/1.1\r\n\r\n'), ('two Hosts', get + b'Host: y\r\n\r\n'), ('a space in the target', b'GET /a b HTTP/1.1\r\nHost: x\r\n\r\n'),
             ('a control byte in the target', b'GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n'), ('HTTP/1.1 in lower case', b'GET / http/1.1\r\nHost: x\r\n\r\n'), ('HTTP/2.0', b'GET / HTTP/2.0\r\nHost: x\r\n\r\n'),
             ('a method that is no token', b'G(T / HTTP/1.1\r\nHost: x\r\n\r\n'), ('200 fields', get + b'X: y\r\n' * 200 + b'\r\n'), ('a field of 100 KB', get + b'X: ' + b'y' * 100000 + b'\r\n\r\n'),
             ('a target of 20 KB', b'GET /' + b'a' * 20000 + b' HTTP/1.1\r\nHost: x\r\n\r\n'), ('a chunk extension of 20 KB', post + b'Transfer-Encoding: chunked\r\n\r\n1;' + b'a' * 20000 + b'\r\n'))
    with Row(13, t, cpu=1.5, memory=4) as r:
        if t.tls:
            pipelined(r, t)
        for name, data in cases:
            got = exchange(t, data + hidden * 2)
            first = [int(line.split()[1]) for line in re.findall(rb'HTTP/1\.1 \d+', got)]
            # The head may have been answered before its body turned out bad; nothing follows it then.
            r.check(name, len(first) <= 1 and (not first or first[0] in (400, 401, 403, 405, 413, 414, 415, 431, 501, 505)) and b'hidden' not in got, repr(got[:200]))


# ---- many connections ----------------------------------------------------------------------------------------------

def row_14():
    """As many idle connections as there are descriptors, then more: those wait, what is open goes on, and room is used again."""
    with serving(files=256) as t, Row(14, t, cpu=1, memory=64) as r:
        first = t.open()
        idle = [socket.create_connection(('127.0.0.1', t.port)) for _ in range(400)]
        r.check('an open connection goes on', first.push(frame(HEADERS, END_HEADERS | END_STREAM, 1, t.probe), lambda: 1 in first.ended))
        before = cpu(t.p.pid)
        first.push(frame(HEADERS, END_HEADERS | END_STREAM, 3, t.probe), lambda: 3 in first.ended)
        r.check('it does not spin', cpu(t.p.pid) - before < 0.5)
        for sock in idle:
            sock.close()
        r.check('it accepts again', t.answers())
        first.close()
    with serving(files=12000) as t, Row(14, t, cpu=4, memory=160) as r:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        n = min(10000, hard[1] - 500)
        idle = [socket.create_connection(('127.0.0.1', t.port)) for _ in range(n)]
        r.check('%d idle connections, and one more is served' % n, t.answers())
        for sock in idle:
            sock.close()


# ---- TLS -----------------------------------------------------------------------------------------------------------

class Memory:
    """TLS with its bytes in hand: they go out as the test wants them to."""
    def __init__(self, port, context):
        self.sock = socket.create_connection(('127.0.0.1', port), DEADLINE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.down, self.up = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.down, self.up, server_hostname='127.0.0.1')

    def do(self, what, size):
        while True:
            try:
                result = what()
                self.flush(size)
                return result
            except ssl.SSLWantReadError:
                self.flush(size)
                more = self.sock.recv(65536)
                if not more:
                    raise OSError('closed')
                self.down.write(more)

    def flush(self, size):
        data = self.up.read()
        for at in range(0, len(data), size):
            self.sock.sendall(data[at:at + size])


def row_15(t):
    with Row(15, t, cpu=3, memory=8) as r:
        got = exchange(t, b'GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
        r.check('no ALPN: HTTP/1.1', got.startswith(b'HTTP/1.1 200'), repr(got[:80]))
        for name, change in (('TLS 1.1', ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0']), ('only ciphers that nobody should use', ['-tls1_2', '-cipher', 'NULL:@SECLEVEL=0'])):
            done = subprocess.run(['openssl', 's_client', '-connect', '127.0.0.1:%d' % t.port, *change], input='', capture_output=True, text=True, timeout=DEADLINE)
            r.check(name + ' is refused', done.returncode != 0, done.stdout[-200:])
        done = subprocess.run(['openssl', 's_client', '-tls1_2', '-connect', '127.0.0.1:%d' % t.port], input='R\n' * 1000, capture_output=True, text=True, timeout=DEADLINE)
        r.check('a flood of renegotiations has none', 'RENEGOTIATING' in done.stdout + done.stderr and done.returncode != 0 or 'no renegotiation' in done.stderr, (done.stdout + done.stderr)[-300:])
        context = ssl.create_default_context(cafile=CA)
        m = Memory(t.port, context)
        m.do(m.tls.do_handshake, 1)
        m.tls.write(b'GET /version HTTP/1.1\r\nHost: x\r\nX: ' + b'y' * 16000 + b'\r\nConnection: close\r\n\r\n')
        m.flush(1)
        r.check('records of 16 KB byte by byte', m.do(lambda: m.tls.read(12), 1) == b'HTTP/1.1 200')
        m.sock.close()
        for name, data in (('garbage', b'\xff' * 4096), ('a record of 64 KB', b'\x16\x03\x03\xff\xff' + b'\0' * 65535), ('an alert', b'\x15\x03\x03\x00\x02\x02\x28'), ('data before a handshake', b'\x17\x03\x03\x00\x10' + b'\0' * 16)):
            sock = socket.create_connection(('127.0.0.1', t.port), DEADLINE)
            try:
                sock.sendall(data)
                got = True
                while got:
                    got = sock.recv(4096)
            except OSError:
                got = b''
            r.check('instead of a hello: ' + name, got == b'')
            sock.close()


def patience(targets):
    """Rows 12 and 15: what begins and goes on no more. All of them at once, as each has 10 s."""
    waiting = []
    for t in targets:
        half = [('half of a preface', PREFACE[:10]), ('nothing', b''), ('half of a request line', b'GET / HT'), ('a head without end', b'GET / HTTP/1.1\r\nHost: x\r\n')]
        for name, data in half:
            sock = t.raw(['h2'] if t.tls and data == PREFACE[:10] else None)
            sock.sendall(data)
            waiting.append((12, t, name, sock))
        if t.tls:
            for name, data in (('no hello', b''), ('half of a hello', b'\x16\x03\x01\x02\x00\x01\x00\x01')):
                sock = socket.create_connection(('127.0.0.1', t.port))
                sock.sendall(data)
                waiting.append((15, t, name, sock))
    begin = time.monotonic()
    for row, t, name, sock in waiting:
        sock.settimeout(DEADLINE)
        try:
            while sock.recv(4096):
                pass
            ok = True
        except TimeoutError:
            ok = False
        except OSError:
            ok = True
        s.check('row %s, %s: %s ends by itself' % (row, t.name, name), ok, 'after %.1f s' % (time.monotonic() - begin))
        sock.close()


# ---- gRPC, and the API's protobuf ----------------------------------------------------------------------------------

OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND, ALREADY_EXISTS, _, EXHAUSTED, _, ABORTED, _, UNIMPLEMENTED, INTERNAL = range(14)
STATUS, EXECUTE, CANCEL_CALL, FOLLOW = ['/executor.v1.Runtime/' + m for m in ('Status', 'Execute', 'Cancel')] + ['/kruntimes.runtime.v1.RuntimeWatch/Watch']


def field(number, kind, value=b''):
    """A protobuf field: kind 0 a number, 2 bytes; others with the bytes as they are."""
    key = varint(number << 3 | kind)
    return key + (varint(value) if kind == 0 else varint(len(value)) + value if kind == 2 else value)


def varint(n):
    out = b''
    while n >= 128:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def unknown(*rest, kind=b'ConfigMap'):
    """Kubernetes' envelope: the kind, and what should be field 2 with the object."""
    return b'k8s\0' + field(1, 2, field(1, 2, b'v1') + field(2, 2, kind)) + b''.join(rest)


def map_body(raw, kind=b'ConfigMap'):
    return unknown(field(2, 2, raw), kind=kind)


def named(name, *rest):
    """ObjectMeta with a name."""
    return field(1, 2, field(1, 2, name) + b''.join(rest))


class Calls:
    """Calls on one connection, one after another: gRPC's, or requests to the API whose bodies are Kubernetes' protobuf."""
    def __init__(self, t):
        self.t, self.w, self.n = t, t.open(), 1
        self.w.decoder = hpack.Decoder()

    def begin(self, path, body, *fields, end=True, type=None, method='POST'):
        n, self.n = self.n, self.n + 2
        pieces = [body[i:i + 16384] for i in range(0, len(body), 16384)] or ([b''] if end else [])
        self.w.push(head(n, ('content-type', type or self.t.type), *self.t.fields, *fields, end=False, method=method, path=path))
        self.w.room[n] = self.w.room.get(n, 0) + 262144
        for i, piece in enumerate(pieces):
            self.w.push(until=lambda: min(self.w.room[0], self.w.room[n]) >= len(piece) or n in self.w.ended)
            self.w.room[0], self.w.room[n] = self.w.room[0] - len(piece), self.w.room[n] - len(piece)
            self.w.push(frame(DATA, END_STREAM if end and i == len(pieces) - 1 else 0, n, piece))
        return n

    def status(self, n):
        self.w.push(until=lambda: n in self.w.ended or n in self.w.resets or self.w.closed)
        return int(self.w.fields.get(n, {}).get(self.t.status, -1))

    def said(self, n):
        self.status(n)
        return b''.join(f[3] for f in self.w.frames if f[0] == DATA and f[2] == n)

    def call(self, *args, **k):
        return self.status(self.begin(*args, **k))


MAPS = '/api/v1/namespaces/default/configmaps'
PREFIXES = {
    'grpc': (('a length of 2^32-1', message(b'x', length=0xffffffff), EXHAUSTED), ('a length of 16 MiB and a byte', message(b'x', length=(16 << 20) + 1), EXHAUSTED),
             ('a prefix without its message', message(b'', length=10), INTERNAL), ('half of a prefix', b'\0\0\0', INTERNAL), ('compressed, and no encoding said', message(b'x', 1), UNIMPLEMENTED),
             ('a flag of 255', message(b'', 255), UNIMPLEMENTED), ('an encoding that is not offered', message(b''), UNIMPLEMENTED, ('grpc-encoding', 'gzip'))),
    'api': (('a length of 2^32-1', unknown(b'\x12\xff\xff\xff\xff\x0fx'), 400), ('a length of 2^63', unknown(b'\x12' + b'\x80' * 9 + b'\x01x'), 400), ('3 MiB and a byte', unknown(b'\0' * (3 << 20)), 413),
            ('a prefix without its message', unknown(b'\x12\x0a'), 400), ('half of a prefix', b'k8', 400), ('a prefix alone', b'k8s\0', 400), ('a gRPC message', message(b'x'), 400),
            ('compressed, as it says itself', unknown(field(2, 2, b''), field(3, 2, b'gzip')), 415), ('an encoding that is not offered', b'\x1f\x8b', 415, ('content-encoding', 'gzip')))}
TYPES = {'grpc': (('text/plain', '415'), ('application/grpcx', '415'), ('application/grpc+json', '200')),
         'api': (('text/plain', '415'), ('application/grpc', '415'), ('application/vnd.kubernetes', '415'), ('application/jsonx', '415'), ('application/json', '400'))}


def row_16(t):
    with Row(16, t, cpu=0.5, memory=8, held=True) as r:
        c = Calls(t)
        for name, body, want, *fields in PREFIXES[t.name]:
            r.equal(name, c.call(t.path, body, *fields), want)
        r.equal('the next call is answered', c.call(t.path, t.good), t.answered)
        r.check('the connection lives', not c.w.closed and c.w.goaway is None)
        for type, want in TYPES[t.name]:
            n = c.begin(t.path, t.wrap(b''), type=type)
            c.status(n)
            r.equal('content-type ' + type, c.w.fields[n][':status'], want)
        c.w.close()


def row_17(t):
    with Row(17, t, cpu=1, memory=24, held=True) as r:
        c = Calls(t)
        deep = lambda n: b'\x0b' * n                               # groups within groups
        for name, body in (('a number of 11 bytes', b'\x08' + b'\xff' * 10 + b'\x01'), ('a key of 11 bytes', b'\xff' * 10 + b'\x01'), ('a string longer than the message', b'\x0a\x05ab'),
                           ('a string of 2^64-1', b'\x0a' + b'\xff' * 9 + b'\x01'), ('a key alone', b'\x0a'), ('wire type 6', b'\x0e'), ('wire type 7', b'\x0f'), ('field 0', b'\x02\x01a'),
                           ('a group without end', deep(1)), ('groups a million deep', deep(1000000)), ('the end of no group', b'\x0c'), ('field 1 as a number', b'\x08\x01'), *t.malformed):
            got = c.call(t.path, t.wrap(body))
            r.check(name, got in t.refused, str(got))
        name, path, body, want = t.entries
        got = c.call(path, t.wrap(body))
        r.check(name, got in want, str(got))
        r.equal('the next call is answered', c.call(t.path, t.good), t.answered)
        c.w.close()


def row_18_api(t):
    with Row(18, t, cpu=1, memory=8) as r:
        c = Calls(t)
        entry = lambda k, v: field(2, 2, field(1, 2, k) + field(2, 2, v))
        made = lambda what, raw, want, status=201: r.check(what, want in c.said(n := c.begin(MAPS, map_body(raw))) and c.status(n) == status, repr((c.status(n), c.said(n)[:300])))
        for what, raw in (('a name', named(b'a\xffb')), ('a key', named(b'utf') + entry(b'\xc0\x80', b'v')), ('a value', named(b'utf') + entry(b'k', b'\xed\xa0\x80'))):
            r.equal('bad UTF-8 in ' + what, c.call(MAPS, map_body(raw)), 400)
        r.equal('bad UTF-8 in the kind', c.call(MAPS, map_body(b'', b'Config\xffMap')), 400)
        n = c.begin(MAPS + '/%ff', b'', method='GET')
        r.check('what is said of bad UTF-8 in a path is UTF-8', '\ufffd' not in str(c.said(n), errors='replace') and c.status(n) in (400, 404), repr((c.status(n), c.said(n)[:300])))
        r.equal('NUL in a name', c.call(MAPS, map_body(named(b'no\0ne'))), 422)
        made('unknown fields are passed over', named(b'strange') + field(99, 0, 1) + field(98, 2, b'x') + field(97, 5, b'1234') + field(96, 1, b'12345678'), b'"name":"strange"')
        made('a key of a map twice: the last one counts', named(b'twice') + entry(b'k', b'first') + entry(b'k', b'last'), b'"data":{"k":"last"}')
        made('a name that comes twice: the last', field(1, 2, field(1, 2, b'first') + field(1, 2, b'last')), b'"name":"last"')
        made('a message that comes twice is merged', named(b'merged') + field(1, 2, field(11, 2, field(1, 2, b'l') + field(2, 2, b'v'))), b'"name":"merged","labels":{"l":"v"}')
        groups = field(14, 2, field(4, 2, b'\x01\x02') + field(4, 0, 3) + field(4, 2, b'\x04'))
        pod = named(b'mixed') + field(2, 2, field(2, 2, field(1, 2, b'c') + field(2, 2, b'i')) + groups)
        said = c.said(n := c.begin(MAPS.replace('configmaps', 'pods') + '?dryRun=All', map_body(pod, b'Pod')))
        r.check('packed and not, mixed', b'"supplementalGroups":[1,2,3,4]' in said and c.status(n) == 201, repr(said[:600]))
        c.w.close()


def row_18(t):
    with Row(18, t, cpu=1, memory=8) as r:
        c = Calls(t)
        r.equal('bad UTF-8 in an id is an id that is not there', c.call(STATUS, message(field(1, 2, b'a\xffb'))), NOT_FOUND)
        text = c.w.fields[c.n - 2]['grpc-message']
        r.check('what is said of it is ASCII', all(' ' <= ch <= '~' for ch in text), text)
        r.equal('unknown fields are passed over', c.call(STATUS, message(field(1, 2, b'none') + field(99, 0, 1) + field(98, 2, b'x') + field(97, 5, b'1234') + field(96, 1, b'12345678'))), NOT_FOUND)
        r.equal('NUL in an id', c.call(STATUS, message(field(1, 2, b'no\0ne'))) in (NOT_FOUND, INVALID_ARGUMENT, INTERNAL), True)
        run = lambda id, script, *more: c.call(EXECUTE, message(field(1, 2, id) + field(2, 2, script) + b''.join(more)))
        pair = lambda k, v: field(3, 2, field(1, 2, k) + field(2, 2, v))
        r.equal('a key of a map twice', run(b'twice', b'echo $K', pair(b'K', b'first'), pair(b'K', b'last')), OK)
        said = c.said(c.begin(FOLLOW, message(field(1, 2, b'twice'))))
        r.check('the last one counts', b'last' in said and b'first' not in said, repr(said[:200]))
        r.equal('an id that comes twice: the last', c.call(STATUS, message(field(1, 2, b'none') + field(1, 2, b'twice'))), OK)
        c.w.close()


def row_19_api(t):
    """gRPC's field means nothing here; what does is how long a watch lasts."""
    with Row(19, t, cpu=0.5, memory=4) as r:
        c = Calls(t)
        get = lambda path, *fields: c.begin(path, b'', *fields, method='GET')
        for timeout in ('1x', '-1S', '99999999999999999999H', '99999999H', '0n'):
            r.equal('grpc-timeout ' + timeout, c.status(get('/version', ('grpc-timeout', timeout))), 200)
        watch = lambda seconds: get(MAPS + '?watch=1&labelSelector=none&timeoutSeconds=' + seconds)
        for seconds in ('x', '1x', '1.5', '0x1', '99999999999999999999', '1%20'):
            r.equal('a watch that is to last ' + seconds, c.status(watch(seconds)), 400)
        long = {seconds: watch(seconds) for seconds in ('99999999', '0', '')}
        r.equal('one that is to last a second has ended', c.status(watch('1')), 200)
        r.check('others go on: as long as is allowed, or as usual', all(':status' in c.w.fields.get(n, {}) and n not in c.w.ended for n in long.values()), repr(long))
        for n in long.values():
            c.w.push(reset(n))
        r.equal('the next call is answered', c.call(t.path, t.good), t.answered)
        c.w.close()


def row_19(t):
    with Row(19, t, cpu=0.5, memory=4) as r:
        c = Calls(t)
        ask = lambda timeout: c.call(STATUS, message(field(1, 2, b'none')), ('grpc-timeout', timeout))
        for timeout in ('1', 'S', '1x', '-1S', '+1S', '1.5S', '123456789S', '1 S', '0x1S', 'S1', '1SS', '99999999999999999999H'):
            r.equal('garbage: ' + timeout, ask(timeout), INVALID_ARGUMENT)
        for timeout in ('99999999H', '99999999n', '1H', '00000001M'):
            r.equal(timeout, ask(timeout), NOT_FOUND)
        for timeout in ('0n', '0S', '0H'):
            n = c.begin(FOLLOW, message(field(1, 2, b'twice')), ('grpc-timeout', timeout))
            r.check('no time at all: ' + timeout, c.status(n) in (DEADLINE_EXCEEDED, OK, NOT_FOUND))
            r.equal('and for a call that would wait: ' + timeout, c.call(EXECUTE, b'', ('grpc-timeout', timeout), end=False), DEADLINE_EXCEEDED)
        c.w.close()


def row_20_api(t):
    with Row(20, t, cpu=2, memory=16) as r:
        c = Calls(t)
        there = lambda name: c.status(c.begin(MAPS + '/' + name, b'', method='GET'))
        r.equal('no body', c.call(MAPS, b''), 400)
        n, c.n = c.n, c.n + 2
        c.w.push(head(n, ('content-type', t.type), *t.fields, method='POST', path=MAPS))
        r.equal('not even DATA', c.status(n), 400)
        r.equal('two bodies in one', c.call(MAPS, map_body(named(b'a')) + map_body(named(b'b'))), 400)
        two = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}}'
        r.equal('two of JSON', c.call(MAPS, two, type='application/json'), 400)
        r.equal('neither was made', (there('a'), there('b')), (404, 404))
        body = map_body(named(b'left'))
        for k in range(len(body) + 1):                               # in every state: the request is left after each byte
            n = c.begin(MAPS, body[:k], end=False)
            c.w.push(reset(n))
        r.equal('who leaves before the end has made nothing', there('left'), 404)
        for k in range(20):                                          # behind the end it is made, wholly or not at all
            n = c.n
            c.n += 2
            c.w.push(head(n, ('content-type', t.type), *t.fields, end=False, method='POST', path=MAPS) + frame(DATA, END_STREAM, n, map_body(named(b'gone-%d' % k))) + reset(n))
        states = [(there('gone-%d' % k), c.call(MAPS, map_body(named(b'gone-%d' % k)))) for k in range(20)]
        r.check('who leaves behind the end has made it, or not', set(states) <= {(200, 409), (404, 201)}, repr(states))
        for _ in range(20):                                          # watchers that leave at once
            c.w.push(reset(c.begin(MAPS + '?watch=1&labelSelector=none', b'', method='GET')))
        r.equal('the next call is answered', c.call(t.path, t.good), t.answered)
        c.w.close()


def row_20(t):
    with Row(20, t, cpu=2, memory=16) as r:
        c = Calls(t)
        r.equal('no message', c.call(STATUS, b''), INTERNAL)
        n = c.n
        c.n += 2
        c.w.push(head(n, ('content-type', 'application/grpc'), ('te', 'trailers'), method='POST', path=STATUS))
        r.equal('not even DATA', c.status(n), INTERNAL)
        got = c.call(STATUS, message(field(1, 2, b'none')) * 2)
        r.check('two messages to a call of one', got in (INTERNAL, NOT_FOUND), str(got))
        got = c.call(EXECUTE, message(field(1, 2, b'a') + field(2, 2, b'true')) + message(field(1, 2, b'b') + field(2, 2, b'true')))
        r.check('nor is the second one carried out', c.call(STATUS, message(field(1, 2, b'b'))) == NOT_FOUND, str(got))
        begun = field(1, 2, b'kept') + field(2, 2, b'read -t 30 x <> <(:)')
        for k in range(len(message(begun)) + 1):                     # in every state: the call is left after each byte
            n = c.begin(EXECUTE, message(begun)[:k], end=False)
            c.w.push(reset(n))
        r.equal('who leaves with the whole message sent has begun a Run, as api and protocol say', c.call(STATUS, message(field(1, 2, b'kept'))), OK)
        for _ in range(20):                                          # followers that leave at once
            c.w.push(reset(c.begin(FOLLOW, message(field(1, 2, b'kept')))))
        r.equal('it is ended when told', c.call(CANCEL_CALL, message(field(1, 2, b'kept'))), OK)
        last, n = OK, 0
        while last == OK and n < 1100:                               # they stay until they are forgotten
            n += 1
            last = c.call(EXECUTE, message(field(1, 2, b'many-%d' % n) + field(2, 2, b'/none/such') + field(2, 2, b'x')))
        r.check('more executions than it keeps', last == ABORTED and 1000 < n <= 1025, '%d, the last %s' % (n, last))
        r.equal('and gone', c.call(STATUS, message(field(1, 2, b'kept'))), NOT_FOUND)
        c.w.close()


# ---- the processes -------------------------------------------------------------------------------------------------

WORK = tempfile.mkdtemp(prefix='kr-wire-')
CA = os.path.join(WORK, 'ca')


@contextlib.contextmanager
def serving(files=None):
    """A gRPC port. Its probe is a call that is refused, which is an answer."""
    t = Target('grpc', ['runtime-server', '--port', '0'], r'port=(\d+)', None,
               block(('content-type', 'application/grpc'), ('te', 'trailers'), method='POST', path=STATUS), files=files)
    t.type, t.fields, t.status, t.wrap, t.path = 'application/grpc', (('te', 'trailers'),), 'grpc-status', message, STATUS
    t.good, t.answered, t.refused, t.malformed = message(field(1, 2, b'none')), NOT_FOUND, (INVALID_ARGUMENT, INTERNAL), ()
    entries = b''.join(field(3, 2, field(1, 2, b'k%d' % n) + field(2, 2, b'v')) for n in range(400))
    t.entries = '400,000 entries of a map', EXECUTE, field(1, 2, b'many') + entries * 1000, (OK, EXHAUSTED, INVALID_ARGUMENT, INTERNAL)
    # Its large answer: the status of an execution that said much.
    c = Calls(t)
    c.w.push(window(0, 1 << 30))
    c.call(EXECUTE, message(field(1, 2, b'big') + field(2, 2, b'head -c 900000 /dev/zero | tr "\\0" x')))
    follow = c.begin(FOLLOW, message(field(1, 2, b'big')))
    c.w.push(window(follow, 1 << 30))
    c.status(follow)
    asked = block(('content-type', 'application/grpc'), ('te', 'trailers'), method='POST', path=STATUS)
    t.large = lambda n: frame(HEADERS, END_HEADERS, n, asked) + frame(DATA, END_STREAM, n, message(field(1, 2, b'big')))
    c.w.close()
    w = t.open((4, 1 << 30))
    w.push(window(0, 1 << 30) + t.large(1), lambda: 1 in w.ended)
    t.large_size = w.data[1]
    w.close()
    try:
        yield t
    finally:
        t.p.terminate()
        t.p.wait()


@contextlib.contextmanager
def api_server():
    state = os.path.join(WORK, 'state')

    def tls():
        api = Api(os.path.join(state, 'kubeconfig'))
        text = open(os.path.join(state, 'kubeconfig')).read()
        open(CA, 'wb').write(base64.b64decode(re.search(r'certificate-authority-data: (\S+)', text).group(1)))
        context = ssl.create_default_context(cafile=CA)
        context.set_alpn_protocols(['h2'])
        return context
    t = Target('api', ['apiserver', '--state-dir', state, '--port', '0'], r'ready.*port=(\d+)', tls, block())
    api = Api(os.path.join(state, 'kubeconfig'))
    t.type, t.fields, t.status, t.wrap, t.path = 'application/vnd.kubernetes.protobuf', (('authorization', api.headers['Authorization']),), ':status', map_body, MAPS
    t.good, t.answered, t.refused = map_body(named(b'big')), 409, (400,)
    managed = lambda json: named(b'deep', field(17, 2, field(7, 2, field(1, 2, json))))
    t.malformed = (('a text as a number', field(1, 2, field(1, 0, 1))), ('a number as a text', named(b'x', field(7, 2, b'7'))), ('field 2^29', varint(1 << 32 | 2) + b'\x01x'),
                   ('a value as a number', named(b'x') + field(2, 2, field(1, 2, b'k') + field(2, 0, 1))), ('a time of 2^63-1 seconds', named(b'x', field(8, 2, field(1, 0, (1 << 63) - 1)))),
                   ('JSON inside, 10,000 deep', managed(b'[' * 10000 + b']' * 10000)), ('JSON inside that is none', managed(b'{')), ('groups inside, a million deep', named(b'x', b'\x0b' * 1000000)))
    t.entries = '200,000 entries of a map', MAPS, named(b'many') + b''.join(field(2, 2, field(1, 2, b'%d' % n) + field(2, 2, b'v')) for n in range(200000)), (413,)
    api.call('POST', MAPS, {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'big'}, 'data': {'k': 'x' * 1000000}})
    c = api.open()
    c.request('GET', MAPS + '/big', headers=api.headers)
    t.large_size = len(c.getresponse().read())
    asked = block(('authorization', api.headers['Authorization']), path=MAPS + '/big')
    t.large = lambda n: frame(HEADERS, END_HEADERS | END_STREAM, n, asked)
    try:
        yield t
    finally:
        t.p.terminate()
        t.p.wait()


BOTH, API, ALONE = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 17, 18, 19, 20), (15,), (14,)
wanted = [int(a) for a in sys.argv[1:]] or range(1, 21)


def run(row, *targets):
    for t in targets:
        begin = time.monotonic()
        try:
            own = globals().get('row_%d_%s' % (row, t.name if t else '')) or globals()['row_%d' % row]
            own(t) if t else own()
        except Exception as e:                 # a row that breaks off is one failure, the others are still tried
            s.check('row %d: it breaks off' % row, False, repr(e)[:600])
        print('row %d%s: %.1f s' % (row, ', ' + t.name if t else '', time.monotonic() - begin))


try:
    with api_server() as api, serving() as grpc:
        for row in wanted:
            if row not in ALONE:
                run(row, *(([api] if row in BOTH + API else []) + ([grpc] if row in BOTH else [])))
        if 11 in wanted:
            row_11_together(api)
            row_11_questions(grpc)
        if 12 in wanted or 15 in wanted:
            patience([api, grpc])
    for row in ALONE:
        if row in wanted:
            run(row, None)
finally:
    shutil.rmtree(WORK, ignore_errors=True)
s.end()
