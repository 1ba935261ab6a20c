/* SPDX-License-Identifier: Apache-2.0 */
/* upload: a folder of this machine as source.files of a Run: what .gitignore lets through, within what a Run may carry. */
#ifndef APPLETS_CLI_UPLOAD_H
#define APPLETS_CLI_UPLOAD_H
#include "core/kr.h"

enum { UPLOAD_FILES = 64, UPLOAD_CHARACTERS = 262144 };       /* as crds/run.def has them */
struct upload_file { struct str path; int64_t size; struct str content; };
struct upload { struct upload_file *v; size_t n, cap; };
/* In the order of their paths; all on the arena but v. What can't be taken is refused with its name and size. */
int upload_read(struct upload *, const char *folder, struct arena *, struct kr_err *);
void upload_free(struct upload *);
#endif
