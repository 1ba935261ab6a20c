/* SPDX-License-Identifier: Apache-2.0 */
/*
 * helper: work that must not block the loop, or that reads what a stranger wrote, in a process of this same binary
 * (`kruntimes git-fetch …`, hidden applets): memory of its own, limits, killed with all it started.
 *
 * It reads its order from stdin and answers on stdout; what it says on stderr is kept for messages. It dies with us.
 */
#ifndef CORE_HELPER_H
#define CORE_HELPER_H
#include "core/loop.h"
#include "core/proc.h"

struct helper;
struct helper_end { int status; bool late; struct str out, err; };        /* status: as wait(2) has it; late: killed at its deadline */
struct helper_user {
    void (*data)(void *ctx, struct str bytes);     /* stdout as it comes; NULL: it is gathered for `ended` */
    void (*ended)(void *ctx, const struct helper_end *);       /* once; afterwards the pointer is dead */
    void *ctx;
};
struct helper_spec {
    const char *const *argv;                       /* argv[0] is for `ps`; NULL-terminated */
    const char *const *envp;                       /* NULL: an empty environment */
    struct str input;                              /* copied */
    const struct proc_fd *fds; size_t nfds;
    size_t max_out;                                /* of what is gathered; more is a failure (it is killed) */
    int64_t timeout_us;
    uint64_t memory;                               /* RLIMIT_DATA; 0: none. Builds with a sanitizer can't have one */
};
/* NULL and *e when it can't be started. */
struct helper *helper_start(struct loop *, const struct helper_spec *, struct helper_user, struct kr_err *);
void helper_pause(struct helper *, bool on);       /* hold its output back */
void helper_stop(struct helper *);                 /* killed, no callback; NULL is fine */
/* Killed; `ended` of this other user comes when it is gone. */
void helper_kill(struct helper *, struct helper_user);
#endif
