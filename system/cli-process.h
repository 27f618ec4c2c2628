/*
 * The process around a machine: descriptors it was given, its background, its
 * pid file, its rights. main.c calls these in this order; main thread.
 */
#ifndef SYSTEM_CLI_PROCESS_H
#define SYSTEM_CLI_PROCESS_H

#include "system/cli.h"

/*
 * Before anything is opened or a thread is started: -add-fd, -name process=,
 * -daemonize, -pidfile. With -daemonize the caller's process waits in here and
 * ends with the status of the start; what returns is the one in the background.
 */
bool process_begin(Cli *cli, GError **errp);
/* The machine is built: -chroot, -runas, off the terminal, and whoever waits
 * for the start may go. */
bool process_ready(Cli *cli, GError **errp);
/* Removes the pid file. Also after a failed start. */
void process_end(Cli *cli);

#endif
