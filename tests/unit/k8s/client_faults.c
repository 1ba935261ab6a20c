/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile and failing API servers under an informer, by the numbers of the list of hostile inputs: 37 what they answer,
 * 38 those that are silently gone, 39 clocks that jump (the lease's are in lease.c). "Never corrupted" means here: nothing
 * that is there was told as gone, nothing is told that isn't.
 */
#include "core/json.h"
#include "k8s/informer.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <stdio.h>

struct view { int sets, gones, synced, troubles; char trouble[512]; };
struct script {
    struct here h;
    struct httpd *d;
    struct kube *k;
    struct view v;
    struct informer *inf;
    int lists, watches;
    struct hreq *held;
    int64_t list_at[64];                          /* moments of the lists */
    char path[1024];
    void (*list)(struct script *, struct hreq *, struct str path);
    void (*watch)(struct script *, struct hreq *, struct str path);
};

static void on_set(void *ctx, struct str key, struct str json) { (void)key; (void)json; ((struct view *)ctx)->sets++; }
static void on_gone(void *ctx, struct str key, struct str json) { (void)key; (void)json; ((struct view *)ctx)->gones++; }
static void on_synced(void *ctx) { ((struct view *)ctx)->synced++; }
static void on_trouble(void *ctx, const struct kr_err *e)
{
    struct view *v = ctx;
    v->troubles++;
    snprintf(v->trouble, sizeof v->trouble, "%s", e->msg);
}

static void on_begin(struct hreq *r, void *ctx) { hreq_set_user(r, ctx); }
static void on_data(struct hreq *r, struct str bytes) { (void)r; (void)bytes; }
static void on_over(struct hreq *r)
{
    struct script *s = hreq_user(r);
    if (s && s->held == r)
        s->held = NULL;
}
static void on_request(struct hreq *r)
{
    struct script *s = hreq_user(r);
    struct str path = hreq_path(r);
    snprintf(s->path, sizeof s->path, "%.*s", SFMT(path));
    if (str_find(path, S("watch=true")) >= 0) {
        s->watches++;
        s->watch(s, r, path);
    } else {
        if (s->lists < (int)LEN(s->list_at))
            s->list_at[s->lists] = loop_now_us(s->h.loop);
        s->lists++;
        s->list(s, r, path);
    }
}

static void serve(struct script *s, uint16_t port)
{
    struct kr_err e = { 0 };
    s->d = httpd_new(s->h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .port = port, .user = { on_begin, on_data, on_request, NULL, on_over, s } }, &e);
    if (!CHECK(s->d))
        abort();
}

static void begin(struct script *s)
{
    here_loop(&s->h);
    serve(s, 0);
    s->k = here_client(&s->h, httpd_port(s->d));
    s->inf = informer_new(s->k, &(struct informer_config){ .resource = &kube_configmaps, .ns = S("default"), .user = { on_set, on_gone, on_synced, on_trouble, &s->v } },
                          &s->h.rnd);
}

static void end(struct script *s)
{
    informer_free(s->inf);
    kube_free(s->k);
    httpd_free(s->d);
    loop_free(s->h.loop);
}

/* Time passes in tenths of seconds until *counter is there; how much passed. */
static int64_t pass_until(struct script *s, const int *counter, int at_least, int64_t most_us)
{
    int64_t began = loop_now_us(s->h.loop);
    while (*counter < at_least && loop_now_us(s->h.loop) - began < most_us) {
        here_skip(&s->h, 100000);
        here_run(&s->h, 2000);
    }
    CHECK(*counter >= at_least);
    return loop_now_us(s->h.loop) - began;
}

#define NONE ((struct http_fields){ 0 })
#define CM(name, rv) "{\"kind\":\"ConfigMap\",\"metadata\":{\"namespace\":\"default\",\"name\":\"" name "\",\"resourceVersion\":\"" rv "\"}}"
#define LIST(items) "{\"kind\":\"ConfigMapList\",\"metadata\":{\"resourceVersion\":\"10\"},\"items\":[" items "]}"
#define TWO LIST(CM("a", "1") "," CM("b", "2"))

static void list_two(struct script *s, struct hreq *r, struct str path) { (void)s; (void)path; hreq_respond(r, 200, NONE, S(TWO)); }
static void watch_stays(struct script *s, struct hreq *r, struct str path) { (void)path; s->held = r; hreq_start(r, 200, NONE); }

/* ---- 37: what is answered ------------------------------------------------------------------------------------------- */

/* The first list is good, then bad ones come in the place of the second, then a good one: nothing may have gone meanwhile. */
static const char *bad_body;
static int bad_status, bad_times;
static void list_bad(struct script *s, struct hreq *r, struct str path)
{
    (void)path;
    bool bad = s->lists > 1 && s->lists <= 1 + bad_times;
    hreq_respond(r, bad ? bad_status : 200, NONE, bad ? str_of(bad_body) : S(TWO));
}
static void watch_expires_once(struct script *s, struct hreq *r, struct str path)
{
    (void)path;
    if (s->watches == 1)
        hreq_respond(r, 410, NONE, S("{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":\"too old\"}"));
    else
        hreq_start(r, 200, NONE);
}

TEST(row37_lists_that_are_none_take_nothing_away)
{
    static const struct { int status; const char *body; } rows[] = {
        { 200, "<html><body>log in, please</body></html>" }, { 500, "<html>oops</html>" }, { 502, "" }, { 200, "" },
        { 200, "{\"kind\":\"Status\",\"status\":\"Success\"}" }, { 200, "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"10\"},\"items\":[]}" },
        { 200, "{\"kind\":\"ConfigMapList\",\"metadata\":{},\"items\":[]}" }, { 200, "{\"kind\":\"ConfigMapList\",\"metadata\":{\"resourceVersion\":\"1\"}}" },
        { 200, "{\"kind\":\"ConfigMapList\",\"metadata\":{\"resourceVersion\":\"1\"},\"items\":{}}" }, { 200, "{\"items\":[]}" }, { 200, "[]" },
        { 200, "{\"kind\":\"ConfigMapList\",\"metadata\":{\"resourceVersion\":\"10\"},\"items\":[" }, { 302, "" }, { 204, "" },
        { 403, "{\"kind\":\"Status\",\"message\":\"no\"}" }, { 429, "{\"kind\":\"Status\",\"message\":\"slow down\"}" } };
    bad_times = 2;
    for (size_t i = 0; i < LEN(rows); i++) {
        struct script s = { .list = list_bad, .watch = watch_expires_once };
        bad_status = rows[i].status;
        bad_body = rows[i].body;
        begin(&s);
        pass_until(&s, &s.watches, 2, 20000000);
        CHECK_INT(s.lists, 4);
        CHECK_INT(s.v.sets, 2);
        CHECK_INT(s.v.gones, 0);
        CHECK_INT(s.v.synced, 2);
        if (!CHECK_INT(s.v.troubles, 2))
            printf("    row %zu: %s\n", i, s.v.trouble);
        end(&s);
    }
}

TEST(row37_a_storm_of_500s_is_met_with_waits_that_grow_and_differ)
{
    enum { N = 9 };
    int64_t gaps[2][N];
    for (int run = 0; run < 2; run++) {
        struct script s = { .list = list_bad, .watch = watch_expires_once };
        bad_status = 500;
        bad_body = "{\"kind\":\"Status\",\"code\":500,\"message\":\"etcd is away\"}";
        bad_times = 100;
        begin(&s);
        rnd_seed(&s.h.rnd, test_seed() + (uint64_t)run * 77 + 1);
        pass_until(&s, &s.lists, N + 2, 120000000);
        for (int i = 0; i < N; i++)
            gaps[run][i] = s.list_at[i + 2] - s.list_at[i + 1];
        CHECK(gaps[run][N - 1] >= 5000000);       /* the last of waits that double from 50 ms to 10 s */
        CHECK(gaps[run][N - 1] <= 16000000);
        CHECK(gaps[run][0] < 1000000);
        CHECK_INT(s.v.gones, 0);
        end(&s);
    }
    bool differ = false;
    for (int i = 5; i < N; i++)
        differ |= gaps[0][i] / 100000 != gaps[1][i] / 100000;
    CHECK(differ);
}

static void list_429_then(struct script *s, struct hreq *r, struct str path)
{
    (void)path;
    struct http_field f = { S("retry-after"), S("3") };
    if (s->lists == 1)
        hreq_respond(r, 429, (struct http_fields){ &f, 1 }, S("{\"kind\":\"Status\",\"message\":\"slow down\"}"));
    else
        hreq_respond(r, 200, NONE, S(TWO));
}

TEST(row37_retry_after_of_a_429_is_obeyed)
{
    struct script s = { .list = list_429_then, .watch = watch_stays };
    begin(&s);
    pass_until(&s, &s.watches, 1, 10000000);
    CHECK(s.list_at[1] - s.list_at[0] >= 3000000);
    CHECK_INT(s.v.troubles, 0);
    end(&s);
}

/* What a Status says counts as the field does, where it makes sense; else waits double from 50 ms as usual. */
TEST(row37_a_status_that_says_when_to_come_again_is_obeyed)
{
    static const struct { const char *seconds; int64_t least_us, most_us; } rows[] = {
        { "7", 7000000, 25000000 }, { "1000000000", 30000000, 60000000 }, { "0", 50000, 5000000 }, { "-1", 50000, 5000000 },
        { "-9223372036854775808", 50000, 5000000 }, { "99999999999999999999", 50000, 5000000 }, { "\"soon\"", 50000, 5000000 },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        char body[160];
        struct script s = { .list = list_bad, .watch = watch_expires_once };
        snprintf(body, sizeof body, "{\"kind\":\"Status\",\"code\":500,\"message\":\"no\",\"details\":{\"retryAfterSeconds\":%s}}", rows[i].seconds);
        bad_status = 500;
        bad_body = body;
        bad_times = 100;
        begin(&s);
        pass_until(&s, &s.lists, 4, 120000000);
        for (int k = 2; k < 4; k++) {
            int64_t gap = s.list_at[k] - s.list_at[k - 1];
            if (!CHECK(gap >= rows[i].least_us && gap <= rows[i].most_us))
                printf("    %s: %lld us\n", rows[i].seconds, (long long)gap);
        }
        end(&s);
    }
}

static void hold_list(struct script *s, struct hreq *r, struct str path) { (void)path; s->held = r; }

TEST(row37_an_answer_that_takes_ten_seconds_is_waited_for)
{
    struct script s = { .list = hold_list, .watch = watch_stays };
    begin(&s);
    here_until_is(&s.h, &s.lists, 1);
    for (int i = 0; i < 100; i++) {
        here_skip(&s.h, 100000);
        here_run(&s.h, 1000);
    }
    CHECK_OR(s.held);
    hreq_respond(s.held, 200, NONE, S(TWO));
    here_until_is(&s.h, &s.watches, 1);
    CHECK_INT(s.lists, 1);
    CHECK_INT(s.v.troubles, 0);
    end(&s);
}

static void list_is_reset(struct script *s, struct hreq *r, struct str path)
{
    (void)path;
    if (s->lists == 2) {
        hreq_start(r, 200, NONE);
        hreq_write(r, S("{\"kind\":\"ConfigMapList\",\"metadata\":{\"resourceVersion\":\"11\"},\"items\":[" CM("a", "1")));
        hreq_reset(r, 2);
    } else {
        hreq_respond(r, 200, NONE, S(TWO));
    }
}

TEST(row37_a_list_that_is_reset_in_its_middle_counts_for_nothing)
{
    struct script s = { .list = list_is_reset, .watch = watch_expires_once };
    begin(&s);
    pass_until(&s, &s.watches, 2, 10000000);
    CHECK_INT(s.lists, 3);
    CHECK_INT(s.v.sets, 2);
    CHECK_INT(s.v.gones, 0);
    CHECK_INT(s.v.troubles, 1);
    end(&s);
}

#define PAGE(items) S("{\"kind\":\"ConfigMapList\",\"metadata\":{\"resourceVersion\":\"10\",\"continue\":\"more\"},\"items\":[" items "]}")
static void list_pages_expire(struct script *s, struct hreq *r, struct str path)
{
    if (str_find(path, S("continue=more")) >= 0)
        hreq_respond(r, 410, NONE, S("{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":\"the continue token is too old\"}"));
    else if (str_find(path, S("limit=")) >= 0)
        hreq_respond(r, 200, NONE, PAGE(CM("a", "1")));
    else
        hreq_respond(r, 200, NONE, S(TWO));
    CHECK(s->lists < 4);
}

TEST(row37_pages_that_expire_give_way_to_a_list_without_pages)
{
    struct script s = { .list = list_pages_expire, .watch = watch_stays };
    begin(&s);
    pass_until(&s, &s.watches, 1, 10000000);
    CHECK_INT(s.lists, 3);
    CHECK_INT(s.v.sets, 2);
    CHECK_INT(s.v.synced, 1);
    end(&s);
}

/* Pages of more objects than fit, the first and the second, are larger than an answer may be, or, with `slow`, don't come. */
static int fits[2];
static bool slow;
static void list_by_size(struct script *s, struct hreq *r, struct str path)
{
    ptrdiff_t at = str_find(path, S("limit="));
    struct str rest = str_from(path, at < 0 ? path.n : (size_t)at + 6);
    int64_t limit = INT64_MAX;
    bool second = str_find(path, S("continue=more")) >= 0;
    str_i64(str_cut(&rest, '&'), &limit);
    if (limit > fits[second] && slow)
        s->held = r;
    else if (limit > fits[second])
        hreq_start(r, 200, (struct http_fields){ &(struct http_field){ S("content-length"), S("268435457") }, 1 });
    else if (!second)
        hreq_respond(r, 200, NONE, PAGE(CM("a", "1")));
    else if (bad_status)
        hreq_respond(r, bad_status, NONE, S("{}"));
    else
        hreq_respond(r, 200, NONE, S(LIST(CM("b", "2"))));
}
static void begin_by_size(struct script *s, int first, int second, bool is_slow, int status_of_second)
{
    *s = (struct script){ .list = list_by_size, .watch = watch_stays };
    fits[0] = first, fits[1] = second, slow = is_slow, bad_status = status_of_second;
    begin(s);
}

TEST(a_page_that_is_too_large_is_asked_for_again_in_smaller_ones)
{
    struct script s;
    begin_by_size(&s, 250, 100, false, 0);
    here_until_is(&s.h, &s.watches, 1);
    CHECK_INT(s.lists, 5);                        /* 500, 250; of the second page 250, 125, 62 */
    CHECK_INT(s.v.sets, 2);
    CHECK_INT(s.v.troubles, 0);
    informer_relist(s.inf);
    here_until_is(&s.h, &s.watches, 2);
    CHECK_INT(s.lists, 8);                        /* 124; 124, 62: what was too large once need not stay so */
    end(&s);
    begin_by_size(&s, 0, 0, false, 0);
    here_until_is(&s.h, &s.v.troubles, 1);
    CHECK_INT(s.lists, 9);                        /* of a single object at the end */
    CHECK(str_find(str_of(s.path), S("limit=1")) >= 0 && str_find(str_of(s.v.trouble), S("larger than")) >= 0);
    end(&s);
}

TEST(a_page_that_does_not_come_is_asked_for_again_in_smaller_ones)
{
    struct script s;
    begin_by_size(&s, 250, 250, true, 0);
    pass_until(&s, &s.watches, 1, 70000000);
    CHECK_INT(s.lists, 3);
    CHECK_INT(s.v.troubles, 1);
    CHECK_INT(s.v.sets, 2);
    end(&s);
}

TEST(a_list_without_pages_that_is_too_large_gives_way_to_pages)
{
    struct script s;
    begin_by_size(&s, 500, 500, false, 410);
    here_until_is(&s.h, &s.v.troubles, 1);        /* they expired */
    bad_status = 0;
    pass_until(&s, &s.watches, 1, 10000000);
    CHECK_INT(s.lists, 5);                        /* two pages, the whole, two pages */
    CHECK_INT(s.v.troubles, 1);
    CHECK_INT(s.v.sets, 2);
    end(&s);
}

/* Lists whose pages lead nowhere: the same token again; in a circle; ever other ones, without an object more. */
static enum { SAME, CIRCLE, EVER_OTHERS } endless;
static bool is_endless;
static void list_without_end(struct script *s, struct hreq *r, struct str path)
{
    char page[256], token[32];
    if (!is_endless) {
        hreq_respond(r, 200, NONE, S(TWO));
        return;
    }
    bool first = str_find(path, S("continue=")) < 0;
    snprintf(token, sizeof token, "t%d", endless == SAME ? 0 : endless == CIRCLE ? s->lists % 3 : s->lists);
    snprintf(page, sizeof page, "{\"kind\":\"ConfigMapList\",\"metadata\":{\"resourceVersion\":\"10\",\"continue\":\"%s\"},\"items\":[%s]}", token,
             first || endless == CIRCLE ? CM("a", "1") : "");
    hreq_respond(r, 200, NONE, str_of(page));
}

TEST(row37_a_list_whose_pages_have_no_end_is_given_up)
{
    static const int pages[] = { [SAME] = 2, [CIRCLE] = LIMIT_KUBE_IDLE_PAGES + 1, [EVER_OTHERS] = LIMIT_KUBE_IDLE_PAGES + 1 };
    for (size_t i = 0; i < LEN(pages); i++) {
        struct script s = { .list = list_without_end, .watch = watch_stays };
        is_endless = true;
        endless = i;
        begin(&s);
        here_until_is(&s.h, &s.v.troubles, 1);
        CHECK_INT(s.lists, pages[i]);
        CHECK(str_find(str_of(s.v.trouble), S("the API server's list of configmaps has no end")) >= 0);
        CHECK_INT(s.v.sets, 1);
        CHECK_INT(s.v.synced, 0);
        is_endless = false;                       /* and asked for again after a wait, from its beginning */
        pass_until(&s, &s.watches, 1, 10000000);
        CHECK_INT(s.lists, pages[i] + 1);
        CHECK_INT(s.v.sets, 2);
        CHECK_INT(s.v.gones, 0);
        end(&s);
    }
}

static const char *babble;
static void watch_babbles_once(struct script *s, struct hreq *r, struct str path)
{
    (void)path;
    hreq_start(r, 200, NONE);
    if (s->watches > 1)
        return;
    hreq_write(r, S("{\"type\":\"MODIFIED\",\"object\":" CM("a", "11") "}\n"));
    hreq_write(r, str_of(babble));
    hreq_finish(r, NONE);
}

TEST(row37_watches_that_babble_or_are_cut_change_nothing)
{
    static const struct { const char *text; bool trouble; } rows[] = {
        { "{\"type\":\"DELETED\",\"object\":{\"kind\":\"ConfigMap\",\"meta", false },          /* cut: the event comes again */
        { "{\"type\":\"DELETED\",\"object\":{\"kind\":\"ConfigMap\",\"meta\n", true },
        { "<html>\n", true }, { "\n", true }, { "{}\n", true }, { "{\"type\":\"GONE\",\"object\":" CM("a", "12") "}\n", true },
        { "{\"type\":\"DELETED\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"namespace\":\"default\",\"name\":\"a\",\"resourceVersion\":\"12\"}}}\n", true },
        { "{\"type\":\"DELETED\",\"object\":{\"kind\":\"ConfigMap\",\"metadata\":{\"namespace\":\"default\",\"name\":\"a\"}}}\n", true },
        { "{\"type\":\"ADDED\",\"object\":{\"kind\":\"ConfigMap\",\"metadata\":{\"resourceVersion\":\"12\"}}}\n", true },
        { "{\"type\":\"ADDED\",\"object\":null}\n", true },
        { "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":500,\"message\":\"etcd\"}}\n", true } };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct script s = { .list = list_two, .watch = watch_babbles_once };
        babble = rows[i].text;
        begin(&s);
        pass_until(&s, &s.watches, 2, 10000000);
        CHECK_INT(s.v.gones, 0);
        CHECK(s.v.sets == 3 || s.v.sets == 4);    /* after another list a has an older version: told, as it may be another server */
        if (!CHECK_INT(s.v.troubles, rows[i].trouble) || !CHECK_INT(s.lists, rows[i].trouble ? 2 : 1))
            printf("    row %zu: %s\n", i, s.v.trouble);
        end(&s);
    }
}

static void get_wrong(struct script *s, struct hreq *r, struct str path) { (void)s; (void)path; hreq_respond(r, 200, NONE, str_of(bad_body)); }

TEST(row37_a_success_of_another_kind_is_no_answer)
{
    static const char *const bodies[] = { "{\"kind\":\"Status\",\"status\":\"Success\"}", "{\"error\":\"login\"}", "[]", "\"x\"", "null" };
    struct script s = { .list = get_wrong, .watch = watch_stays };
    struct here_answer a = { 0 };
    here_loop(&s.h);
    serve(&s, 0);
    s.k = here_client(&s.h, httpd_port(s.d));
    for (size_t i = 0; i < LEN(bodies); i++) {
        bad_body = bodies[i];
        kube_get(s.k, &kube_pods, S("ns"), S("p"), here_into(&a));
        here_until(&s.h, &a.over);
        CHECK_INT(a.code, KR_PROTOCOL);
        CHECK(str_find(str_of(a.msg), S("where a Pod was asked for")) > 0);
    }
    here_answer_free(&a);
    end(&s);
}

/* ---- 38: silently gone ------------------------------------------------------------------------------------------------ */

/* A door between client and server that can be made to swallow everything, as a NAT does that has forgotten. */
struct door { struct here *h; struct listener *l; uint16_t port; struct hole { struct link *in, *out; bool dead; } holes[8]; int n; bool shut; };

static void pour(struct link *from, struct link *to)
{
    char chunk[16384];
    ptrdiff_t n;
    while (from && to && (n = link_read(from, chunk, sizeof chunk)) > 0)
        link_write(to, chunk, (size_t)n);
}
static void hole_ready(struct link *l, void *ctx)
{
    struct hole *p = ctx;
    (void)l;
    if (p->dead) {
        char chunk[16384];
        while (p->in && link_read(p->in, chunk, sizeof chunk) > 0)
            continue;
        return;
    }
    if (!link_is_open(p->out))
        return;
    pour(p->in, p->out);
    pour(p->out, p->in);
}
static void let_in(void *ctx, int fd)
{
    struct door *d = ctx;
    struct hole *p = &d->holes[d->n++ % (int)LEN(d->holes)];
    p->out = link_connect(d->h->loop, &(struct link_target){ .host = S("127.0.0.1"), .port = d->port }, (struct link_user){ hole_ready, p });
    p->in = link_accept(d->h->loop, fd, NULL, (struct link_user){ hole_ready, p });
}

TEST(row38_a_watch_that_is_silently_dead_is_opened_anew_within_45_seconds)
{
    struct script s = { .list = list_two, .watch = watch_stays };
    struct door d = { .h = &s.h };
    struct kr_err e = { 0 };
    here_loop(&s.h);
    serve(&s, 0);
    d.port = httpd_port(s.d);
    d.l = listen_tcp(s.h.loop, S("127.0.0.1"), 0, let_in, &d, &e);
    CHECK_OR(d.l);
    s.k = here_client(&s.h, listener_port(d.l));
    s.inf = informer_new(s.k, &(struct informer_config){ .resource = &kube_configmaps, .ns = S("default"), .user = { on_set, on_gone, on_synced, on_trouble, &s.v } },
                         &s.h.rnd);
    here_until_is(&s.h, &s.watches, 1);
    here_run(&s.h, 20000);
    CHECK(informer_is_live(s.inf));
    for (int i = 0; i < 600; i++) {               /* a minute of peace: PINGs are answered */
        here_skip(&s.h, 100000);
        here_run(&s.h, 1000);
    }
    CHECK_INT(s.watches, 1);
    for (int i = 0; i < d.n; i++)
        d.holes[i].dead = true;
    int64_t took = pass_until(&s, &s.watches, 2, 60000000);
    CHECK(took <= 45000000);
    CHECK(str_find(str_of(s.v.trouble), S("gone silent")) >= 0);
    CHECK_INT(s.lists, 1);
    CHECK_INT(s.v.gones, 0);
    informer_free(TAKE(s.inf));
    kube_free(TAKE(s.k));
    for (int i = 0; i < d.n; i++) {
        link_close(d.holes[i].in);
        link_close(d.holes[i].out);
    }
    listener_close(d.l);
    end(&s);
}

TEST(row38_a_watch_that_outlives_its_time_is_cut)
{
    struct script s = { .list = list_two, .watch = watch_stays };
    begin(&s);
    here_until_is(&s.h, &s.watches, 1);
    int64_t limit = 0;
    ptrdiff_t at = str_find(str_of(s.path), S("timeoutSeconds="));
    CHECK(at > 0 && str_i64(str_from(str_of(s.path), (size_t)at + 15), &limit) && limit >= 600 && limit < 1200);
    for (int64_t t = 0; t < limit; t += 5) {
        CHECK_INT(s.watches, 1);
        here_skip(&s.h, 5000000);
        here_run(&s.h, 500);
    }
    pass_until(&s, &s.watches, 2, 40000000);
    CHECK_INT(s.lists, 1);
    end(&s);
}

static void watch_is_not_answered(struct script *s, struct hreq *r, struct str path)
{
    (void)path;
    if (s->watches == 1 || s->watches > 2)
        hreq_start(r, 200, NONE);
    if (s->watches == 1)
        s->held = r;
}

/* The server lives, but the request is lost in it: the picture counts as new no longer than an answer may take. */
TEST(row38_a_watch_that_is_never_answered_is_given_up_after_a_minute)
{
    struct script s = { .list = list_two, .watch = watch_is_not_answered };
    begin(&s);
    here_until_is(&s.h, &s.watches, 1);
    while (!informer_is_live(s.inf))
        here_run(&s.h, 1000);
    here_skip(&s.h, 20000000);
    here_turn(&s.h);
    CHECK_OR(s.held);
    hreq_finish(s.held, NONE);                    /* after its time, as usual */
    here_until_is(&s.h, &s.watches, 2);
    for (int t = 0; t < 60; t += 5) {
        CHECK_INT(s.watches, 2);
        CHECK(informer_is_live(s.inf));
        here_skip(&s.h, 5000000);
        here_run(&s.h, 500);
    }
    CHECK(!informer_is_live(s.inf));
    CHECK_INT(s.v.troubles, 1);
    CHECK(str_find(str_of(s.v.trouble), S("the watch of configmaps was not answered")) >= 0);
    pass_until(&s, &s.watches, 3, 1000000);
    CHECK_INT(s.lists, 1);
    end(&s);
}

/* ---- servers that go and come ------------------------------------------------------------------------------------------ */

TEST(row37_a_server_that_drains_and_comes_back_is_followed)
{
    struct script s = { .list = list_two, .watch = watch_stays };
    begin(&s);
    here_until_is(&s.h, &s.watches, 1);
    for (int i = 2; i <= 4; i++) {
        uint16_t port = httpd_port(s.d);
        struct httpd *old = s.d;
        httpd_drain(old, loop_now_us(s.h.loop) + 1000000);
        serve(&s, port);
        pass_until(&s, &s.watches, i, 20000000);
        httpd_free(old);
    }
    CHECK_INT(s.lists, 1);
    CHECK_INT(s.v.gones, 0);
    end(&s);
}
