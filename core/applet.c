/* SPDX-License-Identifier: Apache-2.0 */
/*
 * applet: from argv to the one function that does the work, and from what it answers to an exit status. All output goes
 * through stdio's stdout and is checked at the end: a full disk or a closed pipe is a failure, not a silence. Nothing is set
 * up before the applet is known. Deliberately not here: what any applet needs to work. Tests: tests/unit/core/applet.c.
 */
#include "core/applet.h"
#include "core/terminal.h"
#include "core/version.h"
#include <errno.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

static const struct applet *const *table;

const struct applet *const *applet_all(void) { return table; }

const struct applet *applet_find(const struct applet *const *list, struct str name)
{
    for (; list && *list; list++) {
        if (str_is(name, (*list)->name))
            return *list;
        for (const char *const *alias = (*list)->aliases; alias && *alias; alias++)
            if (str_is(name, *alias))
                return *list;
    }
    return NULL;
}

void applet_tables(const struct applet *a, const struct opt *out[APPLET_TABLES + 1])
{
    size_t n = 0;
    if (a->opts)
        out[n++] = a->opts;
    for (size_t i = 0; a->shared && a->shared[i] && n < APPLET_TABLES; i++)
        out[n++] = a->shared[i];
    out[n] = NULL;
}

int applet_print(struct str text, struct kr_err *e)
{
    if (fwrite(text.p, 1, text.n, stdout) == text.n && fflush(stdout) == 0)
        return 0;
    return kr_fail_sys(e, KR_SYSTEM, errno, "write to stdout");
}

static size_t terminal_width(void)
{
    struct winsize w;
    if (ioctl(1, TIOCGWINSZ, &w) == 0 && w.ws_col >= 60)
        return w.ws_col < 110 ? w.ws_col : 110;
    return 100;
}

static int print_help(const struct applet *a, const char *prog, struct kr_err *e)
{
    AUTO_BUF struct buf b = { .max = 262144 };
    applet_help(a, prog, terminal_width(), &b);
    return applet_print(buf_view(&b), e);
}

/* The exit status. An applet whose output did not arrive has failed. Why is known only when this flush finds it: a C library
 * may have written, and failed, before; applet_print always knows. */
static int finish(int rc, const char *prog, const struct kr_err *e, int fail_exit)
{
    int sys = rc >= 0 && fflush(stdout) != 0 ? errno : 0;
    if (rc >= 0 && (sys || ferror(stdout))) {
        struct kr_err lost = { 0 };
        if (sys)
            kr_fail_sys(&lost, KR_SYSTEM, sys, "what was printed did not arrive: stdout");
        else
            kr_fail(&lost, KR_SYSTEM, "what was printed did not arrive: stdout can't be written");
        fprintf(stderr, "%s: %s\n", prog, lost.msg);
        return kr_codes[lost.code].exit;
    }
    if (rc >= 0)
        return rc;
    terminal_say("%s: %s\n", prog, e->msg);
    if (e->code == KR_USAGE)
        fprintf(stderr, "try: %s --help\n", prog);
    return fail_exit ? fail_exit : kr_codes[e->code].exit;
}

/* Words of other programs for what is called otherwise here. */
static const char *const same_as[][2] = {
    { "rm", "delete" }, { "remove", "delete" }, { "del", "delete" }, { "stop", "cancel" }, { "kill", "cancel" }, { "terminate", "cancel" }, { "ps", "list" },
    { "show", "describe" }, { "status", "describe" }, { "inspect", "describe" }, { "create", "submit" }, { "apply", "submit" }, { "start", "submit" },
    { "exec", "submit" }, { "tail", "logs" }, { "why", "explain" }, { "resubmit", "retry" }, { "validate", "lint" }, { "check", "lint" }, { "dag", "graph" },
    { "diagnose", "doctor" }, { "cp", "download" }, { "crds", "crd-gen" }, { "install-manifests", "manifests" } };

static const char *other_word(struct str word)
{
    for (size_t i = 0; i < LEN(same_as); i++)
        if (str_is(word, same_as[i][0]))
            return same_as[i][1];
    return NULL;
}

/* "run logs" for who says "logs": the first applet, in the order of the help page, that has such a verb. */
static const struct applet *above_verb(const struct applet *const *list, struct str word)
{
    for (; *list; list++)
        if (!(*list)->hidden && (*list)->group == APPLET_WORK && (*list)->verbs && strcmp((*list)->name, "local") && applet_find((*list)->verbs, word))
            return *list;
    return NULL;
}

static int no_such(const struct applet *const *list, struct str word, const char *what, struct kr_err *e)
{
    const char *other = other_word(word);
    const struct applet *above = above_verb(list, word);
    if (!above && other)
        above = above_verb(list, str_of(other));
    if (other && applet_find(list, str_of(other)))
        return kr_fail(e, KR_USAGE, "there is no %s \"%.*s\": did you mean %s?", what, SFMT(word), other);
    if (above)
        return kr_fail(e, KR_USAGE, "there is no %s \"%.*s\": did you mean %s %s?", what, SFMT(word), above->name,
                       applet_find(above->verbs, word) ? applet_find(above->verbs, word)->name : other);
    const char *words[128];
    size_t n = 0;
    for (; *list && n < LEN(words); list++)
        if (!(*list)->hidden)
            words[n++] = (*list)->name;
    const char *near = opt_nearest(word, words, n);
    if (near)
        return kr_fail(e, KR_USAGE, "there is no %s \"%.*s\": did you mean %s?", what, SFMT(word), near);
    return kr_fail(e, KR_USAGE, "there is no %s \"%.*s\"", what, SFMT(word));
}

static bool is_help(const char *word) { return !strcmp(word, "--help") || !strcmp(word, "-h"); }

/* --help where an option may stand: not behind "--", not as the value of another option, and for commands that run
 * others not behind the first argument. */
static bool asks_for_help(const struct applet *a, const struct opt *const *tables, int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--"); i++) {
        if (is_help(argv[i]))
            return true;
        if (argv[i][0] == '-' && opt_takes_next(tables, str_of(argv[i])))
            i++;
        else if (a->raw && argv[i][0] != '-')
            return false;
    }
    return false;
}

static int check_args(const struct applet *a, const struct opt_args *args, struct kr_err *e)
{
    if (!a->args && args->n)
        return kr_fail(e, KR_USAGE, "\"%.*s\" is not expected: it takes no arguments", SFMT(args->v[0]));
    if (a->args && args->n < a->min_args)
        return kr_fail(e, KR_USAGE, "an argument is missing: %s", a->args);
    if (a->args && a->max_args && args->n > a->max_args)
        return kr_fail(e, KR_USAGE, "\"%.*s\" is one argument too many: %s", SFMT(args->v[a->max_args]), a->args);
    return 0;
}

/* Of a command line that is wrong. It may be wrong in front of the option that counts, so the words themselves are looked at. */
static int usage_exit(const struct applet *a, int argc, char **argv)
{
    for (int i = 0; a->usage_exit_with && i < argc && strcmp(argv[i], "--"); i++)
        for (const char *const *with = a->usage_exit_with; *with; with++)
            if (!strcmp(argv[i], *with))
                return a->usage_exit;
    return a->usage_exit_with ? 0 : a->usage_exit;
}

static int run(const struct applet *a, const char *prog, int argc, char **argv)
{
    struct kr_err e = { 0 };
    char longer[256];
    if (a->verbs) {
        if (!argc || is_help(argv[0]) || !strcmp(argv[0], "help")) {
            int rc = print_help(a, prog, &e);
            return finish(rc < 0 ? rc : !argc, prog, &e, 0);
        }
        const struct applet *verb = applet_find(a->verbs, str_of(argv[0]));
        if (!verb)
            return finish(no_such(a->verbs, str_of(argv[0]), "verb", &e), prog, &e, 0);
        snprintf(longer, sizeof longer, "%s %s", prog, verb->name);
        return run(verb, longer, argc - 1, argv + 1);
    }
    const struct opt *tables[APPLET_TABLES + 1];
    struct opt_args args = { 0 };
    struct applet_call call = { .prog = prog };
    applet_tables(a, tables);
    if (asks_for_help(a, tables, argc, argv))
        return finish(print_help(a, prog, &e), prog, &e, 0);
    int rc = opt_parse(tables, argc, argv, a->raw ? OPT_STOP_AT_ARG : 0, &args, &e);
    if (rc == 0)
        rc = check_args(a, &args, &e);
    if (rc < 0)
        call.fail_exit = usage_exit(a, argc, argv);
    if (rc == 0) {
        call.args = args.v;
        call.nargs = args.n;
        call.dash = args.dash;
        if (a->group == APPLET_COMPONENT)
            prctl(PR_SET_NAME, a->name);          /* top and ps -o comm tell them apart, however they were started */
        rc = a->main(&call, &e);
    }
    opt_args_free(&args);
    return finish(rc, prog, &e, call.fail_exit);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* "help", "help run", "help run submit": the page of what the words name. */
static int help_about(const char *shown, int argc, char **argv)
{
    struct kr_err e = { 0 };
    const struct applet *const *list = table, *a = NULL;
    char prog[256];
    size_t used = (size_t)snprintf(prog, sizeof prog, "%s", shown);
    for (int i = 0; i < argc; i++) {
        if (!list)
            return finish(kr_fail(&e, KR_USAGE, "\"%s\" is not expected: %s has no verbs", argv[i], a->name), prog, &e, 0);
        const struct applet *next = applet_find(list, str_of(argv[i]));
        if (!next)
            return finish(no_such(list, str_of(argv[i]), a ? "verb" : "applet", &e), prog, &e, 0);
        a = next;
        list = a->verbs;
        if (used < sizeof prog)
            used += (size_t)snprintf(prog + used, sizeof prog - used, " %s", a->name);
    }
    return finish(print_help(a, prog, &e), prog, &e, 0);
}

int applet_main(const struct applet *const *all, int argc, char **argv)
{
    struct kr_err e = { 0 };
    const char *name = argc > 0 && argv[0] ? base_name(argv[0]) : "kruntimes";
    char prog[256];
    table = all;
    const struct applet *self = applet_find(all, str_of(name));
    if (self)
        return run(self, name, argc - 1, argv + 1);
    const char *shown = !strcmp(name, "kubectl-kruntimes") ? "kubectl kruntimes" : !strcmp(name, "krt") ? "krt" : "kruntimes";
    if (argc <= 1 || is_help(argv[1]))
        return help_about(shown, 0, NULL);
    if (!strcmp(argv[1], "help"))
        return help_about(shown, argc - 2, argv + 2);
    if (!strcmp(argv[1], "--version")) {
        AUTO_BUF struct buf line = { .max = 256 };
        buf_fmt(&line, "%s\n", kr_version);
        return finish(applet_print(buf_view(&line), &e), shown, &e, 0);
    }
    const struct applet *a = applet_find(all, str_of(argv[1]));
    if (!a && argv[1][0] == '-')
        return finish(kr_fail(&e, KR_USAGE, "\"%s\": options stand behind the applet and its verb, as in: %s run list -n NAME", argv[1], shown), shown, &e, 0);
    if (!a)
        return finish(no_such(all, str_of(argv[1]), "applet", &e), shown, &e, 0);
    snprintf(prog, sizeof prog, "%s %s", shown, a->name);
    return run(a, prog, argc - 2, argv + 2);
}
