/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core_protobuf: Kubernetes' protobuf bodies as JSON trees, by the numbers of core_schema.def. Go's typed clients send such
 * bodies for core kinds and take JSON back.
 *
 * Go writes fields that are empty but no pointers; as Go's JSON leaves them out, they are left out here. Unknown numbers are
 * skipped, as protobuf says (newer clients). Depth is bounded by the tables and LIMIT_JSON_DEPTH.
 */
#include "core/base64.h"
#include "core/clock.h"
#include "core/http1.h"
#include "k8s/core_schema_private.h"

enum { WIRE_VARINT, WIRE_64, WIRE_BYTES, WIRE_32 = 5, FIELD_MAX = (1 << 29) - 1 };
struct reader { struct str in; bool failed; struct arena *a; int depth; };
struct wire { uint32_t number; int type; uint64_t varint; struct str bytes; };

static uint64_t read_varint(struct reader *r)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (!r->in.n)
            break;
        unsigned char c = (unsigned char)r->in.p[0];
        r->in = str_from(r->in, 1);
        v |= (uint64_t)(c & 127) << shift;
        if (c < 128)
            return v;
    }
    r->failed = true;
    return 0;
}

static bool read_wire(struct reader *r, struct wire *w)
{
    if (!r->in.n || r->failed)
        return false;
    uint64_t tag = read_varint(r), n = 0;
    *w = (struct wire){ .number = (uint32_t)(tag >> 3), .type = (int)(tag & 7) };
    switch (w->type) {
    case WIRE_VARINT: w->varint = read_varint(r); break;
    case WIRE_64: n = 8; break;
    case WIRE_BYTES: n = read_varint(r); break;
    case WIRE_32: n = 4; break;
    default: r->failed = true;
    }
    if (n > r->in.n || !w->number || tag >> 3 > FIELD_MAX)
        r->failed = true;
    if (r->failed)
        return false;
    w->bytes = (struct str){ r->in.p, (size_t)n };
    r->in = str_from(r->in, (size_t)n);
    return true;
}

static struct json *read_object(struct reader *r, const struct core_type *t, struct str bytes, struct json *into);

/* The message's fields 1 to 3, each with the wire type that `types` has for it ('-': whichever): Time, Quantity, IntOrString,
 * RawExtension, Unknown, TypeMeta, map entries. */
static void read_small(struct reader *r, struct str bytes, const char types[4], struct wire w[4])
{
    struct reader in = { .in = bytes, .a = r->a };
    struct wire x;
    memset(w, 0, 4 * sizeof *w);
    while (read_wire(&in, &x))
        if (x.number < 4) {
            in.failed |= types[x.number - 1] != '-' && types[x.number - 1] != '0' + x.type;
            w[x.number] = x;
        }
    r->failed |= in.failed;
}

static struct json *read_time(struct reader *r, struct str bytes, bool micro)
{
    struct wire w[4];
    char text[TIME_TEXT];
    const int64_t first = -62135596800, last = 253402300799;      /* years 1 to 9999: others have no RFC 3339 */
    read_small(r, bytes, "00-", w);
    int64_t s = (int64_t)w[1].varint;
    r->failed |= s < first || s > last || w[2].varint > 999999999;
    if (r->failed || (!w[1].number && !w[2].number))
        return NULL;
    int64_t us = s * 1000000 + (int64_t)w[2].varint / 1000;
    if (micro)
        time_print_micro(text, us);
    else
        time_print(text, us);
    return json_new_str(r->a, str_of(text));
}

static struct json *text(struct reader *r, struct str s)
{
    if (!str_utf8(s))
        r->failed = true;
    return r->failed ? NULL : json_new_str(r->a, s);
}

static struct json *read_raw(struct reader *r, struct str bytes)
{
    struct wire w[4];
    struct kr_err e;
    read_small(r, bytes, "2--", w);
    struct json *j = w[1].bytes.n ? json_parse(r->a, w[1].bytes, &e) : NULL;
    r->failed |= w[1].bytes.n && !j;
    return j;
}

static bool is_number(const struct core_value *v) { return v->shape == CORE_INT || v->shape == CORE_BOOL; }

/* Another wire type than the field's is not the field's value. */
static bool is_typed(struct reader *r, const struct core_value *v, const struct wire *w)
{
    r->failed |= w->type != (is_number(v) ? WIRE_VARINT : WIRE_BYTES);
    return !r->failed;
}

static struct json *read_value(struct reader *r, const struct core_value *v, const struct wire *w)
{
    struct wire s[4];
    if (!is_typed(r, v, w))
        return NULL;
    switch (v->shape) {
    case CORE_STRING: return w->bytes.n || v->pointer ? text(r, w->bytes) : NULL;
    case CORE_BOOL: return w->varint || v->pointer ? json_new_bool(r->a, w->varint != 0) : NULL;
    case CORE_INT: return w->varint || v->pointer ? json_new_int(r->a, (int64_t)w->varint) : NULL;
    case CORE_BYTES: return json_new_str(r->a, base64_encode(r->a, BASE64_STD, w->bytes));
    case CORE_TIME: return read_time(r, w->bytes, false);
    case CORE_MICROTIME: return read_time(r, w->bytes, true);
    case CORE_RAW: return read_raw(r, w->bytes);
    case CORE_QUANTITY: read_small(r, w->bytes, "2--", s); return s[1].bytes.n ? text(r, s[1].bytes) : NULL;
    case CORE_INT_OR_STRING:
        read_small(r, w->bytes, "002", s);
        return s[1].varint ? text(r, s[3].bytes) : json_new_int(r->a, (int32_t)s[2].varint);
    case CORE_OBJECT: {
        struct json *o = read_object(r, v->type, w->bytes, json_new_object(r->a));
        return o && (json_len(o) || v->pointer) ? o : NULL;
    }
    default: return NULL;
    }
}

/* A value inside a list or map counts, empty or not. */
static struct json *read_item(struct reader *r, const struct core_value *v, const struct wire *w)
{
    struct core_value must = *v;
    must.pointer = true;
    if (v->shape == CORE_LIST && is_typed(r, v, w)) {      /* a named list: a message with the items as field 1 */
        struct reader in = { .in = w->bytes, .a = r->a, .depth = r->depth };
        struct json *list = json_new_array(r->a);
        struct wire x;
        while (read_wire(&in, &x)) {
            struct json *item = x.number == 1 ? read_item(&in, v->item, &x) : NULL;
            if (item)
                json_append(list, item);
        }
        r->failed |= in.failed;
        return list;
    }
    return read_value(r, &must, w);
}

static void add_list_item(struct reader *r, const struct core_field *f, const struct wire *w, struct json *list)
{
    struct reader packed = { .in = w->bytes, .a = r->a };
    if (is_number(f->value.item) && w->type == WIRE_BYTES) {
        while (packed.in.n && !packed.failed) {
            struct wire one = { .varint = read_varint(&packed) };
            if (!packed.failed)
                json_append(list, read_item(r, f->value.item, &one));
        }
        r->failed |= packed.failed;
        return;
    }
    struct json *item = read_item(r, f->value.item, w);
    if (item)
        json_append(list, item);
}

/* A key may come twice: core_from_protobuf looks for them once, in all maps. */
static void add_map_entry(struct reader *r, const struct core_field *f, const struct wire *w, struct json *map)
{
    struct wire s[4];
    read_small(r, w->bytes, "2--", s);
    struct json *v = s[2].number ? read_item(r, f->value.item, &s[2]) : f->value.item->shape == CORE_STRING ? json_new_str(r->a, S("")) : NULL;
    if (!str_utf8(s[1].bytes) || (s[1].bytes.n && memchr(s[1].bytes.p, 0, s[1].bytes.n)))
        r->failed = true;
    else if (v)
        json_add(r->a, map, s[1].bytes, v);
}

static struct json *member(struct reader *r, struct json *o, const struct core_field *f)
{
    struct json *j = json_get_str(o, f->name);
    if (j)
        return j;
    j = f->value.shape == CORE_LIST ? json_new_array(r->a) : json_new_object(r->a);
    json_set(r->a, o, f->name, j);
    return j;
}

/* A field that comes twice: messages are merged, of others the last counts, also where it is empty. */
static void read_single(struct reader *r, const struct core_field *f, const struct wire *w, struct json *into)
{
    struct json *old = f->value.shape == CORE_OBJECT ? json_get_str(into, f->name) : NULL;
    if (old && is_typed(r, &f->value, w)) {
        read_object(r, f->value.type, w->bytes, old);
        return;
    }
    struct json *v = read_value(r, &f->value, w);
    if (v)
        json_set(r->a, into, f->name, v);
    else
        json_del(into, f->name);
}

static void read_field(struct reader *r, const struct core_field *f, const struct wire *w, struct json *into)
{
    if (f->value.shape == CORE_LIST)
        add_list_item(r, f, w, member(r, into, f));
    else if (f->name.n && f->value.shape != CORE_MAP)
        read_single(r, f, w, into);
    else if (!is_typed(r, &f->value, w))
        return;
    else if (f->name.n)
        add_map_entry(r, f, w, member(r, into, f));
    else
        read_object(r, f->value.type, w->bytes, into);
}

static struct json *read_object(struct reader *r, const struct core_type *t, struct str bytes, struct json *into)
{
    struct reader in = { .in = bytes, .a = r->a, .depth = r->depth + 1 };
    struct wire w;
    if (in.depth > LIMIT_JSON_DEPTH)
        in.failed = true;
    while (read_wire(&in, &w)) {
        size_t i = 0;
        while (i < t->n && t->fields[i].number != w.number)
            i++;
        if (i < t->n)
            read_field(&in, &t->fields[i], &w, into);
    }
    r->failed |= in.failed;
    return r->failed ? NULL : into;
}

bool core_is_protobuf(struct str content_type) { return http_media_is(content_type, "application/vnd.kubernetes.protobuf"); }

struct json *core_from_protobuf(struct arena *a, struct str body, struct kr_err *e)
{
    struct reader r = { .in = body, .a = a };
    struct wire unknown[4], meta[4];
    if (!str_starts(body, (struct str){ "k8s\0", 4 })) {
        kr_fail(e, KR_BAD_REQUEST, "the body is not in Kubernetes' protobuf form: it does not begin with k8s and a zero byte");
        return NULL;
    }
    read_small(&r, str_from(body, 4), "222", unknown);
    read_small(&r, unknown[1].bytes, "22-", meta);
    r.failed |= !str_utf8(meta[1].bytes) || !str_utf8(meta[2].bytes);
    if (!r.failed && unknown[3].bytes.n) {
        kr_fail(e, KR_UNSUPPORTED, "the protobuf body is encoded, which is not offered: send it without contentEncoding");
        return NULL;
    }
    if (!r.failed && (!meta[1].bytes.n || !meta[2].bytes.n)) {
        kr_fail(e, KR_BAD_REQUEST, "the protobuf body doesn't say its %s", meta[1].bytes.n ? "kind" : "apiVersion");
        return NULL;
    }
    const struct core_type *t = r.failed ? NULL : core_type(meta[1].bytes, meta[2].bytes);
    if (!r.failed && !t) {
        kr_fail(e, KR_UNSUPPORTED, "protobuf is not offered for %.*s %.*s: send application/json", SFMT(meta[1].bytes), SFMT(meta[2].bytes));
        return NULL;
    }
    struct json *o = json_new_object(a);
    json_set(a, o, S("apiVersion"), json_new_str(a, meta[1].bytes));
    json_set(a, o, S("kind"), json_new_str(a, meta[2].bytes));
    if (!r.failed)
        read_object(&r, t, unknown[2].bytes, o);
    if (r.failed || a->over) {
        kr_fail(e, r.failed ? KR_BAD_REQUEST : KR_TOO_LARGE, "the protobuf body can't be decoded");
        return NULL;
    }
    json_drop_duplicates(o);
    return o;
}
