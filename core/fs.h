/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs: whole files and trees of directories. Files are read with a limit and written so that a reader, or a crash, sees
 * the old or the new content and never half of it.
 */
#ifndef CORE_FS_H
#define CORE_FS_H
#include "core/kr.h"
#include <sys/types.h>

/* Appends the whole file; out->max bounds it (KR_TOO_LARGE names the file and the limit). "-" is stdin. */
int fs_read(const char *path, struct buf *out, struct kr_err *);
/* The same for an open descriptor; `what` names it in errors. */
int fs_read_fd(int fd, const char *what, struct buf *out, struct kr_err *);
/* Writes beside `path` and renames over it; durable: the file and its directory are on disk when it returns. KR_INVALID where a
 * folder, device or pipe is. */
int fs_write(const char *path, struct str content, mode_t mode, bool durable, struct kr_err *);
/* All bytes or an error; for pipes and files, blocking. */
int fs_write_fd(int fd, struct str bytes, const char *what, struct kr_err *);

/* Makes the directory and what is missing above it; one that is there stays as it is. */
int fs_make_dir(const char *path, mode_t mode, struct kr_err *);
/* Opens a directory beneath `base` for a relative path of plain names, making what is missing; "." and "..", empty names
 * and symlinks on the way are refused. Returns a descriptor. */
int fs_open_dir_at(int base, struct str path, mode_t mode, struct kr_err *);
/* Writes a new file beneath `base` at a relative path of plain names, making directories on the way (0755).
 * KR_INVALID when the path names both a file and a folder, or leads through a symlink. */
int fs_write_at(int base, struct str path, struct str content, mode_t mode, struct kr_err *);
/* Removes the file beneath `base` at a relative path of plain names; absent, or a folder, is left to fs_write_at to tell. */
void fs_unlink_at(int base, struct str path);
/* Removes what is at `path`, the whole tree when it is a directory; symlinks are removed, never followed. Absent is fine.
 * No tree is too deep. */
int fs_remove_tree(const char *path, struct kr_err *);
/* The same for one name in an open directory. */
int fs_remove_tree_at(int dir, const char *name, struct kr_err *);
/* The same, but 1 once `most` entries, folders among them, were looked at and there are more: then a part of it is gone. */
int fs_remove_some_at(int dir, const char *name, size_t most, struct kr_err *);
/* openat2(2): nothing on the way may be a symlink, lead out of `base` or onto another file system (Linux ≥ 5.6; where the call
 * is missing it fails, it never does less). Returns a descriptor, or -1 with errno as the kernel has it. */
int fs_open_beneath(int base, const char *path, int flags, mode_t mode);
bool fs_exists(const char *path);
/* Joins two parts with one '/'; aborts never: the caller's buffer is bounded by the arena. */
char *fs_join(struct arena *, const char *dir, const char *name);
#endif
