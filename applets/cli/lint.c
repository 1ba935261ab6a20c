/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lint: all that is wrong with files of Runs, Runtimes and Workflows, without a server: each object is checked by the rules that
 * the server has, and what is right but may surprise is warned of. Unlike submit it doesn't stop at the first mistake.
 * Tests: tests/local/mistakes.py
 */
#include "applets/cli/cli.h"
#include "core/fs.h"
#include "core/yaml.h"
#include "crds/flow.h"
#include "crds/submit.h"
#include <stdio.h>

static struct { struct opt_list files; } o;
static const struct opt opts[] = {
    { "file", 'f', OPT_LIST, &o.files, "FILE", "file to check (repeatable; - is stdin)" },
    { 0 } };

struct linting { struct str from; size_t wrong, warnings; };

static void warn(void *ctx, struct str place, const char *text)
{
    struct linting *l = ctx;
    l->warnings++;
    printf("%.*s: warning: %.*s: %s\n", SFMT(l->from), SFMT(place), text);
}

static void lint_run(struct linting *l, const struct run *r)
{
    const struct run_spec *s = &r->spec;
    if (!s->args.n && !s->has_source && !s->entrypoint.n && !s->artifacts.n)
        warn(l, S("spec"), "there is nothing to execute: neither args nor source nor entrypoint");
}

static void lint_runtime(struct linting *l, const struct runtime *r)
{
    if (r->spec.has_replicas && !r->spec.replicas)
        warn(l, S("spec.replicas"), "it is parked: Runs that name it wait until it is scaled up");
}

static int lint_object(struct linting *l, const struct submission *x, struct arena *a, struct kr_err *e)
{
    struct flow *f;
    if (x->resource == &kube_workflows) {
        if (submit_workflow(x->json, &f, a, e) < 0)
            return -1;
        flow_lint(f, warn, l);
        return 0;
    }
    struct run *run = x->resource == &kube_runs ? model_decode(run, x->json, a, e) : NULL;
    struct runtime *runtime = x->resource == &kube_runtimes ? model_decode(runtime, x->json, a, e) : NULL;
    if (run)
        lint_run(l, run);
    if (runtime)
        lint_runtime(l, runtime);
    return run || runtime ? 0 : -1;
}

/* The same object twice: the second would be refused, or would overwrite the first. */
static void lint_twice(struct linting *l, const struct submissions *s)
{
    const struct submission *x = &s->v[s->n - 1];
    for (size_t i = 0; x->name.n && i + 1 < s->n; i++)
        if (s->v[i].resource == x->resource && str_eq(s->v[i].name, x->name) && str_eq(s->v[i].ns, x->ns)) {
            AUTO_BUF struct buf text = { .max = 512 };
            buf_fmt(&text, "%.*s has this name already", SFMT(s->v[i].from));
            warn(l, S("metadata.name"), text.p);
            return;
        }
}

static void lint_one(struct linting *l, struct submissions *list, struct str json, struct str from, struct arena *a)
{
    struct kr_err e = { 0 };
    size_t before = l->warnings, had = list->n;
    l->from = from;
    int rc = submit_check(list, json, from, S("default"), a, &e);
    if (rc == 0 && list->n > had) {
        rc = lint_object(l, &list->v[list->n - 1], a, &e);
        lint_twice(l, list);
    }
    if (rc < 0) {
        l->wrong++;
        if (!str_starts(str_of(e.msg), from))
            kr_wrap(&e, "%.*s", SFMT(from));
        printf("%s\n", e.msg);
    } else if (l->warnings == before) {
        printf("%.*s: fine\n", SFMT(from));
    }
}

static int lint_file(struct linting *l, struct submissions *list, struct str path, struct arena *a, struct kr_err *e)
{
    AUTO_BUF struct buf file = { .max = LIMIT_FILE_INPUT };
    const char *shown = str_is(path, "-") ? "stdin" : path.p;
    struct yaml_docs docs;
    if (fs_read(path.p, &file, e) < 0)
        return -1;
    struct kr_err wrong = { 0 };
    if (yaml_to_json(buf_view(&file), a, &docs, &wrong) < 0 || !docs.n) {
        l->wrong++;
        printf("%s: %s\n", shown, wrong.code ? wrong.msg : "there is no object in it");
        return 0;
    }
    for (size_t i = 0; i < docs.n; i++)
        lint_one(l, list, docs.docs[i].json, arena_fmt(a, "%s:%zu", shown, docs.docs[i].line), a);
    return 0;
}

static int lint_files(struct linting *l, const struct str *paths, size_t n, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 256 << 20 };
    struct submissions list = { 0 };
    for (size_t i = 0; i < n; i++)
        if (lint_file(l, &list, paths[i], &a, e) < 0)
            return -1;
    return 0;
}

static int run(struct applet_call *call, struct kr_err *e)
{
    struct linting l = { 0 };
    int rc = 0;
    if (!o.files.n && !call->nargs)
        return kr_fail(e, KR_USAGE, "no file: name one with -f");
    rc = lint_files(&l, o.files.v, o.files.n, e);
    if (rc == 0)
        rc = lint_files(&l, call->args, call->nargs, e);
    opt_list_free(&o.files);
    if (rc == 0 && l.wrong)
        return kr_fail(e, KR_INVALID, "%zu can't be submitted", l.wrong);
    return rc;
}

const struct applet applet_lint = {
    .name = "lint", .group = APPLET_WORK, .brief = "what is wrong with files of Runs, Runtimes and Workflows, and what may surprise", .args = "[FILE…]", .opts = opts,
    .help = "Checks what the server checks, and what submit checks beyond it, without a server. Exit status 2 when an object can't be submitted; warnings don't count.",
    .examples = "lint -f ci.yaml\nlint *.yaml", .main = run };
