/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance: a local instance from outside: where it lives, whether it is up, starting and stopping it.
 *
 *   DIR/lock          held by the supervisor, with its PID in it
 *   DIR/kubeconfig    the admin's; written by the API server once it listens
 *   DIR/log/NAME.log  of the components        DIR/pods/UID/   of the pods
 *   DIR/log/NAME.log.1  what NAME.log was before it grew too large
 */
#ifndef APPLETS_LOCAL_INSTANCE_H
#define APPLETS_LOCAL_INSTANCE_H
#include "core/kr.h"
#include "k8s/client.h"
#include <sys/types.h>

/* $XDG_STATE_HOME/kruntimes, else ~/.local/state/kruntimes. */
int instance_default_dir(char out[4096], struct kr_err *);
/* PID of the supervisor that holds the lock, 0 when none does. */
pid_t instance_pid(const char *dir);
/* DIR/log/NAME.log, to write on; one over LIMIT_LOCAL_LOG is put aside first. -1: errno says why. */
int instance_open_log(const char *dir, const char *name);
/* The last line in there, as far as there is room: why what wrote it ended. Empty where there is none. */
enum { LAST_WORDS = 400 };
void instance_last_words(const char *dir, const char *name, char out[LAST_WORDS]);
/* Starts a supervisor for `dir`; follow: it ends with us. */
int instance_start(const char *dir, int64_t port, bool follow, pid_t *pid, struct kr_err *);
/* What is waited for: that a first pod of the Runtime bash takes Runs, or every one, as far as they come within 10 s
 * of the first. supervisor: its PID when it is a child of ours, else 0. interrupted: becomes true when it is no longer to be
 * waited for; may be NULL. */
struct instance_goal { const char *dir; pid_t supervisor; int64_t timeout_us; bool every_pod; const bool *interrupted; };
/* Waits until the API answers and the Runtime bash is ready; makes that Runtime where it is missing. The client is the caller's. */
int instance_wait(struct loop *, struct instance_goal, struct rnd *, struct kube **, struct kr_err *);
/* TERM, and waits for its end. */
int instance_stop(const char *dir, pid_t pid, bool ours, struct kr_err *);
#endif
