/* SPDX-License-Identifier: Apache-2.0 */
/*
 * versions: an object as it was at one revision, shared by whoever still needs it (watchers' queues, history, replies).
 * What selectors ask for is taken out once: selectable fields at once, labels when somebody first asks.
 */
#ifndef APISERVER_VERSIONS_H
#define APISERVER_VERSIONS_H
#include "applets/apiserver/resources.h"
#include "k8s/selector.h"

enum { VERSION_FIELDS = 8 };
struct version {
    unsigned refs;
    const struct resource *r;
    uint64_t revision;
    struct str json, ns, name;
    struct str fields[VERSION_FIELDS];            /* in the order of r->fields; absent ones are empty */
    struct selector_labels labels;
    bool labels_known;
    struct arena arena;
};
struct version *version_new(const struct resource *, struct str ns, struct str name, uint64_t revision, struct str json);
/* The same over views, for a look: no copy; arena_reset(&v->arena) ends it. */
void version_view(struct version *v, const struct resource *, struct str ns, struct str name, uint64_t revision, struct str json);
void version_unref(struct version *);             /* NULL is fine */
size_t version_bytes(const struct version *);

/* What a list or watch asks for. */
struct filter {
    const struct resource *r;
    struct str ns; char *own;                     /* empty: all; own holds it */
    struct selector *labels;                      /* NULL: all */
    struct field_selector fields;
};
/* KR_BAD_REQUEST: bad syntax, or a field that can't be selected (the message is the API server's). */
int filter_parse(struct filter *, const struct resource *, struct str ns, struct str labels, struct str fields, struct kr_err *);
void filter_free(struct filter *);
bool filter_matches(const struct filter *, struct version *);
#endif
