/* SPDX-License-Identifier: Apache-2.0 */
/*
 * landlock: a process gives up rights of its own, for itself and all it starts (Linux: landlock(7)). No privilege is needed. What
 * isn't allowed by a rule is refused; rules only add.
 *
 *     int fd = landlock_begin(LANDLOCK_FILES | LANDLOCK_SCOPES, &e);
 *     landlock_path(fd, "/usr", LANDLOCK_READ, &e);
 *     landlock_path(fd, "/workspace/1", LANDLOCK_READ | LANDLOCK_WRITE, &e);
 *     landlock_enter(fd, &e);                    (closes fd)
 */
#ifndef CORE_LANDLOCK_H
#define CORE_LANDLOCK_H
#include "core/kr.h"

/* The kernel's ABI: 1…; 0 when it has none or it is switched off. ABI 6 (Linux 6.12) brought the scopes. */
int landlock_abi(void);

enum { LANDLOCK_FILES = 1,                        /* all rights on files that this ABI knows are taken; see landlock_keeps_sockets */
       LANDLOCK_TCP = 2,                          /* bind and connect too; ABI 4 */
       LANDLOCK_SCOPES = 4 };                     /* no signals and no abstract sockets out of the domain; ABI 6 */
/* A descriptor. What this kernel's ABI doesn't know is KR_UNSUPPORTED. */
int landlock_begin(unsigned what, struct kr_err *);
enum { LANDLOCK_READ = 1,                         /* open, list, execute */
       LANDLOCK_WRITE = 2,                        /* write, truncate, make, remove, rename, link beneath it */
       LANDLOCK_DEVICE = 4 };                     /* ioctl on devices */
/* True from ABI 9 (Linux 7.1) on: LANDLOCK_FILES then also takes to reach named Unix sockets (connect, send), but those that processes
 * of the same rules made, and those beneath what may be written. Before, no rule holds there, whatever the path. */
bool landlock_keeps_sockets(void);
/* 0 also when there is no such path; on a file what only concerns folders is left out. */
int landlock_path(int ruleset, const char *path, unsigned rights, struct kr_err *);
int landlock_path_fd(int ruleset, int fd, unsigned rights, struct kr_err *);
/* Sets no_new_privs, which it needs, and takes effect for this thread and those it starts. */
int landlock_enter(int ruleset, struct kr_err *);
#endif
