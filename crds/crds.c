/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crds: the tables of our own kinds, made from crds/KIND.def. What stands here is what several rows say in the same
 * words; a pattern has a name only where more than one field uses it. No validation is written in C: the rows are it.
 */
#include "crds/crds.h"

#define DNS_LABEL "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
#define DURATION "^([0-9]+(\\.[0-9]+)?(ns|us|\xc2\xb5s|ms|s|m|h))+$"
#define WEB_URL "^https?://[^\\s/?#@]+([/?#][^\\s]*)?$"
#define RELATIVE_PATH \
    RULE("!self.matches('(^|/)[.]{0,2}(/|$)')", "must be a relative path without empty, \".\" or \"..\" segments")
#define RESOURCE_NAMES \
    RULE("self.all(k, k.size() <= 54 && k.matches('^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$'))", \
      "each name must be 1 to 54 letters, digits, \"-\", \"_\" or \".\", with a letter or digit first and last")
#define OUTPUT_KEYS RULE("self.all(k, k.size() >= 1 && k.size() <= 128)", "each key must have 1 to 128 characters")
/* What stays as it was is said on spec and not on the root: an API server looks each member up anew at each write of a status. */
#define CANCEL_STAYS \
    RULE("!has(oldSelf.cancelRequested) || !oldSelf.cancelRequested" \
      " || (has(self.cancelRequested) && self.cancelRequested)", \
      "cannot be taken back once true", .reason = "FieldValueForbidden", .path = ".cancelRequested")
#define TERMINAL_STAYS(phases) \
    RULE("!has(oldSelf.status) || !has(oldSelf.status.phase) || !(oldSelf.status.phase in " phases ")" \
      " || (has(self.status) && has(self.status.phase) && self.status.phase == oldSelf.status.phase)", \
      "a terminal phase never changes", .reason = "FieldValueForbidden", .path = ".status.phase")

#define MODEL_DEF "crds/common.def"
#include "core/model_tables.h"
#define MODEL_DEF "crds/run.def"
#include "core/model_tables.h"
#define MODEL_DEF "crds/runtime.def"
#include "core/model_tables.h"
#define MODEL_DEF "crds/workflow.def"
#include "core/model_tables.h"

const struct model_type *const crd_types[] = { &type_run, &type_runtime, &type_workflow, NULL };

const struct model_type *crd_find(struct str name)
{
    for (const struct model_type *const *t = crd_types; *t; t++)
        if (str_is(name, (*t)->kind) || str_is(name, (*t)->plural) || str_is(name, (*t)->singular) || str_is(name, (*t)->short_name))
            return *t;
    return NULL;
}

struct str runtime_object_name(struct str runtime, struct arena *a)
{
    if (runtime.n + sizeof "runtime-" - 1 <= 57)      /* pods add a hash and a tail, and the whole is a label too */
        return arena_fmt(a, "runtime-%.*s", SFMT(runtime));
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < runtime.n; i++)
        hash = (hash ^ (unsigned char)runtime.p[i]) * 16777619u;
    return arena_fmt(a, "runtime-%.40s-%08x", runtime.p, (unsigned)hash);
}
