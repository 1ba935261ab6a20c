/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox_calls: the system calls by which a Run changes a file, or watches one, by its name, and for which Landlock has no right:
 * chmod, chown, utime, setxattr, removexattr in all their forms, and inotify_add_watch. All Runs of a pod are one user, so without
 * this each could do it to the files of the others.
 *
 * A process of an execution that makes one is held by the kernel, and its shim makes the call for it (seccomp_unotify(2)): it copies
 * the arguments, finds the file as the process would and with no more rights than that has, and holds it open. It makes the call on
 * what it holds if that lies beneath one of the execution's own places, so nothing can be put in its place between look and call.
 *
 *   - Its own are the folder of the Run, the working directory, what namespaces gave it, and terminals. All else is EPERM; EACCES for a watch.
 *   - Calls on a descriptor (fchmod, futimens, …) don't come here: it was opened by the rules. Names of a descriptor (/proc/self/fd/N,
 *     /dev/fd/N, /dev/stdout) are understood, and pipes and sockets by such a name are its own. Other links of /proc that are no
 *     names (cwd, root, exe, descriptors of another process) lead nowhere: ELOOP.
 *   - A file whose path is longer than PATH_MAX is ENAMETOOLONG, however it is named.
 *   - setxattrat, removexattrat and file_setattr answer ENOSYS, as kernels before 6.13 and 6.17 do.
 *   - A process that can't be looked into (PR_SET_DUMPABLE of 0; of another user, where the shim may not trace those) gets EPERM.
 *   - A listener is one to a process: a program in a Run that wants its own (container engines, some browsers) gets EBUSY.
 *
 * The shim answers one call after another between its other work. What a process does meanwhile, or its death, changes nothing for it.
 */
#ifndef APPLETS_RUNTIME_SERVER_SANDBOX_CALLS_H
#define APPLETS_RUNTIME_SERVER_SANDBOX_CALLS_H
#include "core/kr.h"
#include <limits.h>
#include <sys/types.h>

enum { CALLS_PLACES = 8 };
struct calls {
    int pair[2];                                  /* from calls_begin to calls_take */
    int listener;                                 /* readable: a call waits for calls_answer; hung up: nobody can make one any more; -1: none */
    size_t n;
    char place[CALLS_PLACES][PATH_MAX];           /* real paths */
};
#define CALLS_NONE { .pair = { -1, -1 }, .listener = -1 }
/* One after the other: in the shim, before it makes the child; 0 or an errno. */
int calls_begin(struct calls *);
/* In the child, which shares the shim's memory: what lies at and beneath this path is its own. One that is not there adds nothing. */
void calls_place(struct calls *, const char *path);
/* In the child: from here on its calls, and those of all it starts, wait for the shim. 0 or an errno. */
int calls_enter(const struct calls *);
/* In the shim, when the child has entered, or is gone. */
void calls_take(struct calls *);
void calls_answer(const struct calls *);
void calls_end(struct calls *);                   /* then it is as CALLS_NONE */

/* Tries it on a child of this process. Where it is refused, by an outer filter that has a listener for instance, e says why. */
int calls_try(struct kr_err *e);
#endif
