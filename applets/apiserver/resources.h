/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resources: what the embedded API server serves, and how a path names it.
 *
 * Our three kinds come with their model (schema, defaults, rules); the core kinds our applets touch are plain storage.
 */
#ifndef APISERVER_RESOURCES_H
#define APISERVER_RESOURCES_H
#include "core/json.h"
#include "core/model.h"

enum {
    RES_STATUS = 1, RES_SCALE = 2, RES_GENERATION = 4,
    RES_GRACE = 8,                       /* deletion waits for whoever runs it */
    RES_RETURN = 16,                     /* a delete answers with the object, not with a Status */
    RES_REVIEW = 32,                     /* created to be answered, never kept */
    RES_OWN_COLUMNS = 64,                /* its table doesn't begin with the name */
};
/* Types of a column beside those of the API: "date" is shown as an age, "modes" as access modes are abbreviated, "phase" is Terminating
 * once the object is deleted, "object" names what a reference means, "unset" says so where there is nothing. */
struct resource_column { const char *name, *type, *path; int priority; };
struct resource {
    const char *group, *version, *plural, *singular, *kind, *short_names;      /* short names and categories: "rn,x" */
    const char *categories;
    bool namespaced;
    unsigned flags;
    const struct resource_column *columns; size_t ncolumns;
    const char *const *fields;                    /* field selectors beside metadata.name and .namespace; NULL-terminated */
    const struct model_type *type;                /* NULL: plain storage */
};
extern const struct resource resources[];
extern const size_t nresources;
struct str resource_api_version(const struct resource *, char out[96]);                              /* "apps/v1" */
const struct resource *resource_by_kind(struct str api_version, struct str kind);                    /* NULL: not served */
const struct resource *resource_by_prefix(struct str prefix);      /* "runs.kruntimes.io": the first part of a store key */
/* What its objects look like, as far as it is known. */
const struct model_object *resource_object(const struct resource *);

/* /api/v1/namespaces/NS/PLURAL/NAME/SUB and its shorter forms; the views point into `path`, percent-decoded on the arena. */
struct api_path {
    const struct resource *r;
    struct str ns, name, sub;
    bool all_namespaces;                          /* namespaced kind without a namespace in the path */
};
/* 0, or -1: no such thing here (the caller says 404). */
int api_path_parse(struct api_path *, struct str path, struct arena *);

/* Store keys. An object: PLURAL.GROUP/NS/NAME (cluster kinds have an empty NS). */
struct str resource_key(const struct resource *, struct str ns, struct str name, struct arena *);
/* Prefix of all objects, or of one namespace's when ns.n. */
struct str resource_prefix(const struct resource *, struct str ns, struct arena *);
#endif
