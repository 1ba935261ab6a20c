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
    char *own_ns;
};
extern const struct opt cli_opts[];               /* --kubeconfig, --context, --namespace */
extern const struct opt cli_list_opts[];          /* --all-namespaces, --selector, --output */
/* Finds the server; where there is no kubeconfig and a local instance is up, that one, and says so on stderr. */
int cli_open(struct cli *, struct kr_err *);
void cli_close(struct cli *);
struct str cli_selector(void);                    /* --selector; empty when not given */
bool cli_all_namespaces(void);

/* One request, waited for. On success *body (may be NULL) has the answer. */
int cli_call(struct cli *, const struct kube_request *, struct buf *body, struct kr_err *);
int cli_get(struct cli *, const struct kube_resource *, struct str ns, struct str name, struct buf *body, struct kr_err *);

enum cli_form { FORM_TABLE, FORM_WIDE, FORM_NAME, FORM_JSON, FORM_YAML, FORM_JSONPATH };
int cli_form(enum cli_form *, struct str *template, struct kr_err *);       /* of --output */
/* Gets what is named (none: all that the selector lets through) and prints it. */
int cli_show(struct cli *, const struct kube_resource *, const struct str *names, size_t n, struct kr_err *);
/* A Table object as aligned columns; with_ns adds NAMESPACE in front. */
/* "3m20s" since then; "<unknown>" for what is no time. */
struct str cli_age(struct cli *, struct str rfc3339, char out[32]);
#endif
