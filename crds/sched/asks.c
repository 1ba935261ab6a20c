/* SPDX-License-Identifier: Apache-2.0 */
/*
 * asks: one list a question, page by page until a Run that was assigned is found. The server selects by
 * spec.workspace.name; what it sends is looked at anyway, as a server that knows no such field gets the question without it.
 * After a page that was too large, or didn't come in its time, half as many are asked for.
 * Tests: tests/unit/crds/asks.c, tests/unit/applets/scheduler.c, tests/local/workspaces.py
 */
#include "crds/sched/asks.h"
#include "core/json.h"
#include "core/log.h"
#include "core/uri.h"

enum { WAIT_MIN_US = 50000, WAIT_MAX_US = 3200000, PAGE_MAX = 500 };
struct ask {
    struct ask *next, **at;
    struct asks *all;
    char *ns, *runtime, *workspace, *page;        /* page: the continue token, or NULL */
    bool no_fields;                               /* the server refused the field selector */
    int limit;                                    /* Runs of a page */
    int64_t wait_us;
    struct timer again;
    struct kube_call *call;
};
struct asks { struct kube *k; struct ask *list; asks_found *found; void *ctx; };

struct str asks_look(struct str list, struct str runtime, struct str workspace, struct arena *a)
{
    static const char *const of[] = { "spec", "runtime" }, *const name[] = { "spec", "workspace", "name" }, *const pod[] = { "status", "assignedPodUID" };
    struct str items = json_find(list, "items");
    if (!items.n)
        return S("");
    struct json_cur c = json_begin(items);
    struct str found = S("");
    if (json_kind(&c) != JSON_ARRAY)
        return found;
    for (json_enter(&c); json_item(&c);) {
        struct str run = json_raw(&c), uid = json_str_of(json_find_path(run, pod, 2), a);
        if (uid.n && str_eq(json_str_of(json_find_path(run, of, 2), a), runtime) && str_eq(json_str_of(json_find_path(run, name, 3), a), workspace))
            found = uid;
    }
    return found;
}

static void drop(struct ask *q)
{
    *q->at = q->next;
    if (q->next)
        q->next->at = q->at;
    kube_cancel(q->call);
    loop_timer_stop(kube_loop(q->all->k), &q->again);
    free(q->ns);
    free(q->runtime);
    free(q->workspace);
    free(q->page);
    free(q);
}

static void send_ask(struct ask *q);

static void again(struct loop *loop, struct timer *t)
{
    (void)loop;
    send_ask(container_of(t, struct ask, again));
}

static void failed(struct ask *q, const struct kr_err *e)
{
    free(TAKE(q->page));
    if (e->code == KR_BAD_REQUEST && !q->no_fields) {
        q->no_fields = true;
        send_ask(q);
        return;
    }
    if ((e->code == KR_TOO_LARGE || e->code == KR_DEADLINE) && q->limit > 1)
        q->limit /= 2;
    log_warn(&log_std, "the pod of a workspace could not be asked for", LOG_Z("namespace", q->ns), LOG_Z("workspace", q->workspace), LOG_ERR(e));
    q->wait_us = q->wait_us ? q->wait_us * 2 : WAIT_MIN_US;
    if (q->wait_us > WAIT_MAX_US)
        q->wait_us = WAIT_MAX_US;
    q->again.fire = again;
    loop_timer_in(kube_loop(q->all->k), &q->again, q->wait_us);
}

static void answered(void *ctx, const struct kube_result *r)
{
    struct ask *q = ctx;
    static const char *const token[] = { "metadata", "continue" };
    AUTO_ARENA struct arena a = { .limit = LIMIT_KUBE_ANSWER };
    q->call = NULL;
    if (r->error) {
        failed(q, r->error);
        return;
    }
    struct str uid = asks_look(r->body, str_of(q->runtime), str_of(q->workspace), &a);
    struct str page = json_str_of(json_find_path(r->body, token, 2), &a);
    if (!uid.n && page.n) {
        free(q->page);
        q->page = xstrndup(page.p, page.n);
        send_ask(q);
        return;
    }
    q->all->found(q->all->ctx, str_of(q->ns), str_of(q->runtime), str_of(q->workspace), uid);
    drop(q);
}

static void send_ask(struct ask *q)
{
    AUTO_BUF struct buf path = { .max = 16384 }, fields = { .max = 256 }, page = { .max = 16 };
    kube_path(&path, &kube_runs, str_of(q->ns), S(""), NULL);
    buf_fmt(&fields, "spec.workspace.name=%s", q->workspace);
    if (!q->no_fields)
        uri_put_param(&path, "fieldSelector", buf_view(&fields));
    buf_fmt(&page, "%d", q->limit);
    uri_put_param(&path, "limit", buf_view(&page));
    if (q->page)
        uri_put_param(&path, "continue", str_of(q->page));
    q->call = kube_send(q->all->k, &(struct kube_request){ .method = "GET", .path = buf_view(&path) }, (struct kube_user){ answered, q });
}

void asks_send(struct asks *all, struct str ns, struct str runtime, struct str workspace)
{
    struct ask *q = xcalloc(1, sizeof *q);
    *q = (struct ask){ .next = all->list, .at = &all->list, .all = all, .ns = xstrndup(ns.p, ns.n), .runtime = xstrndup(runtime.p, runtime.n),
                       .workspace = xstrndup(workspace.p, workspace.n), .limit = PAGE_MAX };
    if (all->list)
        all->list->at = &q->next;
    all->list = q;
    send_ask(q);
}

struct asks *asks_new(struct kube *k, asks_found *found, void *ctx)
{
    struct asks *all = xcalloc(1, sizeof *all);
    *all = (struct asks){ .k = k, .found = found, .ctx = ctx };
    return all;
}

void asks_free(struct asks *all)
{
    while (all && all->list)
        drop(all->list);
    free(all);
}
