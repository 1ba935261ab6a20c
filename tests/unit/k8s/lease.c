/* SPDX-License-Identifier: Apache-2.0 */
#include "core/json.h"
#include "k8s/lease.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct candidate { struct here *h; struct kube *k; struct lease *l; int won, lost, trouble; bool over; enum kr_code why; bool free_on_lost; };

static void won(void *ctx) { ((struct candidate *)ctx)->won++; }
static void over(void *ctx) { ((struct candidate *)ctx)->over = true; }
static void lost(void *ctx, const struct kr_err *why)
{
    struct candidate *c = ctx;
    c->lost++;
    c->why = why->code;
    if (c->free_on_lost)
        lease_free(TAKE(c->l));
}
static void trouble(void *ctx, const struct kr_err *e) { (void)e; ((struct candidate *)ctx)->trouble++; }

static void stand(struct candidate *c, struct here *h, struct kube *k, struct str holder)
{
    *c = (struct candidate){ .h = h, .k = k };
    c->l = lease_new(k, &(struct lease_config){ .ns = S("default"), .name = S("leader"), .holder = holder, .duration_us = 15000000, .won = won,
                                                .lost = lost, .trouble = trouble, .ctx = c }, &h->rnd);
}

static int64_t spec_number(struct here *h, const char *field, struct str *holder, struct arena *a)
{
    struct here_answer r = { 0 };
    int64_t n = -1;
    kube_get(h->kube, &kube_leases, S("default"), S("leader"), here_into(&r));
    here_until(h, &r.over);
    CHECK_INT(r.status, 200);
    struct str spec = json_find(buf_view(&r.body), "spec");
    str_i64(json_find(spec, field), &n);
    *holder = arena_str(a, json_str_of(json_find(spec, "holderIdentity"), a));
    here_answer_free(&r);
    return n;
}

TEST(the_second_waits_until_the_first_has_not_renewed_for_the_duration)
{
    struct here h;
    struct candidate a, b;
    AUTO_ARENA struct arena arena = { .limit = 4096 };
    struct str holder;
    here_init(&h);
    stand(&a, &h, h.kube, S("a"));
    here_until_is(&h, &a.won, 1);
    CHECK_INT(spec_number(&h, "leaseTransitions", &holder, &arena), 0);
    CHECK_STR(holder, S("a"));
    lease_free(a.l);                              /* it dies without a word */
    stand(&b, &h, h.kube, S("b"));
    for (int i = 0; i < 2; i++) {
        spec_number(&h, "leaseTransitions", &holder, &arena);     /* an answer later, b has looked */
        here_skip(&h, 6000000);
    }
    spec_number(&h, "leaseTransitions", &holder, &arena);
    CHECK_INT(b.won, 0);
    here_skip(&h, 6000000);
    here_until_is(&h, &b.won, 1);
    CHECK_INT(spec_number(&h, "leaseTransitions", &holder, &arena), 1);
    CHECK_STR(holder, S("b"));
    lease_free(b.l);
    here_done(&h);
}

TEST(a_released_lease_is_taken_at_the_next_look_and_ones_own_at_once)
{
    struct here h;
    struct candidate a, b;
    here_init(&h);
    stand(&a, &h, h.kube, S("a"));
    here_until_is(&h, &a.won, 1);
    lease_free(a.l);
    stand(&a, &h, h.kube, S("a"));                /* the same name: a restarted container */
    here_until_is(&h, &a.won, 1);
    lease_release(a.l, over, &a);
    here_until(&h, &a.over);
    CHECK_INT(a.lost, 0);
    stand(&b, &h, h.kube, S("b"));
    here_until_is(&h, &b.won, 1);
    lease_free(b.l);
    here_done(&h);
}

TEST(a_lease_that_cannot_be_renewed_is_lost_before_its_duration_is_over)
{
    struct here h;
    struct candidate a;
    here_init(&h);
    struct kube *k = here_client(&h, h.port);
    stand(&a, &h, k, S("a"));
    here_until_is(&h, &a.won, 1);
    serve_free(TAKE(h.serve));                    /* nobody listens any more */
    static const int64_t steps[] = { 5600000, 2300000 };      /* once a third of the duration is over, then sooner */
    for (int i = 0; i < 2; i++) {
        here_skip(&h, steps[i]);
        here_until_is(&h, &a.trouble, i + 1);
        CHECK_INT(a.lost, 0);
    }
    here_skip(&h, 2300000);                       /* 10.2 s: the rest of the 15 is for what is under way */
    here_until_is(&h, &a.lost, 1);
    CHECK_INT(a.why, KR_DEADLINE);
    lease_release(a.l, over, &a);                 /* nothing to give up: over without an answer */
    here_until(&h, &a.over);
    kube_free(k);
    here_done(&h);
}

static void count(void *ctx, const struct kube_result *r)
{
    CHECK_INT(r->status, 404);
    ++*(int *)ctx;
}

/* More than the server takes at once: the others wait, and the lease goes before them. */
TEST(a_lease_does_not_wait_behind_what_its_holder_writes)
{
    enum { WRITES = 8 * LIMIT_H2_STREAMS };
    struct here h;
    struct candidate a;
    int answered = 0;
    here_init(&h);
    for (int i = 0; i < WRITES; i++)
        kube_delete(h.kube, &kube_leases, S("default"), S("none"), S(""), -1, (struct kube_user){ count, &answered });
    stand(&a, &h, h.kube, S("a"));
    here_until_is(&h, &a.won, 1);
    CHECK(answered < WRITES / 2);
    lease_release(a.l, over, &a);
    here_until(&h, &a.over);
    CHECK(answered < WRITES);
    here_until_is(&h, &answered, WRITES);
    here_done(&h);
}

struct deaf { int connections, fd; };
static void deaf(void *ctx, int fd)
{
    struct deaf *d = ctx;
    d->connections++;
    d->fd = fd;                                   /* nobody reads it */
}
static int unread(const struct deaf *d)
{
    int n = 0;
    ioctl(d->fd, FIONREAD, &n);
    return n;
}

/* One that isn't answered took three of its ten seconds: the next one comes at once, and may still renew it. */
TEST(a_renewal_that_hangs_leaves_time_for_another)
{
    struct here h;
    struct candidate a;
    struct kr_err e = { 0 };
    struct deaf d = { 0, -1 };
    here_init(&h);
    struct kube *k = here_client(&h, h.port);
    stand(&a, &h, k, S("a"));
    here_until_is(&h, &a.won, 1);
    serve_free(TAKE(h.serve));
    struct listener *l = listen_tcp(h.loop, S("127.0.0.1"), h.port, deaf, &d, &e);
    CHECK_OR(l);
    here_run(&h, 20000);                          /* the client sees that its connection is gone */
    here_skip(&h, 5600000);
    here_until_is(&h, &d.connections, 1);
    while (unread(&d) < 100) here_run(&h, 1000);
    int before = unread(&d);
    here_skip(&h, 3100000);
    here_until_is(&h, &a.trouble, 1);
    for (int i = 0; i < 500 && unread(&d) < before + 40; i++) here_run(&h, 1000);
    CHECK(unread(&d) >= before + 40 && !a.lost && lease_is_held(a.l));
    lease_free(a.l);
    listener_close(l);
    close(d.fd);
    kube_free(k);
    here_done(&h);
}

TEST(a_lease_somebody_else_wrote_is_lost_and_may_be_freed_in_that_call)
{
    struct here h;
    struct candidate a;
    struct here_answer r = { 0 };
    here_init(&h);
    stand(&a, &h, h.kube, S("a"));
    a.free_on_lost = true;
    here_until_is(&h, &a.won, 1);
    kube_merge_patch(h.kube, &kube_leases, S("default"), S("leader"), NULL,
                     S("{\"spec\":{\"holderIdentity\":\"thief\",\"renewTime\":\"2026-01-01T00:00:00.000000Z\"}}"), here_into(&r));
    here_until(&h, &r.over);
    CHECK_INT(r.status, 200);
    here_skip(&h, 5600000);
    here_until_is(&h, &a.lost, 1);
    CHECK_INT(a.why, KR_CONFLICT);
    CHECK(!a.l);
    here_answer_free(&r);
    here_done(&h);
}

/* A record whose version changes is alive, whatever its holder's clock says, and one that stays is dead. */
TEST(row39_clocks_of_others_are_not_believed)
{
    struct here h;
    struct candidate b;
    struct here_answer r = { 0 };
    AUTO_ARENA struct arena arena = { .limit = 4096 };
    struct str holder;
    here_init(&h);
    kube_create(h.kube, &kube_leases, S("default"), S("{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{\"name\":\"leader\"},"
                "\"spec\":{\"holderIdentity\":\"a\",\"leaseDurationSeconds\":15,\"renewTime\":\"2026-01-01T00:00:00.000000Z\",\"leaseTransitions\":0}}"), here_into(&r));
    here_until(&h, &r.over);
    CHECK_INT(r.status, 201);
    stand(&b, &h, h.kube, S("b"));
    for (int i = 0; i < 6; i++) {                 /* 36 s: its clock stands still, or goes back an hour */
        char patch[120];
        snprintf(patch, sizeof patch, "{\"spec\":{\"renewTime\":\"2026-01-01T0%d:00:00.000000Z\",\"acquireTime\":\"2026-01-01T00:00:0%d.000000Z\"}}", i == 3 ? 0 : 1, i);
        kube_merge_patch(h.kube, &kube_leases, S("default"), S("leader"), NULL, str_of(patch), here_into(&r));
        here_until(&h, &r.over);
        spec_number(&h, "leaseTransitions", &holder, &arena);
        here_skip(&h, 6000000);
        here_run(&h, 20000);
    }
    CHECK_INT(b.won, 0);
    for (int i = 0; i < 3; i++) {
        here_skip(&h, 6000000);
        here_run(&h, 20000);
    }
    here_until_is(&h, &b.won, 1);
    lease_free(b.l);
    here_answer_free(&r);
    here_done(&h);
}

static bool holds(void *ctx) { return lease_is_held(((struct candidate *)ctx)->l); }

TEST(row39_who_was_stopped_for_a_minute_writes_nothing_more)
{
    struct here h;
    struct candidate a;
    struct here_answer r = { 0 };
    here_init(&h);
    struct kube *k = here_client(&h, h.port);
    stand(&a, &h, k, S("a"));
    here_until_is(&h, &a.won, 1);
    kube_fence(k, holds, &a);
    CHECK(lease_is_held(a.l));
    struct str map = S("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"m\"}}");
    kube_create(k, &kube_configmaps, S("default"), map, here_into(&r));
    here_until(&h, &r.over);
    CHECK_INT(r.status, 201);
    here_skip(&h, 60000000);                      /* SIGSTOP, SIGCONT: the loop wakes with a late plan in its hands */
    here_turn(&h);
    CHECK(!lease_is_held(a.l));
    CHECK_INT(a.lost, 1);
    kube_delete(k, &kube_configmaps, S("default"), S("m"), S(""), -1, here_into(&r));
    here_until(&h, &r.over);
    CHECK_INT(r.code, KR_PRECONDITION);
    kube_get(k, &kube_configmaps, S("default"), S("m"), here_into(&r));
    here_until(&h, &r.over);
    CHECK_INT(r.status, 200);                     /* reading is free, and it was not deleted */
    here_until_is(&h, &a.won, 2);                 /* nobody else wanted it */
    kube_delete(k, &kube_configmaps, S("default"), S("m"), S(""), -1, here_into(&r));
    here_until(&h, &r.over);
    CHECK_INT(r.status, 200);
    lease_free(a.l);
    kube_free(k);
    here_answer_free(&r);
    here_done(&h);
}

/* ---- API servers that are not well-meaning ------------------------------------------------------------------------------- */

struct script { struct here h; struct httpd *d; struct kube *k; struct candidate c; const char *lease; int status, looks, writes; char written[1024]; };

static void got(struct hreq *r, struct str body, const struct kr_err *e)
{
    struct script *s = hreq_user(r);
    CHECK(!e);
    snprintf(s->written, sizeof s->written, "%.*s", SFMT(body));
    hreq_respond(r, s->status, (struct http_fields){ 0 }, s->status == 409 ? S("{\"kind\":\"Status\",\"message\":\"somebody was first\"}")
                                                                           : S("{\"kind\":\"Lease\",\"metadata\":{\"resourceVersion\":\"8\"}}"));
}
static void on_begin(struct hreq *r, void *ctx)
{
    struct script *s = ctx;
    hreq_set_user(r, s);
    if (!str_is(hreq_method(r), "GET")) {
        s->writes++;
        hreq_collect(r, 4096, got);
        return;
    }
    s->looks++;
    hreq_respond(r, s->lease ? 200 : 404, (struct http_fields){ 0 }, str_of(s->lease ? s->lease : "{\"kind\":\"Status\",\"reason\":\"NotFound\",\"message\":\"no\"}"));
}
static void on_gone(struct hreq *r) { (void)r; }

static void begin(struct script *s, const char *lease, int status)
{
    struct kr_err e = { 0 };
    *s = (struct script){ .lease = lease, .status = status };
    here_loop(&s->h);
    s->d = httpd_new(s->h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .user = { .begin = on_begin, .gone = on_gone, .ctx = s } }, &e);
    CHECK_OR(s->d);
    s->k = here_client(&s->h, httpd_port(s->d));
    stand(&s->c, &s->h, s->k, S("me"));
}
static void end(struct script *s)
{
    lease_free(s->c.l);
    kube_free(s->k);
    httpd_free(s->d);
    loop_free(s->h.loop);
}

#define LEASE(spec) "{\"kind\":\"Lease\",\"metadata\":{\"name\":\"leader\",\"resourceVersion\":\"7\"},\"spec\":{" spec "}}"

TEST(row37_writes_that_always_meet_another_are_not_tried_for_ever_at_once)
{
    static const char *const leases[] = { NULL, LEASE("\"holderIdentity\":\"\""), LEASE("\"holderIdentity\":\"me\"") };
    for (size_t i = 0; i < LEN(leases); i++) {
        struct script s;
        begin(&s, leases[i], 409);
        for (int n = 1; n <= 3; n++) {
            here_until_is(&s.h, &s.c.trouble, n);
            here_run(&s.h, 5000);
            CHECK_INT(s.looks, 2 * n);
            CHECK_INT(s.writes, 2 * n);
            here_skip(&s.h, 6000000);
        }
        CHECK(!s.c.won);
        end(&s);
    }
}

TEST(row39_numbers_that_no_lease_has_are_not_believed)
{
    static const char *const leases[] = {
        LEASE("\"holderIdentity\":\"other\",\"leaseDurationSeconds\":9223372036854775807,\"leaseTransitions\":9223372036854775807"),
        LEASE("\"holderIdentity\":\"other\",\"leaseDurationSeconds\":-9223372036854775808,\"leaseTransitions\":-5"),
        LEASE("\"holderIdentity\":\"other\",\"leaseDurationSeconds\":0,\"leaseTransitions\":2147483647") };
    for (size_t i = 0; i < LEN(leases); i++) {
        struct script s;
        begin(&s, leases[i], 200);
        here_until_is(&s.h, &s.looks, 1);
        here_run(&s.h, 5000);
        CHECK_INT(s.writes, 0);                   /* ours is 15 s */
        for (int n = 0; n < 200 && !s.c.won; n++) {
            here_skip(&s.h, 100000);
            here_run(&s.h, 2000);
        }
        CHECK_INT(s.c.won, 1);
        CHECK(str_find(str_of(s.written), S("\"leaseTransitions\":1}")) > 0);
        end(&s);
    }
}
