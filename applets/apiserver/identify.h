/* SPDX-License-Identifier: Apache-2.0 */
/* identify: who sent a request: by token or certificate (authn.h), and as whom they want to act (impersonation). */
#ifndef APISERVER_IDENTIFY_H
#define APISERVER_IDENTIFY_H
#include "applets/apiserver/api.h"
#include "grpc/http.h"

/* Strings of *user live on the arena. KR_UNAUTHORIZED, or KR_FORBIDDEN for an impersonation that isn't allowed. Without
 * api->authn nothing is looked at. */
int identify(struct api *, struct hreq *, struct arena *, struct api_user *user, struct kr_err *);
#endif
