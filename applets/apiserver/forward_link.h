/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forward_link: one TCP connection to a port of a pod, for whoever carries its bytes to a client. Back pressure both ways:
 * it is not read while the client's queue is long, and the client isn't while more than FORWARD_HIGH waits for all of its pods' ports.
 */
#ifndef APISERVER_FORWARD_LINK_H
#define APISERVER_FORWARD_LINK_H
#include "core/link.h"

enum { FORWARD_HIGH = 1048576 };                  /* bytes in a queue from which on its filler is held back */
struct forward_link;
struct forward_link_user {
    void (*got)(struct forward_link *, struct str bytes);                      /* from the pod */
    void (*moved)(struct forward_link *);                                      /* the pod took some of what waited */
    void (*ended)(struct forward_link *, const struct kr_err *why);            /* once; why->code 0: the pod closed it properly */
    size_t (*queued)(struct forward_link *);                                   /* bytes that the client has not taken yet */
};
struct forward_link {
    const struct forward_link_user *user;
    struct link *link;                            /* NULL: not begun, or ended */
    struct buf out;                               /* to the pod; may be filled before the connection is begun */
    bool no_more;                                 /* the client sends no more: told to the pod behind the last byte */
};
void forward_link_init(struct forward_link *, const struct forward_link_user *);
void forward_link_connect(struct forward_link *, struct loop *, struct str ip, uint16_t port);
void forward_link_write(struct forward_link *, struct str bytes, bool last);
void forward_link_resume(struct forward_link *);  /* the client's queue is short again */
void forward_link_free(struct forward_link *);    /* closes it; no callback any more */
#endif
