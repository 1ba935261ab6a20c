/* SPDX-License-Identifier: Apache-2.0 */
/* failpoint: points around what is written to the API (core/failpoint.h), named by operation: "controller.create-runs.after". */
#ifndef K8S_FAILPOINT_H
#define K8S_FAILPOINT_H
#include "core/failpoint.h"
#ifdef KR_FAILPOINTS
/* when: "before" it is sent, "after" the answer came and before anybody knows. Reads have none. */
void kube_failpoint(const char *method, const char *path, const char *when);
#define KUBE_FAILPOINT(method, path, when) kube_failpoint(method, path, when)
#else
#define KUBE_FAILPOINT(method, path, when) ((void)0)
#endif
#endif
