/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/kit/store.h"
#include "tests/kit/test.h"
#include <stdio.h>

const char *kit_store_path(void)
{
    static char path[512];
    if (!*path)
        snprintf(path, sizeof path, "%s/store.mdb", test_tmpdir());
    return path;
}

struct store *kit_store(void)
{
    struct kr_err e = { 0 };
    struct store *s = store_open(kit_store_path(), &e);
    if (!CHECK(s != NULL)) {
        printf("  %s\n", e.msg);
        abort();
    }
    return s;
}

void kit_put(struct store *s, const char *key, const char *json)
{
    struct kr_err e = { 0 };
    CHECK_INT(store_put(s, str_of(key), str_of(json), &e), 0);
}

void kit_commit(struct store *s)
{
    struct kr_err e = { 0 };
    CHECK_INT(store_commit(s, &e), 0);
}
