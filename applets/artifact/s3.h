/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3: private to the files of the S3 driver.
 *
 *   sigv4.c    signatures, without I/O            s3_auth.c  whose keys: the Secret's, the environment's, a web identity's
 *   s3_xml.c   the little XML that S3 speaks      s3_call.c  one request with its retries
 *   s3.c       the driver: objects, parts, lists
 */
#ifndef APPLETS_ARTIFACT_S3_H
#define APPLETS_ARTIFACT_S3_H
#include "applets/artifact/store.h"
#include "core/tls.h"
#include "grpc/http.h"

/* ---- sigv4.c: AWS Signature Version 4, header form ("Authenticating Requests", Amazon S3 API Reference) --------------- */
struct s3_keys { struct str id, secret, token; };           /* token empty: none */
struct sigv4 {
    struct str method, path, query, host;                   /* path and query as they are sent: escaped, query sorted by name */
    const struct http_field *fields; size_t n;              /* signed beside host: names in lower case, any order, at most SIGV4_FIELDS */
    struct str payload;                                     /* value of x-amz-content-sha256 */
    struct str region, service;
    const struct s3_keys *keys;
    const char *date;                                       /* "20130524T000000Z" */
};
enum { SIGV4_FIELDS = 12, SIGV4_DATE = 17 };
void sigv4_date(char out[SIGV4_DATE], int64_t wall_us);
void sigv4_authorization(const struct sigv4 *, struct buf *);          /* the value of the field */

/* ---- s3_xml.c: elements without attributes that matter, the five entities, no DTD ------------------------------------ */
/* The text of the first element of that name at or behind *at, decoded onto the arena; *at moves behind it. False: there is none. */
bool xml_find(struct str doc, size_t *at, const char *name, struct arena *, struct str *text);
struct str xml_first(struct str doc, const char *name, struct arena *);        /* empty when there is none */

/* ---- s3_call.c ------------------------------------------------------------------------------------------------------- */
struct s3 {
    struct depot depot;
    struct loop *loop;
    struct httpc *http;
    struct tls *tls;
    struct arena arena;
    struct rnd rnd;
    struct str bucket, prefix, region, host, base, spool;   /* base: path in front of keys ("/bucket", or empty) */
    struct uri_place { struct str name; uint16_t port; bool https; } place;    /* what is connected to */
    struct s3_keys keys;
    int64_t part_size, concurrency;
    int64_t skew_us;                                        /* the server's clock is that much ahead of ours */
    int retries_left;                                       /* of all calls together */
    bool own_endpoint, reconnect, moved;                              /* endpoint was named; its region was corrected once */
};
void s3_connect(struct s3 *);                               /* to place; again after it changed */

struct s3_call {
    const char *method;
    struct str key, query;                                  /* key empty: the bucket itself; query sorted, escaped */
    struct http_field fields[4]; size_t nfields;
    struct str body;                                        /* small; or: */
    int fd; uint64_t offset, length;                        /* fd > 0: so many bytes of this file */
    struct str payload;                                     /* x-amz-content-sha256; empty: the digest of body */
    int out;                                                /* > 0: what a 200 or 206 brings is written there */
    bool joins;                                             /* behind its 200 the server works on, sends blanks meanwhile, and may fail yet */
    /* what came */
    bool done;
    int status;
    int tries;                                              /* that failed and were followed by another */
    int64_t size;                                           /* content-length */
    uint64_t got;                                           /* bytes written to out, over all tries */
    struct buf answer;
    char etag[160];
    struct kr_err e;                                        /* code 0: it went well */
    /* private */
    struct s3 *s;
    struct hcall *h;
    struct timer again;
    uint64_t sent, base, came;                              /* base: range that out begins at; sent, came: by this try */
    int64_t begun_us;                                       /* this try */
    char region[64], date[40];
    bool unwritable;
};
void s3_start(struct s3 *, struct s3_call *);               /* done is set from the loop */
int s3_wait(struct s3 *, struct s3_call *, struct kr_err *);           /* start and wait; -1 and *e on failure */
void s3_call_end(struct s3_call *);                         /* cancels what is under way */
void s3_put_key(struct buf *, const struct s3 *, struct str key);      /* "/bucket/prefix/key", escaped */

/* ---- s3_auth.c ------------------------------------------------------------------------------------------------------- */
/* Fills s->keys. dir: folder of the Secret's files, may be missing. */
int s3_find_keys(struct s3 *, struct str dir, struct kr_err *);
#endif
