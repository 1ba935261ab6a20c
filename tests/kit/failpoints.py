# SPDX-License-Identifier: Apache-2.0
"""The build that can be killed at named places (core/failpoint.h), as a copy of its own that no other test arms."""
import atexit, os, shutil, subprocess, tempfile, time
import local

BUILT = os.path.join(local.TOP, 'build', 'failpoints', 'kruntimes')


def missing(suite):
    """True, and the reason is told, when there is none."""
    if os.path.exists(BUILT):
        return False
    suite.skip('failpoints', 'there is no %s (make FAILPOINTS=1)' % os.path.relpath(BUILT, local.TOP))
    return True


class Armed:
    """Tests started after it use the copy (local.BINARY)."""
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix='kr-failpoints-')
        self.binary = shutil.copy(BUILT, self.folder)
        self.armed = self.binary + '.armed'
        os.mkdir(self.armed)
        local.BINARY = self.binary
        atexit.register(shutil.rmtree, self.folder, True)

    def names(self):
        return subprocess.run([self.binary, 'failpoints'], capture_output=True, text=True, check=True).stdout.split()

    def path(self, name):
        return os.path.join(self.armed, name.replace('/', '+'))

    def arm(self, name, hits=1):
        """Whoever comes to it the hits-th time from now on dies."""
        with open(self.path(name) + '.new', 'w') as f:
            f.write('%-8d\n' % hits)
        os.rename(self.path(name) + '.new', self.path(name))

    def disarm(self, name):
        try:
            os.unlink(self.path(name))
        except FileNotFoundError:
            pass

    def killed(self):
        """(name, PID) of all that have died so far."""
        try:
            return [(n, int(p)) for n, p in map(str.split, open(os.path.join(self.armed, 'killed')))]
        except FileNotFoundError:
            return []

    def wait(self, name, seconds):
        """True once somebody has died there. The file goes before the process: the note tells."""
        until, before = time.monotonic() + seconds, len([n for n, _ in self.killed() if n == name])
        while time.monotonic() < until:
            if not os.path.exists(self.path(name)):
                return True
            time.sleep(0.003)      # the file goes when it happens: nothing else tells
        return before < len([n for n, _ in self.killed() if n == name])
