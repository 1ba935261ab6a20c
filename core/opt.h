/* SPDX-License-Identifier: Apache-2.0 */
/*
 * opt: command line options as a table. Parsing, --help, environment variables, shell completion and the reference page
 * all read the same rows.
 *
 *     static struct { struct str bind; int64_t workers; bool elect; struct opt_list env; } o = { S(":8080"), 4, true, { 0 } };
 *     static const struct opt opts[] = {
 *         { "bind",         'b', OPT_STR,  &o.bind,    "ADDR",      "where metrics listen", .env = "KRUNTIMES_BIND" },
 *         { "workers",      0,   OPT_INT,  &o.workers, "N",         "Runs bound side by side", .lo = 1, .hi = 64 },
 *         { "leader-elect", 0,   OPT_FLAG, &o.elect,   NULL,        "hold the Lease before working" },
 *         { "env",          'e', OPT_LIST, &o.env,     "KEY=VALUE", "set a variable (repeatable)" },
 *         { 0 } };
 *
 * Accepted: --name=value, --name value, -n value, -nvalue, -n=value, -abc (flags), --flag, --flag=true|false, --no-flag,
 * `--` (the rest are arguments). What stands in a target before parsing is its default. Precedence: command line, then
 * environment (an empty variable counts as unset), then default. The last of several wins; OPT_LIST keeps all.
 */
#ifndef CORE_OPT_H
#define CORE_OPT_H
#include "core/kr.h"

enum opt_type {
    OPT_FLAG,         /* bool */
    OPT_STR,          /* struct str, NUL-terminated at p[n]; p stays as it was when not given */
    OPT_INT,          /* int64_t within lo…hi (both 0: no bounds) */
    OPT_DURATION,     /* int64_t microseconds from "1m30s", "250ms"; lo…hi in microseconds likewise */
    OPT_ENUM,         /* int: place in words[] */
    OPT_LIST,         /* struct opt_list */
};
struct opt_list { struct str *v; size_t n, cap; };      /* the strings are argv's; v is freed by opt_list_free */
void opt_list_free(struct opt_list *);

struct opt {
    const char *name;                 /* long name; NULL ends the table */
    char letter;                      /* 0: none */
    enum opt_type type;
    void *to;
    const char *arg;                  /* what the value is called in help: "ADDR"; NULL for flags */
    const char *help;                 /* lower case, no full stop; the default is added to it */
    const char *env;                  /* variable that is read when the option isn't given; OPT_LIST: none */
    int64_t lo, hi;
    const char *const *words;         /* OPT_ENUM: NULL-terminated */
    bool hidden;                      /* works, but neither help nor completion shows it */
    bool required;
    bool *given;                      /* set to true when it was given (environment included); may be NULL */
    const char *also;                 /* what others call it, words with spaces between: not taken, but answered with its name */
};

/* Positional arguments, with where `--` stood: n when it wasn't there. v is argv's strings, in an array the caller frees. */
struct opt_args { struct str *v; size_t n, dash; };
void opt_args_free(struct opt_args *);

enum { OPT_STOP_AT_ARG = 1 };         /* the first argument ends the options (for commands that run another one) */
/* `tables`: NULL-terminated list of tables, the first with a name wins. argv without the program's name.
 * A refusal is KR_USAGE and names the option; a misspelt one names the nearest. --help and -h are not known here. */
int opt_parse(const struct opt *const *tables, int argc, char **argv, unsigned flags, struct opt_args *ret, struct kr_err *);

/* The option rows of a help text, wrapped at `width` columns. Defaults are what the targets hold now. */
void opt_help(const struct opt *const *tables, size_t width, struct buf *out);
/* "ADDR (default :8080) [$KRUNTIMES_BIND]" pieces for the reference page. */
void opt_default_text(const struct opt *, struct buf *out);          /* empty when there is none worth saying */
const struct opt *opt_find(const struct opt *const *tables, struct str name);
/* Whether `word` ("--name", "-n", "-vn") is an option that takes its value from the next word. */
bool opt_takes_next(const struct opt *const *tables, struct str word);
/* The word in `words` that `got` was probably meant to be; NULL when none is near. */
const char *opt_nearest(struct str got, const char *const *words, size_t n);
/* Fills `text` in at `width` columns, each line indented by `indent`; newlines in it are kept. */
void opt_wrap(struct str text, size_t indent, size_t width, struct buf *out);
#endif
