/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What servers answer: the XML of an S3 store, and the lines of a watch as an informer takes them from a connection, wherever
 * they are cut. Each input of a watch is a request over the loopback: the target is slower than others.
 */
#include "applets/artifact/s3.h"
#include "core/json.h"
#include "k8s/informer.h"
#include "tests/fuzz/fuzz.h"
#include <stdio.h>

/* ---- S3 ---------------------------------------------------------------------------------------------------------- */

static void put_xml(struct buf *b, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char ch = (unsigned char)text.p[i];
        if (ch == '&')
            buf_lit(b, "&amp;");
        else if (ch == '<')
            buf_lit(b, "&lt;");
        else if (ch == '>')
            buf_lit(b, "&gt;");
        else if (ch && ch < ' ')
            buf_fmt(b, "&#x%X;", ch);
        else
            buf_byte(b, (char)ch);
    }
}

/* Answers can't grow, nor hold a reader up; any text comes back from how XML writes it. */
FUZZ_WORDS(s3_answer, "<Key>", "</Key>", "<UploadId>", "</UploadId>", "&amp;", "&#65;", "&#x10FFFF;", "&lt;", "<IsTruncated>true</IsTruncated>", "<Code>NoSuchKey</Code>")
{
    static const char *const names[] = { "Key", "UploadId", "Code" };
    AUTO_ARENA struct arena a = { .limit = 1 << 22 };
    AUTO_BUF struct buf written = { .max = 1 << 22 };
    struct str text;
    for (size_t i = 0; i < LEN(names); i++)
        for (size_t at = 0, was = 0; xml_find(in, &at, names[i], &a, &text); was = at) {
            DEMAND(at > was && at <= in.n && text.n < at - was);
            if (!was)
                DEMAND(str_eq(text, xml_first(in, names[i], &a)));
        }
    buf_lit(&written, "<?xml version=\"1.0\"?><R><Key>");
    put_xml(&written, in);
    buf_lit(&written, "</Key></R>");
    DEMAND(a.over || str_eq(xml_first(buf_view(&written), "Key", &a), in));
}

/* ---- a watch ------------------------------------------------------------------------------------------------------ */

#define LAST "\n{\"type\":\"ADDED\",\"object\":{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"the-last\",\"namespace\":\"d\",\"resourceVersion\":\"9999999\"}}}\n"
static struct {
    struct loop *loop;
    struct httpd *server;
    struct kube *kube;
    struct rnd rnd;
    unsigned uses;
    struct str lines;                             /* what the watch will be told, */
    size_t cut;                                   /* so many bytes at a time */
    struct hreq *watch;
    struct buf *trace;
    bool over;
} w;

static void asked(struct hreq *r, void *ctx)
{
    static const char none[] = "{\"kind\":\"ConfigMapList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[]}";
    struct http_field f[] = { { S("content-type"), S("application/json") } };
    struct http_fields type = { f, LEN(f) };
    (void)ctx;
    if (str_find(hreq_path(r), S("watch=true")) < 0) {
        hreq_respond(r, 200, type, str_of(none));
        return;
    }
    w.watch = r;
    hreq_start(r, 200, type);
    for (size_t at = 0; at < w.lines.n; at += w.cut)
        hreq_write(r, (struct str){ w.lines.p + at, w.lines.n - at < w.cut ? w.lines.n - at : w.cut });
    bool whole = !w.lines.n || w.lines.p[w.lines.n - 1] == '\n';
    hreq_write(r, str_from(S(LAST), whole ? 1 : 0));
}

/* The informer gave the watch up: that is its last word about these lines. */
static void gone(struct hreq *r)
{
    if (r == w.watch) {
        w.watch = NULL;
        w.over = true;
    }
}

static void told(const char *what, struct str key, struct str json)
{
    if (str_is(key, "d/the-last"))
        w.over = true;
    if (!w.over)
        buf_fmt(w.trace, "%s %.*s %.*s\n", what, SFMT(key), SFMT(json));
}
static void on_set(void *ctx, struct str key, struct str json)
{
    struct kr_err e = { 0 };
    (void)ctx;
    DEMAND(json_scan(json, &e) == 0 && key.n);
    told("set", key, json);
}
static void on_gone(void *ctx, struct str key, struct str json)
{
    (void)ctx;
    told("gone", key, json);
}
static void on_trouble(void *ctx, const struct kr_err *e)
{
    (void)ctx;
    told("trouble", str_of(kr_codes[e->code].name), (struct str){ 0 });
    w.over = true;
}
static bool is_over(void *ctx) { return (void)ctx, w.over; }

static void connect_again(void)
{
    struct kr_err e = { 0 };
    struct kube_config c = { .server = S("http://127.0.0.1"), .host = S("127.0.0.1"), .ns = S("d"), .source = S("fuzz") };
    if (!w.loop) {
        struct httpd_config config = { .host = S("127.0.0.1"), .user = { .begin = asked, .gone = gone } };
        w.loop = loop_new(&clock_system);
        rnd_seed(&w.rnd, 1);
        w.server = httpd_new(w.loop, &config, &e);
        DEMAND(w.server);
    }
    kube_free(w.kube);
    c.port = httpd_port(w.server);
    w.kube = kube_new(w.loop, &c, "fuzz", &e);
    DEMAND(w.kube);
}

static void watch_trace(struct str lines, size_t cut, struct buf *out)
{
    if (w.uses++ % 200 == 0)                      /* each use ends a stream by a reset, which a connection may do so often only */
        connect_again();
    w.lines = lines;
    w.cut = cut;
    w.trace = out;
    w.over = false;
    w.watch = NULL;                               /* the one before may not be gone yet */
    struct informer *i = informer_new(w.kube, &(struct informer_config){ .resource = &kube_configmaps, .ns = S("d"), .user = { on_set, on_gone, NULL, on_trouble, NULL, NULL } }, &w.rnd);
    DEMAND(loop_run_until(w.loop, is_over, NULL, loop_now_us(w.loop) + INT64_C(20000000)) == 0);
    informer_free(i);
}

FUZZ_WORDS(watch, "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\",\"namespace\":\"d\",\"resourceVersion\":\"2\"}}}\n", "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"5\"}}}\n",
           "\"type\":\"DELETED\"", "\"type\":\"MODIFIED\"", "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}}\n", "\n", "\r\n", "\"resourceVersion\":\"", "\"namespace\":\"x\"")
{
    AUTO_BUF struct buf whole = { .max = 1 << 24 }, cut = { .max = 1 << 24 };
    unsigned n = fuzz_pick(&in, 8) + 1;
    if (in.n > 4096)
        in.n = 4096;
    watch_trace(in, in.n + 1, &whole);
    watch_trace(in, n, &cut);
    DEMAND(str_eq(buf_view(&whole), buf_view(&cut)));
}
