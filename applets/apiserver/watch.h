/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch: those who follow what is committed. Who comes back from an older revision is first told what is between, from
 * the store's history; a client that takes it slowly is fed slowly.
 *
 * Events are queued by watch_note while a request is carried out and published by watch_publish once they are on disk
 * (watch_forget when they are not). A watcher gets ADDED and DELETED also when an object enters or leaves its filter.
 */
#ifndef APISERVER_WATCH_H
#define APISERVER_WATCH_H
#include "applets/apiserver/store.h"
#include "applets/apiserver/versions.h"
#include "core/loop.h"

struct watches;
struct watches *watches_new(struct loop *, struct store *);       /* the store outlives it */
void watches_free(struct watches *);

/* now NULL: deleted (before is then shown with the revision of the deletion in it: `last`). Takes over the references. */
void watch_note(struct watches *, uint64_t revision, struct version *now, struct version *before);
void watch_publish(struct watches *);
void watch_forget(struct watches *);

/* Somebody in this process who follows all that is committed (what it keeps is made from the store first). */
struct watch_observer {
    struct watch_observer *next;
    void (*committed)(void *ctx, const struct version *now, const struct version *before);     /* as of watch_note */
    void (*lost)(void *ctx);                                      /* noted events didn't reach the disk, its own writes too */
    void *ctx;
};
void watch_observe(struct watches *, struct watch_observer *);    /* until watches_free */

/* Where a watcher's lines go. */
struct watcher_user {
    void (*write)(void *ctx, struct str bytes);
    size_t (*queued)(void *ctx);                                  /* bytes the client has not taken */
    void (*close)(void *ctx);                                     /* the stream is to end; the watcher is gone afterwards */
    /* One event as the client wants to see it (Table rows); NULL: the object as it is. */
    void (*render)(void *ctx, struct buf *out, struct version *);
    void *ctx;
};
struct watcher;
struct watch_start {
    struct filter filter;                                         /* taken over */
    uint64_t from;                                                /* events with a greater revision */
    bool bookmarks;
    bool metadata;                                                /* bookmarks are PartialObjectMetadata, as all else that it is told */
    int64_t deadline_us;                                          /* monotonic: the stream ends then */
    bool initial_end;                                             /* a bookmark marked as the end of the initial events comes first */
    struct watcher_user user;
};
/* NULL and KR_EXPIRED when `from` is older than the history (later on that is an ERROR event); KR_TOO_MANY. */
struct watcher *watch_add(struct watches *, struct watch_start *, struct kr_err *);
void watch_remove(struct watcher *);
/* {"type":…,"object":…}\n */
void watch_line(struct buf *, const char *type, struct str object);
#endif
