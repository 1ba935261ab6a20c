/* SPDX-License-Identifier: Apache-2.0 */
/*
 * analyze.h: included before each source that tests/lint/analyze reads. Whoever reads one source at a time cannot see what the
 * functions of another return; without these lines half of the findings are paths on which a failure goes on as a success.
 */
#include "core/kr.h"

#ifndef KR_ANALYZE_FAILS          /* where they are written */
#define kr_fail(...)     (kr_fail(__VA_ARGS__), -1)
#define kr_fail_sys(...) (kr_fail_sys(__VA_ARGS__), -1)
#endif
