/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hpack_table: the static table (RFC 7541 appendix A) and dynamic tables: a ring of entries, evicted from the old end when
 * a new one needs room (section 4).
 */
#include "grpc/hpack.h"

#define F(n, v) { { n, sizeof(n) - 1 }, { v, sizeof(v) - 1 } }
const struct http_field hpack_static[HPACK_STATIC + 1] = {
    F("", ""),
    F(":authority", ""), F(":method", "GET"), F(":method", "POST"), F(":path", "/"), F(":path", "/index.html"),
    F(":scheme", "http"), F(":scheme", "https"), F(":status", "200"), F(":status", "204"), F(":status", "206"),
    F(":status", "304"), F(":status", "400"), F(":status", "404"), F(":status", "500"), F("accept-charset", ""),
    F("accept-encoding", "gzip, deflate"), F("accept-language", ""), F("accept-ranges", ""), F("accept", ""),
    F("access-control-allow-origin", ""), F("age", ""), F("allow", ""), F("authorization", ""), F("cache-control", ""),
    F("content-disposition", ""), F("content-encoding", ""), F("content-language", ""), F("content-length", ""),
    F("content-location", ""), F("content-range", ""), F("content-type", ""), F("cookie", ""), F("date", ""), F("etag", ""),
    F("expect", ""), F("expires", ""), F("from", ""), F("host", ""), F("if-match", ""), F("if-modified-since", ""),
    F("if-none-match", ""), F("if-range", ""), F("if-unmodified-since", ""), F("last-modified", ""), F("link", ""),
    F("location", ""), F("max-forwards", ""), F("proxy-authenticate", ""), F("proxy-authorization", ""), F("range", ""),
    F("referer", ""), F("refresh", ""), F("retry-after", ""), F("server", ""), F("set-cookie", ""),
    F("strict-transport-security", ""), F("transfer-encoding", ""), F("user-agent", ""), F("vary", ""), F("via", ""),
    F("www-authenticate", ""),
};
#undef F

static struct hpack_entry *entry(const struct hpack_table *t, size_t i) { return &t->v[(t->first + i) % t->cap]; }

bool hpack_at(const struct hpack_table *t, uint64_t index, struct str *name, struct str *value)
{
    if (index == 0 || index > HPACK_STATIC + t->n)
        return false;
    if (index <= HPACK_STATIC) {
        *name = hpack_static[index].name;
        *value = hpack_static[index].value;
        return true;
    }
    const struct hpack_entry *e = entry(t, index - HPACK_STATIC - 1);
    *name = (struct str){ e->p, e->name };
    *value = (struct str){ e->p + e->name, e->value };
    return true;
}

static void evict(struct hpack_table *t, size_t room)
{
    while (t->n && t->size + room > t->max) {
        struct hpack_entry *e = entry(t, --t->n);
        t->size -= e->name + e->value + HPACK_OVERHEAD;
        free(e->p);
    }
}

void hpack_resize(struct hpack_table *t, size_t max)
{
    t->max = max;
    evict(t, 0);
}

void hpack_add(struct hpack_table *t, struct str name, struct str value)
{
    size_t size = name.n + value.n + HPACK_OVERHEAD;
    char *p = xmalloc(name.n + value.n + 1);     /* before the eviction: name may be an entry that goes */
    memcpy(p, name.p, name.n);
    if (value.n)
        memcpy(p + name.n, value.p, value.n);
    evict(t, size);
    if (size > t->max) {
        free(p);
        return;
    }
    if (!t->cap) {
        t->cap = HPACK_TABLE / HPACK_OVERHEAD + 1;
        t->v = xcalloc(t->cap, sizeof *t->v);
    }
    t->first = (t->first + t->cap - 1) % t->cap;
    t->n++;
    t->size += size;
    *entry(t, 0) = (struct hpack_entry){ p, (uint32_t)name.n, (uint32_t)value.n };
}

void hpack_table_free(struct hpack_table *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(entry(t, i)->p);
    free(t->v);
    *t = (struct hpack_table){ 0 };
}
