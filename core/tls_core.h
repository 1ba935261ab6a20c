/* SPDX-License-Identifier: Apache-2.0 */
/* Private to tls*.c: Mbed TLS's objects behind a configuration, shared by the sessions that use it. */
#ifndef CORE_TLS_CORE_H
#define CORE_TLS_CORE_H
#include "core/tls.h"
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>

struct tls_core {
    unsigned refs;
    bool server, check_client;
    const char *alpn[5];
    mbedtls_ssl_config conf;
    mbedtls_x509_crt ca, cert;
    mbedtls_pk_context key;
};
struct tls { struct tls_core *core; };
void tls_core_unref(struct tls_core *);
mbedtls_ctr_drbg_context *tls_rng(void);          /* seeded on first use; aborts when the kernel has no randomness */
int tls_fail(struct kr_err *e, enum kr_code c, int rc, const char *what);
int tls_parse_cert(mbedtls_x509_crt *, struct str pem, const char *what, struct kr_err *);
int tls_parse_key(mbedtls_pk_context *, struct str pem, struct kr_err *);
#endif
