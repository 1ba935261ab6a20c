/* SPDX-License-Identifier: Apache-2.0 */
/*
 * here: the embedded API server, a client of it and the test in one loop; and a clock that goes as usual but can be set
 * ahead, so that real sockets are used and nobody waits for a lease to end.
 */
#ifndef TESTS_KIT_HERE_H
#define TESTS_KIT_HERE_H
#include "applets/apiserver/serve.h"
#include "k8s/client.h"

struct here {
    struct { struct clock clock; int64_t ahead; } clock;
    struct loop *loop;
    struct rnd rnd;
    struct api api;
    struct serve *serve;
    struct kube *kube;
    uint16_t port;
};
void here_loop(struct here *);                           /* loop, clock and rnd only */
void here_init(struct here *);                           /* and the API server, and a client of it */
void here_done(struct here *);
struct kube *here_client(struct here *, uint16_t port);  /* of a server on 127.0.0.1; the caller frees it */
void here_skip(struct here *, int64_t us);               /* the clock is set ahead by us */
/* Turns until *flag; a failed check when that takes more than 60 s of real time. */
bool here_until(struct here *, const bool *flag);
bool here_until_is(struct here *, const int *counter, int at_least);
void here_turn(struct here *);                           /* carries out what is due now, without a look at sockets */
void here_run(struct here *, int64_t us);                /* turns for us of real time: for what must not happen */

struct here_answer { bool over; int status; enum kr_code code; bool causes; struct buf body; char msg[512]; };
struct kube_user here_into(struct here_answer *);        /* emptied; body is freed by here_answer_free */
void here_answer_free(struct here_answer *);
#endif
