/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox: isolation Sandbox, without any privilege: what a Run may reach, by Landlock, and which system calls it may make, by a
 * seccomp filter.
 *
 * It reads the system, and reads and writes its own workspace. Out of reach: other workspaces, everything of kruntimes, tokens
 * and keys at their usual places, shared temporary folders; processes outside of the Run, to signal, trace or look into;
 * Unix sockets, abstract or not. Of /proc it sees the machine and the command itself; programs that the command starts see
 * nothing of themselves there. TCP ports can be reached: those of kruntimes want a secret.
 *
 * What is the same for all executions is given up once, by the shim that starts them (sandbox_settle): all that is hidden, and the
 * system calls. An execution then gives up what its neighbours have (sandbox_rules, sandbox_enter). A right must be allowed by both.
 */
#ifndef APPLETS_RUNTIME_SERVER_SANDBOX_H
#define APPLETS_RUNTIME_SERVER_SANDBOX_H
#include "core/kr.h"

/* KR_UNSUPPORTED "SandboxUnavailable: …" when the kernel is below the floor: Landlock ABI 6, seccomp filters. */
int sandbox_check(struct kr_err *);

struct sandbox;
/* workspaces: the folder in which all executions have theirs. hidden: folders out of reach besides those that always are; n of
 * them; the folder of workspaces may lie in one. Looks at the file system once. */
struct sandbox *sandbox_new(const char *workspaces, const char *const *hidden, size_t n, struct kr_err *);
void sandbox_free(struct sandbox *);

/* In a process that will start executions: no way back for it and what it starts. System calls only; 0 or an errno. */
int sandbox_settle(const struct sandbox *);
/* A Landlock ruleset for one execution, which may also write below these folders (own; NULL ones are passed over). */
int sandbox_rules(const struct sandbox *, const char *const *own, size_t n, struct kr_err *);
/* In the child of a process that has settled, before exec: as sandbox_settle. */
int sandbox_enter(int rules);
/* sandbox_filter.c: the system calls; 0 or an errno. */
int sandbox_filter(void);
#endif
