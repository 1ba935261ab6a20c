/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli: the connection and the waiting. Everything runs on one loop that turns until the answer is there.
 */
#include "applets/cli/cli.h"
#include "core/fs.h"
#include "core/version.h"
#include <stdio.h>

static struct { struct kube_flags kube; struct str ns, selector, output; bool all; } o;
const struct opt cli_opts[] = {
    KUBE_FLAG_OPTS(o.kube),
    { "namespace", 'n', OPT_STR, &o.ns, "NAME", "namespace (default: the context's)" },
    { 0 } };
const struct opt cli_list_opts[] = {
    { "all-namespaces", 'A', OPT_FLAG, &o.all, NULL, "of all namespaces" },
    { "selector", 'l', OPT_STR, &o.selector, "LABELS", "only those with these labels: a=b,c!=d,e" },
    { "output", 'o', OPT_STR, &o.output, "FORM", "wide, name, json, yaml or jsonpath=TEMPLATE" },
    { 0 } };

struct str cli_selector(void) { return o.selector.p ? o.selector : S(""); }
bool cli_all_namespaces(void) { return o.all; }

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
    if (e->code != KR_NOT_FOUND || f->kubeconfig.n || f->context.n || f->cluster.n || f->user.n || f->server.n || !local_kubeconfig(path))
        return -1;
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
    c->ns = o.all ? S("") : str_of(c->own_ns);
    kube_config_free(&kc);
    if (c->kube)
        return 0;
    cli_close(c);
    return -1;
}

void cli_close(struct cli *c)
{
    kube_free(c->kube);
    if (c->loop)
        loop_free(c->loop);
    free(c->own_ns);
    *c = (struct cli){ 0 };
}

/* ---- one request ------------------------------------------------------------------------------------------------- */

struct waiting { bool done; struct buf *body; struct kr_err e; };

static void answered(void *ctx, const struct kube_result *r)
{
    struct waiting *w = ctx;
    w->done = true;
    if (r->error)
        w->e = *r->error;
    else if (w->body)
        buf_str(w->body, r->body);
}

static bool is_done(void *ctx) { return ((struct waiting *)ctx)->done; }

int cli_call(struct cli *c, const struct kube_request *q, struct buf *body, struct kr_err *e)
{
    struct waiting w = { .body = body };
    if (body && !body->max)
        body->max = LIMIT_KUBE_ANSWER;
    struct kube_call *call = kube_send(c->kube, q, (struct kube_user){ answered, &w });
    if (loop_run_until(c->loop, is_done, &w, INT64_MAX) != 0) {
        kube_cancel(call);
        return kr_fail(e, KR_CANCELLED, "interrupted");
    }
    if (!w.e.code)
        return 0;
    *e = w.e;
    return -1;
}

int cli_get(struct cli *c, const struct kube_resource *r, struct str ns, struct str name, struct buf *body, struct kr_err *e)
{
    AUTO_BUF struct buf p = { .max = 4096 };
    kube_path(&p, r, ns, name, NULL);
    return cli_call(c, &(struct kube_request){ .method = "GET", .path = buf_view(&p) }, body, e);
}

int cli_form(enum cli_form *form, struct str *template, struct kr_err *e)
{
    static const char *const words[] = { "", "wide", "name", "json", "yaml" };
    *template = S("");
    for (size_t i = 0; i < LEN(words); i++)
        if (str_is(o.output, words[i])) {
            *form = (enum cli_form)i;
            return 0;
        }
    if (!str_starts(o.output, S("jsonpath=")))
        return kr_fail(e, KR_USAGE, "--output: \"%.*s\" is none of wide, name, json, yaml, jsonpath=TEMPLATE", SFMT(o.output));
    *form = FORM_JSONPATH;
    *template = str_from(o.output, 9);
    return 0;
}

struct str cli_age(struct cli *c, struct str text, char out[32])
{
    int64_t then;
    if (!text.n || !time_parse(text, &then))
        return S("<unknown>");
    long long s = (loop_wall_us(c->loop) - then) / 1000000;
    int n = s < 120 ? snprintf(out, 32, "%llds", s < 0 ? 0 : s) : s < 7200 ? snprintf(out, 32, "%lldm", s / 60)
          : s < 172800 ? snprintf(out, 32, "%lldh", s / 3600) : snprintf(out, 32, "%lldd", s / 86400);
    return (struct str){ out, (size_t)n };
}
