/* SPDX-License-Identifier: Apache-2.0 */
/* tar: what the writer (tar.c) and the reader (untar.c) of archives share: the header of ustar, POSIX.1-1988. */
#ifndef APPLETS_ARTIFACT_TAR_H
#define APPLETS_ARTIFACT_TAR_H
#include "applets/artifact/store.h"

enum { TAR_BLOCK = 512, TAR_PATH = 65536 };       /* path: of an entry, at most */
struct tar_header {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[8], uname[32], gname[32], major[8], minor[8], prefix[155],
        rest[12];
};
_Static_assert(sizeof(struct tar_header) == TAR_BLOCK, "a header is one block");
#endif
