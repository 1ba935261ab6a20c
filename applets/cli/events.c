/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events: what the API has to tell of Runs, Runtimes and Workflows, and of the Deployments and pods of Runtimes, where images that can't
 * be pulled and quotas are told. Others' Events of the namespace are left out. Tests: tests/local/events.py
 */
#include "applets/cli/output.h"
#include "core/uri.h"
#include "crds/crds.h"
#include <stdio.h>

static struct { bool warnings; struct str kind, name; } o;
static const struct opt opts[] = {
    { "warnings", 0, OPT_FLAG, &o.warnings, NULL, "only those of type Warning" },
    { 0 } };

/* "-7d9f-x2k4" behind the name that a Runtime's objects have: of its Deployment, ReplicaSet or pod, not of a Runtime whose name only begins alike. */
static bool is_tail(struct str tail)
{
    size_t dashes = 0;
    for (size_t i = 0; i < tail.n; i++)
        dashes += tail.p[i] == '-';
    return !tail.n || (tail.p[0] == '-' && dashes <= 2);
}

static bool of_runtime(struct str object, struct str runtime)
{
    AUTO_ARENA struct arena a = { .limit = 4096 };
    struct str own = runtime.n ? runtime_object_name(runtime, &a) : S("runtime-");
    return str_starts(object, own) && (!runtime.n || is_tail(str_from(object, own.n)));
}

static bool is_wanted(const struct json *object)
{
    struct str api = json_string(json_get(object, "apiVersion")), kind = json_string(json_get(object, "kind")), name = json_string(json_get(object, "name"));
    bool ours = str_starts(api, S("kruntimes.io/"));
    if (!o.kind.n)
        return ours || of_runtime(name, S(""));
    if (ours && str_eq(kind, o.kind))
        return str_eq(name, o.name);
    return !ours && str_is(o.kind, "Runtime") && of_runtime(name, o.name);
}

static struct str seen_at(const struct json *event)
{
    static const struct { const char *in, *key; } places[] = {
        { NULL, "lastTimestamp" }, { "series", "lastObservedTime" }, { NULL, "eventTime" }, { NULL, "firstTimestamp" }, { "metadata", "creationTimestamp" } };
    struct str at = { 0 };
    for (size_t i = 0; i < LEN(places) && !at.n; i++)
        at = json_string(json_get(places[i].in ? json_get(event, places[i].in) : event, places[i].key));
    return at;
}

/* An Event whose writer used events.k8s.io, as kube-scheduler does, has other names for when, how often and by whom: it gets
 * those that columns, --sort-by and --since look for. */
static struct str as_core(struct str event, struct arena *to)
{
    AUTO_ARENA struct arena a = { .limit = 8 << 20 };
    AUTO_BUF struct buf b = { .max = LIMIT_KUBE_ANSWER };
    struct kr_err ignored = { 0 };
    struct json *tree = json_str_of(json_find(event, "lastTimestamp"), &a).n ? NULL : json_parse(&a, event, &ignored);      /* most have it */
    if (!tree)
        return event;
    const struct json *count = json_get(json_get(tree, "series"), "count");
    json_set(&a, tree, S("lastTimestamp"), json_new_str(&a, seen_at(tree)));
    json_set(&a, tree, S("count"), count ? json_clone(&a, count) : json_new_int(&a, 1));
    json_set(&a, json_ensure_object(&a, tree, "source"), S("component"), json_new_str(&a, json_string(json_get(tree, "reportingComponent"))));
    json_print(&b, tree);
    struct str text = arena_str(to, buf_view(&b));
    return text.p ? text : event;
}

/* One look at the text before a tree is made: a namespace may have many. */
static void take(struct items *l, struct str event)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    struct kr_err ignored = { 0 };
    struct json *object = json_parse(&a, json_find(event, "involvedObject"), &ignored);
    if (!object || !is_wanted(object) || (o.warnings && str_is(json_str_of(json_find(event, "type"), &a), "Normal")))
        return;
    items_add(l, as_core(event, &l->arena), (struct str){ 0 });
}

static int one_of(struct str named, struct kr_err *e)
{
    struct str name = named, kind = str_cut(&name, '/');
    if (!kind.n)
        return 0;
    const struct model_type *t = name.n ? crd_find(kind) : &type_run;
    if (!t)
        return kr_fail(e, KR_USAGE, "\"%.*s\" is none of run/NAME, runtime/NAME, workflow/NAME", SFMT(named));
    o.kind = str_of(t->kind);
    o.name = name.n ? name : kind;
    return 0;
}

static int run(struct applet_call *call, struct kr_err *e)
{
    static const char *const seen[2] = { "lastTimestamp", NULL };
    static const struct view_column columns[] = {
        { "Last-Seen", ".lastTimestamp", CELL_AGE, false }, { "Type", ".type", CELL_TEXT, false }, { "Reason", ".reason", CELL_TEXT, false },
        { "Kind", ".involvedObject.kind", CELL_TEXT, false }, { "Name", ".involvedObject.name", CELL_TEXT, false }, { "Count", ".count", CELL_TEXT, true },
        { "From", ".source.component", CELL_TEXT, true }, { "Message", ".message", CELL_TEXT, false }, { 0 } };
    struct cli c;
    if (one_of(call->nargs ? call->args[0] : S(""), e) < 0)
        return -1;
    if (!cli_list.sort_by.n && !cli_list.watch)
        cli_list.sort_by = S(".lastTimestamp");
    if (cli_open(&c, e) < 0)
        return -1;
    int rc = cli_show_view(&c, &(struct view){ .resource = &kube_events, .plural = "events", .name_form = "event", .time_path = seen, .columns = columns, .expand = take },
                           NULL, 0, e);
    cli_close(&c);
    return rc;
}

/* ---- for describe ------------------------------------------------------------------------------------------------ */

enum { TOLD = 5 };

/* Into `newest`, of which n are taken, in the order of time; true when there is one more. */
static bool keep_newest(struct str newest[TOLD], size_t n, struct str event)
{
    struct str at = json_find(event, "lastTimestamp");
    size_t place = n;
    while (place > 0 && str_cmp(json_find(newest[place - 1], "lastTimestamp"), at) > 0)
        place--;
    if (n < TOLD) {
        memmove(newest + place + 1, newest + place, (n - place) * sizeof *newest);
        newest[place] = event;
        return true;
    }
    if (place > 0) {                              /* the oldest goes */
        memmove(newest, newest + 1, (place - 1) * sizeof *newest);
        newest[place - 1] = event;
    }
    return false;
}

static void put_event(struct cli *c, bool first, struct str event, struct buf *b)
{
    static const char *const keys[] = { "lastTimestamp", "type", "reason", "message" };
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    struct str raw[LEN(keys)];
    char age[AGE_TEXT];
    json_pick(event, keys, raw, LEN(keys));
    buf_fmt(b, "%-14s %.*s ago %.*s %.*s: %.*s\n", first ? "Events:" : "", SFMT(cli_age(c, json_str_of(raw[0], &a), age)), SFMT(json_str_of(raw[1], &a)),
            SFMT(json_str_of(raw[2], &a)), SFMT(json_str_of(raw[3], &a)));
}

void cli_put_events(struct cli *c, struct str ns, struct str uid, struct buf *b)
{
    AUTO_BUF struct buf path = { .max = 4096 }, body = { .max = LIMIT_KUBE_ANSWER }, field = { .max = 256 };
    struct kr_err e = { 0 };
    AUTO_ARENA struct arena a = { .limit = LIMIT_KUBE_ANSWER };
    struct str newest[TOLD];
    size_t n = 0;
    kube_path(&path, &kube_events, ns, S(""), NULL);
    buf_fmt(&field, "involvedObject.uid=%.*s", SFMT(uid));
    uri_put_param(&path, "fieldSelector", buf_view(&field));
    if (cli_ask(c, &(struct kube_request){ .method = "GET", .path = buf_view(&path) }, &body, NULL, &e) < 0) {
        buf_fmt(b, "%-14s %s\n", "Events:", e.msg);
        return;
    }
    struct str items = json_find(buf_view(&body), "items");
    struct json_cur cur = json_begin(items);
    if (!items.p || json_kind(&cur) != JSON_ARRAY)
        return;
    for (json_enter(&cur); json_item(&cur);)
        n += keep_newest(newest, n, as_core(json_raw(&cur), &a));
    for (size_t i = 0; i < n; i++)
        put_event(c, !i, newest[i], b);
}

const struct applet applet_events = {
    .name = "events", .group = APPLET_WORK, .brief = "what went wrong or was refused lately", .aliases = (const char *const[]){ "ev", NULL }, .args = "[KIND/NAME]", .max_args = 1,
    .opts = opts, .help = "Of Runs, Runtimes and Workflows, and of the pods of Runtimes; the newest last. Clusters forget Events after an hour or so: what decides is also in "
                          "the objects themselves (describe).",
    .examples = "events\nevents runtime/bash --warnings\nevents -A -w", .shared = (const struct opt *const[]){ cli_list_opts, cli_opts, NULL }, .main = run };
