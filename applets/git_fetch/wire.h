/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire: the HTTP of a fetch, with a blocking face for libgit2. A helper process that does one fetch may block; the deadline is
 * that of the whole fetch.
 *
 * Every host that a request goes to is looked up here, its addresses are judged (core/address.h), and the connection is made to
 * an address that was judged. Redirects are followed for the first request only, as git does, and judged again; what follows
 * goes to where it led. The password goes to the one host it is for, over https, and nowhere else.
 */
#ifndef APPLETS_GIT_FETCH_WIRE_H
#define APPLETS_GIT_FETCH_WIRE_H
#include "grpc/http.h"

struct git_secret { char *host, *username, *password; };    /* host: "git.example.com", or with ":port"; all NULL: none */

struct wire_config {
    struct str url;                          /* of the repository; checked by uri_parse_url */
    struct str ca;                           /* PEM; empty: the system's */
    const struct git_secret *secret;
    bool allow_private;
    uint64_t max_bytes;                      /* of all answers together: KR_TOO_LARGE */
};
struct wire;
struct wire *wire_new(struct loop *, const struct wire_config *, struct kr_err *);
void wire_free(struct wire *);
void wire_begin(struct wire *, int64_t deadline_us);         /* before the first request; monotonic */
/* Is the error final, so that another way to the same commit is no use (limits, time, addresses, certificate)? */
bool wire_failed(const struct wire *, struct kr_err *why);

/* GET …/info/refs?service=git-upload-pack, or POST …/git-upload-pack with the body. 0, or -1 and the reason in wire_failed.
 * Comes back when the answer's head is there and good. */
int wire_get_refs(struct wire *);
int wire_post_pack(struct wire *, struct str body);
ptrdiff_t wire_read(struct wire *, void *p, size_t n);       /* > 0 bytes, 0 the end, -1 failed */
void wire_end(struct wire *);                                /* drops the exchange under way, if there is one */
uint64_t wire_bytes(const struct wire *);
#endif
