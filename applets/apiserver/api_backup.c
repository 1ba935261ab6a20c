/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_backup: all objects as they were at one revision, a page per request, for `kruntimes local backup`.
 *
 * GET /kruntimes/backup?revision=R&after=KEY, for system:masters only, as Secrets are in it. Pages keep the loop free; that
 * they fit together is the store's history: a backup that takes longer than it is kept gets a 410 and begins again.
 */
#include "applets/apiserver/backup.h"

enum { PAGE_BYTES = 1 << 20 };

int api_backup(struct api_call *c)
{
    struct store *s = c->api->store;
    struct str wanted = api_query(c, "revision");
    uint64_t revision = store_revision(s);
    if (c->q->user && !c->q->user->masters)
        return kr_fail(&c->e, KR_FORBIDDEN, "a backup is for the admin only");
    if (!str_is(c->q->method, "GET"))
        return kr_fail(&c->e, KR_METHOD, "the server does not allow this method on the requested resource");
    if (wanted.n && (!str_u64(wanted, &revision) || revision > store_revision(s)))
        return kr_fail(&c->e, KR_BAD_REQUEST, "revision: Invalid value: \"%.*s\"", SFMT(wanted));
    if (revision < store_compacted(s))
        return kr_fail(&c->e, KR_EXPIRED, "revision %llu has left the history", (unsigned long long)revision);
    struct buf *b = &c->reply->body;
    struct store_scan scan;
    struct str last = S("");
    int rc = 1;
    jw_begin(b, '{');
    jw_kstr(b, "revision", arena_fmt(&c->arena, "%llu", (unsigned long long)revision));
    jw_kbegin(b, "items", '[');
    store_scan_begin(s, &scan, S(""), api_query(c, "after"));
    scan.revision = revision;
    while (b->n < PAGE_BYTES && (rc = store_scan_next(&scan, &c->e)) > 0) {
        last = scan.at.key;
        jw_begin(b, '{');
        jw_kstr(b, "key", last);
        jw_kint(b, "revision", (int64_t)scan.at.revision);
        jw_kint(b, "crc", (int64_t)backup_crc(&scan.at));
        jw_kraw(b, "object", scan.at.json);
        jw_end(b, '}');
    }
    jw_end(b, ']');
    if (rc > 0)
        jw_kstr(b, "after", last);
    jw_end(b, '}');
    store_scan_end(&scan);
    c->reply->status = 200;
    return rc < 0 ? -1 : 0;
}
