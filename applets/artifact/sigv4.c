/* SPDX-License-Identifier: Apache-2.0 */
/* sigv4: canonical request → string to sign → signature, with the derived key; see s3.h. Tests: tests/unit/applets/artifact_s3.c */
#include "applets/artifact/s3.h"
#include "core/clock.h"
#include <stdio.h>

void sigv4_date(char out[SIGV4_DATE], int64_t wall_us)
{
    char t[TIME_TEXT];                            /* 2013-05-24T00:00:00Z */
    time_print(t, wall_us);
    snprintf(out, SIGV4_DATE, "%.4s%.2s%.2sT%.2s%.2s%.2sZ", t, t + 5, t + 8, t + 11, t + 14, t + 17);
}

static int by_name(const void *a, const void *b) { return str_cmp(((const struct http_field *)a)->name, ((const struct http_field *)b)->name); }

static void canonical(const struct sigv4 *q, const struct http_field *f, size_t n, struct buf *b, struct buf *names)
{
    buf_fmt(b, "%.*s\n%.*s\n%.*s\n", SFMT(q->method), SFMT(q->path), SFMT(q->query));
    for (size_t i = 0; i < n; i++) {
        buf_fmt(b, "%.*s:%.*s\n", SFMT(f[i].name), SFMT(str_trim(f[i].value)));
        buf_fmt(names, "%s%.*s", i ? ";" : "", SFMT(f[i].name));
    }
    buf_fmt(b, "\n%s\n%.*s", names->p, SFMT(q->payload));
}

static void signing_key(const struct sigv4 *q, unsigned char out[DIGEST_BYTES])
{
    AUTO_BUF struct buf secret = { .max = 4096 };
    buf_fmt(&secret, "AWS4%.*s", SFMT(q->keys->secret));
    digest_hmac(buf_view(&secret), (struct str){ q->date, 8 }, out);
    digest_hmac((struct str){ (char *)out, DIGEST_BYTES }, q->region, out);
    digest_hmac((struct str){ (char *)out, DIGEST_BYTES }, q->service, out);
    digest_hmac((struct str){ (char *)out, DIGEST_BYTES }, S("aws4_request"), out);
}

void sigv4_authorization(const struct sigv4 *q, struct buf *out)
{
    AUTO_BUF struct buf request = { .max = 65536 }, names = { .max = 4096 }, text = { .max = 4096 }, scope = { .max = 512 };
    struct http_field f[SIGV4_FIELDS + 1];
    unsigned char key[DIGEST_BYTES], mac[DIGEST_BYTES];
    char hex[DIGEST_TEXT];
    size_t n = 0;
    f[n++] = (struct http_field){ S("host"), q->host };
    for (size_t i = 0; i < q->n && n < LEN(f); i++)
        f[n++] = q->fields[i];
    qsort(f, n, sizeof *f, by_name);
    canonical(q, f, n, &request, &names);
    digest_sha256_text(buf_view(&request), hex);
    buf_fmt(&scope, "%.8s/%.*s/%.*s/aws4_request", q->date, SFMT(q->region), SFMT(q->service));
    buf_fmt(&text, "AWS4-HMAC-SHA256\n%s\n%s\n%s", q->date, scope.p, hex);
    signing_key(q, key);
    digest_hmac((struct str){ (char *)key, sizeof key }, buf_view(&text), mac);
    digest_hex(mac, hex);
    buf_fmt(out, "AWS4-HMAC-SHA256 Credential=%.*s/%s,SignedHeaders=%s,Signature=%s", SFMT(q->keys->id), scope.p, names.p, hex);
}
