/* SPDX-License-Identifier: Apache-2.0 */
/*
 * change: making, changing and deleting objects, or only saying what would be. With --dry-run=server the server checks all and
 * keeps nothing; with --dry-run=client nothing is sent that could change anything. Tests: tests/local/submit.py
 */
#include "applets/cli/change.h"
#include "applets/cli/which.h"
#include "core/terminal.h"
#include "core/uri.h"
#include <stdio.h>

enum { DRY_NONE, DRY_CLIENT, DRY_SERVER };
static const char *const dry_words[] = { "none", "client", "server", NULL };
static struct { int dry; struct str output; bool all; } o;
#define DRY_RUN { "dry-run", 0, OPT_ENUM, &o.dry, "WHERE", "change nothing, only check, here or by the server", .words = dry_words }
const struct opt cli_dry_run_opts[] = { DRY_RUN, { 0 } };
const struct opt cli_create_opts[] = {
    DRY_RUN,
    { "output", 'o', OPT_STR, &o.output, "FORM", "print what was made: name, json, yaml, jsonpath=TEMPLATE or custom-columns=HEADING:PATH,…" },
    { 0 } };
const struct opt cli_target_opts[] = {
    { "selector", 'l', OPT_STR, &cli_list.selector, "LABELS", "those with these labels" },
    { "field-selector", 0, OPT_STR, &cli_list.fields, "FIELDS", "those with these fields: status.phase=Failed" },
    { "older", 0, OPT_DURATION, &cli_list.older_us, "TIME", "those made before this last time: 90s, 24h", .lo = 1, .hi = INT64_MAX, .also = "older-than before" },
    { "all", 0, OPT_FLAG, &o.all, NULL, "all of the namespace" },
    DRY_RUN,
    { 0 } };

bool cli_is_dry(void) { return o.dry != DRY_NONE; }
bool cli_is_offline(void) { return o.dry == DRY_CLIENT; }
const char *cli_dry_suffix(void) { return o.dry == DRY_CLIENT ? " (dry run)" : o.dry == DRY_SERVER ? " (server dry run)" : ""; }

const char *cli_word(const struct kube_resource *r)
{
    return r == &kube_runs ? "run" : r == &kube_workflows ? "workflow" : r == &kube_runtimes ? "runtime" : r->plural;
}

static void put_dry(struct buf *path)
{
    if (o.dry == DRY_SERVER)
        uri_put_param(path, "dryRun", S("All"));
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

int made_begin(struct made *m, struct kr_err *e)
{
    *m = (struct made){ .items = { .arena = { .limit = LIMIT_KUBE_ANSWER } }, .asked = o.output.n > 0 };
    return cli_form(o.output, &m->form, &m->template, e);
}

/* What it would be called: of a generated name only the beginning is known. */
static struct str name_of(struct str object, struct arena *a)
{
    static const char *const name_path[] = { "metadata", "name" }, *const prefix_path[] = { "metadata", "generateName" };
    struct str name = json_str_of(json_find_path(object, name_path, 2), a);
    return name.n ? arena_str(a, name) : arena_fmt(a, "%.*s…", SFMT(json_str_of(json_find_path(object, prefix_path, 2), a)));
}

int made_add(struct made *m, struct cli *c, const struct kube_resource *r, struct str ns, struct str json, void *to, struct arena *a, struct str *name, struct kr_err *e)
{
    AUTO_BUF struct buf p = { .max = 4096 }, body = { .max = LIMIT_KUBE_ANSWER };
    if (o.dry == DRY_CLIENT) {
        buf_str(&body, json);
        body.max = LIMIT_KUBE_ANSWER;
    } else {
        kube_path(&p, r, ns, S(""), NULL);
        put_dry(&p);
        if (cli_call(c, &(struct kube_request){ .method = "POST", .path = buf_view(&p), .body = json }, &body, e) < 0)
            return -1;
    }
    struct str object = arena_str(&m->items.arena, buf_view(&body));
    *name = name_of(object, a);
    items_add(&m->items, object, (struct str){ 0 });
    if (to && !m->asked)
        fprintf(to, "%s/%.*s created%s\n", cli_word(r), SFMT(*name), cli_dry_suffix());
    return 0;
}

static int print_table(struct made *m, struct buf *out, struct kr_err *e)
{
    struct table t = { 0 };
    int rc = output_columns(&t, &(struct view){ .resource = &kube_runs }, m->form, m->template, e);
    if (rc == 0)
        rc = table_print(&t, &m->items, true, NULL, clock_system.wall_us(&clock_system), out, e);
    table_done(&t);
    return rc;
}

int made_print(struct made *m, struct kr_err *e)
{
    AUTO_BUF struct buf out = { .max = 4 * (size_t)LIMIT_KUBE_ANSWER };
    int rc = 0;
    if (m->asked && m->items.n) {
        bool table = m->form == FORM_WIDE || m->form == FORM_COLUMNS;
        rc = table ? print_table(m, &out, e) : output_print(&(struct view){ .resource = &kube_runs }, m->form, m->template, &m->items, m->items.n == 1, &out, e);
        if (rc == 0)
            rc = cli_print(buf_view(&out), e);
    }
    items_free(&m->items);
    return rc;
}

/* ---- meaning ----------------------------------------------------------------------------------------------------- */

int cli_change_one(struct cli *c, const struct kube_resource *r, struct str name, const char *method, struct str patch, const char *done, struct kr_err *e)
{
    AUTO_BUF struct buf p = { .max = 4096 };
    if (cli_named_at_all(name, e) < 0)
        return -1;
    kube_path(&p, r, str_of(c->own_ns), name, NULL);
    put_dry(&p);
    struct kube_request q = { .method = o.dry == DRY_CLIENT ? "GET" : method, .path = buf_view(&p), .body = o.dry == DRY_CLIENT ? S("") : patch,
                              .content_type = patch.n ? "application/merge-patch+json" : NULL };
    if (cli_call(c, &q, NULL, e) < 0)
        return -1;
    printf("%s/%.*s %s%s\n", cli_word(r), SFMT(name), done, cli_dry_suffix());
    return 0;
}

static int each_listed(struct cli *c, const struct kube_resource *r, int (*one)(struct cli *, struct str, struct kr_err *), struct kr_err *e)
{
    static const char *const name_path[] = { "metadata", "name" };
    AUTO_BUF struct buf p = { .max = LIMIT_HTTP1_START_LINE }, body = { .max = LIMIT_KUBE_ANSWER };
    kube_path(&p, r, str_of(c->own_ns), S(""), NULL);
    if (cli_list.selector.n)
        uri_put_param(&p, "labelSelector", cli_list.selector);
    if (cli_list.fields.n)
        uri_put_param(&p, "fieldSelector", cli_list.fields);
    if (cli_call(c, &(struct kube_request){ .method = "GET", .path = buf_view(&p),
                                            .accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json" }, &body, e) < 0)
        return -1;
    struct str list = json_find(buf_view(&body), "items");
    struct json_cur cur = json_begin(list);
    int rc = 0, any = 0;
    if (!list.p || json_kind(&cur) != JSON_ARRAY)
        return kr_fail(e, KR_PROTOCOL, "the API server's answer is no list");
    json_enter(&cur);
    while (rc == 0 && json_item(&cur)) {
        AUTO_ARENA struct arena a = { .limit = 65536 };
        struct item i = { .object = json_raw(&cur) };
        if (!item_is_recent(&i, made_at, loop_wall_us(c->loop)))
            continue;
        rc = one(c, json_str_of(json_find_path(i.object, name_path, 2), &a), e);
        if (rc < 0 && e->code == KR_NOT_FOUND) {  /* gone since it was listed */
            *e = (struct kr_err){ 0 };
            rc = 0;
        }
        any = 1;
    }
    if (!any)
        fprintf(stderr, "no %s found in namespace %s\n", r->plural, c->own_ns);
    return rc;
}

/* One that isn't there doesn't keep the others from it; the first such error is the command's. */
static int each_named(struct cli *c, const struct applet_call *call, int (*one)(struct cli *, struct str, struct kr_err *), struct kr_err *e)
{
    int rc = 0;
    for (size_t i = 0; i < call->nargs; i++) {
        struct kr_err why = { 0 };
        if (one(c, call->args[i], &why) == 0)
            continue;
        if (rc < 0)
            terminal_say("%s\n", why.msg);
        else
            *e = why;
        rc = -1;
        if (why.code != KR_NOT_FOUND)
            break;
    }
    return rc;
}

int cli_each(struct applet_call *call, const struct kube_resource *r, int (*one)(struct cli *, struct str name, struct kr_err *), struct kr_err *e)
{
    struct cli c;
    bool listed = o.all || cli_list.selector.n || cli_list.fields.n || cli_list.phases.n || cli_list.older_us;
    if (listed == (call->nargs > 0))
        return kr_fail(e, KR_USAGE, listed ? "names don't go together with selectors and --all" : "say which: names, or --selector, --field-selector, --phase, --older, or --all");
    int rc = cli_phases(r, e) < 0 ? -1 : cli_open(&c, e);
    if (rc < 0)
        return -1;
    rc = cli_latest(&c, r, call->args, call->nargs, e);
    if (rc == 0 && listed)
        rc = each_listed(&c, r, one, e);
    if (rc == 0)
        rc = each_named(&c, call, one, e);
    cli_close(&c);
    return rc;
}
