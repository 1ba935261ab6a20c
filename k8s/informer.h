/* SPDX-License-Identifier: Apache-2.0 */
/*
 * informer: a local picture of one kind of object, kept true by list and watch (Kubernetes API concepts, "Efficient
 * detection of changes"): list page by page, watch from there, bookmarks, resume at the last version, list again after 410.
 *
 * The user gets each object as checked JSON text and keeps what it needs of it; the informer keeps keys and versions, and
 * from them knows what has gone after a list. `synced` comes after each list, `live` when the watch behind it is open; between
 * `trouble` and the next `live` the picture may be old. Any of them may free the informer.
 */
#ifndef K8S_INFORMER_H
#define K8S_INFORMER_H
#include "k8s/client.h"

struct informer;
struct informer_user {
    void (*set)(void *ctx, struct str key, struct str json);      /* key: "NS/NAME", or "NAME" of cluster kinds; new or changed */
    void (*gone)(void *ctx, struct str key, struct str json);     /* json: last state, p NULL when it went unseen */
    void (*synced)(void *ctx);                                    /* a list is complete; may be NULL */
    void (*trouble)(void *ctx, const struct kr_err *);            /* the API can't be reached or refuses; may be NULL */
    void *ctx;
    void (*live)(void *ctx);                                      /* informer_is_live has become true; may be NULL */
};
struct informer_config {
    const struct kube_resource *resource;
    struct str ns;                                /* empty: all */
    struct str labels, fields;                    /* selectors; copied */
    struct str fallback_fields;                   /* p not NULL: used instead where the server refuses `fields` (400) */
    bool relist_after_trouble;                    /* list again after every interruption, so that informer_listed_at tells how new */
    struct informer_user user;
};
struct informer *informer_new(struct kube *, const struct informer_config *, struct rnd *);       /* begins at once */
void informer_free(struct informer *);                            /* no further callback, also from inside one; NULL is fine */
/* What it shows may be old without its knowing: lists anew, at once unless it waits after trouble of its own. NULL is fine. */
void informer_relist(struct informer *);
bool informer_is_synced(const struct informer *);                 /* a first list is complete */
bool informer_is_live(const struct informer *);                   /* and the watch is open now */
bool informer_ready(const struct informer *, struct buf *why);    /* live; else a line of `why` says what is missing */
int64_t informer_listed_at(const struct informer *);              /* monotonic µs at which the last complete list began */
#endif
