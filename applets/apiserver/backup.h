/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup: a store's objects as a text file, one JSON value a line:
 *
 *   {"kruntimes":"backup","format":1,"revision":"R"}
 *   {"key":"…","revision":N,"crc":N,"object":{…}}      in the order of keys; crc: CRC-32C over key, revision and the text of object
 *   {"end":true,"objects":N}
 */
#ifndef APISERVER_BACKUP_H
#define APISERVER_BACKUP_H
#include "applets/apiserver/api.h"

uint32_t backup_crc(const struct store_value *);
int api_backup(struct api_call *);
/*
 * Makes the file the store of dir, which nobody may be using. The whole file is checked before anything is written; the
 * store that was there stays as store.mdb.before-restore. Revisions go on behind both. *objects: how many there are.
 */
int backup_restore(const char *dir, const char *file, uint64_t *objects, struct kr_err *);
#endif
