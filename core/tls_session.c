/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_session: one connection's TLS on memory. Mbed TLS reads from `in` and writes to `out`, both ours; so its calls never
 * block and a write never has to be repeated.
 */
#include "core/tls_session.h"
#include "core/tls_core.h"
#include <errno.h>
#include <mbedtls/error.h>
#include <mbedtls/oid.h>

struct tls_session {
    mbedtls_ssl_context ssl;
    struct tls_core *core;
    struct buf in, out;
    size_t in_at, out_at;                         /* what was used of them */
    size_t fed;                                   /* bytes so far, until the handshake is done */
    bool eof, done;
    bool asked;                                   /* since it was cleared it wanted more than there is */
    bool goodbye, parted;                         /* the peer's close_notify came; ours went out */
};

static int bio_send(void *ctx, const unsigned char *p, size_t n)
{
    struct tls_session *s = ctx;
    buf_add(&s->out, p, n);
    return s->out.failed ? MBEDTLS_ERR_SSL_INTERNAL_ERROR : (int)n;
}

static int bio_recv(void *ctx, unsigned char *p, size_t n)
{
    struct tls_session *s = ctx;
    size_t left = s->in.n - s->in_at;
    if (s->in.failed)                             /* more than may wait: some of it is missing */
        return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
    if (!left) {
        s->asked = true;
        return s->eof ? 0 : MBEDTLS_ERR_SSL_WANT_READ;
    }
    if (n > left)
        n = left;
    memcpy(p, s->in.p + s->in_at, n);
    buf_use(&s->in, &s->in_at, n);
    if (!s->in.n && s->in.cap > 65536)
        buf_free(&s->in);
    return (int)n;
}

struct tls_session *tls_session_new(const struct tls *t, struct str name, struct kr_err *e)
{
    struct tls_session *s = xcalloc(1, sizeof *s);
    s->core = t->core;
    s->core->refs++;
    s->in.max = s->out.max = LIMIT_TLS_BUFFER;
    mbedtls_ssl_init(&s->ssl);
    int rc = mbedtls_ssl_setup(&s->ssl, &s->core->conf);
    if (rc == 0 && !s->core->server) {
        AUTO_FREE char *z = xstrndup(name.p, name.n);
        rc = mbedtls_ssl_set_hostname(&s->ssl, z);
    }
    if (rc) {
        tls_fail(e, KR_SYSTEM, rc, "TLS set-up");
        tls_session_free(s);
        return NULL;
    }
    mbedtls_ssl_set_bio(&s->ssl, s, bio_send, bio_recv, NULL);
    return s;
}

void tls_session_free(struct tls_session *s)
{
    if (!s)
        return;
    mbedtls_ssl_free(&s->ssl);
    tls_core_unref(s->core);
    buf_free(&s->in);
    buf_free(&s->out);
    free(s);
}

void tls_session_feed(struct tls_session *s, const void *p, size_t n)
{
    s->fed += s->done ? 0 : n;
    buf_add(&s->in, p, n);
}

void tls_session_eof(struct tls_session *s) { s->eof = true; }
bool tls_session_has_input(const struct tls_session *s) { return s->in.n > s->in_at || mbedtls_ssl_get_bytes_avail(&s->ssl) > 0; }
struct str tls_session_pending(const struct tls_session *s) { return str_from(buf_view(&s->out), s->out_at); }

void tls_session_sent(struct tls_session *s, size_t n)
{
    buf_use(&s->out, &s->out_at, n);
    if (!s->out.n && s->out.cap > 65536)
        buf_free(&s->out);
}

static bool waits(int rc)
{
    return rc == MBEDTLS_ERR_SSL_WANT_READ || rc == MBEDTLS_ERR_SSL_WANT_WRITE || rc == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET;
}

static int not_verified(struct tls_session *s, struct kr_err *e)
{
    char why[256] = "";
    uint32_t flags = mbedtls_ssl_get_verify_result(&s->ssl);
    mbedtls_x509_crt_verify_info(why, sizeof why, "", flags);
    struct str rest = str_of(why), first = str_cut(&rest, '\n');
    return kr_fail(e, KR_UNAUTHORIZED, "the %s's certificate is not accepted: %.*s", s->core->server ? "client" : "server", SFMT(first));
}

int tls_session_handshake(struct tls_session *s, struct kr_err *e)
{
    int rc;
    if (s->fed > LIMIT_TLS_HANDSHAKE)             /* of records that mean nothing there is no end, and who feeds us waits for ours */
        return kr_fail(e, KR_PROTOCOL, "TLS handshake: more than %d bytes came, and it is not done", LIMIT_TLS_HANDSHAKE);
    do
        rc = mbedtls_ssl_handshake(&s->ssl);
    while (rc == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET);
    if (rc == 0) {
        if (s->core->check_client && mbedtls_ssl_get_peer_cert(&s->ssl) && mbedtls_ssl_get_verify_result(&s->ssl)) {
            /* With TLS 1.3 the client thinks it is through: without an alert it would see an ordinary end. */
            mbedtls_ssl_send_alert_message(&s->ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL, MBEDTLS_SSL_ALERT_MSG_BAD_CERT);
            return not_verified(s, e);
        }
        s->done = true;
        return 1;
    }
    if (waits(rc))
        return 0;
    if (rc == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED)
        return not_verified(s, e);
    if (rc == MBEDTLS_ERR_X509_FATAL_ERROR)
        return kr_fail(e, KR_UNAUTHORIZED, "the %s's certificate is not accepted: more than %d others between it and its CA", s->core->server ? "client" : "server",
                       MBEDTLS_X509_MAX_INTERMEDIATE_CA);
    if (rc == MBEDTLS_ERR_SSL_CONN_EOF)
        return kr_fail(e, KR_UNAVAILABLE, "the peer closed the connection during the TLS handshake");
    return tls_fail(e, KR_PROTOCOL, rc, "TLS handshake");
}

ptrdiff_t tls_session_read(struct tls_session *s, void *p, size_t n, struct kr_err *e)
{
    int rc;
    s->asked = false;
    do                                            /* a warning says "more, please", an empty record 0: neither means that there is no more */
        rc = mbedtls_ssl_read(&s->ssl, p, n);
    while (rc == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET || (rc == MBEDTLS_ERR_SSL_WANT_READ && !s->asked) || (rc == 0 && !(s->asked && s->eof)));
    if (rc > 0)
        return rc;
    if (waits(rc))
        return 0;
    s->goodbye |= rc == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY;
    if (s->goodbye)
        return -1;
    if (rc == 0 || rc == MBEDTLS_ERR_SSL_CONN_EOF)        /* a body that ends with its connection may have been cut here */
        return kr_fail(e, KR_UNAVAILABLE, "the connection was cut: it ended without TLS's goodbye (close_notify)");
    return tls_fail(e, KR_PROTOCOL, rc, "TLS");
}

ptrdiff_t tls_session_write(struct tls_session *s, const void *p, size_t n, struct kr_err *e)
{
    size_t done = 0;
    while (done < n && s->out.n - s->out_at < 65536) {
        int rc = mbedtls_ssl_write(&s->ssl, (const unsigned char *)p + done, n - done);
        if (rc == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET)
            continue;
        if (waits(rc))
            break;
        if (rc < 0)
            return tls_fail(e, KR_PROTOCOL, rc, "TLS");
        done += (size_t)rc;
    }
    return (ptrdiff_t)done;
}

void tls_session_close(struct tls_session *s)
{
    if (s->done && !s->parted)
        mbedtls_ssl_close_notify(&s->ssl);
    s->parted = true;
}

struct str tls_session_alpn(const struct tls_session *s)
{
    const char *name = mbedtls_ssl_get_alpn_protocol(&s->ssl);
    return name ? str_of(name) : (struct str){ 0 };
}

/* Values of the subject's attributes of this kind, separated by commas; empty without a verified certificate. */
static struct str subject(const struct tls_session *s, const char *oid, size_t oid_n, struct arena *a)
{
    const mbedtls_x509_crt *crt = mbedtls_ssl_get_peer_cert(&s->ssl);
    AUTO_BUF struct buf b = { .max = 4096 };
    if (!crt || !s->done || mbedtls_ssl_get_verify_result(&s->ssl))
        return (struct str){ 0 };
    for (const mbedtls_x509_name *n = &crt->subject; n; n = n->next)
        if (n->oid.len == oid_n && !memcmp(n->oid.p, oid, oid_n))
            buf_fmt(&b, "%s%.*s", b.n ? "," : "", (int)n->val.len, (const char *)n->val.p);
    return b.failed ? (struct str){ 0 } : arena_str(a, buf_view(&b));
}

struct str tls_session_peer_cn(const struct tls_session *s, struct arena *a) { return subject(s, MBEDTLS_OID_AT_CN, MBEDTLS_OID_SIZE(MBEDTLS_OID_AT_CN), a); }
struct str tls_session_peer_groups(const struct tls_session *s, struct arena *a)
{
    return subject(s, MBEDTLS_OID_AT_ORGANIZATION, MBEDTLS_OID_SIZE(MBEDTLS_OID_AT_ORGANIZATION), a);
}
