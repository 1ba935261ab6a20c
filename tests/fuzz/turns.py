#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""turns: hours of fuzzing for all targets, a little each in turn, that go on where the last run of it ended

    python3 tests/fuzz/turns.py [--seconds N] [TARGET…]     make fuzz-turns TIME=N; no suite

Half of the processors run the driver (build/fuzz/fuzz), half libFuzzer with value profiles (build/libfuzzer/fuzz); the target that had
least processor time so far is next. They take turns of TURN seconds at idle priority, so that what else the machine does is hardly
slower for it. After N seconds, or at SIGTERM or SIGINT when the turns that run have ended, two files of the tree are written:
time.txt, the processor seconds each target has had, and found.tar.xz, the fewest inputs that reach what all found ones reach
(libFuzzer's -merge), which every run on any machine begins with. A finding is printed, kept in build/fuzz or build/libfuzzer and
makes the exit status 1; its target gets no more turns."""
import argparse
import io
import lzma
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time

import inputs

TIMES, LIBFUZZER, TURN, LARGEST = 'tests/fuzz/time.txt', 'build/libfuzzer/fuzz', 90, 8192
HEAD = '# Processor seconds each target had: of the driver, of libFuzzer. turns.py adds to them; 400 of each are estimated from below, of runs before it.\n'
stop = threading.Event()


def times():
    rows = [line.split() for line in open(TIMES, encoding='utf-8') if not line.startswith('#')]
    return {name: [float(driver), float(libfuzzer)] for name, driver, libfuzzer in rows}


def write_times(spent):
    with open(TIMES, 'w', encoding='utf-8') as f:
        f.write(HEAD + ''.join('%-14s %6d %6d\n' % (t, *spent[t]) for t in sorted(spent)))


def lowest():
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def ends(command, env, log):
    """Runs it; its exit status and the processor time it took."""
    with open(log, 'wb') as out:
        p = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=env, preexec_fn=lowest, start_new_session=True)
        _, status, used = os.wait4(p.pid, 0)
    return status, used.ru_utime + used.ru_stime


def turn(engine, target, seconds, seed):
    log = 'build/libfuzzer/%s.%d.log' % (target, engine)
    if engine == 0:
        command = inputs.driver(target, seconds, seed)
    else:
        own, given = inputs.prepare(target)
        command = [LIBFUZZER, '-use_value_profile=1', '-max_total_time=%d' % seconds, '-max_len=16384', '-timeout=100', '-rss_limit_mb=4096', '-seed=%d' % seed,
                   '-artifact_prefix=build/libfuzzer/%s.' % target, '-print_final_stats=1', own, *given]
    status, used = ends(command, inputs.environment(KR_FUZZ=target), log)
    return status == 0, used, log


def pack(targets):
    """found.tar.xz anew: of these targets what is enough, of others what it had."""
    members = {}
    if os.path.exists(inputs.FOUND):
        with tarfile.open(inputs.FOUND) as t:
            members = {m.name: t.extractfile(m).read() for m in t if m.name.split('/')[0] not in targets}
    for target in targets:
        own, given = inputs.prepare(target)
        few = os.path.join('build/libfuzzer/few', target)
        shutil.rmtree(few, ignore_errors=True)
        os.makedirs(few)
        ends([LIBFUZZER, '-merge=1', '-max_len=16384', '-artifact_prefix=build/libfuzzer/%s.' % target, few, *given, own], inputs.environment(KR_FUZZ=target), 'build/libfuzzer/%s.merge.log' % target)
        for name in sorted(os.listdir(few)):
            data = open(os.path.join(few, name), 'rb').read()
            if len(data) <= LARGEST:
                members['%s/%s' % (target, name[:16])] = data
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', format=tarfile.USTAR_FORMAT) as t:
        for name in sorted(members):
            m = tarfile.TarInfo(name)
            m.size = len(members[name])
            t.addfile(m, io.BytesIO(members[name]))
    with open(inputs.FOUND, 'wb') as f:
        f.write(lzma.compress(out.getvalue(), preset=9))
    print('%s: %d inputs, %d bytes' % (inputs.FOUND, len(members), os.path.getsize(inputs.FOUND)))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--seconds', type=int, default=3600)
    p.add_argument('targets', nargs='*')
    o = p.parse_args()
    targets = inputs.targets(o.targets)
    spent, wrong, busy, lock = times(), set(), set(), threading.Lock()
    end, seed = time.monotonic() + o.seconds, int(time.time())
    for n in (signal.SIGTERM, signal.SIGINT):
        signal.signal(n, lambda *_: stop.set())

    def work(engine):
        nonlocal seed
        while not stop.is_set() and time.monotonic() < end:
            with lock:
                free = [t for t in targets if t not in wrong and t not in busy]
                if not free:
                    return
                t = min(free, key=lambda t: (spent.get(t, [0, 0])[engine], sum(spent.get(t, [0, 0]))))
                busy.add(t)
                seed += 1
                mine = seed
            ok, used, log = turn(engine, t, TURN, mine)
            with lock:
                busy.discard(t)
                spent.setdefault(t, [0, 0])[engine] += used
                write_times(spent)
                if not ok:
                    wrong.add(t)
                    print('FAIL %s: %s' % (t, log), flush=True)

    workers = [threading.Thread(target=work, args=(i % 2,)) for i in range(max(2, os.cpu_count()))]
    for w in workers:
        w.start()
    for w in workers:
        while w.is_alive():
            w.join(1)
    pack(targets)
    print('least processor time of a target: %d s' % min(sum(spent[t]) for t in targets if t in spent))
    sys.exit(1 if wrong else 0)


main()
