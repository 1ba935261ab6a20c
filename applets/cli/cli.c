/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli: the connection and the waiting. Everything runs on one loop that turns until the answer is there.
 */
#include "applets/cli/cli.h"
#include "core/fs.h"
#include "core/version.h"
#include <stdio.h>

static struct { struct kube_flags kube; struct str ns; } o;
const struct opt cli_opts[] = {
    KUBE_FLAG_OPTS(o.kube),
    { "namespace", 'n', OPT_STR, &o.ns, "NAME", "namespace (default: the context's)" },
    { 0 } };
struct cli_list cli_list = { .headers = true, .chunk = 5000 };
const struct opt cli_list_opts[] = {
    { "all-namespaces", 'A', OPT_FLAG, &cli_list.all, NULL, "of all namespaces" },
    { "selector", 'l', OPT_STR, &cli_list.selector, "LABELS", "only those with these labels: a=b,c!=d,e" },
    { "field-selector", 0, OPT_STR, &cli_list.fields, "FIELDS", "only those with these fields: status.phase=Failed,spec.runtime!=bash" },
    { "since", 0, OPT_DURATION, &cli_list.since_us, "TIME", "only what was made in this last time: 90s, 24h", .lo = 1, .hi = INT64_MAX, .also = "newer newer-than" },
    { "older", 0, OPT_DURATION, &cli_list.older_us, "TIME", "only what was made before that", .lo = 1, .hi = INT64_MAX, .also = "older-than before" },
    { "output", 'o', OPT_STR, &cli_list.output, "FORM", "wide, name, json, yaml, jsonpath=TEMPLATE or custom-columns=HEADING:PATH,…", .also = "template format" },
    { "sort-by", 0, OPT_STR, &cli_list.sort_by, "PATH", "in the order of this field: .metadata.creationTimestamp, .status.duration" },
    { "headers", 0, OPT_FLAG, &cli_list.headers, NULL, "a line of headings above a table; --no-headers: none" },
    { "watch", 'w', OPT_FLAG, &cli_list.watch, NULL, "then each change, until it is interrupted" },
    { "output-watch-events", 0, OPT_FLAG, &cli_list.events, NULL, "with --watch say what each is: ADDED, MODIFIED, DELETED" },
    { "chunk-size", 0, OPT_INT, &cli_list.chunk, "N", "so many are asked of the server at a time; 0: all at once", .lo = 0, .hi = INT32_MAX, .given = &cli_list.has_chunk },
    { 0 } };
const struct opt cli_label_opts[] = {
    { "label-columns", 'L', OPT_LIST, &cli_list.label_columns, "KEY,…", "a column for each of these labels (repeatable)" },
    { "show-labels", 0, OPT_FLAG, &cli_list.labels, NULL, "a column with all labels" },
    { 0 } };

/* A local instance's kubeconfig, where it would be. */
static bool local_kubeconfig(char path[4096])
{
    const char *dir = getenv("KRUNTIMES_STATE_DIR"), *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (dir && *dir)
        snprintf(path, 4096, "%s/kubeconfig", dir);
    else if (state && *state)
        snprintf(path, 4096, "%s/kruntimes/kubeconfig", state);
    else
        snprintf(path, 4096, "%s/.local/state/kruntimes/kubeconfig", home ? home : "");
    return fs_exists(path);
}

static int find_config(struct kube_config *kc, struct kr_err *e)
{
    char path[4096];
    const struct kube_flags *f = &o.kube;
    if (kube_config_find(kc, f, e) == 0)
        return 0;
    struct kr_err was = *e;
    if (str_find(str_of(was.msg), S("No such file")) >= 0 || str_find(str_of(was.msg), S("none of the kubeconfig files")) >= 0)
        return kr_fail(e, was.code, "kubeconfig: %s; name one that is there, or none: then ~/.kube/config or an instance on this machine is taken", was.msg);
    if (e->code != KR_NOT_FOUND || f->kubeconfig.n || f->context.n || f->cluster.n || f->user.n || f->server.n)
        return -1;
    if (!local_kubeconfig(path)) {
        struct kr_err why = *e;
        return getenv("KUBECONFIG") ? -1 : kr_fail(e, why.code, "%s; give one, or start an instance on this machine: kruntimes local up", why.msg);
    }
    *e = (struct kr_err){ 0 };
    if (kube_config_load(kc, path, S(""), e) < 0)
        return -1;
    fprintf(stderr, "no kubeconfig: using the local instance (%s)\n", path);
    return 0;
}

int cli_open(struct cli *c, struct kr_err *e)
{
    struct kube_config kc;
    char agent[80];
    *c = (struct cli){ 0 };
    if (find_config(&kc, e) < 0)
        return -1;
    rnd_system(&c->rnd);
    c->loop = loop_new(&clock_system);
    snprintf(agent, sizeof agent, "kruntimes/%s", kr_version);
    c->kube = kube_new(c->loop, &kc, agent, e);
    struct str ns = o.ns.n ? o.ns : kc.ns;
    c->own_ns = xstrndup(ns.p, ns.n);
    c->context = xstrndup(kc.context.n ? kc.context.p : "", kc.context.n);
    c->source = xstrndup(kc.source.n ? kc.source.p : "", kc.source.n);
    c->ns = cli_list.all ? S("") : str_of(c->own_ns);
    kube_config_free(&kc);
    if (c->kube)
        return 0;
    cli_close(c);
    return -1;
}

int cli_open_maybe(struct cli *c, bool offline, struct kr_err *e)
{
    int rc = cli_open(c, e);
    if (rc == 0 || !offline || e->code != KR_NOT_FOUND)
        return rc;
    *e = (struct kr_err){ 0 };
    c->own_ns = xstrndup(o.ns.n ? o.ns.p : "default", o.ns.n ? o.ns.n : 7);
    c->ns = str_of(c->own_ns);
    return 0;
}

void cli_close(struct cli *c)
{
    kube_free(c->kube);
    if (c->loop)
        loop_free(c->loop);
    free(c->own_ns);
    free(c->context);
    free(c->source);
    opt_list_free(&cli_list.phases);
    opt_list_free(&cli_list.label_columns);
    *c = (struct cli){ 0 };
}

/* ---- one request ------------------------------------------------------------------------------------------------- */

struct waiting { bool done; struct buf *body; int64_t date_us; struct kr_err e; };

static void answered(void *ctx, const struct kube_result *r)
{
    struct waiting *w = ctx;
    w->done = true;
    w->date_us = r->date_us;
    if (r->error)
        w->e = *r->error;
    else if (w->body)
        buf_str(w->body, r->body);
}

static bool is_done(void *ctx) { return ((struct waiting *)ctx)->done; }

int cli_ask(struct cli *c, const struct kube_request *q, struct buf *body, int64_t *date_us, struct kr_err *e)
{
    struct waiting w = { .body = body };
    if (body && !body->max)
        body->max = LIMIT_KUBE_ANSWER;
    struct kube_call *call = kube_send(c->kube, q, (struct kube_user){ answered, &w });
    if (loop_run_until(c->loop, is_done, &w, INT64_MAX) != 0) {
        kube_cancel(call);
        return kr_fail(e, KR_CANCELLED, "interrupted");
    }
    if (date_us)
        *date_us = w.date_us;
    if (!w.e.code)
        return 0;
    *e = w.e;
    return -1;
}

int cli_call(struct cli *c, const struct kube_request *q, struct buf *body, struct kr_err *e)
{
    if (cli_ask(c, q, body, NULL, e) == 0)
        return 0;
    cli_advise(c, e);
    return -1;
}

int cli_named_at_all(struct str name, struct kr_err *e) { return name.n ? 0 : kr_fail(e, KR_USAGE, "a name is empty: is a variable unset?"); }

int cli_get(struct cli *c, const struct kube_resource *r, struct str ns, struct str name, struct buf *body, struct kr_err *e)
{
    AUTO_BUF struct buf p = { .max = 4096 };
    if (cli_named_at_all(name, e) < 0)
        return -1;
    kube_path(&p, r, ns, name, NULL);
    return cli_call(c, &(struct kube_request){ .method = "GET", .path = buf_view(&p) }, body, e);
}

int cli_form(struct str output, enum cli_form *form, struct str *template, struct kr_err *e)
{
    static const char *const words[] = { "", "wide", "name", "json", "yaml" };
    *template = S("");
    for (size_t i = 0; i < LEN(words); i++)
        if (str_is(output, words[i])) {
            *form = (enum cli_form)i;
            return 0;
        }
    struct str rest = output, kind = str_cut(&rest, '=');
    bool columns = str_is(kind, "custom-columns");
    if (str_is(kind, "go-template") || str_is(kind, "template") || str_is(kind, "go-template-file") || str_is(kind, "templatefile"))
        return kr_fail(e, KR_USAGE, "--output: Go templates are not read here: jsonpath='{.metadata.name}' takes one thing, jsonpath='{range .items[*]}…{end}' goes "
                       "through a list, custom-columns=NAME:.metadata.name,… makes a table, and json is for other programs");
    if (!rest.p || !(columns || str_is(kind, "jsonpath")))
        return kr_fail(e, KR_USAGE, "--output: \"%.*s\" is none of wide, name, json, yaml, jsonpath=TEMPLATE, custom-columns=HEADING:PATH,…", SFMT(output));
    *form = columns ? FORM_COLUMNS : FORM_JSONPATH;
    *template = rest;
    return 0;
}

struct str cli_age(struct cli *c, struct str text, char out[AGE_TEXT])
{
    int64_t then;
    if (!text.n || !time_parse(text, &then))
        return S("<unknown>");
    age_print(out, (loop_wall_us(c->loop) - then) / 1000000);
    return str_of(out);
}
