/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api: one request of the Kubernetes API → one reply, as a plain function. Whoever calls it keeps replies back until
 * store_commit has put the writes of the turn on disk.
 *
 * The conventions are those of Kubernetes (API conventions: verbs, Status, resourceVersion, field and label selectors,
 * watch, Table); texts of errors are the ones people know from there.
 */
#ifndef APISERVER_API_H
#define APISERVER_API_H
#include "applets/apiserver/authz.h"
#include "applets/apiserver/follow.h"
#include "applets/apiserver/store.h"
#include "applets/apiserver/watch.h"

struct api {
    struct loop *loop;
    struct store *store;
    struct watches *watches;
    struct rnd *rnd;                              /* uids, generated names */
    struct authn *authn; struct authz *authz;     /* NULL: everybody may do anything */
    struct str ca;                                /* certificate authority in PEM, for the ConfigMap that namespaces have; may be empty */
    struct str pods_dir;                          /* the local node's folder, for the logs of its pods; may be empty */
    /* Called when api_handle wrote something outside of a client's request: a commit is wanted soon. May be NULL. */
    void (*wrote)(void *ctx); void *wrote_ctx;
};
/* How the client wants to see objects: whole, as rows of a Table (with their metadata, whole, alone), as metadata only. */
enum api_form { FORM_NONE, FORM_OBJECT, FORM_TABLE, FORM_TABLE_OBJECTS, FORM_TABLE_BARE, FORM_METADATA };
struct api_request {
    struct str method, path, query;               /* path and query as sent */
    struct str content_type, accept;              /* empty: application/json */
    struct str user_agent;
    const struct api_user *user;                  /* NULL: the server itself */
    struct str body;
};
struct api_follow { int fd; int64_t at; struct log_view view; };       /* a log that is read on */
struct api_reply {
    int status;
    struct buf body;
    const char *content_type;                     /* static */
    int retry_after_s;
    struct buf warnings;                          /* one a line */
    uint64_t wait_for;                            /* refused as this revision isn't reached: may be asked again when it is */
    int64_t timeout_us;                           /* the client waits no longer (?timeout=); 0: it doesn't say */
    struct str next_token; char *own_token;       /* of a Status: continue with this (an expired continue token) */
    struct api_follow *follow;                    /* body holds what is there; owned, its fd too (-1: taken) */
    bool watch;                                   /* body holds the first lines; the stream goes on by `start` */
    enum api_form form;                           /* of a watch's objects */
    struct watch_start start;                     /* all but user */
};
void api_handle(struct api *, const struct api_request *, struct api_reply *);
void api_reply_free(struct api_reply *);
/* Replaces a reply whose write did not reach the disk. */
void api_reply_error(struct api_reply *, const struct kr_err *);
/* May this user do that? For calls that don't go through api_handle. */
int api_check(struct api *, const struct api_user *, struct str method, struct str path, struct str query, struct kr_err *);
/* Makes what is always there: namespaces default and kube-system, roles. */
int api_bootstrap(struct api *, struct kr_err *);

/* ---- private to the api_*.c: one call while it is carried out ---------------------------------------------------- */
struct api_cause { struct str reason, message, field; };
/* The arena is over: what is at hand may lack a part. */
#define API_OVER "the request needs more memory than it may take"
struct api_call {
    struct api *api;
    const struct api_request *q;
    struct api_reply *reply;
    struct api_path path;
    struct arena arena;
    struct kr_err e;
    struct str about;                             /* name in Status.details; empty: the path's */
    bool about_kind;                              /* details.kind is the Kind (validation), not the plural */
    const char *options;                          /* the details are of these ("ListOptions"), not of an object; "": of nothing */
    struct api_cause *causes; size_t ncauses, causes_cap;
    struct str message;                           /* instead of e's, where that is too short for it */
    bool dry_run;
    enum api_form form;
    struct str twice[16]; size_t ntwice;          /* keys that the body has more than once, the first of them */
};
struct str api_query(struct api_call *, const char *name);                 /* value, decoded; empty when absent */
bool api_query_given(struct api_call *, const char *name);                 /* also when it is empty */
bool api_query_bool(struct api_call *, const char *name);                  /* as with a kube-apiserver: all but 0 and false is true, "?watch" too */
int api_fail_not_found(struct api_call *, struct str name);                /* `runs.kruntimes.io "x" not found` */
int api_fail_conflict(struct api_call *, struct str name, const char *why);
/* A mistake in the parameters of the request: `ListOptions.meta.k8s.io "" is invalid: FIELD: MESSAGE`. */
const char *api_options_of(struct str method);                             /* of one that writes */
int api_fail_option(struct api_call *, const char *options, const char *field, const char *reason, struct str message);
void api_add_cause(struct api_call *, const char *reason, struct str message, struct str field);
int api_fail_invalid(struct api_call *, struct str name);                  /* from the causes that were added */
void api_warn(struct api_call *, struct str text);
bool api_is_namespace(const struct api_call *);                            /* is it about a Namespace itself? */
struct str api_resource_name(const struct resource *, struct arena *);     /* "runs.kruntimes.io", "pods" */

/* api_read.c */
int api_get(struct api_call *);
int api_list(struct api_call *);
int api_watch(struct api_call *);
int api_timeout_seconds(struct api_call *, int64_t *ret);                  /* of lists and watches; 0: not said */
void api_send_object(struct api_call *, int status, struct str json);      /* as it is, or as a Table */
/* api_write.c */
int api_parse_body(struct api_call *, struct json **ret);                  /* JSON, YAML, or protobuf of a core kind */
int api_parse_yaml(struct api_call *, struct json **ret);                  /* whatever its type: one document */
int api_create(struct api_call *);
int api_update(struct api_call *);                                         /* PUT */
int api_patch(struct api_call *);
int api_store_object(struct api_call *, struct str name, struct json *object, const struct store_value *old, struct str *json);
/* api_apply.c */
/* What an apply makes of the live object (NULL: there is none), with its managers. */
int api_apply(struct api_call *, const struct json *live, struct json **ret);
/* Any other write: the writer owns what differs from old (NULL: created). base: managers so far, NULL: none. */
int api_track(struct api_call *, struct json *object, const struct json *old, const struct json *base);
bool api_resets_managers(const struct json *object);                       /* managedFields is [{}] */
/* api_claim.c */
bool api_is_claim(const struct api_call *);                                /* is it about a PersistentVolumeClaim? */
void api_claim_furnish(struct api_call *, struct json *object);            /* a new one: Pending, protected */
int api_claim_check(struct api_call *, const struct json *object, const struct json *old);         /* adds causes; old NULL: created */
/* api_scale.c */
void api_send_scale(struct api_call *, int status, struct str object);     /* the object seen as a Scale */
/* The object with the replicas that `change` gives its Scale. */
int api_scaled(struct api_call *, const struct json *object, int (*change)(struct api_call *, const struct json *scale, struct json **ret),
               struct json **ret);
/* api_review.c */
int api_review(struct api_call *);                                         /* create of a kind that is answered, not kept */
/* api_access.c */
int api_authorize(struct api_call *);                                      /* may the user make this call? */
int api_may_create(struct api_call *);                                     /* an apply makes what isn't there: may the user? */
int api_may_grant(struct api_call *, const struct json *object, const struct json *old);   /* roles, bindings, users: only what one has */
/* api_log.c: GET pods/NAME/log, as text */
int api_log(struct api_call *);
/* api_delete.c */
int api_delete(struct api_call *);
int api_delete_collection(struct api_call *);
bool api_deletes_collections(const struct resource *);                     /* all but namespaces, as with a kube-apiserver */
int api_remove(struct api_call *, struct str name, struct str json);       /* out of the store, DELETED to watchers */
/* api_meta.c */
int meta_for_create(struct api_call *, struct json *object);
int meta_for_update(struct api_call *, struct json *object, const struct json *old);
void meta_raise_generation(struct api_call *, struct json *object);        /* where it has one */
void meta_next_generation(struct api_call *, struct json *object, const struct json *old);      /* of what is admitted: one more when the spec changed */
int meta_check_kind(struct api_call *, const struct json *object);         /* apiVersion and kind are the path's */
bool meta_is_deleted(const struct json *object);                           /* marked, and nothing holds it any more */
/* api_admit.c */
int admit(struct api_call *, struct json *object, const struct json *old, bool status_only);
/* api_discovery.c: true when the path was one of its own */
bool api_discovery(struct api_call *);
/* api_openapi.c: true when these parts of the path (the first is "openapi") name a document of its */
bool api_openapi(struct api_call *, const struct str *part, size_t n);
/* api_table.c */
enum api_form api_form_of(struct str accept, struct str include);          /* include: ?includeObject= */
static inline bool form_is_table(enum api_form f) { return f != FORM_OBJECT && f != FORM_METADATA; }
void form_metadata(struct buf *, struct str json);
void form_one(struct buf *, const struct resource *, enum api_form, struct str json, int64_t now_us, bool with_columns);   /* not FORM_OBJECT */
void table_begin(struct buf *, const struct resource *);
void table_row(struct buf *, const struct resource *, enum api_form, struct str json, int64_t now_us);
void table_end(struct buf *, struct str rv, struct str cont);
#endif
