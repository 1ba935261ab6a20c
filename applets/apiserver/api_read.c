/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_read: get, list and the beginning of a watch. A list is written straight from the store's text, item after item.
 *
 * A continue token is the revision of the first page and the last key, in base64url: all pages are read as things were
 * then. Once that revision has left the history it is a 410 with another token, for who takes the rest as it is now.
 */
#include "applets/apiserver/api.h"
#include "core/base64.h"
#include <stdio.h>

enum { WATCH_MIN_S = 1800 };

/* ---- versions ---------------------------------------------------------------------------------------------------- */

static int too_large(struct api_call *c, uint64_t wanted)
{
    uint64_t has = store_revision(c->api->store);
    c->reply->wait_for = wanted;
    api_add_cause(c, "ResourceVersionTooLarge", S("Too large resource version"), S(""));
    kr_fail(&c->e, KR_DEADLINE, "Too large resource version: %llu, current: %llu", (unsigned long long)wanted, (unsigned long long)has);
    c->e.retry_after_s = 1;
    return -1;
}

static int check_version(struct api_call *c, struct str rv, uint64_t *ret)
{
    *ret = 0;
    if (!rv.n || str_is(rv, "0"))
        return 0;
    if (!str_u64(rv, ret))
        return kr_fail(&c->e, KR_BAD_REQUEST, "resourceVersion: Invalid value: \"%.*s\": strconv.ParseUint: parsing \"%.*s\": invalid syntax",
                       SFMT(rv), SFMT(rv));
    return *ret > store_revision(c->api->store) ? too_large(c, *ret) : 0;
}

static int bad_option(struct api_call *c, const char *reason, const char *text)
{
    char field[32];
    const char *colon = strchr(text, ':');
    snprintf(field, sizeof field, "%.*s", (int)(colon - text), text);
    return api_fail_option(c, "ListOptions", field, reason, str_of(colon + 2));
}

/* Which of resourceVersion, resourceVersionMatch, continue and sendInitialEvents go together (KEP-1904, KEP-3157). */
static int check_match(struct api_call *c, bool watch)
{
    static const char forbidden[] = "FieldValueForbidden";
    struct str match = api_query(c, "resourceVersionMatch"), rv = api_query(c, "resourceVersion");
    bool initial = api_query_given(c, "sendInitialEvents");
    if (watch && initial && !str_is(match, "NotOlderThan"))
        return bad_option(c, forbidden, "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    if (!watch && initial)
        return bad_option(c, forbidden, "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list");
    if (!match.n || (watch && initial))
        return 0;
    if (watch)
        return bad_option(c, forbidden, "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
    if (!rv.n)
        return bad_option(c, forbidden, "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided");
    if (api_query(c, "continue").n)
        return bad_option(c, forbidden, "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for continue");
    if (!str_is(match, "Exact") && !str_is(match, "NotOlderThan"))
        return bad_option(c, "FieldValueNotSupported", arena_fmt(&c->arena, "resourceVersionMatch: Unsupported value: \"%.*s\": supported values: "
                          "\"Exact\", \"NotOlderThan\", \"\"", SFMT(match)).p);
    if (str_is(match, "Exact") && str_is(rv, "0"))
        return bad_option(c, forbidden, "resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
    return 0;
}

int api_timeout_seconds(struct api_call *c, int64_t *ret)
{
    struct str text = api_query(c, "timeoutSeconds");
    *ret = 0;
    return !text.n || str_i64(text, ret) ? 0
        : kr_fail(&c->e, KR_BAD_REQUEST, "timeoutSeconds \"%.*s\" is not a whole number: write 300", SFMT(text));
}

void api_send_object(struct api_call *c, int status, struct str json)
{
    if (str_is(c->path.sub, "scale")) {
        api_send_scale(c, status, json);
        return;
    }
    c->reply->status = status;
    if (c->form != FORM_OBJECT)
        form_one(&c->reply->body, c->path.r, c->form, json, loop_wall_us(c->api->loop), true);
    else
        buf_str(&c->reply->body, json);
}

int api_get(struct api_call *c)
{
    struct store_value v;
    uint64_t rv;
    struct str key = resource_key(c->path.r, c->path.ns, c->path.name, &c->arena);
    if (check_version(c, api_query(c, "resourceVersion"), &rv) < 0)
        return -1;
    int rc = store_get(c->api->store, key, &v, &c->e);
    if (rc < 0)
        return -1;
    if (rc == 0)
        return api_fail_not_found(c, c->path.name);
    api_send_object(c, 200, v.json);
    return 0;
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

struct listing {
    struct api_call *c;
    struct filter filter;
    struct store_scan scan;
    struct version look;
    bool looking, failed, more;
    int64_t limit, given;
    struct str last;                      /* key of the last item given */
    uint64_t revision;
};

/* Key → namespace and name. */
static void split_key(struct str key, struct str *ns, struct str *name)
{
    struct str rest = key;
    str_cut(&rest, '/');
    *ns = str_cut(&rest, '/');
    *name = rest;
}

static bool next_item(void *ctx, struct str *json)
{
    struct listing *l = ctx;
    for (;;) {
        if (l->looking) {
            arena_reset(&l->look.arena);
            l->looking = false;
        }
        int rc = store_scan_next(&l->scan, &l->c->e);
        if (rc <= 0) {
            l->failed = rc < 0;
            return false;
        }
        struct str ns, name;
        split_key(l->scan.at.key, &ns, &name);
        version_view(&l->look, l->c->path.r, ns, name, l->scan.at.revision, l->scan.at.json);
        l->looking = true;
        if (!filter_matches(&l->filter, &l->look))
            continue;
        if (l->limit && l->given == l->limit) {
            l->more = true;
            return false;
        }
        l->given++;
        l->last = l->scan.at.key;
        *json = l->scan.at.json;
        return true;
    }
}

static struct str make_token(struct arena *a, const char *revision, struct str after)
{
    return base64_encode(a, BASE64_URL, arena_fmt(a, "%s %.*s", revision, SFMT(after)));
}

static struct str continue_token(struct listing *l)
{
    char revision[24];
    snprintf(revision, sizeof revision, "%llu", (unsigned long long)l->revision);
    return make_token(&l->c->arena, revision, l->last);
}

/* The rest may be read on as it is now, when the client says so by this other token. */
static int expired_token(struct api_call *c, struct str after)
{
    struct str token = make_token(&c->arena, "-1", after);
    c->reply->next_token = (struct str){ c->reply->own_token = xstrndup(token.p, token.n), token.n };
    c->message = S("The provided continue parameter is too old to display a consistent list result. You can start a new list without the "
                   "continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with "
                   "the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the "
                   "first chunk was returned and now may show up in the list.");
    return kr_fail(&c->e, KR_EXPIRED, "the continue token is too old");
}

static int read_continue(struct api_call *c, struct listing *l, struct str *after)
{
    struct str token = api_query(c, "continue"), rest;
    *after = S("");
    if (!token.n)
        return 0;
    if (base64_decode(&c->arena, BASE64_URL, token, &rest, &c->e) < 0)
        return kr_fail(&c->e, KR_BAD_REQUEST, "continue key is not valid: it is not base64");
    struct str revision = str_cut(&rest, ' ');
    bool newest = str_is(revision, "-1");
    uint64_t at = l->revision;
    if (!newest && (!str_u64(revision, &at) || at == 0 || at > l->revision))
        return kr_fail(&c->e, KR_BAD_REQUEST, "continue key is not valid: incorrect encoded start resourceVersion");
    if (!str_starts(rest, l->scan.prefix) || rest.n == l->scan.prefix.n || rest.n > STORE_KEY_MAX)
        return kr_fail(&c->e, KR_BAD_REQUEST, "continue key is not valid: it does not belong to this list");
    if (at < store_compacted(c->api->store))
        return expired_token(c, rest);
    l->revision = at;
    *after = rest;
    return 0;
}

/* How many come behind the page; only said where no selector makes that a guess. */
static uint64_t count_rest(struct listing *l)
{
    uint64_t n = 0;
    if (store_scan_count(&l->scan, &n, &l->c->e) < 0)
        l->failed = true;
    return n + 1;                         /* the scan stands on the first of them */
}

static void write_list(struct listing *l)
{
    struct api_call *c = l->c;
    struct buf *b = &c->reply->body;
    char api[96];
    struct str json;
    jw_begin(b, '{');
    bool metadata = c->form == FORM_METADATA;
    jw_kstr(b, "kind", metadata ? S("PartialObjectMetadataList") : arena_fmt(&c->arena, "%sList", c->path.r->kind));
    jw_kstr(b, "apiVersion", metadata ? S("meta.k8s.io/v1") : resource_api_version(c->path.r, api));
    jw_kbegin(b, "items", '[');
    while (next_item(l, &json)) {
        if (metadata)
            form_metadata(b, json);
        else
            jw_raw(b, json);
    }
    jw_end(b, ']');
    jw_kbegin(b, "metadata", '{');
    jw_kstr(b, "resourceVersion", arena_fmt(&c->arena, "%llu", (unsigned long long)l->revision));
    if (l->more)
        jw_kstr(b, "continue", continue_token(l));
    if (l->more && !l->filter.labels && !l->filter.fields.n)
        jw_kint(b, "remainingItemCount", (int64_t)count_rest(l));
    jw_end(b, '}');
    jw_end(b, '}');
}

static void write_table(struct listing *l)
{
    struct api_call *c = l->c;
    struct str json;
    table_begin(&c->reply->body, c->path.r);
    while (next_item(l, &json))
        table_row(&c->reply->body, c->path.r, c->form, json, loop_wall_us(c->api->loop));
    table_end(&c->reply->body, arena_fmt(&c->arena, "%llu", (unsigned long long)l->revision), l->more ? continue_token(l) : S(""));
}

static int list_args(struct api_call *c, struct listing *l, struct str *after)
{
    struct str limit = api_query(c, "limit");
    uint64_t rv;
    int64_t seconds;                      /* a list takes none, but a mistake in them is told as with a watch */
    if (api_timeout_seconds(c, &seconds) < 0)
        return -1;
    if (limit.n && (!str_i64(limit, &l->limit) || l->limit < 0))
        return kr_fail(&c->e, KR_BAD_REQUEST, "limit: Invalid value: \"%.*s\": a number from 0 was expected", SFMT(limit));
    if (check_match(c, false) < 0)
        return -1;
    struct str match = api_query(c, "resourceVersionMatch");
    if (api_query(c, "continue").n) {
        if (api_query(c, "resourceVersion").n && !str_is(api_query(c, "resourceVersion"), "0"))
            return kr_fail(&c->e, KR_BAD_REQUEST, "specifying resource version is not allowed when using continue");
        return read_continue(c, l, after);
    }
    *after = S("");
    if (check_version(c, api_query(c, "resourceVersion"), &rv) < 0)
        return -1;
    if (!rv || !(str_is(match, "Exact") || (!match.n && l->limit)))       /* a limit without a match has always meant exact */
        return 0;
    if (rv < store_compacted(c->api->store))
        return kr_fail(&c->e, KR_EXPIRED, "The resourceVersion for the provided list is too old.");
    l->revision = rv;
    return 0;
}

int api_list(struct api_call *c)
{
    struct listing l = { .c = c, .revision = store_revision(c->api->store) };
    struct str after;
    l.scan.prefix = resource_prefix(c->path.r, c->path.ns, &c->arena);
    if (list_args(c, &l, &after) < 0 ||
        filter_parse(&l.filter, c->path.r, c->path.ns, api_query(c, "labelSelector"), api_query(c, "fieldSelector"), &c->e) < 0)
        return -1;
    store_scan_begin(c->api->store, &l.scan, l.scan.prefix, after);
    l.scan.revision = l.revision;
    c->reply->status = 200;
    if (form_is_table(c->form))
        write_table(&l);
    else
        write_list(&l);
    if (l.looking)
        arena_reset(&l.look.arena);
    store_scan_end(&l.scan);
    filter_free(&l.filter);
    return l.failed ? -1 : 0;
}

/* ---- watch ------------------------------------------------------------------------------------------------------- */

/* What is there now, as ADDED lines: for watches without a version, and sendInitialEvents. */
static int initial_lines(struct api_call *c, struct filter *f)
{
    struct listing l = { .c = c, .filter = *f };
    struct str json;
    store_scan_begin(c->api->store, &l.scan, resource_prefix(c->path.r, c->path.ns, &c->arena), S(""));
    while (next_item(&l, &json)) {
        if (c->form == FORM_OBJECT) {
            watch_line(&c->reply->body, "ADDED", json);
            continue;
        }
        AUTO_BUF struct buf row = { .max = LIMIT_API_BODY };
        form_one(&row, c->path.r, c->form, json, loop_wall_us(c->api->loop), !c->reply->body.n);
        watch_line(&c->reply->body, "ADDED", buf_view(&row));
    }
    if (l.looking)
        arena_reset(&l.look.arena);
    store_scan_end(&l.scan);
    return l.failed ? -1 : 0;
}

static int watch_deadline(struct api_call *c, int64_t *ret)
{
    int64_t s;
    if (api_timeout_seconds(c, &s) < 0)
        return -1;
    if (s <= 0)
        s = WATCH_MIN_S + (int64_t)(rnd_u64(c->api->rnd) % WATCH_MIN_S);      /* spread, so that not all come back at once */
    if (s > 86400)
        s = 86400;
    *ret = loop_now_us(c->api->loop) + s * 1000000;
    return 0;
}

int api_watch(struct api_call *c)
{
    struct api_reply *r = c->reply;
    struct str rv = api_query(c, "resourceVersion");
    bool given = api_query_given(c, "sendInitialEvents"), initial = api_query_bool(c, "sendInitialEvents");
    uint64_t from;
    if (check_match(c, true) < 0 || check_version(c, rv, &from) < 0 || watch_deadline(c, &r->start.deadline_us) < 0)
        return -1;
    if (filter_parse(&r->start.filter, c->path.r, c->path.ns, api_query(c, "labelSelector"), api_query(c, "fieldSelector"), &c->e) < 0)
        return -1;
    r->watch = true;
    r->form = c->form;
    r->start.bookmarks = api_query_bool(c, "allowWatchBookmarks");
    r->start.metadata = c->form == FORM_METADATA;
    r->start.from = from;
    r->status = 200;
    if (!from || initial) {
        r->start.from = store_revision(c->api->store);
        r->start.initial_end = initial && r->start.bookmarks;
        return initial || !given ? initial_lines(c, &r->start.filter) : 0;      /* sendInitialEvents=false: what comes from now on */
    }
    return 0;
}
