/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox: isolation Sandbox, without any privilege: what a Run may reach, by Landlock, and which system calls it may make, by a
 * seccomp filter. That is the floor. Where the node lets us make namespaces (spaces.h), they come on top.
 *
 * It reads the system, and reads and writes its own workspace. Out of reach: other workspaces, everything of kruntimes, tokens
 * and keys at their usual places, temporary folders of others; processes outside of the Run, to signal, trace or look into;
 * Unix sockets of others, abstract or not (before Linux 7.1 no rule can tell one by its path: named ones are refused altogether);
 * System V IPC of others. TCP ports can be reached: those of
 * kruntimes want a secret. Of root's capabilities those over files, users and its own processes are left.
 * Of /proc it sees the machine and the command itself. With namespaces that is all of its processes, and there is a /tmp, a
 * /dev/shm and System V IPC of its own; without, programs that the command starts see nothing of themselves in /proc.
 *
 * What is the same for all executions is given up once, by the shim that starts them (sandbox_settle): all that is hidden, and the
 * system calls. An execution then gives up what its neighbours have (sandbox_rules, sandbox_enter). A right must be allowed by both.
 * No rule knows of changing a file's mode or times by its name: such calls its shim makes for it (sandbox_calls.h), where the kernel
 * lets it.
 */
#ifndef APPLETS_RUNTIME_SERVER_SANDBOX_H
#define APPLETS_RUNTIME_SERVER_SANDBOX_H
#include "core/kr.h"
#include <sys/types.h>

/* KR_UNSUPPORTED "SandboxUnavailable: …" when the kernel is below the floor: Landlock ABI 6, seccomp filters. */
int sandbox_check(struct kr_err *);

struct sandbox;
struct calls;
/* workspaces: the folder in which all executions have theirs. hidden: folders out of reach besides those that always are; n of
 * them; the folder of workspaces may lie in one. namespaces: try them. Looks at the file system once. */
struct sandbox *sandbox_new(const char *workspaces, const char *const *hidden, size_t n, bool namespaces, struct kr_err *);
/* Why there are no namespaces; NULL when there are. */
const char *sandbox_lacks(const struct sandbox *);
/* Why a Run may change mode, owner, times and attributes of its neighbours' files; NULL when calls are answered. */
const char *sandbox_leaves_open(const struct sandbox *);
void sandbox_free(struct sandbox *);

/* As fork(2), for a process that will start executions. With namespaces it is process 1 of its own. */
pid_t sandbox_fork(const struct sandbox *);
/* In that process: no way back for it and what it starts. 0 or an errno. */
int sandbox_settle(const struct sandbox *);
/* There, when an execution is over: it left something that the next one could see, so this process must not start one. */
bool sandbox_is_used(const struct sandbox *);
/* A Landlock ruleset for one execution, which may also write below these folders (own; NULL ones are passed over). */
int sandbox_rules(const struct sandbox *, const char *const *own, size_t n, struct kr_err *);
/* In the child of a process that has settled, before exec: as sandbox_settle. System calls only. calls: begun by that process,
 * which answers those of the child where sandbox_leaves_open is NULL; the folder and the child's working directory are its own. */
int sandbox_enter(const struct sandbox *, int rules, struct calls *, const char *folder);
/* True for a path of /proc that tells about the machine and may be read. */
bool sandbox_shows(const char *path);
/* sandbox_filter.c: the system calls, and root's capabilities; 0 or an errno. ipc: System V IPC is of the execution alone. sockets:
 * rules keep the named Unix sockets of others out of reach, so it may have its own. answered: by a shim, as sandbox_calls.h has it. */
int sandbox_filter(bool ipc, bool sockets, bool answered);
#endif
