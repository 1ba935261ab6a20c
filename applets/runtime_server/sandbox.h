/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox: isolation Sandbox, without any privilege: what a Run may reach, by Landlock, and which system calls it may make, by a
 * seccomp filter.
 *
 * It reads the system, and reads and writes its own workspace. Out of reach: other workspaces, everything of kruntimes, tokens
 * and keys at their usual places, shared temporary folders; processes outside of the Run, to signal, trace or look into;
 * Unix sockets, abstract or not. Of /proc it sees the machine and the command itself; programs that the command starts see
 * nothing of themselves there. TCP ports can be reached: those of kruntimes want a secret.
 */
#ifndef APPLETS_RUNTIME_SERVER_SANDBOX_H
#define APPLETS_RUNTIME_SERVER_SANDBOX_H
#include "core/kr.h"

/* KR_UNSUPPORTED "SandboxUnavailable: …" when the kernel is below the floor: Landlock ABI 6, seccomp filters. */
int sandbox_check(struct kr_err *);

struct sandbox;
/* hidden: folders out of reach besides those that always are; n of them. Looks at the file system once. */
struct sandbox *sandbox_new(const char *const *hidden, size_t n, struct kr_err *);
void sandbox_free(struct sandbox *);
/* A Landlock ruleset for one execution, which may also write below these folders (own; NULL ones are passed over). */
int sandbox_rules(const struct sandbox *, const char *const *own, size_t n, struct kr_err *);

/* In the child, before exec: gives the rights up for good. System calls only; 0 or an errno. */
int sandbox_enter(int rules);
/* sandbox_filter.c: the system calls; 0 or an errno. */
int sandbox_filter(void);
#endif
