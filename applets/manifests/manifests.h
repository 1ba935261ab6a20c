/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifests: what the files of this folder share. An installation is a list of parts; each is text of YAML documents with
 * the values of this installation in their places.
 *
 *   texts.c    Deployments, Services, policies    roles.c    accounts and roles, from crds/access.def
 *   uninstall.c    the way back                   main.c     options
 */
#ifndef APPLETS_MANIFESTS_MANIFESTS_H
#define APPLETS_MANIFESTS_MANIFESTS_H
#include "k8s/client.h"

struct install {
    struct str ns;                                /* of the installation */
    struct str image;
    int64_t replicas;
    struct str only;                              /* the namespace to work in; empty: all */
};
struct install_part { const char *name, *brief; void (*put)(const struct install *, struct buf *); };
extern const struct install_part install_parts[];                /* in the order in which they are applied; NULL name: the end */

/* The text with $NAMESPACE, $IMAGE, $REPLICAS, $ARGS, and $NAME (the component, may be NULL) replaced. */
void install_put_text(const struct install *, const char *text, const char *component, struct buf *);
void install_put_access(const struct install *, struct buf *);   /* accounts of the control plane, and what they may */
void install_put_people(const struct install *, struct buf *);   /* roles to bind people to */


/* ---- uninstall.c ------------------------------------------------------------------------------------------------- */
struct uninstall { struct install what; bool dry_run, keep_control_plane; int64_t timeout_us; };
/* Deletes Workflows, then Runtimes (the controller drains their pods), then Runs, and waits for each to be gone; then what the
 * install_parts print, kinds first, the control plane and its namespace last. Each step is told on stdout. KR_DEADLINE when something is still there at the end of the time. */
int uninstall_run(struct kube *, const struct uninstall *, struct kr_err *);
#endif
