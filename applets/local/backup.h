/* SPDX-License-Identifier: Apache-2.0 */
/* backup: `kruntimes local backup FILE` and `local restore FILE`. */
#ifndef APPLETS_LOCAL_BACKUP_H
#define APPLETS_LOCAL_BACKUP_H
#include "core/applet.h"

extern const struct applet local_backup_applet, local_restore_applet;
#endif
