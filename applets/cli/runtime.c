/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runtime: the verbs of `kruntimes runtime`: pools are looked at here, scaled and deleted; what else is to change stands in a file.
 * Tests: tests/local/submit.py
 */
#include "applets/cli/change.h"
#include "crds/crds.h"
#include <stdio.h>

static const struct opt *const list_tables[] = { cli_list_opts, cli_label_opts, cli_opts, NULL };
static const struct opt *const plain_tables[] = { cli_opts, NULL };

static int get(struct applet_call *call, struct kr_err *e)
{
    struct cli c;
    if (cli_open(&c, e) < 0)
        return -1;
    int rc = cli_show(&c, &kube_runtimes, call->args, call->nargs, e);
    cli_close(&c);
    return rc;
}

static void counts(struct buf *b, const char *key, const struct count_map *m)
{
    for (size_t i = 0; i < m->n; i++)
        buf_fmt(b, "%-14s %.*s: %lld\n", i ? "" : key, SFMT(m->v[i].key), (long long)m->v[i].value);
}

static void put(struct cli *c, const struct runtime *r, struct buf *b)
{
    char age[32];
    buf_fmt(b, "%-14s %.*s\n%-14s %.*s\n%-14s %.*s\n", "Name:", SFMT(r->metadata.name), "Namespace:", SFMT(r->metadata.namespace), "Age:",
            SFMT(cli_age(c, r->metadata.creation_timestamp, age)));
    buf_fmt(b, "%-14s %.*s\n%-14s %.*s\n", "Server:", SFMT(r->spec.server), "Isolation:", SFMT(r->spec.isolation));
    buf_fmt(b, "%-14s %lld wanted, %lld there, %lld ready\n", "Pods:", (long long)(r->spec.has_replicas ? r->spec.replicas : 1),
            (long long)r->status.replicas, (long long)r->status.ready_replicas);
    counts(b, "Per pod:", &r->spec.capacity.resources);
    counts(b, "Capacity:", &r->status.capacity);
    counts(b, "Used:", &r->status.used);
    for (size_t i = 0; i < r->status.conditions.n; i++)
        buf_fmt(b, "%-14s %.*s=%.*s %.*s%s%.*s\n", i ? "" : "Conditions:", SFMT(r->status.conditions.v[i].type), SFMT(r->status.conditions.v[i].status),
                SFMT(r->status.conditions.v[i].reason), r->status.conditions.v[i].message.n ? ": " : "", SFMT(r->status.conditions.v[i].message));
}

static int describe(struct applet_call *call, struct kr_err *e)
{
    struct cli c;
    int rc = cli_open(&c, e);
    for (size_t i = 0; rc == 0 && i < call->nargs; i++) {
        AUTO_BUF struct buf body = { .max = LIMIT_KUBE_ANSWER }, out = { .max = LIMIT_KUBE_ANSWER };
        AUTO_ARENA struct arena a = { .limit = 16 << 20 };
        rc = cli_get(&c, &kube_runtimes, str_of(c.own_ns), call->args[i], &body, e);
        struct runtime *r = rc == 0 ? model_decode(runtime, buf_view(&body), &a, e) : NULL;
        if (!r) {
            rc = -1;
            break;
        }
        put(&c, r, &out);
        cli_put_events(&c, r->metadata.namespace, r->metadata.uid, &out);
        rc = cli_print(buf_view(&out), e);
    }
    cli_close(&c);
    return rc;
}

/* ---- changing ---------------------------------------------------------------------------------------------------- */

static struct { int64_t replicas; } o;
static const struct opt scale_opts[] = {
    { "replicas", 0, OPT_INT, &o.replicas, "N", "so many pods; 0: none, and Runs wait", .lo = 0, .hi = INT32_MAX, .required = true },
    { 0 } };
static const struct opt *const scale_tables[] = { cli_target_opts, cli_opts, NULL };

static int scale_one(struct cli *c, struct str name, struct kr_err *e)
{
    char patch[64];
    snprintf(patch, sizeof patch, "{\"spec\":{\"replicas\":%lld}}", (long long)o.replicas);
    return cli_change_one(c, &kube_runtimes, name, "PATCH", str_of(patch), "scaled", e);
}

static int delete_one(struct cli *c, struct str name, struct kr_err *e) { return cli_change_one(c, &kube_runtimes, name, "DELETE", S(""), "deleted", e); }
static int scale(struct applet_call *call, struct kr_err *e) { return cli_each(call, &kube_runtimes, scale_one, e); }
static int delete(struct applet_call *call, struct kr_err *e) { return cli_each(call, &kube_runtimes, delete_one, e); }

static const struct applet verb_scale = { .name = "scale", .brief = "have more or fewer pods", .args = "[NAME…]", .names = "runtimes", .opts = scale_opts,
                                          .help = "Runs on a pod that goes are let end, as long as its terminationGracePeriodSeconds has them.",
                                          .examples = "runtime scale bash --replicas 5", .shared = scale_tables, .main = scale };
static const struct applet verb_delete = { .name = "delete", .brief = "delete Runtimes and their pods", .args = "[NAME…]", .names = "runtimes", .shared = scale_tables,
                                           .help = "Runs on its pods are let end first; those that wait for it stay, and wait.", .examples = "runtime delete bash --dry-run=server", .main = delete };
static const struct applet verb_get = { .name = "get", .brief = "Runtimes as a table or in another form", .args = "[NAME…]", .names = "runtimes", .shared = list_tables,
                                        .main = get };
static const struct applet verb_list = { .name = "list", .brief = "all Runtimes of the namespace as a table", .aliases = (const char *const[]){ "ls", NULL },
                                         .shared = list_tables, .main = get };
static const struct applet verb_describe = { .name = "describe", .brief = "all about it, in words", .args = "NAME…", .names = "runtimes", .min_args = 1,
                                             .shared = plain_tables, .main = describe };
const struct applet applet_runtime = {
    .name = "runtime", .group = APPLET_WORK, .brief = "look at Runtimes, scale and delete them", .aliases = (const char *const[]){ "runtimes", "rt", NULL },
    .verbs = (const struct applet *const[]){ &verb_get, &verb_list, &verb_describe, &verb_scale, &verb_delete, NULL } };
