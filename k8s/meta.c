/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta: checks of metadata, written from the API conventions and "Object Names and IDs", "Labels and Selectors" and
 * "Annotations" of the Kubernetes documentation. Whether a namespace exists or a uid fits is the store's business.
 */
#include "k8s/meta.h"
#include "k8s/selector.h"

static bool alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

/* RFC 1123, lower case: letters and digits, inside also '-'. */
static bool is_label(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!alnum(s.p[i]) && (s.p[i] != '-' || i == 0 || i + 1 == s.n))
            return false;
    return s.n > 0;
}

static bool is_subdomain(struct str s)
{
    struct str rest = s;
    for (size_t dots = 0;; dots++) {
        ptrdiff_t dot = str_chr(rest, '.');
        if (!is_label(dot < 0 ? rest : (struct str){ rest.p, (size_t)dot }))
            return false;
        if (dot < 0)
            return true;
        rest = str_from(rest, (size_t)dot + 1);
    }
}

static bool well_formed(struct str s, enum meta_name rule)
{
    switch (rule) {
    case META_SUBDOMAIN: return is_subdomain(s);
    case META_LABEL: return is_label(s);
    case META_PATH: return s.n && !str_is(s, ".") && !str_is(s, "..") && str_chr(s, '/') < 0 && str_chr(s, '%') < 0;
    }
    return false;
}

static size_t longest(enum meta_name rule) { return rule == META_LABEL ? 63 : 253; }

bool meta_name_ok(struct str name, enum meta_name rule)
{
    return name.n <= longest(rule) && well_formed(name, rule);
}

static const char *const demands[] = {
    [META_SUBDOMAIN] = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start"
        " and end with an alphanumeric character (e.g. 'example.com', regex used for validation is"
        " '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
    [META_LABEL] = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an"
        " alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
    [META_PATH] = "may not be '.' or '..', and may not contain '/' or '%'",
};
#define VALUE_DEMAND "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and" \
    " end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is" \
    " '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
#define KEY_DEMAND "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric" \
    " character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')," \
    " at most 63 characters, after an optional DNS subdomain and '/' (e.g. 'example.com/MyName')"

struct sink { struct arena *arena; struct model_errors *errors; };

static void invalid(struct sink *k, const char *field, struct str value, const char *demand)
{
    size_t shown = value.n > LIMIT_MODEL_VALUE ? str_rune_cut(value, LIMIT_MODEL_VALUE) : value.n;
    model_cause_add(k->errors, k->arena, "FieldValueInvalid", str_of(field), "Invalid value: \"%.*s\": %s", (int)shown, value.p, demand);
}

static void required(struct sink *k, struct str field, const char *why)
{
    model_cause_add(k->errors, k->arena, "FieldValueRequired", field, "Required value%s%s", *why ? ": " : "", why);
}

static void check_name(struct sink *k, const char *field, struct str name, enum meta_name rule)
{
    if (name.n > longest(rule))
        invalid(k, field, name, rule == META_LABEL ? "must be no more than 63 characters" : "must be no more than 253 characters");
    if (!well_formed(name, rule))
        invalid(k, field, name, demands[rule]);
}

/* A prefix may end where a name may not: what the server appends makes up for it. */
static void check_prefix(struct sink *k, struct str prefix, enum meta_name rule)
{
    struct str s = prefix;
    if (rule != META_PATH && s.n > 1 && (s.p[s.n - 1] == '-' || s.p[s.n - 1] == '.'))
        s.n--;
    check_name(k, "metadata.generateName", s, rule);
}

static void check_labels(struct sink *k, const struct json *labels)
{
    for (const struct json *m = json_first(labels); m; m = json_next(m)) {
        if (!label_key_ok(json_key(m)))
            invalid(k, "metadata.labels", json_key(m), KEY_DEMAND);
        if (json_is(m, JSON_STRING) && !label_value_ok(json_string(m)))
            invalid(k, "metadata.labels", json_string(m), VALUE_DEMAND);
    }
}

static void check_annotations(struct sink *k, const struct json *annotations)
{
    size_t total = 0;
    for (const struct json *m = json_first(annotations); m; m = json_next(m)) {
        total += json_key(m).n + json_string(m).n;
        if (!label_key_ok(json_key(m)))
            invalid(k, "metadata.annotations", json_key(m), KEY_DEMAND);
    }
    if (total > LIMIT_ANNOTATIONS)
        model_cause_add(k->errors, k->arena, "FieldValueTooLong", S("metadata.annotations"), "Too long: may not be more than %d bytes",
                        LIMIT_ANNOTATIONS);
}

static void check_owners(struct sink *k, const struct json *owners)
{
    static const char *const needed[] = { "apiVersion", "kind", "name", "uid" };
    size_t i = 0, controllers = 0;
    for (const struct json *o = json_first(owners); o; o = json_next(o), i++) {
        for (size_t f = 0; f < LEN(needed); f++)
            if (!json_string(json_get(o, needed[f])).n)
                required(k, arena_fmt(k->arena, "metadata.ownerReferences[%zu].%s", i, needed[f]), "");
        controllers += json_is(json_get(o, "controller"), JSON_TRUE);
    }
    if (controllers > 1)
        model_cause_add(k->errors, k->arena, "FieldValueInvalid", S("metadata.ownerReferences"),
                        "Invalid value: \"array\": only one reference can have controller set to true");
}

void meta_check(const struct json *object, enum meta_name rule, struct arena *a, struct model_errors *errors)
{
    struct sink k = { a, errors };
    const struct json *meta = json_get(object, "metadata"), *m;
    struct str name = json_string(json_get(meta, "name")), prefix = json_string(json_get(meta, "generateName"));
    if (name.n)
        check_name(&k, "metadata.name", name, rule);
    else if (!prefix.n)
        required(&k, S("metadata.name"), "name or generateName is required");
    if (prefix.n)
        check_prefix(&k, prefix, rule);
    check_labels(&k, json_get(meta, "labels"));
    check_annotations(&k, json_get(meta, "annotations"));
    for (m = json_first(json_get(meta, "finalizers")); m; m = json_next(m))
        if (json_is(m, JSON_STRING) && !label_key_ok(json_string(m)))
            invalid(&k, "metadata.finalizers", json_string(m), KEY_DEMAND);
    check_owners(&k, json_get(meta, "ownerReferences"));
}
