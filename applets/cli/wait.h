/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wait: `run wait`, `workflow wait`.
 */
#ifndef APPLETS_CLI_WAIT_H
#define APPLETS_CLI_WAIT_H
#include "applets/cli/which.h"

extern const struct opt cli_wait_opts[];          /* --timeout */
/* Until the end of this one in the namespace of the call; its exit status. prog: for messages. */
typedef int cli_follow_one(struct cli *, struct str name, const char *prog);
/* All that the call names, or has labels for. The exit status of the first that didn't succeed, or -1 and e: KR_DEADLINE after --timeout. */
int cli_wait(struct applet_call *, const struct kube_resource *, cli_follow_one *, struct kr_err *);
#endif
