/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli: what the verbs share: finding the API server, one request at a time, and output in the forms of kubectl.
 */
#ifndef APPLETS_CLI_CLI_H
#define APPLETS_CLI_CLI_H
#include "core/applet.h"
#include "core/json.h"
#include "k8s/client.h"

struct cli {
    struct loop *loop;
    struct kube *kube;
    struct rnd rnd;
    struct str ns;                                /* the one to work in; empty with --all-namespaces */
    char *own_ns, *context, *source;              /* context and file of the kubeconfig, for messages */
    bool interrupted;                             /* while something was followed: what else was to be isn't */
};
extern const struct opt cli_opts[];               /* --kubeconfig, --context, --namespace */
/* What get and list take: the same words mean the same everywhere. */
struct cli_list {
    struct str selector, fields, output, sort_by;
    int64_t since_us, older_us, chunk;
    bool all, headers, watch, events, labels, has_chunk;
    struct opt_list phases, label_columns;
};
extern struct cli_list cli_list;
extern const struct opt cli_list_opts[];
extern const struct opt cli_label_opts[];         /* --label-columns, --show-labels, for lists of what has labels */
/* Finds the server; where there is no kubeconfig and a local instance is up, that one, and says so on stderr. */
int cli_open(struct cli *, struct kr_err *);
/* offline: without a kubeconfig there is no server to speak to (kube NULL), but a namespace. */
int cli_open_maybe(struct cli *, bool offline, struct kr_err *);
void cli_close(struct cli *);

/* One request, waited for. On success *body (may be NULL) has the answer. */
int cli_call(struct cli *, const struct kube_request *, struct buf *body, struct kr_err *);
/* The same without advice in the message of a failure. *date_us (may be NULL) is the server's clock, 0 when it tells none. */
int cli_ask(struct cli *, const struct kube_request *, struct buf *body, int64_t *date_us, struct kr_err *);
/* What to do about a failure of a request, one line without a full stop; false when there is nothing to say. */
bool cli_hint(const struct cli *, const struct kr_err *, struct buf *);
void cli_advise(const struct cli *, struct kr_err *);                        /* puts it behind the message */
int cli_named_at_all(struct str name, struct kr_err *);       /* KR_USAGE when it is empty: the path without a name is that of all of them */
int cli_get(struct cli *, const struct kube_resource *, struct str ns, struct str name, struct buf *body, struct kr_err *);

enum cli_form { FORM_TABLE, FORM_WIDE, FORM_NAME, FORM_JSON, FORM_YAML, FORM_JSONPATH, FORM_COLUMNS };
int cli_form(struct str output, enum cli_form *, struct str *template, struct kr_err *);       /* of --output */
/* Gets what is named (none: all that the selectors let through) and prints it, as the options of a list have it. */
int cli_show(struct cli *, const struct kube_resource *, const struct str *names, size_t n, struct kr_err *);
/* To stdout; on a terminal escape sequences are shown, not obeyed. */
int cli_print(struct str text, struct kr_err *);
/* The newest Events about the object of that UID, lines for describe; nothing where there are none. */
void cli_put_events(struct cli *, struct str ns, struct str uid, struct buf *);
/* "3m20s" since then; "<unknown>" for what is no time. */
struct str cli_age(struct cli *, struct str rfc3339, char out[AGE_TEXT]);
#endif
