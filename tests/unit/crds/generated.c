/* SPDX-License-Identifier: Apache-2.0 */
/* The CRDs and the API page in the repository are what the tables say now (KR_GOLDEN=write), and small enough to be applied. */
#include "core/model_crd.h"
#include "crds/crds.h"
#include "tests/kit/test.h"

static void fresh(const struct model_type *t)
{
    AUTO_BUF struct buf path = { .max = 100 }, yaml = { .max = 65536 };
    model_crd_yaml(t, &yaml);
    CHECK(!yaml.failed);                                 /* a CRD of 64 KB and more is one that nobody can apply */
    buf_fmt(&path, "../../crds/%s.yaml", t->singular);
    test_golden(path.p, buf_view(&yaml));
}

TEST(run_crd) { fresh(&type_run); }
TEST(runtime_crd) { fresh(&type_runtime); }
TEST(workflow_crd) { fresh(&type_workflow); }

TEST(kinds_by_name)
{
    CHECK(crd_find(S("rn")) == &type_run);
    CHECK(crd_find(S("runtimes")) == &type_runtime);
    CHECK(crd_find(S("Workflow")) == &type_workflow);
    CHECK(crd_find(S("ru")) == NULL);
}

TEST(reference_page)
{
    AUTO_BUF struct buf page = { .max = 1 << 20 };
    buf_lit(&page, "# API reference\n\n<!-- Generated from crds/*.def; do not edit. -->\n\nEvery field of our kinds, as the server checks it.\n");
    for (const struct model_type *const *t = crd_types; *t; t++) {
        buf_byte(&page, '\n');
        model_crd_markdown(*t, &page);
    }
    test_golden("../../docs/api.md", buf_view(&page));
}
