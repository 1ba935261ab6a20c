/* SPDX-License-Identifier: Apache-2.0 */
/*
 * artifact: the stores, and how artifacts get into them. All of this runs in helper processes (`kruntimes artifact-helper`,
 * `kruntimes artifact-clean`), so it may block.
 *
 *   store.c    a store by its driver                     collect.c  what a Run left → items
 *   beside.c   a digest, made by a thread beside         logs.c     what attempts wrote → objects
 *   fs.c       a folder                                  tar.c      a folder → tar.gz, always the same bytes
 *   s3.c       a bucket (s3_*.c, sigv4.c below it)       untar.c    and back, from whom it may be
 *   clean.c    the clean-up Job                          unpack.c   an artifact → another Run's workspace
 *   main.c     the helper: orders on stdin, answers on stdout
 *
 * Keys are paths of plain names: NAMESPACE/RUN-UID/ATTEMPT-POD/ARTIFACT; a store puts its own prefix in front.
 */
#ifndef APPLETS_ARTIFACT_STORE_H
#define APPLETS_ARTIFACT_STORE_H
#include "core/digest.h"
#include "crds/crds.h"

/* ---- what is stored ---------------------------------------------------------------------------------------------- */
/* An open file of a known size, or an open folder that becomes a tar.gz. */
struct item {
    struct str name;                              /* for messages */
    int fd;
    bool is_dir;
    uint64_t size;                                /* of a file: pinned when it was looked at */
};
struct stored { uint64_t size; char digest[DIGEST_TEXT]; };

/* Where bytes go while they are counted and digested. */
struct sink {
    int (*write)(struct sink *, struct str bytes, struct kr_err *);
    struct digest digest;
    uint64_t n;
    int fd;                                       /* of sink_begin's own writer: that file */
};
void sink_begin(struct sink *, int fd);           /* writes into fd */
int sink_put(struct sink *, struct str bytes, struct kr_err *);
void sink_end(struct sink *, struct stored *);
/* Bytes that are digested by a thread while whoever read them does something else with them, which takes about as long. Where no
 * thread can be had, or for few bytes, it is done at once. Room is for one piece; what was in the room before may be looked at, but
 * not changed, until the room after is asked for. */
enum { BESIDE_PIECE = 1 << 19, BESIDE_ROOMS = 4 };
struct beside;
struct beside *beside_begin(struct digest *, uint64_t bytes);
char *beside_room(struct beside *);               /* BESIDE_PIECE bytes, to be filled */
void beside_add(struct beside *, size_t n);       /* so many of the last room */
void beside_end(struct beside *);                 /* the digest has all of them */

/* The item's bytes, whichever it is. A file that has shrunk is KR_INVALID: something still writes to it. */
int item_write(const struct item *, struct sink *, struct kr_err *);

/* ---- stores ------------------------------------------------------------------------------------------------------ */
struct depot;
struct depot_driver {
    /* All or nothing: a reader sees the whole object or what was there before. */
    int (*put)(struct depot *, struct str key, const struct item *, struct stored *, struct kr_err *);
    /* Bytes from the offset on into out. KR_NOT_FOUND when there is no such object. */
    int (*get)(struct depot *, struct str key, uint64_t offset, int out, struct kr_err *);
    /* All below "key/", and the folder itself; what isn't there counts as removed. */
    int (*remove)(struct depot *, struct str key, struct kr_err *);
    void (*close)(struct depot *);
};
struct depot { const struct depot_driver *driver; };

/* `place`: the folder of a filesystem store, or of the files of an S3 store's Secret (empty: none, the environment tells).
 * spool: a folder for a temporary file, where a driver needs one (empty: none is needed). */
struct depot *depot_open(const struct artifact_store *, struct str place, struct str spool, struct kr_err *);
void depot_close(struct depot *);                 /* NULL is fine */
/* Plain names only, at most 1024 bytes. */
int depot_check_key(struct str key, struct kr_err *);
/* As status.artifactRefs has it. */
void depot_put_location(struct buf *, const struct artifact_store *, struct str key);

struct depot *fs_depot_open(struct str root, struct kr_err *);
struct depot *s3_depot_open(const struct store_s3 *, struct str place, struct str spool, struct kr_err *);

/* ---- collecting -------------------------------------------------------------------------------------------------- */
struct collect_limits { uint64_t bytes; };
struct collected { struct item item; struct stored stored; char content_type[64]; };
struct collection { struct collected *v; size_t n; };
/* Opens what is in the folder `dir`, in the order of names, after all of it was looked through. Symlinks, devices, FIFOs,
 * sockets, other file systems, names that are no plain text, too many, too much: KR_INVALID or KR_TOO_LARGE. */
int collect(int dir, const struct collect_limits *, struct collection *, struct arena *, struct kr_err *);
void collection_close(struct collection *);

/* Each attempt's log of runtimed's folder of a Run, as PREFIX/ATTEMPT. No such folder: nothing was written. */
int store_logs(struct depot *, struct str folder, struct str prefix, struct str spool, struct arena *, struct kr_err *);

/* ---- archives ---------------------------------------------------------------------------------------------------- */
/* tar (POSIX.1-2001 pax where ustar has no room) in gzip: sorted, owner 0, time 0, modes 0644, 0755. */
int tar_write(int dir, struct str name, struct sink *, struct kr_err *);

/* The other way: entries in their order, each with what is in it. Whatever the archive holds, `entry` sees relative paths of plain
 * names (each of 1 to 255 bytes, never "." or ".."), at most LIMIT_ARTIFACT_FILES of them, and `content` at most bytes_max in all.
 * KR_INVALID, KR_TOO_LARGE: it is refused; what was told of it before then was told. */
struct untar_user {
    int (*entry)(void *ctx, struct str path, bool is_dir, bool executable, struct kr_err *);
    int (*content)(void *ctx, struct str bytes, struct kr_err *);        /* of the last entry, a part at a time */
    void *ctx;
};
int untar(int fd, uint64_t bytes_max, const struct untar_user *, struct kr_err *);
int unpack(int archive, int dir, uint64_t bytes_max, struct kr_err *);    /* into the open, empty folder */

/* An artifact into a working directory, at a relative path, whose folders are made; what is there at `path` is replaced. */
struct placing { struct str key, path, digest, spool; uint64_t size, bytes_max; bool is_archive; };    /* digest: hex */
int place(struct depot *, int work, const struct placing *, struct kr_err *);
/* A temporary file without a name. spool: its folder; empty: /tmp. */
int spool_open(struct str spool, struct kr_err *);

/* Names of an open folder without "." and "..", sorted by bytes. KR_TOO_LARGE beyond max. */
struct names { struct str *v; size_t n; };
int names_of(int dir, size_t max, struct names *, struct arena *, struct kr_err *);
/* Opens one entry of a folder to be read, when it is a file or a folder of the same file system. */
int open_plain(int dir, const char *name, bool *is_dir, uint64_t *size, bool *executable, struct kr_err *);
#endif
