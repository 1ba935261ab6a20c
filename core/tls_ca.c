/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_ca: certificates of our own (RFC 5280): an EC P-256 authority and leaves for servers and clients. Names go into
 * subjectAltName, as clients look nowhere else; who a client is goes into the subject, as Kubernetes reads it (CN user,
 * O groups).
 */
#include "core/clock.h"
#include "core/tls_core.h"
#include <arpa/inet.h>
#include <mbedtls/asn1write.h>
#include <mbedtls/ecp.h>
#include <mbedtls/oid.h>
#include <stdio.h>

enum { PEM_MAX = 16384, MAX_NAMES = 32 };

void tls_pair_free(struct tls_pair *p)
{
    if (p->key.p)
        explicit_bzero(p->key.p, p->key.n);
    buf_free(&p->cert);
    buf_free(&p->key);
}

static int make_key(mbedtls_pk_context *key, struct kr_err *e)
{
    int rc = mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
    if (rc == 0)
        rc = mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*key), mbedtls_ctr_drbg_random, tls_rng());
    return rc ? tls_fail(e, KR_SYSTEM, rc, "make a key") : 0;
}

/* RFC 4514: what would have to be escaped is not needed in our names. */
static bool plain_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (strchr(",+\"\\<>;=#", s.p[i]) || (unsigned char)s.p[i] < ' ')
            return false;
    return s.n > 0 && s.n <= 64;
}

static int set_validity(mbedtls_x509write_cert *w, int64_t now_us, int days)
{
    char from[TIME_TEXT], to[TIME_TEXT], a[16], b[16];
    time_print(from, now_us - INT64_C(60000000));
    time_print(to, now_us + days * INT64_C(86400000000));
    snprintf(a, sizeof a, "%.4s%.2s%.2s%.2s%.2s%.2s", from, from + 5, from + 8, from + 11, from + 14, from + 17);
    snprintf(b, sizeof b, "%.4s%.2s%.2s%.2s%.2s%.2s", to, to + 5, to + 8, to + 11, to + 14, to + 17);
    return mbedtls_x509write_crt_set_validity(w, a, b);
}

static int set_basics(mbedtls_x509write_cert *w, int64_t now_us, int days)
{
    unsigned char serial[16];
    rnd_secret(serial, sizeof serial);
    serial[0] = (unsigned char)((serial[0] & 0x7f) | 0x40);       /* positive, and of full length */
    mbedtls_x509write_crt_set_version(w, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(w, MBEDTLS_MD_SHA256);
    int rc = mbedtls_x509write_crt_set_serial_raw(w, serial, sizeof serial);
    return rc ? rc : set_validity(w, now_us, days);
}

static int write_pair(struct tls_pair *ret, mbedtls_x509write_cert *w, mbedtls_pk_context *key, struct kr_err *e)
{
    unsigned char pem[PEM_MAX];
    struct tls_pair p = { .cert = { .max = PEM_MAX }, .key = { .max = PEM_MAX } };
    int rc = mbedtls_x509write_crt_pem(w, pem, sizeof pem, mbedtls_ctr_drbg_random, tls_rng());
    if (rc == 0) {
        buf_lit(&p.cert, (const char *)pem);
        rc = mbedtls_pk_write_key_pem(key, pem, sizeof pem);
    }
    if (rc == 0)
        buf_lit(&p.key, (const char *)pem);
    explicit_bzero(pem, sizeof pem);
    if (rc) {
        tls_pair_free(&p);
        return tls_fail(e, KR_SYSTEM, rc, "write a certificate");
    }
    *ret = p;
    return 0;
}

int tls_make_ca(struct tls_pair *ret, struct str common_name, int64_t now_us, int days, struct kr_err *e)
{
    mbedtls_x509write_cert w;
    mbedtls_pk_context key;
    char name[128];
    if (!plain_name(common_name))
        return kr_fail(e, KR_INVALID, "\"%.*s\" is no name for a certificate", SFMT(common_name));
    snprintf(name, sizeof name, "CN=%.*s", SFMT(common_name));
    mbedtls_x509write_crt_init(&w);
    mbedtls_pk_init(&key);
    int rc = make_key(&key, e);
    if (rc == 0) {
        mbedtls_x509write_crt_set_subject_key(&w, &key);
        mbedtls_x509write_crt_set_issuer_key(&w, &key);
        rc = set_basics(&w, now_us, days);
        if (rc == 0)
            rc = mbedtls_x509write_crt_set_subject_name(&w, name);
        if (rc == 0)
            rc = mbedtls_x509write_crt_set_issuer_name(&w, name);
        if (rc == 0)
            rc = mbedtls_x509write_crt_set_basic_constraints(&w, 1, 0);
        if (rc == 0)
            rc = mbedtls_x509write_crt_set_key_usage(&w, MBEDTLS_X509_KU_KEY_CERT_SIGN | MBEDTLS_X509_KU_CRL_SIGN | MBEDTLS_X509_KU_DIGITAL_SIGNATURE);
        rc = rc ? tls_fail(e, KR_SYSTEM, rc, "make a CA") : write_pair(ret, &w, &key, e);
    }
    mbedtls_x509write_crt_free(&w);
    mbedtls_pk_free(&key);
    return rc;
}

/* ---- leaves ------------------------------------------------------------------------------------------------------ */

static int subject(const struct tls_request *q, struct buf *name, struct kr_err *e)
{
    if (!plain_name(q->common_name))
        return kr_fail(e, KR_INVALID, "\"%.*s\" is no name for a certificate", SFMT(q->common_name));
    buf_fmt(name, "CN=%.*s", SFMT(q->common_name));
    for (size_t i = 0; i < q->norganisations; i++) {
        if (!plain_name(q->organisations[i]))
            return kr_fail(e, KR_INVALID, "\"%.*s\" is no name for a group", SFMT(q->organisations[i]));
        buf_fmt(name, ",O=%.*s", SFMT(q->organisations[i]));
    }
    return 0;
}

static void fill_san(mbedtls_x509_san_list *san, struct str name, unsigned char ip[16], char text[64])
{
    size_t n = name.n < 63 ? name.n : 63;
    memcpy(text, name.p, n);
    text[n] = '\0';
    int family = inet_pton(AF_INET, text, ip) == 1 ? 4 : inet_pton(AF_INET6, text, ip) == 1 ? 16 : 0;
    san->node.type = family ? MBEDTLS_X509_SAN_IP_ADDRESS : MBEDTLS_X509_SAN_DNS_NAME;
    san->node.san.unstructured_name.tag = MBEDTLS_ASN1_CONTEXT_SPECIFIC;
    san->node.san.unstructured_name.p = family ? ip : (unsigned char *)name.p;
    san->node.san.unstructured_name.len = family ? (size_t)family : name.n;
}

static int set_names(mbedtls_x509write_cert *w, const struct tls_request *q)
{
    mbedtls_x509_san_list san[MAX_NAMES];
    unsigned char ip[MAX_NAMES][16];
    char text[64];
    memset(san, 0, sizeof san);
    if (!q->nnames)
        return 0;
    for (size_t i = 0; i < q->nnames && i < MAX_NAMES; i++) {
        fill_san(&san[i], q->names[i], ip[i], text);
        san[i].next = i + 1 < q->nnames && i + 1 < MAX_NAMES ? &san[i + 1] : NULL;
    }
    return mbedtls_x509write_crt_set_subject_alternative_name(w, san);
}

static int set_usage(mbedtls_x509write_cert *w, unsigned usage)
{
    mbedtls_asn1_sequence seq[2];
    size_t n = 0;
    memset(seq, 0, sizeof seq);
    if (usage & TLS_FOR_SERVER)
        seq[n++].buf = (mbedtls_asn1_buf){ MBEDTLS_ASN1_OID, sizeof MBEDTLS_OID_SERVER_AUTH - 1, (unsigned char *)MBEDTLS_OID_SERVER_AUTH };
    if (usage & TLS_FOR_CLIENT)
        seq[n++].buf = (mbedtls_asn1_buf){ MBEDTLS_ASN1_OID, sizeof MBEDTLS_OID_CLIENT_AUTH - 1, (unsigned char *)MBEDTLS_OID_CLIENT_AUTH };
    if (n == 2)
        seq[0].next = &seq[1];
    int rc = mbedtls_x509write_crt_set_key_usage(w, MBEDTLS_X509_KU_DIGITAL_SIGNATURE);
    return rc || !n ? rc : mbedtls_x509write_crt_set_ext_key_usage(w, seq);
}

static int fill_leaf(mbedtls_x509write_cert *w, const struct tls_request *q, const char *name, const char *issuer)
{
    int rc = set_basics(w, q->now_us, q->days);
    if (rc == 0)
        rc = mbedtls_x509write_crt_set_subject_name(w, name);
    if (rc == 0)
        rc = mbedtls_x509write_crt_set_issuer_name(w, issuer);
    if (rc == 0)
        rc = mbedtls_x509write_crt_set_basic_constraints(w, 0, -1);
    if (rc == 0)
        rc = set_usage(w, q->usage);
    return rc ? rc : set_names(w, q);
}

int tls_issue(struct tls_pair *ret, const struct tls_pair *ca, const struct tls_request *q, struct kr_err *e)
{
    mbedtls_x509write_cert w;
    mbedtls_pk_context key, ca_key;
    mbedtls_x509_crt ca_cert;
    char issuer[256];
    AUTO_BUF struct buf name = { .max = 1024 };
    if (subject(q, &name, e) < 0)
        return -1;
    if (q->nnames > MAX_NAMES)
        return kr_fail(e, KR_TOO_LARGE, "a certificate may have at most %d names", MAX_NAMES);
    mbedtls_x509write_crt_init(&w);
    mbedtls_pk_init(&key);
    mbedtls_pk_init(&ca_key);
    mbedtls_x509_crt_init(&ca_cert);
    int rc = tls_parse_cert(&ca_cert, buf_view(&ca->cert), "the CA certificate", e);
    if (rc == 0)
        rc = tls_parse_key(&ca_key, buf_view(&ca->key), e);
    if (rc == 0)
        rc = make_key(&key, e);
    if (rc == 0) {
        mbedtls_x509_dn_gets(issuer, sizeof issuer, &ca_cert.subject);
        mbedtls_x509write_crt_set_subject_key(&w, &key);
        mbedtls_x509write_crt_set_issuer_key(&w, &ca_key);
        int why = fill_leaf(&w, q, name.p, issuer);
        rc = why ? tls_fail(e, KR_SYSTEM, why, "issue a certificate") : write_pair(ret, &w, &key, e);
    }
    mbedtls_x509write_crt_free(&w);
    mbedtls_pk_free(&key);
    mbedtls_pk_free(&ca_key);
    mbedtls_x509_crt_free(&ca_cert);
    return rc;
}
