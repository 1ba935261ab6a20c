/* SPDX-License-Identifier: Apache-2.0 */
/* oom: how many processes of our memory cgroup the kernel has killed because its limit was reached. */
#ifndef APPLETS_RUNTIME_SERVER_OOM_H
#define APPLETS_RUNTIME_SERVER_OOM_H
#include "core/kr.h"

/* 0 also where no cgroup says so. It only grows. */
int64_t oom_kills(void);
/* The count in the text of memory.events (cgroup v2) or memory.oom_control (v1); -1: none. */
int64_t oom_count(struct str text);
/* Where /proc/self/cgroup's text says that file is, within the mount; p NULL: nowhere. */
struct str oom_file(struct str cgroups, bool v2, struct arena *);
#endif
