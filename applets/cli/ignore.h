/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ignore: the rules of .gitignore files (gitignore(5)). The deepest file with a rule for a path decides, in a file its last rule;
 * what lies in an ignored folder is not asked about. All lives on the caller's arena.
 */
#ifndef APPLETS_CLI_IGNORE_H
#define APPLETS_CLI_IGNORE_H
#include "core/kr.h"

struct ignore_rule { struct str pattern; bool take, folders, anchored; };         /* take: of a line that begins with "!" */
struct ignore { const struct ignore *above; struct ignore_rule *rules; size_t n; };
/* The rules of one file's text; above: those of the folder above, or NULL. NULL when the arena is over. */
struct ignore *ignore_read(const struct ignore *above, struct str text, struct arena *);
/* parts: the path's names from the topmost folder on; depth: the folder that *i is of, counted from it. */
bool ignore_has(const struct ignore *i, const struct str *parts, size_t nparts, size_t depth, bool folder);
#endif
