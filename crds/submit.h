/* SPDX-License-Identifier: Apache-2.0 */
/*
 * submit: files of Runs, checked before anything is sent, by the rules the API has (core/model_admit.h). A mistake is told
 * with file, line and field.
 */
#ifndef CRDS_SUBMIT_H
#define CRDS_SUBMIT_H
#include "crds/crds.h"
#include "k8s/resource.h"

struct submission { const struct kube_resource *resource; struct str json, ns, name, generate_name, from; };   /* from: "hello.yaml:12" */
/* newer: fields that this build doesn't know are the server's to judge, as they come from an object that it has. */
struct submissions { struct submission *v; size_t n; bool newer; };
/* Reads one file ("-" is stdin) and appends its objects; strings live on the arena. Runs, Runtimes and Workflows are taken; anything
 * else is refused. default_ns is used where the object names none. */
int submit_read(struct submissions *, const char *path, struct str default_ns, struct arena *, struct kr_err *);
/* Checks one object's text as the server will; *json is it with the namespace filled in. from is for messages. */
int submit_check(struct submissions *, struct str json, struct str from, struct str default_ns, struct arena *, struct kr_err *);
/* A Workflow's text, decoded and checked beyond its schema: KR_INVALID with the place. */
struct flow;
int submit_workflow(struct str json, struct flow **, struct arena *, struct kr_err *);
#endif
