/* SPDX-License-Identifier: Apache-2.0 */
/* version: three numbers with dots, as semver and package tools want it. */
#include "core/version.h"
#include "tests/kit/test.h"

TEST(three_numbers) {
    int dots = 0, digits = 0;
    for (const char *p = kr_version; *p; p++) {
        if (*p == '.') {
            CHECK(digits > 0);
            dots++, digits = 0;
        } else {
            CHECK(*p >= '0' && *p <= '9');
            digits++;
        }
    }
    CHECK_INT(dots, 2);
    CHECK(digits > 0);
}
