/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease: get, then create, or patch with the resourceVersion that was seen; one request at a time, one timer. Held means:
 * renewed within two thirds of the duration, counted from when the renewing request was sent: the rest is for what was sent
 * last, so that a write of the old holder doesn't arrive among those of the new one. Tested in tests/unit/k8s/lease.c.
 */
#include "k8s/lease.h"
#include "core/json.h"

struct lease {
    struct kube *k;
    struct loop *loop;
    struct rnd *rnd;
    char *ns, *name, *holder;
    struct lease_config c;
    struct kube_call *call;
    struct timer again, expiry;
    bool held, raced;                             /* raced: the last write met another one; it was looked at again at once */
    int64_t sent_us, seen_us, until_us;           /* renewal under way; when the other's record last changed; held until then */
    struct buf version, seen;                     /* of the object; the other's holder and its version (clocks may repeat themselves) */
    int64_t transitions;
    void (*over)(void *);
    void *over_ctx;
};

static void look(struct lease *l);

static void wait(struct lease *l, int64_t us) { loop_timer_in(l->loop, &l->again, us + (int64_t)rnd_below(l->rnd, (uint64_t)us / 10 + 1)); }

static void trouble(struct lease *l, const struct kr_err *e)
{
    bool waited = e->code == KR_DEADLINE;        /* for an answer, which is long enough */
    wait(l, !l->held ? l->c.renew_us : waited ? 0 : l->c.renew_us * 2 / 5);      /* who holds it has not long */
    if (l->c.trouble)
        l->c.trouble(l->c.ctx, e);                /* last: it may free us */
}

static void lose(struct lease *l, const struct kr_err *e)
{
    if (!l->held)
        return;
    l->held = false;
    loop_timer_stop(l->loop, &l->expiry);
    l->c.lost(l->c.ctx, e);
}

static void expired(struct loop *loop, struct timer *t)
{
    (void)loop;
    struct lease *l = container_of(t, struct lease, expiry);
    struct kr_err e = { 0 };
    kr_fail(&e, KR_DEADLINE, "the lease \"%s\" could not be renewed in time", l->name);
    lose(l, &e);
}

bool lease_is_held(const struct lease *l) { return l->held && loop_now_us(l->loop) < l->until_us; }

/* An attempt that hangs must leave time for another one, and all that the holder writes may wait for it, but not the other way round. */
static struct kube_call *send(struct lease *l, const char *method, bool by_name, struct str body, const char *type, struct kube_user user)
{
    AUTO_BUF struct buf p = { .max = 4096 };
    kube_path(&p, &kube_leases, str_of(l->ns), by_name ? str_of(l->name) : (struct str){ 0 }, NULL);
    return kube_send(l->k, &(struct kube_request){ .method = method, .path = buf_view(&p), .body = body, .content_type = type, .kind = "Lease",
                                                   .timeout_us = l->c.duration_us / 5, .unfenced = true, .first = true }, user);
}

static void write_spec(struct lease *l, struct buf *b, bool release)
{
    char now[TIME_TEXT];
    time_print_micro(now, loop_wall_us(l->loop));
    jw_kbegin(b, "spec", '{');
    jw_kstr(b, "holderIdentity", release ? S("") : str_of(l->holder));
    jw_kint(b, "leaseDurationSeconds", release ? 1 : l->c.duration_us / 1000000);
    jw_kstr(b, "renewTime", str_of(now));
    if (!l->held)
        jw_kstr(b, "acquireTime", str_of(now));
    jw_kint(b, "leaseTransitions", l->transitions);
    jw_end(b, '}');
}

static void written(void *ctx, const struct kube_result *r)
{
    struct lease *l = ctx;
    static const char *const path[] = { "metadata", "resourceVersion" };
    AUTO_ARENA struct arena a = { .limit = 4096 };
    l->call = NULL;
    if (r->error) {
        buf_clear(&l->version);
        l->raced = !l->raced && (r->error->code == KR_CONFLICT || r->error->code == KR_EXISTS);
        if (l->raced)
            look(l);
        else
            trouble(l, r->error);                 /* twice in a row, nobody else is in sight: somebody on the way says no */
        return;
    }
    l->raced = false;
    buf_clear(&l->version);
    buf_str(&l->version, json_str_of(json_find_path(r->body, path, 2), &a));
    l->until_us = l->sent_us + l->c.duration_us / 3 * 2;
    loop_timer_at(l->loop, &l->expiry, l->until_us);
    wait(l, l->c.renew_us);
    if (!l->held) {
        l->held = true;
        l->c.won(l->c.ctx);
    }
}

static void take(struct lease *l, bool create)
{
    AUTO_BUF struct buf b = { .max = 2048 };
    jw_begin(&b, '{');
    if (create) {
        jw_kstr(&b, "apiVersion", S("coordination.k8s.io/v1"));
        jw_kstr(&b, "kind", S("Lease"));
    }
    jw_kbegin(&b, "metadata", '{');
    jw_kstr(&b, "name", str_of(l->name));
    if (!create)
        jw_kstr(&b, "resourceVersion", buf_view(&l->version));
    jw_end(&b, '}');
    write_spec(l, &b, false);
    jw_end(&b, '}');
    l->sent_us = loop_now_us(l->loop);
    struct kube_user user = { written, l };
    l->call = create ? send(l, "POST", false, buf_view(&b), NULL, user) : send(l, "PATCH", true, buf_view(&b), "application/merge-patch+json", user);
}

/* As the API has it, 32 bits; *n stays where there is none. */
static void number(struct str text, int64_t least, int64_t *n)
{
    int64_t v;
    if (str_i64(text, &v) && v >= least && v < INT32_MAX)
        *n = v;
}

static void looked(void *ctx, const struct kube_result *r)
{
    struct lease *l = ctx;
    static const char *const rv[] = { "metadata", "resourceVersion" }, *const holder[] = { "spec", "holderIdentity" },
                      *const transitions[] = { "spec", "leaseTransitions" },
                      *const duration[] = { "spec", "leaseDurationSeconds" };
    AUTO_ARENA struct arena a = { .limit = 4096 };
    int64_t seconds = l->c.duration_us / 1000000;
    l->call = NULL;
    if (r->error && r->error->code == KR_NOT_FOUND) {
        take(l, true);
        return;
    }
    if (r->error) {
        trouble(l, r->error);
        return;
    }
    struct str who = json_str_of(json_find_path(r->body, holder, 2), &a);
    buf_clear(&l->version);
    buf_str(&l->version, json_str_of(json_find_path(r->body, rv, 2), &a));
    number(json_find_path(r->body, transitions, 2), 0, &l->transitions);
    number(json_find_path(r->body, duration, 2), 1, &seconds);
    if (!who.n || str_is(who, l->holder)) {
        l->transitions += !who.n;
        take(l, false);
        return;
    }
    bool was_ours = l->held;
    l->raced = false;
    struct str record = arena_fmt(&a, "%.*s %.*s", SFMT(who), SFMT(buf_view(&l->version)));
    if (!str_eq(record, buf_view(&l->seen))) {
        buf_clear(&l->seen);
        buf_str(&l->seen, record);
        l->seen_us = loop_now_us(l->loop);
    }
    int64_t left = l->seen_us + seconds * 1000000 - loop_now_us(l->loop);
    if (left <= 0 && !was_ours) {
        l->transitions++;
        take(l, false);
    } else {
        wait(l, left < l->c.renew_us && left > 0 ? left : l->c.renew_us);
    }
    if (was_ours) {
        struct kr_err e = { 0 };
        kr_fail(&e, KR_CONFLICT, "the lease \"%s\" was taken by \"%.*s\"", l->name, SFMT(who));
        lose(l, &e);
    }
}

static void look(struct lease *l) { l->call = send(l, "GET", true, (struct str){ 0 }, NULL, (struct kube_user){ looked, l }); }

static void released(struct lease *l)
{
    void (*over)(void *) = l->over;
    void *ctx = l->over_ctx;
    lease_free(l);
    over(ctx);
}

static void release_answered(void *ctx, const struct kube_result *r)
{
    (void)r;
    struct lease *l = ctx;
    l->call = NULL;
    released(l);
}

static void again_fired(struct loop *loop, struct timer *t)
{
    (void)loop;
    struct lease *l = container_of(t, struct lease, again);
    if (l->over)
        released(l);
    else if (l->held && l->version.n)
        take(l, false);
    else
        look(l);
}

struct lease *lease_new(struct kube *k, const struct lease_config *c, struct rnd *rnd)
{
    struct lease *l = xcalloc(1, sizeof *l);
    *l = (struct lease){ .k = k, .loop = kube_loop(k), .rnd = rnd, .c = *c, .again = { .fire = again_fired }, .expiry = { .fire = expired },
                         .version = { .max = 512 }, .seen = { .max = 1024 } };
    l->ns = xstrndup(c->ns.p, c->ns.n);
    l->name = xstrndup(c->name.p, c->name.n);
    l->holder = xstrndup(c->holder.p, c->holder.n);
    if (!l->c.duration_us)
        l->c.duration_us = 15000000;
    if (!l->c.renew_us)
        l->c.renew_us = l->c.duration_us / 3;
    look(l);
    return l;
}

void lease_release(struct lease *l, void (*over)(void *), void *ctx)
{
    l->over = over;
    l->over_ctx = ctx;
    loop_timer_stop(l->loop, &l->expiry);
    kube_cancel(TAKE(l->call));
    if (l->held && l->version.n) {                /* without a version it might be another's by now: then it runs out */
        AUTO_BUF struct buf b = { .max = 2048 };
        jw_begin(&b, '{');
        jw_kbegin(&b, "metadata", '{');
        jw_kstr(&b, "resourceVersion", buf_view(&l->version));
        jw_end(&b, '}');
        write_spec(l, &b, true);
        jw_end(&b, '}');
        l->held = false;
        l->call = send(l, "PATCH", true, buf_view(&b), "application/merge-patch+json", (struct kube_user){ release_answered, l });
        loop_timer_in(l->loop, &l->again, 1000000);
    } else {
        loop_timer_in(l->loop, &l->again, 0);
    }
}

void lease_free(struct lease *l)
{
    if (!l)
        return;
    kube_cancel(l->call);
    loop_timer_stop(l->loop, &l->again);
    loop_timer_stop(l->loop, &l->expiry);
    free(l->ns);
    free(l->name);
    free(l->holder);
    buf_free(&l->version);
    buf_free(&l->seen);
    free(l);
}
