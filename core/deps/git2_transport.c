/* SPDX-License-Identifier: Apache-2.0 */
/*
 * git2_transport: stands in for libgit2's transport.c, whose table names http, https, ssh, git and local paths. Here no URL has
 * a transport: who fetches hands one in (git_remote_callbacks.transport), as applets/git_fetch does. Compiled into libgit2;
 * tests/local/git.py proves that other schemes are refused.
 */
#include "common.h"
#include "git2/sys/transport.h"
#include "git2/transport.h"

int git_transport_new(git_transport **out, git_remote *owner, const char *url)
{
    (void)owner;
    (void)url;
    *out = NULL;
    git_error_set(GIT_ERROR_NET, "there is no transport for this URL");
    return -1;
}

int git_transport_init(git_transport *opts, unsigned int version)
{
    GIT_INIT_STRUCTURE_FROM_TEMPLATE(opts, version, git_transport, GIT_TRANSPORT_INIT);
    return 0;
}

/* What libgit2's start and its options look for in the transports that are left out. */
extern bool git_http__expect_continue;
bool git_http__expect_continue;
int git_transport_ssh_libssh2_global_init(void);
int git_transport_ssh_libssh2_global_init(void) { return 0; }
