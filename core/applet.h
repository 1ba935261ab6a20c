/* SPDX-License-Identifier: Apache-2.0 */
/*
 * applet: one command of the binary = one const struct in its own file, listed by one row in cmd/applets.def.
 *
 *     static int scheduler_main(struct applet_call *c, struct kr_err *e) { … }
 *     const struct applet applet_scheduler = {
 *         .name = "scheduler", .brief = "assign Runs to Runtime Pods", .group = APPLET_COMPONENT,
 *         .opts = opts, .shared = (const struct opt *const[]){ log_opts, NULL }, .main = scheduler_main };
 *
 * A command with verbs (`run submit`) has `verbs` instead of `main`. The dispatcher does the shared work once: --help,
 * option parsing, the error line, the exit status, and the check that stdout really took the bytes.
 */
#ifndef CORE_APPLET_H
#define CORE_APPLET_H
#include "core/opt.h"

struct applet_call {
    struct str *args; size_t nargs;   /* positional arguments; NUL-terminated at p[n] */
    size_t dash;                      /* how many of them stood before `--`; nargs when there was none */
    const char *prog;                 /* "kruntimes run submit", "kubectl kruntimes run submit": for messages and hints */
    int fail_exit;                    /* main may set it: exit status of a failure instead of the code table's */
};

enum applet_group { APPLET_WORK, APPLET_COMPONENT, APPLET_TOOL };     /* headings of the help page */
struct applet {
    const char *name;
    const char *brief;                /* lower case, no full stop: the row in lists */
    const char *args;                 /* "FILE…", "[NAME] [-- COMMAND [ARG]…]"; NULL: takes none, and none are let through */
    const char *help;                 /* longer text below the usage line; may be NULL */
    const char *examples;             /* one a line, without the program's name in front of "run submit …"; may be NULL */
    const struct opt *opts;           /* own options; may be NULL */
    const struct opt *const *shared;  /* further tables, NULL-terminated; may be NULL */
    /* 0: done. > 0: exit status (nothing is printed). < 0: *e is printed, exit status from core/codes.def or fail_exit. */
    int (*main)(struct applet_call *, struct kr_err *);
    const struct applet *const *verbs;/* NULL-terminated; instead of main */
    enum applet_group group;
    bool hidden;                      /* helper processes: not in lists */
    bool raw;                         /* options end at the first argument (OPT_STOP_AT_ARG) */
    int usage_exit;                   /* exit status of a command line that is wrong; 0: the code table's */
    const char *const *usage_exit_with; /* NULL-terminated: … only where one of these options is given; NULL: always */
    size_t min_args, max_args;        /* checked before main when `args` is set; max 0: no bound */
    const char *names;                /* what `args` names, for completion: "runs"; NULL: nothing that is asked for */
    const char *const *aliases;       /* NULL-terminated other names ("runs", "rn"); may be NULL */
};

/* The whole life of the process: main() returns what this returns. `all` is NULL-terminated and kept. */
int applet_main(const struct applet *const *all, int argc, char **argv);
const struct applet *const *applet_all(void);            /* the table applet_main was given */
const struct applet *applet_find(const struct applet *const *list, struct str name);      /* by name or alias */
/* The help page of `a` as `prog --help` shows it; a NULL: of the whole program. */
void applet_help(const struct applet *a, const char *prog, size_t width, struct buf *out);
/* Option tables of an applet, own first: at most APPLET_TABLES, NULL-terminated. */
enum { APPLET_TABLES = 8 };
void applet_tables(const struct applet *, const struct opt *out[APPLET_TABLES + 1]);
/* Everything to stdout; <0 when it didn't take it (disk full, closed pipe). */
int applet_print(struct str text, struct kr_err *);
#endif
