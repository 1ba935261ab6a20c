/* SPDX-License-Identifier: Apache-2.0 */
/*
 * version: the only file that sees KR_VERSION, so that a new version compiles
 * one object again. No build date and no commit: the same source gives the same
 * bytes. Covered by tests/unit/core/version.c.
 */
#include "core/version.h"

const char kr_version[] = KR_VERSION;
