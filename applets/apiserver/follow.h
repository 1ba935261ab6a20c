/* SPDX-License-Identifier: Apache-2.0 */
/*
 * follow: a log file as its reader wants it, and what is appended to it later on (kubectl logs -f).
 *
 * Lines of our processes begin with their time (core/log.h); what doesn't, belongs to the line before. That is what "since" and
 * "timestamps" go by.
 */
#ifndef APISERVER_FOLLOW_H
#define APISERVER_FOLLOW_H
#include "core/loop.h"

struct log_view {
    int64_t since_us, limit;             /* lines from this moment on, 0: all; bytes left to give, -1: any number */
    bool stamps;                         /* each line begins with its time, once more where it has one */
    int64_t at_us;                       /* of the line before; at first what lines without a time count as */
    bool middle;                         /* the last bytes given were no whole line */
};
/* Appends to out what the view gives of `text`; whole lines when stamps or since_us ask for their times, and then the rest is left: the
 * bytes taken. last: the text's end is a line's end, whatever it looks like. */
size_t log_view_feed(struct log_view *, struct str text, bool last, struct buf *out);
static inline bool log_view_over(const struct log_view *v) { return v->limit == 0; }

/* The local node gives the log of a process this ending when it starts the next one. */
#define LOG_PREVIOUS ".previous.log"

/* Who reads on. The file stays open until it is freed or has ended: it was removed, became the previous one, or the limit
 * is reached. */
struct follow_user {
    void (*write)(void *ctx, struct str bytes);
    size_t (*queued)(void *ctx);
    void (*end)(void *ctx);              /* at most once */
    void *ctx;
};
struct follow;
/* fd is taken over, `at` is where to go on. NULL: this machine watches no more files. */
struct follow *follow_start(struct loop *, int fd, int64_t at, const struct log_view *, struct follow_user, struct kr_err *);
void follow_writable(struct follow *);
void follow_free(struct follow *);       /* NULL is fine */
#endif
