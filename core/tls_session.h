/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to link.c and tls.c: one TLS connection without a socket of its own: ciphertext is fed and taken by the link.
 */
#ifndef CORE_TLS_SESSION_H
#define CORE_TLS_SESSION_H
#include "core/tls.h"

struct tls_session;
/* Keeps its own reference to the configuration as it is now. name: for SNI and verification (client). */
struct tls_session *tls_session_new(const struct tls *, struct str name, struct kr_err *);
void tls_session_free(struct tls_session *);
/* What was received. Everything is taken. */
void tls_session_feed(struct tls_session *, const void *p, size_t n);
void tls_session_eof(struct tls_session *);
/* What is to be sent; drop what was. */
struct str tls_session_pending(const struct tls_session *);
void tls_session_sent(struct tls_session *, size_t n);
/* 1 done, 0 needs more bytes, -1 failed. */
int tls_session_handshake(struct tls_session *, struct kr_err *);
/* > 0 bytes, 0 needs more, -1 end (e untouched: the peer said so) or error. */
ptrdiff_t tls_session_read(struct tls_session *, void *p, size_t n, struct kr_err *);
ptrdiff_t tls_session_write(struct tls_session *, const void *p, size_t n, struct kr_err *);
bool tls_session_has_input(const struct tls_session *);          /* bytes fed and not yet read: reading may give more */
void tls_session_close(struct tls_session *);                     /* close_notify is pending then */
struct str tls_session_alpn(const struct tls_session *);
struct str tls_session_peer_cn(const struct tls_session *, struct arena *);
struct str tls_session_peer_groups(const struct tls_session *, struct arena *);
#endif
