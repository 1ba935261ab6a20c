/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls: configurations on Mbed TLS. A configuration is a reference to a core that sessions share; reloading swaps the
 * core, and the old one goes with its last session. Sessions are in tls_session.c, the certificate authority in tls_ca.c.
 */
#include "core/tls_core.h"
#include "core/clock.h"
#include "core/fs.h"
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <psa/crypto.h>
#include <stdio.h>

int tls_fail(struct kr_err *e, enum kr_code c, int rc, const char *what)
{
    char text[160];
    mbedtls_strerror(rc, text, sizeof text);
    return kr_fail(e, c, "%s: %s", what, text);
}

mbedtls_ctr_drbg_context *tls_rng(void)
{
    static mbedtls_entropy_context entropy;
    static mbedtls_ctr_drbg_context drbg;
    static bool ready;
    if (ready)
        return &drbg;
    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&drbg);
    if (psa_crypto_init() != PSA_SUCCESS || mbedtls_ctr_drbg_seed(&drbg, mbedtls_entropy_func, &entropy, NULL, 0) != 0)
        abort();
    ready = true;
    return &drbg;
}

/* Mbed TLS wants PEM with its NUL counted. */
static char *with_nul(struct str pem) { return xstrndup(pem.p, pem.n); }

int tls_parse_cert(mbedtls_x509_crt *crt, struct str pem, const char *what, struct kr_err *e)
{
    AUTO_FREE char *z = with_nul(pem);
    int rc = mbedtls_x509_crt_parse(crt, (const unsigned char *)z, pem.n + 1);
    if (rc < 0)
        return tls_fail(e, KR_INVALID, rc, what);
    return crt->version ? 0 : kr_fail(e, KR_INVALID, "%s: no certificate in it", what);
}

int tls_parse_key(mbedtls_pk_context *key, struct str pem, struct kr_err *e)
{
    AUTO_FREE char *z = with_nul(pem);
    int rc = mbedtls_pk_parse_key(key, (const unsigned char *)z, pem.n + 1, NULL, 0, mbedtls_ctr_drbg_random, tls_rng());
    explicit_bzero(z, pem.n);
    if (rc)
        return tls_fail(e, KR_INVALID, rc, "the private key can't be used (RSA and ECDSA on P-256, P-384, P-521 are offered, Ed25519 is not)");
    return 0;
}

int tls_system_ca(struct buf *pem, struct kr_err *e)
{
    static const char *const places[] = { "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem",
                                          "/etc/ssl/ca-bundle.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem" };
    const char *named = getenv("SSL_CERT_FILE");
    if (named && *named)
        return fs_read(named, pem, e);
    for (size_t i = 0; i < LEN(places); i++)
        if (fs_exists(places[i]))
            return fs_read(places[i], pem, e);
    return kr_fail(e, KR_NOT_FOUND, "no CA certificates on this system: name a file in $SSL_CERT_FILE, or give the server's CA");
}

int tls_not_after(struct str pem, int64_t *wall_us, struct kr_err *e)
{
    mbedtls_x509_crt crt;
    mbedtls_x509_crt_init(&crt);
    int rc = tls_parse_cert(&crt, pem, "the certificate", e);
    if (rc == 0) {
        char text[TIME_TEXT];
        const mbedtls_x509_time *t = &crt.valid_to;
        snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02dZ", t->year, t->mon, t->day, t->hour, t->min, t->sec);
        if (!time_parse(str_of(text), wall_us))
            rc = kr_fail(e, KR_INVALID, "the certificate's end \"%s\" is no date", text);
    }
    mbedtls_x509_crt_free(&crt);
    return rc;
}

void tls_core_unref(struct tls_core *c)
{
    if (!c || --c->refs)
        return;
    mbedtls_ssl_config_free(&c->conf);
    mbedtls_x509_crt_free(&c->ca);
    mbedtls_x509_crt_free(&c->cert);
    mbedtls_pk_free(&c->key);
    free(c);
}

static int load_ca(struct tls_core *c, const struct tls_config *config, struct kr_err *e)
{
    struct str ca = config->ca;
    AUTO_BUF struct buf system = { .max = LIMIT_FILE_INPUT };
    if (!ca.n && !c->server && !config->skip_verify) {
        if (tls_system_ca(&system, e) < 0)
            return -1;
        ca = buf_view(&system);
    }
    if (ca.n && tls_parse_cert(&c->ca, ca, "the CA certificate", e) < 0)
        return -1;
    int mode = MBEDTLS_SSL_VERIFY_REQUIRED;
    if (c->server)
        mode = !ca.n ? MBEDTLS_SSL_VERIFY_NONE : config->need_client_cert ? MBEDTLS_SSL_VERIFY_REQUIRED : MBEDTLS_SSL_VERIFY_OPTIONAL;
    else if (config->skip_verify)
        mode = MBEDTLS_SSL_VERIFY_NONE;
    c->check_client = c->server && ca.n;
    mbedtls_ssl_conf_authmode(&c->conf, mode);
    if (ca.n)
        mbedtls_ssl_conf_ca_chain(&c->conf, &c->ca, NULL);
    return 0;
}

static int load_own(struct tls_core *c, const struct tls_config *config, struct kr_err *e)
{
    if (!config->cert.n && !config->key.n)
        return c->server ? kr_fail(e, KR_INVALID, "a server needs a certificate and a key") : 0;
    if (!config->cert.n || !config->key.n)
        return kr_fail(e, KR_INVALID, "a certificate and its key are needed, only the %s is there", config->cert.n ? "certificate" : "key");
    if (tls_parse_cert(&c->cert, config->cert, "the certificate", e) < 0 || tls_parse_key(&c->key, config->key, e) < 0)
        return -1;
    if (mbedtls_pk_check_pair(&c->cert.pk, &c->key, mbedtls_ctr_drbg_random, tls_rng()) != 0)
        return kr_fail(e, KR_INVALID, "the private key belongs to another certificate");
    int rc = mbedtls_ssl_conf_own_cert(&c->conf, &c->cert, &c->key);
    return rc ? tls_fail(e, KR_SYSTEM, rc, "use the certificate") : 0;
}

/* AES first: with the processor's own instructions it costs a third of ChaCha20. */
static const int suites[] = {
    MBEDTLS_TLS1_3_AES_128_GCM_SHA256, MBEDTLS_TLS1_3_AES_256_GCM_SHA384, MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, 0 };

/* PKCS #1 v1.5 before PSS: TLS 1.3 knows RSA by PSS only, and TLS 1.2 of this library by PKCS #1 only; Go's servers take the
 * first they can. (A server of TLS 1.2 alone that insists on an order of its own with PSS first can't be talked to.) */
static const uint16_t signatures[] = {
    MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256, MBEDTLS_TLS1_3_SIG_ECDSA_SECP384R1_SHA384, MBEDTLS_TLS1_3_SIG_ECDSA_SECP521R1_SHA512,
    MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA256, MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA384, MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA512,
    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA256, MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA384, MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA512, MBEDTLS_TLS1_3_SIG_NONE };

static struct tls_core *core_new(const struct tls_config *config, bool server, struct kr_err *e)
{
    struct tls_core *c = xcalloc(1, sizeof *c);
    c->refs = 1;
    c->server = server;
    mbedtls_ssl_config_init(&c->conf);
    mbedtls_x509_crt_init(&c->ca);
    mbedtls_x509_crt_init(&c->cert);
    mbedtls_pk_init(&c->key);
    mbedtls_ctr_drbg_context *rng = tls_rng();
    int rc = mbedtls_ssl_config_defaults(&c->conf, server ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                         MBEDTLS_SSL_PRESET_DEFAULT);
    if (rc) {
        tls_fail(e, KR_SYSTEM, rc, "TLS defaults");
        goto failed;
    }
    mbedtls_ssl_conf_rng(&c->conf, mbedtls_ctr_drbg_random, rng);
    mbedtls_ssl_conf_min_tls_version(&c->conf, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_ciphersuites(&c->conf, suites);
    mbedtls_ssl_conf_sig_algs(&c->conf, signatures);
    if (!server)
        mbedtls_ssl_conf_session_tickets(&c->conf, MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
    for (size_t i = 0; config->alpn && config->alpn[i] && i < LEN(c->alpn) - 1; i++)
        c->alpn[i] = config->alpn[i];
    if (c->alpn[0] && (rc = mbedtls_ssl_conf_alpn_protocols(&c->conf, c->alpn)) != 0) {
        tls_fail(e, KR_SYSTEM, rc, "ALPN names");
        goto failed;
    }
    if (load_ca(c, config, e) == 0 && load_own(c, config, e) == 0)
        return c;
failed:
    tls_core_unref(c);
    return NULL;
}

static struct tls *tls_new(const struct tls_config *config, bool server, struct kr_err *e)
{
    struct tls_core *core = core_new(config, server, e);
    if (!core)
        return NULL;
    struct tls *t = xcalloc(1, sizeof *t);
    t->core = core;
    return t;
}

struct tls *tls_client_new(const struct tls_config *config, struct kr_err *e) { return tls_new(config, false, e); }
struct tls *tls_server_new(const struct tls_config *config, struct kr_err *e) { return tls_new(config, true, e); }

int tls_reload(struct tls *t, const struct tls_config *config, struct kr_err *e)
{
    struct tls_core *core = core_new(config, t->core->server, e);
    if (!core)
        return -1;
    tls_core_unref(t->core);
    t->core = core;
    return 0;
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    tls_core_unref(t->core);
    free(t);
}
