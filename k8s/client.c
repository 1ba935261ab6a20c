/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client: one struct per call holds the request until it is answered, so that it can be sent again after a 429, and the
 * answer's bytes as they come. Streams are calls whose body is handed out line by line.
 *
 * Who we are is in credentials.c, which holds all requests back while a plugin is asked. Not here: a client-side rate limit;
 * the server's priority and fairness decides. Tested in tests/unit/k8s/client.c, client_faults.c.
 */
#include "k8s/client.h"
#include "core/json.h"
#include "core/metrics.h"
#include "core/proxy.h"
#include "core/uri.h"
#include "k8s/credentials.h"
#include "k8s/failpoint.h"
#include <stdio.h>

enum { TIMEOUT_US = 30000000, MAX_WAITS = 5, MAX_RETRY_AFTER_S = 30, STREAM_CONNECTIONS = 64, TYPES_MAX = 512 };

struct kube {
    struct loop *loop;
    struct kube_config config;
    struct proxy proxy;
    struct credentials *credentials;
    struct httpc *calls, *streams, *upgrades;
    char *agent;
    struct buf authority;
    struct kube_call *open;
    bool (*may_write)(void *); void *fence_ctx;
    bool busy, closed;                            /* callbacks are on the stack that are not httpc's; freed behind them */
};
struct kube_call {
    struct kube_call *next, **at;
    struct kube *k;
    struct kube_user user;
    struct hcall *call;
    const char *method, *path, *content_type, *accept;      /* in texts; path: NULL when it is too long */
    const char *kind;
    struct buf texts, body, answer;
    int64_t deadline_us, date_us;
    struct timer again;
    int status, waits, retry_after_s;
    bool reauthorized, unfenced, first;
};
struct kube_stream {
    struct kube *k;
    struct kube_stream_user user;
    struct hcall *call;
    struct buf line;
    int status;
    bool busy, closed;                            /* busy: lines are being handed out; closed or ended meanwhile: freed after */
};

/* ---- the client itself ------------------------------------------------------------------------------------------- */

static struct http_fields sign(void *ctx, uint32_t *stamp) { return credentials_fields(((struct kube *)ctx)->credentials, stamp); }

static struct httpc *connect_with(struct kube *k, enum credentials_tls which, enum http_version v, size_t connections)
{
    const struct kube_config *c = &k->config;
    struct httpc_config hc = { .target = { .host = c->host, .port = c->port, .tls = credentials_tls(k->credentials, which), .server_name = c->server_name,
                                           .proxy = c->proxy.n ? &k->proxy : NULL, .proxy_tls = credentials_tls(k->credentials, CREDENTIALS_PROXY) },
                               .version = v, .max_connections = connections, .sign = sign, .sign_ctx = k };
    return httpc_new(k->loop, &hc);
}

static void hold(void *ctx, bool on)
{
    struct kube *k = ctx;
    httpc_hold(k->calls, on);
    httpc_hold(k->streams, on);
    httpc_hold(k->upgrades, on);
}

/* The plugin's failure is that of every request that waits for it; those that come of it begin anew. */
static void refuse(void *ctx, const struct kr_err *e)
{
    struct kube *k = ctx;
    struct httpc *const all[] = { k->calls, k->streams, k->upgrades };
    struct kr_err why = *e;
    k->busy = true;
    for (size_t i = 0; i < LEN(all) && !k->closed; i++)
        httpc_refuse(all[i], &why);
    k->busy = false;
    if (k->closed)
        free(k);
}

static void renew(void *ctx)
{
    struct kube *k = ctx;
    httpc_renew(k->calls);
    httpc_renew(k->streams);
    httpc_renew(k->upgrades);
}

static int prepare(struct kube *k, struct kr_err *e)
{
    struct kube_config *c = &k->config;
    if (c->proxy.n && proxy_parse(&k->proxy, c->proxy, &c->arena, e) < 0)
        return -1;
    k->credentials = credentials_new(k->loop, c, (struct credentials_user){ hold, refuse, renew, k }, e);
    return k->credentials ? 0 : -1;
}

struct kube *kube_new(struct loop *loop, const struct kube_config *c, const char *user_agent, struct kr_err *e)
{
    struct kube *k = xcalloc(1, sizeof *k);
    k->loop = loop;
    kube_config_copy(&k->config, c);
    if (!k->config.ns.n)
        k->config.ns = S("default");
    k->agent = xstrndup(user_agent, strlen(user_agent));
    k->authority.max = 1024;
    if (prepare(k, e) < 0) {
        kr_wrap(e, "%.*s", SFMT(c->source));
        kube_free(k);
        return NULL;
    }
    buf_fmt(&k->authority, str_chr(c->host, ':') >= 0 ? "[%.*s]:%u" : "%.*s:%u", SFMT(c->host), c->port);
    enum http_version v = c->tls ? HTTP_ANY : HTTP_2_OR_11;
    k->calls = connect_with(k, CREDENTIALS_BOTH, v, 0);
    k->streams = connect_with(k, CREDENTIALS_BOTH, v, STREAM_CONNECTIONS);
    k->upgrades = connect_with(k, CREDENTIALS_H1, HTTP_11, 0);
    return k;
}

static void call_unlink(struct kube_call *q)
{
    *q->at = q->next;
    if (q->next)
        q->next->at = q->at;
    loop_timer_stop(q->k->loop, &q->again);
    hcall_cancel(TAKE(q->call));
}

static void call_free(struct kube_call *q)
{
    buf_free(&q->texts);
    buf_free(&q->body);
    buf_free(&q->answer);
    xblock_free(q, sizeof *q);
}

void kube_free(struct kube *k)
{
    if (!k)
        return;
    k->closed = true;
    while (k->open) {
        struct kr_err e = { 0 };
        struct kube_call *q = k->open;
        struct kube_user user = q->user;
        call_unlink(q);
        call_free(q);
        kr_fail(&e, KR_CANCELLED, "the client was closed");
        user.done(user.ctx, &(struct kube_result){ .error = &e });
    }
    httpc_free(k->calls);
    httpc_free(k->streams);
    httpc_free(k->upgrades);
    credentials_free(k->credentials);
    kube_config_free(&k->config);
    free(k->agent);
    buf_free(&k->authority);
    if (!k->busy)
        free(k);
}

struct str kube_namespace(const struct kube *k) { return k->config.ns; }
struct loop *kube_loop(const struct kube *k) { return k->loop; }
struct str kube_server(const struct kube *k) { return k->config.server; }

void kube_fence(struct kube *k, bool (*may_write)(void *), void *ctx)
{
    k->may_write = may_write;
    k->fence_ctx = ctx;
}

/* Fills f (room for 6) with what every request has; credentials come when it is sent. */
static size_t common_fields(struct kube *k, struct http_field *f, const char *accept)
{
    size_t n = 0;
    credentials_look(k->credentials);
    f[n++] = (struct http_field){ S("user-agent"), str_of(k->agent) };
    f[n++] = (struct http_field){ S("accept"), str_of(accept) };
    return n;
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

/* The first line of what is neither a Status nor a page: a proxy's or load balancer's own words, when they are plain. */
static struct str plain_words(struct str body)
{
    struct str line = str_trim(str_cut(&body, '\n'));
    line.n = str_utf8_prefix((struct str){ line.p, line.n < 200 ? line.n : 200 });
    for (size_t i = 0; i < line.n; i++)
        if ((unsigned char)line.p[i] < ' ' || line.p[i] == '<' || line.p[i] == 0x7f)
            return S("");
    return line.n ? line : S("");
}

static void explain(struct kr_err *e, enum kr_code code, int status, struct str words)
{
    kr_fail(e, code, "the API server answered %d %s%s%.*s", status, http_reason(status), words.n ? ": " : "", SFMT(words));
}

/* Seconds; 0 where it is no wait. */
static int wait_asked(struct str text)
{
    int64_t seconds;
    if (!str_i64(text, &seconds) || seconds <= 0)
        return 0;
    return seconds > MAX_RETRY_AFTER_S ? MAX_RETRY_AFTER_S : (int)seconds;
}

void kube_status_error(int status, struct str body, struct kr_err *e, bool *causes)
{
    AUTO_ARENA struct arena a = { .limit = 262144 };
    struct kr_err ignored = { 0 };
    bool is_json = json_scan(body, &ignored) == 0;
    struct str message = is_json ? json_str_of(json_find(body, "message"), &a) : (struct str){ 0 };
    struct str reason = is_json ? json_str_of(json_find(body, "reason"), &a) : (struct str){ 0 };
    struct str details = is_json ? json_find(body, "details") : (struct str){ 0 };
    enum kr_code code = kr_code_of_http(status);
    for (int i = KR_USAGE + 1; reason.n && i < KR_CODE_COUNT; i++)          /* no server says that our command line is wrong */
        if (kr_codes[i].http == status && str_is(reason, kr_codes[i].reason)) {
            code = (enum kr_code)i;
            break;
        }
    if (status == 500 && str_ends(message, S("request is too large")))     /* etcd's words for an object, which no reason goes with */
        code = KR_TOO_LARGE;
    if (message.n)
        kr_fail(e, code, "%.*s", (int)str_utf8_prefix((struct str){ message.p, message.n < 460 ? message.n : 460 }), message.p);
    else
        explain(e, code, status, is_json ? S("") : plain_words(body));
    if (causes && details.p)
        *causes = json_find(details, "causes").n > 2;
    if (details.p)
        e->retry_after_s = wait_asked(json_find(details, "retryAfterSeconds"));
}

int kube_next_page(struct str list, struct str before, const struct kube_resource *r, struct arena *a, struct str *token, struct kr_err *e)
{
    static const char *const path[] = { "metadata", "continue" };
    *token = json_str_of(json_find_path(list, path, 2), a);
    if (token->n && str_eq(*token, before))
        return kr_fail(e, KR_PROTOCOL, "the API server's list of %s has no end: a page leads to itself", r->plural);
    return 0;
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

static void start(struct kube_call *q);

static void finish(struct kube_call *q, const struct kube_result *r)
{
    struct kube_user user = q->user;
    metric_add(METRIC_KUBE_REQUESTS, metric_word(METRIC_KUBE_REQUESTS, !r->error ? S("ok") : r->status ? S("refused") : S("failed")), 1);
    call_unlink(q);                               /* the result points into q, and the callback may close the client */
    user.done(user.ctx, r);
    call_free(q);
}

static void fail(struct kube_call *q, const struct kr_err *e) { finish(q, &(struct kube_result){ .error = e }); }

static bool may_send(const struct kube_call *q)
{
    return q->unfenced || !q->k->may_write || !strcmp(q->method, "GET") || q->k->may_write(q->k->fence_ctx);
}

static void again_fired(struct loop *loop, struct timer *t)
{
    (void)loop;
    struct kube_call *q = container_of(t, struct kube_call, again);
    struct kr_err e = { 0 };
    if (!q->body.failed && q->path && may_send(q)) {
        start(q);
        return;
    }
    if (!may_send(q))
        kr_fail(&e, KR_PRECONDITION, "not written: the lease is no longer held");
    else
        kr_fail(&e, KR_TOO_LARGE, "the request is too large: its %s passes %d bytes", q->path ? "body" : "path", q->path ? LIMIT_API_BODY : LIMIT_HTTP1_START_LINE);
    fail(q, &e);
}

/* True when the call was put off instead of ending. */
static bool put_off(struct kube_call *q, uint32_t stamp)
{
    if (q->status == 401 && credentials_failed(q->k->credentials, stamp) && !q->reauthorized) {
        q->reauthorized = true;
        start(q);
        return true;
    }
    if ((q->status != 429 && q->status != 503) || !q->retry_after_s || q->waits >= MAX_WAITS)
        return false;
    int64_t at = loop_now_us(q->k->loop) + q->retry_after_s * INT64_C(1000000);
    if (at >= q->deadline_us)
        return false;
    q->waits++;
    loop_timer_at(q->k->loop, &q->again, at);
    return true;
}

/* What is left of it would be taken for nothing. */
static void answer_too_large(struct kube_call *q)
{
    struct kr_err e = { 0 };
    kr_fail(&e, KR_TOO_LARGE, "the answer is larger than %zu bytes", q->answer.max);
    hcall_cancel(TAKE(q->call));
    fail(q, &e);
}

static void on_head(struct hcall *h, int status, struct http_fields f)
{
    struct kube_call *q = hcall_ctx(h);
    uint64_t length;
    if (str_u64(http_get(f, "content-length"), &length) && length > q->answer.max) {
        answer_too_large(q);
        return;
    }
    q->status = status;
    q->retry_after_s = wait_asked(http_get(f, "retry-after"));
    time_parse_http(http_get(f, "date"), &q->date_us);
}

static void on_data(struct hcall *h, struct str bytes)
{
    struct kube_call *q = hcall_ctx(h);
    buf_str(&q->answer, bytes);
    if (q->answer.failed)
        answer_too_large(q);
}

/* A success of another kind is somebody else's page, or another server's: nothing in it may be taken for an answer. */
static void check_kind(struct str body, const char *want, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 4096 };
    struct str kind = json_str_of(json_find(body, "kind"), &a);
    if (!str_is(kind, want))
        kr_fail(e, KR_PROTOCOL, "the API server answered with %s%.*s%s where a %s was asked for", kind.n ? "a \"" : "an object without kind",
                (int)(kind.n < 64 ? kind.n : 64), kind.n ? kind.p : "", kind.n ? "\"" : "", want);
}

static void on_end(struct hcall *h, struct http_fields trailers)
{
    (void)trailers;
    struct kube_call *q = hcall_ctx(h);
    struct kr_err e = { 0 };
    struct kube_result r = { .status = q->status, .body = buf_view(&q->answer), .date_us = q->date_us };
    KUBE_FAILPOINT(q->method, q->path, "after");
    q->call = NULL;
    if (q->status >= 400 && put_off(q, hcall_stamp(h)))
        return;
    else if (q->status < 200 || q->status >= 300)        /* no Kubernetes redirects: that is somebody on the way */
        kube_status_error(q->status, r.body, &e, &r.causes);
    else if (str_starts(str_of(q->accept), S("application/json")) && json_scan(r.body, &e) < 0)
        kr_wrap(&e, "the API server's answer");
    else if (q->kind)
        check_kind(r.body, q->kind, &e);
    if (e.code)
        r.error = &e;
    finish(q, &r);
}

static void on_failed(struct hcall *h, const struct kr_err *e)
{
    struct kube_call *q = hcall_ctx(h);
    q->call = NULL;
    q->status = 0;
    fail(q, e);
}

static void start(struct kube_call *q)
{
    struct kube *k = q->k;
    struct http_field f[8];
    size_t n = common_fields(k, f, q->accept);
    buf_clear(&q->answer);
    KUBE_FAILPOINT(q->method, q->path, "before");
    if (q->body.n)
        f[n++] = (struct http_field){ S("content-type"), str_of(q->content_type) };
    struct httpc_request hr = { .method = str_of(q->method), .path = str_of(q->path), .authority = buf_view(&k->authority),
                                .fields = { f, n }, .body = buf_view(&q->body), .deadline_us = q->deadline_us, .first = q->first };
    q->call = httpc_call(k->calls, &hr, (struct hcall_user){ .head = on_head, .data = on_data, .end = on_end, .failed = on_failed, .ctx = q });
}

/* NULL: too long. */
static char *full_path(struct kube *k, struct str path)
{
    AUTO_BUF struct buf b = { .max = LIMIT_HTTP1_START_LINE + k->config.path.n };
    buf_str(&b, k->config.path);
    buf_str(&b, path);
    return b.failed ? NULL : xstrndup(b.n ? b.p : "", b.n);
}

/* Each with its NUL, one behind the other; the path comes last, as it may not fit. */
static void keep_texts(struct kube_call *q, const struct kube_request *r)
{
    struct str texts[] = { str_of(r->method), str_of(r->content_type ? r->content_type : "application/json"),
                           str_of(r->accept ? r->accept : "application/json") };
    for (size_t i = 0; i < LEN(texts); i++) {
        buf_str(&q->texts, texts[i]);
        buf_add(&q->texts, "", 1);
    }
    buf_str(&q->texts, q->k->config.path);
    buf_str(&q->texts, r->path);
    q->method = q->texts.p;
    q->content_type = q->method + texts[0].n + 1;
    q->accept = q->content_type + texts[1].n + 1;
    q->path = q->texts.failed ? NULL : q->accept + texts[2].n + 1;
}

struct kube_call *kube_send(struct kube *k, const struct kube_request *r, struct kube_user user)
{
    struct kube_call *q = xblock(sizeof *q);
    *q = (struct kube_call){ .next = k->open, .at = &k->open, .k = k, .user = user, .texts = { .max = LIMIT_HTTP1_START_LINE + k->config.path.n + TYPES_MAX }, .body = { .max = LIMIT_API_BODY },
                             .answer = { .max = LIMIT_KUBE_ANSWER }, .again = { .fire = again_fired } };
    if (k->open)
        k->open->at = &q->next;
    k->open = q;
    keep_texts(q, r);
    q->kind = r->kind;
    q->deadline_us = loop_now_us(k->loop) + (r->timeout_us ? r->timeout_us : k->config.timeout_us ? k->config.timeout_us : TIMEOUT_US);
    buf_str(&q->body, r->body);
    q->unfenced = r->unfenced;
    q->first = r->first;
    if (q->body.failed || !q->path || !may_send(q))
        loop_timer_in(k->loop, &q->again, 0);     /* told from the loop */
    else
        start(q);
    return q;
}

void kube_cancel(struct kube_call *q)
{
    if (!q)
        return;
    call_unlink(q);
    call_free(q);
}

static struct kube_call *send_to(struct kube *k, const char *method, const struct buf *path, const char *kind, struct str body, const char *type,
                                 struct kube_user user)
{
    return kube_send(k, &(struct kube_request){ .method = method, .path = buf_view(path), .body = body, .content_type = type, .kind = kind }, user);
}

struct kube_call *kube_get(struct kube *k, const struct kube_resource *r, struct str ns, struct str name, struct kube_user user)
{
    AUTO_BUF struct buf p = { .max = 4096 };
    kube_path(&p, r, ns, name, NULL);
    return send_to(k, "GET", &p, r->kind, (struct str){ 0 }, NULL, user);
}

struct kube_call *kube_create(struct kube *k, const struct kube_resource *r, struct str ns, struct str object, struct kube_user user)
{
    AUTO_BUF struct buf p = { .max = 4096 };
    kube_path(&p, r, ns, (struct str){ 0 }, NULL);
    return send_to(k, "POST", &p, r->kind, object, NULL, user);
}

struct kube_call *kube_merge_patch(struct kube *k, const struct kube_resource *r, struct str ns, struct str name, const char *sub, struct str patch,
                                   struct kube_user user)
{
    AUTO_BUF struct buf p = { .max = 4096 };
    kube_path(&p, r, ns, name, sub);
    return send_to(k, "PATCH", &p, r->kind, patch, "application/merge-patch+json", user);
}

struct kube_call *kube_json_patch(struct kube *k, const struct kube_resource *r, struct str ns, struct str name, const char *sub, struct str patch,
                                  struct kube_user user)
{
    AUTO_BUF struct buf p = { .max = 4096 };
    kube_path(&p, r, ns, name, sub);
    return send_to(k, "PATCH", &p, r->kind, patch, "application/json-patch+json", user);
}

struct kube_call *kube_apply(struct kube *k, const struct kube_resource *r, struct str ns, struct str name, const char *manager, struct str object,
                             struct kube_user user)
{
    AUTO_BUF struct buf p = { .max = 4096 };
    kube_path(&p, r, ns, name, NULL);
    uri_put_param(&p, "fieldManager", str_of(manager));
    uri_put_param(&p, "force", S("true"));
    return send_to(k, "PATCH", &p, r->kind, object, "application/apply-patch+yaml", user);
}

struct kube_call *kube_delete(struct kube *k, const struct kube_resource *r, struct str ns, struct str name, struct str uid, int64_t grace_s,
                              struct kube_user user)
{
    AUTO_BUF struct buf p = { .max = 4096 }, body = { .max = 1024 };
    kube_path(&p, r, ns, name, NULL);
    jw_begin(&body, '{');
    jw_kstr(&body, "kind", S("DeleteOptions"));
    jw_kstr(&body, "apiVersion", S("v1"));
    jw_kstr(&body, "propagationPolicy", S("Background"));         /* a Job's own default would leave its pods */
    if (grace_s >= 0)
        jw_kint(&body, "gracePeriodSeconds", grace_s);
    if (uid.n) {
        jw_kbegin(&body, "preconditions", '{');
        jw_kstr(&body, "uid", uid);
        jw_end(&body, '}');
    }
    jw_end(&body, '}');
    return send_to(k, "DELETE", &p, NULL, buf_view(&body), NULL, user);
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

static void stream_head(struct hcall *h, int status, struct http_fields f)
{
    (void)f;
    struct kube_stream *s = hcall_ctx(h);
    s->status = status;
    if (status == 200 && s->user.opened)
        s->user.opened(s->user.ctx);
}

static void stream_free(struct kube_stream *s)
{
    buf_free(&s->line);
    free(s);
}

/* The caller is told once; memory goes when no line is being handed out any more. */
static void stream_ended(struct kube_stream *s, const struct kr_err *e)
{
    struct kube_stream_user user = s->user;
    int status = s->status;
    s->call = NULL;
    if (s->closed)
        return;
    s->closed = true;
    if (!s->busy)
        stream_free(s);
    user.ended(user.ctx, status, e);
}

static void stream_lines(struct kube_stream *s, struct str bytes)
{
    while (bytes.n && !s->closed) {
        ptrdiff_t nl = str_chr(bytes, '\n');
        if (nl < 0) {
            buf_str(&s->line, bytes);
            break;
        }
        struct str part = { bytes.p, (size_t)nl };
        bytes = str_from(bytes, (size_t)nl + 1);
        if (!s->line.n) {
            s->user.line(s->user.ctx, part);
            continue;
        }
        buf_str(&s->line, part);
        AUTO_BUF struct buf whole = s->line;
        s->line = (struct buf){ .max = LIMIT_KUBE_LINE };
        if (whole.failed) {
            s->line.failed = true;                /* told by the caller: an event must not be lost in silence */
            return;
        }
        s->user.line(s->user.ctx, buf_view(&whole));
    }
}

static void stream_data(struct hcall *h, struct str bytes)
{
    struct kube_stream *s = hcall_ctx(h);
    if (s->status != 200) {
        buf_str(&s->line, bytes);
        return;
    }
    s->busy = true;
    stream_lines(s, bytes);
    s->busy = false;
    if (s->closed) {
        stream_free(s);
    } else if (s->line.failed) {
        struct kr_err e = { 0 };
        kr_fail(&e, KR_TOO_LARGE, "a line of the watch is longer than %d bytes", LIMIT_KUBE_LINE);
        hcall_cancel(s->call);
        stream_ended(s, &e);
    }
}

static void stream_end(struct hcall *h, struct http_fields t)
{
    (void)t;
    struct kube_stream *s = hcall_ctx(h);
    struct kr_err e = { 0 };
    if (s->status == 200) {
        stream_ended(s, NULL);
        return;
    }
    if (s->status == 401)
        credentials_failed(s->k->credentials, hcall_stamp(h));
    kube_status_error(s->status, buf_view(&s->line), &e, NULL);
    stream_ended(s, &e);
}

static void stream_failed(struct hcall *h, const struct kr_err *e) { stream_ended(hcall_ctx(h), e); }

struct kube_stream *kube_open_stream(struct kube *k, struct str path, struct kube_stream_user user)
{
    struct kube_stream *s = xcalloc(1, sizeof *s);
    struct http_field f[8];
    size_t n = common_fields(k, f, "application/json");
    AUTO_FREE char *full = full_path(k, path);
    *s = (struct kube_stream){ .k = k, .user = user, .line = { .max = LIMIT_KUBE_LINE } };
    struct httpc_request hr = { .method = S("GET"), .path = str_of(full), .authority = buf_view(&k->authority), .fields = { f, n } };
    s->call = httpc_call(k->streams, &hr,
                         (struct hcall_user){ .head = stream_head, .data = stream_data, .end = stream_end, .failed = stream_failed, .ctx = s });
    return s;
}

void kube_close_stream(struct kube_stream *s)
{
    if (!s || s->closed)
        return;
    s->closed = true;
    hcall_cancel(TAKE(s->call));
    if (!s->busy)
        stream_free(s);
}

struct hcall *kube_upgrade(struct kube *k, struct str path, struct http_fields extra, struct hcall_user user)
{
    struct http_field f[24];
    size_t n = common_fields(k, f, "*/*");
    AUTO_FREE char *full = full_path(k, path);
    for (size_t i = 0; i < extra.n && n < LEN(f); i++)
        f[n++] = extra.v[i];
    struct httpc_request hr = { .method = S("GET"), .path = str_of(full), .authority = buf_view(&k->authority), .fields = { f, n }, .more = true,
                                .upgrade = true };
    return httpc_call(k->upgrades, &hr, user);
}
