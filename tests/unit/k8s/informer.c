/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Against the embedded API server: the informer's client comes through a second door of it, which is shut and opened again.
 * Against a server that follows a script: what ours doesn't do by itself.
 */
#include "core/json.h"
#include "k8s/informer.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <stdio.h>

struct view { int sets, gones, unseen, synced, troubles, lives; char last[128], trouble[512]; };

static void keep(struct view *v, struct str key) { snprintf(v->last, sizeof v->last, "%.*s", SFMT(key)); }
static void on_set(void *ctx, struct str key, struct str json)
{
    struct view *v = ctx;
    v->sets++;
    keep(v, key);
    CHECK(json_find(json, "metadata").p);
}
static void on_gone(void *ctx, struct str key, struct str json)
{
    struct view *v = ctx;
    v->gones++;
    v->unseen += !json.p;
    keep(v, key);
}
static void on_synced(void *ctx) { ((struct view *)ctx)->synced++; }
static void on_live(void *ctx) { ((struct view *)ctx)->lives++; }
static void on_trouble(void *ctx, const struct kr_err *e)
{
    struct view *v = ctx;
    v->troubles++;
    snprintf(v->trouble, sizeof v->trouble, "%s", e->msg);
}

static struct informer *follow(struct here *h, struct kube *k, struct view *v, bool relist)
{
    struct informer_config c = { .resource = &kube_configmaps, .ns = S("default"), .labels = S("t=1"), .relist_after_trouble = relist,
                                 .user = { on_set, on_gone, on_synced, on_trouble, v } };
    *v = (struct view){ 0 };
    return informer_new(k, &c, &h->rnd);
}

static void make(struct here *h, const char *name, const char *value)
{
    struct here_answer r = { 0 };
    char object[256];
    snprintf(object, sizeof object, "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"%s\",\"labels\":{\"t\":\"1\"}},\"data\":{\"v\":\"%s\"}}", name, value);
    kube_create(h->kube, &kube_configmaps, S("default"), str_of(object), here_into(&r));
    here_until(h, &r.over);
    CHECK_INT(r.status, 201);
    here_answer_free(&r);
}

static void drop(struct here *h, const char *name)
{
    struct here_answer r = { 0 };
    kube_delete(h->kube, &kube_configmaps, S("default"), str_of(name), S(""), -1, here_into(&r));
    here_until(h, &r.over);
    CHECK_INT(r.status, 200);
    here_answer_free(&r);
}

static struct serve *open_door(struct here *h, uint16_t port)
{
    struct kr_err e = { 0 };
    struct serve *s = serve_new(&h->api, &(struct serve_config){ .host = S("127.0.0.1"), .port = port }, &e);
    if (!CHECK(s))
        printf("    %s\n", e.msg);
    return s;
}

TEST(objects_are_told_as_they_come_change_and_go)
{
    struct here h;
    struct view v;
    here_init(&h);
    make(&h, "a", "1");
    struct informer *inf = follow(&h, h.kube, &v, false);
    CHECK(!informer_is_synced(inf));
    here_until_is(&h, &v.synced, 1);
    CHECK_INT(v.sets, 1);
    CHECK_Z(v.last, "default/a");
    CHECK(informer_is_synced(inf));
    make(&h, "b", "1");
    here_until_is(&h, &v.sets, 2);
    CHECK_Z(v.last, "default/b");
    CHECK(informer_is_live(inf));
    struct here_answer r = { 0 };
    kube_merge_patch(h.kube, &kube_configmaps, S("default"), S("a"), NULL, S("{\"data\":{\"v\":\"2\"}}"), here_into(&r));
    here_until_is(&h, &v.sets, 3);
    CHECK_Z(v.last, "default/a");
    kube_merge_patch(h.kube, &kube_configmaps, S("default"), S("a"), NULL, S("{\"metadata\":{\"labels\":{\"t\":\"2\"}}}"), here_into(&r));
    here_until_is(&h, &v.gones, 1);               /* no longer of those that are looked for */
    drop(&h, "b");
    here_until_is(&h, &v.gones, 2);
    CHECK_INT(v.unseen, 0);
    CHECK_INT(v.synced, 1);
    CHECK_INT(v.troubles, 0);
    informer_free(inf);
    here_answer_free(&r);
    here_done(&h);
}

TEST(a_list_comes_in_pages)
{
    enum { N = 1100 };
    struct here h;
    struct view v;
    struct here_answer r = { 0 };
    here_init(&h);
    for (int i = 0; i < N; i++) {
        char object[160];
        snprintf(object, sizeof object, "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c%d\",\"labels\":{\"t\":\"1\"}}}", i);
        kube_create(h.kube, &kube_configmaps, S("default"), str_of(object), here_into(&r));
    }
    make(&h, "last", "1");
    here_answer_free(&r);
    struct informer *inf = follow(&h, h.kube, &v, false);
    here_until_is(&h, &v.synced, 1);
    CHECK_INT(v.sets, N + 1);
    informer_free(inf);
    here_done(&h);
}

TEST(a_watch_that_was_cut_goes_on_where_it_was)
{
    struct here h;
    struct view v;
    here_init(&h);
    struct serve *door = open_door(&h, 0);
    uint16_t port = serve_port(door);
    struct kube *k = here_client(&h, port);
    make(&h, "a", "1");
    struct informer *inf = follow(&h, k, &v, false);
    here_until_is(&h, &v.synced, 1);
    make(&h, "b", "1");
    here_until_is(&h, &v.sets, 2);
    serve_free(door);
    make(&h, "c", "1");
    drop(&h, "a");
    here_until_is(&h, &v.troubles, 1);
    CHECK(informer_is_synced(inf) && !informer_is_live(inf));
    CHECK_INT(v.sets, 2);
    door = open_door(&h, port);
    here_until_is(&h, &v.gones, 1);
    CHECK_Z(v.last, "default/a");
    CHECK_INT(v.sets, 3);                         /* nothing twice */
    CHECK_INT(v.unseen, 0);
    CHECK_INT(v.synced, 1);                       /* without another list */
    informer_free(inf);
    kube_free(k);
    serve_free(door);
    here_done(&h);
}

TEST(what_vanished_unseen_is_told_after_the_next_list)
{
    struct here h;
    struct view v;
    here_init(&h);
    struct serve *door = open_door(&h, 0);
    uint16_t port = serve_port(door);
    struct kube *k = here_client(&h, port);
    make(&h, "a", "1");
    make(&h, "b", "1");
    struct informer *inf = follow(&h, k, &v, true);
    here_until_is(&h, &v.synced, 1);
    int64_t first = informer_listed_at(inf);
    serve_free(door);
    drop(&h, "a");
    make(&h, "c", "1");
    here_until_is(&h, &v.troubles, 1);
    door = open_door(&h, port);
    here_until_is(&h, &v.synced, 2);
    CHECK_INT(v.gones, 1);
    CHECK_INT(v.unseen, 1);
    CHECK_Z(v.last, "default/a");
    CHECK_INT(v.sets, 3);                         /* b is as it was: not told again */
    CHECK(informer_listed_at(inf) > first);
    informer_free(inf);
    kube_free(k);
    serve_free(door);
    here_done(&h);
}

/* ---- by a script ------------------------------------------------------------------------------------------------- */

struct script {
    struct here h;
    struct httpd *d;
    struct kube *k;
    struct view v;
    int lists, watches;
    void (*list)(struct script *, struct hreq *, struct str path);
    void (*watch)(struct script *, struct hreq *, struct str path);
};

static void on_begin(struct hreq *r, void *ctx) { hreq_set_user(r, ctx); }
static void on_data(struct hreq *r, struct str bytes) { (void)r; (void)bytes; }
static void on_request(struct hreq *r)
{
    struct script *s = hreq_user(r);
    struct str path = hreq_path(r);
    bool watch = str_find(path, S("watch=true")) >= 0;
    if (watch)
        s->watches++, s->watch(s, r, path);
    else
        s->lists++, s->list(s, r, path);
}
static void on_over(struct hreq *r) { (void)r; }

static struct informer *play(struct script *s, struct str fields, struct str fallback)
{
    struct kr_err e = { 0 };
    here_loop(&s->h);
    s->d = httpd_new(s->h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .user = { on_begin, on_data, on_request, NULL, on_over, s } }, &e);
    if (!CHECK(s->d))
        abort();
    s->k = here_client(&s->h, httpd_port(s->d));
    return informer_new(s->k, &(struct informer_config){ .resource = &kube_configmaps, .ns = S("default"), .fields = fields, .fallback_fields = fallback,
                                                         .user = { on_set, on_gone, on_synced, on_trouble, &s->v, on_live } }, &s->h.rnd);
}

static void done(struct script *s, struct informer *inf)
{
    informer_free(inf);
    kube_free(s->k);
    httpd_free(s->d);
    loop_free(s->h.loop);
}

#define CM(name, rv) "{\"metadata\":{\"namespace\":\"default\",\"name\":\"" name "\",\"resourceVersion\":\"" rv "\"}}"
#define CMS(items) S("{\"kind\":\"ConfigMapList\",\"metadata\":{\"resourceVersion\":\"10\"},\"items\":[" items "]}")
#define NONE ((struct http_fields){ 0 })
#define EXPIRED "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":\"too old\"}"

static void list_two_then_one(struct script *s, struct hreq *r, struct str path)
{
    CHECK(str_find(path, S("resourceVersion=")) < 0);
    hreq_respond(r, 200, NONE, s->lists == 1 ? CMS(CM("a", "1") "," CM("b", "2")) : CMS(CM("b", "2")));
}
static void watch_expires_in_band_then_by_status(struct script *s, struct hreq *r, struct str path)
{
    CHECK(str_find(path, s->watches == 2 ? S("resourceVersion=11&") : S("resourceVersion=10&")) >= 0);
    if (s->watches == 1) {
        hreq_start(r, 200, NONE);
        hreq_write(r, S("{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"11\"}}}\n"));
        hreq_finish(r, NONE);
    } else if (s->watches == 2) {
        hreq_start(r, 200, NONE);
        hreq_write(r, S("{\"type\":\"ERROR\",\"object\":" EXPIRED "}\n"));
    } else if (s->watches == 3) {
        hreq_respond(r, 410, NONE, S(EXPIRED));
    } else {
        hreq_start(r, 200, NONE);
    }
}

TEST(after_410_the_list_is_made_again)
{
    struct script s = { .list = list_two_then_one, .watch = watch_expires_in_band_then_by_status };
    struct informer *inf = play(&s, S(""), (struct str){ 0 });
    here_until_is(&s.h, &s.watches, 4);
    CHECK_INT(s.lists, 3);
    CHECK_INT(s.v.sets, 2);
    CHECK_INT(s.v.gones, 1);
    CHECK_INT(s.v.unseen, 1);
    CHECK_Z(s.v.last, "default/a");
    CHECK_INT(s.v.troubles, 0);
    done(&s, inf);
}

static void list_refuses_fields(struct script *s, struct hreq *r, struct str path)
{
    (void)s;
    if (str_find(path, S("fieldSelector=new")) >= 0)
        hreq_respond(r, 400, NONE, S("{\"kind\":\"Status\",\"code\":400,\"reason\":\"BadRequest\",\"message\":\"field label not supported\"}"));
    else
        hreq_respond(r, 200, NONE, CMS(CM("a", "1")));
}
static void watch_stays(struct script *s, struct hreq *r, struct str path)
{
    (void)s;
    CHECK(str_find(path, S("fieldSelector=old")) >= 0);
    hreq_start(r, 200, NONE);
}

TEST(fields_that_are_refused_give_way_to_the_fallback)
{
    struct script s = { .list = list_refuses_fields, .watch = watch_stays };
    struct informer *inf = play(&s, S("new=1"), S("old=1"));
    here_until_is(&s.h, &s.watches, 1);
    CHECK_INT(s.lists, 2);
    CHECK_INT(s.v.sets, 1);
    CHECK_INT(s.v.troubles, 0);
    done(&s, inf);
}

static void list_one(struct script *s, struct hreq *r, struct str path) { (void)s; (void)path; hreq_respond(r, 200, NONE, CMS(CM("a", "1"))); }
static void watch_forbidden(struct script *s, struct hreq *r, struct str path)
{
    (void)s;
    (void)path;
    hreq_respond(r, 403, NONE, S("{\"kind\":\"Status\",\"code\":403,\"reason\":\"Forbidden\",\"message\":\"may not watch\"}"));
}
static void watch_ends_at_once(struct script *s, struct hreq *r, struct str path)
{
    (void)s;
    (void)path;
    hreq_respond(r, 200, NONE, S(""));
}

static void watch_breaks_behind_an_event(struct script *s, struct hreq *r, struct str path)
{
    (void)s;
    (void)path;
    hreq_start(r, 200, NONE);
    hreq_write(r, S("{\"type\":\"MODIFIED\",\"object\":" CM("a", "11") "}\n"));
    hreq_finish(r, NONE);
}

/* Until so many watches were asked for. */
static void skip_waits(struct script *s, int watches)
{
    for (int i = 1; i <= watches; i++) {
        here_until_is(&s->h, &s->watches, i);
        here_turn(&s->h);
        for (int wait = 0; wait < 200 && s->watches == i; wait++) {
            here_skip(&s->h, 100000);
            here_run(&s->h, 2000);
        }
    }
}

/* Lists may be allowed and watches not: with waits of 50, 100, 200 … ms (and up to half more) ten looks are 25 s and more. */
static void check_waits_grow(struct script *s)
{
    struct informer *inf = play(s, S(""), (struct str){ 0 });
    int64_t began = loop_now_us(s->h.loop);
    skip_waits(s, 10);
    CHECK(loop_now_us(s->h.loop) - began > 25000000);
    done(s, inf);
}

TEST(watches_that_are_refused_are_asked_for_ever_more_rarely)
{
    struct script s = { .list = list_one, .watch = watch_forbidden };
    check_waits_grow(&s);
    CHECK(s.v.troubles >= 9);
    CHECK_Z(s.v.trouble, "may not watch");
    struct script t = { .list = list_one, .watch = watch_ends_at_once };
    check_waits_grow(&t);
    CHECK_INT(t.lists, 1);
    CHECK_INT(t.v.troubles, 0);
    struct script u = { .list = list_one, .watch = watch_breaks_behind_an_event };
    check_waits_grow(&u);
    CHECK_INT(u.v.sets, 2);
    CHECK_INT(u.lists, 1);
}

static struct hreq *tenth;
static void the_tenth_watch_lives(struct script *s, struct hreq *r, struct str path)
{
    if (s->watches != 10) {
        watch_ends_at_once(s, r, path);
        return;
    }
    tenth = r;
    hreq_start(r, 200, NONE);
}

TEST(waits_begin_anew_behind_a_watch_that_lived)
{
    struct script s = { .list = list_one, .watch = the_tenth_watch_lives };
    struct informer *inf = play(&s, S(""), (struct str){ 0 });
    skip_waits(&s, 9);
    here_until_is(&s.h, &s.v.lives, 10);
    here_skip(&s.h, 10000000);
    here_turn(&s.h);
    int64_t ended = loop_now_us(s.h.loop);
    hreq_finish(tenth, NONE);
    here_until_is(&s.h, &s.watches, 12);          /* at once, and behind the shortest wait: the longest is due next otherwise */
    CHECK(loop_now_us(s.h.loop) - ended < 10000000);
    CHECK_INT(s.lists, 1);
    done(&s, inf);
}

static void watch_babbles(struct script *s, struct hreq *r, struct str path)
{
    static char big[1 << 20];
    (void)path;
    hreq_start(r, 200, NONE);
    if (s->watches == 1) {
        hreq_write(r, S("{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"namespace\":\"default\",\"na"));
        hreq_write(r, S("me\":\"b\",\"resourceVersion\":\"12\"}}}\n<html>\n"));
    } else if (s->watches == 2) {
        memset(big, ' ', sizeof big);
        for (size_t n = 0; n <= LIMIT_KUBE_LINE; n += sizeof big)
            hreq_write(r, (struct str){ big, sizeof big });
        hreq_write(r, S("{}\n"));
    }
}

TEST(lines_that_are_no_events_or_too_long_end_the_watch)
{
    struct script s = { .list = list_one, .watch = watch_babbles };
    struct informer *inf = play(&s, S(""), (struct str){ 0 });
    here_until_is(&s.h, &s.watches, 3);
    CHECK_INT(s.v.sets, 2);
    CHECK_INT(s.v.troubles, 2);
    CHECK(str_find(str_of(s.v.trouble), S("longer than")) >= 0);
    CHECK_INT(s.lists, 3);
    CHECK_INT(s.v.gones, 1);                      /* b is not in the second list */
    done(&s, inf);
}

/* ---- freed by its user, listed anew ------------------------------------------------------------------------------ */

struct freer { struct script s; struct informer *inf; int calls, free_at; };

static void called(void *ctx)
{
    struct freer *f = ctx;
    CHECK(f->inf || !f->calls);                   /* not once it was freed */
    if (++f->calls == f->free_at)
        informer_free(TAKE(f->inf));
}
static void called_set(void *ctx, struct str key, struct str json)
{
    called(ctx);
    CHECK(key.n && json.n);                       /* what it was given is there until it returns */
}
static void called_gone(void *ctx, struct str key, struct str json)
{
    (void)json;
    called(ctx);
    CHECK(key.n);
}
static void called_trouble(void *ctx, const struct kr_err *e)
{
    called(ctx);
    CHECK(*e->msg);
}

static void list_shrinks(struct script *s, struct hreq *r, struct str path)
{
    (void)path;
    hreq_respond(r, 200, NONE, s->lists == 1 ? CMS(CM("a", "1") "," CM("b", "2") "," CM("c", "3")) : CMS(CM("d", "4")));
}
static void watch_tells_then_expires_then_babbles(struct script *s, struct hreq *r, struct str path)
{
    (void)path;
    hreq_start(r, 200, NONE);
    if (s->watches == 1)
        hreq_write(r, S("{\"type\":\"ADDED\",\"object\":" CM("e", "11") "}\n{\"type\":\"DELETED\",\"object\":" CM("a", "12") "}\n{\"type\":\"ERROR\",\"object\":" EXPIRED "}\n"));
    else
        hreq_write(r, S("<html>\n"));
}

/* set a, b, c, synced, live, set e, gone a; set d, gone b, c, e, synced, live, trouble: 14 calls. */
TEST(it_may_be_freed_from_inside_each_callback)
{
    enum { CALLS = 14 };
    for (int at = 1; at <= CALLS; at++) {
        struct kr_err e = { 0 };
        struct freer f = { .s = { .list = list_shrinks, .watch = watch_tells_then_expires_then_babbles }, .free_at = at };
        here_loop(&f.s.h);
        f.s.d = httpd_new(f.s.h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .user = { on_begin, on_data, on_request, NULL, on_over, &f.s } }, &e);
        f.s.k = here_client(&f.s.h, httpd_port(f.s.d));
        f.inf = informer_new(f.s.k, &(struct informer_config){ .resource = &kube_configmaps, .ns = S("default"),
                                                               .user = { called_set, called_gone, called, called_trouble, &f, called } }, &f.s.h.rnd);
        here_until_is(&f.s.h, &f.calls, at);
        CHECK(!f.inf);
        here_run(&f.s.h, 2000);                   /* nothing comes after it */
        CHECK_INT(f.calls, at);
        done(&f.s, NULL);
    }
}

static void watch_is_silent(struct script *s, struct hreq *r, struct str path)
{
    (void)s;
    (void)path;
    hreq_start(r, 200, NONE);
}

TEST(a_watch_that_is_not_trusted_is_replaced_by_a_list_and_live_tells_when)
{
    struct script s = { .list = list_two_then_one, .watch = watch_is_silent };
    struct informer *inf = play(&s, S(""), (struct str){ 0 });
    here_until_is(&s.h, &s.v.lives, 1);
    CHECK(informer_is_live(inf));
    int64_t before = informer_listed_at(inf);
    here_skip(&s.h, 1000);
    informer_relist(inf);
    CHECK(!informer_is_live(inf));
    informer_relist(inf);                         /* one that is under way is not new enough: begun again */
    here_until_is(&s.h, &s.v.lives, 2);
    CHECK(informer_is_live(inf) && informer_listed_at(inf) > before);
    CHECK_INT(s.v.synced, 2);
    CHECK_INT(s.v.gones, 1);
    CHECK_INT(s.v.troubles, 0);
    informer_relist(NULL);
    done(&s, inf);
}
