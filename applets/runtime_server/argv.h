/* SPDX-License-Identifier: Apache-2.0 */
/*
 * argv: what to execute for a request.
 *
 * A file at `entrypoint` below the working directory runs with args: as it is when it can (ELF, or `#!` and executable),
 * by the interpreter its `#!` names when it is not executable, else by ours. Without such a file args are the command:
 * one is a script for the interpreter, several are executed as they are and never re-joined.
 */
#ifndef APPLETS_RUNTIME_SERVER_ARGV_H
#define APPLETS_RUNTIME_SERVER_ARGV_H
#include "core/kr.h"

struct strs { struct str *v; size_t n; };
struct argv_request {
    struct str entrypoint;             /* empty: none */
    struct strs args;
    const char *const *interpreter;    /* NULL-terminated argv; NULL: bash, else sh, if `path` has one */
    struct str path;                   /* $PATH of the execution */
    int dir;                           /* working directory */
};
/* A NULL-terminated argv on the arena. Errors: INVALID (nothing to execute, a path out of the directory, NUL inside). */
int argv_build(char ***out, const struct argv_request *, struct arena *, struct kr_err *);
#endif
