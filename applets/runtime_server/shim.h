/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shim: one small process per execution that answers for everything the execution starts.
 *
 * It is forked (not executed) by the server, becomes the subreaper, and starts the command as the leader of a session
 * and process group of its own. Whatever the command leaves behind, daemons that fork twice, change session and clear
 * their environment included, becomes the shim's child and is ended with it: TERM, and KILL after the grace. When nothing
 * is left it reports how the leader ended and exits. If the server dies, the shim ends everything and follows.
 *
 *   server ──fork──► shim (subreaper) ──► leader ──► …
 *      ◄── report pipe: one struct shim_report, then end of file ──
 */
#ifndef APPLETS_RUNTIME_SERVER_SHIM_H
#define APPLETS_RUNTIME_SERVER_SHIM_H
#include "core/kr.h"
#include <sys/types.h>

struct shim_spec {
    char **argv, **envp;         /* NULL-terminated; argv[0] is looked up in path when it has no slash */
    const char *path;
    int dir;                     /* working directory */
    int out, err;                /* the command's stdout and stderr (stdin is /dev/null) */
    int report;                  /* where the report goes */
    int grace_ms;                /* between TERM and KILL */
    bool harden;                 /* no_new_privs, resource limits, no core files (isolation Process) */
};
struct shim_report {
    int exec_errno;              /* why the command could not be started, 0 when it was */
    int status;                  /* as waitpid gave it for the leader */
    bool killed_rest;            /* something was left behind and had to be ended */
};
/* PID of the shim, -1 and e when there is none. SIGTERM to it ends the execution (TERM, then KILL after the grace),
 * SIGKILL never is needed. The caller closes its copies of out, err and report. */
pid_t shim_start(const struct shim_spec *, struct kr_err *e);
#endif
