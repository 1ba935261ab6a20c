/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch: what the files of git-fetch share. One process fetches one commit and lays its files out.
 *
 *   main.c       options, the process's own limits, the answer      transport.c  libgit2's requests go to wire
 *   secret.c     the mounted Secret                                 mirror.c     what was fetched before, and the fetch
 *   wire.c       HTTP, judged addresses                             checkout.c   the tree walk
 *   ref.c        which commit is meant                              names.c      names that are refused
 */
#ifndef APPLETS_GIT_FETCH_FETCH_H
#define APPLETS_GIT_FETCH_FETCH_H
#include "applets/git_fetch/wire.h"
#include <git2.h>

struct fetch {
    struct str url, ref;                     /* ref empty: the server's HEAD */
    const char *mirrors;                     /* folder of the mirrors */
    int into;                                /* descriptor of the folder that gets the files */
    int64_t deadline_us;                     /* monotonic, of all of it from fetch_begins on; 0 before */
    struct wire *wire;
    char dir[4200];                          /* this URL's mirror, and its lock file, open while this process uses it */
    int lock;
    git_repository *open[2];                 /* of this URL's mirror; NULL: not opened */
    git_repository *repo;                    /* which of them has the commit; borrowed */
    git_oid commit;
    bool old;                                /* something was in the mirror before */
};

/* Fills *e from the wire's error, else from libgit2's, which is cleaned: a server has its say in it. Returns -1. */
int git_failed(const struct fetch *, struct kr_err *e, const char *what);

/* main.c: nobody is waited for any more. The time begins to count, and whoever started us is told. */
void fetch_begins(struct fetch *);

/* transport.c: a git_transport_cb; the payload is the struct fetch. */
int transport_new(git_transport **out, git_remote *owner, void *fetch);

/* ref.c */
enum ref_kind { REF_NONE, REF_NAMED, REF_COMMIT, REF_SHORT };      /* short: the beginning of a commit's number */
struct ref_found { enum ref_kind kind; git_oid oid; const char *name; };   /* name: of the server's ref, NULL when no ref is at it */
bool ref_is_sane(struct str);                /* the schema's rule again, and git's for names */
/* What `ref` is among the server's refs. A branch goes before a tag of the same name. */
struct ref_found ref_find(struct str ref, const git_remote_head *const *heads, size_t n);

/* mirror.c: opens or makes the mirror of f->url and sees to it that it has the commit. fresh: what was there goes first. */
int mirror_get(struct fetch *f, bool fresh, struct kr_err *e);
void mirror_close(struct fetch *);

/* checkout.c. KR_INVALID: the repository is refused. KR_TOO_LARGE. */
int checkout(const struct fetch *f, struct kr_err *e);

/* names.c: NULL, or why a tree may not have an entry of this name. */
const char *name_refused(struct str name);
/* Does a link at depth `depth` (0: top folder) lead out by its text alone? */
bool link_leaves(struct str target, size_t depth);

/* secret.c: reads DIR/{host,username,password,ca.crt}; absent DIR: nothing. Fields are malloc'd; ca's max is set by it. */
int secret_read(const char *dir, struct git_secret *, struct buf *ca, struct kr_err *);
void secret_free(struct git_secret *);
#endif
