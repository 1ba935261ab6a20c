# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by hand: frames as somebody hostile writes them, and what comes back. Nothing here keeps the protocol."""
import functools, os, re, select, socket, ssl, struct, time

PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM = ACK = 1
END_HEADERS, PADDED = 4, 8
(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL,
 COMPRESSION_ERROR, CONNECT_ERROR, CALM) = range(12)
WAITS = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
TICKS = os.sysconf('SC_CLK_TCK')


def frame(kind, flags, stream, payload=b'', length=None):
    n = len(payload) if length is None else length
    return struct.pack('>BHBBI', n >> 16, n & 0xffff, kind, flags, stream) + payload


def setting(*pairs):
    return frame(SETTINGS, 0, 0, b''.join(struct.pack('>HI', k, v) for k, v in pairs))


def integer(n, bits, first):
    most = (1 << bits) - 1
    if n < most:
        return bytes([first | n])
    out, n = [first | most], n - most
    while n >= 128:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + [n])


def literal(name, value, first=0):
    """A field as a literal: first 0 without, 0x40 with a place in the table."""
    name, value = (x.encode() if isinstance(x, str) else x for x in (name, value))
    return bytes([first]) + integer(len(name), 7, 0) + name + integer(len(value), 7, 0) + value


@functools.lru_cache(maxsize=None)
def block(*fields, method='GET', path='/version'):
    return b''.join(literal(n, v) for n, v in [(':method', method), (':scheme', 'http'), (':path', path), (':authority', 'x'), *fields])


def message(body, flag=0, length=None):
    """A gRPC message with its prefix."""
    return struct.pack('>BI', flag, len(body) if length is None else length) + body


def goaway_of(got):
    """The code of the GOAWAY among bytes that came."""
    w = Wire.__new__(Wire)
    w.input, w.frames, w.goaway, w.resets, w.heads, w.data, w.ended, w.keep, w.decoder, w.room = b'', [], None, {}, {}, {}, set(), False, None, {}
    w.take(got)
    return w.goaway


class Wire:
    """A connection: what is sent is up to the caller; frames that come are taken apart and kept."""
    def __init__(self, port, tls=None, settings=((),), hello=True):
        self.sock = socket.create_connection(('127.0.0.1', port), 60)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname='127.0.0.1')
        self.sock.setblocking(False)
        self.input, self.frames, self.closed = b'', [], False
        self.goaway, self.resets, self.heads, self.data = None, {}, {}, {}
        self.ended, self.keep = set(), True
        self.decoder, self.fields = None, {}             # of hpack, where answers are read
        self.room = {0: 65535}                           # windows that the server has opened, for who keeps to them
        if hello:
            self.push(PREFACE + setting(*settings[0]) + frame(SETTINGS, ACK, 0))      # of the server's, which are on their way

    def take(self, more):
        self.input += more
        at = 0
        while len(self.input) - at >= 9:
            high, low, kind, flags, stream = struct.unpack_from('>BHBBI', self.input, at)
            n = high << 16 | low
            if len(self.input) - at < 9 + n:
                break
            payload = self.input[at + 9:at + 9 + n]
            at += 9 + n
            self.note(kind, flags, stream, payload)
        self.input = self.input[at:]

    def note(self, kind, flags, stream, payload):
        if kind == GOAWAY and self.goaway is None:
            self.goaway = struct.unpack_from('>I', payload, 4)[0]
        elif kind == RST:
            self.resets[stream] = struct.unpack('>I', payload)[0]
        elif kind == HEADERS:
            self.heads.setdefault(stream, []).append(payload)
            if self.decoder:
                self.fields.setdefault(stream, {}).update(self.decoder.decode(payload))
        elif kind == DATA:
            self.data[stream] = self.data.get(stream, 0) + len(payload)
        elif kind == WINDOW:
            self.room[stream] = self.room.get(stream, 0) + struct.unpack('>I', payload)[0]
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            self.ended.add(stream)
        if self.keep:
            self.frames.append((kind, flags, stream, payload))

    def push(self, data=b'', until=None, read=True, seconds=60):
        """Sends all of it, reading beside it, then reads on until until() or the end. False: neither came in time."""
        view, end = memoryview(data), time.monotonic() + seconds
        while not self.closed:
            moved = False
            if view:
                try:
                    n = self.sock.send(view[:65536])
                    view, moved = view[n:], True
                except WAITS:
                    pass
                except OSError:
                    view = memoryview(b'')               # it has closed: what it said before may still be there
            if read:
                try:
                    more = self.sock.recv(262144)
                    moved = True
                    if more:
                        self.take(more)
                    else:
                        self.closed = True
                except WAITS:
                    pass
                except OSError:
                    self.closed = True
            if not view and (not until or until()):
                return True
            if time.monotonic() > end:
                return False
            if not moved:
                waits = select.poll()                        # descriptors may be beyond what select takes
                waits.register(self.sock, (select.POLLIN if read else 0) | (select.POLLOUT if view else 0))
                waits.poll(1000)
        return until is None or bool(until())

    def until_closed(self, data=b'', seconds=60):
        self.push(data, lambda: self.closed, seconds=seconds)
        return self.closed

    def close(self):
        self.sock.close()


def memory(pid):
    """MiB that are its own: pages of a store's mapped file aren't."""
    return int(re.search(r'^RssAnon:\s*(\d+)', open('/proc/%d/status' % pid).read(), re.M).group(1)) / 1024


def cpu(pid):
    f = open('/proc/%d/stat' % pid).read().rsplit(')', 1)[1].split()
    return (int(f[11]) + int(f[12])) / TICKS
