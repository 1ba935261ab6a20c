/* SPDX-License-Identifier: Apache-2.0 */
/*
 * credentials: who we are, as it is now. Tokens and certificates change under a running process: files are looked at (their
 * times, at most once a second, when a request is made) and read again when they changed, a token file also when it was read
 * a minute ago and after a 401; a credential plugin is asked before the first request, when what it gave has expired, and
 * after a 401. An idle process looks at nothing.
 */
#ifndef K8S_CREDENTIALS_H
#define K8S_CREDENTIALS_H
#include "core/http1.h"
#include "core/loop.h"
#include "core/tls.h"
#include "k8s/kubeconfig.h"

struct credentials;
struct credentials_user {
    void (*hold)(void *ctx, bool on);                        /* no request is to be sent while on: the plugin is asked */
    void (*refused)(void *ctx, const struct kr_err *);       /* the plugin gave none: requests that wait fail with this */
    void (*renewed)(void *ctx);                              /* the TLS configurations are others: new connections are to be made */
    void *ctx;
};
/* The configuration is kept. NULL and e: certificates that can't be used. */
struct credentials *credentials_new(struct loop *, const struct kube_config *, struct credentials_user, struct kr_err *);
void credentials_free(struct credentials *);                 /* NULL is fine */
void credentials_look(struct credentials *);                 /* before a request: may call hold and renewed */
/* After a 401 for what was signed with that stamp. True: trying again makes sense, there are or will be newer ones. */
bool credentials_failed(struct credentials *, uint32_t stamp);
/* authorization and impersonation, valid until the loop turns. */
struct http_fields credentials_fields(const struct credentials *, uint32_t *stamp);
enum credentials_tls { CREDENTIALS_BOTH, CREDENTIALS_H1, CREDENTIALS_PROXY };
const struct tls *credentials_tls(const struct credentials *, enum credentials_tls);     /* NULL: plain */
#endif
