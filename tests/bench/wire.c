/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire: the two ends that `make bench-proto` puts beside other people's: a server of small answers, a gRPC server that echoes,
 * and clients. Each is a process of its own, so that either side can be pinned to a core; $PORT, $CALLS and the like say the rest.
 */
#include "tests/bench/bench.h"
#include "core/fs.h"
#include "core/tls.h"
#include "grpc/grpc.h"
#include "tests/interop/testing/testing.h"
#include <stdio.h>

static const char answer[] = "Hello, World!\n";
enum { LINE = 2048, AT_A_TIME = 1 << 18 };

static uint64_t setting(const char *name, uint64_t otherwise)
{
    uint64_t v = otherwise;
    const char *text = getenv(name);
    if (text && !str_u64(str_of(text), &v)) {
        fprintf(stderr, "bench: %s is not a number\n", name);
        exit(2);
    }
    return v;
}

/* ---- a server of small answers; "/hang" waits for ever, "/lines" has a watch's lines until the client goes ------------- */

static char lines[AT_A_TIME];

static void more_lines(struct hreq *r)
{
    if (str_is(hreq_path(r), "/lines"))
        hreq_write(r, (struct str){ lines, sizeof lines });
}

static void asked(struct hreq *r, void *ctx)
{
    (void)ctx;
    struct http_field f[] = { { S("content-type"), S("text/plain") }, { S("content-length"), S("14") } };
    if (str_is(hreq_path(r), "/hang"))
        return;
    if (!str_is(hreq_path(r), "/lines")) {
        hreq_respond(r, 200, (struct http_fields){ f, LEN(f) }, str_of(answer));
        return;
    }
    hreq_start(r, 200, (struct http_fields){ f, 1 });
    more_lines(r);
}

static void gone(struct hreq *r) { (void)r; }

static void fill_lines(void)
{
    memset(lines, 'x', sizeof lines);
    for (size_t i = 0; i < sizeof lines; i += LINE) {
        memcpy(lines + i, "{\"type\":\"", 9);
        lines[i + LINE - 1] = '\n';
    }
}

static struct tls *own_certificate(struct loop *loop, struct kr_err *e)
{
    static const char *const alpn[] = { "h2", NULL };
    const char *to = getenv("CERTIFICATE");                 /* the pair is written there for the others: the same key for all */
    struct tls_pair ca = { 0 }, pair = { 0 };
    struct str names[] = { S("127.0.0.1") };
    struct tls_request q = { .common_name = S("bench"), .names = names, .nnames = 1, .usage = TLS_FOR_SERVER, .now_us = loop_wall_us(loop), .days = 1 };
    struct tls *t = NULL;
    char path[256];
    if (tls_make_ca(&ca, S("bench"), q.now_us, 1, e) == 0 && tls_issue(&pair, &ca, &q, e) == 0)
        t = tls_server_new(&(struct tls_config){ .cert = buf_view(&pair.cert), .key = buf_view(&pair.key), .alpn = alpn }, e);
    for (int i = 0; t && i < 2; i++) {
        snprintf(path, sizeof path, "%s.%s", to, i ? "key" : "crt");
        if (fs_write(path, buf_view(i ? &pair.key : &pair.cert), 0600, false, e) < 0)
            t = NULL;
    }
    tls_pair_free(&ca);
    tls_pair_free(&pair);
    return t;
}

int bench_http(void)
{
    struct loop *loop = loop_new(&clock_system);
    struct kr_err e = { 0 };
    bool secure = getenv("CERTIFICATE");
    struct tls *tls = secure ? own_certificate(loop, &e) : NULL;
    struct httpd_config c = { .host = S("127.0.0.1"), .tls = tls, .user = { .begin = asked, .writable = more_lines, .gone = gone } };
    struct httpd *d = secure && !tls ? NULL : httpd_new(loop, &c, &e);
    if (!d)
        return fprintf(stderr, "bench: %s\n", e.msg), 1;
    fill_lines();
    printf("port %u\n", httpd_port(d));
    fflush(stdout);
    loop_run(loop);
    return 0;
}

/* ---- a gRPC server that echoes ------------------------------------------------------------------------------------- */

static void echo(struct grpc_request *r, struct str bytes)
{
    grpc_testing_SimpleRequest *q = grpc_decode(r, TESTING(SimpleRequest), sizeof *q, bytes);
    if (q && grpc_reply_pb(r, TESTING(SimpleResponse), &(grpc_testing_SimpleResponse){ .payload = q->payload }) == 0)
        grpc_end(r, GRPC_OK, S(""));
}

int bench_grpc(void)
{
    static const struct grpc_method methods[] = { { "UnaryCall", .message = echo }, { 0 } };
    struct loop *loop = loop_new(&clock_system);
    struct kr_err e = { 0 };
    struct grpc_service service = { "grpc.testing.TestService", methods, NULL };
    struct grpc_server *s = grpc_server_new(loop, &(struct grpc_server_config){ .host = S("127.0.0.1"), .services = &service, .n = 1 }, &e);
    if (!s)
        return fprintf(stderr, "bench: %s\n", e.msg), 1;
    printf("port %u\n", grpc_server_port(s));
    fflush(stdout);
    loop_run(loop);
    return 0;
}

/* ---- a gRPC client: $CALLS echoes of $BYTES, $AT_ONCE of them under way ------------------------------------------------- */

struct caller {
    struct loop *loop;
    struct grpc_client *client;
    size_t want, begun, over, bytes;
    double *took;
};
struct echoed { struct caller *c; double since; bool answered; };

static void call_one(struct echoed *x);

static void came(void *ctx, struct str bytes)
{
    struct echoed *x = ctx;
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    grpc_testing_SimpleResponse m = { 0 };
    struct kr_err e = { 0 };
    x->answered = pb_from_bytes(TESTING(SimpleResponse), &m, bytes, &a, &e) == 0 && m.payload && m.payload->body.n == x->c->bytes;
}

static void finished(void *ctx, int status, struct str text)
{
    struct echoed *x = ctx;
    if (status != GRPC_OK || !x->answered) {
        fprintf(stderr, "bench: the echo failed: %d %.*s\n", status, SFMT(text));
        exit(1);
    }
    x->c->took[x->c->over++] = bench_seconds() - x->since;
    call_one(x);
}

static void call_one(struct echoed *x)
{
    static const char zeros[65536];
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    struct kr_err e = { 0 };
    grpc_testing_Payload p = { .body = { zeros, x->c->bytes } };
    if (x->c->begun == x->c->want)
        return;
    x->c->begun++;
    x->answered = false;
    x->since = bench_seconds();
    pb_to_bytes(TESTING(SimpleRequest), &(grpc_testing_SimpleRequest){ .payload = &p }, &b, &e);
    grpc_call(x->c->client, "/grpc.testing.TestService/UnaryCall", buf_view(&b), &(struct grpc_options){ .timeout_us = 20000000 },
              (struct grpc_user){ came, finished, x, NULL });
}

static bool all_over(void *ctx) { return ((struct caller *)ctx)->over == ((struct caller *)ctx)->want; }
static int by_value(const void *a, const void *b) { return *(const double *)a < *(const double *)b ? -1 : *(const double *)a > *(const double *)b; }

int bench_call(void)
{
    struct caller c = { .loop = loop_new(&clock_system), .want = setting("CALLS", 100000), .bytes = setting("BYTES", 100) };
    size_t at_once = setting("AT_ONCE", 100);
    struct echoed *x = xcalloc(at_once, sizeof *x);
    c.took = xcalloc(c.want, sizeof *c.took);
    c.client = grpc_client_new(c.loop, S("127.0.0.1"), (uint16_t)setting("PORT", 0));
    double begin = bench_seconds();
    for (size_t i = 0; i < at_once; i++) {
        x[i].c = &c;
        call_one(&x[i]);
    }
    loop_run_until(c.loop, all_over, &c, INT64_MAX);
    double all = bench_seconds() - begin;
    qsort(c.took, c.want, sizeof *c.took, by_value);
    printf("RATE %f %f\n", (double)c.want / all, bench_percentile(c.took, c.want, 0.99));
    return 0;
}

/* ---- what connections and streams that wait cost the server $SERVER, and how fast lines of a watch come ----------------- */

struct crowd { size_t want, have; bool hang; };
static void head(struct hcall *c, int status, struct http_fields f) { (void)c, (void)status, (void)f; }
static void data(struct hcall *c, struct str bytes) { (void)c, (void)bytes; }
static void ended(struct hcall *c, struct http_fields f)
{
    (void)f;
    ((struct crowd *)hcall_ctx(c))->have++;
}
static void failed(struct hcall *c, const struct kr_err *e)
{
    (void)c;
    fprintf(stderr, "bench: %s\n", e->msg);
    exit(1);
}
static bool all_there(void *ctx) { return ((struct crowd *)ctx)->have == ((struct crowd *)ctx)->want; }

static void ask(struct httpc *c, struct str path, struct crowd *crowd)
{
    httpc_call(c, &(struct httpc_request){ .method = S("GET"), .path = path, .authority = S("127.0.0.1") },
               (struct hcall_user){ .head = head, .data = data, .end = ended, .failed = failed, .ctx = crowd });
}

int bench_hold(void)
{
    enum { CONNECTIONS = 1000, STREAMS = 200, BUSY = 50 };
    static struct httpc *c[CONNECTIONS];
    struct loop *loop = loop_new(&clock_system);
    const char *server = getenv("SERVER");
    struct crowd crowd = { .want = 1 };
    struct httpc_config config = { .target = { .host = S("127.0.0.1"), .port = (uint16_t)setting("PORT", 0) }, .version = HTTP_2, .keepalive_us = INT64_C(3600000000) };
    for (size_t i = 0; i < CONNECTIONS; i++)
        c[i] = httpc_new(loop, &config);
    ask(c[0], S("/"), &crowd);
    loop_run_until(loop, all_there, &crowd, INT64_MAX);
    size_t none = bench_resident(server);
    crowd.want = CONNECTIONS;
    for (size_t i = 1; i < CONNECTIONS; i++)
        ask(c[i], S("/"), &crowd);
    loop_run_until(loop, all_there, &crowd, INT64_MAX);
    size_t idle = bench_resident(server);
    for (size_t i = 0; i < BUSY; i++)
        for (size_t k = 0; k < STREAMS; k++)
            ask(c[i], S("/hang"), &crowd);
    crowd.want += BUSY;                            /* what is asked behind them tells that they have come */
    for (size_t i = 0; i < BUSY; i++)
        ask(c[i], S("/"), &crowd);
    loop_run_until(loop, all_there, &crowd, INT64_MAX);
    printf("memory of the server: %zu bytes per idle connection (HTTP/2, %d of them), %zu per open stream (%d of them)\n", (idle - none) / (CONNECTIONS - 1),
           CONNECTIONS, (bench_resident(server) - idle) / (BUSY * STREAMS), BUSY * STREAMS);
    return 0;
}

struct watch { size_t lines, bytes, want; };
static void watch_line(void *ctx, struct str line)
{
    ((struct watch *)ctx)->lines++;
    ((struct watch *)ctx)->bytes += line.n + 1;
}
static void watch_ended(void *ctx, int status, const struct kr_err *e)
{
    (void)ctx;
    fprintf(stderr, "bench: the watch ended: %d %s\n", status, e ? e->msg : "");
    exit(1);
}
static bool watch_full(void *ctx) { return ((struct watch *)ctx)->bytes >= ((struct watch *)ctx)->want; }

int bench_lines(void)
{
    struct watch w = { .want = (size_t)2 << 30 };
    struct kr_err e = { 0 };
    struct loop *loop = loop_new(&clock_system);
    struct kube_config c = { .server = S("http://127.0.0.1"), .host = S("127.0.0.1"), .port = (uint16_t)setting("PORT", 0), .ns = S("default"), .source = S("bench") };
    struct kube *k = kube_new(loop, &c, "kruntimes-bench", &e);
    if (!k)
        return fprintf(stderr, "bench: %s\n", e.msg), 1;
    double begin = bench_seconds(), cpu = bench_cpu_seconds();
    kube_open_stream(k, S("/lines"), (struct kube_stream_user){ NULL, watch_line, watch_ended, &w });
    loop_run_until(loop, watch_full, &w, INT64_MAX);
    printf("watch: lines of %d bytes from our server to our client: %.2f GB/s; %.2f GB per second of the client's CPU time\n", LINE,
           (double)w.bytes / 1e9 / (bench_seconds() - begin), (double)w.bytes / 1e9 / (bench_cpu_seconds() - cpu));
    return 0;
}
