/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shim: one small process per execution that answers for everything the execution starts.
 *
 * It is forked (not executed) by the server and becomes the subreaper. It starts the command as the leader of a session and
 * process group of its own. Whatever the command leaves behind, daemons that fork twice, change session and clear their
 * environment included, becomes the shim's child and is ended with it: TERM, and KILL after the grace. When nothing is left
 * it reports how the leader ended, and waits for the next execution: a fork costs as much as a small command does, so the
 * server keeps some shims (shims.h). If the server dies, which closes its end of the socket, the shim ends everything and follows.
 * With namespaces (spaces.h) the shim is process 1 of its own.
 *
 *   server ──fork──► shim (subreaper) ──► leader ──► …
 *      ◄── socket of packets: an order with its descriptors in, or that it shall end; one struct shim_report out ──►
 *
 * An end may cross the report. It stands in the socket before the next order then, and is never taken for one of that.
 */
#ifndef APPLETS_RUNTIME_SERVER_SHIM_H
#define APPLETS_RUNTIME_SERVER_SHIM_H
#include "core/kr.h"
#include <sys/types.h>

struct sandbox;
struct shim_spec {
    char **argv, **envp;         /* NULL-terminated; argv[0] is looked up in path when it has no slash */
    const char *path;
    int dir;                     /* working directory */
    const char *where;           /* its path: with namespaces it is opened again there; NULL without sandbox */
    int out, err;                /* the command's stdout and stderr (stdin is /dev/null) */
    int grace_ms;                /* between TERM and KILL */
    bool harden;                 /* no_new_privs, resource limits, no core files (isolation Process) */
    const struct sandbox *sandbox;       /* NULL, or isolation Sandbox: the same for all executions of a server */
    int rules;                   /* of sandbox_rules; only with sandbox */
    const char *folder;          /* the path of the Run's own folder, empty: none; only with sandbox */
    int64_t memory;              /* bytes of data that each process may have; 0: no limit */
};
struct shim_report {
    int exec_errno;              /* why the command could not be started, 0 when it was */
    int status;                  /* as waitpid gave it for the leader */
    bool killed_rest;            /* something was left behind and had to be ended */
    bool spent;                  /* the shim takes no further order: the next execution would see something of this one */
};
/* A new shim, which begins with this execution. Its PID, or -1 and e; *socket is the server's end, not blocking. The
 * descriptors of the spec stay the caller's. No signal to it is ever needed. */
pid_t shim_fork(const struct shim_spec *, int *socket, struct kr_err *e);
/* Gives a shim that has reported its next execution. False when the spec is larger than an order may be, or the shim is
 * gone: then it needs a new one. */
bool shim_order(int socket, const struct shim_spec *);
/* Ends the execution ordered last (TERM, then KILL after the grace), if it isn't over. */
void shim_order_end(int socket);
/* 1 and the report, 0 when there is none yet, -1 when the shim is gone. */
int shim_read(int socket, struct shim_report *);
#endif
