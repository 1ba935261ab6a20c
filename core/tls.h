/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls: one side's configuration (certificates, CA, ALPN), and a small certificate authority for servers on one machine.
 *
 * TLS 1.2 and 1.3 by Mbed TLS, AEAD suites only. A `struct tls` outlives nothing: links keep what they need of it, so it
 * may be freed or reloaded while they live. All texts are PEM; they are parsed at once and not kept.
 *
 * No session is resumed, on either side: a ticket would let somebody in by a certificate that has expired or whose CA is gone
 * since, and connections here live so long that a handshake saved is nothing. A client that offers one gets a full handshake.
 */
#ifndef CORE_TLS_H
#define CORE_TLS_H
#include "core/kr.h"

struct tls;
struct tls_config {
    struct str ca;                /* who the peer's chain must end at. Client: empty = the system's bundle. Server: empty =
                                     client certificates are not asked for */
    struct str cert, key;         /* own chain (leaf first) and its key, RSA or ECDSA; a server needs them */
    const char *const *alpn;      /* best first, NULL-terminated, at most 4; NULL: no ALPN. The names must be static */
    bool need_client_cert;        /* server with a ca: refuse who has none (else one that is sent must be valid) */
    bool skip_verify;             /* client: take any certificate (kubeconfig's insecure-skip-tls-verify) */
};
/* NULL and *e: bad PEM, key of another certificate, a kind of key that isn't offered (Ed25519), no system bundle. */
struct tls *tls_client_new(const struct tls_config *, struct kr_err *);
struct tls *tls_server_new(const struct tls_config *, struct kr_err *);
/* Later links use the new configuration, those that are open keep theirs; on failure nothing changed. */
int tls_reload(struct tls *, const struct tls_config *, struct kr_err *);
void tls_free(struct tls *);                               /* NULL is fine */

/* The system's CA bundle: $SSL_CERT_FILE, else the first of the places distributions use. <0 when there is none. */
int tls_system_ca(struct buf *pem, struct kr_err *);
/* The moment (UTC µs) at which the first certificate in `pem` ends: when to read it again, what to warn about. */
int tls_not_after(struct str pem, int64_t *wall_us, struct kr_err *);

/* ---- a certificate authority: EC P-256, SHA-256, random 128-bit serial numbers --------------------------------------- */
struct tls_pair { struct buf cert, key; };                 /* PEM; the certificate of an issued pair is the leaf alone */
void tls_pair_free(struct tls_pair *);                     /* wipes the key */

enum { TLS_FOR_SERVER = 1, TLS_FOR_CLIENT = 2 };
struct tls_request {
    struct str common_name;                                /* needed, ≤ 64 bytes */
    const struct str *organisations; size_t norganisations;/* Kubernetes: groups */
    const struct str *names; size_t nnames;                /* DNS names and IP addresses (told apart by their look) */
    unsigned usage;                                        /* TLS_FOR_… */
    int64_t now_us;                                        /* wall clock; valid from a minute before */
    int days;
};
int tls_make_ca(struct tls_pair *ret, struct str common_name, int64_t now_us, int days, struct kr_err *);
int tls_issue(struct tls_pair *ret, const struct tls_pair *ca, const struct tls_request *, struct kr_err *);
#endif
