/* SPDX-License-Identifier: Apache-2.0 */
/* store: the API server's store for tests, in the test's own folder; what fails is a failed check. */
#ifndef TESTS_KIT_STORE_H
#define TESTS_KIT_STORE_H
#include "applets/apiserver/store.h"

const char *kit_store_path(void);
struct store *kit_store(void);                                       /* opened, made where there is none; ends the test when it can't be */
void kit_put(struct store *, const char *key, const char *json);
void kit_commit(struct store *);
#endif
