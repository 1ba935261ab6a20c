/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spaces: namespaces of a shim's own (user, processes, mounts, System V IPC), where the node lets us make them. Isolation Sandbox
 * then hides what its rules could only refuse (sandbox.h).
 *
 * In them the shim is process 1: what it starts has a /proc with itself and nobody else in it, ends when the shim does, and is
 * signalled all at once. /tmp, /var/tmp and /dev/shm are its own and begin empty, so do terminals. All else is where it was.
 * A kernel, its settings or a container's profile may refuse any of it, so the whole is tried once (spaces_try). No privilege
 * is needed; one who may map users keeps all of them, so that files of others can be owned as before.
 */
#ifndef APPLETS_RUNTIME_SERVER_SPACES_H
#define APPLETS_RUNTIME_SERVER_SPACES_H
#include "core/kr.h"
#include <sys/types.h>

enum spaces { SPACES_NONE, SPACES_ONE_USER, SPACES_ALL_USERS };

/* What works here. NONE: why says what was refused. workspaces: an absolute path, that of a folder which stays where it is. */
enum spaces spaces_try(const char *workspaces, struct kr_err *why);
/* As fork(2), and the child is process 1 of new namespaces. Not for SPACES_NONE. */
pid_t spaces_fork(enum spaces);
/* In that child, while it has all rights there: the folders. */
int spaces_furnish(enum spaces, const char *workspaces, struct kr_err *);
/* The folders of its own. One of them may not be there. */
enum { SPACES_OWN = 3 };
extern const char *const spaces_own[SPACES_OWN];
/* An execution left something behind in those folders, or changed them, or left System V IPC: none other may see that. */
bool spaces_are_used(void);
#endif
