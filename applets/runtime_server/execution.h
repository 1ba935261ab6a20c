/* SPDX-License-Identifier: Apache-2.0 */
/*
 * execution: the server's table of what runs and what has ended but was not forgotten yet.
 *
 * An execution is there from Execute until Forget (ended) or Cancel (any). Its end, its state and its output change
 * together, in one turn of the loop: what a reader sees belongs to one moment.
 */
#ifndef APPLETS_RUNTIME_SERVER_EXECUTION_H
#define APPLETS_RUNTIME_SERVER_EXECUTION_H
#include "applets/runtime_server/argv.h"
#include "applets/runtime_server/output.h"
#include "core/loop.h"
#include "core/map.h"

enum exec_state { EXEC_RUNNING, EXEC_SUCCEEDED, EXEC_FAILED };

struct exec_config {
    const char *const *interpreter;      /* NULL: see argv.h */
    bool harden;                         /* isolation Process; false: None */
    const struct sandbox *sandbox;       /* isolation Sandbox; NULL: none */
    int grace_ms;                        /* TERM to KILL */
};

struct exec_request {
    struct str id, entrypoint, working_dir;
    struct strs args;
    struct { struct str key, value; } const *env;
    size_t nenv;
    int64_t timeout_s;                   /* 0: none */
};

struct execution;
struct execs;
/* Something of this execution changed: output, state, or it is gone (then it is called once more, with `gone`). */
struct exec_watch {
    struct exec_watch *next;
    void (*changed)(struct exec_watch *, struct execution *, bool gone);
};

struct execs *execs_new(struct loop *, const struct exec_config *);
/* Ends everything at once and forgets it. */
void execs_free(struct execs *);

/* EXISTS while the id is known, INVALID for what can't be executed, CONFLICT while there are LIMIT_EXECUTIONS. A command that
 * is not there or can't be executed is no error: the execution ends as FAILED with 127 or 126. */
int exec_start(struct execs *, const struct exec_request *, struct kr_err *e);
struct execution *exec_find(struct execs *, struct str id);
struct execution *exec_next(struct execs *, size_t *at);          /* for (size_t i = 0; (x = exec_next(s, &i)); ) */
/* Ends it (TERM, KILL after the grace); done is called when nothing of it is left and the entry is removed. That is when nobody
 * watches it any more, at most the grace after its end. */
void exec_cancel(struct execs *, struct execution *, void (*done)(void *ctx), void *ctx);
/* PRECONDITION while it runs. */
int exec_forget(struct execs *, struct execution *, struct kr_err *e);

struct str exec_id(const struct execution *);
enum exec_state exec_state(const struct execution *);
int32_t exec_exit_code(const struct execution *);                 /* 128 + n for a signal; 126, 127 as a shell has them */
/* Empty, or a cause and a sentence: "NotFound: …", "NotExecutable: …", "TooLarge: …", "Signalled: …", "OOMKilled: …", "Timeout: …". */
struct str exec_error(const struct execution *);
const struct output *exec_output(const struct execution *, int stream);   /* 1 stdout, 2 stderr */
/* Counted: while somebody holds a stream (1, 2) no more of it is read, and the command waits with what it writes. What it leaves in
 * the pipe is read at its end all the same. */
void exec_hold(struct execution *, int stream, bool on);
void exec_watch(struct execution *, struct exec_watch *);
void exec_unwatch(struct execution *, struct exec_watch *);
#endif
