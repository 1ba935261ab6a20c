/* SPDX-License-Identifier: Apache-2.0 */
/*
 * authn: who is asking (Kubernetes docs, "Authenticating").
 *
 *   admin's token        of the state folder: kruntimes-admin, group system:masters
 *   a component's token  made of the key, for the controller and the scheduler of this machine: accounts as a cluster has them
 *   user's token         its SHA-256 is in a Secret of type kruntimes.io/user in kube-system, so that users are backed up and
 *                        restored with the store, come and go while the server runs, and no copy of a token is kept
 *   service account      a signed token from serviceaccounts/NAME/token, as long as account (and pod, if bound) are there
 *   client certificate   of the instance's CA: CN is the user, O are the groups; it holds until it expires
 *   nothing              system:anonymous
 */
#ifndef APISERVER_AUTHN_H
#define APISERVER_AUTHN_H
#include "applets/apiserver/store.h"
#include "applets/apiserver/watch.h"
#include "core/digest.h"
#include "core/link.h"
#include "core/model.h"

/* Who issues tokens of service accounts, and the audience that this server is. */
#define AUTHN_ISSUER "https://kubernetes.default.svc.cluster.local"
/* The type of a user's Secret. */
#define AUTHN_USER_SECRET "kruntimes.io/user"

struct api_user {
    struct str name, uid;
    struct str groups[16]; size_t ngroups;
    struct str extra_pod, extra_pod_uid;          /* of a token bound to a pod */
    bool masters;                                 /* in system:masters: may do anything */
};
struct authn;
/* key: 32 secret bytes that sign tokens of service accounts. It follows Secrets by the watches. */
struct authn *authn_new(struct store *, struct watches *, struct loop *, struct str admin_token, struct str key, struct kr_err *);
void authn_free(struct authn *);

/* Strings of *ret live on the arena. KR_UNAUTHORIZED for a token that isn't (any more). link NULL: no certificate. */
int authn_user(struct authn *, struct str authorization, const struct link *, struct arena *, struct api_user *ret, struct kr_err *);
int authn_token(struct authn *, struct str token, struct arena *, struct api_user *ret, struct str *audiences, struct kr_err *);
bool user_in_group(const struct api_user *, struct str group);
void user_add_group(struct api_user *, struct str group);
void user_add_account_groups(struct api_user *, struct str ns, struct arena *);      /* those of each service account of that namespace */

/* "controller" or "scheduler": its token and who it is; the same for the same key. */
enum { COMPONENTS = 2 };
struct component_account { const char *name, *account, *user; };
extern const struct component_account component_accounts[COMPONENTS];
void authn_component_token(struct str key, const char *name, char out[DIGEST_TEXT]);

/* A new token of a service account; pod names empty: not bound to one. audiences: JSON list. */
struct token_request { struct str ns, name, uid, pod, pod_uid, audiences; int64_t expires_wall_us; };
struct str authn_issue(struct authn *, const struct token_request *, struct arena *);
#endif
