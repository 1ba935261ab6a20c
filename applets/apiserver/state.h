/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state: what the embedded API server keeps in its folder besides the store: its certificate authority, the admin's
 * token, the key that signs tokens of service accounts, and kubeconfigs of the admin and the control plane. All files are 0600 in a folder of 0700.
 *
 *   DIR/store.mdb   DIR/ca.pem   DIR/ca-key.pem   DIR/token   DIR/token-key   DIR/kubeconfig   DIR/kubeconfig-controller   DIR/kubeconfig-scheduler
 */
#ifndef APISERVER_STATE_H
#define APISERVER_STATE_H
#include "core/loop.h"
#include "core/tls.h"

struct state {
    char *dir;
    struct tls_pair ca, server;                   /* the server's certificate is made anew at each start, and see state_keep_fresh */
    struct buf token, token_key;
    struct { struct loop *loop; struct timer look; struct tls *tls; } renewal;
};
/* Opens the folder, making what is missing. Errors name the file and what to do. */
int state_open(struct state *, const char *dir, int64_t now_us, struct kr_err *);
void state_close(struct state *);                 /* wipes secrets */
/* How the server shows itself, and whose client certificates it takes; NULL and *e as tls_server_new. The caller frees it. */
struct tls *state_tls(const struct state *, struct kr_err *);
/* Looks once an hour, by the wall clock: a certificate that has lived half its time makes room for a new one. Connections that
 * are open keep theirs. Until state_close; tls must live as long. */
void state_keep_fresh(struct state *, struct loop *, struct tls *);
/* Writes the kubeconfigs for https://HOST:PORT, the admin's last. */
int state_write_kubeconfig(struct state *, struct str host, uint16_t port, struct kr_err *);
#endif
