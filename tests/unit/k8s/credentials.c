/* SPDX-License-Identifier: Apache-2.0 */
/* Through the client: what a server sees of credentials that come, change and go. */
#include "core/fs.h"
#include "core/tls.h"
#include "k8s/client.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <stdio.h>

#define V1 "client.authentication.k8s.io/v1"
struct server {
    struct here h;
    struct httpd *d;
    struct tls *tls;
    struct kube *k;
    int requests;
    char auth[200], seen[600], cn[64];
    const char *good;                             /* the only authorization that is accepted; NULL: any */
};

static void on_begin(struct hreq *r, void *ctx) { hreq_set_user(r, ctx); }
static void on_data(struct hreq *r, struct str bytes) { (void)r; (void)bytes; }
static void on_over(struct hreq *r) { (void)r; }
static void on_request(struct hreq *r)
{
    struct server *s = hreq_user(r);
    struct http_fields f = hreq_fields(r);
    AUTO_ARENA struct arena a = { .limit = 4096 };
    size_t n = 0;
    s->requests++;
    snprintf(s->auth, sizeof s->auth, "%.*s", SFMT(http_get(f, "authorization")));
    snprintf(s->cn, sizeof s->cn, "%.*s", SFMT(link_client_cn(hreq_link(r), &a)));
    s->seen[0] = '\0';
    for (size_t i = 0; i < f.n; i++)
        if (str_starts(f.v[i].name, S("impersonate-")))
            n += (size_t)snprintf(s->seen + n, sizeof s->seen - n, "%.*s=%.*s ", SFMT(f.v[i].name), SFMT(f.v[i].value));
    bool ok = !s->good || !strcmp(s->auth, s->good);
    hreq_respond(r, ok ? 200 : 401, (struct http_fields){ 0 }, ok ? S("{\"kind\":\"Pod\"}") : S("{\"kind\":\"Status\",\"message\":\"who\"}"));
}

static void begin(struct server *s)
{
    struct kr_err e = { 0 };
    if (!s->h.loop)
        here_loop(&s->h);
    s->d = httpd_new(s->h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .tls = s->tls, .user = { on_begin, on_data, on_request, NULL, on_over, s } }, &e);
    if (!CHECK(s->d))
        abort();
}

static void client(struct server *s, struct kube_config c)
{
    struct kr_err e = { 0 };
    c.server = S("the test's");
    c.host = S("127.0.0.1");
    c.port = httpd_port(s->d);
    c.tls = s->tls != NULL;
    c.source = S("test");
    s->k = kube_new(s->h.loop, &c, "test", &e);
    if (!CHECK(s->k)) {
        printf("    %s\n", e.msg);
        abort();
    }
}

static void end(struct server *s)
{
    kube_free(s->k);
    httpd_free(s->d);
    tls_free(s->tls);
    loop_free(s->h.loop);
}

static int get(struct server *s)
{
    struct here_answer r = { 0 };
    kube_get(s->k, &kube_pods, S("ns"), S("p"), here_into(&r));
    here_until(&s->h, &r.over);
    here_answer_free(&r);
    return r.status;
}

/* The clock goes ahead, and the loop knows. */
static void skip(struct server *s, int64_t us)
{
    here_skip(&s->h, us);
    here_turn(&s->h);
}

static const char *write_file(const char *name, const char *text, mode_t mode)
{
    static char path[6][300];
    static int at;
    struct kr_err e = { 0 };
    char *p = path[at++ % 6];
    snprintf(p, sizeof path[0], "%s/%s", test_tmpdir(), name);
    CHECK_INT(fs_write(p, str_of(text), mode, false, &e), 0);
    return p;
}

/* A plugin that counts: its tokens are t1, t2, … */
static struct kube_exec counting(const char *expires)
{
    AUTO_BUF struct buf b = { .max = 4096 };
    buf_fmt(&b, "#!/bin/sh\necho x >>%s/runs\nn=$(($(wc -l <%s/runs)))\n"
                "echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\",\"status\":{%s\"token\":\"t'$n'\"}}'\n", test_tmpdir(), test_tmpdir(), expires);
    return (struct kube_exec){ .command = str_of(write_file("plugin", b.p, 0700)), .api_version = S(V1), .interactive = KUBE_NEVER };
}

static int runs(void)
{
    AUTO_BUF struct buf b = { .max = 65536 }, path = { .max = 400 };
    struct kr_err e = { 0 };
    buf_fmt(&path, "%s/runs", test_tmpdir());
    return fs_read(path.p, &b, &e) < 0 ? 0 : (int)b.n / 2;
}

TEST(a_plugin_runs_once_for_all_that_wait_and_again_when_refused)
{
    struct server s = { .good = "Bearer t1" };
    struct here_answer r[5] = { 0 };
    begin(&s);
    client(&s, (struct kube_config){ .exec = counting("") });
    for (int i = 0; i < 5; i++)
        kube_get(s.k, &kube_pods, S("ns"), S("p"), here_into(&r[i]));
    for (int i = 0; i < 5; i++) {
        here_until(&s.h, &r[i].over);
        CHECK_INT(r[i].status, 200);
    }
    skip(&s, INT64_C(86400000000));        /* it never expires */
    CHECK_INT(get(&s), 200);
    CHECK_INT(runs(), 1);
    s.good = "Bearer t2";
    for (int i = 0; i < 5; i++)
        kube_get(s.k, &kube_pods, S("ns"), S("p"), here_into(&r[i]));
    for (int i = 0; i < 5; i++) {
        here_until(&s.h, &r[i].over);
        CHECK_INT(r[i].status, 200);
        here_answer_free(&r[i]);
    }
    CHECK_INT(runs(), 2);                         /* five 401s for one token */
    s.good = "Bearer none";
    CHECK_INT(get(&s), 401);
    CHECK_INT(runs(), 3);                         /* once, not for ever */
    end(&s);
}

TEST(what_a_plugin_gave_is_kept_until_it_expires)
{
    char expires[80], when[TIME_TEXT];
    struct server s = { 0 };
    begin(&s);
    time_print(when, loop_wall_us(s.h.loop) + INT64_C(3600000000));
    snprintf(expires, sizeof expires, "\"expirationTimestamp\":\"%s\",", when);
    client(&s, (struct kube_config){ .exec = counting(expires) });
    CHECK_INT(get(&s), 200);
    skip(&s, INT64_C(3500000000));
    CHECK_INT(get(&s), 200);
    CHECK_Z(s.auth, "Bearer t1");
    skip(&s, INT64_C(200000000));
    CHECK_INT(get(&s), 200);
    CHECK_Z(s.auth, "Bearer t2");
    CHECK_INT(get(&s), 200);                      /* expired as it came: used for a moment, not asked for with each request */
    CHECK_INT(runs(), 2);
    end(&s);
}

TEST(row39_a_plugin_s_time_does_not_count_against_deadlines)
{
    struct server s = { 0 };
    struct here_answer r = { 0 };
    struct kube_exec x = counting("");
    begin(&s);
    AUTO_BUF struct buf b = { .max = 4096 };
    buf_fmt(&b, "#!/bin/sh\nwhile [ ! -e %s/go ]; do :; done\nexec %.*s\n", test_tmpdir(), SFMT(x.command));
    x.command = str_of(write_file("slow", b.p, 0700));
    client(&s, (struct kube_config){ .exec = x });
    kube_get(s.k, &kube_pods, S("ns"), S("p"), here_into(&r));
    here_turn(&s.h);
    skip(&s, 40000000);                           /* longer than a call may take */
    CHECK(!r.over);
    write_file("go", "", 0600);
    here_until(&s.h, &r.over);
    CHECK_INT(r.status, 200);
    here_answer_free(&r);
    end(&s);
}

struct closer { struct kube **k; bool over; char msg[512]; };
static void close_it(void *ctx, const struct kube_result *r)
{
    struct closer *c = ctx;
    c->over = true;
    snprintf(c->msg, sizeof c->msg, "%s", r->error ? r->error->msg : "");
    kube_free(TAKE(*c->k));
}

TEST(a_plugin_that_fails_fails_the_calls_that_wait_and_one_of_them_may_close_the_client)
{
    struct server s = { 0 };
    struct here_answer r = { 0 };
    begin(&s);
    client(&s, (struct kube_config){ .exec = { .command = S("no-such-plugin"), .api_version = S(V1), .install_hint = S("look in the cellar") } });
    kube_get(s.k, &kube_pods, S("ns"), S("p"), here_into(&r));
    here_until(&s.h, &r.over);
    CHECK(str_find(str_of(r.msg), S("look in the cellar")) >= 0);
    CHECK_INT(s.requests, 0);
    struct closer c = { .k = &s.k };
    kube_get(s.k, &kube_pods, S("ns"), S("p"), (struct kube_user){ close_it, &c });
    kube_get(s.k, &kube_pods, S("ns"), S("q"), here_into(&r));
    here_until(&s.h, &r.over);
    CHECK(c.over && !s.k);
    CHECK_INT(r.code, KR_CANCELLED);
    here_answer_free(&r);
    end(&s);
}

TEST(a_client_that_is_closed_while_a_plugin_runs_takes_it_along)
{
    struct server s = { 0 };
    struct here_answer r = { 0 };
    begin(&s);
    client(&s, (struct kube_config){ .exec = { .command = str_of(write_file("hang", "#!/bin/sh\nexec tail -f /dev/null\n", 0700)), .api_version = S(V1) } });
    kube_get(s.k, &kube_pods, S("ns"), S("p"), here_into(&r));
    here_turn(&s.h);
    CHECK(!r.over);
    kube_free(TAKE(s.k));
    CHECK_INT(r.code, KR_CANCELLED);
    here_answer_free(&r);
    end(&s);
}

TEST(one_acts_as_somebody_else_or_has_a_password)
{
    struct server s = { 0 };
    struct str groups[] = { S("g"), S("h") };
    struct kube_pair extra[] = { { S("Scope/x"), S("v") } };
    begin(&s);
    client(&s, (struct kube_config){ .username = S("me"), .password = S("w:rd"), .as = S("you"), .as_uid = S("7"), .as_groups = groups, .nas_groups = 2,
                                     .as_extra = extra, .nas_extra = 1 });
    CHECK_INT(get(&s), 200);
    CHECK_Z(s.auth, "Basic bWU6dzpyZA==");
    CHECK_Z(s.seen, "impersonate-user=you impersonate-uid=7 impersonate-group=g impersonate-group=h impersonate-extra-scope%2fx=v ");
    end(&s);
}

TEST(a_token_file_that_changed_is_read_at_the_next_request)
{
    struct server s = { 0 };
    begin(&s);
    client(&s, (struct kube_config){ .token_file = str_of(write_file("token", "one\n", 0600)), .token = S("one") });
    CHECK_INT(get(&s), 200);
    CHECK_Z(s.auth, "Bearer one");
    write_file("token", "two\n", 0600);
    skip(&s, 1000000);                     /* files are looked at once a second */
    CHECK_INT(get(&s), 200);
    CHECK_Z(s.auth, "Bearer two");
    write_file("token", "", 0600);
    skip(&s, 1000000);
    CHECK_INT(get(&s), 200);
    CHECK_Z(s.auth, "Bearer two");                /* an empty one is being written */
    end(&s);
}

/* ---- certificates -------------------------------------------------------------------------------------------------- */

static struct tls_pair issue(const struct tls_pair *ca, struct str cn, unsigned usage, int64_t now)
{
    struct tls_pair p = { 0 };
    struct kr_err e = { 0 };
    struct str name = S("127.0.0.1");
    CHECK(tls_issue(&p, ca, &(struct tls_request){ .common_name = cn, .names = &name, .nnames = 1, .usage = usage, .now_us = now, .days = 400 }, &e) == 0);
    return p;
}

static void reload(struct server *s, const struct tls_pair *ca, const struct tls_pair *trusted)
{
    static const char *const alpn[] = { "h2", "http/1.1", NULL };
    struct tls_pair own = issue(ca, S("server"), TLS_FOR_SERVER, loop_wall_us(s->h.loop));
    struct tls_config c = { .cert = buf_view(&own.cert), .key = buf_view(&own.key), .ca = buf_view(&trusted->cert), .alpn = alpn };
    struct kr_err e = { 0 };
    if (s->tls)
        CHECK_INT(tls_reload(s->tls, &c, &e), 0);
    else
        CHECK(s->tls = tls_server_new(&c, &e));
    tls_pair_free(&own);
}

TEST(row37_a_server_with_a_new_ca_is_trusted_once_the_file_has_it)
{
    struct server s = { 0 };
    struct tls_pair old, new;
    struct kr_err e = { 0 };
    here_loop(&s.h);
    int64_t now = loop_wall_us(s.h.loop);
    CHECK_OR(tls_make_ca(&old, S("old"), now, 400, &e) == 0 && tls_make_ca(&new, S("new"), now, 400, &e) == 0);
    reload(&s, &old, &old);
    begin(&s);
    uint16_t port = httpd_port(s.d);
    client(&s, (struct kube_config){ .ca_file = str_of(write_file("ca", old.cert.p, 0600)), .ca = buf_view(&old.cert) });
    CHECK_INT(get(&s), 200);
    httpd_free(s.d);                              /* it comes back as another */
    reload(&s, &new, &new);
    s.d = httpd_new(s.h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .port = port, .tls = s.tls, .user = { on_begin, on_data, on_request, NULL, on_over, &s } }, &e);
    CHECK_OR(s.d);
    CHECK_INT(get(&s), 0);                        /* an error, no answer */
    write_file("ca", new.cert.p, 0600);
    skip(&s, 1000000);
    CHECK_INT(get(&s), 200);
    CHECK_INT(s.requests, 2);
    end(&s);
    tls_pair_free(&old);
    tls_pair_free(&new);
}

TEST(client_certificates_are_taken_over_in_pairs)
{
    struct server s = { 0 };
    struct tls_pair ca;
    struct kr_err e = { 0 };
    here_loop(&s.h);
    int64_t now = loop_wall_us(s.h.loop);
    CHECK_OR(tls_make_ca(&ca, S("ca"), now, 400, &e) == 0);
    reload(&s, &ca, &ca);
    begin(&s);
    struct tls_pair one = issue(&ca, S("one"), TLS_FOR_CLIENT, now), two = issue(&ca, S("two"), TLS_FOR_CLIENT, now);
    client(&s, (struct kube_config){ .ca = buf_view(&ca.cert), .cert = buf_view(&one.cert), .key = buf_view(&one.key),
                                     .cert_file = str_of(write_file("cert", one.cert.p, 0600)), .key_file = str_of(write_file("key", one.key.p, 0600)) });
    CHECK_INT(get(&s), 200);
    CHECK_Z(s.cn, "one");
    write_file("cert", two.cert.p, 0600);
    skip(&s, 1000000);
    CHECK_INT(get(&s), 200);
    CHECK_Z(s.cn, "one");                         /* its key isn't there yet */
    write_file("key", two.key.p, 0600);
    skip(&s, 1000000);
    CHECK_INT(get(&s), 200);
    CHECK_Z(s.cn, "two");
    end(&s);
    tls_pair_free(&ca);
    tls_pair_free(&one);
    tls_pair_free(&two);
}

/* As a JSON string: only line ends need an escape in PEM. */
static void put_pem(struct buf *b, const char *key, const struct buf *pem)
{
    buf_fmt(b, "\"%s\":\"", key);
    for (size_t i = 0; i < pem->n; i++)
        if (pem->p[i] == '\n')
            buf_lit(b, "\\n");
        else
            buf_byte(b, pem->p[i]);
    buf_byte(b, '"');
}

TEST(a_plugin_may_give_a_client_certificate)
{
    struct server s = { 0 };
    struct tls_pair ca;
    struct kr_err e = { 0 };
    here_loop(&s.h);
    int64_t now = loop_wall_us(s.h.loop);
    CHECK_OR(tls_make_ca(&ca, S("ca"), now, 400, &e) == 0);
    reload(&s, &ca, &ca);
    begin(&s);
    struct tls_pair own = issue(&ca, S("plugged"), TLS_FOR_CLIENT, now);
    AUTO_BUF struct buf b = { .max = 65536 };
    buf_lit(&b, "#!/bin/sh\ncat <<'E'\n{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\",\"status\":{");
    put_pem(&b, "clientCertificateData", &own.cert);
    buf_byte(&b, ',');
    put_pem(&b, "clientKeyData", &own.key);
    buf_lit(&b, "}}\nE\n");
    client(&s, (struct kube_config){ .ca = buf_view(&ca.cert), .exec = { .command = str_of(write_file("plugin", b.p, 0700)), .api_version = S(V1) } });
    CHECK_INT(get(&s), 200);
    CHECK_Z(s.cn, "plugged");
    CHECK_Z(s.auth, "");
    end(&s);
    tls_pair_free(&ca);
    tls_pair_free(&own);
}
