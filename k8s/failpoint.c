/* SPDX-License-Identifier: Apache-2.0 */
/*
 * failpoint: the name of an operation from its request: /apis/GROUP/VERSION[/namespaces/NS]/PLURAL[/NAME[/SUB]]. The names
 * that there can be follow from crds/access.def (applets/failpoints.c).
 */
#include "k8s/failpoint.h"
#ifdef KR_FAILPOINTS
#include "core/kr.h"

void kube_failpoint(const char *method, const char *path, const char *when)
{
    char name[200];
    struct str rest = str_of(path), word;
    const char *verb = !strcmp(method, "POST") ? "create" : !strcmp(method, "PATCH") ? "patch" : !strcmp(method, "DELETE") ? "delete" : NULL;
    if (!verb)
        return;
    rest.n = strcspn(path, "?");
    rest = str_from(rest, rest.n > 0);
    struct buf b = { .p = name, .cap = sizeof name, .max = sizeof name - 1 };
    for (int skip = str_is(str_cut(&rest, '/'), "api") ? 1 : 2; skip > 0; skip--)
        str_cut(&rest, '/');
    word = str_cut(&rest, '/');
    if (str_is(word, "namespaces") && str_chr(rest, '/') >= 0) {
        str_cut(&rest, '/');
        word = str_cut(&rest, '/');
    }
    str_cut(&rest, '/');
    buf_fmt(&b, "*.%s-%.*s%s%.*s.%s", verb, SFMT(word), rest.n ? "/" : "", SFMT(rest), when);
    if (!b.failed)
        failpoint_hit(name);
}
#endif
