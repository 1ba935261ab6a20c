/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pause: what a pod's sandbox runs: nothing, until it is told to end; and, as the image without a shell, a program that
 * prints its arguments. `pause` alone waits, `pause WORD…` prints. Tests: every suite in tests/cluster.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void down(int sig)
{
    (void)sig;
    _exit(0);
}

static void reap(int sig)
{
    (void)sig;
    while (waitpid(-1, 0, WNOHANG) > 0) {
    }
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        printf("%s%c", argv[i], i + 1 < argc ? ' ' : '\n');
    if (argc > 1)
        return fflush(stdout) != 0;
    signal(SIGINT, down);
    signal(SIGTERM, down);
    signal(SIGCHLD, reap);
    for (;;)
        pause();
}
