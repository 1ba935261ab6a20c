/* SPDX-License-Identifier: Apache-2.0 */
/* session: calls to an instance that is up, one after the other, as its admin. For commands that end afterwards. */
#ifndef APPLETS_LOCAL_SESSION_H
#define APPLETS_LOCAL_SESSION_H
#include "applets/local/instance.h"

struct session { char dir[4096]; struct loop *loop; struct kube *kube; struct kube_config config; struct buf answer; struct kr_err *e; bool done, failed; };
/* The instance that --state-dir names; KR_UNAVAILABLE when it isn't up. session_close also after a failure. e is used by calls too. */
int session_open(struct session *, struct kr_err *);
void session_close(struct session *);
/* The answer (JSON) is in s->answer. */
int session_call(struct session *, const char *method, struct str path, struct str body);
#endif
